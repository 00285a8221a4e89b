// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One kernel per instruction: random and special operands go in, and every result is compared with
// the scalar oracle. Exact instructions must match to the bit; approximate ones must stay within the
// error bound of the PTX manual. When ptxas is installed the whole module must assemble, so that a
// test cannot exercise an instruction that does not exist.
#include "EmulatorTest.h"
#include "Oracle.h"

#include <cstdlib>
#include <functional>
#include <random>
#include <unistd.h>

namespace attnc::emu::test {

using Oracle = std::function<uint64_t(uint64_t, uint64_t, uint64_t)>;

/// `widths` are the register widths of d, a, b, c ('h' 16, 'w' 32, 'd' 64, 'p' predicate result).
struct Instruction {
  std::string text; ///< with $d, $a, $b, $c
  std::string widths;
  Oracle oracle;
  double ulps = 0; ///< f32 results may differ by this many units in the last place
};

static uint64_t corpus(std::mt19937_64 &rng, char width, int i) {
  static const uint64_t special32[] = {0, 0x80000000, 1, 0xffffffff, 0x7fffffff, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                       0x7fc00000, 0xffc00001, 0x7f800001, 0x00800000, 0x007fffff, 0x80000001, 0x7f7fffff, 0x3f000000,
                                       0x40490fdb, 0x4b000000, 0xcb800001, 31, 32, 33, 0x3c003c00, 0x7c00fc00, 0x7e000001, 0x04000400, 0xfbff7bff,
                                       0x3f803f80, 0x7f807fc0, 0x00ff8001};
  static const uint64_t special64[] = {0, 1, ~0ull, 1ull << 63, ~0ull >> 1, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000001,
                                       0x0010000000000000, 0x000fffffffffffff, 0xbff0000000000000, 0x7fefffffffffffff, 0x8000000000000001,
                                       63, 64, 65, 0x41dfffffffc00000, 0x41f0000000000000, 0x43e0000000000000, 0xc3e0000000000000};
  constexpr int n32 = sizeof special32 / 8, n64 = sizeof special64 / 8;
  uint64_t r = rng();
  if (width == 'd') {
    if (i % 4 == 0)
      return special64[r % n64];
    if (i % 4 == 1) // doubles of moderate size
      return bits<uint64_t>(std::ldexp(double(int64_t(r)) / 9.2e18, int(r % 61) - 30));
    return i % 4 == 2 ? r : r >> (r % 64);
  }
  uint64_t mask = width == 'h' ? 0xffff : 0xffffffff;
  if (i % 4 == 0)
    return special32[r % n32] & mask;
  if (width == 'w' && i % 4 == 1)
    return bits<uint32_t>(std::ldexp(float(int32_t(r)) / 2.1e9f, int((r >> 32) % 41) - 20));
  return i % 4 == 2 ? r & mask : (r & mask) >> (r % 32);
}

static const char *registers = ".reg .pred %p<4>;\n.reg .b16 %h<8>;\n.reg .b32 %r<16>;\n.reg .b64 %rd<16>;\n";

static std::string kernelText(const Instruction &in, int index) {
  auto reg = [&](int i) {
    char w = in.widths[i];
    return (w == 'h' ? "%h" : w == 'w' ? "%r1" : w == 'd' ? "%rd1" : "%p") + std::to_string(i);
  };
  std::string s = ".visible .entry k" + std::to_string(index) + "(.param .u64 in, .param .u64 out) {\n" + registers +
                  "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 24;\n"
                  "add.u64 %rd0, %rd0, %rd2;\nmul.wide.u32 %rd2, %r0, 8;\nadd.u64 %rd1, %rd1, %rd2;\n";
  for (size_t i = 1; i < in.widths.size(); ++i) {
    std::string offset = "[%rd0+" + std::to_string(8 * (i - 1)) + "]";
    s += "ld.global." + std::string(in.widths[i] == 'h' ? "u16 " : in.widths[i] == 'w' ? "u32 " : "u64 ") + reg(int(i)) + ", " + offset + ";\n";
  }
  std::string body = in.text;
  for (int i = 0; i < 4; ++i) {
    std::string key = std::string("$") + "dabc"[i];
    for (size_t at; (at = body.find(key)) != std::string::npos;)
      body.replace(at, 2, reg(i));
  }
  s += body + "\n";
  if (in.widths[0] == 'p')
    s += "selp.u64 %rd3, 1, 0, %p0;\nst.global.u64 [%rd1], %rd3;\n";
  else if (in.widths[0] == 'd')
    s += "st.global.u64 [%rd1], " + reg(0) + ";\n";
  else
    s += std::string("cvt.u64.") + (in.widths[0] == 'h' ? "u16" : "u32") + " %rd3, " + reg(0) + ";\nst.global.u64 [%rd1], %rd3;\n";
  return s + "ret;\n}\n";
}

static bool within(uint64_t got, uint64_t want, double ulps) {
  float g = asFloat(got), w = asFloat(want);
  if (std::isnan(g) || std::isnan(w))
    return std::isnan(g) == std::isnan(w);
  if (got == want)
    return true;
  if (std::isinf(g) || std::isinf(w))
    return false;
  return std::fabs(double(g) - double(w)) <= ulps * std::ldexp(1.0, std::max(-149, std::ilogb(w == 0 ? 1e-45f : w) - 23));
}

class Instructions : public EmulatorTest {
protected:
  explicit Instructions(const char *p = "sm_80") : EmulatorTest(p) {}
  void check(const std::vector<Instruction> &list, const char *version = "8.0") {
    std::string text = std::string(".version ") + version + "\n.target " + machine.profile().name + "\n.address_size 64\n";
    for (size_t i = 0; i < list.size(); ++i)
      text += kernelText(list[i], static_cast<int>(i));
    assemble(text);
    auto module = machine.load(text);
    const int lanes = 1024;
    for (size_t i = 0; i < list.size(); ++i) {
      const Instruction &in = list[i];
      std::mt19937_64 rng(i * 77 + 1);
      std::vector<uint64_t> operands(3 * lanes);
      for (int l = 0; l < lanes; ++l)
        for (size_t k = 1; k < in.widths.size(); ++k)
          operands[3 * l + k - 1] = corpus(rng, in.widths[k], int(rng() % 16));
      uint64_t din = upload(operands), dout = reserve<uint64_t>(lanes);
      LaunchResult r = run(*module, ("k" + std::to_string(i)).c_str(), {{1}, {lanes}}, Params().add(din).add(dout));
      ASSERT_TRUE(r.ok) << in.text << "\n" << r.report;
      std::vector<uint64_t> got = download<uint64_t>(dout, lanes);
      int shown = 0;
      for (int l = 0; l < lanes && shown < 3; ++l) {
        const uint64_t *o = &operands[3 * l];
        uint64_t want = in.oracle(o[0], o[1], o[2]);
        bool ok = in.ulps > 0 ? within(got[l], want, in.ulps) : got[l] == want;
        EXPECT_TRUE(ok) << in.text << std::hex << " a=" << o[0] << " b=" << o[1] << " c=" << o[2] << " got " << got[l] << " want " << want;
        shown += !ok;
      }
      machine.memory().free(din);
      machine.memory().free(dout);
    }
  }
  void assemble(const std::string &text) {
    if (std::system("ptxas --version >/dev/null 2>&1") != 0)
      return;
    std::string path = ::testing::TempDir() + "attnc_emu_" + std::to_string(getpid()) + ".ptx";
    std::ofstream(path) << text;
    std::string command = "ptxas -O0 -arch=" + machine.profile().name + " -o /dev/null " + path + " 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << "ptxas rejects a fixture";
    remove(path.c_str());
  }
};

template <class T> Oracle two(std::function<T(T, T)> f) {
  return [f](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
    return static_cast<std::make_unsigned_t<T>>(f(static_cast<T>(a), static_cast<T>(b)));
  };
}

template <class T> void integerCases(std::vector<Instruction> &v, const std::string &t) {
  using U = std::make_unsigned_t<T>;
  using W = __int128;
  constexpr int n = 8 * sizeof(T);
  std::string w = n == 16 ? "hhhh" : n == 32 ? "wwww" : "dddd";
  auto add = [&](const std::string &op, std::function<T(T, T)> f) { v.push_back({op + "." + t + " $d, $a, $b;", w.substr(0, 3), two<T>(f)}); };
  add("add", [](T a, T b) { return T(W(a) + W(b)); });
  add("sub", [](T a, T b) { return T(W(a) - W(b)); });
  add("mul.lo", [](T a, T b) { return T(U(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b))); });
  add("min", [](T a, T b) { return a < b ? a : b; });
  add("max", [](T a, T b) { return a > b ? a : b; });
  add("mul.hi", [](T a, T b) {
    if constexpr (std::is_signed_v<T>)
      return T((W(a) * W(b)) >> n);
    else
      return T(((unsigned __int128)a * b) >> n);
  });
  v.push_back({"or.b" + std::to_string(n) + " $b, $b, 1; div." + t + " $d, $a, $b;", w.substr(0, 3), [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 T y = T(b | 1);
                 return U(W(T(a)) / W(y));
               }});
  v.push_back({"or.b" + std::to_string(n) + " $b, $b, 1; rem." + t + " $d, $a, $b;", w.substr(0, 3), [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 T y = T(b | 1);
                 return U(W(T(a)) % W(y));
               }});
  v.push_back({"mad.lo." + t + " $d, $a, $b, $c;", w, [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return U(U(static_cast<unsigned __int128>(a) * b) + U(c)); }});
  v.push_back({"sad." + t + " $d, $a, $b, $c;", w, [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
                 W d = W(T(a)) - W(T(b));
                 return U(W(T(c)) + (d < 0 ? -d : d));
               }});
  v.push_back({"shr." + t + " $d, $a, $b;", w.substr(0, 2) + "w", [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 uint32_t s = std::min<uint32_t>(uint32_t(b), n);
                 return U(W(T(a)) >> s);
               }});
  v.push_back({"shl.b" + std::to_string(n) + " $d, $a, $b;", w.substr(0, 2) + "w", [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 return uint32_t(b) >= unsigned(n) ? 0 : U(U(a) << uint32_t(b));
               }});
  for (const char *cmp : {"eq", "ne", "lt", "le", "gt", "ge"})
    v.push_back({std::string("setp.") + cmp + "." + t + " $d, $a, $b;", "p" + w.substr(0, 2), [cmp](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                   T x = T(a), y = T(b);
                   std::string c = cmp;
                   return c == "eq" ? x == y : c == "ne" ? x != y : c == "lt" ? x < y : c == "le" ? x <= y : c == "gt" ? x > y : x >= y;
                 }});
  if (n >= 32) {
    v.push_back({"bfe." + t + " $d, $a, $b, $c;", w.substr(0, 2) + "ww", [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
                   // The pseudo-code of the manual, bit by bit.
                   int pos = b & 0xff, len = c & 0xff, msb = n - 1;
                   bool sbit = std::is_signed_v<T> && len ? (a >> std::min(pos + len - 1, msb)) & 1 : false;
                   uint64_t d = 0;
                   for (int i = 0; i <= msb; ++i)
                     d |= uint64_t(i < len && pos + i <= msb ? (a >> (pos + i)) & 1 : sbit) << i;
                   return d;
                 }});
    v.push_back({"bfind." + t + " $d, $a;", "w" + w.substr(0, 1), [](uint64_t a, uint64_t, uint64_t) -> uint64_t {
                   T x = T(a);
                   U y = std::is_signed_v<T> && x < 0 ? U(~x) : U(x);
                   for (int i = n - 1; i >= 0; --i)
                     if (y >> i & 1)
                       return uint32_t(i);
                   return 0xffffffffu;
                 }});
  }
  if (n < 64)
    v.push_back({"mul.wide." + t + " $d, $a, $b;", (n == 16 ? "w" : "d") + w.substr(0, 2), [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                   return uint64_t(W(T(a)) * W(T(b))) & (n == 16 ? 0xffffffffull : ~0ull);
                 }});
  if constexpr (std::is_signed_v<T>) {
    v.push_back({"neg." + t + " $d, $a;", w.substr(0, 2), [](uint64_t a, uint64_t, uint64_t) -> uint64_t { return U(0 - a); }});
    v.push_back({"abs." + t + " $d, $a;", w.substr(0, 2), [](uint64_t a, uint64_t, uint64_t) -> uint64_t { return T(a) < 0 ? U(0 - a) : U(a); }});
  }
}

TEST_F(Instructions, Integer) {
  std::vector<Instruction> v;
  integerCases<uint16_t>(v, "u16");
  integerCases<int16_t>(v, "s16");
  integerCases<uint32_t>(v, "u32");
  integerCases<int32_t>(v, "s32");
  integerCases<uint64_t>(v, "u64");
  integerCases<int64_t>(v, "s64");
  auto sat = [](__int128 x) -> uint64_t { return uint32_t(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x); };
  v.push_back({"add.sat.s32 $d, $a, $b;", "www", [=](uint64_t a, uint64_t b, uint64_t) { return sat(__int128(int32_t(a)) + int32_t(b)); }});
  v.push_back({"sub.sat.s32 $d, $a, $b;", "www", [=](uint64_t a, uint64_t b, uint64_t) { return sat(__int128(int32_t(a)) - int32_t(b)); }});
  v.push_back({"mad.hi.s32 $d, $a, $b, $c;", "wwww", [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
                 return uint32_t((int64_t(int32_t(a)) * int32_t(b) >> 32) + int32_t(c)); }});
  v.push_back({"mad.wide.u32 $d, $a, $b, $c;", "dwwd", [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return a * b + c; }});
  check(v);
}

TEST_F(Instructions, Bits) {
  std::vector<Instruction> v;
  auto w3 = [&](const char *text, std::function<uint32_t(uint32_t, uint32_t, uint32_t)> f) {
    v.push_back({text, "wwww", [f](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return f(uint32_t(a), uint32_t(b), uint32_t(c)); }});
  };
  w3("lop3.b32 $d, $a, $b, $c, 0x1b;", [](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t d = 0;
    for (int i = 0; i < 32; ++i)
      d |= (0x1bu >> (((a >> i & 1) << 2) | ((b >> i & 1) << 1) | (c >> i & 1)) & 1) << i;
    return d;
  });
  auto shf = [](bool left, bool wrap) {
    return [=](uint32_t lo, uint32_t hi, uint32_t n) {
      uint32_t s = wrap ? n & 31 : std::min(n, 32u);
      unsigned __int128 x = (unsigned __int128)(uint64_t(hi) << 32 | lo);
      return left ? uint32_t((x << s) >> 32) : uint32_t(x >> s);
    };
  };
  w3("shf.l.wrap.b32 $d, $a, $b, $c;", shf(true, true));
  w3("shf.l.clamp.b32 $d, $a, $b, $c;", shf(true, false));
  w3("shf.r.wrap.b32 $d, $a, $b, $c;", shf(false, true));
  w3("shf.r.clamp.b32 $d, $a, $b, $c;", shf(false, false));
  // prmt modes by the table of the manual: bytes d.b3 d.b2 d.b1 d.b0 for c[1:0] = 0..3.
  struct Mode { const char *name; int bytes[4][4]; };
  static const Mode modes[] = {{"f4e", {{3,2,1,0},{4,3,2,1},{5,4,3,2},{6,5,4,3}}}, {"b4e", {{5,6,7,0},{6,7,0,1},{7,0,1,2},{0,1,2,3}}},
                               {"rc8", {{0,0,0,0},{1,1,1,1},{2,2,2,2},{3,3,3,3}}}, {"ecl", {{3,2,1,0},{3,2,1,1},{3,2,2,2},{3,3,3,3}}},
                               {"ecr", {{0,0,0,0},{1,1,1,0},{2,2,1,0},{3,2,1,0}}}, {"rc16", {{1,0,1,0},{3,2,3,2},{1,0,1,0},{3,2,3,2}}}};
  for (const Mode &m : modes)
    w3((std::string("prmt.b32.") + m.name + " $d, $a, $b, $c;").c_str(), [&m](uint32_t a, uint32_t b, uint32_t c) {
      uint64_t both = uint64_t(b) << 32 | a;
      uint32_t d = 0;
      for (int i = 0; i < 4; ++i)
        d |= uint32_t(both >> 8 * m.bytes[c & 3][3 - i] & 0xff) << 8 * i;
      return d;
    });
  w3("prmt.b32 $d, $a, $b, $c;", [](uint32_t a, uint32_t b, uint32_t c) {
    uint64_t both = uint64_t(b) << 32 | a;
    uint32_t d = 0;
    for (int i = 0; i < 4; ++i) {
      uint32_t s = c >> 4 * i & 15, byte = both >> 8 * (s & 7) & 0xff;
      d |= (s & 8 ? (byte >> 7) * 0xffu : byte) << 8 * i;
    }
    return d;
  });
  w3("bfi.b32 $d, $a, $b, $c, 5;", [](uint32_t a, uint32_t b, uint32_t c) {
    uint32_t d = b, pos = c & 0xff;
    for (uint32_t i = 0; i < 5 && pos + i < 32; ++i)
      d = (d & ~(1u << (pos + i))) | (a >> i & 1) << (pos + i);
    return d;
  });
  w3("dp4a.s32.u32 $d, $a, $b, $c;", [](uint32_t a, uint32_t b, uint32_t c) {
    for (int i = 0; i < 4; ++i)
      c += uint32_t(int32_t(int8_t(a >> 8 * i)) * int32_t(uint8_t(b >> 8 * i)));
    return c;
  });
  w3("popc.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) { uint32_t n = 0; for (; a; a >>= 1) n += a & 1; return n; });
  w3("clz.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) { uint32_t n = 32; for (; a; a >>= 1) --n; return n; });
  w3("brev.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) { uint32_t d = 0; for (int i = 0; i < 32; ++i) d |= (a >> i & 1) << (31 - i); return d; });
  w3("cnot.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) { return uint32_t(a == 0); });
  w3("mul24.lo.s32 $d, $a, $b;", [](uint32_t a, uint32_t b, uint32_t) { auto s = [](uint32_t x) { return int64_t(int32_t(x << 8) / 256); }; return uint32_t(s(a) * s(b)); });
  w3("mov.b64 %rd5, {$a, $b}; shr.u64 %rd5, %rd5, 16; cvt.u32.u64 $d, %rd5;", [](uint32_t a, uint32_t b, uint32_t) { return a >> 16 | b << 16; });
  w3("mov.b32 {%h1, %h2}, $a; mov.b32 $d, {%h2, %h1};", [](uint32_t a, uint32_t, uint32_t) { return a >> 16 | a << 16; });
  v.push_back({"popc.b64 $d, $a;", "wd", [](uint64_t a, uint64_t, uint64_t) { uint64_t n = 0; for (; a; a >>= 1) n += a & 1; return n; }});
  v.push_back({"clz.b64 $d, $a;", "wd", [](uint64_t a, uint64_t, uint64_t) { uint64_t n = 64; for (; a; a >>= 1) --n; return n; }});
  // 128-bit addition and subtraction by carry chains; the upper halves prove the carries.
  v.push_back({"add.cc.u64 %rd5, $a, $b; addc.u64 $d, $c, 0;", "dddd", [](uint64_t a, uint64_t b, uint64_t c) { return c + (a + b < a); }});
  v.push_back({"sub.cc.u32 %r9, $a, $b; subc.u32 $d, $c, 0;", "wwww", [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return uint32_t(c - (uint32_t(a) < uint32_t(b))); }});
  v.push_back({"mad.lo.cc.u32 %r9, $a, $b, $c; madc.hi.u32 $d, $a, $b, 0;", "wwww", [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return uint32_t((a * b + c) >> 32); }});
  check(v);
}

/// Wraps an exact quad computation on two or three singles; special values by IEEE rules.
static Oracle singleOp(std::function<Quad(Quad, Quad, Quad)> exact, std::function<float(float, float, float)> ieee, Round mode, bool ftz = false, bool sat = false, bool isSum = false) {
  return [=](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
    auto flush = [&](uint64_t x) { return ftz && !(x & 0x7f800000) ? x & 0x80000000 : x & 0xffffffff; };
    a = flush(a), b = flush(b), c = flush(c);
    // The IEEE result tells the class (NaN, infinity, zero and its sign); the quad one the value.
    float guide = ieee(asFloat(a), asFloat(b), asFloat(c));
    uint64_t r;
    bool anySpecial = std::isnan(asFloat(a)) || std::isinf(asFloat(a)) || std::isnan(asFloat(b)) || std::isinf(asFloat(b)) || std::isnan(asFloat(c)) || std::isinf(asFloat(c));
    if (std::isnan(guide))
      r = 0x7fffffff;
    else if (anySpecial || (std::isinf(guide) && exact(1, 0, 1) != exact(1, 0, 1)))
      r = bits<uint32_t>(guide);
    else {
      Quad x = exact(asFloat(a), asFloat(b), asFloat(c));
      if (x != x || x - x != 0)
        r = bits<uint32_t>(guide);
      else
        r = roundTo(x, single, mode, x == 0 ? std::signbit(guide) : false);
      // A sum that cancels is -0 when rounding down, unless both terms were +0.
      bool bothPlusZero = (asFloat(a) == 0 || asFloat(b) == 0) && !((a ^ b) >> 31 & 1) && (c & 0xffffffff) == 0;
      if (isSum && x == 0 && mode == Round::Down && !bothPlusZero)
        r = 0x80000000;
    }
    r = flush(r);
    if (sat)
      r = asFloat(r) > 0 ? (asFloat(r) < 1 ? r : 0x3f800000) : 0;
    return r;
  };
}

TEST_F(Instructions, SinglePrecision) {
  std::vector<Instruction> v;
  struct Mode { const char *name; Round round; };
  for (Mode m : {Mode{"rn", Round::Nearest}, Mode{"rz", Round::Zero}, Mode{"rm", Round::Down}, Mode{"rp", Round::Up}}) {
    for (bool ftz : {false, true})
      for (bool sat : {false, true}) {
        std::string s = std::string(".") + m.name + (ftz ? ".ftz" : "") + (sat ? ".sat" : "") + ".f32 $d, $a, $b";
        v.push_back({"mul" + s + ";", "www", singleOp([](Quad a, Quad b, Quad) { return a * b; }, [](float a, float b, float) { return a * b; }, m.round, ftz, sat)});
        v.push_back({"fma" + s + ", $c;", "wwww", singleOp([](Quad a, Quad b, Quad c) { return sticky(a * b, c); }, [](float a, float b, float c) { return std::fma(a, b, c); }, m.round, ftz, sat, true)});
      }
    std::string s = std::string(".") + m.name + ".f32 $d, $a, $b;";
    v.push_back({"div" + s, "www", singleOp([](Quad a, Quad b, Quad) { return a / b; }, [](float a, float b, float) { return a / b; }, m.round)});
    v.push_back({std::string("rcp.") + m.name + ".f32 $d, $a;", "ww", singleOp([](Quad a, Quad, Quad) { return 1 / a; }, [](float a, float, float) { return 1 / a; }, m.round)});
  }
  v.push_back({"add.rn.f32 $d, $a, $b;", "www", singleOp([](Quad a, Quad b, Quad) { return sticky(a, b); }, [](float a, float b, float) { return a + b; }, Round::Nearest)});
  v.push_back({"sub.ftz.f32 $d, $a, $b;", "www", singleOp([](Quad a, Quad b, Quad) { return sticky(a, -b); }, [](float a, float b, float) { return a - b; }, Round::Nearest, true)});
  v.push_back({"add.rp.f32 $d, $a, $b;", "www", singleOp([](Quad a, Quad b, Quad) { return sticky(a, b); }, [](float a, float b, float) { return a + b; }, Round::Up)});
  auto extreme = [](bool isMin, bool nanWins) -> Oracle {
    return [=](uint64_t ua, uint64_t ub, uint64_t) -> uint64_t {
      float a = asFloat(ua), b = asFloat(ub);
      if (std::isnan(a) && std::isnan(b))
        return 0x7fffffff;
      if (std::isnan(a) || std::isnan(b))
        return nanWins ? 0x7fffffff : std::isnan(a) ? uint32_t(ub) : uint32_t(ua);
      if (a == 0 && b == 0)
        return isMin ? uint32_t(ua | ub) : uint32_t(ua & ub);
      return (a < b) == isMin ? uint32_t(ua) : uint32_t(ub);
    };
  };
  v.push_back({"min.f32 $d, $a, $b;", "www", extreme(true, false)});
  v.push_back({"max.f32 $d, $a, $b;", "www", extreme(false, false)});
  v.push_back({"max.NaN.f32 $d, $a, $b;", "www", extreme(false, true)});
  v.push_back({"copysign.f32 $d, $a, $b;", "www", [](uint64_t a, uint64_t b, uint64_t) -> uint64_t { return (a & 0x80000000) | (b & 0x7fffffff); }});
  static const char *cmps[] = {"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};
  for (int i = 0; i < 14; ++i)
    v.push_back({std::string("setp.") + cmps[i] + ".f32 $d, $a, $b;", "pww", [i](uint64_t ua, uint64_t ub, uint64_t) -> uint64_t {
                   float a = asFloat(ua), b = asFloat(ub);
                   bool un = std::isnan(a) || std::isnan(b);
                   bool base[] = {a == b, a != b && !un, a < b, a <= b, a > b, a >= b};
                   return i < 6 ? base[i] : i < 12 ? base[i - 6] || un : i == 12 ? !un : un;
                 }});
  static const char *props[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  for (int i = 0; i < 6; ++i)
    v.push_back({std::string("testp.") + props[i] + ".f32 $d, $a;", "pw", [i](uint64_t a, uint64_t, uint64_t) -> uint64_t {
                   int c = std::fpclassify(asFloat(a));
                   bool r[] = {c != FP_NAN && c != FP_INFINITE, c == FP_INFINITE, c != FP_NAN, c == FP_NAN, c == FP_NORMAL, c == FP_SUBNORMAL};
                   return r[i];
                 }});
  check(v);
}

TEST_F(Instructions, ApproximateFunctions) {
  auto f = [](double (*g)(double)) -> Oracle {
    return [g](uint64_t a, uint64_t, uint64_t) -> uint64_t { return bits<uint32_t>(float(g(asFloat(a)))); };
  };
  std::vector<Instruction> v = {{"ex2.approx.f32 $d, $a;", "ww", f([](double x) { return std::exp2(x); }), 2},
                                {"lg2.approx.f32 $d, $a;", "ww", f([](double x) { return std::log2(x); }), 1},
                                {"rcp.approx.f32 $d, $a;", "ww", f([](double x) { return 1 / x; }), 1},
                                {"rsqrt.approx.f32 $d, $a;", "ww", f([](double x) { return 1 / std::sqrt(x); }), 1},
                                {"sqrt.approx.f32 $d, $a;", "ww", f([](double x) { return std::sqrt(x); }), 1},
                                {"sqrt.rn.f32 $d, $a;", "ww", f([](double x) { return std::sqrt(x); }), 1e-9},
                                {"tanh.approx.f32 $d, $a;", "ww", f([](double x) { return std::tanh(x); }), 1},
                                {"sin.approx.f32 $d, $a;", "ww", f([](double x) { return std::sin(x); }), 1},
                                {"cos.approx.f32 $d, $a;", "ww", f([](double x) { return std::cos(x); }), 1},
                                {"div.full.f32 $d, $a, $b;", "www", [](uint64_t a, uint64_t b, uint64_t) -> uint64_t { return bits<uint32_t>(asFloat(a) / asFloat(b)); }, 2}};
  check(v);
}

TEST_F(Instructions, DoublePrecision) {
  auto g = [](double (*h)(double, double, double)) -> Oracle {
    return [h](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return bits<uint64_t>(h(asDouble(a), asDouble(b), asDouble(c))); };
  };
  // NaN payloads of doubles are not specified; make every NaN the same before comparing.
  std::string nan = " testp.notanumber.f64 %p1, $d; selp.b64 $d, -1, $d, %p1;";
  auto canon = [](Oracle o) -> Oracle {
    return [o](uint64_t a, uint64_t b, uint64_t c) { uint64_t r = o(a, b, c); return std::isnan(asDouble(r)) ? ~0ull : r; };
  };
  check({{"add.rn.f64 $d, $a, $b;" + nan, "ddd", canon(g([](double a, double b, double) { return a + b; }))},
         {"mul.rn.f64 $d, $a, $b;" + nan, "ddd", canon(g([](double a, double b, double) { return a * b; }))},
         {"fma.rn.f64 $d, $a, $b, $c;" + nan, "dddd", canon(g([](double a, double b, double c) { return std::fma(a, b, c); }))},
         {"div.rn.f64 $d, $a, $b;" + nan, "ddd", canon(g([](double a, double b, double) { return a / b; }))},
         {"sqrt.rn.f64 $d, $a;" + nan, "dd", canon(g([](double a, double, double) { return std::sqrt(a); }))}});
}

/// 16-bit formats, one or two to a register.
static Oracle narrow(const FloatFormat &f, bool packed, std::function<Quad(Quad, Quad, Quad)> exact, bool hasC = false) {
  return [=](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
    uint64_t out = 0;
    for (int h = 0; h < (packed ? 2 : 1); ++h) {
      Value x = valueOf(a >> 16 * h & 0xffff, f), y = valueOf(b >> 16 * h & 0xffff, f), z = hasC ? valueOf(c >> 16 * h & 0xffff, f) : Value();
      auto host = [](const Value &q) { return q.nan ? NAN : q.inf ? (q.negative ? -INFINITY : INFINITY) : double(q.signedValue()) * (q.magnitude == 0 && q.negative ? -1 : 1); };
      auto real = [&](const Value &q) { double d = host(q); return q.magnitude == 0 && q.negative && !q.nan && !q.inf ? -0.0 : d; };
      double guide = double(exact(real(x), real(y), hasC ? real(z) : 0.0));
      uint64_t r;
      if (std::isnan(guide))
        r = 0x7fff;
      else if (x.inf || y.inf || z.inf)
        r = (guide < 0 ? 1u << 15 : 0) | ((1u << f.exponent) - 1) << f.fraction;
      else {
        Quad q = exact(x.signedValue(), y.signedValue(), z.signedValue());
        bool negativeZero = q == 0 && std::signbit(guide);
        r = roundTo(q, f, Round::Nearest, negativeZero);
      }
      out |= r << 16 * h;
    }
    return out;
  };
}

TEST_F(Instructions, HalfPrecision) {
  std::vector<Instruction> v;
  auto add = [](Quad a, Quad b, Quad) { return sticky(a, b); };
  auto sub = [](Quad a, Quad b, Quad) { return sticky(a, -b); };
  auto mul = [](Quad a, Quad b, Quad) { return a * b; };
  auto fma = [](Quad a, Quad b, Quad c) { return sticky(a * b, c); };
  v.push_back({"add.f16 $d, $a, $b;", "hhh", narrow(half, false, add)});
  v.push_back({"sub.f16 $d, $a, $b;", "hhh", narrow(half, false, sub)});
  v.push_back({"mul.f16 $d, $a, $b;", "hhh", narrow(half, false, mul)});
  v.push_back({"fma.rn.f16 $d, $a, $b, $c;", "hhhh", narrow(half, false, fma, true)});
  v.push_back({"add.f16x2 $d, $a, $b;", "www", narrow(half, true, add)});
  v.push_back({"mul.f16x2 $d, $a, $b;", "www", narrow(half, true, mul)});
  v.push_back({"fma.rn.f16x2 $d, $a, $b, $c;", "wwww", narrow(half, true, fma, true)});
  v.push_back({"fma.rn.bf16x2 $d, $a, $b, $c;", "wwww", narrow(bfloat, true, fma, true)});
  v.push_back({"fma.rn.bf16 $d, $a, $b, $c;", "hhhh", narrow(bfloat, false, fma, true)});
  for (bool isMin : {true, false})
    for (bool isHalf : {true, false})
      v.push_back({std::string(isMin ? "min" : "max") + (isHalf ? ".f16x2" : ".bf16x2") + " $d, $a, $b;", "www", [=](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                     uint64_t out = 0;
                     for (int h = 0; h < 2; ++h) {
                       uint64_t xb = a >> 16 * h & 0xffff, yb = b >> 16 * h & 0xffff, r;
                       Value x = valueOf(xb, isHalf ? half : bfloat), y = valueOf(yb, isHalf ? half : bfloat);
                       auto key = [](const Value &q) { return q.inf ? (q.negative ? Quad(-1e300) : Quad(1e300)) : q.signedValue(); };
                       if (x.nan || y.nan)
                         r = x.nan && y.nan ? 0x7fff : x.nan ? yb : xb;
                       else if (key(x) == key(y))
                         r = isMin ? xb | yb : xb & yb;
                       else
                         r = (key(x) < key(y)) == isMin ? xb : yb;
                       out |= r << 16 * h;
                     }
                     return out;
                   }});
  check(v);
}

/// The double nearest to an exact value, for classifying; conversions from singles.
static uint64_t convertSingle(uint64_t a, const FloatFormat &f, Round mode, bool satfinite = false, uint64_t nan = 0x7fff) {
  float x = asFloat(a);
  if (std::isnan(x))
    return nan;
  if (std::isinf(x))
    return satfinite ? roundTo(x > 0 ? Quad(1e30) : Quad(-1e30), f, mode, false, true)
                     : (x < 0 ? 1ull << (f.exponent + f.fraction) : 0) | ((1ull << f.exponent) - 1) << f.fraction;
  return roundTo(x, f, mode, std::signbit(x), satfinite);
}

TEST_F(Instructions, Conversions) {
  std::vector<Instruction> v;
  auto one = [&](const char *text, const char *w, std::function<uint64_t(uint64_t)> f) { v.push_back({text, w, [f](uint64_t a, uint64_t, uint64_t) { return f(a); }}); };
  one("cvt.rn.f16.f32 $d, $a;", "hw", [](uint64_t a) { return convertSingle(a, half, Round::Nearest); });
  one("cvt.rz.f16.f32 $d, $a;", "hw", [](uint64_t a) { return convertSingle(a, half, Round::Zero); });
  one("cvt.rn.bf16.f32 $d, $a;", "hw", [](uint64_t a) { return convertSingle(a, bfloat, Round::Nearest); });
  one("cvt.rz.bf16.f32 $d, $a;", "hw", [](uint64_t a) { return convertSingle(a, bfloat, Round::Zero); });
  one("cvt.rna.tf32.f32 $d, $a;", "ww", [](uint64_t a) { return std::isnan(asFloat(a)) ? 0x7fffffffull : convertSingle(a, tfloat, Round::NearestAway) << 13; });
  auto widen = [](uint64_t a, const FloatFormat &f) -> uint64_t {
    Value x = valueOf(a & 0xffff, f);
    if (x.nan)
      return 0x7fffffff;
    return bits<uint32_t>((x.inf ? INFINITY : float(x.magnitude)) * (x.negative ? -1.0f : 1.0f));
  };
  one("cvt.f32.f16 $d, $a;", "wh", [=](uint64_t a) { return widen(a, half); });
  one("cvt.f32.bf16 $d, $a;", "wh", [=](uint64_t a) { return widen(a, bfloat); });
  for (bool isHalf : {true, false})
    for (bool relu : {false, true})
      v.push_back({std::string("cvt.rn") + (relu ? ".relu" : "") + (isHalf ? ".f16x2" : ".bf16x2") + ".f32 $d, $a, $b;", "www", [=](uint64_t a, uint64_t b, uint64_t) {
                     auto clean = [&](uint64_t x) { return relu && !std::isnan(asFloat(x)) && std::signbit(asFloat(x)) ? 0 : x; };
                     const FloatFormat &f = isHalf ? half : bfloat;
                     return convertSingle(clean(a), f, Round::Nearest) << 16 | convertSingle(clean(b), f, Round::Nearest);
                   }});
  // Float to integer: round, clamp, NaN to zero (or the most negative value for 64 bits).
  struct ToInt { const char *type; int width; bool sign; };
  struct Mode { const char *name; Round r; };
  for (ToInt t : {ToInt{"s32", 32, true}, ToInt{"u32", 32, false}, ToInt{"s64", 64, true}, ToInt{"u64", 64, false}})
    for (Mode m : {Mode{"rzi", Round::Zero}, Mode{"rni", Round::Nearest}, Mode{"rmi", Round::Down}, Mode{"rpi", Round::Up}})
      v.push_back({std::string("cvt.") + m.name + "." + t.type + ".f32 $d, $a;", t.width == 64 ? "dw" : "ww", [=](uint64_t a, uint64_t, uint64_t) -> uint64_t {
                     float x = asFloat(a);
                     if (std::isnan(x))
                       return t.width == 64 ? 1ull << 63 : 0;
                     double r = m.r == Round::Zero ? std::trunc(x) : m.r == Round::Nearest ? std::nearbyint(double(x)) : m.r == Round::Down ? std::floor(x) : std::ceil(x);
                     Quad lo = t.sign ? -power(t.width - 1) : Quad(0), hi = (t.sign ? power(t.width - 1) : power(t.width)) - 1;
                     Quad q = r < -1e30 ? Quad(-1e30) : r > 1e30 ? Quad(1e30) : Quad(r);
                     q = q < lo ? lo : q > hi ? hi : q;
                     uint64_t u = q < 0 ? 0 - uint64_t(-q) : uint64_t(q);
                     return t.width == 64 ? u : u & 0xffffffff;
                   }});
  one("cvt.rn.f32.s32 $d, $a;", "ww", [](uint64_t a) { return roundTo(Quad(int32_t(a)), single, Round::Nearest); });
  one("cvt.rz.f32.u32 $d, $a;", "ww", [](uint64_t a) { return roundTo(Quad(uint32_t(a)), single, Round::Zero); });
  one("cvt.rn.f32.s64 $d, $a;", "wd", [](uint64_t a) { return roundTo(Quad(int64_t(a)), single, Round::Nearest); });
  one("cvt.rp.f32.u64 $d, $a;", "wd", [](uint64_t a) { return roundTo(Quad(a), single, Round::Up); });
  one("cvt.rn.f64.u64 $d, $a;", "dd", [](uint64_t a) { return bits<uint64_t>(double(a)); });
  one("cvt.rn.f16.s32 $d, $a;", "hw", [](uint64_t a) { return roundTo(Quad(int32_t(a)), half, Round::Nearest); });
  one("cvt.rn.f32.f64 $d, $a;", "wd", [](uint64_t a) -> uint64_t { float f = float(asDouble(a)); return std::isnan(f) ? 0x7fffffff : bits<uint32_t>(f); });
  one("cvt.f64.f32 $d, $a; testp.notanumber.f64 %p1, $d; selp.b64 $d, 0, $d, %p1;", "dw", [](uint64_t a) -> uint64_t { float f = asFloat(a); return std::isnan(f) ? 0 : bits<uint64_t>(double(f)); });
  one("cvt.sat.f32.f32 $d, $a;", "ww", [](uint64_t a) -> uint64_t { float f = asFloat(a); return bits<uint32_t>(f > 0 ? (f < 1 ? f : 1.0f) : 0.0f); });
  one("cvt.rni.f32.f32 $d, $a;", "ww", [](uint64_t a) -> uint64_t { float f = std::nearbyint(asFloat(a)); return std::isnan(f) ? 0x7fffffff : bits<uint32_t>(f); });
  one("cvt.u64.u32 $d, $a;", "dw", [](uint64_t a) { return a; });
  one("cvt.s64.s32 $d, $a;", "dw", [](uint64_t a) { return uint64_t(int64_t(int32_t(a))); });
  one("cvt.s32.s8 $d, $a;", "ww", [](uint64_t a) -> uint64_t { return uint32_t(int32_t(int8_t(a))); });
  one("cvt.u32.u16 $d, $a;", "wh", [](uint64_t a) { return a; });
  one("cvt.s32.s16 $d, $a;", "wh", [](uint64_t a) -> uint64_t { return uint32_t(int32_t(int16_t(a))); });
  one("cvt.sat.s8.s32 $d, $a;", "ww", [](uint64_t a) -> uint64_t { int32_t x = int32_t(a); return uint32_t(x > 127 ? 127 : x < -128 ? -128 : x); });
  one("cvt.sat.u8.s32 $d, $a;", "ww", [](uint64_t a) -> uint64_t { int32_t x = int32_t(a); return uint32_t(x > 255 ? 255 : x < 0 ? 0 : x); });
  one("cvt.sat.s32.s64 $d, $a;", "wd", [](uint64_t a) -> uint64_t { int64_t x = int64_t(a); return uint32_t(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x); });
  check(v);
}

class Sm89Instructions : public Instructions {
protected:
  Sm89Instructions() : Instructions("sm_89") {}
};

TEST_F(Sm89Instructions, Fp8Conversions) {
  std::vector<Instruction> v;
  for (bool e4 : {true, false}) {
    const FloatFormat &f = e4 ? fp8e4m3 : fp8e5m2;
    std::string name = e4 ? "e4m3x2" : "e5m2x2";
    v.push_back({"cvt.rn.satfinite." + name + ".f32 $d, $a, $b;", "hww", [=](uint64_t a, uint64_t b, uint64_t) {
                   return convertSingle(a, f, Round::Nearest, true, 0x7f) << 8 | convertSingle(b, f, Round::Nearest, true, 0x7f);
                 }});
    v.push_back({"cvt.rn.f16x2." + name + " $d, $a;", "wh", [=](uint64_t a, uint64_t, uint64_t) {
                   uint64_t out = 0;
                   for (int i = 0; i < 2; ++i) {
                     Value x = valueOf(a >> 8 * i & 0xff, f);
                     out |= (x.nan ? 0x7fff : x.inf ? (x.negative ? 0xfc00 : 0x7c00) : roundTo(x.signedValue(), half, Round::Nearest, x.negative)) << 16 * i;
                   }
                   return out;
                 }});
  }
  check(v, "8.1");
}

class Sm90Instructions : public Instructions {
protected:
  Sm90Instructions() : Instructions("sm_90") {}
};

TEST_F(Sm90Instructions, Bfloat) {
  auto add = [](Quad a, Quad b, Quad) { return sticky(a, b); };
  auto mul = [](Quad a, Quad b, Quad) { return a * b; };
  check({{"add.bf16x2 $d, $a, $b;", "www", narrow(bfloat, true, add)}, {"mul.bf16 $d, $a, $b;", "hhh", narrow(bfloat, false, mul)}});
}

} // namespace attnc::emu::test

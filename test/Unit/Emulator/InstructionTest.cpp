// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integer and bit instructions against the oracle; see InstructionTest.h.
#include "InstructionTest.h"

namespace attnc::emu::test {

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
  auto add = [&](const std::string &op, std::function<T(T, T)> f) {
    v.push_back({op + "." + t + " $d, $a, $b;", w.substr(0, 3), two<T>(f)});
  };
  add("add", [](T a, T b) { return T(W(a) + W(b)); });
  add("sub", [](T a, T b) { return T(W(a) - W(b)); });
  add("mul.lo", [](T a, T b) {
    return T(U(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b)));
  });
  add("min", [](T a, T b) { return a < b ? a : b; });
  add("max", [](T a, T b) { return a > b ? a : b; });
  add("mul.hi", [](T a, T b) {
    if constexpr (std::is_signed_v<T>)
      return T((W(a) * W(b)) >> n);
    else
      return T(((unsigned __int128)a * b) >> n);
  });
  v.push_back({"or.b" + std::to_string(n) + " $b, $b, 1; div." + t + " $d, $a, $b;", w.substr(0, 3),
               [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 T y = T(b | 1);
                 return U(W(T(a)) / W(y));
               }});
  v.push_back({"or.b" + std::to_string(n) + " $b, $b, 1; rem." + t + " $d, $a, $b;", w.substr(0, 3),
               [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 T y = T(b | 1);
                 return U(W(T(a)) % W(y));
               }});
  v.push_back(
      {"mad.lo." + t + " $d, $a, $b, $c;", w, [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
         return U(U(static_cast<unsigned __int128>(a) * b) + U(c));
       }});
  v.push_back(
      {"sad." + t + " $d, $a, $b, $c;", w, [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
         W d = W(T(a)) - W(T(b));
         return U(W(T(c)) + (d < 0 ? -d : d));
       }});
  v.push_back({"shr." + t + " $d, $a, $b;", w.substr(0, 2) + "w",
               [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 uint32_t s = std::min<uint32_t>(uint32_t(b), n);
                 return U(W(T(a)) >> s);
               }});
  v.push_back({"shl.b" + std::to_string(n) + " $d, $a, $b;", w.substr(0, 2) + "w",
               [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                 return uint32_t(b) >= unsigned(n) ? 0 : U(U(a) << uint32_t(b));
               }});
  for (const char *cmp : {"eq", "ne", "lt", "le", "gt", "ge"})
    v.push_back({std::string("setp.") + cmp + "." + t + " $d, $a, $b;", "p" + w.substr(0, 2),
                 [cmp](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                   T x = T(a), y = T(b);
                   std::string c = cmp;
                   return c == "eq"   ? x == y
                          : c == "ne" ? x != y
                          : c == "lt" ? x < y
                          : c == "le" ? x <= y
                          : c == "gt" ? x > y
                                      : x >= y;
                 }});
  if (n >= 32) {
    v.push_back({"bfe." + t + " $d, $a, $b, $c;", w.substr(0, 2) + "ww",
                 [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
                   // The pseudo-code of the manual, bit by bit.
                   int pos = b & 0xff, len = c & 0xff, msb = n - 1;
                   bool sbit =
                       std::is_signed_v<T> && len ? (a >> std::min(pos + len - 1, msb)) & 1 : false;
                   uint64_t d = 0;
                   for (int i = 0; i <= msb; ++i)
                     d |= uint64_t(i < len && pos + i <= msb ? (a >> (pos + i)) & 1 : sbit) << i;
                   return d;
                 }});
    v.push_back({"bfind." + t + " $d, $a;", "w" + w.substr(0, 1),
                 [](uint64_t a, uint64_t, uint64_t) -> uint64_t {
                   T x = T(a);
                   U y = std::is_signed_v<T> && x < 0 ? U(~x) : U(x);
                   for (int i = n - 1; i >= 0; --i)
                     if (y >> i & 1)
                       return uint32_t(i);
                   return 0xffffffffu;
                 }});
  }
  if (n < 64)
    v.push_back({"mul.wide." + t + " $d, $a, $b;", (n == 16 ? "w" : "d") + w.substr(0, 2),
                 [](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
                   return uint64_t(W(T(a)) * W(T(b))) & (n == 16 ? 0xffffffffull : ~0ull);
                 }});
  if constexpr (std::is_signed_v<T>) {
    v.push_back({"neg." + t + " $d, $a;", w.substr(0, 2),
                 [](uint64_t a, uint64_t, uint64_t) -> uint64_t { return U(0 - a); }});
    v.push_back(
        {"abs." + t + " $d, $a;", w.substr(0, 2),
         [](uint64_t a, uint64_t, uint64_t) -> uint64_t { return T(a) < 0 ? U(0 - a) : U(a); }});
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
  auto sat = [](__int128 x) -> uint64_t {
    return uint32_t(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x);
  };
  v.push_back({"add.sat.s32 $d, $a, $b;", "www", [=](uint64_t a, uint64_t b, uint64_t) {
                 return sat(__int128(int32_t(a)) + int32_t(b));
               }});
  v.push_back({"sub.sat.s32 $d, $a, $b;", "www", [=](uint64_t a, uint64_t b, uint64_t) {
                 return sat(__int128(int32_t(a)) - int32_t(b));
               }});
  v.push_back(
      {"mad.hi.s32 $d, $a, $b, $c;", "wwww", [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
         return uint32_t((int64_t(int32_t(a)) * int32_t(b) >> 32) + int32_t(c));
       }});
  v.push_back({"mad.wide.u32 $d, $a, $b, $c;", "dwwd",
               [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return a * b + c; }});
  check(v);
}

TEST_F(Instructions, Bits) {
  std::vector<Instruction> v;
  auto w3 = [&](const char *text, std::function<uint32_t(uint32_t, uint32_t, uint32_t)> f) {
    v.push_back({text, "wwww", [f](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
                   return f(uint32_t(a), uint32_t(b), uint32_t(c));
                 }});
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
  // Bit by bit, from the manual's words: positions and widths of 32 and more have no bits.
  for (bool clamp : {false, true}) {
    std::string mode = clamp ? ".clamp" : ".wrap";
    w3(("bmsk" + mode + ".b32 $d, $a, $b;").c_str(), [=](uint32_t a, uint32_t b, uint32_t) {
      uint64_t from = clamp ? a : a & 31, width = clamp ? b : b & 31;
      uint32_t d = 0;
      for (uint64_t i = 0; i < 32; ++i)
        d |= uint32_t(i >= from && i < from + width) << i;
      return d;
    });
    for (bool isSigned : {false, true})
      w3(("szext" + mode + (isSigned ? ".s32" : ".u32") + " $d, $a, $b;").c_str(),
         [=](uint32_t a, uint32_t b, uint32_t) {
           uint32_t n = clamp ? b : b & 31, d = 0;
           for (uint32_t i = 0; i < 32; ++i)
             d |= (i < n ? a >> i & 1 : n && isSigned ? a >> (n - 1) & 1 : 0) << i;
           return d;
         });
  }
  for (bool high : {false, true})
    for (bool sa : {false, true})
      for (bool sb : {false, true})
        w3((std::string("dp2a.") + (high ? "hi" : "lo") + (sa ? ".s32" : ".u32") +
            (sb ? ".s32" : ".u32") + " $d, $a, $b, $c;")
               .c_str(),
           [=](uint32_t a, uint32_t b, uint32_t c) {
             int64_t sum = c;
             for (int i = 0; i < 2; ++i) {
               int64_t x = a >> 16 * i & 0xffff, y = b >> (8 * i + 16 * high) & 0xff;
               sum += (sa && x > 32767 ? x - 65536 : x) * (sb && y > 127 ? y - 256 : y);
             }
             return uint32_t(sum);
           });
  // prmt modes by the table of the manual: bytes d.b3 d.b2 d.b1 d.b0 for c[1:0] = 0..3.
  struct Mode {
    const char *name;
    int bytes[4][4];
  };
  static const Mode modes[] = {{"f4e", {{3, 2, 1, 0}, {4, 3, 2, 1}, {5, 4, 3, 2}, {6, 5, 4, 3}}},
                               {"b4e", {{5, 6, 7, 0}, {6, 7, 0, 1}, {7, 0, 1, 2}, {0, 1, 2, 3}}},
                               {"rc8", {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}}},
                               {"ecl", {{3, 2, 1, 0}, {3, 2, 1, 1}, {3, 2, 2, 2}, {3, 3, 3, 3}}},
                               {"ecr", {{0, 0, 0, 0}, {1, 1, 1, 0}, {2, 2, 1, 0}, {3, 2, 1, 0}}},
                               {"rc16", {{1, 0, 1, 0}, {3, 2, 3, 2}, {1, 0, 1, 0}, {3, 2, 3, 2}}}};
  for (const Mode &m : modes)
    w3((std::string("prmt.b32.") + m.name + " $d, $a, $b, $c;").c_str(),
       [&m](uint32_t a, uint32_t b, uint32_t c) {
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
  w3("popc.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) {
    uint32_t n = 0;
    for (; a; a >>= 1)
      n += a & 1;
    return n;
  });
  w3("clz.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) {
    uint32_t n = 32;
    for (; a; a >>= 1)
      --n;
    return n;
  });
  w3("brev.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) {
    uint32_t d = 0;
    for (int i = 0; i < 32; ++i)
      d |= (a >> i & 1) << (31 - i);
    return d;
  });
  w3("cnot.b32 $d, $a;", [](uint32_t a, uint32_t, uint32_t) { return uint32_t(a == 0); });
  w3("mul24.lo.s32 $d, $a, $b;", [](uint32_t a, uint32_t b, uint32_t) {
    auto s = [](uint32_t x) { return int64_t(int32_t(x << 8) / 256); };
    return uint32_t(s(a) * s(b));
  });
  w3("mov.b64 %rd5, {$a, $b}; shr.u64 %rd5, %rd5, 16; cvt.u32.u64 $d, %rd5;",
     [](uint32_t a, uint32_t b, uint32_t) { return a >> 16 | b << 16; });
  w3("mov.b32 {%h1, %h2}, $a; mov.b32 $d, {%h2, %h1};",
     [](uint32_t a, uint32_t, uint32_t) { return a >> 16 | a << 16; });
  v.push_back({"popc.b64 $d, $a;", "wd", [](uint64_t a, uint64_t, uint64_t) {
                 uint64_t n = 0;
                 for (; a; a >>= 1)
                   n += a & 1;
                 return n;
               }});
  v.push_back({"clz.b64 $d, $a;", "wd", [](uint64_t a, uint64_t, uint64_t) {
                 uint64_t n = 64;
                 for (; a; a >>= 1)
                   --n;
                 return n;
               }});
  // 128-bit addition and subtraction by carry chains; the upper halves prove the carries.
  v.push_back({"add.cc.u64 %rd5, $a, $b; addc.u64 $d, $c, 0;", "dddd",
               [](uint64_t a, uint64_t b, uint64_t c) { return c + (a + b < a); }});
  v.push_back({"sub.cc.u32 %r9, $a, $b; subc.u32 $d, $c, 0;", "wwww",
               [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t {
                 return uint32_t(c - (uint32_t(a) < uint32_t(b)));
               }});
  v.push_back(
      {"mad.lo.cc.u32 %r9, $a, $b, $c; madc.hi.u32 $d, $a, $b, 0;", "wwww",
       [](uint64_t a, uint64_t b, uint64_t c) -> uint64_t { return uint32_t((a * b + c) >> 32); }});
  check(v);
}

} // namespace attnc::emu::test

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// wgmma: every operand layout, every combination of types and every size against a naive product.
// What the decoder accepts is enumerated: a form without a case fails.
#include "EmulatorTest.h"
#include "Oracle.h"

#include <algorithm>
#include <random>
#include <set>
#include <unistd.h>

namespace attnc::emu::test {

/// Shared-memory layouts of wgmma operands: which byte holds element (mn, k), from CuTe's canonical
/// layouts rather than from the emulator's formulas: atoms of 8 rows (K-major) or 8 columns
/// (MN-major) in which 16-byte chunk c of line i sits at chunk c ^ (i mod swizzle lines).
struct Layout {
  int swizzle; ///< 0 none, 1 32B, 2 64B, 3 128B
  bool mnMajor;
};
static uint32_t byteOf(const Layout &L, int mn, int k, int size, int elementBytes, uint32_t lbo,
                       uint32_t sbo) {
  int T = 16 / elementBytes, W = L.swizzle ? (16 << L.swizzle) : 16, R = W / elementBytes;
  (void)size;
  int line, inner; // 16-byte line index within the 8-line atom, element position along the
                   // contiguous dimension
  uint32_t base;
  if (!L.mnMajor) {
    line = mn % 8, inner = k % (L.swizzle ? R : T);
    base = mn / 8 * sbo + (L.swizzle ? 0 : k / T * lbo);
  } else {
    line = k % 8, inner = mn % (L.swizzle ? R : T);
    base = L.swizzle ? mn / R * lbo + k / 8 * sbo : mn / T * sbo + k / 8 * lbo;
  }
  int chunk = inner / T;
  if (L.swizzle)
    chunk ^= L.swizzle == 3 ? line : L.swizzle == 2 ? line / 2 : line / 4;
  return base + line * W + chunk * 16 + inner % T * elementBytes;
}

struct WgmmaCase {
  std::string types;
  char elementA, elementB;
  int n;
  Layout a, b;
  bool registersA = false;
  bool saturates = false, accumulates = true;
  int signA = 1, signB = 1;
};
static void PrintTo(const WgmmaCase &c, std::ostream *o) {
  *o << c.types << (c.saturates ? " satfinite" : "") << " n" << c.n << " swizzle " << c.a.swizzle
     << c.b.swizzle << " major " << c.a.mnMajor << c.b.mnMajor
     << (c.registersA ? " A in registers" : "");
}

class WgmmaProducts : public EmulatorTest {
protected:
  WgmmaProducts() : EmulatorTest("sm_90a") {}
  /// One product; `thorough` asks ptxas, and finds every element of A and B.
  void multiply(const WgmmaCase &c, bool thorough);
  void assembleOnce(const std::string &text) {
    if (std::system("ptxas --version >/dev/null 2>&1") != 0)
      return;
    std::string path =
        ::testing::TempDir() + "attnc_emu_wgmma_" + std::to_string(getpid()) + ".ptx";
    std::ofstream(path) << text;
    std::string command = "ptxas -O0 -arch=sm_90a -o /dev/null " + path + " >" + path + ".log 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << "ptxas rejects " << text;
    remove(path.c_str());
    remove((path + ".log").c_str());
  }
};

static uint64_t encodeSmall(char e, int v) {
  switch (e) {
  case 'h':
    return toHalf(float(v));
  case 'b':
    return toBf16(float(v));
  case 't':
    return bits<uint32_t>(float(v));
  case 'e':
    return roundTo(v, fp8e4m3, Round::Nearest);
  case 'E':
    return roundTo(v, fp8e5m2, Round::Nearest);
  default:
    return v & 255;
  }
}

static int bytesOf(char e) { return e == 't' ? 4 : e == 'h' || e == 'b' ? 2 : 1; }

void WgmmaProducts::multiply(const WgmmaCase &c, bool thorough) {
  int bytes = bytesOf(c.elementA), K = 32 / bytes;
  bool integer = c.types[0] == 's', halves = c.types.substr(0, 3) == "f16";
  auto descriptorFields = [&](const Layout &L, int mn, uint32_t &lbo, uint32_t &sbo) {
    int T = 16 / bytes, W = 16 << L.swizzle, R = W / bytes;
    (void)mn;
    if (!L.mnMajor) {
      sbo = L.swizzle ? 8 * W : 128;
      lbo = L.swizzle ? 16 : uint32_t((mn + 7) / 8 * 128);
    } else {
      lbo = L.swizzle ? 8 * W * ((K + 7) / 8) : uint32_t((mn + T - 1) / T * 128);
      sbo = L.swizzle ? 8 * W : 128;
      (void)R;
    }
  };
  uint32_t lboA, sboA, lboB, sboB;
  descriptorFields(c.a, 64, lboA, sboA);
  descriptorFields(c.b, c.n, lboB, sboB);
  std::mt19937 rng(5);
  std::vector<int> A(64 * K), B(c.n * K);
  auto randomize = [&](std::vector<int> &m, char e) {
    for (int &v : m)
      v = e == 's' ? int(rng() % 256) - 128 : e == 'u' ? int(rng() % 256) : int(rng() % 7) - 3;
  };
  randomize(A, c.elementA);
  randomize(B, c.elementB);
  std::vector<char> tileA(32768, 0), tileB(32768, 0);
  auto fill = [&](std::vector<char> &tile, const std::vector<int> &m, const Layout &L, int rows,
                  uint32_t lbo, uint32_t sbo, char element) {
    for (int i = 0; i < rows; ++i)
      for (int k = 0; k < K; ++k) {
        uint64_t e = encodeSmall(element, m[i * K + k]);
        memcpy(&tile[byteOf(L, i, k, rows, bytes, lbo, sbo)], &e, bytes);
      }
  };
  auto descriptor = [&](const Layout &L, uint32_t lbo, uint32_t sbo) {
    uint64_t mode = L.swizzle == 0 ? 0 : 4 - L.swizzle;
    return uint64_t(lbo >> 4) << 16 | uint64_t(sbo >> 4) << 32 | mode << 62;
  };
  int regs = halves ? c.n / 4 : c.n / 2;
  std::string acc;
  for (int i = 0; i < regs; ++i)
    acc += (i ? ",%a" : "{%a") + std::to_string(i);
  acc += "}";
  std::string tail = integer ? "" : ", " + std::to_string(c.signA) + ", " + std::to_string(c.signB);
  if (bytes == 2)
    tail += (c.registersA  ? ""
             : c.a.mnMajor ? ", 1"
                           : ", 0") +
            std::string(c.b.mnMajor ? ", 1" : ", 0");
  /// Accumulator i of every thread before; integers are where they overflow.
  auto initial = [&](int i) {
    return integer ? (i % 2 ? INT32_MAX - i : INT32_MIN + i) : i % 7 - 3;
  };
  std::string text =
      ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 in, .param "
      ".u64 out, .param .u64 da, .param .u64 db, .param .u64 fragments) {\n"
      ".reg .b32 %r<10>;\n.reg .b32 %a<" +
      std::to_string(regs) +
      ">;\n.reg .b64 %rd<12>;\n.reg .pred %p<4>;\n.shared .align 1024 .b8 tiles[65536];\n"
      "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nld.param.u64 %rd2, [da];\nld.param.u64 "
      "%rd3, [db];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, tiles;\n"
      "shl.b32 %r2, %r0, 4;\nC: cvt.u64.u32 %rd4, %r2;\nadd.u64 %rd4, %rd4, %rd0;\nadd.u32 %r3, "
      "%r2, %r1;\nld.global.v4.u32 {%r4,%r5,%r6,%r7}, [%rd4];\n"
      "st.shared.v4.u32 [%r3], {%r4,%r5,%r6,%r7};\nadd.u32 %r2, %r2, 2048;\nsetp.lt.u32 %p0, %r2, "
      "65536;\n@%p0 bra C;\nld.param.u64 %rd7, [fragments];\nmul.wide.u32 %rd8, %r0, 16;\n"
      "add.u64 %rd7, %rd7, %rd8;\nld.global.v4.b32 {%r4,%r5,%r6,%r7}, [%rd7];\n"
      "fence.proxy.async;\nbar.sync 0;\ncvt.u64.u32 %rd5, %r1;\nshr.u64 %rd5, %rd5, 4;\nor.b64 "
      "%rd2, %rd2, %rd5;\nadd.u64 %rd5, %rd5, 2048;\nor.b64 %rd3, %rd3, %rd5;\n";
  for (int i = 0; i < regs; ++i)
    text += "mov.b32 %a" + std::to_string(i) + ", " +
            std::to_string(halves    ? toHalf(float(initial(2 * i))) |
                                           uint32_t(toHalf(float(initial(2 * i + 1)))) << 16
                           : integer ? uint32_t(initial(i))
                                     : bits<uint32_t>(float(initial(i)))) +
            ";\n";
  text += "wgmma.fence.sync.aligned;\nsetp.ne.u32 %p1, 0, " +
          std::string(c.accumulates ? "1" : "0") + ";\nwgmma.mma_async.sync.aligned.m64n" +
          std::to_string(c.n) + "k" + std::to_string(K) + (c.saturates ? ".satfinite." : ".") +
          c.types + " " + acc + (c.registersA ? ", {%r4,%r5,%r6,%r7}" : ", %rd2") + ", %rd3, %p1" +
          tail +
          ";\nwgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\nmul.wide.u32 "
          "%rd6, %r0, " +
          std::to_string(4 * regs) + ";\nadd.u64 %rd1, %rd1, %rd6;\n";
  for (int i = 0; i < regs; ++i)
    text += "st.global.b32 [%rd1+" + std::to_string(4 * i) + "], %a" + std::to_string(i) + ";\n";
  if (thorough)
    assembleOnce(text + "ret;\n}\n");
  auto module = machine.load(text + "ret;\n}\n");
  uint64_t in = reserve<char>(65536), out = reserve<uint32_t>(128 * regs),
           fragments = reserve<uint32_t>(512);
  auto compare = [&](const std::string &what) {
    std::fill(tileA.begin(), tileA.end(), 0);
    std::fill(tileB.begin(), tileB.end(), 0);
    fill(tileA, A, c.a, 64, lboA, sboA, c.elementA);
    fill(tileB, B, c.b, c.n, lboB, sboB, c.elementB);
    // The fragment of A: register q of lane (g, t) holds row g + 8 (q mod 2) of the warp's sixteen,
    // and of k the P elements from P (4 (q / 2) + t).
    std::vector<uint32_t> fragment(512, 0);
    int P = 4 / bytes;
    for (int thread = 0; thread < 128; ++thread)
      for (int q = 0; q < 4; ++q)
        for (int e = 0; e < P; ++e) {
          int row = thread / 32 * 16 + thread % 32 / 4 + 8 * (q % 2),
              k = P * (4 * (q / 2) + thread % 4) + e;
          fragment[4 * thread + q] |= uint32_t(encodeSmall(c.elementA, A[row * K + k]))
                                      << (8 * bytes * e);
        }
    machine.memory().write(in, tileA.data(), 32768);
    machine.memory().write(in + 32768, tileB.data(), 32768);
    machine.memory().write(fragments, fragment.data(), 2048);
    LaunchResult r = run(*module, "k", {{1}, {128}},
                         Params()
                             .add(in)
                             .add(out)
                             .add(descriptor(c.a, lboA, sboA))
                             .add(descriptor(c.b, lboB, sboB))
                             .add(fragments));
    ASSERT_TRUE(r.ok) << r.report;
    auto got = download<uint32_t>(out, 128 * regs);
    for (int thread = 0; thread < 128; ++thread)
      for (int i = 0; i < c.n / 2; ++i) {
        int lane = thread % 32, row = thread / 32 * 16 + lane / 4 + 8 * (i / 2 % 2),
            col = 8 * (i / 4) + 2 * (lane % 4) + i % 2;
        int64_t want = c.accumulates ? initial(i) : 0;
        for (int k = 0; k < K; ++k)
          want += c.signA * A[row * K + k] * c.signB * B[col * K + k];
        if (integer)
          want = c.saturates ? std::clamp<int64_t>(want, INT32_MIN, INT32_MAX)
                             : int32_t(uint32_t(want));
        double value = halves
                           ? double(fromHalf(uint16_t(got[thread * regs + i / 2] >> 16 * (i & 1))))
                       : integer ? double(int32_t(got[thread * regs + i]))
                                 : double(asFloat(got[thread * regs + i]));
        ASSERT_EQ(value, want) << what << ": row " << row << " column " << col;
      }
  };
  compare("random");
  // One k at a time, which gives an outer product. Its factors are the digits of the row of A and
  // of the column of B, from which every element is known by its place.
  for (int k = 0; thorough && k < K && !HasFatalFailure(); ++k)
    for (int digit = 0; 1 << 2 * digit < std::max(64, c.n) && !HasFatalFailure(); ++digit) {
      auto digits = [&](std::vector<int> &m) {
        std::fill(m.begin(), m.end(), 0);
        for (size_t i = size_t(k); i < m.size(); i += size_t(K))
          m[i] = 1 + int(i / size_t(K) >> 2 * digit) % 4;
      };
      digits(A), digits(B);
      compare("only k " + std::to_string(k) + ", digit " + std::to_string(digit));
    }
  for (uint64_t p : {in, out, fragments})
    machine.memory().free(p);
}

class Wgmma : public WgmmaProducts, public ::testing::WithParamInterface<WgmmaCase> {};
TEST_P(Wgmma, MatchesNaiveProduct) { multiply(GetParam(), true); }

/// The types of D, A and B, and how the last two are written in a case.
struct WgmmaTypes {
  std::string name;
  char a, b;
};
static std::vector<WgmmaTypes> allWgmmaTypes() {
  std::vector<WgmmaTypes> v = {{"f32.f16.f16", 'h', 'h'},
                               {"f16.f16.f16", 'h', 'h'},
                               {"f32.bf16.bf16", 'b', 'b'},
                               {"f32.tf32.tf32", 't', 't'}};
  using Names = std::vector<std::pair<std::string, char>>;
  for (auto &[a, letterA] : Names{{"e4m3", 'e'}, {"e5m2", 'E'}})
    for (auto &[b, letterB] : Names{{"e4m3", 'e'}, {"e5m2", 'E'}})
      for (const char *d : {"f32.", "f16."})
        v.push_back({d + a + "." + b, letterA, letterB});
  for (auto &[a, letterA] : Names{{"s8", 's'}, {"u8", 'u'}})
    for (auto &[b, letterB] : Names{{"s8", 's'}, {"u8", 'u'}})
      v.push_back({"s32." + a + "." + b, letterA, letterB});
  return v;
}

/// All types, both majors where they exist, all swizzles, A from shared memory and from registers.
static std::vector<WgmmaCase> allWgmmaCases() {
  std::vector<WgmmaCase> v;
  const int sizes[] = {8, 16, 40, 64, 96, 128, 200, 256};
  int next = 0;
  auto size = [&] { return sizes[next++ % 8]; };
  for (const WgmmaTypes &t : allWgmmaTypes())
    for (int swizzle = 0; swizzle < 4; ++swizzle) {
      if (bytesOf(t.a) != 2) {
        for (bool registers : {false, true}) {
          // Integers come in multiples of 16 above 32 only; sizes that all types have.
          static const int common[] = {8, 16, 24, 32, 64, 96, 128, 256};
          v.push_back({t.name,
                       t.a,
                       t.b,
                       common[next++ % 8],
                       {swizzle, false},
                       {swizzle, false},
                       registers});
        }
        continue;
      }
      for (bool b : {false, true}) {
        for (bool a : {false, true}) {
          // MN-major tiles are whole multiples of the swizzle's width.
          int n = b ? 64 * (1 + next++ % 4) : size();
          v.push_back({t.name, t.a, t.b, n, {swizzle, a}, {swizzle, b}});
        }
        v.push_back({t.name, t.a, t.b, b ? 128 : size(), {0, false}, {swizzle, b}, true});
      }
    }
  return v;
}

INSTANTIATE_TEST_SUITE_P(Everything, Wgmma, ::testing::ValuesIn(allWgmmaCases()));

INSTANTIATE_TEST_SUITE_P(
    Layouts, Wgmma,
    ::testing::Values(WgmmaCase{"f32.bf16.bf16", 'b', 'b', 64, {3, false}, {3, false}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 'b', 128, {2, false}, {1, false}},
                      WgmmaCase{"f32.f16.f16", 'h', 'h', 8, {0, false}, {0, false}},
                      WgmmaCase{"f32.f16.f16", 'h', 'h', 64, {3, true}, {3, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 'b', 128, {3, false}, {3, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 'b', 64, {2, true}, {2, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 'b', 64, {1, true}, {1, true}},
                      WgmmaCase{"f32.bf16.bf16", 'b', 'b', 64, {0, true}, {0, true}},
                      WgmmaCase{"f16.f16.f16", 'h', 'h', 64, {3, false}, {3, true}},
                      WgmmaCase{"f32.tf32.tf32", 't', 't', 32, {3, false}, {3, false}},
                      WgmmaCase{"f32.e4m3.e4m3", 'e', 'e', 64, {3, false}, {3, false}},
                      WgmmaCase{"f32.e5m2.e5m2", 'E', 'E', 64, {2, false}, {2, false}},
                      WgmmaCase{"s32.s8.s8", 's', 's', 64, {3, false}, {3, false}},
                      WgmmaCase{"s32.u8.u8", 'u', 'u', 32, {0, false}, {1, false}}));

/// Every width, major and place of A that a combination of types has. Swizzles, signs and scale-d
/// take turns; MN-major tiles are whole multiples of the swizzle's width.
static std::vector<WgmmaCase> allSizes(const WgmmaTypes &t) {
  std::vector<WgmmaCase> v;
  bool integer = t.name[0] == 's', majors = bytesOf(t.a) == 2;
  int turn = 0;
  for (int n = 8; n <= 256; n += integer && n >= 32 ? 16 : 8)
    for (bool registers : {false, true})
      for (bool a : {false, true})
        for (bool b : {false, true})
          for (bool saturates : {false, true}) {
            if ((a && registers) || ((a || b) && !majors) || (saturates && !integer))
              continue;
            int widest = n % 64 == 0 ? 3 : n % 32 == 0 ? 2 : n % 16 == 0 ? 1 : 0;
            WgmmaCase c{t.name,    t.a,      t.b, n, {turn % 4, a}, {turn / 4 % 4, b},
                        registers, saturates};
            if (b)
              c.b.swizzle = std::min(c.b.swizzle, widest);
            c.accumulates = turn % 5 != 0;
            c.signA = !integer && turn % 3 == 0 ? -1 : 1;
            c.signB = !integer && turn % 7 < 3 ? -1 : 1;
            ++turn;
            v.push_back(c);
          }
  return v;
}

class WgmmaSizes : public WgmmaProducts, public ::testing::WithParamInterface<WgmmaTypes> {};
static void PrintTo(const WgmmaTypes &t, std::ostream *o) { *o << t.name; }

TEST_P(WgmmaSizes, MatchNaiveProduct) {
  for (const WgmmaCase &c : allSizes(GetParam())) {
    multiply(c, false);
    if (HasFatalFailure()) {
      ADD_FAILURE() << ::testing::PrintToString(c);
      return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(All, WgmmaSizes, ::testing::ValuesIn(allWgmmaTypes()));

static std::string wgmmaForm(const std::string &types, int n, int k, bool saturates, bool registers,
                             bool a, bool b) {
  return "m64n" + std::to_string(n) + "k" + std::to_string(k) + (saturates ? ".satfinite." : ".") +
         types + (registers ? " registers" : "") + (a ? " A" : "") + (b ? " B" : "");
}

/// Every width, type, place of A and major is offered to the decoder and to ptxas: the decoder
/// accepts what is tested above, and ptxas the same.
TEST_F(WgmmaProducts, ExactlyTheFormsThatExist) {
  std::set<std::string> tested;
  for (const WgmmaTypes &t : allWgmmaTypes())
    for (const WgmmaCase &c : allSizes(t))
      tested.insert(wgmmaForm(t.name, c.n, 32 / bytesOf(t.a), c.saturates, c.registersA,
                              c.a.mnMajor, c.b.mnMajor));
  const std::string header = ".version 8.6\n.target sm_90a\n.address_size 64\n",
                    open = "() { .reg .b32 %r<140>; .reg .b64 %a<2>; .reg .pred %p0; ";
  std::vector<std::string> names;
  std::vector<bool> accepted;
  std::string all = header;
  const std::vector<std::pair<std::string, int>> types = {
      {"f16", 16}, {"bf16", 16}, {"tf32", 32}, {"s8", 8}, {"u8", 8}, {"e4m3", 8}, {"e5m2", 8}};
  for (int n = 8; n <= 264; n += n == 8 ? 4 : n == 12 ? 4 : 8)
    for (auto &[a, bits] : types)
      for (auto &[b, bitsB] : types)
        for (const char *d : {"f16", "f32", "s32"})
          for (bool saturates : {false, true})
            for (int variant = 0; variant < (bits == 16 ? 6 : 2); ++variant) {
              bool registers = variant % 2, majorB = variant / 2 == 1, majorA = variant / 2 == 2;
              if (variant == 5) // both, where A can be
                registers = false, majorB = true;
              std::string pair = std::string(d) + "." + a + "." + b, list;
              for (int i = 0; i < (pair[0] == 'f' && pair[1] == '1' ? n / 4 : n / 2); ++i)
                list += (i ? ",%r" : "%r") + std::to_string(i);
              std::string tail = pair[0] == 's' ? "" : ", 1, 1";
              if (bits == 16)
                tail += (registers ? ""
                         : majorA  ? ", 1"
                                   : ", 0") +
                        std::string(majorB ? ", 1" : ", 0");
              std::string instruction = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) +
                                        "k" + std::to_string(256 / bits) +
                                        (saturates ? ".satfinite." : ".") + pair + " {" + list +
                                        "}, " + (registers ? "{%r130,%r131,%r132,%r133}" : "%a0") +
                                        ", %a1, %p0" + tail + "; ret; }\n";
              all += ".visible .entry k" + std::to_string(names.size()) + open + instruction;
              names.push_back(wgmmaForm(pair, n, 256 / bits, saturates, registers, majorA, majorB));
              try {
                machine.load(header + ".visible .entry k" + open + instruction);
                accepted.push_back(true);
              } catch (const PtxError &) {
                accepted.push_back(false);
              }
              EXPECT_EQ(accepted.back(), tested.count(names.back()) == 1) << names.back();
            }
  for (const std::string &name : tested)
    EXPECT_TRUE(std::find(names.begin(), names.end(), name) != names.end())
        << name << " is tested, but not in the grid of this test";
  if (std::system("ptxas --version >/dev/null 2>&1") != 0)
    return;
  std::string path = ::testing::TempDir() + "attnc_emu_wgmma_grid_" + std::to_string(getpid());
  std::ofstream(path + ".ptx") << all;
  EXPECT_NE(
      std::system(
          ("ptxas -O0 -arch=sm_90a -o /dev/null " + path + ".ptx >" + path + ".log 2>&1").c_str()),
      0);
  std::set<size_t> refused; // one kernel a line, after three lines of header
  std::ifstream log(path + ".log");
  for (std::string line; std::getline(log, line);)
    if (size_t at = line.find(", line "); at != line.npos && line.find("error") != line.npos)
      refused.insert(std::stoul(line.substr(at + 7)) - 4);
  for (size_t i = 0; i < names.size(); ++i)
    EXPECT_EQ(accepted[i], !refused.count(i)) << names[i] << " and ptxas disagree";
  remove((path + ".ptx").c_str());
  remove((path + ".log").c_str());
}

} // namespace attnc::emu::test

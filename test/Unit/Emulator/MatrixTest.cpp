// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Fragment layouts. Matrices of distinct small integers are scattered to lanes by the formulas of
// the PTX manual, written out per shape here (the emulator uses one general rule), multiplied, and
// the result gathered and compared with a naive product. Integers make every type exact, so a
// single misplaced element shows.
#include "FormGrid.h"
#include "Oracle.h"

#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <unistd.h>

namespace attnc::emu::test {

struct Shape {
  std::string types; ///< "f32.bf16.bf16.f32"
  int k;
  char a, b;        ///< h f16, b bf16, t tf32, s/u s8/u8, 4/U s4/u4, e/E e4m3/e5m2
  char accumulator; ///< f f32, h f16, i s32
  const char *target;
  const char *version;
  std::string flags = ""; ///< ".satfinite", ".kind::f8f6f4"

  std::string modifiers() const {
    return "m16n8k" + std::to_string(k) + ".row.col" + flags + "." + types;
  }
};

static void PrintTo(const Shape &s, std::ostream *o) { *o << s.modifiers(); }

/// Encoding of small integers in each element type.
static uint64_t encode(char e, int v) {
  switch (e) {
  case 'h':
    return roundTo(v, half, Round::Nearest);
  case 'b':
    return roundTo(v, bfloat, Round::Nearest);
  case 't':
    return bits<uint32_t>(float(v)) | 0x5a5; // the low bits must be ignored
  case 'e':
    return roundTo(v, fp8e4m3, Round::Nearest);
  case 'E':
    return roundTo(v, fp8e5m2, Round::Nearest);
  case '4':
  case 'U':
    return v & 15;
  default:
    return v & 255;
  }
}
static int widthOf(char e) {
  return e == 't' ? 32 : e == 'h' || e == 'b' ? 16 : e == '4' || e == 'U' ? 4 : 8;
}
/// Least and largest random element: all of an integer type, and floats whose sums are exact.
static std::pair<int, int> rangeOf(char e) {
  switch (e) {
  case 's':
    return {-128, 127};
  case 'u':
    return {0, 255};
  case '4':
    return {-8, 7};
  case 'U':
    return {0, 15};
  default:
    return {-4, 4};
  }
}

/// Row and column of element i of lane (g, t), per shape, as the manual's tables say.
static std::pair<int, int> placeA(int width, int k, int i, int g, int t) {
  if (width == 16 && k == 16)
    return {(i < 2 || (i >= 4 && i < 6)) ? g : g + 8, 2 * t + (i & 1) + (i >= 4 ? 8 : 0)};
  if (width == 16)
    return {i < 2 ? g : g + 8, 2 * t + (i & 1)};
  if (width == 32 && k == 8)
    return {i == 0 || i == 2 ? g : g + 8, i < 2 ? t : t + 4};
  if (width == 32)
    return {i == 0 ? g : g + 8, t};
  if (width == 8 && k == 32)
    return {i < 4 || (i >= 8 && i < 12) ? g : g + 8, 4 * t + (i & 3) + (i >= 8 ? 16 : 0)};
  if (width == 8)
    return {i < 4 ? g : g + 8, 4 * t + (i & 3)};
  if (k == 64)
    return {i < 8 || (i >= 16 && i < 24) ? g : g + 8, 8 * t + (i & 7) + (i >= 16 ? 32 : 0)};
  return {i < 8 ? g : g + 8, 8 * t + (i & 7)};
}
static std::pair<int, int> placeB(int width, int k, int i, int g, int t) {
  if (width == 16)
    return {2 * t + (i & 1) + (k == 16 && i >= 2 ? 8 : 0), g};
  if (width == 32)
    return {k == 8 && i == 1 ? t + 4 : t, g};
  if (width == 8)
    return {4 * t + (i & 3) + (k == 32 && i >= 4 ? 16 : 0), g};
  return {8 * t + (i & 7) + (k == 64 && i >= 8 ? 32 : 0), g};
}

class Mma : public EmulatorTest, public ::testing::WithParamInterface<Shape> {
protected:
  Mma() : EmulatorTest(GetParam().target) {}
};

static std::string registerList(const char *prefix, int first, int count) {
  std::string s = "{";
  for (int i = 0; i < count; ++i)
    s += (i ? "," : "") + std::string(prefix) + std::to_string(first + i);
  return s + "}";
}

TEST_P(Mma, MatchesNaiveProduct) {
  Shape s = GetParam();
  int width = widthOf(s.a), perWord = 32 / width, wordsA = 16 * s.k / 32 / perWord,
      wordsB = wordsA / 2;
  int wordsC = s.accumulator == 'h' ? 2 : 4, total = wordsA + wordsB + wordsC;
  std::string text = std::string(".version ") + s.version + "\n.target " + s.target +
                     "\n.address_size 64\n.visible .entry k(.param .u64 in, .param .u64 out) {\n"
                     ".reg .b32 %r<40>;\n.reg .b64 %rd<4>;\nld.param.u64 %rd0, [in];\nld.param.u64 "
                     "%rd1, [out];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 64;\n"
                     "add.u64 %rd0, %rd0, %rd2;\nadd.u64 %rd1, %rd1, %rd2;\n";
  for (int i = 0; i < total; ++i)
    text +=
        "ld.global.b32 %r" + std::to_string(4 + i) + ", [%rd0+" + std::to_string(4 * i) + "];\n";
  text += "mma.sync.aligned." + s.modifiers() + " " + registerList("%r", 30, wordsC) + ", " +
          registerList("%r", 4, wordsA) + ", " + registerList("%r", 4 + wordsA, wordsB) + ", " +
          registerList("%r", 4 + wordsA + wordsB, wordsC) + ";\n";
  for (int i = 0; i < wordsC; ++i)
    text +=
        "st.global.b32 [%rd1+" + std::to_string(4 * i) + "], %r" + std::to_string(30 + i) + ";\n";
  text += "ret;\n}\n";
  if (std::system("ptxas --version >/dev/null 2>&1") == 0) {
    std::string path = ::testing::TempDir() + "attnc_emu_mma_" + std::to_string(getpid()) + ".ptx";
    std::ofstream(path) << text;
    EXPECT_EQ(
        std::system(("ptxas -O0 -arch=" + std::string(s.target) + " -o /dev/null " + path + " 2>&1")
                        .c_str()),
        0);
    remove(path.c_str());
  }
  auto module = machine.load(text);
  std::mt19937 rng(s.k);
  std::vector<int> A(16 * s.k), B(s.k * 8), C(128);
  auto randomize = [&](std::vector<int> &m, std::pair<int, int> range) {
    for (int &v : m)
      v = range.first + int(rng() % unsigned(range.second - range.first + 1));
  };
  randomize(A, rangeOf(s.a));
  randomize(B, rangeOf(s.b));
  randomize(C, {-100, 99});
  uint64_t din = reserve<uint32_t>(32 * 16), dout = reserve<uint32_t>(32 * 16);
  auto compare = [&](const std::string &what) {
    std::vector<uint32_t> in(32 * 16, 0);
    for (int lane = 0; lane < 32; ++lane) {
      int g = lane / 4, t = lane % 4;
      uint32_t *w = &in[16 * lane];
      for (int i = 0; i < wordsA * perWord; ++i) {
        auto [row, col] = placeA(width, s.k, i, g, t);
        w[i / perWord] |= uint32_t(encode(s.a, A[row * s.k + col])) << (width * (i % perWord));
      }
      for (int i = 0; i < wordsB * perWord; ++i) {
        auto [row, col] = placeB(width, s.k, i, g, t);
        w[wordsA + i / perWord] |= uint32_t(encode(s.b, B[row * 8 + col]))
                                   << (width * (i % perWord));
      }
      for (int i = 0; i < 4; ++i) {
        int v = C[(g + 8 * (i >= 2)) * 8 + 2 * t + (i & 1)];
        uint32_t *c = w + wordsA + wordsB;
        if (s.accumulator == 'h')
          c[i / 2] |= uint32_t(roundTo(v, half, Round::Nearest)) << 16 * (i & 1);
        else
          c[i] = s.accumulator == 'f' ? bits<uint32_t>(float(v)) : uint32_t(v);
      }
    }
    ASSERT_TRUE(machine.memory().write(din, in.data(), 4 * in.size()));
    LaunchResult r = run(*module, "k", {{1}, {32}}, Params().add(din).add(dout));
    ASSERT_TRUE(r.ok) << r.report;
    for (int lane = 0; lane < 32; ++lane) {
      auto part = download<uint32_t>(dout + 64 * lane, wordsC);
      for (int i = 0; i < 4; ++i) {
        int row = lane / 4 + 8 * (i >= 2), col = 2 * (lane % 4) + (i & 1);
        int64_t want = C[row * 8 + col];
        for (int k = 0; k < s.k; ++k)
          want += A[row * s.k + k] * B[k * 8 + col];
        if (s.accumulator == 'i') // what does not fit is clamped, or wraps
          want = s.flags == ".satfinite" ? std::clamp<int64_t>(want, INT32_MIN, INT32_MAX)
                                         : int32_t(uint32_t(want));
        double got = s.accumulator == 'h'
                         ? double(valueOf(part[i / 2] >> 16 * (i & 1) & 0xffff, half).signedValue())
                     : s.accumulator == 'f' ? double(asFloat(part[i]))
                                            : double(int32_t(part[i]));
        ASSERT_EQ(got, want) << what << ": row " << row << " column " << col;
      }
    }
  };
  compare("random");
  if (s.accumulator == 'i') {
    for (size_t i = 0; i < C.size(); ++i)
      C[i] = i % 2 ? INT32_MAX - int(rng() % 50) : INT32_MIN + int(rng() % 50);
    compare("overflow");
  }
  // A single one in C, and nothing to add.
  std::fill(A.begin(), A.end(), 0);
  std::fill(B.begin(), B.end(), 0);
  for (size_t i = 0; i < C.size() && !HasFatalFailure(); ++i) {
    std::fill(C.begin(), C.end(), 0);
    C[i] = 1;
    compare("one in C at " + std::to_string(i));
  }
  // One one in A and one in B: every place of A, and with them every place of B and of the result.
  std::fill(C.begin(), C.end(), 0);
  for (int i = 0; i < 16 && !HasFatalFailure(); ++i)
    for (int k = 0; k < s.k && !HasFatalFailure(); ++k) {
      int j = (i + k + k / 8) % 8;
      std::fill(A.begin(), A.end(), 0);
      std::fill(B.begin(), B.end(), 0);
      A[i * s.k + k] = B[k * 8 + j] = 1;
      compare("A[" + std::to_string(i) + "][" + std::to_string(k) + "], B column " +
              std::to_string(j));
    }
}

/// Every shape and combination of types that the emulator has.
static std::vector<Shape> allShapes() {
  std::vector<Shape> v;
  auto both = [&](const char *types, int k, char e, char accumulator) {
    v.push_back({types, k, e, e, accumulator, "sm_80", "8.0"});
    v.push_back({types, k / 2, e, e, accumulator, "sm_80", "8.0"});
  };
  both("f32.f16.f16.f32", 16, 'h', 'f');
  both("f16.f16.f16.f16", 16, 'h', 'h');
  both("f32.bf16.bf16.f32", 16, 'b', 'f');
  both("f32.tf32.tf32.f32", 8, 't', 'f');
  using Names = std::vector<std::pair<const char *, char>>;
  for (const Names &names : {Names{{"s8", 's'}, {"u8", 'u'}}, Names{{"s4", '4'}, {"u4", 'U'}}})
    for (auto &[a, letterA] : names)
      for (auto &[b, letterB] : names)
        for (int half : {1, 2})
          for (const char *flag : {"", ".satfinite"})
            v.push_back({std::string("s32.") + a + "." + b + ".s32",
                         (letterA == 's' || letterA == 'u' ? 32 : 64) / half, letterA, letterB, 'i',
                         "sm_80", "8.0", flag});
  const Names fp8 = {{"e4m3", 'e'}, {"e5m2", 'E'}};
  for (auto &[a, letterA] : fp8)
    for (auto &[b, letterB] : fp8)
      for (int k : {16, 32})
        for (auto [d, accumulator] : {std::pair{"f32", 'f'}, std::pair{"f16", 'h'}})
          for (bool kind : {false, true})
            v.push_back({std::string(d) + "." + a + "." + b + "." + d, k, letterA, letterB,
                         accumulator, kind ? "sm_120a" : "sm_89", "8.7",
                         kind ? ".kind::f8f6f4" : ""});
  return v;
}
INSTANTIATE_TEST_SUITE_P(All, Mma, ::testing::ValuesIn(allShapes()));

/// Probes of the decoder: an instruction that is accepted must be among those tested, and real.
class Coverage : public EmulatorTest {
protected:
  Coverage() : EmulatorTest("sm_120a") {}
  const std::string header = ".version 8.7\n.target sm_120a\n.address_size 64\n";
  const std::string declarations = ".reg .b32 %r<40>; .reg .b64 %a;";

  bool accepts(const std::string &instruction) {
    try {
      machine.load(header + ".visible .entry k() { " + declarations + " " + instruction +
                   " ret; }\n");
      return true;
    } catch (const PtxError &) {
      return false;
    }
  }
  /// `tested` are opcodes with modifiers; each must be accepted, and no other of `grid`. ptxas must
  /// know no more than those and the ones of which `notYet` is true.
  void expectExactly(const std::vector<std::string> &grid, const std::set<std::string> &tested,
                     const std::function<bool(const std::string &)> &notYet) {
    std::set<std::string> found;
    std::vector<bool> real = assembled(header, declarations, "sm_120a", grid);
    for (size_t i = 0; i < grid.size(); ++i) {
      std::string name = grid[i].substr(0, grid[i].find(' '));
      if (!accepts(grid[i])) {
        EXPECT_TRUE(real.empty() || !real[i] || notYet(name)) << name << " exists, but is refused";
        continue;
      }
      found.insert(name);
      EXPECT_TRUE(tested.count(name)) << name << " is accepted, but has no test";
      EXPECT_TRUE(real.empty() || real[i]) << name << " is accepted, but ptxas refuses it";
    }
    for (const std::string &name : tested)
      EXPECT_TRUE(found.count(name)) << name << " is tested, but not in the grid of this test";
  }
};

TEST_F(Coverage, EveryMmaHasACase) {
  std::set<std::string> tested;
  for (const Shape &s : allShapes())
    tested.insert("mma.sync.aligned." + s.modifiers());
  const std::vector<std::pair<std::string, int>> types = {
      {"f16", 16}, {"bf16", 16}, {"tf32", 32}, {"s8", 8},   {"u8", 8},  {"s4", 4},
      {"u4", 4},   {"e4m3", 8},  {"e5m2", 8},  {"f64", 64}, {"b16", 16}};
  std::vector<std::string> grid;
  for (const char *mn : {"m16n8", "m8n8", "m16n16"})
    for (int k : {4, 8, 16, 32, 64, 128})
      for (auto &[a, bits] : types)
        for (auto &[b, bitsB] : types)
          for (const char *d : {"f16", "f32", "s32", "f64"})
            for (const char *c : {"f16", "f32", "s32", "f64"})
              for (const char *flag : {"", ".satfinite", ".kind::f8f6f4"}) {
                int halves = k * bits / 128;
                if (halves < 1 || halves > 4)
                  continue;
                auto accumulator = [](const char *t) { return std::string(t) == "f16" ? 2 : 4; };
                grid.push_back("mma.sync.aligned." + std::string(mn) + "k" + std::to_string(k) +
                               ".row.col" + flag + "." + d + "." + a + "." + b + "." + c + " " +
                               registerList("%r", 30, accumulator(d)) + ", " +
                               registerList("%r", 0, 2 * halves) + ", " +
                               registerList("%r", 10, halves) + ", " +
                               registerList("%r", 20, accumulator(c)) + ";");
              }
  // ptxas knows a shape of tf32 that the manual does not have.
  expectExactly(grid, tested, [](const std::string &name) {
    return name == "mma.sync.aligned.m16n8k16.row.col.f32.tf32.tf32.f32";
  });
}

static const char *const matrixSpaces[] = {".shared", ".shared::cta", ""};
/// The modifiers of the cases of LdmatrixAndStmatrix.
static std::string matrixForm(int count, bool trans, const char *space) {
  return ".sync.aligned.m8n8.x" + std::to_string(count) + (trans ? ".trans" : "") + space + ".b16";
}

TEST_F(Coverage, EveryMatrixMoveHasACase) {
  std::set<std::string> tested;
  for (const char *opcode : {"ldmatrix", "stmatrix"})
    for (int count : {1, 2, 4})
      for (bool trans : {false, true})
        for (const char *space : matrixSpaces)
          tested.insert(opcode + matrixForm(count, trans, space));
  std::vector<std::string> grid;
  for (std::string opcode : {"ldmatrix", "stmatrix"})
    for (const char *aligned : {".sync.aligned", ".sync", ""})
      for (const char *shape : {".m8n8", ".m16n16", ".m8n16", ".m16n8"})
        for (int count : {1, 2, 4})
          for (const char *trans : {"", ".trans"})
            for (const char *space :
                 {".shared", ".shared::cta", ".shared::cluster", ".global", ".local", ""})
              for (const char *type :
                   {".b8", ".b16", ".b32", ".b8x16.b6x16_p32", ".b8x16.b4x16_p64"}) {
                std::string list = registerList("%r", 0, count);
                grid.push_back(opcode + aligned + shape + ".x" + std::to_string(count) + trans +
                               space + type + " " +
                               (opcode == "ldmatrix" ? list + ", [%a];" : "[%a], " + list + ";"));
              }
  // Eight bits and less, of sm_100 and sm_120.
  expectExactly(grid, tested,
                [](const std::string &name) { return name.find(".b8") != name.npos; });
}

class MatrixMove : public EmulatorTest {
protected:
  MatrixMove() : EmulatorTest("sm_90") {}
};

/// ldmatrix of a 32 x 8 tile of distinct values, four matrices stacked; each lane stores what it
/// got.
TEST_F(MatrixMove, LdmatrixAndStmatrix) {
  for (int variant = 0; variant < 2 * 3 * 3; ++variant) {
    const bool trans = variant % 2;
    const int count = 1 << variant / 2 % 3;
    const char *space = matrixSpaces[variant / 6];
    std::string list = registerList("%r", 10, count), form = matrixForm(count, trans, space),
                from = *space ? "%r5" : "%rd4", to = *space ? "%r6" : "%rd5";
    auto module =
        machine.load(".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param "
                     ".u64 in, .param .u64 out) {\n"
                     ".reg .b32 %r<20>;\n.reg .b64 %rd<8>;\n.shared .align 16 .b8 "
                     "a[512];\n.shared .align 16 .b8 b[512];\n"
                     "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, "
                     "%tid.x;\nmul.wide.u32 %rd2, %r0, 16;\n"
                     "add.u64 %rd0, %rd0, %rd2;\nadd.u64 %rd3, %rd1, %rd2;\nld.global.v4.u32 "
                     "{%r1,%r2,%r3,%r4}, [%rd0];\n"
                     "mov.u32 %r5, a;\nmov.u32 %r6, b;\nshl.b32 %r7, %r0, 4;\nadd.u32 %r5, %r5, "
                     "%r7;\nadd.u32 %r6, %r6, %r7;\n"
                     "st.shared.v4.u32 [%r5], {%r1,%r2,%r3,%r4};\nbar.sync 0;\n"
                     "mov.u32 %r10, 0;\nmov.u32 %r11, 0;\nmov.u32 %r12, 0;\nmov.u32 %r13, 0;\n"
                     "cvt.u64.u32 %rd4, %r5;\ncvta.shared.u64 %rd4, %rd4;\n"
                     "cvt.u64.u32 %rd5, %r6;\ncvta.shared.u64 %rd5, %rd5;\nldmatrix" +
                     form + " " + list + ", [" + from +
                     "];\n"
                     "st.global.v4.u32 [%rd3], {%r10,%r11,%r12,%r13};\n"
                     "st.shared.v4.u32 [%r6], {%r1,%r1,%r1,%r1};\nbar.sync 0;\n"
                     "stmatrix" +
                     form + " [" + to + "], " + list +
                     ";\nbar.sync 0;\n"
                     "ld.shared.v4.u32 {%r1,%r2,%r3,%r4}, [%r6];\nst.global.v4.u32 [%rd3+512], "
                     "{%r1,%r2,%r3,%r4};\nret;\n}\n");
    std::vector<uint16_t> in(256);
    for (int i = 0; i < 256; ++i)
      in[i] = uint16_t(1000 + i);
    uint64_t din = upload(in), dout = reserve<uint16_t>(512);
    LaunchResult r = run(*module, "k", {{1}, {32}}, Params().add(din).add(dout));
    ASSERT_TRUE(r.ok) << r.report;
    auto got = download<uint16_t>(dout, 512);
    for (int lane = 0; lane < 32; ++lane)
      for (int m = 0; m < count; ++m)
        for (int e = 0; e < 2; ++e) {
          int row = trans ? 2 * (lane % 4) + e : lane / 4,
              col = trans ? lane / 4 : 2 * (lane % 4) + e;
          ASSERT_EQ(got[8 * lane + 2 * m + e], in[64 * m + 8 * row + col])
              << form << " lane " << lane << " matrix " << m;
        }
    for (int i = 0; i < 64 * count; ++i) // the way back restores the tile
      ASSERT_EQ(got[256 + i], in[i]) << form << " " << i;
  }
}

TEST_F(MatrixMove, MovmatrixTransposes) {
  auto module = machine.load(
      ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out) {\n.reg "
      ".b32 %r<8>;\n.reg .b64 %rd<4>;\n"
      "ld.param.u64 %rd0, [out];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %rd1, %r0, 4;\nadd.u64 %rd0, "
      "%rd0, %rd1;\n"
      "shl.b32 %r1, %r0, 1;\nadd.u32 %r2, %r1, 1;\nshl.b32 %r2, %r2, 16;\nor.b32 %r1, %r1, %r2;\n"
      "movmatrix.sync.aligned.m8n8.trans.b16 %r3, %r1;\nst.global.u32 [%rd0], %r3;\nret;\n}\n");
  uint64_t out = reserve<uint16_t>(64);
  ASSERT_TRUE(run(*module, "k", {{1}, {32}}, Params().add(out)).ok);
  auto got = download<uint16_t>(out, 64);
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j)
      EXPECT_EQ(got[8 * i + j], 8 * j + i);
}

class WarpExchange : public EmulatorTest {
protected:
  /// Every lane runs `body` (in: %r0 lane, %r1 its input; out: %r2) on the given inputs.
  std::vector<uint32_t> exchange(const std::string &body, const std::vector<uint32_t> &in) {
    auto module = machine.load(".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry "
                               "k(.param .u64 in, .param .u64 out) {\n.reg .b32 %r<8>;\n"
                               ".reg .pred %p<4>;\n.reg .b64 %rd<4>;\nld.param.u64 %rd0, "
                               "[in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\n"
                               "mul.wide.u32 %rd2, %r0, 4;\nadd.u64 %rd0, %rd0, %rd2;\nadd.u64 "
                               "%rd1, %rd1, %rd2;\nld.global.u32 %r1, [%rd0];\n" +
                               body + "\nst.global.u32 [%rd1], %r2;\nret;\n}\n");
    uint64_t din = upload(in), dout = reserve<uint32_t>(32);
    LaunchResult r = run(*module, "k", {{1}, {32}}, Params().add(din).add(dout));
    EXPECT_TRUE(r.ok) << body << r.report;
    return download<uint32_t>(dout, 32);
  }
};

TEST_F(WarpExchange, ShufflesVotesAndReductions) {
  std::vector<uint32_t> in(32);
  std::mt19937 rng(3);
  for (auto &v : in)
    v = rng();
  auto expect = [&](const std::string &body, std::function<uint32_t(int)> f) {
    auto got = exchange(body, in);
    for (int l = 0; l < 32; ++l)
      ASSERT_EQ(got[l], f(l)) << body << " lane " << l;
  };
  expect("shfl.sync.up.b32 %r2, %r1, 3, 0, -1;", [&](int l) { return in[l >= 3 ? l - 3 : l]; });
  expect("shfl.sync.down.b32 %r2, %r1, 3, 31, -1;",
         [&](int l) { return in[l + 3 <= 31 ? l + 3 : l]; });
  expect("shfl.sync.bfly.b32 %r2, %r1, 5, 31, -1;", [&](int l) { return in[l ^ 5]; });
  expect("shfl.sync.idx.b32 %r2, %r1, 9, 31, -1;", [&](int) { return in[9]; });
  // Segments of eight lanes: segmask 0b11000, clamp 31 for down, 0 for up.
  expect("shfl.sync.down.b32 %r2, %r1, 2, 0x181f, -1;",
         [&](int l) { return in[(l & 7) + 2 < 8 ? l + 2 : l]; });
  expect("shfl.sync.up.b32 %r2, %r1, 2, 0x1800, -1;",
         [&](int l) { return in[(l & 7) >= 2 ? l - 2 : l]; });
  expect("shfl.sync.idx.b32 %r2, %r1, 1, 0x181f, -1;", [&](int l) { return in[(l & 24) + 1]; });
  expect("shfl.sync.down.b32 %r2|%p1, %r1, 4, 31, -1; selp.b32 %r2, 1, 0, %p1;",
         [&](int l) { return l + 4 <= 31; });
  expect("setp.gt.s32 %p1, %r1, 0; vote.sync.ballot.b32 %r2, %p1, -1;", [&](int) {
    uint32_t m = 0;
    for (int i = 0; i < 32; ++i)
      m |= uint32_t(int32_t(in[i]) > 0) << i;
    return m;
  });
  expect("setp.ge.u32 %p1, %r0, 0; vote.sync.all.pred %p2, %p1, -1; selp.b32 %r2, 1, 0, %p2;",
         [](int) { return 1u; });
  expect("setp.eq.u32 %p1, %r0, 7; vote.sync.any.pred %p2, %p1, -1; selp.b32 %r2, 1, 0, %p2;",
         [](int) { return 1u; });
  expect("setp.eq.u32 %p1, %r0, 7; vote.sync.uni.pred %p2, %p1, -1; selp.b32 %r2, 1, 0, %p2;",
         [](int) { return 0u; });
  expect("shr.u32 %r3, %r0, 3; match.any.sync.b32 %r2, %r3, -1;",
         [](int l) { return 0xffu << (l & 24); });
  auto fold = [&](std::function<uint32_t(uint32_t, uint32_t)> f) {
    uint32_t x = in[0];
    for (int i = 1; i < 32; ++i)
      x = f(x, in[i]);
    return x;
  };
  expect("redux.sync.add.u32 %r2, %r1, -1;",
         [&](int) { return fold([](uint32_t a, uint32_t b) { return a + b; }); });
  expect("redux.sync.min.s32 %r2, %r1, -1;", [&](int) {
    return fold([](uint32_t a, uint32_t b) { return uint32_t(std::min(int32_t(a), int32_t(b))); });
  });
  expect("redux.sync.max.u32 %r2, %r1, -1;",
         [&](int) { return fold([](uint32_t a, uint32_t b) { return std::max(a, b); }); });
  expect("redux.sync.xor.b32 %r2, %r1, -1;",
         [&](int) { return fold([](uint32_t a, uint32_t b) { return a ^ b; }); });
}

class MmaPair : public EmulatorTest {
protected:
  MmaPair() : EmulatorTest("sm_80") {}
  /// Two products; `between` keeps them from being fused when it is an instruction.
  std::vector<uint32_t> execute(const char *type, const char *second, const char *between) {
    std::string op =
        std::string("mma.sync.aligned.m16n8k16.row.col.f32.") + type + "." + type + ".f32 ";
    std::string ptx = ".version 8.0\n.target sm_80\n.address_size 64\n"
                      ".visible .entry k(.param .u64 in, .param .u64 out) {\n"
                      ".reg .b32 %r<40>;\n.reg .b64 %rd<8>;\n"
                      "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\n"
                      "mov.u32 %r0, %tid.x;\nmul.wide.u32 %rd2, %r0, 64;\n"
                      "add.u64 %rd0, %rd0, %rd2;\nadd.u64 %rd1, %rd1, %rd2;\n";
    for (int i = 0; i < 16; ++i)
      ptx +=
          "ld.global.u32 %r" + std::to_string(1 + i) + ", [%rd0+" + std::to_string(4 * i) + "];\n";
    ptx += "mov.u32 %r30, 0;\n" + op +
           "{%r17,%r18,%r19,%r20}, {%r1,%r2,%r3,%r4}, {%r5,%r6}, {%r9,%r10,%r11,%r12};\n" +
           between + op + second + ";\n";
    for (int i = 0; i < 16; ++i)
      ptx += "st.global.u32 [%rd1+" + std::to_string(4 * i) + "], %r" +
             std::to_string(i < 4 ? 17 + i : 17 + i % 8) + ";\n";
    ptx += "ret;\n}\n";
    std::vector<uint32_t> words(32 * 16);
    std::mt19937 rng(3);
    for (size_t i = 0; i < words.size(); ++i) // halves and singles of moderate size, and one NaN
      words[i] = i == 37 ? 0x7e007fc0u : (rng() & 0x83ff83ffu) | 0x38003c00u;
    uint64_t in = upload(words), out = reserve<uint32_t>(words.size());
    auto module = machine.load(ptx);
    LaunchResult r = run(*module, "k", {{1}, {32}}, Params().add(in).add(out));
    EXPECT_TRUE(r.ok) << r.report;
    EXPECT_EQ(r.counters.tensorFlops, 2u * 2 * 16 * 8 * 16);
    return download<uint32_t>(out, words.size());
  }
};

// Neighbours with the same A are executed together (Fuse.cpp) unless the second needs what the
// first gives; either way the result is that of one after the other.
TEST_F(MmaPair, EqualsOneAfterTheOther) {
  const char *seconds[] = {
      "{%r21,%r22,%r23,%r24}, {%r1,%r2,%r3,%r4}, {%r7,%r8}, {%r13,%r14,%r15,%r16}",
      "{%r21,%r22,%r23,%r24}, {%r1,%r2,%r3,%r4}, {%r7,%r8}, {%r17,%r18,%r19,%r20}",  // C is D
      "{%r21,%r22,%r23,%r24}, {%r1,%r2,%r3,%r4}, {%r17,%r8}, {%r13,%r14,%r15,%r16}", // B is D
      "{%r21,%r22,%r23,%r24}, {%r1,%r2,%r17,%r4}, {%r7,%r8}, {%r13,%r14,%r15,%r16}", // another A
  };
  for (const char *type : {"f16", "bf16"})
    for (const char *second : seconds)
      EXPECT_EQ(execute(type, second, ""), execute(type, second, "add.u32 %r30, %r30, 1;\n"))
          << type << " " << second;
}

} // namespace attnc::emu::test

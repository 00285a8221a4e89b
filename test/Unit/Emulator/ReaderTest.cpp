// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The PTX reader and the decoder's refusals: syntax that real compilers print must be read, and
// everything unknown must be an error with line, column and the offending text.
#include "EmulatorTest.h"

#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <unistd.h>

namespace attnc::emu::test {

static std::string wrap(const std::string &body) {
  return ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k() {\n.reg .b32 "
         "%r<10>;\n.reg .b64 %rd<10>;\n"
         ".reg .b16 %h<4>;\n.reg .f32 %f<10>;\n.reg .pred %p<4>;\n" +
         body + "\nret;\n}\n";
}

class Reader : public EmulatorTest {
protected:
  void rejects(const std::string &text, const std::string &position, const std::string &message) {
    try {
      machine.load(text);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const PtxError &e) {
      EXPECT_EQ(std::string(e.what()).substr(0, position.size() + 1), position + ":") << e.what();
      EXPECT_NE(std::string(e.what()).find(message), std::string::npos) << e.what();
    }
  }
  void rejectsBody(const std::string &body, const std::string &message,
                   const std::string &position = "10:1") {
    rejects(wrap(body), position, message);
  }
};

// ptxas refuses these, and so does a driver.
TEST_F(Reader, TooManyParametersAreErrors) {
  auto kernel = [](const std::string &version, unsigned bytes) {
    return ".version " + version +
           "\n.target sm_80\n.address_size 64\n.visible .entry k(.param .b8 p[" +
           std::to_string(bytes) + "]) {\nret;\n}\n";
  };
  machine.load(kernel("8.0", 4352));
  machine.load(kernel("8.1", 32764));
  rejects(kernel("8.0", 4353), "4:17",
          "has 4353 bytes of parameters, more than the 4352 of PTX 8.0");
  rejects(kernel("8.1", 32765), "4:17",
          "has 32765 bytes of parameters, more than the 32764 of PTX 8.1");
}

// Found by libFuzzer: nesting without limit used up the stack.
TEST_F(Reader, DeeplyNestedOperandsAreErrors) {
  for (const char *open : {"{", "["})
    try {
      std::string deep;
      for (int i = 0; i < 100000; ++i)
        deep += open;
      machine.load(wrap("mov.u32 %r0, " + deep + ";"));
      ADD_FAILURE() << "accepted";
    } catch (const PtxError &e) {
      EXPECT_NE(std::string(e.what()).find("nested too deeply"), std::string::npos) << e.what();
    }
}

TEST_F(Reader, UnknownThingsAreErrors) {
  rejectsBody("frob.b32 %r1, %r2;", "unsupported instruction 'frob'\n  in: frob.b32 %r1, %r2");
  rejectsBody("add.fancy.s32 %r1, %r2, %r3;", "unsupported modifier '.fancy' on 'add'");
  rejectsBody("add.s32 %r1, %r2;", "expects 3 operands, found 2");
  rejectsBody("add.s32 %r1, %r2, %nope;",
              "undeclared register or unsupported special register '%nope'", "10:19");
  rejectsBody("mov.u32 %r1, %envreg3;", "'%envreg3'", "10:14");
  rejectsBody("bra NOWHERE;", "undefined label 'NOWHERE'", "10:5");
  rejectsBody("add.s64 %rd1, %r2, %rd3;",
              "operand '%r2' is a .b32 register, but the instruction needs 64 bits");
  rejectsBody("add.s32 %rd1, %r2, %r3;", "destination '%rd1'");
  rejectsBody("add.rz.s32 %r1, %r2, %r3;", "unsupported modifier '.rz'");
  rejectsBody("add.sat.u32 %r1, %r2, %r3;", "not supported");
  rejectsBody("fma.f32 %f1, %f2, %f3, %f1;", "rounding");
  rejectsBody("ld.global.u32 %r1, [%r2];", "global and generic addresses need 64 bits");
  rejectsBody("cp.async.cg.shared.global [%r1], [%rd1], 8;", "cp.async.cg copies 16 bytes");
  rejectsBody("mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%r1}, {%r1}, {%r1}, {%r1};",
              "unsupported shape or types of mma");
  rejectsBody("@%r1 bra L; L:", "'%r1' is not a predicate register", "10:2");
  rejectsBody("mov.f32 %f1, 0f12;", "expected 8 hexadecimal digits", "10:14");
  rejectsBody("wmma.load.a.sync;", "unsupported instruction 'wmma'");
}

/// Whether ptxas reads a module; no value where it is not installed.
static std::optional<bool> ptxasReads(const std::string &ptx) {
  if (std::system("ptxas --version >/dev/null 2>&1") != 0)
    return {};
  std::string path = ::testing::TempDir() + "attnc_emu_literal_" + std::to_string(getpid());
  std::ofstream(path) << ptx;
  bool reads =
      std::system(("ptxas -O0 -arch=sm_80 -o /dev/null " + path + " >/dev/null 2>&1").c_str()) == 0;
  remove(path.c_str());
  return reads;
}

/// Literals of PTX and their values; nothing where ptxas and the emulator refuse one.
template <class T> using Literals = std::map<std::string, std::optional<T>>;

// Compilers print none of the odd ones, but people who write inline assembly do: a `20.` kept every
// kernel of flash-linear-attention with gates from being loaded.
TEST_F(Reader, NumbersAreThoseThatPtxasReads) {
  auto check = [&](const char *type, const auto &literals) {
    using T = typename std::decay_t<decltype(literals.begin()->second)>::value_type;
    for (auto &[text, want] : literals) {
      std::string reg = sizeof(T) == 4 ? "%f1" : "%rd2";
      std::string ptx = ".version 8.0\n.target sm_80\n.address_size 64\n"
                        ".visible .entry k(.param .u64 p) {\n.reg .f32 %f<2>;\n"
                        ".reg .b64 %rd<4>;\nld.param.u64 %rd1, [p];\nmov." +
                        std::string(type) + " " + reg + ", " + text + ";\nst.global." + type +
                        " [%rd1], " + reg + ";\nret;\n}\n";
      if (auto reads = ptxasReads(ptx))
        EXPECT_EQ(*reads, want.has_value()) << text;
      if (!want) {
        EXPECT_THROW(machine.load(ptx), PtxError) << text;
        continue;
      }
      auto module = machine.load(ptx);
      uint64_t out = reserve<T>(1);
      ASSERT_TRUE(run(*module, "k", {{1}, {1}}, Params().add(out)).ok);
      EXPECT_EQ(download<T>(out, 1)[0], *want) << text;
    }
  };
  const std::nullopt_t no = std::nullopt;
  check("f32", Literals<float>{{"20.", 20.0f},    {".5", 0.5f},
                               {"1e5", 1e5f},     {"1E5", 1e5f},
                               {"1.e3", 1e3f},    {"1.5e3", 1.5e3f},
                               {"1e+5", 1e5f},    {"1e-5", 1e-5f},
                               {"1.e-3", 1e-3f},  {".5e3", 500.0f},
                               {"08.5", 8.5f},    {"0.", 0.0f},
                               {"0e400", 0.0f},   {"09.", 9.0f},
                               {"-20.", -20.0f},  {"-.5", -0.5f},
                               {"+1.5", 1.5f},    {"0F3F800000", 1.0f},
                               {"1.", 1.0f},      {"0f3f800000", 1.0f},
                               {"0.0e-400", 0.f}, {"0D3FF0000000000000", 1.0f},
                               {"1.5f", no},      {"0d3ff0000000000000", 1.0f},
                               {"1.U", no},       {"1e", no},
                               {"1.5e", no},      {"1.e+", no},
                               {"1.5.5", no},     {"1e5.", no},
                               {"1e5U", no},      {"1_0.", no},
                               {"0x1p3", no},     {"0x1.8", no},
                               {".", no},         {".e5", no},
                               {"0f3f8", no},     {"0f3f8000000", no},
                               {"0d3ff", no},     {"1e400", no},
                               {"1e-400", no},    {"1e-310", no}});
  check("u64", Literals<uint64_t>{{"10", 10},    {"10U", 10},
                                  {"0x1F", 31},  {"0X1f", 31},
                                  {"0x1FU", 31}, {"0b101", 5},
                                  {"0B101", 5},  {"0b101U", 5},
                                  {"017", 15},   {"017U", 15},
                                  {"0", 0},      {"0U", 0},
                                  {"-5", ~4ull}, {"0xFFFFFFFFFFFFFFFF", ~0ull},
                                  {"08", no},    {"18446744073709551615", ~0ull},
                                  {"10u", no},   {"10UU", no},
                                  {"10L", no},   {"0x", no},
                                  {"0b", no},    {"0b12", no},
                                  {"0xG", no},   {"1_0", no}});
  rejectsBody("mov.u32 %r1, 0x;", "expected digits after '0x'", "10:14");
  rejectsBody("mov.u32 %r1, 10L;", "malformed number '10L'", "10:14");
  rejectsBody("mov.u64 %rd1, 18446744073709551616;", "does not fit 64 bits", "10:15");
  rejectsBody("mov.f32 %f1, 1e-310;", "float literal '1e-310' is not a normal double", "10:14");
}

TEST_F(Reader, ModuleLevelErrors) {
  rejects("", "1:1", "no .version");
  rejects(".version 8.0\n.target sm_80\n.address_size 32\n", "3:15",
          "expected 64-bit addresses, found 32");
  rejects(".version 8.0\n.target sm_90a\n.address_size 64\n", "1:1",
          "module is for sm_90a, but the emulated device is sm_80");
  rejects(".version 8.0\n.target sm_80\n.frob x;\n", "3:1", "unsupported directive '.frob'");
  rejects(".version 8.0\n.target sm_80\n.entry k() {\n", "3:12", "never closed");
  rejects(".version 8.0\n.target sm_80\n/* open", "3:1", "comment is never closed");
  rejects(wrap("L: L: ret;"), "10:4", "label 'L' is defined twice");
}

TEST_F(Reader, SyntaxOfRealCompilers) {
  EXPECT_NO_THROW(machine.load(wrap(
      "{ .reg .b32 %x; .reg .pred %q;\n LAB: mov.b32 %x, 0; setp.eq.s32 %q, %x, 1; @%q bra LAB; }\n"
      "{ .reg .b64 %x;\n LAB: mov.b64 %x, 0; @%p1 bra.uni LAB; }")));
  EXPECT_NO_THROW(machine.load(
      wrap("mov.b32 %r1, 0f3F800000; add.rn.f32 %r1, %r1, 0f00000000; mov.b64 {%r1, _}, %rd1;\n"
           "mov.b32 %r2, {%h1, %h2}; add.s32 %r1, %r2, -0x10; setp.lt.u32 %p1|%p2, %r1, 7;\n"
           ".pragma \"nounroll\"; // comment\n/* more */ and.pred %p1, %p1, !%p2;")));
  // The order of modifiers is free.
  EXPECT_NO_THROW(
      machine.load(wrap("ldmatrix.sync.aligned.x4.m8n8.shared.b16 {%r1,%r2,%r3,%r4}, [%r5];"
                        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1,%r2,%r3,%r4}, [%r5];")));
  auto m =
      machine.load(".version 8.0\n.target sm_80, debug\n.address_size 64\n"
                   ".global .align 4 .u32 table[4] = {1, 2, -3};\n.global .u64 where = table+4;\n"
                   ".const .align 8 .b8 bytes[3] = {1,2,3};\n.visible .entry k() { ret; }\n");
  uint64_t table, where, bytes;
  ASSERT_TRUE(m->global("table", table, bytes));
  EXPECT_EQ(bytes, 16u);
  EXPECT_EQ(download<int32_t>(table, 4), (std::vector<int32_t>{1, 2, -3, 0}));
  ASSERT_TRUE(m->global("where", where, bytes));
  EXPECT_EQ(download<uint64_t>(where, 1)[0], table + 4);
}

TEST_F(Reader, LlvmOutputRuns) {
  // out[t] = {sum of exp2(0 * s), 0} over n rounds with a zero matrix: {n, 0} as bf16.
  auto m = machine.load(readFixture("llvm.ptx"));
  uint64_t a = upload(std::vector<uint32_t>(32 * 4, 0)), out = reserve<uint32_t>(32);
  LaunchResult r = run(*m, "k", {{1}, {32}, 512}, Params().add(a).add(out).add(5).add(1.0f));
  ASSERT_TRUE(r.ok) << r.report;
  EXPECT_EQ(download<uint32_t>(out, 32), std::vector<uint32_t>(32, toBf16(5.0f)));
}

TEST_F(Reader, MutilatedModulesNeverCrash) {
  // Deterministic mutations of a real module: whatever happens is an error or a module.
  std::string text = readFixture("basics.ptx");
  std::mt19937 rng(1);
  const std::string alphabet = "%r0123.,;{}[]()@!-+<>:\"/abcxyz\n ";
  unsigned rejected = 0;
  for (int round = 0; round < 300; ++round) {
    std::string s = text;
    for (int k = 0; k < 4; ++k) {
      size_t at = rng() % s.size(), n = 1 + rng() % 6;
      switch (rng() % 4) {
      case 0:
        s.erase(at, n);
        break;
      case 1:
        s.insert(at, 1, alphabet[rng() % alphabet.size()]);
        break;
      case 2:
        s[at] = alphabet[rng() % alphabet.size()];
        break;
      default:
        s.insert(at, s.substr(rng() % s.size(), n));
        break;
      }
    }
    if (round % 10 == 0)
      s.resize(rng() % s.size());
    try {
      machine.load(s);
    } catch (const PtxError &e) {
      ++rejected;
      EXPECT_GT(e.pos.line, 0u);
    }
  }
  EXPECT_GT(rejected, 150u);
}

} // namespace attnc::emu::test

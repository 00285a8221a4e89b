// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The PTX reader and the decoder's refusals: syntax that real compilers print must be read, and
// everything unknown must be an error with line, column and the offending text.
#include "EmulatorTest.h"

#include <random>

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

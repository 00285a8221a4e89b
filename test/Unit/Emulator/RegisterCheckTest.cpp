// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks on registers: reads of what was never written, registers of a running wgmma, wgmma.fence,
// and what the four warps of a warpgroup must do alike. Each is provoked once and avoided once.
#include "InstructionTest.h"

namespace attnc::emu::test {

class RegisterCheck : public Instructions {
protected:
  RegisterCheck() : Instructions("sm_90a") {}
  /// %r0 thread, %rd0 a descriptor of zeros in shared memory (no swizzle), %f accumulators of
  /// m64n8k16, %a a fragment of A, %p0 "is thread 0", %p1 "even thread"; all else never written.
  std::string text(const std::string &body, const std::string &directives) {
    return ".version 8.7\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 out)" +
           directives +
           " {\n.reg .b16 %h<8>;\n.reg .b32 %r<20>;\n.reg .f32 %f<8>;\n.reg .b32 %a<4>;\n"
           ".reg .b64 %rd<8>;\n.reg .pred %p<8>;\n.reg .f32 %u<8>;\n"
           ".shared .align 128 .b8 tile[8192];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\n"
           "shl.b32 %r2, %r0, 4;\nadd.u32 %r2, %r2, %r1;\nmov.u64 %rd1, 0;\n"
           "st.shared.v2.u64 [%r2], {%rd1, %rd1};\n"
           "fence.proxy.async;\nbar.sync 0;\ncvt.u64.u32 %rd0, %r1;\nshr.u64 %rd0, %rd0, 4;\n"
           "or.b64 %rd0, %rd0, 0x0000000800080000;\nsetp.eq.u32 %p0, %r0, 0;\n"
           "and.b32 %r3, %r0, 1;\nsetp.eq.u32 %p1, %r3, 0;\nld.param.u64 %rd2, [out];\n" +
           body + "\nret;\n}\n";
  }
  LaunchResult execute(const std::string &body, const std::string &directives = "",
                       uint32_t threads = 128) {
    std::string ptx = text(body, directives);
    assemble(ptx);
    auto module = machine.load(ptx);
    uint64_t out = reserve<uint32_t>(1024);
    return run(*module, "k", {{1}, {threads}}, Params().add(out));
  }
  void expectKind(const std::string &body, const char *kind, const char *words = "",
                  const std::string &directives = "", uint32_t threads = 128) {
    LaunchResult r = execute(body, directives, threads);
    EXPECT_EQ(r.kind, kind) << body << "\n" << r.report;
    EXPECT_NE(r.report.find(words), std::string::npos) << r.report;
  }
  void expectClean(const std::string &body, const std::string &directives = "",
                   uint32_t threads = 128) {
    LaunchResult r = execute(body, directives, threads);
    EXPECT_TRUE(r.ok) << body << "\n" << r.report;
  }
};

TEST_F(RegisterCheck, NeverWritten) {
  LaunchResult r = execute("add.u32 %r10, %r11, 1;");
  EXPECT_EQ(r.kind, "uninitialized-register");
  EXPECT_NE(r.report.find("reads register '%r11'"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("add.u32 %r10, %r11, 1"), std::string::npos) << r.report;
  EXPECT_GT(r.line, 20u);
  expectKind("st.global.u32 [%rd2], %r11;", "uninitialized-register", "'%r11'");
  expectKind("ld.global.u32 %r10, [%rd5];", "uninitialized-register", "'%rd5'");
  expectKind("@%p5 mov.u32 %r10, 1;", "uninitialized-register", "'%p5'");
  expectKind("@%p5 bra L; mov.u32 %r10, 1; L:", "uninitialized-register", "'%p5'");
  expectKind("add.u32 %r10, %r10, 1;", "uninitialized-register", "'%r10'");
}

TEST_F(RegisterCheck, OnlyThreadsThatWroteMayRead) {
  expectKind("@%p1 mov.u32 %r10, 1; add.u32 %r11, %r10, 1;", "uninitialized-register", "lane 1");
  expectClean("@%p1 mov.u32 %r10, 1; @%p1 add.u32 %r11, %r10, 1;");
  expectClean("@%p1 mov.u32 %r10, 1; @!%p1 mov.u32 %r10, 2; add.u32 %r11, %r10, 1;");
  expectClean("@%p1 bra A; mov.u32 %r10, 1; bra B; A: mov.u32 %r10, 2; B: add.u32 %r11, %r10, 1;");
  expectKind("@%p1 bra A; mov.u32 %r10, 1; bra B; A: mov.u32 %r12, 2; B: add.u32 %r11, %r10, 1;",
             "uninitialized-register", "lane 0");
  // A loop whose first iteration writes and whose later ones read.
  std::string loop = "mov.u32 %r12, 0; L: setp.eq.u32 %p2, %r12, START; @%p2 mov.u32 %r10, 5; "
                     "setp.ge.u32 %p3, %r12, 1; @%p3 add.u32 %r10, %r10, 1; add.u32 %r12, %r12, 1; "
                     "setp.lt.u32 %p2, %r12, 4; @%p2 bra L;";
  std::string good = loop, bad = loop;
  expectClean(good.replace(good.find("START"), 5, "0"));
  expectKind(bad.replace(bad.find("START"), 5, "2"), "uninitialized-register", "'%r10'");
}

TEST_F(RegisterCheck, CopiesOfUndefinedValuesAreNotReadsOfThem) {
  // Compilers copy and pack values that they know nobody looks at.
  expectClean("mov.u32 %r10, %r11; mov.b32 %r12, {%h0, %h1};");
  expectKind("mov.u32 %r10, %r11; add.u32 %r12, %r10, 1;", "uninitialized-register", "'%r10'");
  expectClean("cvt.u16.u32 %h0, %r0; mov.b32 %r12, {%h0, %h1}; and.b32 %r13, %r12, 65535;");
  expectKind("mov.b64 {%r10, %r11}, %rd6; add.u32 %r12, %r10, 1;", "uninitialized-register");
}

static std::string wgmma(const std::string &scale = "%p0", const std::string &acc = "%f") {
  std::string r = "{";
  for (int i = 0; i < 4; ++i)
    r += (i ? "," : "") + acc + std::to_string(i);
  return "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 " + r + "}, %rd0, %rd0, " + scale +
         ", 1, 1, 0, 0;\n";
}
static std::string wgmmaRS() {
  return "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0,%f1,%f2,%f3}, "
         "{%a0,%a1,%a2,%a3}, %rd0, %p0, 1, 1, 0;\n";
}
static const char *fence = "wgmma.fence.sync.aligned;\n",
                  *commit = "wgmma.commit_group.sync.aligned;\n",
                  *wait0 = "wgmma.wait_group.sync.aligned 0;\n",
                  *wait1 = "wgmma.wait_group.sync.aligned 1;\n", *use = "add.f32 %u0, %f0, %f1;\n",
                  *zero = "mov.f32 %f0, 0f00000000; mov.f32 %f1, 0f00000000; mov.f32 %f2, "
                          "0f00000000; mov.f32 %f3, 0f00000000;\n",
                  *zeroA = "mov.b32 %a0, 0; mov.b32 %a1, 0; mov.b32 %a2, 0; mov.b32 %a3, 0;\n";

TEST_F(RegisterCheck, AccumulatorsNeedNoValueWithoutScaleD) {
  std::string off = "setp.ne.u32 %p2, 0, 0;\n", on = "setp.eq.u32 %p2, 0, 0;\n";
  expectClean(off + fence + wgmma("%p2") + commit + wait0 + use);
  expectKind(on + fence + wgmma("%p2") + commit + wait0 + use, "uninitialized-register", "'%f0'");
}

TEST_F(RegisterCheck, StoresBehindAReadOfWgmma) {
  // Once the report spoke of a copy.
  std::string begin = std::string(zero) + "setp.eq.u32 %p0, 0, 0;\n" + fence + wgmma() + commit,
              store = "mov.u32 %r10, 0; mov.u32 %r11, tile; @%p0 st.shared.u32 [%r11], %r10;\n";
  LaunchResult r = execute(begin + store + wait0);
  EXPECT_EQ(r.kind, "missing-wait") << r.report;
  EXPECT_NE(r.report.find("write after read"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("is not ordered after the wgmma issued by warp 0"), std::string::npos);
  EXPECT_NE(r.report.find("no wgmma.wait_group of this warp covers that wgmma"), std::string::npos)
      << r.report;
  EXPECT_EQ(r.report.find("copy"), std::string::npos) << r.report;
}

TEST_F(RegisterCheck, AccumulatorsBeforeTheWait) {
  std::string begin = std::string(zero) + "setp.eq.u32 %p0, 0, 0;\n" + fence + wgmma() + commit;
  expectClean(begin + wait0 + use);
  LaunchResult r = execute(begin + use + wait0);
  EXPECT_EQ(r.kind, "missing-wait") << r.report;
  EXPECT_NE(r.report.find("touches register '%f0'"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("wgmma.mma_async.sync.aligned.m64n8k16"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("\n  at line 33: add.f32"), std::string::npos) << r.report;
  expectKind(begin + "mov.f32 %f2, 0f00000000;" + wait0, "missing-wait", "'%f2'");
  // A wait for all but one group leaves the youngest in flight.
  std::string two = begin + wgmma("%p0", "%f") + commit + wait1;
  expectKind(two + use + wait0, "missing-wait");
  std::string other = std::string(zero) +
                      "mov.f32 %u4, 0f00000000; mov.f32 %u5, 0f00000000; mov.f32 %u6, 0f00000000; "
                      "mov.f32 %u7, 0f00000000; setp.eq.u32 %p0, 0, 0;\n" +
                      fence + wgmma() + commit +
                      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%u4,%u5,%u6,%u7}, "
                      "%rd0, %rd0, %p0, 1, 1, 0, 0;\n" +
                      commit + wait1;
  expectClean(other + use + wait0 + "add.f32 %u0, %u4, %u5;");
  expectKind(other + "add.f32 %u0, %u4, %u5;" + wait0, "missing-wait", "'%u4'");
}

TEST_F(RegisterCheck, FragmentsBeforeTheWait) {
  std::string begin =
      std::string(zero) + zeroA + "setp.eq.u32 %p0, 0, 0;\n" + fence + wgmmaRS() + commit;
  expectClean(begin + wait0 + "mov.b32 %a0, 1;");
  expectKind(begin + "mov.b32 %a0, 1;" + wait0, "missing-wait", "'%a0'");
  expectClean(begin + wgmmaRS() + commit + wait0); // wgmma may share a fragment
}

TEST_F(RegisterCheck, FenceAfterModification) {
  std::string first = std::string(zero) + zeroA + "setp.eq.u32 %p0, 0, 0;\n" + fence + wgmma() +
                      commit + wait0 + "mul.f32 %f1, %f1, %f1;\n";
  expectKind(first + wgmma() + commit + wait0, "missing-wgmma-fence", "'%f1'");
  expectClean(first + fence + wgmma() + commit + wait0);
  std::string fragment = std::string(zero) + zeroA + "setp.eq.u32 %p0, 0, 0;\n" + fence +
                         wgmmaRS() + commit + wait0 + "mov.b32 %a2, 3;\n";
  expectKind(fragment + wgmmaRS() + commit + wait0, "missing-wgmma-fence", "'%a2'");
  expectClean(fragment + fence + wgmmaRS() + commit + wait0);
  // In a loop: the modification at the end of one iteration reaches the wgmma of the next.
  std::string loop = std::string(zero) + "setp.eq.u32 %p0, 0, 0; mov.u32 %r10, 0;\n" + fence +
                     "L:\nFENCE" + wgmma() + commit + wait0 +
                     "mul.f32 %f1, %f1, %f1; add.u32 %r10, %r10, 1; setp.lt.u32 %p2, %r10, 3; @%p2 "
                     "bra L;\n";
  std::string good = loop, bad = loop;
  expectClean(good.replace(good.find("FENCE"), 5, fence));
  expectKind(bad.replace(bad.find("FENCE"), 5, ""), "missing-wgmma-fence", "'%f1'");
}

TEST_F(RegisterCheck, FenceAfterRead) {
  std::string first =
      std::string(zero) + zeroA + "setp.eq.u32 %p0, 0, 0;\n" + fence + wgmmaRS() + commit + wait0;
  expectClean(first + wgmmaRS() + commit + wait0); // one shape on the same accumulators
  expectKind(first + use + wgmma() + commit + wait0, "missing-wgmma-fence",
             "'%f0' of this wgmma was read");
  expectClean(first + use + fence + wgmma() + commit + wait0);
  expectClean(first + "@!%p0 bra L; " + use + "L:" + fence + wgmma() + commit + wait0);
  // On one of two ways only, and only where a thread takes it.
  std::string sometimes =
      first + "setp.ne.u32 %p2, 0, WHICH; @%p2 bra L; " + use + "L:" + wgmma() + commit + wait0;
  std::string taken = sometimes, passed = sometimes;
  expectKind(taken.replace(taken.find("WHICH"), 5, "0"), "missing-wgmma-fence", "was read");
  expectClean(passed.replace(passed.find("WHICH"), 5, "1"));
  // An A fragment that others only read has no order to keep.
  expectClean(first + "add.u32 %r10, %a0, 1;\n" + wgmmaRS() + commit + wait0);
}

TEST_F(RegisterCheck, FenceBetweenKindsOfWgmma) {
  std::string first =
      std::string(zero) + zeroA + "setp.eq.u32 %p0, 0, 0;\n" + fence + wgmma() + commit + wait0;
  std::string otherShape = "wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 "
                           "{%f0,%f1,%f2,%f3}, %rd0, %rd0, %p0, 1, 1;\n";
  expectKind(first + otherShape + commit + wait0, "missing-wgmma-fence",
             "'%f0' of this wgmma was an accumulator");
  expectClean(first + fence + otherShape + commit + wait0);
  // Half-precision accumulators are of the type of fragments.
  std::string halves =
                  "wgmma.mma_async.sync.aligned.m64n16k16.f16.f16.f16 {%a0,%a1,%a2,%a3}, %rd0, "
                  "%rd0, %p0, 1, 1, 0, 0;\n",
              begin = std::string(zero) + zeroA + "setp.eq.u32 %p0, 0, 0;\n" + fence;
  expectKind(begin + halves + commit + wait0 + wgmmaRS() + commit + wait0, "missing-wgmma-fence",
             "'%a0' of this wgmma was an accumulator");
  expectClean(begin + halves + commit + wait0 + fence + wgmmaRS() + commit + wait0);
  expectKind(begin + wgmmaRS() + commit + wait0 + halves + commit + wait0, "missing-wgmma-fence",
             "'%a0' of this wgmma was in an A fragment");
  expectClean(begin + wgmmaRS() + commit + wait0 + fence + halves + commit + wait0);
}

TEST_F(RegisterCheck, WarpgroupsActTogether) {
  std::string begin = std::string(zero) + "setp.eq.u32 %p0, 0, 0;\n" + fence;
  std::string end = std::string(commit) + wait0;
  expectKind(begin + "setp.ge.u32 %p2, %r0, 96; @%p2 add.u64 %rd0, %rd0, 8;\n" + wgmma() + end,
             "descriptor-mismatch", "differs between the warps of the warpgroup");
  expectKind(begin + "setp.ge.u32 %p2, %r0, 96; @%p2 bra L;\n" + wgmma() + "L:" + end,
             "divergent-collective", "only 3 of the four warps");
  expectKind(begin + "setp.ge.u32 %p2, %r0, 96; @%p2 bra L;\n" + wgmma() + "bra M; L:" + wgmma() +
                 "M:" + end,
             "divergent-collective", "different instructions");
  expectKind(begin + wgmma() + end, "divergent-collective", "only 3 of the four warps", "", 96);
}

TEST_F(RegisterCheck, RegisterPool) {
  // 384 threads: ptxas gives 65536 / 384 = 168 registers to each.
  // (Without .minnctapersm or .maxnreg it ignores setmaxnreg, and so does the emulator.)
  expectClean("setmaxnreg.inc.sync.aligned.u32 240;", " .reqntid 384", 384);
  auto roles = [](const char *producer, const char *consumer) {
    return std::string("setp.lt.u32 %p2, %r0, 128; @%p2 bra P; ") + consumer +
           " bra E; P: " + producer + " E:";
  };
  std::string three = " .reqntid 384 .minnctapersm 1";
  expectClean(roles("setmaxnreg.dec.sync.aligned.u32 24;", "setmaxnreg.inc.sync.aligned.u32 240;"),
              three, 384);
  LaunchResult r =
      execute(roles("setmaxnreg.dec.sync.aligned.u32 40;", "setmaxnreg.inc.sync.aligned.u32 240;"),
              three, 384);
  EXPECT_EQ(r.kind, "deadlock");
  EXPECT_NE(r.report.find("waits for 72 more registers per thread"), std::string::npos) << r.report;
  expectKind(roles("", "setmaxnreg.inc.sync.aligned.u32 240;"), "deadlock", "the pool of the block",
             three, 384);
  // ptxas refuses the wrong direction where it can see it; the emulator must not rely on that.
  auto unassembled = [&](const std::string &body) {
    auto module = machine.load(text(body, three));
    return run(*module, "k", {{1}, {384}}, Params().add(uint64_t(0)));
  };
  r = unassembled("setmaxnreg.dec.sync.aligned.u32 176;");
  EXPECT_NE(r.report.find("has 168 registers"), std::string::npos) << r.report;
  expectKind("setmaxnreg.inc.sync.aligned.u32 40;", "invalid-operand", "has 104 registers",
             " .maxnreg 104");
  expectKind("setp.lt.u32 %p2, %r0, 32; @%p2 setmaxnreg.dec.sync.aligned.u32 24;",
             "divergent-collective", "only 1 of the four warps", three, 384);
  EXPECT_THROW(machine.load(text("setmaxnreg.dec.sync.aligned.u32 28;", "")), PtxError);
  EXPECT_THROW(machine.load(text("setmaxnreg.dec.sync.aligned.u32 16;", "")), PtxError);
}

} // namespace attnc::emu::test

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each check of the emulator, provoked by the smallest program that deserves it, next to the same
// program done right. A check that cannot fire is worthless, and so is one that fires on good code.
#include "EmulatorTest.h"

#include <set>

namespace attnc::emu::test {

class Check : public EmulatorTest {
protected:
  explicit Check(const char *profile = "sm_80") : EmulatorTest(profile) {}
  /// A kernel of two parameters, `in` (%rd0) and `out` (%rd1), with thread index in %r0 and its
  /// multiple of four in %r1 and %rd2. 4 KiB of shared memory `tile`, its address in %r2.
  std::string kernel(const std::string &body) {
    return ".version 8.0\n.target " + machine.profile().name +
           "\n.address_size 64\n.visible .entry k(.param .u64 in, .param .u64 out) {\n"
           ".reg .b16 %h<10>;\n.reg .b32 %r<40>;\n.reg .b64 %rd<20>;\n.reg .f32 %f<20>;\n.reg "
           ".pred %p<10>;\n"
           ".shared .align 128 .b8 tile[4096];\n.local .align 16 .b8 stack[64];\n"
           "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\nshl.b32 "
           "%r1, %r0, 2;\n"
           "cvt.u64.u32 %rd2, %r1;\nmov.u32 %r2, tile;\n" +
           body + "\nret;\n}\n";
  }
  LaunchResult execute(const std::string &body, uint32_t threads = 64) {
    auto module = machine.load(kernel(body));
    input = upload(std::vector<uint32_t>(256, 7));
    output = reserve<uint32_t>(256);
    return run(*module, "k", {{1}, {threads}}, Params().add(input).add(output));
  }
  void expectKind(const std::string &body, const char *kind, const char *text = "",
                  uint32_t threads = 64) {
    LaunchResult r = execute(body, threads);
    EXPECT_EQ(r.kind, kind) << r.report;
    EXPECT_NE(r.report.find(text), std::string::npos) << r.report;
  }
  void expectClean(const std::string &body, uint32_t threads = 64) {
    LaunchResult r = execute(body, threads);
    EXPECT_TRUE(r.ok) << r.report;
  }
  uint64_t input = 0, output = 0;
};

TEST_F(Check, GlobalBounds) {
  expectKind("ld.global.u32 %r3, [%rd0+1024];", "out-of-bounds",
             "0 bytes past the end of an allocation of 1024 bytes");
  expectKind("st.global.u32 [%rd0+-4], %r0;", "out-of-bounds");
  expectKind("ld.global.v4.u32 {%r3,%r4,%r5,%r6}, [%rd0+1020];", "misaligned-address");
  expectClean("ld.global.v4.u32 {%r3,%r4,%r5,%r6}, [%rd0+1008];");
}

TEST_F(Check, UseAfterFree) {
  uint64_t p = upload(std::vector<uint32_t>(64, 1));
  machine.memory().free(p);
  LaunchResult r = execute("mov.u64 %rd3, " + std::to_string(p) + "; ld.global.u32 %r3, [%rd3];");
  EXPECT_EQ(r.kind, "out-of-bounds");
  EXPECT_NE(r.report.find("freed"), std::string::npos) << r.report;
}

TEST_F(Check, SharedBoundsAndAlignment) {
  expectKind("st.shared.u32 [%r2+4096], %r0;", "out-of-bounds", "byte 4096 of 4096");
  expectKind("mov.u32 %r3, 0; st.shared.u32 [%r3], %r0;", "out-of-bounds");
  expectKind("st.shared.u32 [%r2+2], %r0;", "misaligned-address", "not a multiple of 4");
}

TEST_F(Check, LocalBounds) {
  expectKind("mov.u64 %rd3, stack; st.local.u32 [%rd3+64], %r0;", "out-of-bounds",
             "the thread has 64 bytes");
  expectClean("mov.u64 %rd3, stack; st.local.u32 [%rd3+60], %r0;");
}

TEST_F(Check, UninitializedReads) {
  expectKind("ld.global.u32 %r3, [%rd1];", "uninitialized-read");
  expectKind("ld.shared.u32 %r3, [%r2+16];", "uninitialized-read", "byte 16 of 4096");
  // Half of a word is not the word.
  expectKind("cvt.u16.u32 %h0, %r0; st.shared.u16 [%r2], %h0; ld.shared.u32 %r3, [%r2];",
             "uninitialized-read", "", 1);
  expectClean("cvt.u16.u32 %h0, %r0; st.shared.u16 [%r2], %h0; st.shared.u16 [%r2+2], %h0; "
              "ld.shared.u32 %r3, [%r2];",
              1);
}

TEST_F(Check, GenericAddresses) {
  expectClean(
      "cvt.u64.u32 %rd3, %r2; cvta.shared.u64 %rd4, %rd3; add.u64 %rd4, %rd4, %rd2;"
      "st.u32 [%rd4], %r0; ld.u32 %r3, [%rd4]; add.u64 %rd5, %rd1, %rd2; st.u32 [%rd5], %r3;");
  EXPECT_EQ(download<uint32_t>(output, 64)[63], 63u);
  expectKind("cvt.u64.u32 %rd3, %r2; cvta.shared.u64 %rd4, %rd3; st.u32 [%rd4+4096], %r0;",
             "out-of-bounds", "shared");
}

static const char *exchange(bool barrier, const char *op = "bar.sync 0;") {
  static std::string s;
  // Warp 0 writes, warp 1 reads.
  s = std::string("setp.lt.u32 %p0, %r0, 32; add.u32 %r3, %r2, %r1; and.b32 %r4, %r1, 127; add.u32 "
                  "%r4, %r4, %r2;") +
      "@%p0 st.shared.u32 [%r3], %r0;" + (barrier ? op : "") + "@!%p0 ld.shared.u32 %r5, [%r4];";
  return s.c_str();
}

TEST_F(Check, RaceReadAfterWrite) {
  LaunchResult r = execute(exchange(false));
  EXPECT_EQ(r.kind, "race") << r.report;
  EXPECT_NE(r.report.find("is not ordered after warp 0 lane 0"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("st.shared.u32"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("warp 1, lane 0"), std::string::npos) << r.report;
  expectClean(exchange(true));
  expectClean(exchange(true, "barrier.sync 3, 64;"));
  // A barrier that only one side attends orders nothing; here each warp meets itself.
  expectKind(exchange(true, "@%p0 bar.sync 1, 32; @!%p0 bar.sync 2, 32;"), "race");
}

TEST_F(Check, RaceWriteAfterRead) {
  // Warp 0 reads the words of warp 1, which then overwrites them.
  std::string body = "add.u32 %r3, %r2, %r1; setp.lt.u32 %p0, %r0, 32; xor.b32 %r4, %r1, 128; "
                     "add.u32 %r4, %r4, %r2;"
                     "st.shared.u32 [%r3], %r0; bar.sync 0; @%p0 ld.shared.u32 %r5, [%r4]; SYNC "
                     "@!%p0 st.shared.u32 [%r3], %r0;";
  std::string good = body;
  body.replace(body.find("SYNC"), 4, "");
  good.replace(good.find("SYNC"), 4, "bar.sync 0;");
  expectKind(body, "race", "write after read");
  expectClean(good);
}

TEST_F(Check, NeighbouringHalfWordsAreNoRace) {
  // Warp 0 owns the even, warp 1 the odd 16-bit elements of every word.
  expectClean("and.b32 %r3, %r0, 31; shl.b32 %r3, %r3, 2; shr.u32 %r4, %r0, 5; shl.b32 %r4, %r4, 1;"
              "add.u32 %r3, %r3, %r4; add.u32 %r3, %r3, %r2; cvt.u16.u32 %h0, %r0;"
              "st.shared.u16 [%r3], %h0; ld.shared.u16 %h1, [%r3];");
}

TEST_F(Check, ArriveAndSyncHandOver) {
  // Producer warp 0 arrives, consumer warp 1 syncs: 64 threads in all.
  expectClean(exchange(true, "@%p0 bar.arrive 1, 64; @!%p0 bar.sync 1, 64;"));
  // The other way round the reader does not wait for the writer.
  expectKind(exchange(true, "@!%p0 bar.arrive 1, 64; @%p0 bar.sync 1, 64;"), "race");
}

TEST_F(Check, AtomicsDoNotRace) {
  expectClean("setp.eq.u32 %p0, %r0, 0; mov.u32 %r5, 0; @%p0 st.shared.u32 [%r2], %r5; bar.sync 0;"
              "atom.shared.add.u32 %r6, [%r2], 1; bar.sync 0; ld.shared.u32 %r7, [%r2]; add.u64 "
              "%rd3, %rd1, %rd2;"
              "st.global.u32 [%rd3], %r7;");
  EXPECT_EQ(download<uint32_t>(output, 64), std::vector<uint32_t>(64, 64u));
}

static std::string asyncCopy(const char *wait, const char *barrier = "bar.sync 0;") {
  return std::string("shl.b32 %r3, %r0, 2; add.u32 %r3, %r3, %r2; add.u64 %rd3, %rd0, %rd2;"
                     "cp.async.ca.shared.global [%r3], [%rd3], 4; cp.async.commit_group;") +
         wait + barrier +
         "xor.b32 %r4, %r1, 128; add.u32 %r4, %r4, %r2; ld.shared.u32 %r5, [%r4];" +
         "add.u64 %rd4, %rd1, %rd2; st.global.u32 [%rd4], %r5;";
}

TEST_F(Check, AsyncCopyNeedsWaitAndBarrier) {
  for (Delivery d : {Delivery::Early, Delivery::Late, Delivery::Random}) {
    machine.options().delivery = d;
    expectClean(asyncCopy("cp.async.wait_group 0;"));
    EXPECT_EQ(download<uint32_t>(output, 64), std::vector<uint32_t>(64, 7u));
    expectClean(asyncCopy("cp.async.wait_all;"));
    expectKind(asyncCopy("cp.async.wait_group 1;"), "race", "asynchronous copy issued by warp 1");
    expectKind(asyncCopy(""), "race", "asynchronous copy issued by warp 1");
    // Without the barrier warp 0 reads what warp 1 has not even issued.
    expectKind(asyncCopy("cp.async.wait_group 0;", ""), "uninitialized-read");
  }
}

// Accesses of whole chunks of sixteen bytes have entries of their own in the race detector, and
// plain ones go a quick way; with counters on they all go the general way. Both must say the same.
TEST_F(Check, ChunksAndWords) {
  // r3: this thread's chunk, r4: the other warp's; r5, r6: words there.
  const std::string places =
      "shl.b32 %r3, %r0, 4; add.u32 %r3, %r3, %r2; shl.b32 %r4, %r0, 4;"
      "xor.b32 %r4, %r4, 512; add.u32 %r4, %r4, %r2;"
      "cvt.u64.u32 %rd3, %r0; shl.b64 %rd3, %rd3, 4; add.u64 %rd3, %rd0, %rd3;"
      "setp.lt.u32 %p0, %r0, 32; mov.u32 %r7, 0;";
  const std::string fill = "st.shared.v4.u32 [%r3], {%r0, %r0, %r0, %r0};", bar = "bar.sync 0;",
                    copy = "cp.async.cg.shared.global [%r4], [%rd3], 16; cp.async.wait_all;",
                    readWords = "ld.shared.u32 %r5, [%r3+4];",
                    readChunk = "ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [%r3];";
  struct Case {
    const char *name;
    std::string body;
    const char *kind; ///< "" for a clean run
  };
  const Case cases[] = {
      {"chunk write, word read", "@%p0 " + fill + "@!%p0 ld.shared.u32 %r5, [%r4];", "race"},
      {"with barrier", "@%p0 " + fill + bar + "@!%p0 ld.shared.u32 %r5, [%r4];", ""},
      {"word read, copy", fill + bar + readWords + copy, "race"},
      {"word read, barrier, copy", fill + bar + readWords + bar + copy, ""},
      {"chunk read, copy", fill + bar + readChunk + copy, "race"},
      {"chunk read, barrier, copy", fill + bar + readChunk + bar + copy, ""},
      {"chunk read, word write", fill + bar + readChunk + "st.shared.u32 [%r4+8], %r0;", "race"},
      {"word write into a chunk, chunk read",
       fill + bar + "@%p0 st.shared.u32 [%r4+8], %r0;@!%p0 " + readChunk, "race"},
      {"halves of a chunk by two warps",
       "@%p0 st.shared.v2.u32 [%r3], {%r0, %r0};@!%p0 st.shared.v2.u32 [%r4+8], {%r0, %r0};" + bar +
           "@%p0 " + readChunk,
       ""},
      {"half a chunk is not a chunk", "st.shared.v2.u32 [%r3], {%r0, %r0};" + bar + readChunk,
       "uninitialized-read"},
      {"copy not waited for",
       "cp.async.cg.shared.global [%r3], [%rd3], 16; cp.async.commit_group;" + readChunk,
       "missing-wait"},
      {"two lanes copy to one place",
       "cp.async.cg.shared.global [%r2], [%rd3], 16; cp.async.wait_all;", "missing-wait"},
      {"words that make up chunks",
       fill + bar + "add.u32 %r5, %r2, %r1; ld.shared.u32 %r6, [%r5];" + copy, "race"},
  };
  for (bool counters : {false, true})
    for (const Case &c : cases) {
      machine.options().counters = counters;
      LaunchResult r = execute(places + c.body, 64);
      EXPECT_EQ(r.kind, c.kind) << c.name << (counters ? ", general way\n" : ", quick way\n")
                                << r.report;
    }
}

TEST_F(Check, AllDeliveries) {
  machine.options().delivery = Delivery::All;
  expectClean(asyncCopy("cp.async.wait_group 0;"));
  EXPECT_EQ(download<uint32_t>(output, 64), std::vector<uint32_t>(64, 7u));
  expectKind(asyncCopy("cp.async.wait_group 1;"), "race", "with early delivery");
  // What the other checks would say first, the comparison finds on its own.
  machine.options().checks = false;
  expectKind(asyncCopy("cp.async.wait_group 1;"), "delivery-dependent",
             "early and when they arrive");
}

// Kernels may load rows that nothing wrote, if nothing that counts depends on them.
TEST_F(Check, ArbitrarySharedMemory) {
  const std::string read =
      "add.u32 %r3, %r2, %r1; ld.shared.u32 %r4, [%r3]; add.u64 %rd3, %rd1, %rd2;";
  expectKind(read, "uninitialized-read");
  machine.options().delivery = Delivery::All;
  machine.options().arbitraryShared = true;
  expectClean(read + "and.b32 %r4, %r4, 0; st.global.u32 [%rd3], %r4;");
  EXPECT_EQ(download<uint32_t>(output, 64), std::vector<uint32_t>(64, 0u));
  expectKind(read + "st.global.u32 [%rd3], %r4;", "delivery-dependent");
  // The destination of a copy under way is still not to be read.
  expectKind(asyncCopy("cp.async.wait_group 1;"), "race");
}

// Outputs and workspaces begin with whatever was there; a result must not depend on it.
TEST_F(Check, ArbitraryGlobalMemory) {
  const std::string read = "add.u64 %rd3, %rd1, %rd2; ld.global.u32 %r4, [%rd3+256];",
                    copy =
                        "add.u32 %r3, %r2, %r1; add.u64 %rd3, %rd1, %rd2; cp.async.ca.shared."
                        "global [%r3], [%rd3+256], 4; cp.async.wait_all; ld.shared.u32 %r4, [%r3];",
                    wide = "shl.b32 %r3, %r0, 4; add.u32 %r3, %r3, %r2; cvt.u64.u32 %rd4, %r0; "
                           "shl.b64 %rd4, %rd4, 4; add.u64 %rd4, %rd4, %rd1; cp.async.cg.shared."
                           "global [%r3], [%rd4], 16; cp.async.wait_all; ld.shared.u32 %r4, [%r3]; "
                           "bar.sync 0; add.u64 %rd3, %rd1, %rd2;";
  for (bool checks : {true, false})
    for (const std::string &body : {read, copy, wide}) {
      if (checks)
        expectKind(body, "uninitialized-read");
      machine.options().checks = checks;
      machine.options().delivery = Delivery::All;
      machine.options().arbitraryGlobal = true;
      expectClean(body + "and.b32 %r4, %r4, 0; st.global.u32 [%rd3], %r4;");
      EXPECT_EQ(download<uint32_t>(output, 64), std::vector<uint32_t>(64, 0u));
      expectKind(body + "st.global.u32 [%rd3], %r4;", "delivery-dependent");
      machine.options() = Options();
    }
  // A word stays arbitrary until it is written, and each delivery has its own bytes.
  machine.options().arbitraryGlobal = true;
  auto module = machine.load(kernel(read + "st.global.u32 [%rd3], %r4;"));
  std::set<uint32_t> seen;
  for (Delivery d : {Delivery::Early, Delivery::Late, Delivery::Random}) {
    machine.options().delivery = d;
    output = reserve<uint32_t>(256);
    ASSERT_TRUE(run(*module, "k", {{1}, {64}}, Params().add(output).add(output)).ok);
    seen.insert(download<uint32_t>(output, 1)[0]);
  }
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_TRUE(seen.count(0) && seen.count(~0u));
}

TEST_F(Check, AsyncCopyReadByItsIssuerBeforeTheWait) {
  for (Delivery d : {Delivery::Early, Delivery::Late}) {
    machine.options().delivery = d;
    expectKind("add.u32 %r3, %r2, %r1; add.u64 %rd3, %rd0, %rd2; cp.async.ca.shared.global [%r3], "
               "[%rd3], 4;"
               "cp.async.commit_group; ld.shared.u32 %r5, [%r3];",
               "missing-wait", "no wait of this warp covers that copy", 32);
  }
}

TEST_F(Check, LanesOfOneAsyncCopyAtOnePlace) {
  expectKind("add.u64 %rd3, %rd0, %rd2; cp.async.ca.shared.global [%r2], [%rd3], 4; "
             "cp.async.wait_all;",
             "missing-wait", "write after write", 32);
}

TEST_F(Check, AsyncCopyOverAReadTile) {
  std::string body = "add.u32 %r3, %r2, %r1; xor.b32 %r4, %r1, 128; add.u32 %r4, %r4, %r2; add.u64 "
                     "%rd3, %rd0, %rd2;"
                     "setp.lt.u32 %p0, %r0, 32; st.shared.u32 [%r3], %r0; bar.sync 0; @%p0 "
                     "ld.shared.u32 %r5, [%r4]; SYNC"
                     "@!%p0 cp.async.ca.shared.global [%r3], [%rd3], 4; cp.async.wait_all;";
  std::string good = body;
  body.replace(body.find("SYNC"), 4, "");
  good.replace(good.find("SYNC"), 4, "bar.sync 0;");
  expectKind(body, "race", "asynchronous write after read");
  expectClean(good);
}

TEST_F(Check, AsyncCopySourceSize) {
  // Four of sixteen bytes are read, the rest is zero; no byte of the source beyond that is touched.
  expectClean("shl.b32 %r4, %r0, 4; add.u32 %r3, %r2, %r4; mov.u32 %r6, 4;"
              "cp.async.cg.shared.global [%r3], [%rd0+1008], 16, %r6; cp.async.wait_all;"
              "ld.shared.v4.u32 {%r10,%r11,%r12,%r13}, [%r3]; add.u32 %r10, %r10, %r11; add.u32 "
              "%r10, %r10, %r12;"
              "add.u32 %r10, %r10, %r13; add.u64 %rd4, %rd1, %rd2; st.global.u32 [%rd4], %r10;",
              32);
  EXPECT_EQ(download<uint32_t>(output, 32), std::vector<uint32_t>(32, 7u));
  expectClean("mov.u32 %r6, 0; shl.b32 %r4, %r0, 4; add.u32 %r3, %r2, %r4;"
              "cp.async.cg.shared.global [%r3], [%rd0+4096], 16, %r6; cp.async.wait_all;",
              32);
  expectKind("mov.u32 %r6, 17; cp.async.cg.shared.global [%r2], [%rd0], 16, %r6;",
             "invalid-operand", "", 1);
}

TEST_F(Check, AsyncCopiesCanArriveOnAnMbarrier) {
  // 64 threads copy four bytes each and arrive; everybody waits for the phase and reads the other
  // half.
  std::string body =
      "mov.u32 %r20, bar; setp.eq.u32 %p3, %r0, 0; @%p3 mbarrier.init.shared.b64 [%r20], 64; "
      "bar.sync 0;"
      "add.u32 %r3, %r2, %r1; add.u64 %rd3, %rd0, %rd2; cp.async.ca.shared.global [%r3], [%rd3], "
      "4; ARRIVE"
      "WAIT_LOOP: mbarrier.test_wait.parity.shared.b64 %p4, [%r20], 0; @!%p4 bra WAIT_LOOP;"
      "xor.b32 %r4, %r1, 128; add.u32 %r4, %r4, %r2; ld.shared.u32 %r5, [%r4]; add.u64 %rd4, %rd1, "
      "%rd2; st.global.u32 [%rd4], %r5;";
  auto with = [&](const std::string &arrive) {
    std::string s = body;
    s.replace(s.find("ARRIVE"), 6, arrive);
    return ".shared .align 8 .b64 bar;\n" + s;
  };
  for (Delivery d : {Delivery::Early, Delivery::Late, Delivery::Random}) {
    machine.options().delivery = d;
    expectClean(with("cp.async.mbarrier.arrive.noinc.shared.b64 [%r20];"));
    EXPECT_EQ(download<uint32_t>(output, 64), std::vector<uint32_t>(64, 7u));
    expectClean(with(
        "cp.async.mbarrier.arrive.shared.b64 [%r20]; mbarrier.arrive.shared.b64 %rd9, [%r20];"));
    // Without it the mbarrier knows nothing of the copies.
    expectKind(with("mbarrier.arrive.shared.b64 %rd9, [%r20];"), "race");
  }
}

TEST_F(Check, MbarriersAreOpaque) {
  std::string init = "setp.eq.u32 %p0, %r0, 0; add.u32 %r3, %r2, 1024;\n@%p0 "
                     "mbarrier.init.shared.b64 [%r3], 64; bar.sync 0;\n";
  for (const char *access :
       {"ld.shared.u32 %r5, [%r3];", "ld.shared.v4.u32 {%r5,%r6,%r7,%r8}, [%r3];",
        "@%p0 st.shared.u8 [%r3+7], %r0;", "@%p0 st.shared.v2.u64 [%r3], {%rd2, %rd2};",
        "atom.shared.add.u32 %r5, [%r3+4], 1;", "ld.shared.u16 %h1, [%r3+6];",
        "@%p0 cp.async.cg.shared.global [%r3], [%rd0], 16; cp.async.wait_all;",
        "@%p0 cp.async.ca.shared.global [%r3+4], [%rd0], 4; cp.async.wait_all;"})
    expectKind(init + access, "mbarrier-access", "touches the mbarrier at shared address");
  // Next to it, and after its end.
  std::string next =
      "@%p0 st.shared.u32 [%r3+8], %r0; @%p0 st.shared.u32 [%r3+-4], %r0; bar.sync 0; "
      "ld.shared.u32 %r5, [%r3+8]; ld.shared.u32 %r6, [%r3+-4];\n";
  expectClean(init + next);
  expectClean(init +
              "@%p0 mbarrier.inval.shared.b64 [%r3]; @%p0 st.shared.u32 [%r3], %r0; bar.sync 0; "
              "ld.shared.u32 %r5, [%r3];");
  expectKind(init + "@%p0 mbarrier.inval.shared.b64 [%r3]; bar.sync 0; ld.shared.u32 %r5, [%r3];",
             "uninitialized-read");
}

TEST_F(Check, DivergentCollectives) {
  expectKind("setp.lt.u32 %p0, %r0, 16; @%p0 bra L; bra.uni M; L: shfl.sync.bfly.b32 %r3, %r0, 1, "
             "31, -1; M:",
             "divergent-collective", "names lanes 0xffffffff, but only lanes 0x0000ffff");
  expectClean("setp.lt.u32 %p0, %r0, 16; @%p0 bra L; bra.uni M; L: shfl.sync.bfly.b32 %r3, %r0, 1, "
              "31, 65535; M:",
              32);
  expectKind("setp.lt.u32 %p0, %r0, 16; @%p0 bar.sync 0;", "divergent-barrier");
  expectKind(
      "setp.lt.u32 %p0, %r0, 16; mov.u32 %r3, 0; mov.u32 %r4, 0; mov.u32 %r5, 0; mov.u32 %r6, 0;"
      "mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0;"
      "@%p0 mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r3,%r4}, "
      "{%r5}, {%f0,%f1,%f2,%f3};",
      "divergent-collective", "mma.sync");
  expectKind("shfl.sync.idx.b32 %r3, %r0, 20, 31, 65535;", "inactive-lane", "", 16);
}

TEST_F(Check, GroupsOfLanes) {
  // Each half of the warp names itself, as tiles of cooperative groups do.
  std::string halves = "and.b32 %r3, %r0, 16; setp.eq.u32 %p0, %r3, 0; and.b32 %r4, %r0, 3; "
                       "setp.eq.u32 %p1, %r4, 1; selp.b32 %r5, 0xffff, 0xffff0000, %p0;\n"
                       "add.u64 %rd3, %rd1, %rd2;\n",
              end = "\nst.global.u32 [%rd3], %r6;";
  auto expect = [&](const char *text, auto want) {
    expectClean(halves + text + end, 32);
    auto got = download<uint32_t>(output, 32);
    for (uint32_t l = 0; l < 32; ++l)
      EXPECT_EQ(got[l], want(l)) << text << " lane " << l;
  };
  expect("redux.sync.add.u32 %r6, %r0, %r5;", [](uint32_t l) { return l < 16 ? 120u : 376u; });
  expect("vote.sync.ballot.b32 %r6, %p1, %r5;",
         [](uint32_t l) { return l < 16 ? 0x2222u : 0x22220000u; });
  expect("vote.sync.all.pred %p2, %p0, %r5; selp.u32 %r6, 1, 0, %p2;",
         [](uint32_t l) { return l < 16 ? 1u : 0u; });
  expect("match.any.sync.b32 %r6, %r4, %r5;",
         [](uint32_t l) { return 0x1111u << (l & 3) << (l & 16); });
  expect("match.all.sync.b32 %r6|%p2, %r3, %r5; @!%p2 trap;",
         [](uint32_t l) { return l < 16 ? 0xffffu : 0xffff0000u; });
  expect("shfl.sync.bfly.b32 %r6, %r0, 5, 0x101f, %r5;", [](uint32_t l) { return l ^ 5; });
  expect("bar.warp.sync %r5; mov.u32 %r6, %r0;", [](uint32_t l) { return l; });
  expect("mov.u32 %r6, %r5; vote.sync.ballot.b32 %r6, %p1, %r6;", // over its own mask
         [](uint32_t l) { return l < 16 ? 0x2222u : 0x22220000u; });
  const char *kind = "divergent-collective";
  expectKind(halves + "shfl.sync.bfly.b32 %r6, %r0, 16, 31, %r5;" + end, "inactive-lane",
             "reads lane 16", 32);
  expectKind("redux.sync.add.u32 %r6, %r0, 0xffff;", kind, "not the lane that executes it", 32);
  expectKind(halves + "selp.b32 %r5, %r5, -1, %p0; vote.sync.ballot.b32 %r6, %p1, %r5;", kind,
             "with another mask", 32);
  expectKind("and.b32 %r3, %r0, 1; bar.sync %r3;", "invalid-operand", "different barriers");
}

TEST_F(Check, ReconvergenceAfterABranch) {
  // Both sides of the branch meet again, so the full-mask shuffle is legal.
  expectClean("setp.lt.u32 %p0, %r0, 16; mov.u32 %r3, 1; @%p0 bra L; mov.u32 %r3, 2; L: "
              "shfl.sync.idx.b32 %r4, %r3, 31, 31, -1;"
              "add.u64 %rd4, %rd1, %rd2; st.global.u32 [%rd4], %r4;",
              32);
  EXPECT_EQ(download<uint32_t>(output, 32), std::vector<uint32_t>(32, 2u));
}

TEST_F(Check, BarrierMisuse) {
  // As constants they are refused when the module is loaded.
  expectKind("mov.u32 %r3, 16; bar.sync %r3;", "invalid-operand", "there are 16");
  expectKind("mov.u32 %r3, 48; bar.sync 1, %r3;", "invalid-operand", "multiple of 32");
  expectKind("setp.lt.u32 %p0, %r0, 32; @%p0 bar.sync 1, 64; @!%p0 bar.sync 1, 32;",
             "barrier-mismatch");
}

TEST_F(Check, BarriersThatReduceKeepToThemselves) {
  std::string begin = "setp.lt.u32 %p0, %r0, 32; setp.eq.u32 %p1, %r0, 3; @%p0 bra A;\n",
              red = "bar.red.popc.u32 %r5, 1, %p1;";
  expectClean(begin + red + "bra B; A:" + red + "B:");
  expectKind(begin + "bar.sync 1; bra B; A:" + red + "B:", "barrier-mismatch",
             "only .sync and .arrive");
  expectKind(begin + "bar.red.or.pred %p2, 1, %p1; bra B; A:" + red + "B:", "barrier-mismatch");
}

TEST_F(Check, DeadlockNamesWhoWaits) {
  LaunchResult r = execute("setp.lt.u32 %p0, %r0, 32; @%p0 bar.sync 1, 64; @!%p0 bar.sync 2, 64;");
  EXPECT_EQ(r.kind, "deadlock");
  EXPECT_NE(r.report.find("warp 0 waits at barrier 1, where 32 of 64 threads have arrived"),
            std::string::npos)
      << r.report;
  EXPECT_NE(r.report.find("warp 1 waits at barrier 2"), std::string::npos) << r.report;
  // A warp that has left does not block a barrier for all threads.
  expectClean("setp.lt.u32 %p0, %r0, 32; @%p0 ret; bar.sync 0;");
  expectKind("setp.lt.u32 %p0, %r0, 32; @%p0 ret; bar.sync 1, 64;", "deadlock", "warp 0 has ended");
}

TEST_F(Check, WritesToReadOnlyData) {
  expectKind("ld.global.nc.u32 %r3, [%rd0]; st.global.u32 [%rd0], %r3;", "write-to-read-only");
  expectClean("ld.global.nc.u32 %r3, [%rd0]; st.global.u32 [%rd0+64], %r3;");
  expectClean("ld.global.u32 %r3, [%rd0]; st.global.u32 [%rd0], %r3;");
}

TEST_F(Check, TrapAndDivision) {
  expectKind("setp.eq.u32 %p0, %r0, 5; @%p0 trap;", "trap", "lane 5");
  expectClean(
      "mov.u32 %r3, 0; div.u32 %r4, %r0, %r3; rem.s32 %r5, %r0, %r3;"); // unspecified, but no fault
}

TEST_F(Check, ReportsCarryLineAndSource) {
  std::string text = kernel(".loc 1 42 0\nst.shared.u32 [%r2+8192], %r0;");
  text.insert(text.find(".visible"), ".file 1 \"attention.py\"\n");
  auto module = machine.load(text);
  LaunchResult r =
      run(*module, "k", {{1}, {1}}, Params().add(upload(std::vector<int>(1))).add(uint64_t(0)));
  EXPECT_NE(r.report.find("(attention.py:42): st.shared.u32 [%r2+8192], %r0"), std::string::npos)
      << r.report;
  EXPECT_EQ(r.line, 20u) << r.report;
}

TEST_F(Check, InvalidLaunches) {
  auto module = machine.load(kernel(""));
  Params p = Params().add(uint64_t(0)).add(uint64_t(0));
  EXPECT_EQ(run(*module, "k", {{1}, {1025}}, p).kind, "invalid-launch");
  EXPECT_EQ(run(*module, "k", {{0}, {32}}, p).kind, "invalid-launch");
  EXPECT_EQ(run(*module, "k", {{1}, {32}, 170000}, p).kind, "invalid-launch");
  EXPECT_EQ(run(*module, "k", {{1}, {32}}, Params()).kind, "invalid-launch");
  EXPECT_TRUE(run(*module, "k", {{1}, {32}}, p).ok);
}

} // namespace attnc::emu::test

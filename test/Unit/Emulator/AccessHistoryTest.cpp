// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The thorough race detector: races between lanes of one warp, and in global memory between warps
// and blocks, each next to the synchronization that PTX offers against it.
#include "InstructionTest.h"
#include "attnc/Emulator/TensorMap.h"

namespace attnc::emu::test {

class Thorough : public Instructions {
protected:
  Thorough() : Instructions("sm_90a") { machine.options().thorough = true; }
  /// %rd0 the word `out[0]`, %rd1 `out[tid]`, %rd2 `flag`, %rd3 `out[tid of the other warp]`,
  /// %r0 thread, %r1 block, %r2 shared tile, %r3 tile + 4 * tid; %p0 thread 0, %p1 block 0,
  /// %p2 warp 0, %p3 thread 0 of block 0.
  std::string text(const std::string &body) {
    return ".version 8.7\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 out, "
           ".param .u64 flag) {\n.reg .b16 %h<4>;\n.reg .b32 %r<40>;\n.reg .b64 %rd<20>;\n"
           ".reg .pred %p<10>;\n.shared .align 128 .b8 tile[4096];\nld.param.u64 %rd0, [out];\n"
           "ld.param.u64 %rd2, [flag];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\n"
           "mov.u32 %r2, tile;\nshl.b32 %r4, %r0, 2;\nadd.u32 %r3, %r2, %r4;\n"
           "cvt.u64.u32 %rd4, %r4;\nadd.u64 %rd1, %rd0, %rd4;\nxor.b64 %rd5, %rd4, 128;\n"
           "add.u64 %rd3, %rd0, %rd5;\nsetp.eq.u32 %p0, %r0, 0;\nsetp.eq.u32 %p1, %r1, 0;\n"
           "setp.lt.u32 %p2, %r0, 32;\nsetp.eq.and.u32 %p3, %r0, 0, %p1;\n" +
           body + "\nret;\n}\n";
  }
  LaunchResult execute(const std::string &body, uint32_t grid, uint32_t threads) {
    std::string ptx = text(body);
    assemble(ptx);
    auto module = machine.load(ptx);
    out = upload(std::vector<uint32_t>(1024, 0));
    uint64_t flag = upload(std::vector<uint32_t>(64, 0));
    return run(*module, "k", {{grid}, {threads}}, Params().add(out).add(flag));
  }
  void expectRace(const std::string &body, const char *words, uint32_t grid = 1,
                  uint32_t threads = 64) {
    LaunchResult r = execute(body, grid, threads);
    EXPECT_EQ(r.kind, "race") << body << r.report;
    EXPECT_NE(r.report.find(words), std::string::npos) << body << r.report;
    // It takes the thorough mode.
    machine.options().thorough = false;
    EXPECT_TRUE(execute(body, grid, threads).ok) << body;
    machine.options().thorough = true;
  }
  void expectClean(const std::string &body, uint32_t grid = 1, uint32_t threads = 64) {
    LaunchResult r = execute(body, grid, threads);
    EXPECT_TRUE(r.ok) << body << r.report;
  }
  uint64_t out = 0;
};

TEST_F(Thorough, LanesInSharedMemory) {
  auto body = [](const std::string &sync) {
    return "st.shared.u32 [%r3], %r0;\n" + sync +
           "xor.b32 %r5, %r4, 4; add.u32 %r5, %r5, %r2; "
           "ld.shared.u32 %r6, [%r5]; st.global.u32 [%rd1], %r6;";
  };
  expectRace(body(""), "no bar.warp.sync", 1, 32);
  expectClean(body("bar.warp.sync -1;"), 1, 32);
  expectClean(body("bar.sync 0;"), 1, 32);
  // A shuffle is no memory barrier.
  expectRace(body("shfl.sync.idx.b32 %r7, %r0, 0, 31, -1;"), "no bar.warp.sync", 1, 32);
  // Own data needs nothing.
  expectClean("st.shared.u32 [%r3], %r0; ld.shared.u32 %r6, [%r3]; st.shared.u32 [%r3], %r6;");
  // Write after read and write after write.
  expectRace("st.shared.u32 [%r3], %r0; bar.warp.sync -1; ld.shared.u32 %r5, [%r2]; @%p0 "
             "st.shared.u32 [%r2], %r5;",
             "write after read", 1, 32);
  expectClean("st.shared.u32 [%r3], %r0; bar.warp.sync -1; ld.shared.u32 %r5, [%r2]; "
              "bar.warp.sync -1; @%p0 st.shared.u32 [%r2], %r5;",
              1, 32);
  expectRace("st.shared.u32 [%r3], %r0; @%p0 st.shared.u32 [%r2+4], %r0;", "write after write", 1,
             32);
  // Halves of a word are different places; one instruction of many lanes at one place is allowed.
  expectClean("shl.b32 %r5, %r0, 1; add.u32 %r5, %r5, %r2; cvt.u16.u32 %h0, %r0; st.shared.u16 "
              "[%r5], %h0; ld.shared.u16 %h1, [%r5];",
              1, 32);
  expectClean("st.shared.u32 [%r2], %r0;", 1, 32);
}

TEST_F(Thorough, LanesAndMatrices) {
  auto body = [](const std::string &sync) {
    return "shl.b32 %r5, %r0, 4; add.u32 %r5, %r5, %r2; st.shared.v4.u32 [%r5], "
           "{%r0,%r0,%r0,%r0};" +
           sync + "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r6,%r7,%r8,%r9}, [%r5];";
  };
  expectRace(body(""), "no bar.warp.sync", 1, 32);
  expectClean(body("bar.warp.sync -1;"), 1, 32);
}

TEST_F(Thorough, LanesInGlobalMemory) {
  std::string write = "st.global.u32 [%rd1], %r0;\n", read = "ld.global.u32 %r6, [%rd0];";
  expectRace(write + read, "no bar.warp.sync", 1, 32);
  expectClean(write + "bar.warp.sync -1;" + read, 1, 32);
}

TEST_F(Thorough, WarpsInGlobalMemory) {
  std::string write = "st.global.u32 [%rd1], %r0;\n", read = "ld.global.u32 %r6, [%rd3];";
  LaunchResult r = execute("@%p2 " + write + "@!%p2 " + read, 1, 64);
  EXPECT_EQ(r.kind, "race");
  EXPECT_NE(r.report.find("is not ordered after warp 0 lane 0\n"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("st.global.u32"), std::string::npos) << r.report;
  expectClean("@%p2 " + write + "bar.sync 0; @!%p2 " + read);
  expectRace("@%p2 ld.global.u32 %r6, [%rd3]; @!%p2 " + write, "write after read");
  expectClean("ld.global.u32 %r6, [%rd3]; bar.sync 0;" + write);
  expectRace("@%p2 st.global.u32 [%rd1], %r0; @!%p2 st.global.u32 [%rd3], %r0;",
             "write after write");
  // cp.async reads global memory.
  expectRace("@%p2 " + write +
                 "@!%p2 cp.async.ca.shared.global [%r3], [%rd3], 4; cp.async.wait_all;",
             "read");
}

TEST_F(Thorough, BlocksInGlobalMemory) {
  // Both blocks write the same words; bar.sync knows nothing of other blocks. The same value from
  // both is no race.
  expectRace("add.u32 %r7, %r0, %r1; st.global.u32 [%rd1], %r7; bar.sync 0;",
             "no release and acquire", 2);
  expectClean("st.global.u32 [%rd1], %r0; bar.sync 0;", 2);
  expectRace("@%p1 st.global.u32 [%rd1], %r0; @!%p1 ld.global.u32 %r6, [%rd1];", "of block (0,0,0)",
             2);
  expectRace("@%p1 ld.global.u32 %r6, [%rd1]; @!%p1 st.global.u32 [%rd1], %r0;", "write after read",
             2);
  expectClean("ld.global.u32 %r6, [%rd1];", 2);
  // Atomics do not race with each other, but with plain accesses.
  expectClean("red.global.add.u32 [%rd0], 1; atom.global.max.u32 %r6, [%rd1], %r0;", 2);
  expectRace("@%p3 st.global.u32 [%rd0], %r0; @!%p1 red.global.add.u32 [%rd0], 1;",
             "write after write", 2);
}

/// Block 0 writes and raises the flag; block 1 waits for the flag and reads.
static std::string handOver(const std::string &signal, const std::string &poll) {
  return "@!%p1 bra CONSUMER;\nst.global.u32 [%rd1], %r0;\nbar.sync 0;\nmov.u32 %r10, 1;\n" +
         signal + "bra END;\nCONSUMER: @!%p0 bra JOIN;\nSPIN: " + poll +
         "setp.ne.u32 %p4, %r11, 1; @%p4 bra SPIN;\nAFTER\nJOIN: bar.sync 0;\n"
         "ld.global.u32 %r6, [%rd3];\nEND:";
}
static std::string with(std::string s, const std::string &after) {
  return s.replace(s.find("AFTER"), 5, after);
}

TEST_F(Thorough, ReleaseAndAcquire) {
  std::string release = "@%p0 st.release.gpu.global.u32 [%rd2], %r10;\n",
              acquire = "ld.acquire.gpu.global.u32 %r11, [%rd2];\n",
              relaxedWrite = "@%p0 st.relaxed.gpu.global.u32 [%rd2], %r10;\n",
              relaxedRead = "ld.relaxed.gpu.global.u32 %r11, [%rd2];\n",
              fence = "fence.acq_rel.gpu;\n";
  expectClean(with(handOver(release, acquire), ""), 2);
  expectClean(with(handOver("@%p0 red.release.gpu.global.add.u32 [%rd2], 1;\n", acquire), ""), 2);
  expectClean(with(handOver(release, "atom.acquire.gpu.global.or.b32 %r11, [%rd2], 0;\n"), ""), 2);
  // Relaxed accesses synchronize with fences around them.
  expectClean(with(handOver(fence + relaxedWrite, relaxedRead), fence), 2);
  expectClean(with(handOver("membar.gl;\n@%p0 st.volatile.global.u32 [%rd2], %r10;\n",
                            "ld.volatile.global.u32 %r11, [%rd2];\n"),
                   "membar.gl;"),
              2);
  expectClean(with(handOver(fence + "@%p0 red.global.add.u32 [%rd2], 1;\n", acquire), ""), 2);
  const char *why = "no release and acquire orders the two blocks";
  expectRace(with(handOver(relaxedWrite, acquire), ""), why, 2);
  expectRace(with(handOver(release, relaxedRead), ""), why, 2);
  expectRace(with(handOver(fence + relaxedWrite, relaxedRead), ""), why, 2);
  expectRace(with(handOver(relaxedWrite, relaxedRead), fence), why, 2);
  expectRace(with(handOver("fence.acq_rel.cta;\n" + relaxedWrite, acquire), ""), why, 2);
  expectRace(with(handOver("@%p0 st.release.cta.global.u32 [%rd2], %r10;\n", acquire), ""), why, 2);
}

TEST_F(Thorough, TheLastBlockReduces) {
  // Every block writes its part, then counts itself; the last one reads all parts.
  auto body = [](const char *fenceBefore, const char *fenceAfter) {
    return "shl.b32 %r12, %r1, 8; cvt.u64.u32 %rd6, %r12; add.u64 %rd7, %rd1, %rd6;\n"
           "st.global.u32 [%rd7], %r0;\n" +
           std::string(fenceBefore) +
           "bar.sync 0; @!%p0 bra W; atom.global.add.u32 %r13, [%rd2], 1; " + fenceAfter +
           "st.shared.u32 [%r2], %r13; W: bar.sync 0; ld.shared.u32 %r14, [%r2]; mov.u32 %r15, "
           "%nctaid.x; sub.u32 %r15, %r15, 1; setp.ne.u32 %p5, %r14, %r15; @%p5 ret;\n"
           "ld.global.u32 %r16, [%rd1]; ld.global.u32 %r17, [%rd1+256]; ld.global.u32 %r18, "
           "[%rd1+512];";
  };
  // The fence of thread 0 after the barrier covers the writes of its block.
  expectClean(body("bar.sync 0; fence.acq_rel.gpu;", "fence.acq_rel.gpu;"), 3);
  expectRace(body("", "fence.acq_rel.gpu;"), "no release", 3);
  expectRace(body("bar.sync 0; fence.acq_rel.gpu;", ""), "no release", 3);
}

TEST_F(Thorough, BulkStores) {
  // Both blocks store the same 256 bytes; a reduction may overlap another.
  auto body = [](const char *store) {
    return std::string("st.shared.u32 [%r3], %r0; fence.proxy.async; bar.sync 0; @%p0 ") + store +
           " [%rd0], [%r2], 256; cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;";
  };
  std::string copy = "cp.async.bulk.global.shared::cta.bulk_group";
  expectClean(body(copy.c_str()), 1);
  expectRace(body(copy.c_str()), "the bulk copy issued by warp 0", 2);
  expectClean(body("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32"), 2);
  // In one block the store must have completed before others read.
  std::string read = "ld.global.u32 %r6, [%rd1];";
  expectRace(body(copy.c_str()) + read, "the bulk copy", 1);
  expectClean(body(copy.c_str()) + "bar.sync 0;" + read, 1);
}

TEST_F(Thorough, ClustersShareClocks) {
  std::string ptx = text("@%p1 st.global.u32 [%rd1], %r0; barrier.cluster.arrive.aligned; "
                         "barrier.cluster.wait.aligned; @!%p1 ld.global.u32 %r6, [%rd1];");
  auto module = machine.load(ptx);
  uint64_t a = upload(std::vector<uint32_t>(1024, 0));
  LaunchConfig two{{2}, {64}, 0, {2}};
  LaunchResult r = run(*module, "k", two, Params().add(a).add(a + 512));
  EXPECT_TRUE(r.ok) << r.report;
  two.cluster = {};
  EXPECT_EQ(run(*module, "k", two, Params().add(a).add(a + 512)).kind, "race");
}

TEST_F(Thorough, CopiesOfOtherLanes) {
  // Each lane copies its sixteen bytes and reads those of its neighbour.
  auto body = [](const std::string &before, const std::string &after) {
    return "shl.b32 %r5, %r0, 4; cvt.u64.u32 %rd6, %r5; add.u64 %rd6, %rd6, %rd0; add.u32 %r6, "
           "%r2, "
           "%r5; xor.b32 %r7, %r5, 16; add.u32 %r7, %r7, %r2;\ncp.async.cg.shared.global [%r6], "
           "[%rd6], 16; cp.async.commit_group; " +
           before + "cp.async.wait_group 0; " + after +
           "ld.shared.u32 %r9, [%r7]; st.global.u32 [%rd1+1024], %r9;";
  };
  expectRace(body("", ""), "the asynchronous copy issued by warp 0 lane 1", 1, 32);
  expectRace(body("bar.warp.sync -1;", ""), "no bar.warp.sync", 1, 32);
  expectRace(body("bar.sync 0;", ""), "no bar.warp.sync", 1, 32);
  expectClean(body("", "bar.warp.sync -1;"), 1, 32);
  expectClean(body("", "bar.sync 0;"), 1, 64);
  // The next copy over what another lane still reads.
  auto again = [&](const std::string &sync) {
    return body("", "bar.warp.sync -1;") + sync +
           "cp.async.cg.shared.global [%r6], [%rd6], 16; cp.async.wait_all;";
  };
  expectRace(again(""), "write after read", 1, 32);
  expectClean(again("bar.warp.sync -1;"), 1, 32);
}

TEST_F(Thorough, CopiesThatArriveAtAnMbarrier) {
  // Warp 0 copies and tells the mbarrier, warp 1 waits there and reads. Nobody waits for a group.
  auto body = [](const std::string &wait) {
    return "@%p0 mbarrier.init.shared.b64 [%r2+2048], 32; add.u32 %r8, %r2, 2048; bar.sync 0; "
           "and.b32 "
           "%r10, %r0, 31; shl.b32 %r5, %r10, 4; cvt.u64.u32 %rd6, %r5; add.u64 %rd6, %rd6, %rd0; "
           "add.u32 %r6, %r2, %r5;\n@%p2 cp.async.cg.shared.global [%r6], [%rd6], 16; @%p2 "
           "cp.async.mbarrier.arrive.noinc.shared.b64 [%r8]; @%p2 bra E;\n" +
           wait +
           "xor.b32 %r7, %r6, 16; ld.shared.u32 %r9, [%r7]; st.global.u32 [%rd1+1024], %r9;\n" +
           "E: cp.async.wait_all;";
  };
  expectClean(body("L: mbarrier.try_wait.parity.shared.b64 %p6, [%r8], 0; @!%p6 bra L;\n"));
  EXPECT_FALSE(execute(body(""), 1, 64).ok);
}

/// Proxies. `expectFence`: a check of any mode notices that the fence is missing.
class ProxyFence : public Thorough {
protected:
  void expectFence(const std::string &body, const char *words, uint32_t grid = 1,
                   uint32_t threads = 64) {
    LaunchResult r = execute(body, grid, threads);
    EXPECT_EQ(r.kind, "missing-proxy-fence") << body << r.report;
    EXPECT_NE(r.report.find(words), std::string::npos) << body << r.report;
  }
  const std::string init = "@%p0 mbarrier.init.shared.b64 [%r2+2048], 1; add.u32 %r8, %r2, 2048;\n";
  /// Thread 0 asks for `out` or `out + 128` into the tile and everybody waits for it.
  std::string load(const char *from = "%rd0") {
    return std::string(
               "@%p0 mbarrier.arrive.expect_tx.shared.b64 %rd10, [%r8], 256;\n@%p0 "
               "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r2], [") +
           from +
           "], 256, [%r8];\nL: mbarrier.try_wait.parity.shared.b64 %p6, [%r8], 0; @!%p6 bra L;\n"
           "ld.shared.u32 %r9, [%r3]; st.global.u32 [%rd1+1024], %r9;\n";
  }
  const std::string store = "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [%r2], 256; "
                            "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;\n";
};

TEST_F(ProxyFence, CopyOverOrdinaryWritesInSharedMemory) {
  auto body = [&](const std::string &before, const std::string &after) {
    return init + "st.shared.u32 [%r3], %r0;" + before + "bar.sync 0;" + after + load();
  };
  for (bool thorough : {false, true}) {
    machine.options().thorough = thorough;
    expectFence(body("", ""), "asynchronous write at");
    expectFence(body("fence.proxy.async.global;", ""), "asynchronous write at");
    expectClean(body("fence.proxy.async;", ""));
    expectClean(body("fence.proxy.async.shared::cta;", ""));
    // The thread that asks for the copy may fence what the barrier has ordered before.
    expectClean(body("", "@%p0 fence.proxy.async.shared::cluster;"));
    // What was only read needs no fence; what a copy wrote needs none either.
    expectClean(init + "bar.sync 0;" + load());
  }
}

TEST_F(ProxyFence, IsOneThreads) {
  machine.options().thorough = false;
  auto body = [&](const std::string &sync) {
    return "st.shared.u32 [%r3], %r0;" + sync + "bar.sync 0; @!%p0 ret;" + store;
  };
  expectClean(body("fence.proxy.async.shared::cta;"));
  expectFence(body("@%p2 fence.proxy.async;"), "by warp 1 lane 0");
  expectFence(body("fence.proxy.async.global;"), "asynchronous read at");
  expectFence(body("@%p0 fence.proxy.async;"), "by warp 0 lane 1", 1, 64);
  expectFence(body("setp.lt.u32 %p5, %r0, 63; @%p5 fence.proxy.async;"), "by warp 1 lane 31");
  expectFence(body("setp.lt.u32 %p5, %r0, 48; @%p5 fence.proxy.async.shared::cta; @!%p5 "
                   "fence.proxy.async.global;"),
              "by warp 1 lane 16");
  // All lanes, one after the other; one for all, after they have met.
  expectClean(body("setp.lt.u32 %p5, %r0, 40; @%p5 fence.proxy.async; @!%p5 fence.proxy.async;"));
  expectClean(body("bar.warp.sync -1; and.b32 %r5, %r0, 31; setp.eq.u32 %p5, %r5, 3; @%p5 "
                   "fence.proxy.async;"));
  // A lane that writes for itself fences for itself, seen from its own and from another warp.
  const char *four = "@%p5 st.shared.v4.u32 [%r2], {%r0, %r0, %r0, %r0}; ";
  for (const char *issuer : {"@!%p0 ret;", "setp.ne.u32 %p7, %r0, 32; @%p7 ret;"}) {
    std::string rest = std::string("bar.sync 0;") + issuer;
    std::string copy = "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [%r2], 16; "
                       "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;\n";
    std::string lane5 = "setp.eq.u32 %p5, %r0, 5; setp.eq.u32 %p6, %r0, 6;";
    expectClean(lane5 + four + "@%p5 fence.proxy.async;" + rest + copy);
    expectFence(lane5 + four + "@%p6 fence.proxy.async;" + rest + copy, "by warp 0 lane 5");
    expectFence(lane5 + "@%p5 fence.proxy.async;" + four + rest + copy, "by warp 0 lane 5");
  }
}

TEST_F(ProxyFence, CopyOfOrdinaryWritesInGlobalMemory) {
  auto body = [&](const std::string &before, const std::string &after) {
    return init + "st.global.u32 [%rd1], %r0; " + before + "bar.sync 0;" + after + load();
  };
  expectFence(body("", ""), "asynchronous read at global");
  expectFence(body("fence.proxy.async.shared::cta;", ""), "by warp 0 lane 0");
  expectFence(body("@%p0 fence.proxy.async;", ""), "by warp 0 lane 1");
  expectClean(body("fence.proxy.async;", ""));
  expectClean(body("fence.proxy.async.global;", ""));
  expectClean(body("", "@%p0 fence.proxy.async.global;"));
  expectClean(init + "st.global.u32 [%rd1+512], %r0; bar.sync 0;" + load());
  // Over them.
  auto over = [&](const std::string &fence) {
    return "st.global.u32 [%rd1], %r0; st.shared.u32 [%r3], %r0; fence.proxy.async.shared::cta;" +
           fence + "bar.sync 0; @!%p0 ret;" + store;
  };
  expectFence(over(""), "asynchronous write at global");
  expectClean(over("fence.proxy.async.global;"));
  // A copy waits for another in order; ordinary reads come after all of it, not only its reads.
  auto back = [&](const std::string &wait) {
    return "st.shared.u32 [%r3], %r0; fence.proxy.async; bar.sync 0; @%p0 "
           "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [%r2], 256; "
           "cp.async.bulk.commit_group; cp.async.bulk.wait_group" +
           wait + " 0; bar.sync 0; ld.global.u32 %r9, [%rd1]; cp.async.bulk.wait_group 0;";
  };
  expectClean(back(""));
  expectRace(back(".read"), "the bulk copy issued by warp 0");
}

TEST_F(ProxyFence, AcrossBlocks) {
  auto body = [&](const std::string &writer, const std::string &reader) {
    return init + "bar.sync 0; @!%p1 bra R; st.global.u32 [%rd1], %r0;" + writer +
           "bar.sync 0; @%p0 st.release.gpu.global.u32 [%rd2], 1; ret;\n"
           "R: ld.acquire.gpu.global.u32 %r5, [%rd2]; setp.eq.u32 %p5, %r5, 0; @%p5 bra R;\n"
           "bar.sync 0;" +
           reader + load();
  };
  expectFence(body("", ""), "of block (0,0,0)", 2);
  expectFence(body("fence.proxy.async.shared::cta;", ""), "of block (0,0,0)", 2);
  expectClean(body("fence.proxy.async;", ""), 2);
  expectClean(body("", "@%p0 fence.proxy.async.global;"), 2);
}

// Copies complete in any order, so waiting for one says nothing of those asked for before it.
TEST_F(ProxyFence, EachMbarrierIsItsOwn) {
  machine.options().thorough = false;
  std::string two = "@%p0 mbarrier.init.shared.b64 [%r2+2048], 1; @%p0 mbarrier.init.shared.b64 "
                    "[%r2+2056], 1; add.u32 %r8, %r2, 2048; bar.sync 0;\n"
                    "@%p0 mbarrier.arrive.expect_tx.shared.b64 %rd10, [%r8], 256;\n"
                    "@%p0 mbarrier.arrive.expect_tx.shared.b64 %rd10, [%r8+8], 256;\n";
  std::string load = "@%p0 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes ";
  std::string loads =
      two + load + "[%r2], [%rd0], 256, [%r8];\n" + load + "[%r2+256], [%rd0+256], 256, [%r8+8];\n";
  auto wait = [](const std::string &offset) {
    return "L" + offset + ": mbarrier.try_wait.parity.shared.b64 %p6, [%r8+" + offset +
           "], 0; @!%p6 bra L" + offset + ";\n";
  };
  std::string first = "ld.shared.u32 %r9, [%r3]; st.global.u32 [%rd1+1024], %r9;\n",
              second = "ld.shared.u32 %r9, [%r3+256]; st.global.u32 [%rd1+1024], %r9;\n";
  for (Delivery delivery : {Delivery::Early, Delivery::Late}) {
    machine.options().delivery = delivery;
    expectClean(loads + wait("0") + first + wait("8") + second);
    expectClean(loads + wait("8") + second + wait("0") + first);
    for (auto &[waited, read] : {std::pair{wait("8"), first}, std::pair{wait("0"), second}}) {
      LaunchResult r = execute(loads + waited + read, 1, 64);
      EXPECT_EQ(r.kind, "missing-wait") << r.report;
      EXPECT_NE(r.report.find("no wait for the mbarrier"), std::string::npos) << r.report;
    }
    // A store that still reads is not finished by a load.
    std::string store = "st.shared.u32 [%r3+512], %r0; fence.proxy.async; bar.sync 0; @%p0 "
                        "cp.async.bulk.global.shared::cta.bulk_group [%rd0+2048], [%r2+512], 256; "
                        "@%p0 cp.async.bulk.commit_group;\n";
    std::string end = "st.shared.u32 [%r3+512], %r0; cp.async.bulk.wait_group 0;\n";
    expectClean(store + loads + wait("0") + wait("8") + first +
                "cp.async.bulk.wait_group.read 0; bar.sync 0;" + end);
    LaunchResult r =
        execute(store + loads + wait("0") + wait("8") + first + "bar.sync 0;" + end, 1, 64);
    EXPECT_NE(r.report.find("write after read"), std::string::npos) << r.report;
  }
}

// An mbarrier inside of what a bulk copy writes or reads.
TEST_F(ProxyFence, MbarriersAreOpaque) {
  machine.options().thorough = false;
  std::string second = "@%p0 mbarrier.init.shared.b64 [%r2+64], 1; fence.proxy.async; bar.sync 0;";
  LaunchResult in = execute(init + second + load(), 1, 64);
  EXPECT_EQ(in.kind, "mbarrier-access") << in.report;
  LaunchResult from =
      execute("st.shared.u32 [%r3], %r0; bar.sync 0;" + second + "@!%p0 ret;" + store, 1, 64);
  EXPECT_EQ(from.kind, "mbarrier-access") << from.report;
}

} // namespace attnc::emu::test

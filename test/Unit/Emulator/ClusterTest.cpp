// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Clusters of more than one block: special registers, the cluster barrier, distributed shared
// memory, multicast, and the checks that belong to them, each next to the program done right.
#include "InstructionTest.h"
#include "attnc/Emulator/TensorMap.h"

namespace attnc::emu::test {

class ClusterTest : public Instructions {
protected:
  ClusterTest() : Instructions("sm_90a") {}

  /// A kernel for `size` blocks per cluster: %r0 thread, %r1 rank, %r2 address of `tile` (4 KiB),
  /// %r3 address of `bar`, %r4 rank of the next block, %rd0 in, %rd1 out + 4 * (block * ntid +
  /// tid).
  std::string text(const std::string &body, int size) {
    return ".version 8.7\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 in, "
           ".param .u64 out, .param .align 64 .b8 map[128]) .reqnctapercluster " +
           std::to_string(size) +
           " {\n.reg .b16 %h<8>;\n.reg .b32 %r<40>;\n.reg .b64 %rd<20>;\n.reg .pred %p<10>;\n"
           ".shared .align 1024 .b8 tile[4096];\n.shared .align 8 .b64 bar;\n"
           "ld.param.u64 %rd0, [in];\nld.param.u64 %rd1, [out];\nmov.u32 %r0, %tid.x;\n"
           "mov.u32 %r1, %cluster_ctarank;\nmov.u32 %r2, tile;\nmov.u32 %r3, bar;\n"
           "add.u32 %r4, %r1, 1;\nmov.u32 %r5, %cluster_nctarank;\nrem.u32 %r4, %r4, %r5;\n"
           "mov.u32 %r6, %ctaid.x;\nmov.u32 %r7, %ntid.x;\nmad.lo.u32 %r6, %r6, %r7, %r0;\n"
           "mul.wide.u32 %rd2, %r6, 4;\nadd.u64 %rd1, %rd1, %rd2;\nshl.b32 %r8, %r0, 2;\n"
           "add.u32 %r9, %r2, %r8;\nsetp.eq.u32 %p0, %r0, 0;\n" +
           body + "\nret;\n}\n";
  }
  LaunchResult execute(const std::string &body, int size = 2, uint32_t threads = 64,
                       uint32_t grid = 4) {
    std::string ptx = text(body, size);
    assemble(ptx);
    auto module = machine.load(ptx);
    input = upload(std::vector<uint32_t>(1024, 7));
    output = reserve<uint32_t>(4096);
    Params p;
    p.add(input).add(output);
    p.bytes.resize(192);
    memcpy(&p.bytes[64], &map, 128);
    return run(*module, "k", {{grid}, {threads}}, p);
  }
  void expectKind(const std::string &body, const char *kind, const char *words = "", int size = 2) {
    LaunchResult r = execute(body, size);
    EXPECT_EQ(r.kind, kind) << r.report;
    EXPECT_NE(r.report.find(words), std::string::npos) << r.report;
  }
  void expectClean(const std::string &body, int size = 2, uint32_t threads = 64) {
    LaunchResult r = execute(body, size, threads);
    EXPECT_TRUE(r.ok) << r.report;
  }
  /// Under every delivery and two schedules.
  template <class F> void underAllPolicies(F f) {
    for (Delivery d : {Delivery::Early, Delivery::Late, Delivery::Random})
      for (bool shuffle : {false, true}) {
        machine.options().delivery = d;
        machine.options().shuffle = shuffle;
        f();
      }
  }
  TensorMap map{};
  uint64_t input = 0, output = 0;
};

static const char *meet = "barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;\n";

TEST_F(ClusterTest, SpecialRegisters) {
  std::string ptx =
      ".version 8.7\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 out) {\n"
      ".reg .b32 %r<20>;\n.reg .b64 %rd<4>;\n.reg .pred %p;\n"
      "ld.param.u64 %rd0, [out];\nmov.u32 %r0, %ctaid.x;\nmov.u32 %r1, %ctaid.y;\n"
      "mov.u32 %r2, %nctaid.x;\nmad.lo.u32 %r0, %r1, %r2, %r0;\nmul.wide.u32 %rd1, %r0, 64;\n"
      "add.u64 %rd0, %rd0, %rd1;\n";
  const char *names[] = {"%cluster_ctaid.x",  "%cluster_ctaid.y", "%cluster_nctaid.x",
                         "%cluster_nctaid.y", "%clusterid.x",     "%clusterid.y",
                         "%nclusterid.x",     "%nclusterid.y",    "%cluster_ctarank",
                         "%cluster_nctarank"};
  for (int i = 0; i < 10; ++i)
    ptx += "mov.u32 %r4, " + std::string(names[i]) + ";\nst.global.u32 [%rd0+" +
           std::to_string(4 * i) + "], %r4;\n";
  ptx += "mov.pred %p, %is_explicit_cluster;\nselp.u32 %r4, 1, 0, %p;\n"
         "st.global.u32 [%rd0+40], %r4;\nret;\n}\n";
  assemble(ptx);
  auto module = machine.load(ptx);
  uint64_t out = reserve<uint32_t>(16 * 6 * 4);
  LaunchConfig c{{6, 4}, {32}, 0, {3, 2}};
  LaunchResult r = run(*module, "k", c, Params().add(out));
  ASSERT_TRUE(r.ok) << r.report;
  for (uint32_t y = 0; y < 4; ++y)
    for (uint32_t x = 0; x < 6; ++x) {
      uint32_t rank = x % 3 + 3 * (y % 2);
      EXPECT_EQ(download<uint32_t>(out + 64 * (6 * y + x), 11),
                (std::vector<uint32_t>{x % 3, y % 2, 3, 2, x / 3, y / 2, 2, 2, rank, 6, 1}))
          << x << "," << y;
    }
}

TEST_F(ClusterTest, LaunchConfigurations) {
  auto module = machine.load(text("", 2));
  Params p = Params().add(uint64_t(0)).add(uint64_t(0));
  p.bytes.resize(192);
  EXPECT_TRUE(run(*module, "k", {{4}, {32}}, p).ok); // takes .reqnctapercluster
  EXPECT_EQ(run(*module, "k", {{4}, {32}, 0, {4}}, p).kind, "invalid-cluster");
  EXPECT_EQ(run(*module, "k", {{3}, {32}}, p).kind, "invalid-cluster");
  std::string free = text("", 2);
  free.erase(free.find(".reqnctapercluster 2"), 20);
  auto any = machine.load(free);
  EXPECT_TRUE(run(*any, "k", {{16}, {32}, 0, {8}}, p).ok);
  EXPECT_EQ(run(*any, "k", {{16}, {32}, 0, {16}}, p).kind, "invalid-cluster");
  EXPECT_TRUE(run(*any, "k", {{16}, {32}, 0, {16}, true}, p).ok);
}

/// Every block writes its tile; after the barrier each reads that of the next block.
static std::string ringRead(const std::string &barrier, const std::string &end) {
  return "mad.lo.u32 %r10, %r1, 1000, %r0; st.shared.u32 [%r9], %r10;\n" + barrier +
         "mapa.shared::cluster.u32 %r11, %r9, %r4; ld.shared::cluster.u32 %r12, [%r11];\n"
         "st.global.u32 [%rd1], %r12;\n" +
         end;
}

TEST_F(ClusterTest, DistributedSharedMemory) {
  for (int size : {2, 4})
    underAllPolicies([&] {
      expectClean(ringRead(meet, meet), size);
      auto got = download<uint32_t>(output, 4 * 64);
      for (uint32_t b = 0; b < 4; ++b)
        for (uint32_t t = 0; t < 64; ++t)
          ASSERT_EQ(got[64 * b + t], (b + 1) % uint32_t(size) * 1000 + t);
    });
  // 8 blocks of 1024 threads: more warps than fit the keys of a single block.
  LaunchResult r = execute(ringRead(meet, meet), 4, 1024);
  EXPECT_TRUE(r.ok) << r.report;
}

TEST_F(ClusterTest, GenericAddressesAndStores) {
  // mapa on a generic address, a generic store to the next block, rank and space queries.
  expectClean(std::string(meet) +
              "cvt.u64.u32 %rd3, %r9; cvta.shared.u64 %rd4, %rd3; mapa.u64 %rd5, %rd4, %r4;\n"
              "mad.lo.u32 %r10, %r1, 1000, %r0; st.u32 [%rd5], %r10;\n" +
              meet +
              "ld.shared.u32 %r12, [%r9]; getctarank.u64 %r13, %rd5; getctarank.u64 %r14, %rd4;\n"
              "isspacep.shared::cluster %p1, %rd5; isspacep.shared %p2, %rd5; isspacep.shared %p3, "
              "%rd4; isspacep.global %p4, %rd5;\n"
              "selp.u32 %r15, 1, 0, %p1; selp.u32 %r16, 2, 0, %p2; selp.u32 %r17, 4, 0, %p3; "
              "selp.u32 %r18, 8, 0, %p4; or.b32 %r15, %r15, %r16; or.b32 %r15, %r15, %r17;"
              "or.b32 %r15, %r15, %r18; shl.b32 %r13, %r13, 16; shl.b32 %r14, %r14, 20; "
              "shl.b32 %r15, %r15, 24; or.b32 %r12, %r12, %r13; or.b32 %r12, %r12, %r14; "
              "or.b32 %r12, %r12, %r15; st.global.u32 [%rd1], %r12;\n");
  auto got = download<uint32_t>(output, 128);
  for (uint32_t b = 0; b < 2; ++b)
    for (uint32_t t = 0; t < 64; ++t)
      ASSERT_EQ(got[64 * b + t], ((b ^ 1) * 1000 + t) | (b ^ 1) << 16 | b << 20 | 5u << 24);
  // The block's own memory by its address in the cluster.
  expectClean("mapa.shared::cluster.u32 %r11, %r9, %r1; st.shared::cluster.u32 [%r11], %r0; "
              "ld.shared.u32 %r12, [%r11]; st.global.u32 [%rd1], %r12;");
  EXPECT_EQ(download<uint32_t>(output, 64)[63], 63u);
}

TEST_F(ClusterTest, Atomics) {
  std::string body = "mov.u32 %r10, 0; @%p0 st.shared.u32 [%r2], %r10;\n" + std::string(meet) +
                     "mov.u32 %r14, 0; mapa.shared::cluster.u32 %r11, %r2, %r14; "
                     "atom.shared::cluster.add.u32 %r12, [%r11], 1;"
                     "red.relaxed.cluster.shared::cluster.add.u32 [%r11], 2;\n" +
                     meet + "ld.shared.u32 %r12, [%r2]; st.global.u32 [%rd1], %r12;";
  expectClean(body);
  auto got = download<uint32_t>(output, 128);
  EXPECT_EQ(got[0], 384u);
  EXPECT_EQ(got[64], 0u);
}

TEST_F(ClusterTest, RacesAcrossBlocks) {
  // Without the barrier between write and read; the first barrier only says that all have started.
  std::string zero = std::string("st.shared.u32 [%r9], %r0;\n") + meet;
  expectKind(zero + ringRead("", meet), "race", "of block rank");
  // A relaxed arrival orders nothing.
  expectKind(
      ringRead("barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;", meet),
      "race");
  // bar.sync is not enough.
  expectKind(zero + ringRead("bar.sync 0;", meet), "race");
  // Write after read: the owner overwrites what the neighbour still reads.
  expectKind(ringRead(meet, "st.shared.u32 [%r9], %r0;\n") + meet, "race");
  expectClean(ringRead(meet, std::string(meet) + "st.shared.u32 [%r9], %r0;\n"));
}

TEST_F(ClusterTest, BlocksMustHaveStartedAndNotEnded) {
  std::string write =
      "mapa.shared::cluster.u32 %r11, %r9, %r4; st.shared::cluster.u32 [%r11], %r0;\n";
  expectKind(write + meet, "missing-cluster-barrier", "may not have started");
  expectKind(meet + write, "missing-cluster-barrier", "may end before");
  expectClean(meet + write + meet);
  // A relaxed pair is enough to know that the other block has started.
  expectClean("barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;\n" + write +
              meet);
  // But not enough to know that it has finished: the store may still be on its way.
  expectKind(meet + write +
                 "barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;\n",
             "missing-cluster-barrier", "may end before");
  // The first block leaves while the second waits for global memory it wrote, then touches it.
  expectKind(std::string(meet) +
                 "setp.eq.u32 %p1, %r1, 0; @%p1 bra END; mov.u32 %r20, 0;\n"
                 "L: add.u32 %r20, %r20, 1; setp.lt.u32 %p2, %r20, 9000; @%p2 bra L;\n" +
                 write + "END:",
             "exited-block");
  machine.options().checks = false;
  expectKind(std::string(meet) +
                 "setp.eq.u32 %p1, %r1, 0; @%p1 bra END; mov.u32 %r20, 0;\n"
                 "L: add.u32 %r20, %r20, 1; setp.lt.u32 %p2, %r20, 9000; @%p2 bra L;\n" +
                 write + "END:",
             "exited-block");
}

TEST_F(ClusterTest, WrongAddresses) {
  expectKind("mapa.shared::cluster.u32 %r11, %r9, 2;", "invalid-operand", "rank 2");
  expectKind(
      meet + std::string("mapa.shared::cluster.u32 %r11, %r9, %r4; ld.shared.u32 %r12, [%r11];"),
      "out-of-bounds", "for .shared::cluster only");
  expectKind(meet + std::string("mapa.shared::cluster.u32 %r11, %r9, %r4; ld.shared::cluster.u32 "
                                "%r12, [%r11+8192];"),
             "out-of-bounds", "of block rank");
  expectKind(meet + std::string("mapa.shared::cluster.u32 %r11, %r9, %r4; ld.shared::cluster.u32 "
                                "%r12, [%r11];"),
             "uninitialized-read", "of block rank");
}

TEST_F(ClusterTest, BarrierMisuse) {
  expectKind("barrier.cluster.arrive.aligned; barrier.cluster.arrive.aligned;", "barrier-overflow");
  expectKind("barrier.cluster.wait.aligned;", "barrier-mismatch", "without an arrive");
  expectKind("@%p0 barrier.cluster.arrive.aligned;", "divergent-barrier");
  // Without .aligned the lanes may arrive one after the other.
  expectClean("@%p0 barrier.cluster.arrive; @!%p0 barrier.cluster.arrive; barrier.cluster.wait;");
  // One block leaves: the others need not wait for it. One block stays away: deadlock, with all
  // blocks of the cluster in the report.
  expectClean("setp.eq.u32 %p1, %r1, 0; @%p1 ret;\n" + std::string(meet));
  LaunchResult r = execute("setp.lt.u32 %p1, %r6, 32; @%p1 bar.sync 1, 64;\n" + std::string(meet));
  EXPECT_EQ(r.kind, "deadlock");
  EXPECT_NE(r.report.find("rank 0 of its cluster"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("waits at barrier 1"), std::string::npos) << r.report;
  EXPECT_NE(r.report.find("waits at the cluster barrier"), std::string::npos) << r.report;
}

/// Rank 1 arrives at the mbarrier of rank 0, which waits and reads what rank 1 wrote into it.
static std::string remoteArrive(const std::string &init, const std::string &arrive) {
  return "@%p0 mbarrier.init.shared.b64 [%r3], 64;\n" + init +
         "setp.eq.u32 %p1, %r1, 1; mov.u32 %r14, 0; @!%p1 bra WAIT;\n"
         "mapa.shared::cluster.u32 %r11, %r9, %r14; mapa.shared::cluster.u32 %r12, %r3, %r14;\n"
         "st.shared::cluster.u32 [%r11], %r8;\n" +
         arrive +
         "bra END;\nWAIT: mbarrier.try_wait.parity.shared.b64 %p2, [%r3], 0;\n@!%p2 bra WAIT;\n"
         "ld.shared.u32 %r13, [%r9]; st.global.u32 [%rd1], %r13;\nEND:\n" +
         meet;
}

TEST_F(ClusterTest, RemoteMbarrierArrival) {
  std::string init = "fence.mbarrier_init.release.cluster; barrier.cluster.arrive.relaxed.aligned; "
                     "barrier.cluster.wait.aligned;\n";
  std::string arrive = "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r12];\n";
  underAllPolicies([&] {
    expectClean(remoteArrive(init, arrive));
    auto got = download<uint32_t>(output, 256);
    EXPECT_EQ(got[63], 252u);
    EXPECT_EQ(got[128 + 63], 252u);
    expectClean(remoteArrive(meet, arrive));
  });
  // A relaxed cluster barrier without the fence does not publish the initialisation.
  expectKind(
      remoteArrive("barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;", arrive),
      "race", "initialization");
  // Nor does a fence that was executed before it.
  std::string early = remoteArrive(init, arrive), fence = "fence.mbarrier_init.release.cluster; ";
  early.erase(early.find(fence), fence.size());
  expectKind(fence + early, "race", "initialization");
  // A relaxed arrival does not order the store before it.
  expectKind(remoteArrive(init, "mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%r12];\n"),
             "race");
  // Waiting on the mbarrier of another block is not possible.
  expectKind("@%p0 mbarrier.init.shared.b64 [%r3], 64;\n" + std::string(meet) +
                 "mapa.shared::cluster.u32 %r12, %r3, %r4;\n"
                 "mbarrier.test_wait.parity.shared.b64 %p2, [%r12], 0;",
             "invalid-operand", "its own block");
}

/// Every thread sends one value to the next block; each block waits for all of its own.
static std::string exchangeAsync(const std::string &send, int bytes, const std::string &expect) {
  return "mov.u32 %r10, 0; st.shared.u32 [%r9], %r10; @%p0 mbarrier.init.shared.b64 [%r3], 1;\n"
         "bar.sync 0; @%p0 mbarrier.arrive.expect_tx.shared.b64 %rd3, [%r3], " +
         std::to_string(64 * bytes) + ";\n" + meet +
         "mapa.shared::cluster.u32 %r11, %r9, %r4; mapa.shared::cluster.u32 %r12, %r3, %r4;\n"
         "shl.b32 %r14, %r0, 4; add.u32 %r15, %r2, %r14; mapa.shared::cluster.u32 %r15, %r15, "
         "%r4;\n"
         "mad.lo.u32 %r10, %r1, 1000, %r0; mov.u32 %r16, 3;\n" +
         send + expect + "ld.shared.u32 %r13, [%r9]; st.global.u32 [%rd1], %r13;\n" + meet;
}
static const char *waitBar =
    "WAIT: mbarrier.try_wait.parity.shared.b64 %p2, [%r3], 0;\n@!%p2 bra WAIT;\n";

TEST_F(ClusterTest, StoreAsync) {
  std::string st =
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%r11], %r10, [%r12];\n";
  underAllPolicies([&] {
    expectClean(exchangeAsync(st, 4, waitBar));
    auto got = download<uint32_t>(output, 128);
    for (uint32_t i = 0; i < 128; ++i)
      ASSERT_EQ(got[i], (i / 64 ^ 1) * 1000 + i % 64);
    expectClean(
        exchangeAsync("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%r15], "
                      "{%r10,%r16,%r10,%r16}, [%r12];\n",
                      16, waitBar));
    got = download<uint32_t>(output, 128);
    EXPECT_EQ(got[4], 1001u);
    EXPECT_EQ(got[64 + 9], 3u);
  });
  expectKind(exchangeAsync(st, 4, ""), "race", "asynchronous");
  expectKind(exchangeAsync(st, 8, waitBar), "deadlock", "phase parity 0");
}

TEST_F(ClusterTest, ReduceAsync) {
  struct Case {
    const char *op;
    uint32_t want; ///< for rank 0: the value of rank 1's thread 5 is 1005, the old one 0
  };
  for (Case c : {Case{"add.u32", 1005}, Case{"add.s32", 1005}, Case{"max.u32", 1005},
                 Case{"min.s32", 0}, Case{"or.b32", 1005}, Case{"xor.b32", 1005},
                 Case{"and.b32", 0}, Case{"inc.u32", 1}, Case{"dec.u32", 1005}})
    underAllPolicies([&] {
      expectClean(exchangeAsync(std::string("red.async.relaxed.cluster.shared::cluster.mbarrier::"
                                            "complete_tx::bytes.") +
                                    c.op + " [%r11], %r10, [%r12];\n",
                                4, waitBar));
      EXPECT_EQ(download<uint32_t>(output, 64)[5], c.want) << c.op;
    });
}

TEST_F(ClusterTest, BulkCopyBetweenBlocks) {
  auto body = [](const std::string &copy, const std::string &fence) {
    return "mov.u32 %r10, 0; st.shared.u32 [%r9+1024], %r10; mad.lo.u32 %r10, %r1, 1000, %r0;\n"
           "st.shared.u32 [%r9], %r10; @%p0 mbarrier.init.shared.b64 [%r3], 1;\n" +
           fence + "bar.sync 0; @%p0 mbarrier.arrive.expect_tx.shared.b64 %rd3, [%r3], 256;\n" +
           meet +
           "add.u32 %r11, %r2, 1024; mapa.shared::cluster.u32 %r11, %r11, %r4; "
           "mapa.shared::cluster.u32 %r12, %r3, %r4;\n@%p0 " +
           copy + " [%r11], [%r2], 256, [%r12];\n" + waitBar +
           "ld.shared.u32 %r13, [%r9+1024]; st.global.u32 [%rd1], %r13;\n" + meet;
  };
  std::string copy = "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes";
  std::string sum =
      "cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.";
  underAllPolicies([&] {
    for (const std::string &c : {copy, sum + "add.u32", sum + "max.s32", sum + "xor.b32"}) {
      expectClean(body(c, "fence.proxy.async;"));
      auto got = download<uint32_t>(output, 128);
      for (uint32_t i = 0; i < 128; ++i)
        ASSERT_EQ(got[i], (i / 64 ^ 1) * 1000 + i % 64) << c;
    }
  });
  expectKind(body(copy, ""), "missing-proxy-fence");
}

TEST_F(ClusterTest, Multicast) {
  // Each block loads half of a 32 x 32 tile of singles and sends it to both.
  uint64_t dims[] = {32, 32}, strides[] = {128};
  uint32_t box[] = {32, 16}, es[] = {1, 1};
  std::vector<float> tile(1024);
  for (size_t i = 0; i < tile.size(); ++i)
    tile[i] = float(i);
  uint64_t data = upload(tile);
  ASSERT_EQ(encodeTiled(map, 7, 2, data, dims, strides, box, es, 0, 0, 0), "");
  auto body = [](const std::string &barrier, const char *mask, const char *bytes = "4096") {
    return "@%p0 mbarrier.init.shared.b64 [%r3], 1;\n"
           "bar.sync 0; @%p0 mbarrier.arrive.expect_tx.shared.b64 %rd3, [%r3], " +
           std::string(bytes) + ";\n" + barrier +
           "mov.b64 %rd5, map; shl.b32 %r10, %r1, 4; shl.b32 %r11, %r1, 11; add.u32 %r11, %r11, "
           "%r2; mov.u16 %h0, " +
           mask +
           ";\n@%p0 "
           "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
           ".multicast::cluster [%r11], [%rd5, {0, %r10}], [%r3], %h0;\n" +
           waitBar +
           "mov.u32 %r20, 0; mov.u32 %r21, 0;\n"
           "S: add.u32 %r22, %r20, %r9; ld.shared.f32 %r23, [%r22]; cvt.rzi.u32.f32 %r23, %r23; "
           "add.u32 %r21, %r21, %r23; add.u32 %r20, %r20, 256; setp.lt.u32 %p3, %r20, 4096; @%p3 "
           "bra S;\nst.global.u32 [%rd1], %r21;\n" +
           meet;
  };
  underAllPolicies([&] {
    expectClean(body(meet, "3"));
    auto got = download<uint32_t>(output, 128);
    for (uint32_t t = 0; t < 64; ++t) {
      uint32_t want = 0;
      for (uint32_t i = 0; i < 16; ++i)
        want += t + 64 * i;
      ASSERT_EQ(got[t], want);
      ASSERT_EQ(got[64 + t], want);
    }
    // Linear bulk copies can be multicast as well: both halves of the input, to both.
  });
  expectKind(body("", "3"), "missing-cluster-barrier", "may not have started");
  // The copy completes on the other block's mbarrier, which must be known to be initialized.
  std::string relaxed = "barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;\n";
  expectKind(body(relaxed, "3"), "race",
             "asynchronous completion on the mbarrier at shared address 0x1400");
  underAllPolicies([&] {
    std::string fenced = body(relaxed, "3"), init = "bar.sync 0;";
    expectClean(fenced.insert(fenced.find(init), "fence.mbarrier_init.release.cluster; "));
  });
  expectKind(body(meet, "7"), "invalid-operand", "multicast mask 0x7");
  // The other block's half never comes.
  expectKind(body(meet, "1"), "deadlock");
}

TEST_F(ClusterTest, MulticastOfLinearCopies) {
  std::string body =
      "@%p0 mbarrier.init.shared.b64 [%r3], 1;\nbar.sync 0;\n"
      "@%p0 mbarrier.arrive.expect_tx.shared.b64 %rd3, [%r3], 256;\n" +
      std::string(meet) +
      "setp.eq.and.u32 %p1, %r1, 1, %p0; mov.u16 %h0, 3;\n"
      "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%r2], [%rd0], 256, [%r3], %h0;\n" +
      waitBar + "ld.shared.u32 %r13, [%r9]; st.global.u32 [%rd1], %r13;\n" + meet;
  underAllPolicies([&] {
    expectClean(body);
    EXPECT_EQ(download<uint32_t>(output, 128), std::vector<uint32_t>(128, 7u));
  });
}

} // namespace attnc::emu::test

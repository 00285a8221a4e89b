// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// sm_90a: a TMA + mbarrier + wgmma pipeline compiled by nvcc, and the checks of the
// asynchronous machinery one by one. The layouts of wgmma are in WgmmaTest.cpp.
#include "EmulatorTest.h"
#include "attnc/Emulator/TensorMap.h"

#include <random>

namespace attnc::emu::test {

class Hopper : public EmulatorTest {
protected:
  Hopper() : EmulatorTest("sm_90a") {}
  TensorMap map2d(int type, uint64_t address, uint64_t columns, uint64_t rows, uint32_t boxX,
                  uint32_t boxY, int swizzle) {
    uint64_t dims[] = {columns, rows}, strides[] = {columns * (type == 7 ? 4 : 2)};
    uint32_t box[] = {boxX, boxY}, es[] = {1, 1};
    TensorMap m;
    EXPECT_EQ(encodeTiled(m, type, 2, address, dims, strides, box, es, 0, swizzle, 0), "");
    return m;
  }
};

static std::vector<uint16_t> smallIntegers(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<uint16_t> v(n);
  for (auto &x : v)
    x = toBf16(float(int(rng() % 9) - 4));
  return v;
}

TEST_F(Hopper, TmaWgmmaPipeline) {
  auto module = machine.load(readFixture("hopper.ptx"));
  const int M = 128, N = 192, K = 64 * 5;
  auto a = smallIntegers(size_t(M) * K, 1), b = smallIntegers(size_t(N) * K, 2);
  uint64_t da = upload(a), db = upload(b);
  for (const char *kernel : {"gemm_ss", "gemm_rs"})
    for (int policy = 0; policy < 5; ++policy) {
      machine.options().delivery = policy == 0   ? Delivery::Late
                                   : policy == 1 ? Delivery::Early
                                                 : Delivery::Random;
      machine.options().shuffle = policy >= 3;
      machine.options().seed = policy;
      machine.options().thorough = policy == 4;
      uint64_t dc = reserve<float>(M * N);
      TensorMap ma = map2d(9, da, K, M, 64, 64, 3), mb = map2d(9, db, K, N, 64, 64, 3),
                mc = map2d(7, dc, N, M, 32, 64, 0);
      Params p;
      p.bytes.resize(388);
      memcpy(&p.bytes[0], &ma, 128), memcpy(&p.bytes[128], &mb, 128),
          memcpy(&p.bytes[256], &mc, 128), memcpy(&p.bytes[384], &K, 4);
      LaunchResult r = run(*module, kernel, {{N / 64, M / 64}, {256}}, p);
      ASSERT_TRUE(r.ok) << kernel << " policy " << policy << "\n" << r.report;
      auto got = download<float>(dc, M * N);
      for (int i = 0; i < M; ++i)
        for (int j = 0; j < N; ++j) {
          float want = 0;
          for (int k = 0; k < K; ++k)
            want += fromBf16(a[i * K + k]) * fromBf16(b[j * K + k]);
          ASSERT_EQ(got[i * N + j], want)
              << kernel << " policy " << policy << " row " << i << " column " << j;
        }
    }
}

// See the test of the same name in AcceptanceTest.cpp.
TEST_F(Hopper, BitsAreThoseOfTheFirstVersion) {
  const int M = 64, N = 64, K = 320;
  uint64_t da = upload(mixedBits(M * K, 4, 0x81ff, 0x3e00)),
           db = upload(mixedBits(N * K, 5, 0x81ff, 0x3e00));
  auto module = machine.load(readFixture("hopper.ptx"));
  for (const char *kernel : {"gemm_ss", "gemm_rs"}) {
    uint64_t dc = reserve<float>(M * N);
    TensorMap ma = map2d(9, da, K, M, 64, 64, 3), mb = map2d(9, db, K, N, 64, 64, 3),
              mc = map2d(7, dc, N, M, 32, 64, 0);
    Params p;
    p.bytes.resize(388);
    memcpy(&p.bytes[0], &ma, 128), memcpy(&p.bytes[128], &mb, 128), memcpy(&p.bytes[256], &mc, 128),
        memcpy(&p.bytes[384], &K, 4);
    LaunchResult r = run(*module, kernel, {{1}, {256}}, p);
    ASSERT_TRUE(r.ok) << r.report;
    std::vector<float> got = download<float>(dc, M * N);
    EXPECT_EQ(hashOf(got.data(), got.size() * 4), 0x5eb99b3fcf589514u) << kernel;
  }
}

/// The pipeline with one line changed must be caught. Each entry: text to find, replacement, kinds.
TEST_F(Hopper, BrokenPipelinesAreCaught) {
  struct Mutation {
    const char *name, *find, *replace;
    std::vector<std::string> kinds;
  };
  std::vector<Mutation> list = {
      {"proxy fence deleted", "fence.proxy.async.shared::cta;", "", {"missing-proxy-fence"}},
      {"wait of the store deleted", "cp.async.bulk.wait_group 0;", "", {"missing-wait"}},
      {"commit of the store deleted", "cp.async.bulk.commit_group;", "", {"missing-wait"}},
      {"too few bytes expected",
       "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r",
       "",
       {"deadlock", "race", "missing-wait", "mbarrier-overflow"}},
      {"wait of wgmma deleted", "wgmma.wait_group.sync.aligned 0;", "", {"race"}},
      {"wgmma fence deleted", "wgmma.fence.sync.aligned;", "", {"missing-wgmma-fence"}},
      {"consumer release deleted", "mbarrier.arrive.shared::cta.b64 _, [", "", {"deadlock"}},
      {"block barrier deleted", "bar.sync 1, 128;", "", {"race", "uninitialized-read"}},
      {"barriers not initialised before use",
       "bar.sync \t0;",
       "",
       {"mbarrier-uninitialized", "race"}},
  };
  std::string good = readFixture("hopper.ptx");
  const int M = 64, N = 64, K = 64 * 5;
  uint64_t da = upload(smallIntegers(M * K, 1)), db = upload(smallIntegers(N * K, 2));
  for (const Mutation &m : list) {
    std::string text = good;
    size_t at = text.find(m.find), changed = 0;
    while (at != std::string::npos) {
      size_t end = text.find(';', at) + 1;
      text.replace(at, end - at, m.replace);
      at = text.find(m.find, at);
      ++changed;
    }
    ASSERT_GT(changed, 0u) << m.name;
    auto module = machine.load(text);
    uint64_t dc = reserve<float>(M * N);
    TensorMap ma = map2d(9, da, K, M, 64, 64, 3), mb = map2d(9, db, K, N, 64, 64, 3),
              mc = map2d(7, dc, N, M, 32, 64, 0);
    Params p;
    p.bytes.resize(388);
    memcpy(&p.bytes[0], &ma, 128), memcpy(&p.bytes[128], &mb, 128), memcpy(&p.bytes[256], &mc, 128),
        memcpy(&p.bytes[384], &K, 4);
    LaunchResult r = run(*module, "gemm_ss", {{1}, {256}}, p);
    EXPECT_NE(std::find(m.kinds.begin(), m.kinds.end(), r.kind), m.kinds.end())
        << m.name << ": '" << r.kind << "'\n"
        << r.report;
  }
}

TEST_F(Hopper, TensorMapsOutOfBoundsFillsZero) {
  // A 40 x 6 f32 tensor, box 32 x 4 at (24, 4): 16 columns and 2 rows are inside.
  auto module = machine.load(
      ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .align 64 .b8 "
      "map[128], .param .u64 out) {\n"
      ".reg .b32 %r<8>;\n.reg .b64 %rd<8>;\n.reg .pred %p<4>;\n.shared .align 1024 .b8 "
      "tile[512];\n.shared .align 8 .b64 bar;\n"
      "mov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\nmov.u32 %r2, bar;\nsetp.eq.u32 %p0, %r0, 0;\n"
      "@%p0 mbarrier.init.shared.b64 [%r2], 1;\nbar.sync 0;\nmov.b64 %rd0, map;\n"
      "@%p0 mbarrier.arrive.expect_tx.shared.b64 %rd1, [%r2], 512;\n"
      "@%p0 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], "
      "[%rd0, {24, 4}], [%r2];\n"
      "W: mbarrier.try_wait.parity.shared.b64 %p1, [%r2], 0;\n@!%p1 bra W;\n"
      "ld.param.u64 %rd2, [out];\nmul.wide.u32 %rd3, %r0, 4;\nadd.u64 %rd2, %rd2, %rd3;\nshl.b32 "
      "%r3, %r0, 2;\nadd.u32 %r3, %r3, %r1;\n"
      "ld.shared.u32 %r4, [%r3];\nst.global.u32 [%rd2], %r4;\nret;\n}\n");
  std::vector<float> t(40 * 6);
  for (size_t i = 0; i < t.size(); ++i)
    t[i] = float(i + 1);
  uint64_t d = upload(t), out = reserve<float>(128);
  TensorMap m = map2d(7, d, 40, 6, 32, 4, 0);
  Params p;
  p.bytes.resize(128);
  memcpy(p.bytes.data(), &m, 128);
  // What the launch code of CUTLASS does to the opaque object of a small tensor.
  uint64_t word;
  memcpy(&word, &p.bytes[8], 8);
  word &= ~(1ull << 21);
  memcpy(&p.bytes[8], &word, 8);
  p.add(out);
  LaunchResult r = run(*module, "k", {{1}, {128}}, p);
  ASSERT_TRUE(r.ok) << r.report;
  auto got = download<float>(out, 128);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 32; ++x)
      EXPECT_EQ(got[32 * y + x], y < 2 && x < 16 ? t[(y + 4) * 40 + x + 24] : 0.0f)
          << x << "," << y;
}

// A wgmma-group belongs to the warpgroup: one thread that has waited for it may release the
// operands of all four warps.
TEST_F(Hopper, OneThreadReleasesTheOperandsOfItsWarpgroup) {
  auto kernel = [&](const std::string &wait) {
    return machine.load(
        ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k() {\n"
        ".reg .b32 %r<8>;\n.reg .b64 %rd<4>;\n.reg .f32 %f<4>;\n.reg .pred %p<4>;\n"
        ".shared .align 1024 .b8 tile[4096];\n.shared .align 8 .b64 bar;\n"
        "mov.u32 %r0, %tid.x;\nmov.u32 %r1, tile;\nmov.u32 %r2, bar;\nmov.u32 %r3, 0;\n"
        "setp.eq.u32 %p0, %r0, 0;\nsetp.lt.u32 %p1, %r0, 128;\n"
        "@%p0 mbarrier.init.shared.b64 [%r2], 1;\nshl.b32 %r4, %r0, 4;\nadd.u32 %r4, %r4, %r1;\n"
        "st.shared.v4.u32 [%r4], {%r3, %r3, %r3, %r3};\nfence.proxy.async;\nbar.sync 0;\n"
        "@!%p1 bra OTHER;\n"
        "cvt.u64.u32 %rd0, %r1;\nshr.b64 %rd0, %rd0, 4;\nor.b64 %rd0, %rd0, 0x1000080000;\n"
        "add.s64 %rd1, %rd0, 128;\nmov.f32 %f0, 0f00000000;\nmov.f32 %f1, %f0;\n"
        "mov.f32 %f2, %f0;\nmov.f32 %f3, %f0;\nwgmma.fence.sync.aligned;\n"
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f0, %f1, %f2, %f3}, %rd0, %rd1, %p1, "
        "1, 1, 0, 0;\nwgmma.commit_group.sync.aligned;\n" +
        wait +
        "@%p0 mbarrier.arrive.shared.b64 %rd2, [%r2];\nwgmma.wait_group.sync.aligned 0;\nret;\n"
        "OTHER: mbarrier.try_wait.parity.shared.b64 %p2, [%r2], 0;\n@!%p2 bra OTHER;\n"
        "st.shared.v4.u32 [%r4], {%r3, %r3, %r3, %r3};\nret;\n}\n");
  };
  for (uint64_t seed = 0; seed < 4; ++seed) {
    machine.options().shuffle = seed != 0;
    machine.options().seed = seed;
    LaunchResult r = run(*kernel("wgmma.wait_group.sync.aligned 0;\n"), "k", {{1}, {160}}, {});
    EXPECT_TRUE(r.ok) << r.report;
    EXPECT_EQ(run(*kernel(""), "k", {{1}, {160}}, {}).kind, "race");
    // The last group is still being read.
    EXPECT_EQ(run(*kernel("wgmma.wait_group.sync.aligned 1;\n"), "k", {{1}, {160}}, {}).kind,
              "race");
  }
}

TEST_F(Hopper, LanesOfOneWarpMayWaitForEachOther) {
  // Lane 0 waits for a phase that the other lanes of its warp complete; with one arrival too few
  // the wait is a deadlock, and the report says for what.
  auto text = [](const char *count) {
    return std::string(".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k() {\n"
                       ".reg .b32 %r<4>;\n.reg .b64 %rd<4>;\n.reg .pred %p<4>;\n"
                       ".shared .align 8 .b64 bar;\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, bar;\n"
                       "setp.eq.u32 %p0, %r0, 0;\n@%p0 mbarrier.init.shared.b64 [%r1], ") +
           count +
           ";\nbar.sync 0;\n@!%p0 bra ARRIVE;\n"
           "WAIT: mbarrier.try_wait.parity.shared.b64 %p1, [%r1], 0;\n@!%p1 bra WAIT;\nbra.uni "
           "END;\n"
           "ARRIVE: mbarrier.arrive.shared.b64 %rd0, [%r1];\nEND: bar.warp.sync -1;\nret;\n}\n";
  };
  LaunchResult good = run(*machine.load(text("31")), "k", {{1}, {32}}, Params());
  EXPECT_TRUE(good.ok) << good.report;
  LaunchResult bad = run(*machine.load(text("32")), "k", {{1}, {32}}, Params());
  EXPECT_EQ(bad.kind, "deadlock");
  EXPECT_NE(bad.report.find("waits for phase parity 0 of the mbarrier"), std::string::npos)
      << bad.report;
}

TEST_F(Hopper, TensorMapArguments) {
  TensorMap m;
  uint64_t dims[] = {64, 64}, strides[] = {128};
  uint32_t box[] = {64, 64}, es[] = {1, 1};
  EXPECT_EQ(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 3, 0), "");
  EXPECT_NE(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 2, 0)
                .find("exceeds the swizzle span of 64"),
            std::string::npos);
  EXPECT_NE(encodeTiled(m, 9, 2, 4100, dims, strides, box, es, 0, 3, 0), "");
  strides[0] = 120;
  EXPECT_NE(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 3, 0).find("multiple of 16"),
            std::string::npos);
  strides[0] = 128, box[1] = 257;
  EXPECT_NE(encodeTiled(m, 9, 2, 4096, dims, strides, box, es, 0, 3, 0), "");
  box[1] = 64;
  EXPECT_NE(encodeTiled(m, 0, 2, 4096, dims, strides, box, es, 0, 3, 1).find("floating-point"),
            std::string::npos);
}

} // namespace attnc::emu::test

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whole kernels written in CUDA C++ and compiled by nvcc (sources in test/Emulator/cuda) against
// plain C++. These are the tests that no shared misreading of the PTX manual can pass: the compiler
// chose the instructions.
#include "EmulatorTest.h"

#include <cmath>
#include <random>

namespace attnc::emu::test {

class Basics : public EmulatorTest {
protected:
  Basics() : module(machine.load(readFixture("basics.ptx"))) {}
  std::unique_ptr<LoadedModule> module;
};

TEST_F(Basics, Saxpy) {
  const int n = 1000;
  std::vector<float> x(n), y(n);
  for (int i = 0; i < n; ++i)
    x[i] = i * 0.5f, y[i] = 100 - i;
  uint64_t dx = upload(x), dy = upload(y);
  LaunchResult r = run(*module, "saxpy", {{8}, {128}}, Params().add(n).add(2.0f).add(dx).add(dy));
  ASSERT_TRUE(r.ok) << r.report;
  std::vector<float> got = download<float>(dy, n);
  for (int i = 0; i < n; ++i)
    EXPECT_EQ(got[i], std::fma(2.0f, x[i], y[i])) << i;
}

TEST_F(Basics, SaxpyOutOfBoundsNamesTheThread) {
  std::vector<float> x(1000, 1.0f), y(1000, 2.0f);
  uint64_t dx = upload(x), dy = upload(y);
  LaunchResult r =
      run(*module, "saxpy", {{8}, {128}}, Params().add(1001).add(2.0f).add(dx).add(dy));
  ASSERT_FALSE(r.ok);
  EXPECT_EQ(r.kind, "out-of-bounds");
  EXPECT_NE(r.report.find("0 bytes past the end of an allocation of 4000 bytes"), std::string::npos)
      << r.report;
  EXPECT_NE(r.report.find("block (7,0,0), warp 3, lane 8 = thread (104,0,0)"), std::string::npos)
      << r.report;
  EXPECT_NE(r.report.find("ld.global"), std::string::npos) << r.report;
}

TEST_F(Basics, SaxpyReadsUninitializedMemory) {
  std::vector<float> x(128, 1.0f);
  uint64_t dx = upload(x), dy = reserve<float>(128);
  LaunchResult r = run(*module, "saxpy", {{1}, {128}}, Params().add(128).add(2.0f).add(dx).add(dy));
  EXPECT_EQ(r.kind, "uninitialized-read") << r.report;
}

TEST_F(Basics, BlockSum) {
  const int n = 5000;
  std::vector<float> x(n);
  double want = 0;
  for (int i = 0; i < n; ++i)
    want += x[i] = static_cast<float>(i % 17);
  uint64_t dx = upload(x), out = reserve<float>(4);
  LaunchResult r = run(*module, "blockSum", {{4}, {256}}, Params().add(n).add(dx).add(out));
  ASSERT_TRUE(r.ok) << r.report;
  double got = 0;
  for (float v : download<float>(out, 4))
    got += v;
  EXPECT_EQ(got, want); // integers below 2^24 are exact
}

TEST_F(Basics, Transpose) {
  const int rows = 70, cols = 45;
  std::vector<float> x(rows * cols);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<float>(i);
  uint64_t in = upload(x), out = reserve<float>(x.size());
  LaunchResult r =
      run(*module, "transpose", {{2, 3}, {32, 8}}, Params().add(rows).add(cols).add(in).add(out));
  ASSERT_TRUE(r.ok) << r.report;
  std::vector<float> got = download<float>(out, x.size());
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < cols; ++j)
      ASSERT_EQ(got[j * rows + i], x[i * cols + j]);
}

TEST_F(Basics, DivergentLoops) {
  const int n = 300;
  uint64_t out = reserve<unsigned>(n);
  LaunchResult r = run(*module, "collatz", {{3}, {128}}, Params().add(n).add(out));
  ASSERT_TRUE(r.ok) << r.report;
  std::vector<unsigned> got = download<unsigned>(out, n);
  for (int i = 0; i < n; ++i) {
    unsigned long long v = i + 1;
    unsigned count = 0;
    while (v != 1 && count < 100)
      v = v & 1 ? 3 * v + 1 : v / 2, ++count;
    EXPECT_EQ(got[i], count) << i;
  }
  EXPECT_GT(r.counters.divergentBranches, 0u);
}

TEST_F(Basics, Histogram) {
  const int n = 4096;
  std::vector<unsigned char> x(n);
  std::vector<unsigned> want(256, 0);
  std::mt19937 rng(7);
  for (auto &v : x)
    ++want[v = static_cast<unsigned char>(rng())];
  uint64_t dx = upload(x), bins = upload(std::vector<unsigned>(256, 0));
  LaunchResult r = run(*module, "histogram", {{1}, {256}}, Params().add(n).add(dx).add(bins));
  ASSERT_TRUE(r.ok) << r.report;
  EXPECT_EQ(download<unsigned>(bins, 256), want);
}

TEST_F(Basics, LocalArrays) {
  const int n = 200;
  std::vector<int> x(n);
  for (int i = 0; i < n; ++i)
    x[i] = i * 37 - 3000;
  uint64_t dx = upload(x), out = reserve<int>(n);
  LaunchResult r = run(*module, "localArray", {{2}, {128}}, Params().add(n).add(dx).add(out));
  ASSERT_TRUE(r.ok) << r.report;
  std::vector<int> got = download<int>(out, n);
  for (int i = 0; i < n; ++i) {
    int v = x[i] * ((x[i] & 7) + 1);
    v = i % 5 == 0 ? v + 1 : i % 5 == 1 ? v * 3 : i % 5 == 2 ? v / 7 : i % 5 == 3 ? v % 11 : -v;
    EXPECT_EQ(got[i], v) << i;
  }
}

/// Attention in double precision from the rounded inputs.
static std::vector<double> attention(const std::vector<float> &q, const std::vector<float> &k,
                                     const std::vector<float> &v, int n, int d, double scale2,
                                     bool causal) {
  std::vector<double> out(q.size());
  for (size_t h = 0; h < q.size() / (size_t(n) * d); ++h)
    for (int i = 0; i < n; ++i) {
      const size_t base = h * n * d;
      std::vector<double> p(n, 0);
      double m = -1e300, sum = 0;
      int keys = causal ? i + 1 : n;
      for (int j = 0; j < keys; ++j) {
        double s = 0;
        for (int e = 0; e < d; ++e)
          s += double(q[base + i * d + e]) * k[base + j * d + e];
        m = std::max(m, p[j] = s * scale2);
      }
      for (int j = 0; j < keys; ++j)
        sum += p[j] = std::exp2(p[j] - m);
      for (int e = 0; e < d; ++e) {
        double o = 0;
        for (int j = 0; j < keys; ++j)
          o += p[j] * v[base + j * d + e];
        out[base + i * d + e] = o / sum;
      }
    }
  return out;
}

struct FlashCase {
  const char *kernel;
  int d, n, heads, causal;
};

class Flash : public EmulatorTest, public ::testing::WithParamInterface<FlashCase> {};

TEST_P(Flash, MatchesDoublePrecisionUnderEveryDelivery) {
  FlashCase c = GetParam();
  auto module = machine.load(readFixture("flash.ptx"));
  bool half = std::string(c.kernel).find("f16") != std::string::npos &&
              std::string(c.kernel).find("bf16") == std::string::npos;
  std::mt19937 rng(c.n);
  std::normal_distribution<float> normal;
  size_t count = size_t(c.heads) * c.n * c.d;
  std::vector<float> values[3];
  uint64_t device[3];
  for (int t = 0; t < 3; ++t) {
    std::vector<uint16_t> bits(count);
    values[t].resize(count);
    for (size_t i = 0; i < count; ++i) {
      bits[i] = half ? toHalf(normal(rng)) : toBf16(normal(rng));
      values[t][i] = half ? fromHalf(bits[i]) : fromBf16(bits[i]);
    }
    device[t] = upload(bits);
  }
  float scale = 1.4426950408889634f / std::sqrt(float(c.d));
  std::vector<double> want = attention(values[0], values[1], values[2], c.n, c.d, scale, c.causal);
  std::vector<uint16_t> first;
  for (int run = 0; run < 4; ++run) {
    machine.options().delivery = run == 0   ? Delivery::Late
                                 : run == 1 ? Delivery::Early
                                            : Delivery::Random;
    machine.options().seed = run;
    machine.options().shuffle = run >= 2;
    machine.options().thorough = run == 1;
    uint64_t out = reserve<uint16_t>(count);
    LaunchConfig config{
        {uint32_t(c.n + 63) / 64, uint32_t(c.heads)}, {128}, uint32_t(5 * 64 * c.d * 2)};
    LaunchResult r = this->run(
        *module, c.kernel, config,
        Params().add(device[0]).add(device[1]).add(device[2]).add(out).add(c.n).add(scale).add(
            c.causal));
    ASSERT_TRUE(r.ok) << r.report;
    std::vector<uint16_t> got = download<uint16_t>(out, count);
    if (run == 0) {
      first = got;
      // Probabilities are rounded to 16 bits before the second product: |error| is below a few
      // units of 2^-8 (bf16) or 2^-11 (f16) times the largest |v| that matters.
      double worst = 0;
      for (size_t i = 0; i < count; ++i)
        worst = std::max(worst, std::fabs((half ? fromHalf(got[i]) : fromBf16(got[i])) - want[i]));
      EXPECT_LT(worst, half ? 4e-3 : 3e-2);
    } else {
      EXPECT_EQ(got, first) << "delivery or schedule changed the result, run " << run;
    }
    machine.memory().free(out);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Flash,
                         ::testing::Values(FlashCase{"flash_bf16_64", 64, 64, 1, 0},
                                           FlashCase{"flash_bf16_64", 64, 200, 2, 0},
                                           FlashCase{"flash_bf16_64", 64, 256, 1, 1},
                                           FlashCase{"flash_bf16_64", 64, 1, 1, 0},
                                           FlashCase{"flash_f16_128", 128, 130, 1, 1},
                                           FlashCase{"flash_f16_128", 128, 192, 2, 0}),
                         [](const auto &info) {
                           return std::string(info.param.kernel) + "_n" +
                                  std::to_string(info.param.n) +
                                  (info.param.causal ? "_causal" : "");
                         });

// The emulator's arithmetic is part of its contract: faster handlers give the same bits. The
// digests are those of the first version (commit 7c240ce); no other reason than a changed contract
// may change them.
class Bits : public EmulatorTest {
protected:
  uint64_t attention(const char *kernel, int size, uint16_t keep, uint16_t set) {
    const int heads = 2, n = 200, causal = 1;
    size_t count = size_t(heads) * n * size;
    Params p;
    for (uint32_t salt : {1, 2, 3})
      p.add(upload(mixedBits(count, salt, keep, set)));
    uint64_t out = reserve<uint16_t>(count);
    auto module = machine.load(readFixture("flash.ptx"));
    LaunchResult r = run(*module, kernel, {{4, heads}, {128}, uint32_t(5 * 64 * size * 2)},
                         p.add(out).add(n).add(0.125f).add(causal));
    EXPECT_TRUE(r.ok) << r.report;
    std::vector<uint16_t> got = download<uint16_t>(out, count);
    return hashOf(got.data(), count * 2);
  }
};

TEST_F(Bits, OfAttentionAreThoseOfTheFirstVersion) {
  EXPECT_EQ(attention("flash_bf16_64", 64, 0x81ff, 0x3e00), 0xb436e749a1e938f7u);
  EXPECT_EQ(attention("flash_f16_128", 128, 0x8fff, 0x3000), 0xfa1f8148ffb3fc12u);
}

} // namespace attnc::emu::test

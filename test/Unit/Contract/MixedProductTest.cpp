// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.dot of f32 and bf16: as exact as f32, for numbers whose 24 bits all count, and up to the
// largest ones.
#include "TileRunner.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace attnc::testing;

namespace {

const int kWarps[] = {0, 1, 2, 4}; // 0 is the host

/// `%w` has all bits of an f32; `%b`, of bf16, small integers.
void check(const std::string &product, float scale, bool isWideLeft, bool isTransposed,
           int bits = 24) {
  for (int warps : kWarps) {
    TileData data = tileData();
    for (int64_t i = 0; i < kSize; ++i)
      for (int64_t j = 32; j < kSize; ++j)
        data.x[i * kSize + j] = scale * float(1.0 + std::sin(double(i * 64 + j)));
    std::string body = R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 64 : <2xf32, unit> -> <64x64xf32>
  %w = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %c32 = arith.constant 32 : i32
    %isWide = arith.cmpi sge, %j, %c32 : i32
    %f = arith.select %isWide, %e, %zero : f32
    tile.yield %f : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  %s = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %c5 = arith.constant 5 : i32
    %sum = arith.addi %i, %j : i32
    %rest = arith.remsi %sum, %c5 : i32
    %f = arith.sitofp %rest : i32 to f32
    tile.yield %f : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  %b = tile.cast %s : <64x64xf32> -> <64x64xbf16>
  %start = tile.fill %one : f32 -> <64x64xf32>
  )" + product + R"(
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 64 : <64x64xf32>, <2xf32, unit>)";
    ASSERT_EQ(runTile(body, warps, data), "") << warps << "\n" << body;
    auto wide = [&](int64_t i, int64_t j) { return j < 32 ? 0.0 : double(data.x[i * kSize + j]); };
    auto narrow = [](int64_t i, int64_t j) { return double((i + j) % 5); };
    for (int64_t i = 0; i < kSize; ++i)
      for (int64_t j = 0; j < kSize; ++j) {
        double sum = 1, magnitude = 1;
        for (int64_t k = 0; k < kSize; ++k) {
          int64_t row = isTransposed ? j : k, col = isTransposed ? k : j;
          double term = isWideLeft ? wide(i, k) * narrow(row, col) : narrow(i, k) * wide(row, col);
          sum += term;
          magnitude += std::abs(term);
        }
        // 64 additions, each within a unit of the last place; products of so many bits.
        double lost = bits < 24 ? std::ldexp(magnitude, -bits) : 0;
        double error = 64 * std::ldexp(magnitude, -24) + lost;
        ASSERT_NEAR(data.y[i * kSize + j], sum, error) << warps << " warps at " << i << ", " << j;
      }
  }
}

const char kWide[] = "<64x64xf32>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>";
const char kNarrow[] = "<64x64xbf16>, <64x64xf32>, <64x64xf32> -> <64x64xf32>";

TEST(MixedProduct, WideTimesNarrow) {
  check("%y = tile.dot %w, %b, %start : " + std::string(kWide), 1, true, false);
}

TEST(MixedProduct, WideTimesNarrowTransposed) {
  check("%y = tile.dot %w, %b transposed, %start : " + std::string(kWide), 1, true, true);
}

TEST(MixedProduct, NarrowTimesWide) {
  check("%y = tile.dot %b, %w, %start : " + std::string(kNarrow), 1, false, false);
}

TEST(MixedProduct, NarrowTimesWideTransposed) {
  check("%y = tile.dot %b, %w transposed, %start : " + std::string(kNarrow), 1, false, true);
}

TEST(MixedProduct, TwoTerms) {
  for (float scale : {1.0f, 1e36f, 1e-30f})
    check("%y = tile.dot %w, %b, %start {precision = 2 : i32} : " + std::string(kWide), scale, true,
          false, 17);
}

TEST(MixedProduct, LargeAndSmallNumbers) {
  // Rounded to bf16, the largest would be infinite; the parts of the smallest are still normal.
  for (float scale : {1e36f, 1e-30f}) {
    check("%y = tile.dot %w, %b, %start : " + std::string(kWide), scale, true, false);
    check("%y = tile.dot %b, %w, %start : " + std::string(kNarrow), scale, false, false);
  }
}

} // namespace

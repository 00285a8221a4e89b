// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.scalar on both back ends: see TileContractTest.cpp for the other ops.
#include "TileRunner.h"
#include "gtest/gtest.h"

using namespace attnc::testing;

static const int kWarps[] = {0, 1, 2, 4}; // 0 is the host

/// Sums X[0, 0:32] to one element, and adds that to a tile of X as often as an i32 of one element
/// says: three times.
TEST(TileContract, OneElementIsAScalar) {
  for (const char *shape : {"<1xf32>", "<1x1xf32>"})
    for (int warps : kWarps) {
      TileData data = tileData();
      bool isVector = std::string(shape) == "<1xf32>";
      std::string sum = isVector ? "%s = tile.reduce sum %row : <1x32xf32> -> <1xf32>"
                                 : "%v = tile.reduce sum %row : <1x32xf32> -> <1xf32>\n"
                                   "  %s = tile.transpose %v : <1xf32> -> <1x1xf32>";
      ASSERT_EQ(runTile(R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> -> <16x32xf32>
  %row = tile.load %X[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> -> <1x32xf32>
  )" + sum + R"(
  %sum = tile.scalar %s : )" +
                            shape + R"( -> f32
  %c3 = arith.constant 3 : i32
  %three = tile.fill %c3 : i32 -> <1xi32>
  %times = tile.scalar %three : <1xi32> -> i32
  %y = scf.for %i = %c0 to %times step %c1 iter_args(%t = %x) -> (!tile.tile<16x32xf32>) : i32 {
    %more = tile.map(%t) at(%c0, %c0) {
    ^bb0(%e: f32, %r: i32, %c: i32):
      %a = arith.addf %e, %sum : f32
      tile.yield %a : f32
    } : (!tile.tile<16x32xf32>) -> !tile.tile<16x32xf32>
    scf.yield %more : !tile.tile<16x32xf32>
  }
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 32 : <16x32xf32>, <2xf32, unit>)",
                        warps, data),
                "");
      float total = 0;
      for (int64_t j = 0; j < 32; ++j)
        total += data.x[j];
      for (int64_t i = 0; i < 16; ++i)
        for (int64_t j = 0; j < 32; ++j)
          ASSERT_EQ(data.y[i * kSize + j], data.x[i * kSize + j] + 3 * total)
              << shape << " " << warps << " " << i << " " << j;
    }
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.store_block on both back ends: see TileContractTest.cpp for the other ops.
#include "TileRunner.h"
#include "gtest/gtest.h"

using namespace attnc::testing;

static const int kWarps[] = {0, 1, 2, 4}; // 0 is the host

TEST(TileContract, StoresBlocksAlongAnyTwoDimensions) {
  // Rows 1 to 9 and columns 2 to 20 of a tile, as they are and the other way round.
  for (bool turned : {false, true})
    for (int warps : kWarps) {
      TileData data = tileData();
      std::string dims = turned ? "rows 1 from %c1 to %c10 cols 0 from %c2 to %c21"
                                : "rows 0 from %c1 to %c10 cols 1 from %c2 to %c21";
      ASSERT_EQ(runTile(R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> -> <16x32xf32>
  %c10 = arith.constant 10 : i32
  %c21 = arith.constant 21 : i32
  %c2 = arith.constant 2 : i32
  tile.store_block %x, %Y[] )" +
                            dims + " : <16x32xf32>, <2xf32, unit>",
                        warps, data),
                "");
      for (int64_t i = 0; i < kSize; ++i)
        for (int64_t j = 0; j < kSize; ++j) {
          bool inside = i >= 1 && i < 10 && j >= 2 && j < 21;
          EXPECT_EQ(data.y[turned ? j * kSize + i : i * kSize + j],
                    inside ? data.x[(i - 1) * kSize + j - 2] : kUnwritten)
              << warps << " " << i << " " << j;
        }
    }
}

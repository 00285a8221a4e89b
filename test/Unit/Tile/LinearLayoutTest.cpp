// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Layouts against the fragment formulas of the PTX ISA, exhaustively.
#include "dialects/Tile/LinearLayout.h"
#include "llvm/ADT/bit.h"
#include <gtest/gtest.h>
#include <map>
#include <set>

using namespace attnc::tile;

// PTX ISA, "Matrix Fragments for mma.m16n8k16": c_i is at row g + 8 * (i >= 2), column 2t + (i &
// 1).
TEST(LinearLayout, AccumulatorMatchesTheIsa) {
  LinearLayout layout = LinearLayout::mmaFragment(16, 8, 1);
  ASSERT_EQ(layout.registerCount(), 4);
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      Coord c = layout.apply(i, lane, 0);
      EXPECT_EQ(c.row, (lane >> 2) + 8 * (i >= 2));
      EXPECT_EQ(c.col, 2 * (lane & 3) + (i & 1));
    }
}

// Element i of the 16-bit A operand: row g if i in {0,1,4,5} else g + 8; k = 2t + (i & 1) + 8 * (i
// >= 4).
TEST(LinearLayout, OperandAMatchesTheIsa) {
  LinearLayout layout = LinearLayout::mmaFragment(16, 16, 1);
  ASSERT_EQ(layout.registerCount(), 8);
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 8; ++i) {
      Coord c = layout.apply(i, lane, 0);
      bool top = i == 0 || i == 1 || i == 4 || i == 5;
      EXPECT_EQ(c.row, (lane >> 2) + (top ? 0 : 8));
      EXPECT_EQ(c.col, 2 * (lane & 3) + (i & 1) + 8 * (i >= 4));
    }
}

TEST(LinearLayout, EveryElementIsHeldOnce) {
  for (int warps : {1, 2, 4, 8})
    for (int rowTiles : {1, 2})
      for (int cols : {16, 32, 48, 64, 80, 96, 128, 256}) {
        int rows = 16 * warps * rowTiles;
        LinearLayout layout = LinearLayout::mmaFragment(rows, cols, warps);
        std::set<std::pair<int, int>> seen;
        auto live = layout.liveRegisters(rows, cols);
        for (int64_t reg : live)
          for (int lane = 0; lane < 32; ++lane)
            for (int warp = 0; warp < warps; ++warp) {
              Coord c = layout.apply(reg, lane, warp);
              EXPECT_LT(c.row, rows);
              EXPECT_LT(c.col, cols);
              EXPECT_TRUE(seen.insert({c.row, c.col}).second);
            }
        EXPECT_EQ(seen.size(), size_t(rows) * cols);
      }
}

TEST(LinearLayout, RowSliceHoldsTheRowOfEachRegister) {
  LinearLayout layout = LinearLayout::mmaFragment(64, 64, 2);
  LinearLayout slice = layout.rowSlice();
  auto map = layout.rowSliceRegisters();
  for (int64_t reg = 0; reg < layout.registerCount(); ++reg)
    for (int lane = 0; lane < 32; ++lane)
      for (int warp = 0; warp < 2; ++warp) {
        EXPECT_EQ(slice.apply(map[reg], lane, warp).row, layout.apply(reg, lane, warp).row);
        EXPECT_EQ(slice.apply(map[reg], lane, warp).col, 0);
      }
  EXPECT_EQ(slice.registerCount(), 4); // 32 rows in a warp: 2 row halves of 2 row tiles
}

// Lanes that share a row differ exactly in the masked bits.
TEST(LinearLayout, ColumnLaneMasksJoinTheLanesOfARow) {
  LinearLayout layout = LinearLayout::mmaFragment(16, 8, 1);
  auto masks = layout.columnLaneMasks();
  ASSERT_EQ(masks.size(), 2u);
  EXPECT_EQ(masks[0], 1);
  EXPECT_EQ(masks[1], 2);
}

/// Every element of the tile is held, by as many threads' registers as there are copies.
static void expectCovers(const LinearLayout &layout, int64_t rows, int64_t cols, int64_t warps) {
  std::map<std::pair<int64_t, int64_t>, int64_t> held;
  for (int64_t warp = 0; warp < warps; ++warp)
    for (int64_t lane = 0; lane < 32; ++lane)
      for (int64_t reg = 0; reg < layout.registerCount(); ++reg) {
        Coord at = layout.apply(reg, lane, warp);
        ++held[{at.row, at.col}];
      }
  EXPECT_EQ(held.size(), size_t(rows * cols));
  int64_t copies = 1;
  for (int64_t bits : {layout.replicatedLanes(), layout.replicatedWarps()})
    copies <<= llvm::popcount(uint64_t(bits));
  for (auto [at, count] : held) {
    EXPECT_TRUE(at.first < rows && at.second < cols) << at.first << ", " << at.second;
    EXPECT_EQ(count, copies) << at.first << ", " << at.second;
  }
}

TEST(LinearLayout, BlockedAndWholeRowsCoverTiles) {
  for (int64_t warps : {1, 2, 4, 8})
    for (int64_t rows : {1, 2, 16, 64})
      for (int64_t cols : {1, 4, 32, 128}) {
        expectCovers(LinearLayout::blocked(rows, cols, warps), rows, cols, warps);
        LinearLayout whole = LinearLayout::wholeRows(rows, cols, warps);
        expectCovers(whole, rows, cols, warps);
        EXPECT_EQ(whole.columnWarps(), 0);
        EXPECT_TRUE(whole.columnLaneMasks().empty());
      }
}

TEST(LinearLayout, PartsOfRowsCoverTiles) {
  for (int64_t warps : {1, 2, 4, 8})
    for (int64_t rows : {1, 2, 16, 128})
      for (int64_t cols : {1, 4, 32, 64})
        for (int64_t part = 1; part <= cols; part *= 4) {
          LinearLayout layout = LinearLayout::partsOfRows(rows, cols, part, warps);
          expectCovers(layout, rows, cols, warps);
          EXPECT_TRUE(layout.holdsColumns(part));
        }
  // Two rows and 32 columns to each of 128 threads, lanes along rows.
  LinearLayout layout = LinearLayout::partsOfRows(128, 64, 8, 4);
  EXPECT_EQ(layout.apply(1, 0, 0).row, 1);
  EXPECT_EQ(layout.apply(0, 1, 0).row, 2);
  EXPECT_TRUE(layout.holdsColumns(32));
  EXPECT_FALSE(layout.holdsColumns(64));
}

TEST(LinearLayout, SlicesAlongEitherAxisAgree) {
  LinearLayout layout = LinearLayout::mmaFragment(64, 32, 4);
  LinearLayout columns = layout.columnSlice();
  llvm::SmallVector<int64_t> slice = layout.columnSliceRegisters();
  for (int64_t warp = 0; warp < 4; ++warp)
    for (int64_t lane = 0; lane < 32; ++lane)
      for (int64_t reg = 0; reg < layout.registerCount(); ++reg) {
        EXPECT_EQ(columns.apply(slice[reg], lane, warp).col, layout.apply(reg, lane, warp).col);
        Coord turned = layout.transposed().apply(reg, lane, warp);
        EXPECT_EQ(turned.row, layout.apply(reg, lane, warp).col);
      }
  // Rows belong to lanes 2 to 4 and to warps: along rows, these hold copies of a column's value.
  EXPECT_EQ(columns.replicatedLanes(), 0b11100);
  EXPECT_EQ(columns.replicatedWarps(), 0b11);
}

TEST(LinearLayout, StandardIsFragmentsWhereTheyFit) {
  EXPECT_TRUE(LinearLayout::standard({64, 24}, 4).has_value());
  EXPECT_EQ(LinearLayout::standard({64}, 4)->columnLaneMasks().size(), 0u);
  EXPECT_FALSE(LinearLayout::standard({24, 24}, 4).has_value());
  EXPECT_EQ(LinearLayout::standard({4, 32}, 4)->registerCount(), 1);
}

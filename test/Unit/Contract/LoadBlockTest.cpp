// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.load_block for PTX, which alone has it: on either side of a product, turned or not, from
// rows and columns in the middle of a tensor on, and beyond its end.
#include "TileRunner.h"
#include "gtest/gtest.h"

using namespace attnc::testing;

namespace {

/// Small integers, different for each element.
float number(int64_t i, int64_t j) { return float((3 * i + 5 * j) % 7 - 3); }

uint16_t asHalf(float x) { // a small integer
  if (x == 0)
    return 0;
  uint16_t sign = x < 0 ? 0x8000 : 0;
  int magnitude = int(x < 0 ? -x : x), exponent = magnitude >= 2 ? 1 : 0;
  int fraction = (magnitude << 10 >> exponent) - 1024;
  return uint16_t(sign | (15 + exponent) << 10 | fraction);
}

/// `row` and `col` are where the block starts; rows at or beyond `limit` are 0.
struct Block {
  int64_t row, col, limit;

  double at(int64_t i, int64_t j) const {
    return row + i < limit ? double(number(row + i, col + j)) : 0;
  }
};

const Block kBlocks[] = {{0, 0, 64}, {0, 32, 64}, {16, 16, 64}, {0, 0, 5}, {48, 32, 50}};

/// A tile `name` of f16 that is computed; `wide` is the same in f32.
std::string computed(const std::string &wide, const std::string &name, const std::string &shape) {
  return "\n  %" + wide + R"( = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %c3 = arith.constant 3 : i32
    %two = arith.addi %j, %j : i32
    %sum = arith.addi %i, %two : i32
    %rest = arith.remsi %sum, %c3 : i32
    %f = arith.sitofp %rest : i32 to f32
    tile.yield %f : f32
  } : () -> !tile.tile<)" +
         shape + "xf32>\n  %" + name + " = tile.cast %" + wide + " : <" + shape + "xf32> -> <" +
         shape + "xf16>";
}

/// Product of a computed tile, whose element (i, k) is (i + 2 k) mod 3, and a block, or the other
/// way round.
void check(const std::string &shape, const std::string &product, bool isLeft, bool isTurned) {
  int64_t columns = std::stoll(shape.substr(shape.find('x') + 1));
  for (const Block &block : kBlocks)
    for (int warps : {1, 2, 4}) {
      if (block.col + columns > kSize)
        continue; // columns have to be there
      TileData data = tileData();
      for (int64_t i = 0; i < kSize; ++i)
        for (int64_t j = 0; j < kSize; ++j)
          data.half[i * kSize + j] = asHalf(number(i, j));
      std::string body = "  %row = arith.constant " + std::to_string(block.row) +
                         " : i32\n  %col = arith.constant " + std::to_string(block.col) +
                         " : i32\n  %limit = arith.constant " + std::to_string(block.limit) +
                         " : i32\n  %block = tile.load_block %H[] rows 0 from %row to %limit cols "
                         "from %col : <2xf16, unit> -> <" +
                         shape + R"(xf16>
)" + computed("s", "computed", "64x32") +
                         computed("r", "right", "32x32") +
                         R"(
  %start = tile.fill %one : f32 -> <64x32xf32>
  )" + product + R"(
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 32 : <64x32xf32>, <2xf32, unit>)";
      ASSERT_EQ(runTile(body, warps, data), "") << warps << "\n" << body;
      auto given = [](int64_t i, int64_t j) { return double((i + 2 * j) % 3); };
      for (int64_t i = 0; i < 64; ++i)
        for (int64_t j = 0; j < 32; ++j) {
          double sum = 1;
          for (int64_t k = 0; k < 32; ++k) {
            double read = isLeft ? (isTurned ? block.at(k, i) : block.at(i, k))
                                 : (isTurned ? block.at(j, k) : block.at(k, j));
            sum += (isLeft ? given(k, j) : given(i, k)) * read;
          }
          ASSERT_EQ(data.y[i * kSize + j], sum) << warps << " warps, block at " << block.row << ", "
                                                << block.col << ": element " << i << ", " << j;
        }
    }
}

const char kTypes[] = "<64x32xf16>, <32x32xf16>, <64x32xf32> -> <64x32xf32>";

TEST(LoadBlock, Right) {
  check("32x32", "%y = tile.dot %computed, %block, %start : " + std::string(kTypes), false, false);
}

TEST(LoadBlock, RightTransposed) {
  check("32x32", "%y = tile.dot %computed, %block transposed, %start : " + std::string(kTypes),
        false, true);
}

TEST(LoadBlock, Left) {
  check("64x32", "%y = tile.dot %block, %right, %start : " + std::string(kTypes), true, false);
}

TEST(LoadBlock, LeftTurned) {
  check("32x64",
        "%turned = tile.transpose %block : <32x64xf16> -> <64x32xf16>\n"
        "  %y = tile.dot %turned, %right, %start : " +
            std::string(kTypes),
        true, true);
}

} // namespace

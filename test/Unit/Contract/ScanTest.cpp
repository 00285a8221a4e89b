// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.scan of parts of an axis on both back ends. Products are of powers of two, so that they are
// exact in any order.
#include "TileRunner.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace attnc::testing;

namespace {

struct Scan {
  bool isAlongRows, isReverse, isExclusive;
  int64_t part;
};

/// What element `at` of a line takes, by what `element` says are its elements.
template <typename Element> double scanned(const Scan &scan, int64_t at, Element element) {
  int64_t first = at / scan.part * scan.part, last = first + scan.part - 1;
  int64_t from = scan.isReverse ? at + scan.isExclusive : first;
  int64_t to = scan.isReverse ? last : at - scan.isExclusive;
  double product = 1;
  for (int64_t k = from; k <= to; ++k)
    product *= element(k);
  return product;
}

TEST(Scan, Parts) {
  const int64_t rows = 64, cols = 32;
  for (int warps : {0, 1, 2, 4}) // 0 is the host
    for (bool isAlongRows : {true, false})
      for (bool isReverse : {false, true})
        for (bool isExclusive : {false, true})
          for (int64_t part : {1, 4, 16, 32}) {
            Scan scan{isAlongRows, isReverse, isExclusive, part};
            TileData data = tileData();
            for (int64_t i = 0; i < kSize; ++i)
              for (int64_t j = 0; j < kSize; ++j)
                data.x[i * kSize + j] = std::ldexp(1.0f, int((i * 5 + j * 3) % 7) - 3);
            std::string attributes = isAlongRows ? "rows" : "columns";
            attributes += " every " + std::to_string(part) + (isExclusive ? " exclusive" : "") +
                          (isReverse ? " reverse" : "");
            std::string body =
                "  %x = tile.load %X[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> "
                "-> <64x32xf32>\n  %y = tile.scan product %x along " +
                attributes +
                " : <64x32xf32> -> <64x32xf32>\n  tile.store %y, %Y[] rows 0 from "
                "%c0 to %n cols 32 : <64x32xf32>, <2xf32, unit>";
            std::string where = attributes + " by " + std::to_string(warps) + " warps";
            ASSERT_EQ(runTile(body, warps, data), "") << where;
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t j = 0; j < cols; ++j) {
                double wanted = scanned(scan, isAlongRows ? i : j, [&](int64_t k) {
                  return double(data.x[isAlongRows ? k * kSize + j : i * kSize + k]);
                });
                ASSERT_EQ(data.y[i * kSize + j], wanted) << where << " at " << i << ", " << j;
              }
          }
}

/// The tiles around such a scan lie as it needs them (ScanLayouts.h).
TEST(Scan, BetweenMapsAndStore) {
  for (int warps : {0, 1, 2, 4}) {
    TileData data = tileData();
    for (float &x : data.x)
      x = x > 0 ? 2.0f : 0.5f;
    ASSERT_EQ(runTile(R"(
  %c2 = arith.constant 2 : i32
  %c4 = arith.constant 4 : i32
  %cols = arith.constant 64 : i32
  %isOdd = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32):
    %part = arith.divui %i, %c4 : i32
    %odd = arith.remui %part, %c2 : i32
    %is = arith.cmpi ne, %odd, %c0 : i32
    tile.yield %is : i1
  } : () -> !tile.tile<64xi1>
  %x = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %e = tile.element %X[%i, %j] : <2xf32, unit> -> f32
    tile.yield %e : f32
  } : () -> !tile.tile<64x64xf32>
  %up = tile.scan product %x along rows every 4 : <64x64xf32> -> <64x64xf32>
  %down = tile.scan product %x along rows every 4 exclusive reverse : <64x64xf32> -> <64x64xf32>
  %y = tile.map(%up, %down, %isOdd) at(%c0, %c0) {
  ^bb0(%a: f32, %b: f32, %is: i1, %i: i32, %j: i32):
    %z = arith.select %is, %a, %b : f32
    tile.yield %z : f32
  } : (!tile.tile<64x64xf32>, !tile.tile<64x64xf32>, !tile.tile<64xi1>) -> !tile.tile<64x64xf32>
  tile.store_block %y, %Y[] rows 0 from %c0 to %n cols 1 from %c0 to %cols : <64x64xf32>, <2xf32, unit>)",
                      warps, data),
              "");
    for (int64_t i = 0; i < kSize; ++i)
      for (int64_t j = 0; j < kSize; ++j) {
        bool isOdd = i / 4 % 2;
        double wanted = scanned({true, !isOdd, !isOdd, 4}, i,
                                [&](int64_t k) { return double(data.x[k * kSize + j]); });
        ASSERT_EQ(data.y[i * kSize + j], wanted) << warps << " warps at " << i << ", " << j;
      }
  }
}

} // namespace

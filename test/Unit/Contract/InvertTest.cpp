// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile.invert on both back ends, against substitution in f64, for matrices whose inverses are small
// although their powers are not.
#include "TileRunner.h"
#include "gtest/gtest.h"
#include <cmath>
#include <functional>
#include <limits>

using namespace attnc::testing;

namespace {

const int kWarps[] = {0, 1, 2, 4}; // 0 is the host

/// Column by column.
std::vector<std::vector<double>> inverseOf(const TileData &data, int64_t rows) {
  std::vector<std::vector<double>> inverse(rows, std::vector<double>(rows));
  for (int64_t j = 0; j < rows; ++j)
    for (int64_t i = j; i < rows; ++i) {
      double sum = i == j;
      for (int64_t k = j; k < i; ++k)
        sum += double(data.x[i * kSize + k]) * inverse[k][j];
      inverse[i][j] = sum;
    }
  return inverse;
}

using Entry = std::function<double(int64_t, int64_t)>;

/// `entry` gives what is below the diagonal; what is not is NaN, which nothing reads.
void check(const char *name, const Entry &entry, bool isRounded) {
  for (int64_t rows : {16, 32, 64})
    for (int warps : kWarps) {
      if (warps && rows < 16 * warps)
        continue; // what fragments of products need
      TileData data = tileData();
      for (int64_t i = 0; i < kSize; ++i)
        for (int64_t j = 0; j < kSize; ++j)
          data.x[i * kSize + j] =
              j < i ? float(entry(i, j)) : std::numeric_limits<float>::quiet_NaN();
      std::string size = std::to_string(rows), type = "<" + size + "x" + size + "xf32>";
      std::string body = "  %x = tile.load %X[] rows 0 from %c0 to %n cols " + size +
                         " : <2xf32, unit> -> " + type + "\n  %y = tile.invert %x" +
                         (isRounded ? " rounded" : "") + " : " + type + " -> " + type +
                         "\n  tile.store %y, %Y[] rows 0 from %c0 to %n cols " + size + " : " +
                         type + ", <2xf32, unit>";
      std::string where = std::string(name) + ", " + size + " rows by " + std::to_string(warps) +
                          " warps" + (isRounded ? ", rounded" : "");
      ASSERT_EQ(runTile(body, warps, data), "") << where;
      auto wanted = inverseOf(data, rows);
      double largest = 0;
      for (const auto &row : wanted)
        for (double x : row)
          largest = std::max(largest, std::abs(x));
      // A sum of up to `rows` terms, each within half a unit of the last place. Where readers round
      // the inverse, PTX multiplies blocks of 16 by operands of 22 bits, two for each term.
      bool hasProducts = isRounded && warps && rows > 16;
      double bound = rows * std::ldexp(largest, -24) * (hasProducts ? 1 + 2 * 4 : 1);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < rows; ++j) {
          double y = data.y[i * kSize + j];
          if (j >= i)
            ASSERT_EQ(y, i == j) << where << " at " << i << ", " << j;
          else
            ASSERT_NEAR(y, wanted[i][j], bound) << where << " at " << i << ", " << j;
        }
    }
}

void check(const char *name, const Entry &entry) {
  for (bool isRounded : {false, true})
    check(name, entry, isRounded);
}

TEST(Invert, Identity) {
  check("zeros", [](int64_t, int64_t) { return 0.0; });
}

TEST(Invert, SmallEntries) {
  check("small", [](int64_t i, int64_t j) { return 0.0625 * double((i * 7 + j * 3) % 5 - 2); });
}

TEST(Invert, RepeatedKeys) {
  // Delta rules with beta near 2 and equal keys: entries of powers reach 8e28 at 64 rows.
  check("repeated", [](int64_t, int64_t) { return -1.999; });
}

TEST(Invert, OneColumnReachesAllRows) {
  check("chain", [](int64_t i, int64_t j) { return i == j + 1 ? 0.5 : 0.0; });
}

} // namespace

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each op of the tile dialect on both back ends, for shapes that mma fragments fit and shapes that
// they do not, and for one to four warps. Numbers are small integers: results are equal, not near.
#include "TileRunner.h"
#include "gtest/gtest.h"
#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

using namespace attnc::testing;

namespace {

using Matrix = std::vector<std::vector<double>>;

struct Shape {
  int64_t rows, cols;
};

/// Shapes: mma fragments for one warp or more; fewer rows than warps; one row; one column; little.
const Shape kShapes[] = {{64, 64}, {16, 24}, {32, 8}, {4, 32}, {1, 64}, {64, 1}, {2, 2}, {8, 16}};
const int kWarps[] = {0, 1, 2, 4}; // 0 is the host

std::string replaceAll(std::string text, const std::string &from, const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// Whether tiles of this shape have a layout for so many warps; docs of tile-assign-layouts.
bool fits(Shape shape, int warps) {
  auto power = [](int64_t x) { return (x & (x - 1)) == 0; };
  return warps == 0 || (power(shape.rows) && power(shape.cols)) ||
         (power(shape.rows) && shape.rows % (16 * warps) == 0 && shape.cols % 8 == 0);
}

Matrix elements(const TileData &data, Shape shape) {
  Matrix x(shape.rows, std::vector<double>(shape.cols));
  for (int64_t i = 0; i < shape.rows; ++i)
    for (int64_t j = 0; j < shape.cols; ++j)
      x[i][j] = data.x[i * kSize + j];
  return x;
}

/// In a body $R and $C are the shape's rows and columns, $T is f32 of that shape, and %x is loaded.
/// It leaves an $R x $C tile %y, stored to %Y, unless `stores` is set.
void check(const std::string &body, const std::function<Matrix(const Matrix &)> &expected,
           bool stores = false) {
  for (Shape shape : kShapes)
    for (int warps : kWarps) {
      Shape turned{shape.cols, shape.rows};
      if (!fits(shape, warps) || !fits(turned, warps))
        continue;
      std::string text =
          "  %x = tile.load %X[] rows 0 from %c0 to %n cols $C : <2xf32, unit> -> <$RxCxf32>\n" +
          body;
      if (!stores)
        text += "\n  tile.store %y, %Y[] rows 0 from %c0 to %n cols $C : <$RxCxf32>, <2xf32, unit>";
      text = replaceAll(text, "$T", "!tile.tile<$RxCxf32>");
      text =
          replaceAll(text, "$RxC", std::to_string(shape.rows) + "x" + std::to_string(shape.cols));
      text =
          replaceAll(text, "$CxR", std::to_string(shape.cols) + "x" + std::to_string(shape.rows));
      text = replaceAll(text, "$R", std::to_string(shape.rows));
      text = replaceAll(text, "$C", std::to_string(shape.cols));
      TileData data = tileData();
      std::string where = std::to_string(shape.rows) + "x" + std::to_string(shape.cols) +
                          (warps ? " by " + std::to_string(warps) + " warps" : " on the host");
      ASSERT_EQ(runTile(text, warps, data), "") << where << "\n" << text;
      Matrix wanted = expected(elements(data, shape));
      for (size_t i = 0; i < wanted.size(); ++i)
        for (size_t j = 0; j < wanted[i].size(); ++j)
          ASSERT_EQ(data.y[i * kSize + j], wanted[i][j]) << where << " at " << i << ", " << j;
      // Nothing beyond the tile was written.
      if (!wanted.empty() && wanted[0].size() < kSize)
        ASSERT_EQ(data.y[wanted[0].size()], kUnwritten) << where;
      if (!wanted.empty() && wanted.size() < kSize)
        ASSERT_EQ(data.y[wanted.size() * kSize], kUnwritten) << where;
    }
}

Matrix each(const Matrix &x, const std::function<double(const Matrix &, size_t, size_t)> &f) {
  Matrix y = x;
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t j = 0; j < x[i].size(); ++j)
      y[i][j] = f(x, i, j);
  return y;
}

double combine(const std::string &kind, double a, double b) {
  return kind == "sum"   ? a + b
         : kind == "max" ? std::max(a, b)
         : kind == "min" ? std::min(a, b)
                         : a * b;
}

double neutral(const std::string &kind) {
  return kind == "sum" ? 0 : kind == "product" ? 1 : kind == "max" ? -INFINITY : INFINITY;
}

/// Elements of 1, -1 and 2 so that products stay exact.
const char *kSmall = R"(
  %s = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %t = arith.cmpf oeq, %e, %one : f32
    %two = arith.constant 2.0 : f32
    %neg = arith.constant -1.0 : f32
    %large = arith.cmpf ogt, %e, %one : f32
    %u = arith.select %large, %neg, %one : f32
    %v = arith.select %t, %two, %u : f32
    tile.yield %v : f32
  } : ($T) -> $T)";
double smallOf(double e) { return e == 1 ? 2 : e > 1 ? -1 : 1; }

//===----------------------------------------------------------------------===//

TEST(TileContract, MapSeesCoordinates) {
  check(R"(
  %c3 = arith.constant 3 : i32
  %y = tile.map(%x) at(%c3, %c1) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %ij = arith.muli %i, %j : i32
    %f = arith.sitofp %ij : i32 to f32
    %v = arith.addf %e, %f : f32
    tile.yield %v : f32
  } : ($T) -> $T)",
        [](const Matrix &x) {
          return each(x, [](const Matrix &x, size_t i, size_t j) {
            return x[i][j] + double(i + 3) * double(j + 1);
          });
        });
}

TEST(TileContract, MapRepeatsVectorsAlongEitherAxis) {
  check(R"(
  %row = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32):
    %f = arith.sitofp %i : i32 to f32
    tile.yield %f : f32
  } : () -> !tile.tile<$Rxf32>
  %col = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %f = arith.sitofp %j : i32 to f32
    tile.yield %f : f32
  } : () -> !tile.tile<1x$Cxf32>
  %y = tile.map(%x, %row, %col) at(%c0, %c0) {
  ^bb0(%e: f32, %r: f32, %c: f32, %i: i32, %j: i32):
    %h = arith.constant 100.0 : f32
    %v = math.fma %h, %r, %c : f32
    %w = arith.addf %v, %e : f32
    tile.yield %w : f32
  } : ($T, !tile.tile<$Rxf32>, !tile.tile<1x$Cxf32>) -> $T)",
        [](const Matrix &x) {
          return each(x, [](const Matrix &x, size_t i, size_t j) {
            return x[i][j] + 100.0 * double(i) + double(j);
          });
        });
}

TEST(TileContract, ConditionsAreTiles) {
  check(R"(
  %b = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %p = arith.cmpf ogt, %e, %zero : f32
    tile.yield %p : i1
  } : ($T) -> !tile.tile<$RxCxi1>
  %r = scf.for %k = %c0 to %c1 step %c1 iter_args(%c = %b) -> (!tile.tile<$RxCxi1>) : i32 {
    %t = tile.map(%c) at(%c0, %c0) {
    ^bb0(%e: i1, %i: i32, %j: i32):
      %q = arith.cmpi eq, %i, %j : i32
      %p = arith.xori %e, %q : i1
      tile.yield %p : i1
    } : (!tile.tile<$RxCxi1>) -> !tile.tile<$RxCxi1>
    scf.yield %t : !tile.tile<$RxCxi1>
  }
  %y = tile.map(%r, %x) at(%c0, %c0) {
  ^bb0(%p: i1, %e: f32, %i: i32, %j: i32):
    %v = arith.select %p, %e, %one : f32
    tile.yield %v : f32
  } : (!tile.tile<$RxCxi1>, $T) -> $T)",
        [](const Matrix &x) {
          return each(x, [](const Matrix &x, size_t i, size_t j) {
            return (x[i][j] > 0) != (i == j) ? x[i][j] : 1.0;
          });
        });
}

TEST(TileContract, FillAndCast) {
  check(R"(
  %h = tile.cast %x : <$RxCxf32> -> <$RxCxf16>
  %b = tile.cast %x : <$RxCxf32> -> <$RxCxbf16>
  %hw = tile.cast %h : <$RxCxf16> -> <$RxCxf32>
  %bw = tile.cast %b : <$RxCxbf16> -> <$RxCxf32>
  %f = tile.fill %one : f32 -> <$RxCxf32>
  %y = tile.map(%hw, %bw, %f) at(%c0, %c0) {
  ^bb0(%d: f32, %e: f32, %o: f32, %i: i32, %j: i32):
    %v = arith.mulf %d, %e : f32
    %w = arith.addf %v, %o : f32
    tile.yield %w : f32
  } : ($T, $T, $T) -> $T)",
        [](const Matrix &x) {
          return each(x, [](const Matrix &x, size_t i, size_t j) { return x[i][j] * x[i][j] + 1; });
        });
}

TEST(TileContract, LoadsStopAtLimits) {
  // The rows of the tile start at the second row; three rows and half of the columns are there.
  check(R"(
  %c4 = arith.constant 4 : i32
  %h = tile.load %H[] rows 0 from %c1 to %c4 cols 1 : <2xf16, unit> -> <$RxCxf16>
  %y = tile.cast %h : <$RxCxf16> -> <$RxCxf32>)",
        [](const Matrix &x) {
          TileData data = tileData();
          return each(x, [&](const Matrix &, size_t i, size_t j) {
            return i < 3 && j < 1 ? double(data.x[(i + 1) * kSize + j]) : 0.0;
          });
        });
}

TEST(TileContract, GathersRows) {
  check(R"(
  %at = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32):
    %k = tile.element %I[%i] : <1xi32> -> i32
    tile.yield %k : i32
  } : () -> !tile.tile<$Rxi32>
  %y = tile.gather %X[] rows 0 at %at to %n cols $C : <2xf32, unit>, <$Rxi32> -> <$RxCxf32>)",
        [](const Matrix &x) {
          TileData data = tileData();
          return each(x, [&](const Matrix &, size_t i, size_t j) {
            int32_t row = data.indices[i];
            return row >= 0 && row < kSize ? double(data.x[row * kSize + j]) : 0.0;
          });
        });
}

TEST(TileContract, ReducesAlongEitherAxis) {
  for (const char *kind : {"sum", "max", "min", "product"})
    for (const char *type : {"f32", "i32"}) {
      bool columns = true;
      for (const char *axis : {"", " along rows"}) {
        std::string body = std::string(kSmall) + R"(
  %t = tile.map(%s) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    TO
  } : ($T) -> !tile.tile<$RxCxTYPE>
  %v = tile.reduce KIND %tAXIS : <$RxCxTYPE> -> <KEPTxTYPE>
  %y = tile.map(%v) at(%c0, %c0) {
  ^bb0(%e: TYPE, %i: i32, %j: i32):
    FROM
  } : (!tile.tile<KEPTxTYPE>) -> $T)";
        bool real = std::string(type) == "f32";
        body = replaceAll(body, "TO",
                          real ? "tile.yield %e : f32"
                               : "%w = arith.fptosi %e : f32 to i32\n    tile.yield %w : i32");
        body = replaceAll(body, "FROM",
                          real ? "tile.yield %e : f32"
                               : "%w = arith.sitofp %e : i32 to f32\n    tile.yield %w : f32");
        body = replaceAll(body, "TYPE", type);
        body = replaceAll(body, "KIND", kind);
        body = replaceAll(body, "AXIS", axis);
        body = replaceAll(body, "KEPT", columns ? "$R" : "1x$C");
        // 64 factors of 2 do not fit an i32, on which all agree by wrapping; keep products real.
        if (!real && std::string(kind) == "product")
          continue;
        check(body, [&](const Matrix &x) {
          return each(x, [&](const Matrix &x, size_t i, size_t j) {
            double all = neutral(kind);
            for (size_t k = 0; k < (columns ? x[0].size() : x.size()); ++k)
              all = combine(kind, all, smallOf(columns ? x[i][k] : x[k][j]));
            return all;
          });
        });
        columns = false;
      }
    }
}

/// The largest element and the first place that has it.
const char *kArgmax = R"(
  %at = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    tile.yield PLACE : i32
  } : () -> !tile.tile<$RxCxi32>
  %max, %where = tile.fold(%x, %at) along AXIS {
  ^bb0(%a: f32, %i: i32, %b: f32, %j: i32):
    %larger = arith.cmpf ogt, %a, %b : f32
    %equal = arith.cmpf oeq, %a, %b : f32
    %before = arith.cmpi slt, %i, %j : i32
    %first = arith.andi %equal, %before : i1
    %left = arith.ori %larger, %first : i1
    %v = arith.select %left, %a, %b : f32
    %k = arith.select %left, %i, %j : i32
    tile.yield %v, %k : f32, i32
  } : ($T, !tile.tile<$RxCxi32>) -> (!tile.tile<KEPTxf32>, !tile.tile<KEPTxi32>)
  %y = tile.map(%max, %where) at(%c0, %c0) {
  ^bb0(%m: f32, %w: i32, %i: i32, %j: i32):
    %f = arith.sitofp %w : i32 to f32
    %h = arith.constant 100.0 : f32
    %v = math.fma %h, %m, %f : f32
    tile.yield %v : f32
  } : (!tile.tile<KEPTxf32>, !tile.tile<KEPTxi32>) -> $T)";

TEST(TileContract, FoldsByACombiner) {
  for (bool columns : {true, false}) {
    std::string body = replaceAll(kArgmax, "PLACE", columns ? "%j" : "%i");
    body = replaceAll(body, "AXIS", columns ? "columns" : "rows");
    body = replaceAll(body, "KEPT", columns ? "$R" : "1x$C");
    check(body, [&](const Matrix &x) {
      return each(x, [&](const Matrix &x, size_t i, size_t j) {
        double best = -INFINITY, where = 0;
        for (size_t k = 0; k < (columns ? x[0].size() : x.size()); ++k) {
          double e = columns ? x[i][k] : x[k][j];
          if (e > best)
            best = e, where = double(k);
        }
        return 100 * best + where;
      });
    });
  }
}

TEST(TileContract, ScansInOrder) {
  for (const char *kind : {"sum", "max", "min", "product"})
    for (bool columns : {true, false})
      for (bool exclusive : {false, true})
        for (bool reverse : {false, true}) {
          std::string body = std::string(kSmall) + "\n  %y = tile.scan " + kind + " %s along " +
                             (columns ? "columns" : "rows") + (exclusive ? " exclusive" : "") +
                             (reverse ? " reverse" : "") + " : <$RxCxf32> -> <$RxCxf32>";
          check(body, [&](const Matrix &x) {
            Matrix y = x;
            size_t length = columns ? x[0].size() : x.size();
            for (size_t other = 0; other < (columns ? x.size() : x[0].size()); ++other) {
              double before = neutral(kind);
              for (size_t k = 0; k < length; ++k) {
                size_t at = reverse ? length - 1 - k : k;
                size_t i = columns ? other : at, j = columns ? at : other;
                double next = combine(kind, before, smallOf(x[i][j]));
                y[i][j] = exclusive ? before : next;
                before = next;
              }
            }
            return y;
          });
        }
}

TEST(TileContract, ScansRowsOfFragments) {
  // Columns that are no power of two: they lie in the registers of a thread.
  for (int warps : kWarps) {
    TileData data = tileData();
    ASSERT_EQ(runTile(R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 24 : <2xf32, unit> -> <64x24xf32>
  %y = tile.scan sum %x along columns : <64x24xf32> -> <64x24xf32>
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 24 : <64x24xf32>, <2xf32, unit>)",
                      warps, data),
              "");
    for (int64_t i = 0; i < 64; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < 24; ++j) {
        sum += data.x[i * kSize + j];
        ASSERT_EQ(data.y[i * kSize + j], sum) << warps << " " << i << " " << j;
      }
    }
  }
}

TEST(TileContract, TransposesMatrices) {
  check(
      R"(
  %t = tile.transpose %x : <$RxCxf32> -> <$CxRxf32>
  tile.store %t, %Y[] rows 0 from %c0 to %n cols $R : <$CxRxf32>, <2xf32, unit>)",
      [](const Matrix &x) {
        Matrix y(x[0].size(), std::vector<double>(x.size()));
        for (size_t i = 0; i < x.size(); ++i)
          for (size_t j = 0; j < x[0].size(); ++j)
            y[j][i] = x[i][j];
        return y;
      },
      /*stores=*/true);
}

TEST(TileContract, TransposesVectors) {
  // The sums of rows, as values of columns; and back.
  check(R"(
  %v = tile.reduce sum %x : <$RxCxf32> -> <$Rxf32>
  %r = tile.transpose %v : <$Rxf32> -> <1x$Rxf32>
  %w = tile.transpose %r : <1x$Rxf32> -> <$Rxf32>
  %y = tile.map(%w) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    tile.yield %e : f32
  } : (!tile.tile<$Rxf32>) -> $T)",
        [](const Matrix &x) {
          return each(x, [](const Matrix &x, size_t i, size_t) {
            double sum = 0;
            for (double e : x[i])
              sum += e;
            return sum;
          });
        });
}

TEST(TileContract, StoresVectorsAlongEitherAxis) {
  // Rank 1 along the rows of Z; one row into Y.
  for (int warps : kWarps) {
    TileData data = tileData();
    ASSERT_EQ(runTile(R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> -> <16x32xf32>
  %c10 = arith.constant 10 : i32
  %v = tile.reduce sum %x : <16x32xf32> -> <16xf32>
  %w = tile.reduce sum %x along rows : <16x32xf32> -> <1x32xf32>
  tile.store %v, %Z[] rows 0 from %c0 to %c10 cols 1 : <16xf32>, <1xf32>
  tile.store %w, %Y[] rows 0 from %c1 to %n cols 31 : <1x32xf32>, <2xf32, unit>)",
                      warps, data),
              "");
    for (int64_t i = 0; i < 16; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < 32; ++j)
        sum += data.x[i * kSize + j];
      EXPECT_EQ(data.z[i], i < 10 ? sum : kUnwritten) << warps << " " << i;
    }
    for (int64_t j = 0; j < 32; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < 16; ++i)
        sum += data.x[i * kSize + j];
      EXPECT_EQ(data.y[kSize + j], j < 31 ? sum : kUnwritten) << warps << " " << j;
    }
  }
}

TEST(TileContract, AnyDecidesBranches) {
  for (const char *type : {"i32", "i1"}) {
    std::string flag = std::string(type) == "i1"
                           ? "tile.yield %p : i1"
                           : "%f = arith.extui %p : i1 to i32\n    tile.yield %f : i32";
    check(replaceAll(replaceAll(R"(
  %f = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %c5 = arith.constant 5.0 : f32
    %p = arith.cmpf oeq, %e, %c5 : f32
    FLAG
  } : ($T) -> !tile.tile<$RxCxTYPE>
  %some = tile.any %f : <$RxCxTYPE>
  %y = scf.if %some -> ($T) {
    %t = tile.map(%x) at(%c0, %c0) {
    ^bb0(%e: f32, %i: i32, %j: i32):
      %d = arith.addf %e, %e : f32
      tile.yield %d : f32
    } : ($T) -> $T
    scf.yield %t : $T
  } else {
    scf.yield %x : $T
  })",
                                "FLAG", flag),
                     "TYPE", type),
          [](const Matrix &x) {
            bool some = false;
            for (const auto &row : x)
              for (double e : row)
                some |= e == 5;
            return each(x, [&](const Matrix &x, size_t i, size_t j) {
              return some ? 2 * x[i][j] : x[i][j];
            });
          });
  }
}

TEST(TileContract, WhileRunsUntilNoElementIsLarge) {
  // Doubles all elements until one exceeds 40; counts on the side.
  check(R"(
  %r:2 = scf.while (%t = %x, %k = %c0) : ($T, i32) -> ($T, i32) {
    %f = tile.map(%t) at(%c0, %c0) {
    ^bb0(%e: f32, %i: i32, %j: i32):
      %c40 = arith.constant 40.0 : f32
      %a = math.absf %e : f32
      %p = arith.cmpf ogt, %a, %c40 : f32
      tile.yield %p : i1
    } : ($T) -> !tile.tile<$RxCxi1>
    %some = tile.any %f : <$RxCxi1>
    %c8 = arith.constant 8 : i32
    %more = arith.cmpi slt, %k, %c8 : i32
    %true = arith.constant true
    %none = arith.xori %some, %true : i1
    %go = arith.andi %none, %more : i1
    scf.condition(%go) %t, %k : $T, i32
  } do {
  ^bb0(%t: $T, %k: i32):
    %d = tile.map(%t) at(%c0, %c0) {
    ^bb0(%e: f32, %i: i32, %j: i32):
      %v = arith.addf %e, %e : f32
      tile.yield %v : f32
    } : ($T) -> $T
    %k1 = arith.addi %k, %c1 : i32
    scf.yield %d, %k1 : $T, i32
  }
  %y = tile.map(%r#0) at(%c0, %r#1) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %f = arith.sitofp %j : i32 to f32
    %v = arith.addf %e, %f : f32
    tile.yield %v : f32
  } : ($T) -> $T)",
        [](const Matrix &x) {
          Matrix t = x;
          int count = 0;
          auto large = [&]() {
            for (const auto &row : t)
              for (double e : row)
                if (std::abs(e) > 40)
                  return true;
            return false;
          };
          for (; !large() && count < 8; ++count)
            for (auto &row : t)
              for (double &e : row)
                e *= 2;
          return each(
              t, [&](const Matrix &t, size_t i, size_t j) { return t[i][j] + double(j) + count; });
        });
}

TEST(TileContract, DotTakesLoadedAndComputedOperands) {
  // y = x h^T + 1 with both loaded; then x's square, the right side computed.
  for (int warps : kWarps)
    for (const char *type : {"f16", "bf16", "f32"}) {
      std::string body = R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> -> <64x32xf32>
  %l = tile.cast %x : <64x32xf32> -> <64x32xTYPE>
  %double = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %d = arith.addf %e, %one : f32
    tile.yield %d : f32
  } : (!tile.tile<64x32xf32>) -> !tile.tile<64x32xf32>
  %r = tile.cast %double : <64x32xf32> -> <64x32xTYPE>
  %start = tile.fill %one : f32 -> <64x64xf32>
  %s = tile.dot %l, %r transposed, %start : <64x32xTYPE>, <64x32xTYPE>, <64x64xf32> -> <64x64xf32>
  %k = tile.map(%s) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %p = arith.cmpf ogt, %e, %zero : f32
    %f = arith.select %p, %one, %zero : f32
    tile.yield %f : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  %w = tile.cast %k : <64x64xf32> -> <64x64xTYPE>
  %none = tile.fill %zero : f32 -> <64x32xf32>
  %y = tile.dot %w, %r, %none : <64x64xTYPE>, <64x32xTYPE>, <64x32xf32> -> <64x32xf32>
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 32 : <64x32xf32>, <2xf32, unit>)";
      TileData data = tileData();
      ASSERT_EQ(runTile(replaceAll(body, "TYPE", type), warps, data), "") << warps << " " << type;
      for (int64_t i = 0; i < 64; ++i)
        for (int64_t j = 0; j < 32; ++j) {
          double sum = 0;
          for (int64_t k = 0; k < 64; ++k) {
            double score = 1;
            for (int64_t d = 0; d < 32; ++d)
              score += double(data.x[i * kSize + d]) * (data.x[k * kSize + d] + 1);
            sum += score > 0 ? data.x[k * kSize + j] + 1 : 0;
          }
          ASSERT_EQ(data.y[i * kSize + j], sum) << warps << " " << type << " " << i << " " << j;
        }
    }
}

TEST(TileContract, MaskedDotLeavesTermsOut) {
  // Weights are not 0 where they are hidden: the mask alone decides, unless zeros are promised.
  for (int warps : kWarps)
    for (const char *type : {"f16", "bf16", "f32"})
      for (bool promised : {false, true}) {
        TileData data = tileData();
        std::string body = R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> -> <64x32xf32>
  %nan = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %c3 = arith.constant 3 : i32
    %hidden = arith.cmpi eq, %i, %c3 : i32
    %never = arith.divf %zero, %zero : f32
    %v = arith.select %hidden, %never, %e : f32
    tile.yield %v : f32
  } : (!tile.tile<64x32xf32>) -> !tile.tile<64x32xf32>
  %r = tile.cast %nan : <64x32xf32> -> <64x32xTYPE>
  %seen = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %c3 = arith.constant 3 : i32
    %le = arith.cmpi sle, %j, %i : i32
    %no = arith.cmpi ne, %j, %c3 : i32
    %p = arith.andi %le, %no : i1
    %f = arith.extui %p : i1 to i32
    tile.yield %f : i32
  } : () -> !tile.tile<64x64xi32>
  %w = tile.map(%seen) at(%c0, %c0) {
  ^bb0(%s: i32, %i: i32, %j: i32):
    %f = arith.sitofp WEIGHT : i32 to f32
    tile.yield %f : f32
  } : (!tile.tile<64x64xi32>) -> !tile.tile<64x64xf32>
  %l = tile.cast %w : <64x64xf32> -> <64x64xTYPE>
  %none = tile.fill %zero : f32 -> <64x32xf32>
  %y = tile.dot %l, %r, %none where %seen PROMISE
      : <64x64xTYPE>, <64x32xTYPE>, <64x32xf32>, !tile.tile<64x64xi32> -> <64x32xf32>
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 32 : <64x32xf32>, <2xf32, unit>)";
        body = replaceAll(body, "TYPE", type);
        body = replaceAll(body, "WEIGHT", promised ? "%s" : "%j");
        body = replaceAll(body, "PROMISE", promised ? "{zero_outside}" : "");
        std::string where = std::to_string(warps) + " warps, " + type;
        ASSERT_EQ(runTile(body, warps, data), "") << where;
        for (int64_t i = 0; i < 64; ++i)
          for (int64_t j = 0; j < 32; ++j) {
            double sum = 0;
            for (int64_t k = 0; k <= i; ++k)
              if (k != 3)
                sum += (promised ? 1.0 : double(k)) * data.x[k * kSize + j];
            ASSERT_EQ(data.y[i * kSize + j], sum) << where << " " << i << " " << j;
          }
      }
}

TEST(TileContract, SinesOfPositions) {
  // Element (i, j) is the sine, or the cosine, of 252.25 i j: up to a million.
  for (int warps : kWarps)
    for (const char *function : {"sin", "cos"}) {
      std::string body = R"(
  %y = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %f = arith.sitofp %i : i32 to f32
    %g = arith.sitofp %j : i32 to f32
    %p = arith.mulf %f, %g : f32
    %q = arith.constant 252.25 : f32
    %a = arith.mulf %p, %q : f32
    %v = math.FUNCTION %a : f32
    tile.yield %v : f32
  } : () -> !tile.tile<64x64xf32>
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 64 : <64x64xf32>, <2xf32, unit>)";
      TileData data = tileData();
      ASSERT_EQ(runTile(replaceAll(body, "FUNCTION", function), warps, data), "");
      for (int64_t i = 0; i < 64; ++i)
        for (int64_t j = 0; j < 64; ++j) {
          double angle = 252.25 * double(i * j); // at most 1,001,180.25, an exact f32
          double exact = function[0] == 's' ? std::sin(angle) : std::cos(angle);
          ASSERT_NEAR(data.y[i * kSize + j], exact, 1e-6) << warps << " " << i << " " << j;
        }
    }
}

/// Quotients of numbers of all exponents: the inverse of what is beyond 2^126 is subnormal.
TEST(TileContract, QuotientsOfAnySize) {
  const char *body = R"(
  %x = tile.load %X[] rows 0 from %c0 to %n cols 64 : <2xf32, unit> -> <64x64xf32>
  %t = tile.transpose %x : <64x64xf32> -> <64x64xf32>
  %y = tile.map(%x, %t) at(%c0, %c0) {
  ^bb0(%a: f32, %b: f32, %i: i32, %j: i32):
    %q = arith.divf %a, %b : f32
    tile.yield %q : f32
  } : (!tile.tile<64x64xf32>, !tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 64 : <64x64xf32>, <2xf32, unit>)";
  std::mt19937 engine(1);
  std::uniform_int_distribution<int> exponents(-149, 127);
  std::uniform_real_distribution<float> mantissas(1, 2);
  for (int warps : kWarps)
    for (int round = 0; round < 3; ++round) {
      TileData data = tileData();
      for (float &x : data.x)
        x = std::ldexp(engine() % 2 ? mantissas(engine) : -mantissas(engine), exponents(engine));
      data.x[0] = INFINITY;
      data.x[1] = 0;
      ASSERT_EQ(runTile(body, warps, data), "");
      for (int64_t i = 0; i < kSize; ++i)
        for (int64_t j = 0; j < kSize; ++j) {
          float a = data.x[i * kSize + j], b = data.x[j * kSize + i];
          double found = data.y[i * kSize + j], exact = double(a) / double(b);
          std::string what = std::to_string(warps) + " warps: " + std::to_string(a) + " / " +
                             std::to_string(b) + " = " + std::to_string(found);
          // PTX has no subnormal numbers.
          double smallest = warps ? 0x1p-126 : 0x1p-149;
          if (warps && (std::abs(a) < 0x1p-126f || std::abs(b) < 0x1p-126f))
            continue;
          if (std::isnan(exact))
            ASSERT_TRUE(std::isnan(found)) << what;
          else if (std::abs(exact) >= 0x1p128)
            ASSERT_EQ(found, std::copysign(INFINITY, exact)) << what;
          else if (std::abs(exact) < 0x1.fffffp127) // rounding may take the rest to an infinity
            ASSERT_NEAR(found, exact, std::max(2.4e-7 * std::abs(exact), smallest)) << what;
        }
    }
}

TEST(TileContract, LoopsCarryWhatTheyLoad) {
  // Loads in a loop that no product reads, and one that a product and a map read.
  for (int warps : kWarps) {
    TileData data = tileData();
    ASSERT_EQ(runTile(R"(
  %none = tile.fill %zero : f32 -> <64x32xf32>
  %c16 = arith.constant 16 : i32
  %q = tile.load %X[] rows 0 from %c0 to %n cols 16 : <2xf32, unit> -> <64x16xf32>
  %y = scf.for %k = %c0 to %n step %c16 iter_args(%acc = %none) -> (!tile.tile<64x32xf32>) : i32 {
    %v = tile.load %X[] rows 0 from %k to %n cols 32 : <2xf32, unit> -> <16x32xf32>
    %s = tile.reduce sum %v along rows : <16x32xf32> -> <1x32xf32>
    %d = tile.dot %q, %v, %acc : <64x16xf32>, <16x32xf32>, <64x32xf32> -> <64x32xf32>
    %t = tile.map(%d, %s) at(%c0, %c0) {
    ^bb0(%e: f32, %f: f32, %i: i32, %j: i32):
      %g = arith.addf %e, %f : f32
      tile.yield %g : f32
    } : (!tile.tile<64x32xf32>, !tile.tile<1x32xf32>) -> !tile.tile<64x32xf32>
    scf.yield %t : !tile.tile<64x32xf32>
  }
  tile.store %y, %Y[] rows 0 from %c0 to %n cols 32 : <64x32xf32>, <2xf32, unit>)",
                      warps, data),
              "")
        << warps;
    for (int64_t i = 0; i < 64; ++i)
      for (int64_t j = 0; j < 32; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < 64; ++k)
          sum += (1 + double(data.x[i * kSize + k % 16])) * data.x[k * kSize + j];
        ASSERT_EQ(data.y[i * kSize + j], sum) << warps << " " << i << " " << j;
      }
  }
}

} // namespace

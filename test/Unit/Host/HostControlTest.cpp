// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Control flow around tiles, and buffers that must not be shared: swaps, branches, scalars next to
// tiles, values that outlive the op that could overwrite them, integer tiles.
#include "HostHarness.h"
#include "gtest/gtest.h"

using namespace attnc;
using namespace attnc::testing;

namespace {

/// Runs `body`, which stores an !t (16x32 f32) to %Y and may read %X and the size %n; returns %Y.
/// Element (i, j) of X is 100 i + j.
std::vector<float> run(const std::string &body, int64_t n) {
  std::string text = substitute(R"(
!t = !tile.tile<16x32xf32>
!r = !tile.tile<16xf32>
module {
  tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X", tile.axes = ["16", "32"]},
                 %Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y", tile.axes = ["16", "32"], tile.output},
                 %N: !tile.view<1xf32> {tile.binding = "tensor:N", tile.axes = ["n"]},
                 %n: i32 {tile.binding = "size:n"})
      attributes {grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1000, 1000, 1000>, num_warps = 4 : i32} {
    %c0 = arith.constant 0 : i32
    %c1 = arith.constant 1 : i32
    %c16 = arith.constant 16 : i32
    %one = arith.constant 1.0 : f32
    %x = tile.load %X[] rows 0 from %c0 to %c16 cols 32 : !tile.view<2xf32, unit> -> !t
    $BODY
    tile.return
  }
})",
                                {{"BODY", body}});
  HostCompileOptions options;
  options.verify = true;
  CompiledHost compiled = compileText(text, options);
  EXPECT_TRUE(compiled.kernel) << compiled.error;
  if (!compiled.kernel)
    return std::vector<float>(512, NAN);
  std::vector<float> x(512), y(512, NAN), count(n);
  for (int i = 0; i < 512; ++i)
    x[i] = float(100 * (i / 32) + i % 32);
  auto view = [](std::vector<float> &values, std::vector<int64_t> shape) {
    TensorView result;
    result.data = values.data();
    result.shape = shape;
    result.strides = rowMajorStrides(shape);
    return result;
  };
  HostLauncher launcher(1);
  LaunchInputs inputs{{{"X", view(x, {16, 32})}, {"Y", view(y, {16, 32})}, {"N", view(count, {n})}},
                      {}};
  EXPECT_EQ(launcher.launch(compiled.object.program, {compiled.kernel}, inputs).message(), "");
  return y;
}

const char *kStore = R"(
    tile.store $V, %Y[] rows 0 from %c0 to %c16 cols 32 : !t, !tile.view<2xf32, unit>)";

std::string store(const char *value) { return substitute(kStore, {{"V", value}}); }

void expectElements(const std::vector<float> &y, const std::function<double(int, int)> &element) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 32; ++j)
      ASSERT_EQ(y[i * 32 + j], element(i, j)) << i << ", " << j;
}

TEST(HostControl, SwappedCarriedTiles) {
  std::string body = R"(
    %f = tile.fill %one : f32 -> !t
    %r:2 = scf.for %k = %c0 to %n step %c1 iter_args(%a = %x, %b = %f) -> (!t, !t) : i32 {
      scf.yield %b, %a : !t, !t
    })";
  expectElements(run(body + store("%r#0"), 3), [](int, int) { return 1; });
  expectElements(run(body + store("%r#0"), 4), [](int i, int j) { return 100 * i + j; });
  expectElements(run(body + store("%r#1"), 3), [](int i, int j) { return 100 * i + j; });
}

TEST(HostControl, CarriedScalarsNextToTiles) {
  std::string body = R"(
    %r:3 = scf.for %k = %c0 to %n step %c1 iter_args(%s = %one, %a = %x, %i = %c0) -> (f32, !t, i32) : i32 {
      %s2 = arith.addf %s, %s : f32
      %i2 = arith.addi %i, %k : i32
      %a2 = tile.map(%a) at(%i, %c0) {
      ^bb0(%e: f32, %row: i32, %col: i32):
        %y = arith.addf %e, %s : f32
        tile.yield %y : f32
      } : (!t) -> !t
      scf.yield %s2, %a2, %i2 : f32, !t, i32
    }
    %out = tile.map(%r#1) at(%c0, %r#2) {
    ^bb0(%e: f32, %row: i32, %col: i32):
      %c = arith.sitofp %col : i32 to f32
      %y = arith.addf %e, %c : f32
      tile.yield %y : f32
    } : (!t) -> !t)";
  // s adds 1 + 2 + 4 + 8; the columns start at 0 + 1 + 2 + 3.
  expectElements(run(body + store("%out"), 4),
                 [](int i, int j) { return 100 * i + j + 15 + 6 + j; });
}

TEST(HostControl, Branches) {
  std::string body = R"(
    %two = arith.constant 2 : i32
    %small = arith.cmpi sle, %n, %two : i32
    %r:2 = scf.if %small -> (!t, f32) {
      %d = tile.map(%x) at(%c0, %c0) {
      ^bb0(%e: f32, %row: i32, %col: i32):
        %y = arith.addf %e, %e : f32
        tile.yield %y : f32
      } : (!t) -> !t
      scf.yield %d, %one : !t, f32
    } else {
      %z = arith.constant 5.0 : f32
      scf.yield %x, %z : !t, f32
    }
    %out = tile.map(%r#0, %x) at(%c0, %c0) {
    ^bb0(%e: f32, %f: f32, %row: i32, %col: i32):
      %d = arith.subf %e, %f : f32
      %y = arith.addf %d, %r#1 : f32
      tile.yield %y : f32
    } : (!t, !t) -> !t)";
  expectElements(run(body + store("%out"), 2), [](int i, int j) { return 100 * i + j + 1; });
  expectElements(run(body + store("%out"), 3), [](int, int) { return 5; });
}

// The initial value is used after the loop, so the loop must not update its buffer.
TEST(HostControl, InitialValueOutlivesTheLoop) {
  std::string body = R"(
    %r = scf.for %k = %c0 to %n step %c1 iter_args(%a = %x) -> (!t) : i32 {
      %a2 = tile.map(%a) at(%c0, %c0) {
      ^bb0(%e: f32, %row: i32, %col: i32):
        %y = arith.addf %e, %one : f32
        tile.yield %y : f32
      } : (!t) -> !t
      scf.yield %a2 : !t
    }
    %out = tile.map(%r, %x) at(%c0, %c0) {
    ^bb0(%e: f32, %f: f32, %row: i32, %col: i32):
      %y = arith.subf %e, %f : f32
      tile.yield %y : f32
    } : (!t, !t) -> !t)";
  expectElements(run(body + store("%out"), 5), [](int, int) { return 5; });
}

// A nested loop takes over the outer loop's buffer and hands it back.
TEST(HostControl, NestedLoops) {
  std::string body = R"(
    %r = scf.for %k = %c0 to %n step %c1 iter_args(%a = %x) -> (!t) : i32 {
      %inner = scf.for %m = %c0 to %k step %c1 iter_args(%b = %a) -> (!t) : i32 {
        %b2 = tile.map(%b) at(%c0, %c0) {
        ^bb0(%e: f32, %row: i32, %col: i32):
          %y = arith.addf %e, %one : f32
          tile.yield %y : f32
        } : (!t) -> !t
        scf.yield %b2 : !t
      }
      scf.yield %inner : !t
    })";
  expectElements(run(body + store("%r"), 5), [](int i, int j) { return 100 * i + j + 10; });
}

// The maximum of a row that is all -inf, integer tiles, and a cast between element types.
TEST(HostControl, IntegersAndReductions) {
  std::string body = R"(
    %ints = tile.map(%x) at(%c0, %c0) {
    ^bb0(%e: f32, %row: i32, %col: i32):
      %v = arith.fptosi %e : f32 to i32
      %w = arith.muli %v, %row : i32
      tile.yield %w : i32
    } : (!t) -> !tile.tile<16x32xi32>
    %sum = tile.reduce sum %ints : !tile.tile<16x32xi32> -> !tile.tile<16xi32>
    %max = tile.reduce max %ints : !tile.tile<16x32xi32> -> !tile.tile<16xi32>
    %out = tile.map(%sum, %max) at(%c0, %c0) {
    ^bb0(%s: i32, %m: i32, %row: i32, %col: i32):
      %d = arith.subi %s, %m : i32
      %y = arith.sitofp %d : i32 to f32
      tile.yield %y : f32
    } : (!tile.tile<16xi32>, !tile.tile<16xi32>) -> !t)";
  expectElements(run(body + store("%out"), 1), [](int i, int) {
    int sum = 0;
    for (int j = 0; j < 32; ++j)
      sum += (100 * i + j) * i;
    return double(sum - (100 * i + 31) * i);
  });
}

// Only 3 rows are stored, but the second product sums all 16 rows of %g, which is its left operand
// as well.
TEST(HostControl, UnstoredRowsThatAProductNeeds) {
  std::string body = R"(
    %zero = arith.constant 0.0 : f32
    %ones = tile.map(%x) at(%c0, %c0) {
    ^bb0(%e: f32, %row: i32, %col: i32):
      tile.yield %one : f32
    } : (!t) -> !t
    %h = tile.map(%x) at(%c0, %c0) {
    ^bb0(%e: f32, %row: i32, %col: i32):
      %y = arith.sitofp %row : i32 to f32
      tile.yield %y : f32
    } : (!t) -> !t
    %acc = tile.fill %zero : f32 -> !tile.tile<16x16xf32>
    %g = tile.dot %ones, %h transposed, %acc : !t, !t, !tile.tile<16x16xf32> -> !tile.tile<16x16xf32>
    %s = tile.dot %g, %g, %acc : !tile.tile<16x16xf32>, !tile.tile<16x16xf32>, !tile.tile<16x16xf32> -> !tile.tile<16x16xf32>
    tile.store %s, %Y[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>)";
  std::vector<float> y = run(body, 3);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 16; ++j)
      EXPECT_EQ(y[i * 32 + j], 32 * 32 * j * 120); // sum of g[i][k] g[k][j] with g[i][j] = 32 j
  EXPECT_TRUE(std::isnan(y[3 * 32]));
}

TEST(HostControl, RowsLongerThanTheUnrolledOnes) {
  // 300 columns in the widest vectors are 19 vectors, the last of them a part.
  std::string body = R"(
    %wide = tile.map(%f) at(%c0, %c0) {
    ^bb0(%e: f32, %row: i32, %col: i32):
      %s = arith.addi %row, %col : i32
      %y = arith.sitofp %s : i32 to f32
      tile.yield %y : f32
    } : (!tile.tile<16x300xf32>) -> !tile.tile<16x300xf32>
    %m = tile.reduce max %wide : !tile.tile<16x300xf32> -> !r
    %s = tile.reduce sum %wide : !tile.tile<16x300xf32> -> !r
    %out = tile.map(%m, %s) at(%c0, %c0) {
    ^bb0(%a: f32, %b: f32, %row: i32, %col: i32):
      %y = arith.addf %a, %b : f32
      tile.yield %y : f32
    } : (!r, !r) -> !t)";
  body = "%f = tile.fill %one : f32 -> !tile.tile<16x300xf32>" + body;
  expectElements(run(body + store("%out"), 1),
                 [](int i, int) { return i + 299 + 300 * i + 299 * 300 / 2; });
}

} // namespace

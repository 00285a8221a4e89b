// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Addresses of elements: strides that are known, what a row shares, alignment of what lies side by side, and no comparison for a tile
// that lies inside of its tensor.
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-assign-layouts),convert-tile-to-nvvm,canonicalize,cse)' | FileCheck %s

// A dense tensor [n, 32, 64] of f32: rows of 256 bytes, blocks of 8192. The second element of a pair is 4 bytes behind the first, which
// is aligned to 8.
// CHECK-LABEL: llvm.func @dense(
// CHECK-DAG: %[[ROW:.*]] = arith.constant 256 : i64
// CHECK-DAG: %[[BLOCK:.*]] = arith.constant 8192 : i64
// CHECK: arith.muli %{{.*}}, %[[BLOCK]]
// CHECK: arith.muli %{{.*}}, %[[ROW]]
// CHECK: llvm.load %{{.*}} invariant {alignment = 8 : i64} : !llvm.ptr<1> -> f32
// CHECK: llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK-NOT: scf.if
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : f32
// CHECK: llvm.return
tile.kernel @dense(%x: !tile.view<3xf32, unit> {tile.binding = "tensor:x", tile.axes = ["n", "32", "64"], tile.dense, tile.row_alignment = 16 : i64},
                   %y: !tile.view<3xf32, unit> {tile.binding = "tensor:y", tile.axes = ["n", "32", "64"], tile.dense, tile.row_alignment = 16 : i64},
                   %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %sixteen = arith.constant 16 : i32
  %rows = arith.constant 32 : i32
  %cols = arith.constant 64 : i32
  %p = tile.program_id 0
  scf.for %i = %zero to %rows step %sixteen : i32 {
    %v = tile.map() at(%i, %zero) {
    ^bb0(%row: i32, %col: i32):
      %e = tile.element %x[%p, %row, %col] : <3xf32, unit> -> f32
      tile.yield %e : f32
    } : () -> !tile.tile<16x64xf32>
    tile.store_block %v, %y[%p] rows 1 from %i to %rows cols 2 from %zero to %cols : <16x64xf32>, <3xf32, unit>
  }
  tile.return
}

// Strides of a caller's tensor are what it passes, but for the last one. Rows that may be outside are compared, once for each row.
// CHECK-LABEL: llvm.func @given(
// CHECK: scf.for
// CHECK-NOT: alignment = 8
// CHECK: scf.if
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : f32
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : f32
// CHECK: llvm.return
tile.kernel @given(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x"}, %y: !tile.view<2xf32, unit> {tile.binding = "tensor:y"},
                   %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %sixteen = arith.constant 16 : i32
  %cols = arith.constant 64 : i32
  scf.for %i = %zero to %n step %sixteen : i32 {
    %v = tile.map() at(%i, %zero) {
    ^bb0(%row: i32, %col: i32):
      %one = arith.constant 1.0 : f32
      tile.yield %one : f32
    } : () -> !tile.tile<16x64xf32>
    tile.store_block %v, %y[] rows 0 from %i to %n cols 1 from %zero to %cols : <16x64xf32>, <2xf32, unit>
  }
  tile.return
}

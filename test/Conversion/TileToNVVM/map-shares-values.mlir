// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The region of a map is emitted for each element of a thread, but what depends on the row alone only once for each row
// of the thread, on the column alone once for each column, and on neither once: here 8 elements in 2 rows and 4 columns.
// RUN: attnc-opt %s --convert-tile-to-nvvm | FileCheck %s

!matrix = !tile.tile<16x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = []>>

// CHECK-LABEL: llvm.func @shares(
// CHECK: arith.xori
// CHECK-NOT: arith.xori
// CHECK-COUNT-2: arith.shrsi
// CHECK-NOT: arith.shrsi
// CHECK: llvm.return
tile.kernel @shares(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %m = tile.map() at(%zero, %zero) {
  ^bb0(%row: i32, %col: i32):
    %of_neither = arith.xori %n, %zero : i32
    %of_row = arith.shrsi %row, %of_neither : i32
    %f = arith.sitofp %of_row : i32 to f32
    tile.yield %f : f32
  } : () -> !matrix
  tile.store %m, %x[] rows 0 from %zero to %n cols 16 : !matrix, <2xf32, unit>
  tile.return
}

// CHECK-LABEL: llvm.func @mixes(
// CHECK-COUNT-4: arith.minsi
// CHECK-NOT: arith.minsi
// CHECK: llvm.return
tile.kernel @mixes(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %m = tile.map() at(%zero, %zero) {
  ^bb0(%row: i32, %col: i32):
    %of_column = arith.minsi %col, %n : i32
    %of_both = arith.ori %row, %of_column : i32
    %f = arith.sitofp %of_both : i32 to f32
    tile.yield %f : f32
  } : () -> !matrix
  tile.store %m, %x[] rows 0 from %zero to %n cols 16 : !matrix, <2xf32, unit>
  tile.return
}

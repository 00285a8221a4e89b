// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A block that is stored behind the maps that it comes from: row by row, when it is computed. Vectors of columns are loaded and
// stored whole where they are known to be there, side by side.
// RUN: attnc-opt %s --split-input-file --convert-tile-to-vector="isa=avx2" --canonicalize --cse | FileCheck %s

// Rows and strides are known: no mask, no gather, no branch, no memory for the tile.
// CHECK-LABEL: llvm.func @whole
// CHECK-SAME: attnc.scratch_bytes = 0 : i64
// CHECK: scf.for
// CHECK-NOT: scf.if
// CHECK: llvm.load {{.*}} -> vector<8xf32>
// CHECK: llvm.load {{.*}} -> vector<8xf32>
// CHECK: llvm.store {{.*}} : vector<8xf32>
// CHECK: llvm.store {{.*}} : vector<8xf32>
// CHECK: llvm.return
tile.kernel @whole(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X", tile.axes = ["32", "16"], tile.dense},
                   %Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y", tile.axes = ["32", "16"], tile.dense}) attributes {num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %rows = arith.constant 32 : i32
  %cols = arith.constant 16 : i32
  %x = tile.map() at(%zero, %zero) {
  ^bb0(%row: i32, %col: i32):
    %at = tile.element %X[%row, %col] : <2xf32, unit> -> f32
    %twice = arith.addf %at, %at : f32
    tile.yield %twice : f32
  } : () -> !tile.tile<32x16xf32>
  tile.store_block %x, %Y[] rows 0 from %zero to %rows cols 1 from %zero to %cols : <32x16xf32>, <2xf32, unit>
  tile.return
}

// -----

// Only rows that are there are computed, and columns stored; elements may lie apart.
// CHECK-LABEL: llvm.func @part
// CHECK: %[[LEFT:.*]] = arith.minsi %{{.*}}, %c32_i64
// CHECK: %[[ROWS:.*]] = arith.maxsi %[[LEFT]]
// CHECK: scf.for %{{.*}} = %c0_i64 to %[[ROWS]] step
// CHECK: scf.if
// CHECK: llvm.intr.masked.store
// CHECK: llvm.intr.masked.scatter
tile.kernel @part(%Y: !tile.view<2xf32> {tile.binding = "tensor:Y"}, %q: i32 {tile.binding = "size:q"}, %d: i32 {tile.binding = "size:d"}) attributes {num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1.0 : f32
  %x = tile.map() at(%zero, %zero) {
  ^bb0(%row: i32, %col: i32):
    tile.yield %one : f32
  } : () -> !tile.tile<32x16xf32>
  tile.store_block %x, %Y[] rows 0 from %zero to %q cols 1 from %zero to %d : <32x16xf32>, <2xf32>
  tile.return
}

// -----

// What is read from the tensor that is stored must be read before: the tile waits in memory.
// CHECK-LABEL: llvm.func @shifted
// CHECK-SAME: attnc.scratch_bytes = 2048 : i64
// CHECK: scf.for
// CHECK: llvm.store {{.*}} {alignment = 32 : i64} : vector<8xf32>
// CHECK: scf.for
// CHECK: llvm.store {{.*}} {alignment = 4 : i64} : vector<8xf32>
tile.kernel @shifted(%Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y", tile.axes = ["33", "16"], tile.dense}) attributes {num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %rows = arith.constant 33 : i32
  %cols = arith.constant 16 : i32
  %x = tile.map() at(%zero, %zero) {
  ^bb0(%row: i32, %col: i32):
    %at = tile.element %Y[%row, %col] : <2xf32, unit> -> f32
    tile.yield %at : f32
  } : () -> !tile.tile<32x16xf32>
  tile.store_block %x, %Y[] rows 0 from %one to %rows cols 1 from %zero to %cols : <32x16xf32>, <2xf32, unit>
  tile.return
}

// RUN: attnc-opt %s --convert-tile-to-vector=isa=avx2 | FileCheck %s
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows that are not stored are not computed, whichever op stores them.

// What a loop sums is stored by a block: rows of the sums stop where the block's do.
// CHECK-LABEL: llvm.func @sums
// CHECK: %[[ROWS:.*]] = arith.maxsi
// CHECK: scf.for
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[ROWS]] step
// CHECK: arith.mulf
// CHECK-NOT: scf.for {{.*}} to %c64_i64
// CHECK: llvm.return
tile.kernel @sums(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x"}, %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"},
                  %m: i32 {tile.binding = "size:m"}, %n: i32 {tile.binding = "size:n"})
    attributes {grid_spaces = ["m", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c8 = arith.constant 8 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %block = tile.program_id 0
  %row = arith.muli %block, %c64 : i32
  %none = tile.fill %zero : f32 -> <64x8xf32>
  %sum = scf.for %k = %c0 to %n step %c1 iter_args(%acc = %none) -> (!tile.tile<64x8xf32>) : i32 {
    %next = tile.map(%acc) at(%row, %c0) {
    ^bb0(%e: f32, %i: i32, %j: i32):
      %a = tile.element %x[%k, %j] : <2xf32, unit> -> f32
      %b = arith.mulf %a, %a : f32
      %c = arith.addf %e, %b : f32
      tile.yield %c : f32
    } : (!tile.tile<64x8xf32>) -> !tile.tile<64x8xf32>
    scf.yield %next : !tile.tile<64x8xf32>
  }
  tile.store_block %sum, %out[] rows 0 from %row to %m cols 1 from %c0 to %c8 : <64x8xf32>, <2xf32, unit>
  tile.return
}

// What is an index into a tensor is computed as a whole: vectors of rows reach beyond the last one that is stored.
// CHECK-LABEL: llvm.func @indices
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{c64_i64.*}} step
// CHECK: arith.xori
// CHECK: llvm.return
tile.kernel @indices(%x: !tile.view<1xf32, unit> {tile.binding = "tensor:x"}, %out: !tile.view<1xf32, unit> {tile.binding = "tensor:out"},
                     %m: i32 {tile.binding = "size:m"})
    attributes {grid_spaces = ["m", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c7 = arith.constant 7 : i32
  %zero = arith.constant 0 : i32
  %none = tile.fill %zero : i32 -> <64xi32>
  %t = tile.map(%none) at(%c0, %c0) {
  ^bb0(%e: i32, %i: i32):
    %a = arith.xori %i, %c7 : i32
    tile.yield %a : i32
  } : (!tile.tile<64xi32>) -> !tile.tile<64xi32>
  %kept = scf.for %k = %c0 to %c7 step %c7 iter_args(%acc = %t) -> (!tile.tile<64xi32>) : i32 {
    scf.yield %acc : !tile.tile<64xi32>
  }
  %u = tile.map(%kept) at(%c0, %c0) {
  ^bb0(%e: i32, %i: i32):
    %a = tile.element %x[%e] : <1xf32, unit> -> f32
    tile.yield %a : f32
  } : (!tile.tile<64xi32>) -> !tile.tile<64xf32>
  tile.store %u, %out[] rows 0 from %c0 to %m cols 1 : <64xf32>, <1xf32, unit>
  tile.return
}

// Stored up to two limits, a tile is computed as a whole; what is made of it for one of them is not.
// CHECK-LABEL: llvm.func @two_limits
// CHECK-DAG: %[[ALL:.*]] = arith.constant 64 : i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{c64_i64.*}} step
// CHECK: math.absf
// CHECK: llvm.return
tile.kernel @two_limits(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x"}, %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"},
                        %m: i32 {tile.binding = "size:m"}, %n: i32 {tile.binding = "size:n"})
    attributes {grid_spaces = ["m", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c8 = arith.constant 8 : i32
  %t = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %a = tile.element %x[%i, %j] : <2xf32, unit> -> f32
    %b = math.absf %a : f32
    tile.yield %b : f32
  } : () -> !tile.tile<64x8xf32>
  tile.store_block %t, %out[] rows 0 from %c0 to %m cols 1 from %c0 to %c8 : <64x8xf32>, <2xf32, unit>
  tile.store_block %t, %out[] rows 0 from %c0 to %n cols 1 from %c0 to %c8 : <64x8xf32>, <2xf32, unit>
  tile.return
}

// Nor are rows left out that a reduction along them looks at.
// CHECK-LABEL: llvm.func @looked_at
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{c64_i64.*}} step
// CHECK: math.absf
// CHECK: llvm.return
tile.kernel @looked_at(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x"}, %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"},
                       %m: i32 {tile.binding = "size:m"})
    attributes {grid_spaces = ["m", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c8 = arith.constant 8 : i32
  %t = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %a = tile.element %x[%i, %j] : <2xf32, unit> -> f32
    %b = math.absf %a : f32
    tile.yield %b : f32
  } : () -> !tile.tile<64x8xf32>
  %most = tile.reduce max %t along rows : <64x8xf32> -> <1x8xf32>
  %u = tile.map(%t, %most) at(%c0, %c0) {
  ^bb0(%e: f32, %f: f32, %i: i32, %j: i32):
    %d = arith.subf %e, %f : f32
    tile.yield %d : f32
  } : (!tile.tile<64x8xf32>, !tile.tile<1x8xf32>) -> !tile.tile<64x8xf32>
  tile.store_block %u, %out[] rows 0 from %c0 to %m cols 1 from %c0 to %c8 : <64x8xf32>, <2xf32, unit>
  tile.return
}

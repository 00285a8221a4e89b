// RUN: attnc-opt %s --split-input-file --convert-tile-to-vector=isa=avx512 | FileCheck %s
// The function around a kernel, its slots, loads, stores and loops.

// The signature of HostKernelFn; a view takes a pointer and a stride for each dimension; a unit stride is
// not read.
// CHECK-LABEL: llvm.func @slots(
// CHECK-SAME: %[[SLOTS:.*]]: !llvm.ptr {llvm.noalias}, %[[P0:.*]]: i32, %{{.*}}: i32, %{{.*}}: i32,
// CHECK-SAME: %[[SCRATCH:.*]]: !llvm.ptr {llvm.align = 64 : i64, llvm.noalias})
// CHECK-SAME: attnc.scratch_bytes = 0
// CHECK: llvm.load %[[SLOTS]] invariant {alignment = 8 : i64} : !llvm.ptr -> !llvm.ptr
// CHECK: llvm.load %{{.*}} invariant {alignment = 8 : i64} : !llvm.ptr -> i64
// CHECK: llvm.load %{{.*}} invariant {alignment = 8 : i64} : !llvm.ptr -> i64
// CHECK: llvm.load %{{.*}} invariant {alignment = 8 : i64} : !llvm.ptr -> i32
// CHECK: llvm.load %{{.*}} invariant {alignment = 8 : i64} : !llvm.ptr -> f32
tile.kernel @slots(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"},
                   %p: f32 {tile.binding = "param:p"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// Rows are bounded by the limit in a loop; the last columns by a constant mask; missing rows are zeroed.
// CHECK-LABEL: llvm.func @copy
// CHECK: %[[LEFT:.*]] = arith.subi
// CHECK: %[[MIN:.*]] = arith.minsi %[[LEFT]]
// CHECK: arith.maxsi %[[MIN]]
// CHECK: scf.for
// CHECK: llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr -> vector<16xf32>
// CHECK: llvm.intr.masked.load %{{.*}} {alignment = 4 : i32} : (!llvm.ptr, vector<16xi1>, vector<16xf32>)
// CHECK: scf.for
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : vector<16xf32>
// CHECK: llvm.store %[[ZERO]]
// CHECK: scf.for
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : vector<16xf32>
// CHECK: llvm.intr.masked.store %{{.*}} {alignment = 4 : i32}
tile.kernel @copy(%v: !tile.view<3xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 8, 1, 1>, num_warps = 4 : i32} {
  %i = tile.program_id 0
  %c8 = arith.constant 8 : i32
  %row = arith.muli %i, %c8 : i32
  %t = tile.load %v[%i] rows 1 from %row to %n cols 20 : !tile.view<3xf32, unit> -> !tile.tile<8x32xf32>
  tile.store %t, %v[%i] rows 1 from %row to %n cols 20 : !tile.tile<8x32xf32>, !tile.view<3xf32, unit>
  tile.return
}

// -----

// Carried tiles keep one buffer and are updated in place: the loop carries nothing, and the scratch memory
// is that of one 16x16 tile.
// CHECK-LABEL: llvm.func @carried
// CHECK-SAME: attnc.scratch_bytes = 1024
// CHECK-NOT: iter_args
// CHECK: llvm.return
tile.kernel @carried(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %one = arith.constant 1.0 : f32
  %t0 = tile.fill %one : f32 -> !tile.tile<16x16xf32>
  %r = scf.for %k = %c0 to %n step %c1 iter_args(%t = %t0) -> (!tile.tile<16x16xf32>) : i32 {
    %u = tile.map(%t) at(%c0, %c0) {
    ^bb0(%x: f32, %i: i32, %j: i32):
      %y = arith.addf %x, %one : f32
      tile.yield %y : f32
    } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
    scf.yield %u : !tile.tile<16x16xf32>
  }
  tile.store %r, %v[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

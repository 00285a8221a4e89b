// RUN: attnc-opt %s --split-input-file --convert-tile-to-vector=isa=avx512 | FileCheck %s
// Groups of row ops: fusion into phases, uniform values, elements of captured tensors.

// One pass over a row computes x and its maximum, the next p and its sum; both keep what they share in
// registers, and p overwrites s.
// CHECK-LABEL: llvm.func @softmax_rows
// CHECK-SAME: attnc.scratch_bytes = 2176
// CHECK: scf.for
// CHECK: scf.for
// CHECK: %[[X:.*]] = arith.mulf
// CHECK: llvm.store %[[X]]
// CHECK: %[[GREATER:.*]] = arith.cmpf ogt, %[[X]], %[[SUM:.*]] : vector<16xf32>
// CHECK: arith.select %[[GREATER]], %[[X]], %[[SUM]]
// CHECK: scf.for
// CHECK: %[[D:.*]] = arith.subf %{{.*}} : vector<16xf32>
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.reduce.ps.512"(%[[D]]
// CHECK: %[[P:.*]] = llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
// CHECK: llvm.store %[[P]]
// CHECK: arith.addf %[[P]], %{{.*}} : vector<16xf32>
tile.kernel @softmax_rows(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"},
                          %w: !tile.view<1xf32> {tile.binding = "tensor:w"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %two = arith.constant 2.0 : f32
  %s = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
  %x = tile.map(%s) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %y = arith.mulf %e, %two : f32
    tile.yield %y : f32
  } : (!tile.tile<16x32xf32>) -> !tile.tile<16x32xf32>
  %m = tile.reduce max %x : !tile.tile<16x32xf32> -> !tile.tile<16xf32>
  %p = tile.map(%x, %m) at(%c0, %c0) {
  ^bb0(%e: f32, %a: f32, %i: i32, %j: i32):
    %d = arith.subf %e, %a : f32
    %y = math.exp2 %d : f32
    tile.yield %y : f32
  } : (!tile.tile<16x32xf32>, !tile.tile<16xf32>) -> !tile.tile<16x32xf32>
  %l = tile.reduce sum %p : !tile.tile<16x32xf32> -> !tile.tile<16xf32>
  tile.store %p, %v[] rows 0 from %c0 to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
  tile.store %l, %w[] rows 0 from %c0 to %n cols 1 : !tile.tile<16xf32>, !tile.view<1xf32>
  tile.return
}

// -----

// A value of the row alone stays scalar until it meets the column.
// CHECK-LABEL: llvm.func @coordinates
// CHECK: %[[POS:.*]] = arith.addi %{{.*}}, %{{.*}} : i32
// CHECK: %[[IOTA:.*]] = arith.constant dense<[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]>
// CHECK: %[[COLS:.*]] = arith.addi %{{.*}}, %[[IOTA]] : vector<16xi32>
// CHECK: arith.cmpi sle, %[[COLS]], %{{.*}} : vector<16xi32>
// CHECK: arith.select %{{.*}} : vector<16xi1>, vector<16xf32>
tile.kernel @coordinates(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %in = tile.fill %zero : f32 -> !tile.tile<16x16xf32>
  %x = tile.map(%in) at(%c0, %n) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %pos = arith.addi %i, %n : i32
    %keep = arith.cmpi sle, %j, %pos : i32
    %y = arith.select %keep, %one, %zero : f32
    tile.yield %y : f32
  } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
  tile.store %x, %v[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  tile.return
}

// -----

// An element indexed by a clamped column is one load where the lanes are consecutive and the stride is 1,
// else a gather. An element indexed by the row is a scalar load. Booleans are bytes.
// CHECK-LABEL: llvm.func @elements
// CHECK: arith.minsi %{{.*}} : vector<16xi32>
// CHECK: %[[ROW:.*]] = llvm.load %{{.*}} invariant {alignment = 4 : i64} : !llvm.ptr -> i32
// CHECK: %[[CONSECUTIVE:.*]] = arith.cmpi eq, %{{.*}} : i32
// CHECK: %[[UNIT:.*]] = arith.cmpi eq, %{{.*}} : i64
// CHECK: %[[BOTH:.*]] = arith.andi %[[CONSECUTIVE]], %[[UNIT]]
// CHECK: scf.if %[[BOTH]] -> (vector<16xi1>)
// CHECK: llvm.load %{{.*}} invariant {alignment = 1 : i64} : !llvm.ptr -> vector<16xi8>
// CHECK: else
// CHECK: llvm.intr.masked.gather %{{.*}} {alignment = 1 : i32}
// A computed index is always a gather.
// CHECK-NOT: scf.if
// CHECK: llvm.intr.masked.gather %{{.*}} {alignment = 4 : i32}
tile.kernel @elements(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"},
                      %mask: !tile.view<1xi1> {tile.binding = "tensor:mask"},
                      %ids: !tile.view<1xi32> {tile.binding = "tensor:ids"},
                      %table: !tile.view<1xf32> {tile.binding = "tensor:table"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %in = tile.fill %zero : f32 -> !tile.tile<16x16xf32>
  %x = tile.map(%in) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %last = arith.minsi %j, %n : i32
    %id = tile.element %ids[%i] : !tile.view<1xi32> -> i32
    %keep = tile.element %mask[%last] : !tile.view<1xi1> -> i1
    %distance = arith.subi %id, %j : i32
    %bias = tile.element %table[%distance] : !tile.view<1xf32> -> f32
    %y = arith.select %keep, %bias, %zero : f32
    tile.yield %y : f32
  } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
  tile.store %x, %v[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RUN: attnc-opt %s --convert-tile-to-vector=isa=avx512 | FileCheck %s
// An iteration whose mask hides everything is skipped: the mask is evaluated first, without the scores.

// CHECK-LABEL: llvm.func @skip
// CHECK: scf.for
// CHECK: %[[SEEN:.*]] = scf.for {{.*}} -> (vector<16xi32>)
// CHECK: arith.cmpi sle
// CHECK-NOT: arith.mulf
// CHECK: scf.yield %{{.*}} : vector<16xi32>
// CHECK: llvm.extractelement
// CHECK: %[[ANY:.*]] = arith.cmpi ne, %{{.*}} : i32
// CHECK: scf.if %[[ANY]] {
// CHECK: arith.mulf

// Without the promise, or where the mask depends on an element, nothing is skipped.
// CHECK-LABEL: llvm.func @no_promise
// CHECK-NOT: scf.if
// CHECK-LABEL: llvm.func @depends_on_element
// CHECK-NOT: scf.if
tile.kernel @skip(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c16 = arith.constant 16 : i32
  %neg_inf = arith.constant 0xFF800000 : f32
  %t0 = tile.fill %neg_inf : f32 -> !tile.tile<16x16xf32>
  %r = scf.for %k = %c0 to %n step %c16 iter_args(%t = %t0) -> (!tile.tile<16x16xf32>) : i32 {
    %u = tile.map(%t) at(%c0, %k) {
    ^bb0(%x: f32, %i: i32, %j: i32):
      %y = arith.mulf %x, %x : f32
      %keep = arith.cmpi sle, %j, %i : i32
      %z = arith.select %keep, %y, %neg_inf : f32
      tile.yield %z : f32
    } {tile.skip_hidden} : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
    scf.yield %u : !tile.tile<16x16xf32>
  }
  tile.store %r, %v[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  tile.return
}
tile.kernel @no_promise(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c16 = arith.constant 16 : i32
  %neg_inf = arith.constant 0xFF800000 : f32
  %t0 = tile.fill %neg_inf : f32 -> !tile.tile<16x16xf32>
  %r = scf.for %k = %c0 to %n step %c16 iter_args(%t = %t0) -> (!tile.tile<16x16xf32>) : i32 {
    %u = tile.map(%t) at(%c0, %k) {
    ^bb0(%x: f32, %i: i32, %j: i32):
      %keep = arith.cmpi sle, %j, %i : i32
      %z = arith.select %keep, %x, %neg_inf : f32
      tile.yield %z : f32
    } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
    scf.yield %u : !tile.tile<16x16xf32>
  }
  tile.store %r, %v[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  tile.return
}
tile.kernel @depends_on_element(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c16 = arith.constant 16 : i32
  %neg_inf = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %t0 = tile.fill %zero : f32 -> !tile.tile<16x16xf32>
  %r = scf.for %k = %c0 to %n step %c16 iter_args(%t = %t0) -> (!tile.tile<16x16xf32>) : i32 {
    %u = tile.map(%t) at(%c0, %k) {
    ^bb0(%x: f32, %i: i32, %j: i32):
      %keep = arith.cmpf olt, %x, %zero : f32
      %z = arith.select %keep, %x, %neg_inf : f32
      tile.yield %z : f32
    } {tile.skip_hidden} : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
    scf.yield %u : !tile.tile<16x16xf32>
  }
  tile.store %r, %v[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RUN: attnc-opt %s | attnc-opt | FileCheck %s
// RUN: attnc-opt %s --mlir-print-op-generic | attnc-opt | FileCheck %s
// Custom and generic syntax round trip. Every op is also an example in its declaration; here are the forms that
// examples do not have: layouts, precision, other element types, a kernel's attributes.

// CHECK-LABEL: tile.kernel @forms(
// CHECK-SAME: %[[V:.*]]: !tile.view<4xbf16, unit> {tile.binding = "tensor:K"}
// CHECK-SAME: %[[C:.*]]: !tile.view<2xi1> {tile.binding = "tensor:c"}
// CHECK-SAME: attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32}
tile.kernel @forms(%v: !tile.view<4xbf16, unit> {tile.binding = "tensor:K"}, %c: !tile.view<2xi1> {tile.binding = "tensor:c"},
                   %i: !tile.view<1xi32> {tile.binding = "tensor:i"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0.0 : f32
  // A condition reads as i1, a real of 16 bits as f32.
  // CHECK: tile.element %[[C]][%{{.*}}, %{{.*}}] : <2xi1> -> i1
  %0 = tile.element %c[%n, %n] : <2xi1> -> i1
  // CHECK: tile.element %{{.*}} : <1xi32> -> i32
  %1 = tile.element %i[%n] : <1xi32> -> i32
  // CHECK: tile.element %[[V]][%{{.*}}] : <4xbf16, unit> -> f32
  %2 = tile.element %v[%n, %n, %n, %n] : <4xbf16, unit> -> f32
  // Rows over the second dimension: layout bshd.
  // CHECK: tile.load %[[V]][%{{.*}}, %{{.*}}] rows 1 from %{{.*}} to %{{.*}} cols 40 : <4xbf16, unit> -> <64x48xbf16>
  %3 = tile.load %v[%n, %n] rows 1 from %n to %n cols 40 : <4xbf16, unit> -> <64x48xbf16>
  // CHECK: tile.fill %{{.*}} : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  %4 = tile.fill %zero : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // CHECK: tile.fill %{{.*}} : f32 -> <64x64xf32>
  %5 = tile.fill %zero : f32 -> <64x64xf32>
  // CHECK: tile.dot %[[L:.*]], %[[L]] transposed, %{{.*}} {precision = 1 : i32}
  %6 = tile.dot %3, %3 transposed, %5 {precision = 1 : i32} : <64x48xbf16>, <64x48xbf16>, <64x64xf32> -> <64x64xf32>
  // CHECK: tile.reduce sum %{{.*}} : <64x64xf32> -> <64xf32>
  %7 = tile.reduce sum %6 : <64x64xf32> -> <64xf32>
  // A map without operands makes a tile of coordinates; a rank-1 operand gives the value of its row.
  // CHECK: tile.map() at(
  %8 = tile.map() at(%n, %n) {
  ^bb0(%row: i32):
    %x = arith.sitofp %row : i32 to f32
    tile.yield %x : f32
  } : () -> !tile.tile<64xf32>
  // CHECK: tile.map(%{{.*}}, %{{.*}}) at(
  // CHECK: : (!tile.tile<64x64xf32>, !tile.tile<64xf32>) -> !tile.tile<64x64xf32>
  %9 = tile.map(%6, %8) at(%n, %n) {
  ^bb0(%a: f32, %b: f32, %row: i32, %col: i32):
    %y = arith.mulf %a, %b : f32
    tile.yield %y : f32
  } : (!tile.tile<64x64xf32>, !tile.tile<64xf32>) -> !tile.tile<64x64xf32>
  // A product that leaves terms out, and a condition for the whole program.
  // CHECK: %[[MASK:.*]] = tile.fill %{{.*}} : i32 -> <64x64xi32>
  %mask = tile.fill %n : i32 -> <64x64xi32>
  // CHECK: tile.dot %[[P:.*]], %[[P]], %[[P]] where %[[MASK]] : <64x64xf32>, <64x64xf32>, <64x64xf32>, !tile.tile<64x64xi32> -> <64x64xf32>
  %10 = tile.dot %5, %5, %5 where %mask : <64x64xf32>, <64x64xf32>, <64x64xf32>, !tile.tile<64x64xi32> -> <64x64xf32>
  // CHECK: tile.dot %[[P]], %[[P]], %[[P]] where %[[MASK]] {zero_outside}
  %promised = tile.dot %5, %5, %5 where %mask {zero_outside} : <64x64xf32>, <64x64xf32>, <64x64xf32>, !tile.tile<64x64xi32> -> <64x64xf32>
  // CHECK: tile.any %[[MASK]] : <64x64xi32>
  %11 = tile.any %mask : <64x64xi32>
  // Two copies in one group; a wait for both, with a younger group in flight.
  // CHECK: %[[S:.*]] = tile.alloc : <3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>
  %s = tile.alloc : <3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>
  // CHECK: tile.async_copy %[[V]]{{.*}} into %[[S]][{{.*}}] by 8
  %t = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 40 into %s[%n] by 8 : <4xbf16, unit>, <3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>> -> <<3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>>
  %u = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 40 into %s[%n] by 2 : <4xbf16, unit>, <3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>> -> <<3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>>
  // CHECK: tile.commit
  tile.commit
  // CHECK: tile.wait %{{.*}}, %{{.*}} pending 1 :
  %w:2 = tile.wait %t, %u pending 1 : !tile.token<<3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>>, !tile.token<<3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>> -> !tile.slot<<3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>>, !tile.slot<<3x64x48xbf16, #tile.shared<pitch = 112, shift = 0, mask = 0>>>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// Vectors along either axis, folds, scans, moves.
// CHECK-LABEL: tile.kernel @axes(
tile.kernel @axes(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %i: !tile.view<1xi32> {tile.binding = "tensor:i"},
                  %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %x = tile.load %v[] rows 0 from %n to %n cols 16 : <2xf32, unit> -> <64x16xf32>
  // CHECK: %[[ROW:.*]] = tile.reduce min %{{.*}} along rows : <64x16xf32> -> <1x16xf32>
  %0 = tile.reduce min %x along rows : <64x16xf32> -> <1x16xf32>
  // CHECK: tile.reduce product %{{.*}} along rows scratch 512 : <64x16xf32> -> <1x16xf32>
  %1 = tile.reduce product %x along rows scratch 512 : <64x16xf32> -> <1x16xf32>
  // CHECK: tile.map(%{{.*}}, %[[ROW]]) at
  // CHECK: : (!tile.tile<64x16xf32>, !tile.tile<1x16xf32>) -> !tile.tile<64x16xi1>
  %2 = tile.map(%x, %0) at(%n, %n) {
  ^bb0(%e: f32, %r: f32, %row: i32, %col: i32):
    %p = arith.cmpf ogt, %e, %r : f32
    tile.yield %p : i1
  } : (!tile.tile<64x16xf32>, !tile.tile<1x16xf32>) -> !tile.tile<64x16xi1>
  // CHECK: tile.fold(%{{.*}}, %{{.*}}) along rows {
  // CHECK: tile.yield %{{.*}}, %{{.*}} : f32, i1
  // CHECK: : (!tile.tile<64x16xf32>, !tile.tile<64x16xi1>) -> (!tile.tile<1x16xf32>, !tile.tile<1x16xi1>)
  %3:2 = tile.fold(%x, %2) along rows {
  ^bb0(%a: f32, %p: i1, %b: f32, %q: i1):
    %s = arith.addf %a, %b : f32
    %t = arith.andi %p, %q : i1
    tile.yield %s, %t : f32, i1
  } : (!tile.tile<64x16xf32>, !tile.tile<64x16xi1>) -> (!tile.tile<1x16xf32>, !tile.tile<1x16xi1>)
  // CHECK: tile.scalar %{{.*}} : <1xi32> -> i32
  %one = tile.fill %n : i32 -> <1xi32>
  %number = tile.scalar %one : <1xi32> -> i32
  // CHECK: tile.scan product %{{.*}} along columns exclusive reverse : <64x16xf32> -> <64x16xf32>
  %4 = tile.scan product %x along columns exclusive reverse : <64x16xf32> -> <64x16xf32>
  // CHECK: tile.scan product %{{.*}} along rows every 16 exclusive : <64x16xf32> -> <64x16xf32>
  %parts = tile.scan product %x along rows every 16 exclusive : <64x16xf32> -> <64x16xf32>
  %square = tile.load %v[] rows 0 from %n to %n cols 32 : <2xf32, unit> -> <32x32xf32>
  // CHECK: tile.invert %{{.*}} : <32x32xf32> -> <32x32xf32>
  %inverse = tile.invert %square : <32x32xf32> -> <32x32xf32>
  // CHECK: tile.invert %{{.*}} rounded scratch 128 : <32x32xf32> -> <32x32xf32>
  %rounded = tile.invert %square rounded scratch 128 : <32x32xf32> -> <32x32xf32>
  // CHECK: tile.invert %{{.*}} scratch 128 : <32x32xf32> -> <32x32xf32>
  %placed = tile.invert %square scratch 128 : <32x32xf32> -> <32x32xf32>
  %narrow = tile.cast %square : <32x32xf32> -> <32x32xbf16>
  // CHECK: tile.dot %{{.*}}, %{{.*}} transposed, %{{.*}} : <32x32xf32>, <32x32xbf16>, <32x32xf32> -> <32x32xf32>
  %wide = tile.dot %square, %narrow transposed, %square : <32x32xf32>, <32x32xbf16>, <32x32xf32> -> <32x32xf32>
  // CHECK: tile.dot %{{.*}}, %{{.*}}, %{{.*}} : <32x32xbf16>, <32x32xf32>, <32x32xf32> -> <32x32xf32>
  %wide2 = tile.dot %narrow, %square, %square : <32x32xbf16>, <32x32xf32>, <32x32xf32> -> <32x32xf32>
  // CHECK: tile.transpose %[[ROW]] : <1x16xf32> -> <16xf32>
  %5 = tile.transpose %0 : <1x16xf32> -> <16xf32>
  %6 = tile.fill %n : i32 -> <64xi32>
  // CHECK: tile.local [64, 16] from[%{{.*}}, %{{.*}}] at 128 : <2xf32, unit>
  %own = tile.local [64, 16] from [%n, %n] at 128 : <2xf32, unit>
  // CHECK: tile.gather %{{.*}}[] rows 0 at %{{.*}} to %{{.*}} cols 9 : <2xf32, unit>, <64xi32> -> <64x16xf32>
  %7 = tile.gather %v[] rows 0 at %6 to %n cols 9 : <2xf32, unit>, <64xi32> -> <64x16xf32>
  tile.return
}

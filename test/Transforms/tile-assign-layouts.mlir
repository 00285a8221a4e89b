// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-assign-layouts))' | FileCheck %s

// Rows that warps own need no conversion and no shared memory: what reads a reduction has its rows.
// CHECK-LABEL: tile.kernel @rows
// CHECK-NOT: tile.shared_bytes
// CHECK: %[[M:.*]] = tile.reduce max %{{.*}} : <64x16xf32, [[MMA:#tile.linear<[^>]*>]]> -> <64xf32, [[SLICE:#tile.linear<[^>]*>]]>
// CHECK-NOT: tile.convert_layout
// CHECK: tile.map(%{{.*}}, %[[M]])
tile.kernel @rows(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %x = tile.fill %f : f32 -> <64x16xf32>
  %m = tile.reduce max %x : <64x16xf32> -> <64xf32>
  %y = tile.map(%x, %m) at(%c0, %c0) {
  ^bb0(%e: f32, %r: f32, %i: i32, %j: i32):
    %d = arith.subf %e, %r : f32
    tile.yield %d : f32
  } : (!tile.tile<64x16xf32>, !tile.tile<64xf32>) -> !tile.tile<64x16xf32>
  tile.return
}

// Columns are shared by all warps: their sums meet in shared memory, behind what is there already, and conversions take
// the same place.
// CHECK-LABEL: tile.kernel @columns
// CHECK-SAME: tile.shared_bytes = 1280 : i64
// CHECK: %[[SUM:.*]] = tile.reduce sum %{{.*}} along rows scratch 1024 : <64x16xf32, {{.*}}> -> <1x16xf32, [[LEFT:#tile.linear<[^>]*>]]>
// CHECK: %[[STANDARD:.*]] = tile.convert_layout %[[SUM]] scratch 1024 : <1x16xf32, [[LEFT]]> -> <1x16xf32, [[ROW:#tile.linear<[^>]*>]]>
// CHECK: %[[NEXT:.*]] = tile.convert_layout %[[STANDARD]] scratch 1024 : <1x16xf32, [[ROW]]> -> <1x16xf32, [[LEFT]]>
// CHECK: tile.map(%{{.*}}, %[[NEXT]])
tile.kernel @columns(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32, tile.shared_bytes = 1024 : i64} {
  %c0 = arith.constant 0 : i32
  %x = tile.fill %f : f32 -> <64x16xf32>
  %s = tile.reduce sum %x along rows : <64x16xf32> -> <1x16xf32>
  %y = tile.map(%x, %s) at(%c0, %c0) {
  ^bb0(%e: f32, %r: f32, %i: i32, %j: i32):
    %d = arith.subf %e, %r : f32
    tile.yield %d : f32
  } : (!tile.tile<64x16xf32>, !tile.tile<1x16xf32>) -> !tile.tile<64x16xf32>
  tile.return
}

// A scan has its axis in one thread; transposing keeps elements where they are, and then they go where they are expected.
// CHECK-LABEL: tile.kernel @turned
// CHECK: %[[IN:.*]] = tile.fill %{{.*}} -> <4x8xf32, #tile.linear<register = [0, 1, 0, 2, 0, 4], lane = [1, 0, 2, 0, 0, 0, 0, 0, 0, 0], warp = [0, 0, 0, 0]>>
// CHECK: %[[SCAN:.*]] = tile.scan sum %[[IN]] along columns
// CHECK: %[[BACK:.*]] = tile.convert_layout %[[SCAN]]
// CHECK: %[[T:.*]] = tile.transpose %[[BACK]] : <4x8xf32, #tile.linear<register = [], lane = [0, 1, 0, 2, 0, 4, 1, 0, 2, 0], warp = [0, 0, 0, 0]>> -> <8x4xf32, #tile.linear<register = [], lane = [1, 0, 2, 0, 4, 0, 0, 1, 0, 2], warp = [0, 0, 0, 0]>>
// CHECK: tile.convert_layout %[[T]]
tile.kernel @turned(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
  %x = tile.fill %f : f32 -> <4x8xf32>
  %s = tile.scan sum %x along columns : <4x8xf32> -> <4x8xf32>
  %t = tile.transpose %s : <4x8xf32> -> <8x4xf32>
  tile.return
}

// What is computed for a scan along rows, and from its result to be stored, lies where the scan needs it: two columns and rows 0 to 31 of each part to a
// thread. So does what is combined to an element for each thread.
// CHECK-LABEL: tile.kernel @around_scan
// CHECK-NOT: tile.convert_layout
// CHECK: tile.map() at
// CHECK: } : () -> !tile.tile<64xi1, #tile.linear<register = [1, 0, 2, 0, 4, 0, 8, 0, 16, 0],
// CHECK: %[[X:.*]] = tile.map() at
// CHECK: } : () -> !tile.tile<64x128xf32, #tile.linear<register = [0, 1, 1, 0, 2, 0, 4, 0, 8, 0, 16, 0], lane = [0, 2, 0, 4, 0, 8, 0, 16, 0, 32], warp = [0, 64, 32, 0]>>
// CHECK: %[[S:.*]] = tile.scan product %[[X]] along rows every 16
// CHECK: tile.map(%[[S]], %
// CHECK: tile.store_block
// CHECK: tile.fold(%{{.*}}) along rows
// CHECK: } : (!tile.tile<64x128xf32, #tile.linear<register = [1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0], lane = [0, 1, 0, 2, 0, 4, 0, 8, 0, 16], warp = [0, 32, 0, 64]>>)
// CHECK: tile.return
tile.kernel @around_scan(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y"}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c32 = arith.constant 32 : i32
  %c64 = arith.constant 64 : i32
  %c128 = arith.constant 128 : i32
  %isSecond = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32):
    %second = arith.cmpi sge, %i, %c32 : i32
    tile.yield %second : i1
  } : () -> !tile.tile<64xi1>
  %x = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %e = tile.element %X[%i, %j] : <2xf32, unit> -> f32
    tile.yield %e : f32
  } : () -> !tile.tile<64x128xf32>
  %s = tile.scan product %x along rows every 16 : <64x128xf32> -> <64x128xf32>
  %y = tile.map(%s, %isSecond) at(%c0, %c0) {
  ^bb0(%a: f32, %second: i1, %i: i32, %j: i32):
    %b = arith.addf %a, %a : f32
    %z = arith.select %second, %a, %b : f32
    tile.yield %z : f32
  } : (!tile.tile<64x128xf32>, !tile.tile<64xi1>) -> !tile.tile<64x128xf32>
  tile.store_block %y, %Y[] rows 0 from %c0 to %c64 cols 1 from %c0 to %c128 : <64x128xf32>, <2xf32, unit>
  %all = tile.map() at(%c0, %c0) {
  ^bb0(%i: i32, %j: i32):
    %e = tile.element %X[%i, %j] : <2xf32, unit> -> f32
    tile.yield %e : f32
  } : () -> !tile.tile<64x128xf32>
  %f = tile.fold(%all) along rows {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %b : f32
    tile.yield %p : f32
  } : (!tile.tile<64x128xf32>) -> !tile.tile<1x128xf32>
  tile.return
}

// A product needs its operands as fragments: a conversion is between.
// CHECK-LABEL: tile.kernel @scan_for_product
// CHECK: %[[S:.*]] = tile.scan
// CHECK: tile.convert_layout %[[S]]
tile.kernel @scan_for_product(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %x = tile.fill %f : f32 -> <64x64xf32>
  %k = tile.fill %f : f32 -> <64x64xf32>
  %s = tile.scan sum %x along rows : <64x64xf32> -> <64x64xf32>
  %acc = tile.fill %f : f32 -> <64x64xf32>
  %d = tile.dot %s, %k transposed, %acc : <64x64xf32>, <64x64xf32>, <64x64xf32> -> <64x64xf32>
  tile.return
}

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
// CHECK: %[[IN:.*]] = tile.convert_layout %{{.*}} -> <4x8xf32, #tile.linear<register = [0, 1, 0, 2, 0, 4], lane = [1, 0, 2, 0, 0, 0, 0, 0, 0, 0], warp = [0, 0, 0, 0]>>
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

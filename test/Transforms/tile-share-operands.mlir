// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-share-operands))' | FileCheck %s

// CHECK-LABEL: tile.kernel @operands
// A place for the computed operand, at the head; its layout is that of a tile read across its rows.
// CHECK: %[[BUFFER:.*]] = tile.alloc : <1x64x32xf32, #tile.shared<pitch = 144, shift = 0, mask = 0>>
// The loaded tile is computed with and multiplied: it is loaded for each.
// CHECK: %[[COMPUTED:.*]] = tile.load
// CHECK: %[[LOADED:.*]] = tile.load
// CHECK: %[[TWICE:.*]] = tile.map(%[[COMPUTED]])
// CHECK: %[[S:.*]] = tile.dot %[[TWICE]], %[[LOADED]] transposed
// CHECK: %[[SLOT:.*]] = tile.share %[[TWICE]] into %[[BUFFER]]
// CHECK: %[[READ:.*]] = tile.read %[[SLOT]]
// CHECK: tile.dot %[[S]], %[[READ]], %{{.*}}
tile.kernel @operands(%V: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %v = tile.load %V[] rows 0 from %c0 to %n cols 32 : <2xf32, unit> -> <64x32xf32>
  %twice = tile.map(%v) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %d = arith.addf %e, %e : f32
    tile.yield %d : f32
  } : (!tile.tile<64x32xf32>) -> !tile.tile<64x32xf32>
  %a = tile.fill %zero : f32 -> <64x64xf32>
  %s = tile.dot %twice, %v transposed, %a : <64x32xf32>, <64x32xf32>, <64x64xf32> -> <64x64xf32>
  %b = tile.fill %zero : f32 -> <64x32xf32>
  %o = tile.dot %s, %twice, %b : <64x64xf32>, <64x32xf32>, <64x32xf32> -> <64x32xf32>
  tile.return
}

// A 16-bit tile that the product takes from registers is loaded once.
// CHECK-LABEL: tile.kernel @left
// CHECK: tile.load
// CHECK-NOT: tile.load
// CHECK: tile.dot
// CHECK: tile.return
tile.kernel @left(%Q: !tile.view<2xf16, unit> {tile.binding = "tensor:Q"}, %K: !tile.view<2xf16, unit> {tile.binding = "tensor:K"},
                  %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %q = tile.load %Q[] rows 0 from %c0 to %n cols 32 : <2xf16, unit> -> <64x32xf16>
  %w = tile.cast %q : <64x32xf16> -> <64x32xf32>
  %m = tile.reduce max %w : <64x32xf32> -> <64xf32>
  %a = tile.fill %zero : f32 -> <64x64xf32>
  %h = tile.fill %zero : f32 -> <64x32xf32>
  %k = tile.cast %h : <64x32xf32> -> <64x32xf16>
  %s = tile.dot %q, %k transposed, %a : <64x32xf16>, <64x32xf16>, <64x64xf32> -> <64x64xf32>
  tile.return
}

// Blocks next to each other are copied together, behind a barrier; the left side reads its one turned. What comes behind a product has a
// barrier of its own: it may lie where the operands of that do.
// CHECK-LABEL: tile.kernel @blocks
// CHECK: tile.barrier
// CHECK-NEXT: arith.constant
// CHECK-NEXT: %[[LT:.*]] = tile.async_copy %{{.*}}[] rows 0 from %[[ROW:.*]] to %[[N:.*]] cols 64 from %[[COL:.*]] into %{{.*}} by 8
// CHECK-NEXT: arith.constant
// CHECK-NEXT: %[[RT:.*]] = tile.async_copy %{{.*}} cols 32 from %{{.*}} by 2
// CHECK-NEXT: tile.commit
// CHECK-NEXT: %[[SLOTS:.*]]:2 = tile.wait %[[LT]], %[[RT]] pending 0 barrier
// CHECK-DAG: %[[LEFT:.*]] = tile.read %[[SLOTS]]#0 transposed
// CHECK-DAG: %[[RIGHT:.*]] = tile.read %[[SLOTS]]#1 :
// CHECK: tile.dot %[[LEFT]], %[[RIGHT]],
// CHECK-NEXT: tile.barrier
// CHECK: tile.async_copy
// CHECK-NEXT: tile.commit
// CHECK-NEXT: tile.wait
// CHECK-NEXT: tile.read
// CHECK-NEXT: tile.dot
tile.kernel @blocks(%K: !tile.view<2xbf16, unit> {tile.binding = "tensor:K", tile.row_alignment = 8 : i64}, %V: !tile.view<2xbf16, unit> {tile.binding = "tensor:V"},
                    %row: i32 {tile.binding = "param:row"}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %a = tile.fill %zero : f32 -> <64x32xf32>
  %k = tile.load_block %K[] rows 0 from %row to %n cols from %c64 : <2xbf16, unit> -> <64x64xbf16>
  %t = tile.transpose %k : <64x64xbf16> -> <64x64xbf16>
  %v = tile.load_block %V[] rows 0 from %row to %n cols from %c0 : <2xbf16, unit> -> <64x32xbf16>
  %s = tile.dot %t, %v, %a : <64x64xbf16>, <64x32xbf16>, <64x32xf32> -> <64x32xf32>
  %w = tile.load_block %V[] rows 0 from %row to %n cols from %c64 : <2xbf16, unit> -> <64x32xbf16>
  %o = tile.dot %t, %w, %s : <64x64xbf16>, <64x32xbf16>, <64x32xf32> -> <64x32xf32>
  tile.return
}

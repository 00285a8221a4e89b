// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A cumulative sum, or product: blocks along the rows are scanned, and what came before them is added, or multiplied.
// RUN: attnc-opt %s --split-input-file --convert-attn-to-tile --canonicalize --cse | FileCheck %s

// Along the last axis: the rows of a tile are those of the axis before it.
attn.variant @last attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, q, kv], f32>
  // CHECK-LABEL: tile.kernel @last
  // CHECK-SAME: num_warps = 1
  // CHECK: scf.for %[[AT:.*]] = %{{.*}} to %{{.*}} step %c32_i32 iter_args(%[[BEFORE:.*]] = %{{.*}}) -> (!tile.tile<32xf32>)
  // CHECK: %[[BLOCK:.*]] = tile.map() at(%[[ROW:.*]], %[[AT]])
  // CHECK:   tile.element
  // CHECK:   arith.cmpi slt
  // CHECK: %[[SCAN:.*]] = tile.scan sum %[[BLOCK]] along columns
  // CHECK: %[[SUMS:.*]] = tile.map(%[[SCAN]], %[[BEFORE]])
  // CHECK:   arith.addf
  // CHECK: tile.store_block %[[SUMS]], {{.*}} rows 1 from %[[ROW]] {{.*}} cols 2 from %[[AT]]
  // CHECK: %[[LAST:.*]] = tile.map(%[[SUMS]])
  // CHECK:   arith.cmpi eq
  // CHECK: %[[NEXT:.*]] = tile.reduce sum %[[LAST]]
  // CHECK: scf.yield %[[NEXT]]
  %s = attn.cumsum %x over "kv" : !attn.tensor<[b, q, kv], f32> -> !attn.tensor<[b, q, kv], f32>
  attn.return ["s"](%s : !attn.tensor<[b, q, kv], f32>)
}

// -----

// Along another axis: rows lie along the columns of a tile, so that its last axis is contiguous.
attn.variant @first attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[kv, d], i32>
  // CHECK-LABEL: tile.kernel @first
  // CHECK: scf.for %[[AT:.*]] = {{.*}} iter_args(%[[BEFORE:.*]] = %{{.*}}) -> (!tile.tile<1x32xi32>)
  // CHECK: tile.scan sum %{{.*}} along rows
  // CHECK: arith.addi
  // CHECK: tile.store_block {{.*}} rows 0 from %[[AT]] {{.*}} cols 1
  // CHECK: tile.reduce sum %{{.*}} along rows
  %s = attn.cumsum %x over "kv" : !attn.tensor<[kv, d], i32> -> !attn.tensor<[kv, d], i32>
  attn.return ["s"](%s : !attn.tensor<[kv, d], i32>)
}

// -----

// A few entries are one block, for a block of threads as products have.
attn.variant @few attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %n = arith.constant 48 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "i" extent %n
  attn.space "j" extent %n
  %x = attn.input "x" : !attn.tensor<[b, i, j], f32>
  %one = arith.constant 1.0 : f32
  // CHECK-LABEL: tile.kernel @few
  // CHECK-SAME: num_warps = 4
  // CHECK-NOT: scf.for
  // CHECK: %[[BLOCK:.*]] = tile.map() at(%c0_i32, %c0_i32) {
  // CHECK:   tile.element
  // CHECK:   arith.select %{{.*}}, %{{.*}}, %cst
  // CHECK: } : () -> !tile.tile<64x64xf32>
  // CHECK: tile.scan product %[[BLOCK]] along rows : <64x64xf32> -> <64x64xf32>
  // CHECK: tile.store_block
  %p = attn.scan over "i" (%x : !attn.tensor<[b, i, j], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    %ac = arith.mulf %a, %c : f32
    attn.yield %ac : f32
  } : !attn.tensor<[b, i, j], f32>
  attn.return ["p"](%p : !attn.tensor<[b, i, j], f32>)
}

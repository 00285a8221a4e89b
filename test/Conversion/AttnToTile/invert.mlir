// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inverses of triangular matrices: a program has one, as a tile, whose rows and columns are any two axes.
// RUN: attnc-opt %s --split-input-file --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @inverse attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %n = arith.constant 32 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, h, j], f32>
  // CHECK-LABEL: tile.kernel @inverse
  // CHECK-SAME: num_warps = 4
  // CHECK: %[[N:.*]] = tile.map() at(%c0_i32, %c0_i32) {
  // CHECK: ^bb0(%[[I:.*]]: i32, %[[J:.*]]: i32):
  // CHECK: tile.element %{{.*}}[%[[B:.*]], %[[I]], %[[H:.*]], %[[J]]] : <4xf32> -> f32
  // CHECK: } : () -> !tile.tile<32x32xf32>
  // CHECK: %[[Y:.*]] = tile.invert %[[N]] : <32x32xf32> -> <32x32xf32>
  // CHECK: tile.store_block %[[Y]], %{{.*}}[%[[B]], %[[H]]] rows 1 from %c0_i32 to %c32_i32 cols 3 from %c0_i32 to %c32_i32
  %Y = attn.invert %N over "i" by "j" : !attn.tensor<[b, i, h, j], f32> -> !attn.tensor<[b, i, h, j], f32>
  attn.return ["Y"](%Y : !attn.tensor<[b, i, h, j], f32>)
}

// -----

// Who reads it rounds it.
attn.variant @rounded attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %n = arith.constant 32 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
  // CHECK-LABEL: tile.kernel @rounded
  // CHECK: tile.invert %{{.*}} rounded : <32x32xf32> -> <32x32xf32>
  %Y = attn.invert %N over "i" by "j" rounded : !attn.tensor<[b, i, j], f32> -> !attn.tensor<[b, i, j], f32>
  attn.return ["Y"](%Y : !attn.tensor<[b, i, j], f32>)
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An attention over keys of another head axis and a set of blocks: one walk over all keys, with the
// exact form of the softmax. The query's tile is evaluated once, before the loop.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @blocks attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %block = arith.constant 128 : i32
  attn.space "p" of "kv" extent %block
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f16>
  %K = attn.input "K" : !attn.tensor<[b, kv, d], f16>
  %V = attn.input "V" : !attn.tensor<[b, kv, e], f16>
  %keep = attn.input "keep" : !attn.tensor<[b, q, p], i1>
  // CHECK-LABEL: tile.kernel @blocks
  // CHECK: tile.element %arg0
  // CHECK: scf.for %[[KEY:.*]] =
  // CHECK-NOT: tile.element %arg0
  // CHECK:   tile.element %arg1
  // CHECK:   tile.dot
  // CHECK:   tile.element %arg3
  // CHECK:   tile.reduce max
  // CHECK:   tile.element %arg2
  // CHECK:   tile.dot {{.*}} where {{.*}} {zero_outside}
  // CHECK: tile.store_block
  %out, %lse = attn.attend %Q, %K, %V over %keep : !attn.tensor<[b, q, p], i1>
    : !attn.tensor<[b, h, q, d], f16>, !attn.tensor<[b, kv, d], f16>, !attn.tensor<[b, kv, e], f16> -> !attn.tensor<[b, h, q, e], f16>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e], f16>)
}

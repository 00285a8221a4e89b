// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --split-input-file --verify-diagnostics --convert-attn-to-tile

// Which block of queries a block of keys belongs to cannot be said where blocks overlap.
attn.variant @foreign attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %n = arith.constant 8 : i32
  %half = arith.constant 4 : i32
  attn.space "r" of "q" extent %n stride %half
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f16>
  %K = attn.input "K" : !attn.tensor<[b, r, kv, d], f16>
  %V = attn.input "V" : !attn.tensor<[b, h, kv, e], f16>
  // expected-error@below {{the index on `r` does not follow from the query's}}
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d], f16>, !attn.tensor<[b, r, kv, d], f16>, !attn.tensor<[b, h, kv, e], f16> -> !attn.tensor<[b, h, q, e], f16>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e], f16>)
}

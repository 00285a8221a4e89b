// RUN: attnc-opt %s --split-input-file --verify-diagnostics --convert-attn-to-tile

// expected-error@below {{'attn.variant' op has no plan: run attn-plan first}}
attn.variant @unplanned {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// expected-error@below {{'attn.variant' op the plan lacks `tile_q`}}
attn.variant @lacking attributes {attnc.plan = {const_params = {}, dtype = "f16", head_dim = 64 : i64, num_warps = 4 : i64, precision = "f32", stages = 2 : i64, target = "sm_80", tile_kv = 64 : i64, v_head_dim = 64 : i64, vector_bytes = 16 : i64}} {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// An edited plan is checked like a chosen one.
// expected-error@below {{'attn.variant' op a key tile of -64 rows: expected 1 to 4096}}
attn.variant @edited attributes {attnc.plan = {const_params = {}, dtype = "f16", head_dim = 64 : i64, num_warps = 4 : i64, precision = "f32", stages = 2 : i64, target = "sm_80", tile_kv = -64 : i64, tile_q = 64 : i64, v_head_dim = 64 : i64, vector_bytes = 16 : i64}} {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// expected-error@below {{'attn.variant' op unsupported row alignment of 3 bytes}}
attn.variant @alignment attributes {attnc.plan = {const_params = {}, dtype = "f16", head_dim = 64 : i64, num_warps = 4 : i64, precision = "f32", stages = 2 : i64, target = "sm_80", tile_kv = 64 : i64, tile_q = 64 : i64, v_head_dim = 64 : i64, vector_bytes = 3 : i64}} {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// expected-error@below {{'attn.variant' op unknown target `sm_12`: expected host, sm_80}}
attn.variant @target attributes {attnc.plan = {const_params = {}, dtype = "f16", head_dim = 64 : i64, num_warps = 4 : i64, precision = "f32", stages = 2 : i64, target = "sm_12", tile_kv = 64 : i64, tile_q = 64 : i64, v_head_dim = 64 : i64, vector_bytes = 16 : i64}} {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// expected-error@below {{code is not generated for a spec without an attention stage yet; the reference runs it (`--device=reference`)}}
attn.variant @none attributes {attnc.plan = {const_params = {}, dtype = "f16", head_dim = 64 : i64, num_warps = 4 : i64, precision = "f32", stages = 2 : i64, target = "sm_80", tile_kv = 64 : i64, tile_q = 64 : i64, v_head_dim = 64 : i64, vector_bytes = 16 : i64}} {
  attn.return []
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --split-input-file --verify-diagnostics --convert-attn-to-tile

// expected-error@below {{'attn.variant' op has no schedule: run attn-plan first}}
attn.variant @unplanned {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// expected-error@below {{'attn.variant' op is not specialised: run attn-specialize first}}
attn.variant @general attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// What a schedule says is checked against the variant and the target.
// expected-error@below {{'attn.variant' op unsupported row alignment of 2 bytes: expected a power of two from 4, the size of an element, to 16}}
attn.variant @alignment attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 2, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f32>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e], f32>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d], f32>, !attn.tensor<[b, g, kv, d], f32>, !attn.tensor<[b, g, kv, e], f32> -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e], f32>)
}

// -----

// expected-error@below {{'attn.variant' op the tiles need 175104 bytes of shared memory, sm_80 has 166912: use fewer stages or smaller tiles}}
attn.variant @large attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 9, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f16>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d], f16>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e], f16>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d], f16>, !attn.tensor<[b, g, kv, d], f16>, !attn.tensor<[b, g, kv, e], f16> -> !attn.tensor<[b, h, q, e], f16>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e], f16>)
}

// -----

// expected-error@below {{'attn.variant' op unknown target `sm_12`: expected host, sm_80}}
attn.variant @target attributes {tile.schedule = #tile.schedule<target = "sm_12", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f16>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d], f16>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e], f16>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d], f16>, !attn.tensor<[b, g, kv, d], f16>, !attn.tensor<[b, g, kv, e], f16> -> !attn.tensor<[b, h, q, e], f16>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e], f16>)
}

// -----

// An op that no lowering is registered for is an error at its statement, whatever else the variant has.
attn.variant @rows attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f16>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d], f16>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e], f16>
  %r = attn.input "r" : !attn.tensor<[b, h, q], f32>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d], f16>, !attn.tensor<[b, g, kv, d], f16>, !attn.tensor<[b, g, kv, e], f16> -> !attn.tensor<[b, h, q, e], f16>, !attn.tensor<[b, h, q], f32>
  // expected-error@below {{code is not generated for a function of rows yet; the reference runs it (`--device=reference`)}}
  %w = attn.softmax %r over "q" : !attn.tensor<[b, h, q], f32> -> !attn.tensor<[b, h, q], f32>
  attn.return ["out", "w"](%out, %w : !attn.tensor<[b, h, q, e], f16>, !attn.tensor<[b, h, q], f32>)
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Choices of kernels that cannot be.
// RUN: attnc-opt %s --split-input-file --verify-diagnostics --convert-attn-to-tile

// The first kernel has what the second one reads, and reads what that has.
// expected-error@below {{two kernels wait for each other: other numbers are needed as `attn.kernel`}}
attn.variant @circle attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q], f32>
  %first = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.read %x[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    attn.yield %1 : f32
  } {attn.kernel = 0 : i64} : !attn.tensor<[b, h, q], f32>
  %second = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.read %first[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    attn.yield %1 : f32
  } {attn.kernel = 1 : i64} : !attn.tensor<[b, h, q], f32>
  %third = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.read %second[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    attn.yield %1 : f32
  } {attn.kernel = 0 : i64} : !attn.tensor<[b, h, q], f32>
  attn.return ["y"](%third : !attn.tensor<[b, h, q], f32>)
}

// -----

// A standard attention has a grid of its own.
attn.variant @scaled attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f32>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e], f32>
  %out, %lse = attn.attend %Q, %K, %V {attn.kernel = 0 : i64} : !attn.tensor<[b, h, q, d], f32>, !attn.tensor<[b, g, kv, d], f32>, !attn.tensor<[b, g, kv, e], f32> -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q], f32>
  // expected-error@below {{cannot be in one kernel with other stages: give it a number of its own as `attn.kernel`}}
  %half = attn.compute(%b: i32, %h: i32, %q: i32, %e: i32) {
    %1 = attn.read %out[%b, %h, %q, %e] : !attn.tensor<[b, h, q, e], f32> -> f32
    attn.yield %1 : f32
  } {attn.kernel = 0 : i64} : !attn.tensor<[b, h, q, e], f32>
  attn.return ["y"](%half : !attn.tensor<[b, h, q, e], f32>)
}

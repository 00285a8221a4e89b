// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The chunk of a tile of rows is one number where a tile lies in one chunk: what is read at it is the right side of a product.
// RUN: attnc-opt %s --split-input-file --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @chunks attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %chunk = arith.constant 128 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "c" of "t" extent %chunk
  %x = attn.input "x" : !attn.tensor<[t, d], f32>
  %H = attn.input "H" : !attn.tensor<[c, d, e], f32>
  // CHECK-LABEL: tile.kernel @chunks
  // CHECK: %[[ROW:.*]] = arith.muli %{{.*}}, %c64_i32
  // CHECK: %[[C:.*]] = arith.divui %[[ROW]], %c128_i32
  // CHECK: tile.dot
  %z = attn.compute (%t: i32, %e: i32) {
    %c = arith.floordivsi %t, %chunk : i32
    %sum = attn.reduce sum over "d" (%d: i32) {
      %1 = attn.read %x[%t, %d] : !attn.tensor<[t, d], f32> -> f32
      %2 = attn.read %H[%c, %d, %e] : !attn.tensor<[c, d, e], f32> -> f32
      %3 = arith.mulf %1, %2 : f32
      attn.yield %3 : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[t, e], f32>
  attn.return ["z"](%z : !attn.tensor<[t, e], f32>)
}

// -----

// A tile of 64 rows has rows of two chunks of 32, each with its own right side: no product.
attn.variant @rows attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %chunk = arith.constant 32 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "c" of "t" extent %chunk
  %x = attn.input "x" : !attn.tensor<[t, d], f32>
  %H = attn.input "H" : !attn.tensor<[c, d, e], f32>
  // CHECK-LABEL: tile.kernel @rows
  // CHECK-NOT: tile.dot
  // CHECK: tile.program
  %z = attn.compute (%t: i32, %e: i32) {
    %c = arith.floordivsi %t, %chunk : i32
    %sum = attn.reduce sum over "d" (%d: i32) {
      %1 = attn.read %x[%t, %d] : !attn.tensor<[t, d], f32> -> f32
      %2 = attn.read %H[%c, %d, %e] : !attn.tensor<[c, d, e], f32> -> f32
      %3 = arith.mulf %1, %2 : f32
      attn.yield %3 : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[t, e], f32>
  attn.return ["z"](%z : !attn.tensor<[t, e], f32>)
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inverses of matrices that are no tile.
// RUN: attnc-opt %s --split-input-file --verify-diagnostics --convert-attn-to-tile

attn.variant @rows attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %n = arith.constant 20 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
  // expected-error@below {{expects a matrix that is known to have 16, 32 or 64 rows: `attn.solve` takes any number of them}}
  %Y = attn.invert %N over "i" by "j" : !attn.tensor<[b, i, j], f32> -> !attn.tensor<[b, i, j], f32>
  attn.return ["Y"](%Y : !attn.tensor<[b, i, j], f32>)
}

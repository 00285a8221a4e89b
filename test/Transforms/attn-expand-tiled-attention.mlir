// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --attn-expand-tiled-attention | FileCheck %s

// Rounded weights in groups that start anew in each tile, a sink, and tiles that rows of a block
// skip together.
// CHECK-LABEL: attn.variant @rounded
attn.variant @rounded {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %tile = arith.constant 64 : i32
  %group = arith.constant 24 : i32
  %rows = arith.constant 16 : i32
  attn.space "w" of "q" extent %rows
  // CHECK: attn.space "kv_tile" of "kv" extent
  // The scores.
  // CHECK: attn.compute (%{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32)
  // CHECK:   attn.reduce sum over "d"
  // CHECK: : <[b, h, q, kv], f32>
  // Maxima of tiles, and up to each tile.
  // CHECK: attn.reduce max over "kv" in "kv_tile"
  // CHECK: : <[b, h, q, kv_tile], f32>
  // CHECK: attn.reduce max over "kv_tile" to
  // CHECK: : <[b, h, q, kv_tile], f32>
  // Which tiles a row would skip, and a block of rows does.
  // CHECK: : <[b, h, q, kv_tile], i1>
  // CHECK: attn.reduce all over "q" in "w"
  // CHECK: : <[b, h, w, kv_tile], i1>
  // CHECK: attn.space "kv_group" extent
  // CHECK: : <[b, h, q, kv_group], f32>
  // CHECK: attn.reduce sum over "kv"
  // CHECK: : <[b, h, q, e]>
  // CHECK-NOT: attn.attend
  %out, %lse = attn.attend %Q, %K, %V tile %tile skip_rows "w" weights f8E4M3 by 448.0 group %group
      sink(%b: i32, %h: i32, %q: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  }
      skip(%top: f32, %running: f32) {
    %drop = arith.subf %running, %top : f32
    %most = arith.constant 20.0 : f32
    %is = arith.cmpf ogt, %drop, %most : f32
    attn.yield %is : i1
  } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
}

// A tile alone changes no result.
// CHECK-LABEL: attn.variant @plain
// CHECK: attn.attend {{.*}} tile
attn.variant @plain {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %tile = arith.constant 64 : i32
  %out, %lse = attn.attend %Q, %K, %V tile %tile : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

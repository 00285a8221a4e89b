// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The three lowerings of a reduction: a product, a matrix that is reduced along its rows, and a
// loop over single indices; and what they depend on, outside of the loops.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @stages attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f16>
  %K = attn.input "K" : !attn.tensor<[b, h, kv, d], f16>
  %w = attn.input "w" : !attn.tensor<[h, d], f32>

  // A sum of few terms is one product. Elements of one 16-bit type are multiplied as they are, in blocks; keys are read along their rows,
  // so the right side is turned.
  // CHECK-LABEL: tile.kernel @stages_0
  // CHECK-NOT: scf.for
  // CHECK: tile.load_block %{{.*}} -> <64x64xf16>
  // CHECK: tile.load_block %{{.*}} -> <64x64xf16>
  // CHECK: tile.dot {{.*}} transposed
  // CHECK: tile.store_block
  %scores = attn.compute (%b: i32, %h: i32, %q: i32, %kv: i32) {
    %r = attn.reduce sum over "d" (%d: i32) {
      %x = attn.read %Q[%b, %h, %q, %d] : !attn.tensor<[b, h, q, d], f16> -> f32
      %y = attn.read %K[%b, %h, %kv, %d] : !attn.tensor<[b, h, kv, d], f16> -> f32
      %p = arith.mulf %x, %y : f32
      attn.yield %p : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, h, q, kv], f32>

  // CHECK-LABEL: tile.kernel @stages_1
  // CHECK: scf.for
  // CHECK:   tile.map
  // CHECK:     arith.maximumf
  // CHECK: tile.fold({{.*}}) along columns
  // CHECK: tile.store {{.*}} : <64xf32>
  %top = attn.compute (%b: i32, %h: i32, %q: i32) {
    %r = attn.reduce max over "kv" (%kv: i32) {
      %x = attn.read %scores[%b, %h, %q, %kv] : !attn.tensor<[b, h, q, kv], f32> -> f32
      attn.yield %x : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, h, q], f32>

  // No product: |q - k| knows both. What it takes of a row and of a column is a vector each.
  // CHECK-LABEL: tile.kernel @stages_2
  // CHECK: scf.for
  // CHECK-DAG: : () -> !tile.tile<64xf32>
  // CHECK-DAG: : () -> !tile.tile<1x64xf32>
  // CHECK:   : ({{.*}}!tile.tile<64x64xf32>{{.*}}) -> !tile.tile<64x64xf32>
  // CHECK-NOT: tile.dot
  // CHECK: tile.store_block
  %distance = attn.compute (%b: i32, %h: i32, %q: i32, %kv: i32) {
    %r = attn.reduce sum over "d" (%d: i32) {
      %x = attn.read %Q[%b, %h, %q, %d] : !attn.tensor<[b, h, q, d], f16> -> f32
      %y = attn.read %K[%b, %h, %kv, %d] : !attn.tensor<[b, h, kv, d], f16> -> f32
      %p = arith.subf %x, %y : f32
      %a = math.absf %p : f32
      attn.yield %a : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, h, q, kv], f32>

  // A number for each head: a row of one element.
  // CHECK-LABEL: tile.kernel @stages_3
  // CHECK: tile.fold({{.*}}) along columns
  // CHECK: tile.store {{.*}} : <1xf32>
  %norm = attn.compute (%h: i32) {
    %r = attn.reduce sum over "d" (%d: i32) {
      %x = attn.read %w[%h, %d] : !attn.tensor<[h, d], f32> -> f32
      attn.yield %x : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[h], f32>

  // CHECK-LABEL: tile.program "stages"
  // CHECK: %[[SCORES:.*]] = tile.workspace
  // CHECK: tile.launch @stages_0{{.*}}%[[SCORES]]
  // CHECK: tile.launch @stages_1{{.*}}%[[SCORES]]
  attn.return ["top", "distance", "norm"](%top, %distance, %norm : !attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q, kv], f32>, !attn.tensor<[h], f32>)
}

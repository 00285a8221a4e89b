// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A choice between reductions is a tile of its own within another one, so that their results are not all there at once.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

// CHECK-LABEL: tile.kernel @chosen
// CHECK: %[[A:.*]] = tile.dot
// CHECK: %[[B:.*]] = tile.dot
// CHECK: %[[AB:.*]] = tile.map(
// CHECK-SAME: %[[B]]
// CHECK: arith.select
// CHECK: %[[C:.*]] = tile.dot
// CHECK: tile.map(
// CHECK-SAME: %[[AB]]
// CHECK: arith.select
// CHECK-NOT: tile.map
// CHECK: tile.store_block
attn.variant @chosen attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "i" extent %dim
  attn.space "j" extent %dim
  %A = attn.input "A" : !attn.tensor<[b, i, d], f32>
  %B = attn.input "B" : !attn.tensor<[b, j, d], f32>
  %C = attn.input "C" : !attn.tensor<[b, j, d], f32>
  %D = attn.input "D" : !attn.tensor<[b, j, d], f32>
  %y = attn.compute (%b: i32, %i: i32, %j: i32) {
    %before = arith.cmpi slt, %j, %i : i32
    %same = arith.cmpi eq, %j, %i : i32
    %x = attn.reduce sum over "d" (%d: i32) {
      %a = attn.read %A[%b, %i, %d] : !attn.tensor<[b, i, d], f32> -> f32
      %c = attn.read %B[%b, %j, %d] : !attn.tensor<[b, j, d], f32> -> f32
      %p = arith.mulf %a, %c : f32
      attn.yield %p : f32
    } : f32
    %u = attn.reduce sum over "d" (%d: i32) {
      %a = attn.read %A[%b, %i, %d] : !attn.tensor<[b, i, d], f32> -> f32
      %c = attn.read %C[%b, %j, %d] : !attn.tensor<[b, j, d], f32> -> f32
      %p = arith.mulf %a, %c : f32
      attn.yield %p : f32
    } : f32
    %v = attn.reduce sum over "d" (%d: i32) {
      %a = attn.read %A[%b, %i, %d] : !attn.tensor<[b, i, d], f32> -> f32
      %c = attn.read %D[%b, %j, %d] : !attn.tensor<[b, j, d], f32> -> f32
      %p = arith.mulf %a, %c : f32
      attn.yield %p : f32
    } : f32
    %xu = arith.select %same, %u, %x : f32
    %xuv = arith.select %before, %v, %xu : f32
    attn.yield %xuv : f32
  } : !attn.tensor<[b, i, j], f32>
  attn.return ["y"](%y : !attn.tensor<[b, i, j], f32>)
}

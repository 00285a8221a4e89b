// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors of a step share a buffer where their lives do not overlap and their types are the same: of
// a chain of five, each made of the one before it, two are alive at once; the vector has its own.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @chain attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %zero = attn.compute (%d: i32, %e: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[d, e], f32>

  // CHECK-LABEL: tile.kernel @chain
  // CHECK-SAME: %[[A:[^:]*]]: !tile.view<3xf32, unit> {{{[^}]*}}"tensor:out.step0", {{[^}]*}}}
  // CHECK-SAME: %[[V:[^:]*]]: !tile.view<2xf32, unit> {{{[^}]*}}"tensor:out.step1", {{[^}]*}}}
  // CHECK-SAME: %[[B:[^:]*]]: !tile.view<3xf32, unit> {{{[^}]*}}"tensor:out.step2", {{[^}]*}}}
  // CHECK-NOT: out.step3
  // CHECK: scf.for
  // CHECK: tile.store_block {{.*}}, %[[A]]
  // CHECK: tile.store {{.*}}, %[[V]]
  // CHECK: tile.element %[[A]]
  // CHECK: tile.store_block {{.*}}, %[[B]]
  // CHECK: tile.element %[[B]]
  // CHECK: tile.store_block {{.*}}, %[[A]]
  // CHECK: tile.element %[[A]]
  // CHECK: tile.store_block {{.*}}, %[[B]]
  // CHECK: tile.element %[[V]]
  // CHECK: tile.element %[[B]]
  %out = attn.recur over "t" for ["b"] from (%zero : !attn.tensor<[d, e], f32>)
      body(%b: i32, %t: i32, %S: !attn.tensor<[d, e], f32>) {
    %first = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %x = arith.negf %s : f32
      attn.yield %x : f32
    } : !attn.tensor<[d, e], f32>
    %vector = attn.compute (%d: i32) {
      %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %x = arith.negf %k : f32
      attn.yield %x : f32
    } : !attn.tensor<[d], f32>
    %second = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %first[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %x = arith.negf %s : f32
      attn.yield %x : f32
    } : !attn.tensor<[d, e], f32>
    %third = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %second[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %x = arith.negf %s : f32
      attn.yield %x : f32
    } : !attn.tensor<[d, e], f32>
    %fourth = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %third[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %x = arith.negf %s : f32
      attn.yield %x : f32
    } : !attn.tensor<[d, e], f32>
    %next = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %fourth[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %v = attn.read %vector[%d] : !attn.tensor<[d], f32> -> f32
      %x = arith.addf %s, %v : f32
      attn.yield %x : f32
    } : !attn.tensor<[d, e], f32>
    attn.yield %next : !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, d, e], f32>
  attn.return ["out"](%out : !attn.tensor<[b, d, e], f32>)
}

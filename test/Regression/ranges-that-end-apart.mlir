// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A range from one index for all to one for each element was walked as far as its space has indices, counted from where it
// starts: behind the end of the space, what is not in the range was read, from outside of the tensor.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

// CHECK-LABEL: tile.kernel @apart
// CHECK: %[[TWENTY:.*]] = arith.constant 20 : i32
// CHECK: %[[FROM:.*]] = arith.maxsi
// CHECK: %[[LEFT:.*]] = arith.subi %[[TWENTY]], %[[FROM]] : i32
// CHECK: %[[COUNT:.*]] = arith.maxsi %[[LEFT]]
// CHECK: scf.for %[[OFFSET:.*]] = %{{.*}} to %[[COUNT]] step
// CHECK: arith.addi %[[FROM]], %[[OFFSET]]
attn.variant @apart attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %twenty = arith.constant 20 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "i" extent %twenty
  attn.space "j" extent %twenty
  attn.space "x" extent %twenty
  %F = attn.input "F" : !attn.tensor<[b, x, d], f32>
  %y = attn.compute (%b: i32, %i: i32, %j: i32, %d: i32) {
    %one = arith.constant 1 : i32
    %to = arith.addi %j, %one : i32
    %r = attn.reduce prod over "x" from %i to %to (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      attn.yield %v : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, i, j, d], f32>
  attn.return ["y"](%y : !attn.tensor<[b, i, j, d], f32>)
}

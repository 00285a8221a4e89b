// RUN: attnc-opt %s --attn-forward-copies | FileCheck %s
// This pass cannot fail.

// An output that only names a result is that result.
// CHECK-LABEL: @name
attn.variant @name {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // CHECK: %[[OUT:.*]], %[[LSE:.*]] = attn.attend
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  // CHECK-NOT: attn.compute
  %again = attn.compute (%b: i32, %h: i32, %q: i32) {
    %x = attn.read %lse[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, h, q], f32>
  // CHECK: attn.return ["out", "lse"](%[[OUT]], %[[LSE]]
  attn.return ["out", "lse"](%out, %again : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
}

// Reads of a slice with its axes in another order, through a second copy, at an index that is clamped.
// CHECK-LABEL: @slice
attn.variant @slice {
  // CHECK: %[[S:.*]] = attn.input "S"
  %S = attn.input "S" : !attn.tensor<[b, t, d], f32>
  %latest = attn.compute (%d: i32, %b: i32) {
    %last = arith.constant 7 : i32
    %x = attn.read %S[%b, %last, %d] : !attn.tensor<[b, t, d], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[d, b], f32>
  %same = attn.compute (%b: i32, %d: i32) {
    %x = attn.read %latest[%d, %b] : !attn.tensor<[d, b], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, d], f32>
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[D:.*]]: i32)
  // CHECK-DAG: %[[NEXT:.*]] = arith.addi %[[D]]
  // CHECK-DAG: %[[LAST:.*]] = arith.constant 7
  // CHECK: attn.read %[[S]][%[[B]], %[[LAST]], %[[NEXT]]]
  // CHECK-NOT: attn.compute
  %y = attn.compute (%b: i32, %d: i32) {
    %one = arith.constant 1 : i32
    %next = arith.addi %d, %one : i32
    %x = attn.read %same[%b, %next] : !attn.tensor<[b, d], f32> -> f32
    %z = arith.mulf %x, %x : f32
    attn.yield %z : f32
  } : !attn.tensor<[b, d], f32>
  attn.return ["y"](%y : !attn.tensor<[b, d], f32>)
}

// No copies: another space may have another size, a shifted index reads another element, and the operand dtype rounds.
// CHECK-LABEL: @no_copies
attn.variant @no_copies {
  %S = attn.input "S" : !attn.tensor<[b, kv], f32>
  %other = attn.compute (%b: i32, %q: i32) {
    %x = attn.read %S[%b, %q] : !attn.tensor<[b, kv], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, q], f32>
  %shifted = attn.compute (%b: i32, %kv: i32) {
    %one = arith.constant 1 : i32
    %before = arith.subi %kv, %one : i32
    %x = attn.read %S[%b, %before] : !attn.tensor<[b, kv], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, kv], f32>
  %rounded = attn.compute (%b: i32, %kv: i32) {
    %x = attn.read %S[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, kv]>
  // CHECK-COUNT-4: attn.compute
  // CHECK: attn.read %{{.*}} : <[b, q], f32>
  // CHECK: attn.read %{{.*}} : <[b, kv], f32>
  // CHECK: attn.read %{{.*}} : <[b, kv]>
  %sum = attn.compute (%b: i32, %q: i32, %kv: i32) {
    %x = attn.read %other[%b, %q] : !attn.tensor<[b, q], f32> -> f32
    %y = attn.read %shifted[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
    %z = attn.read %rounded[%b, %kv] : !attn.tensor<[b, kv]> -> f32
    %xy = arith.addf %x, %y : f32
    %xyz = arith.addf %xy, %z : f32
    attn.yield %xyz : f32
  } : !attn.tensor<[b, q, kv], f32>
  attn.return ["sum"](%sum : !attn.tensor<[b, q, kv], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RUN: attnc-opt %s --attn-hoist-reductions | FileCheck %s
// This pass cannot fail.

// A norm of rows is computed for each row, and not for each element.
// CHECK-LABEL: @norm
attn.variant @norm {
  %K = attn.input "K" : !attn.tensor<[b, kv, d]>
  // CHECK: %[[NORM:.*]] = attn.compute (%[[B:.*]]: i32, %[[KV:.*]]: i32) {
  // CHECK-NEXT: %[[SUM:.*]] = attn.reduce sum over "d" (%[[I:.*]]: i32)
  // CHECK: attn.read %{{.*}}[%[[B]], %[[KV]], %[[I]]]
  // CHECK: attn.yield %[[SUM]] : f32
  // CHECK-NEXT: } : <[b, kv], f32>
  // CHECK: attn.compute (%[[B2:.*]]: i32, %[[KV2:.*]]: i32, %[[D:.*]]: i32) {
  // CHECK-NEXT: %[[N:.*]] = attn.read %[[NORM]][%[[B2]], %[[KV2]]]
  // CHECK-NEXT: math.rsqrt %[[N]]
  // CHECK-NOT: attn.reduce
  %unit = attn.compute (%b: i32, %kv: i32, %d: i32) {
    %n = attn.reduce sum over "d" (%i: i32) {
      %k = attn.read %K[%b, %kv, %i] : !attn.tensor<[b, kv, d]> -> f32
      %kk = arith.mulf %k, %k : f32
      attn.yield %kk : f32
    } : f32
    %r = math.rsqrt %n : f32
    %k = attn.read %K[%b, %kv, %d] : !attn.tensor<[b, kv, d]> -> f32
    %u = arith.mulf %k, %r : f32
    attn.yield %u : f32
  } : !attn.tensor<[b, kv, d], f32>
  attn.return ["unit"](%unit : !attn.tensor<[b, kv, d], f32>)
}

// The index of the reduction around it becomes an axis; what it is computed from comes along, and does not stay.
// CHECK-LABEL: @nested
attn.variant @nested {
  %Q = attn.input "Q" : !attn.tensor<[b, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, kv, d]>
  // CHECK: %[[INNER:.*]] = attn.compute (%[[B:.*]]: i32, %[[KV:.*]]: i32) {
  // CHECK: %[[BEFORE:.*]] = arith.subi %[[KV]]
  // CHECK: attn.reduce max over "d"
  // CHECK: attn.read %{{.*}}[%[[B]], %[[BEFORE]], %{{.*}}]
  // CHECK: } : <[b, kv], f32>
  // CHECK: attn.compute (%[[B2:.*]]: i32, %{{.*}}: i32) {
  // CHECK-NEXT: attn.reduce sum over "kv" (%[[KV2:.*]]: i32) {
  // CHECK-NEXT: attn.read %[[INNER]][%[[B2]], %[[KV2]]]
  // CHECK-NOT: arith.subi
  %x = attn.compute (%b: i32, %q: i32) {
    %one = arith.constant 1 : i32
    %sum = attn.reduce sum over "kv" (%kv: i32) {
      %before = arith.subi %kv, %one : i32
      %largest = attn.reduce max over "d" (%d: i32) {
        %k = attn.read %K[%b, %before, %d] : !attn.tensor<[b, kv, d]> -> f32
        attn.yield %k : f32
      } : f32
      %zero = arith.constant 0 : i32
      %y = attn.read %Q[%b, %q, %zero] : !attn.tensor<[b, q, d]> -> f32
      %z = arith.mulf %y, %largest : f32
      attn.yield %z : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, q], f32>
  attn.return ["x"](%x : !attn.tensor<[b, q], f32>)
}

// These stay: one depends on all indices around it; one on those of a block's members, of which there are too few for an axis; one
// would be over d twice.
// CHECK-LABEL: @stays
attn.variant @stays {
  %K = attn.input "K" : !attn.tensor<[b, kv, d]>
  %M = attn.input "M" : !attn.tensor<[d, 4], f32>
  %n = arith.constant 16 : i32
  attn.space "p" of "kv" extent %n
  // CHECK-COUNT-3: attn.compute
  // CHECK-NOT: attn.compute
  %all = attn.compute (%b: i32, %kv: i32) {
    %sum = attn.reduce sum over "d" (%d: i32) {
      %k = attn.read %K[%b, %kv, %d] : !attn.tensor<[b, kv, d]> -> f32
      attn.yield %k : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, kv], f32>
  %blocks = attn.compute (%b: i32, %p: i32, %d: i32) {
    %mean = attn.reduce mean over "kv" in "p" at %p (%kv: i32) {
      %largest = attn.reduce max over "d" (%i: i32) {
        %k = attn.read %K[%b, %kv, %i] : !attn.tensor<[b, kv, d]> -> f32
        attn.yield %k : f32
      } : f32
      %own = attn.read %K[%b, %kv, %d] : !attn.tensor<[b, kv, d]> -> f32
      %y = arith.mulf %largest, %own : f32
      attn.yield %y : f32
    } : f32
    attn.yield %mean : f32
  } : !attn.tensor<[b, p, d], f32>
  %twice = attn.compute (%b: i32, %d: i32) {
    %sum = attn.reduce sum over "d" (%i: i32) {
      %most = attn.reduce max over "kv" (%kv: i32) {
        %x = attn.read %K[%b, %kv, %i] : !attn.tensor<[b, kv, d]> -> f32
        %y = attn.read %K[%b, %kv, %d] : !attn.tensor<[b, kv, d]> -> f32
        %z = arith.mulf %x, %y : f32
        attn.yield %z : f32
      } : f32
      attn.yield %most : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, d], f32>
  attn.return ["all", "blocks", "twice"](%all, %blocks, %twice : !attn.tensor<[b, kv], f32>, !attn.tensor<[b, p, d], f32>, !attn.tensor<[b, d], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

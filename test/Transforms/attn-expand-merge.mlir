// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: attnc-opt %s --attn-expand-merge | FileCheck %s
// A merge becomes formulas of the weights of its branches at a row. This pass cannot fail.

// CHECK-LABEL: @two
attn.variant @two {
  // CHECK: %[[O1:.*]] = attn.input "o1"
  // CHECK: %[[L1:.*]] = attn.input "l1"
  // CHECK: %[[O2:.*]] = attn.input "o2"
  // CHECK: %[[L2:.*]] = attn.input "l2"
  %o1 = attn.input "o1" : !attn.tensor<[b, q, e]>
  %l1 = attn.input "l1" : !attn.tensor<[b, q], f32>
  %o2 = attn.input "o2" : !attn.tensor<[b, q, e]>
  %l2 = attn.input "l2" : !attn.tensor<[b, q], f32>
  // Weights are relative to the largest lse; a branch without weight takes no part.
  // CHECK: %[[OUT:.*]] = attn.compute (%[[B:.*]]: i32, %[[Q:.*]]: i32, %[[E:.*]]: i32) {
  // CHECK-NEXT: %[[A1:.*]] = attn.read %[[L1]][%[[B]], %[[Q]]]
  // CHECK-NEXT: %[[A2:.*]] = attn.read %[[L2]][%[[B]], %[[Q]]]
  // CHECK-NEXT: %[[MAX:.*]] = arith.maximumf %[[A1]], %[[A2]]
  // CHECK: %[[SHIFT:.*]] = arith.select %{{.*}}, %{{.*}}, %[[MAX]]
  // CHECK-NEXT: %[[D1:.*]] = arith.subf %[[A1]], %[[SHIFT]]
  // CHECK-NEXT: %[[W1:.*]] = math.exp %[[D1]]
  // CHECK: %[[W2:.*]] = math.exp
  // CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[W1]], %[[W2]]
  // CHECK: %[[ABSENT:.*]] = arith.cmpf oeq, %[[W1]], %[[ZERO:.*]] : f32
  // CHECK-NEXT: %[[X1:.*]] = attn.read %[[O1]][%[[B]], %[[Q]], %[[E]]]
  // CHECK-NEXT: %[[P1:.*]] = arith.mulf %[[W1]], %[[X1]]
  // CHECK-NEXT: arith.select %[[ABSENT]], %[[ZERO]], %[[P1]]
  // CHECK: attn.read %[[O2]]
  // CHECK: arith.cmpf oeq, %[[SUM]], %[[ZERO]]
  // CHECK: arith.divf %{{.*}}, %[[SUM]]
  // CHECK: } : <[b, q, e]>
  // CHECK: %[[LSE:.*]] = attn.compute (%{{.*}}: i32, %{{.*}}: i32) {
  // CHECK: %[[LOG:.*]] = math.log
  // CHECK-NEXT: arith.addf %{{.*}}, %[[LOG]]
  // CHECK: } : <[b, q], f32>
  // CHECK: attn.return ["out", "lse"](%[[OUT]], %[[LSE]]
  %out, %lse = attn.merge(%o1, %o2)(%l1, %l2) : (!attn.tensor<[b, q, e]>, !attn.tensor<[b, q, e]>),
      (!attn.tensor<[b, q], f32>, !attn.tensor<[b, q], f32>) -> !attn.tensor<[b, q, e]>, !attn.tensor<[b, q], f32>
  attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, q, e]>, !attn.tensor<[b, q], f32>)
}

// What nobody reads is not computed.
// CHECK-LABEL: @only_out
attn.variant @only_out {
  %o = attn.input "o" : !attn.tensor<[b, q, e], f32>
  %l = attn.input "l" : !attn.tensor<[b, q], f32>
  // CHECK-COUNT-1: attn.compute
  // CHECK-NOT: attn.compute
  // CHECK-NOT: math.log
  %out, %lse = attn.merge(%o, %o)(%l, %l) : (!attn.tensor<[b, q, e], f32>, !attn.tensor<[b, q, e], f32>),
      (!attn.tensor<[b, q], f32>, !attn.tensor<[b, q], f32>) -> !attn.tensor<[b, q, e], f32>, !attn.tensor<[b, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, q, e], f32>)
}

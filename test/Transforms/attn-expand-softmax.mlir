// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: attnc-opt %s --attn-expand-softmax | FileCheck %s
// A softmax becomes the shift of a row, its sum of exponentials, and what divides by it. This pass cannot fail.

// Rows run along the axis that is named, wherever it is.
// CHECK-LABEL: @rows
attn.variant @rows {
  // CHECK: %[[X:.*]] = attn.input "x"
  %x = attn.input "x" : !attn.tensor<[b, kv, q], f32>
  // CHECK: %[[SHIFT:.*]] = attn.compute (%[[B:.*]]: i32, %[[Q:.*]]: i32) {
  // CHECK-NEXT: %[[MAX:.*]] = attn.reduce max over "kv" (%[[I:.*]]: i32) {
  // CHECK-NEXT: attn.read %[[X]][%[[B]], %[[I]], %[[Q]]]
  // CHECK: %[[LOW:.*]] = arith.constant 0xFF800000 : f32
  // CHECK: %[[EMPTY:.*]] = arith.cmpf oeq, %[[MAX]], %[[LOW]]
  // CHECK: arith.select %[[EMPTY]], %{{.*}}, %[[MAX]]
  // CHECK: } : <[b, q], f32>
  // CHECK: %[[SUM:.*]] = attn.compute (%[[B2:.*]]: i32, %[[Q2:.*]]: i32) {
  // CHECK-NEXT: attn.reduce sum over "kv" (%[[I2:.*]]: i32) {
  // CHECK-NEXT: %[[E:.*]] = attn.read %[[X]][%[[B2]], %[[I2]], %[[Q2]]]
  // CHECK-NEXT: %[[S:.*]] = attn.read %[[SHIFT]][%[[B2]], %[[Q2]]]
  // CHECK-NEXT: %[[D:.*]] = arith.subf %[[E]], %[[S]]
  // CHECK-NEXT: math.exp %[[D]]
  // CHECK: } : <[b, q], f32>
  // CHECK: %[[W:.*]] = attn.compute (%[[B3:.*]]: i32, %[[I3:.*]]: i32, %[[Q3:.*]]: i32) {
  // CHECK-NEXT: %[[TOTAL:.*]] = attn.read %[[SUM]][%[[B3]], %[[Q3]]]
  // CHECK: %[[P:.*]] = math.exp
  // CHECK-NEXT: %[[RATIO:.*]] = arith.divf %[[P]], %[[TOTAL]]
  // CHECK-NEXT: %[[NONE:.*]] = arith.cmpf oeq, %[[TOTAL]], %[[ZERO:.*]] : f32
  // CHECK-NEXT: arith.select %[[NONE]], %[[ZERO]], %[[RATIO]]
  // CHECK: } : <[b, kv, q], f32>
  // CHECK-NOT: attn.softmax
  // CHECK: attn.return ["w"](%[[W]]
  %w = attn.softmax %x over "kv" : !attn.tensor<[b, kv, q], f32> -> !attn.tensor<[b, kv, q], f32>
  attn.return ["w"](%w : !attn.tensor<[b, kv, q], f32>)
}

// In the body of a recurrence the formulas are stages of a step.
// CHECK-LABEL: @of_a_state
attn.variant @of_a_state {
  %zero = attn.compute (%e: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[e], f32>
  // CHECK: attn.recur
  // CHECK: body(%{{.*}}: i32, %{{.*}}: i32, %[[STATE:.*]]: !attn.tensor<[e], f32>)
  %final = attn.recur over "t" for ["b"] from (%zero : !attn.tensor<[e], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[e], f32>) {
    // CHECK: attn.compute () {
    // CHECK: attn.read %[[STATE]]
    // CHECK: } : <[], f32>
    // CHECK: attn.compute () {
    // CHECK: } : <[], f32>
    // CHECK: %[[NEXT:.*]] = attn.compute (%{{.*}}: i32) {
    // CHECK: attn.yield %[[NEXT]]
    %next = attn.softmax %S over "e" : !attn.tensor<[e], f32> -> !attn.tensor<[e], f32>
    attn.yield %next : !attn.tensor<[e], f32>
  } : !attn.tensor<[b, e], f32>
  attn.return ["S"](%final : !attn.tensor<[b, e], f32>)
}

// Formulas are over index spaces, so that a tensor with an axis of a fixed size keeps its op.
// CHECK-LABEL: @stays
attn.variant @stays {
  %x = attn.input "x" : !attn.tensor<[kv, 4], f32>
  // CHECK: attn.softmax
  // CHECK-NOT: attn.compute
  %w = attn.softmax %x over "kv" : !attn.tensor<[kv, 4], f32> -> !attn.tensor<[kv, 4], f32>
  attn.return ["w"](%w : !attn.tensor<[kv, 4], f32>)
}

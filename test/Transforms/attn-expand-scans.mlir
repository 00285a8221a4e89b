// RUN: attnc-opt %s --attn-expand-scans | FileCheck %s
// Scans and triangular systems become recurrences; what a recurrence cannot be stays. It cannot fail.

// A state for each tensor, and the combiner in each step.
// CHECK-LABEL: attn.variant @products
// CHECK: %[[ONE:.*]] = arith.constant 1.0
// CHECK: %[[INIT:.*]] = attn.compute () {
// CHECK-NEXT: attn.yield %[[ONE]]
// CHECK: %[[R:.*]]:2 = attn.recur over "kv" for ["b"] from(%[[INIT]] : !attn.tensor<[], f32>)
// CHECK: body(%[[B:.*]]: i32, %[[KV:.*]]: i32, %[[S:.*]]: !attn.tensor<[], f32>) {
// CHECK: %[[NEXT:.*]] = attn.compute () {
// CHECK: %[[A:.*]] = attn.read %[[S]][]
// CHECK: %[[X:.*]] = attn.read %{{.*}}[%[[B]], %[[KV]]]
// CHECK: arith.mulf %[[A]], %[[X]]
// CHECK: attn.yield %[[NEXT]], %[[NEXT]]
// CHECK: attn.return ["p"](%[[R]]#0
attn.variant @products {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    %ac = arith.mulf %a, %c : f32
    attn.yield %ac : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return ["p"](%p : !attn.tensor<[b, kv], f32>)
}

// Backwards, without the entry itself, and along an axis that is not the last: put out before the step, and arranged.
// CHECK-LABEL: attn.variant @arranged
// CHECK: %[[R:.*]]:2 = attn.recur over "kv" for ["b", "d"]
// CHECK: body(%{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32, %[[S:.*]]: !attn.tensor<[], f32>) {
// CHECK: attn.yield %[[S]], %{{.*}} : !attn.tensor<[], f32>
// CHECK: attn.compute (%[[B:.*]]: i32, %[[KV:.*]]: i32, %[[D:.*]]: i32) {
// CHECK: %[[AT:.*]] = arith.subi %{{.*}}, %[[KV]]
// CHECK: attn.read %[[R]]#0[%[[B]], %[[D]], %[[AT]]] : <[b, d, kv], f32>
attn.variant @arranged {
  %x = attn.input "x" : !attn.tensor<[b, kv, d], f32>
  %zero = arith.constant 0.0 : f32
  %p = attn.scan over "kv" reverse exclusive (%x : !attn.tensor<[b, kv, d], f32>) from (%zero : f32) combine(%a: f32, %c: f32) {
    %ac = arith.addf %a, %c : f32
    attn.yield %ac : f32
  } : !attn.tensor<[b, kv, d], f32>
  attn.return ["p"](%p : !attn.tensor<[b, kv, d], f32>)
}

// The unknowns so far are the state; a row reads those before it.
// CHECK-LABEL: attn.variant @solve
// CHECK: attn.recur over "i" for ["b", "e"] from(%{{.*}} : !attn.tensor<[j], f32>)
// CHECK: body(%[[B:.*]]: i32, %[[E:.*]]: i32, %[[I:.*]]: i32, %[[X:.*]]: !attn.tensor<[j], f32>) {
// CHECK: %[[RHS:.*]] = attn.read %{{.*}}[%[[B]], %[[I]], %[[E]]]
// CHECK: %[[SUM:.*]] = attn.reduce sum over "j" to %[[I]] (%[[J:.*]]: i32) {
// CHECK: attn.read %{{.*}}[%[[B]], %[[I]], %[[J]]]
// CHECK: attn.read %[[X]][%[[J]]]
// CHECK: arith.addf %[[RHS]], %[[SUM]]
// CHECK: arith.cmpi eq, %{{.*}}, %[[I]]
attn.variant @solve {
  %n = arith.constant 16 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
  %R = attn.input "R" : !attn.tensor<[b, i, e], f32>
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[b, i, e], f32> -> !attn.tensor<[b, i, e], f32>
  attn.return ["X"](%X : !attn.tensor<[b, i, e], f32>)
}

// A state is real, so a scan of ints stays.
// CHECK-LABEL: attn.variant @ints
// CHECK: attn.scan
attn.variant @ints {
  %x = attn.input "x" : !attn.tensor<[b, kv], i32>
  %one = arith.constant 1 : i32
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], i32>) from (%one : i32) combine(%a: i32, %c: i32) {
    %ac = arith.muli %a, %c : i32
    attn.yield %ac : i32
  } : !attn.tensor<[b, kv], i32>
  attn.return ["p"](%p : !attn.tensor<[b, kv], i32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RUN: attnc-opt %s --attn-expand-scans | FileCheck %s
// Scans and triangular systems become recurrences, or reductions where no recurrence can be. It cannot fail.

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

// Many rows go by blocks. The blocks on the diagonal are inverted once for both right sides; what is above the diagonal is not read.
// CHECK-LABEL: attn.variant @blocks
// CHECK-DAG: attn.space "i_block" extent %c4
// CHECK-DAG: attn.space "i_of_block" extent %c16
// CHECK: %[[D:.*]]:2 = attn.recur over "i_of_block" for ["b", "i_block"]
// CHECK: attn.reduce sum over "i_before" to
// CHECK: <[b, i_block, i_of_block, i_unit], f32>
// CHECK: %[[X:.*]] = attn.recur over "i_block" for ["b"] from(%{{.*}} : !attn.tensor<[j, e], f32>)
// CHECK: attn.reduce sum over "j" to
// CHECK: attn.read %[[D]]#0[
// CHECK: %[[FIRST:.*]] = attn.compute (%[[B:.*]]: i32, %[[I:.*]]: i32, %[[E:.*]]: i32) {
// CHECK-NEXT: attn.read %[[X]][%[[B]], %[[I]], %[[E]]]
// CHECK-NOT: over "i_of_block"
// CHECK: attn.recur over "i_block" for ["b"] from(%{{.*}} : !attn.tensor<[j], f32>)
// CHECK: attn.read %[[D]]#0[
// CHECK: attn.return
attn.variant @blocks {
  %n = arith.constant 64 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
  %R = attn.input "R" : !attn.tensor<[b, i, e], f32>
  %r = attn.input "r" : !attn.tensor<[b, i], f32>
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[b, i, e], f32> -> !attn.tensor<[b, i, e], f32>
  %x = attn.solve %N, %r over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[b, i], f32> -> !attn.tensor<[b, i], f32>
  attn.return ["X", "x"](%X, %x : !attn.tensor<[b, i, e], f32>, !attn.tensor<[b, i], f32>)
}

// A state is real, so a scan of ints is a reduction over the entries so far, or, backwards, from there on.
// CHECK-LABEL: attn.variant @ints
// CHECK: attn.compute (%[[B:.*]]: i32, %[[KV:.*]]: i32) {
// CHECK: %[[END:.*]] = arith.addi %[[KV]]
// CHECK: attn.reduce prod over "kv" to %[[END]] (%[[I:.*]]: i32) {
// CHECK: attn.read %{{.*}}[%[[B]], %[[I]]]
// CHECK: attn.compute (%{{.*}}: i32, %[[KV:.*]]: i32) {
// CHECK: attn.reduce max over "kv" (%[[I:.*]]: i32) {
// CHECK: %[[BEHIND:.*]] = arith.cmpi sgt, %[[I]], %[[KV]]
// CHECK: attn.yield %{{.*}}, %[[BEHIND]]
attn.variant @ints {
  %x = attn.input "x" : !attn.tensor<[b, kv], i32>
  %one = arith.constant 1 : i32
  %least = arith.constant -2147483648 : i32
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], i32>) from (%one : i32) combine(%a: i32, %c: i32) {
    %ac = arith.muli %a, %c : i32
    attn.yield %ac : i32
  } : !attn.tensor<[b, kv], i32>
  %m = attn.scan over "kv" reverse exclusive (%x : !attn.tensor<[b, kv], i32>) from (%least : i32) combine(%a: i32, %c: i32) {
    %ac = arith.maxsi %a, %c : i32
    attn.yield %ac : i32
  } : !attn.tensor<[b, kv], i32>
  attn.return ["p", "m"](%p, %m : !attn.tensor<[b, kv], i32>, !attn.tensor<[b, kv], i32>)
}

// So is one in a step. A combiner that is no reduction stays there, and so does a system.
// CHECK-LABEL: attn.variant @steps
// CHECK: attn.recur
// CHECK: attn.reduce sum over "d" to
// CHECK: attn.scan over "d"
// CHECK: attn.solve
// CHECK-NOT: attn.recur
attn.variant @steps {
  attn.space "j"
  %N = attn.input "N" : !attn.tensor<[d, j], f32>
  %zero = arith.constant 0.0 : f32
  %init = attn.compute (%d: i32) {
    attn.yield %zero : f32
  } : !attn.tensor<[d], f32>
  %last = attn.recur over "t" for ["b"] from (%init : !attn.tensor<[d], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    %s = attn.scan over "d" (%S : !attn.tensor<[d], f32>) from (%zero : f32) combine(%a: f32, %c: f32) {
      %ac = arith.addf %c, %a : f32
      attn.yield %ac : f32
    } : !attn.tensor<[d], f32>
    %u = attn.scan over "d" (%s : !attn.tensor<[d], f32>) from (%zero : f32) combine(%a: f32, %c: f32) {
      %ac = arith.mulf %a, %c : f32
      %sum = arith.addf %ac, %c : f32
      attn.yield %sum : f32
    } : !attn.tensor<[d], f32>
    %X = attn.solve %N, %u over "d" by "j" : !attn.tensor<[d, j], f32>, !attn.tensor<[d], f32> -> !attn.tensor<[d], f32>
    attn.yield %X : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, d], f32>
  attn.return ["last"](%last : !attn.tensor<[b, d], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

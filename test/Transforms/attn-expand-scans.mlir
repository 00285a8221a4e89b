// RUN: attnc-opt %s --attn-expand-scans | FileCheck %s
// Scans and triangular systems become recurrences, or reductions where no recurrence can be. It cannot fail.

// A state for each tensor, and the combiner in each step.
// CHECK-LABEL: attn.variant @largest
// CHECK: %[[LEAST:.*]] = arith.constant 0xFF800000
// CHECK: %[[INIT:.*]] = attn.compute () {
// CHECK-NEXT: attn.yield %[[LEAST]]
// CHECK: %[[R:.*]]:2 = attn.recur over "kv" for ["b"] from(%[[INIT]] : !attn.tensor<[], f32>)
// CHECK: body(%[[B:.*]]: i32, %[[KV:.*]]: i32, %[[S:.*]]: !attn.tensor<[], f32>) {
// CHECK: %[[NEXT:.*]] = attn.compute () {
// CHECK: %[[A:.*]] = attn.read %[[S]][]
// CHECK: %[[X:.*]] = attn.read %{{.*}}[%[[B]], %[[KV]]]
// CHECK: arith.maximumf %[[A]], %[[X]]
// CHECK: attn.yield %[[NEXT]], %[[NEXT]]
// CHECK: attn.return ["m"](%[[R]]#0
attn.variant @largest {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %least = arith.constant 0xFF800000 : f32
  %m = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%least : f32) combine(%a: f32, %c: f32) {
    %ac = arith.maximumf %a, %c : f32
    attn.yield %ac : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return ["m"](%m : !attn.tensor<[b, kv], f32>)
}

// Running products and sums have a kernel, where there is more than one row of them.
// CHECK-LABEL: attn.variant @kernels
// CHECK: attn.scan over "kv"(%{{.*}} : !attn.tensor<[b, kv], f32>)
// CHECK: attn.scan over "kv"(%{{.*}} : !attn.tensor<[b, kv], i32>)
// CHECK: attn.recur over "kv" for []
attn.variant @kernels {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %y = attn.input "y" : !attn.tensor<[b, kv], i32>
  %z = attn.input "z" : !attn.tensor<[kv], f32>
  %one = arith.constant 1.0 : f32
  %none = arith.constant 0 : i32
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    %ac = arith.mulf %a, %c : f32
    attn.yield %ac : f32
  } : !attn.tensor<[b, kv], f32>
  %s = attn.scan over "kv" (%y : !attn.tensor<[b, kv], i32>) from (%none : i32) combine(%a: i32, %c: i32) {
    %ac = arith.addi %c, %a : i32
    attn.yield %ac : i32
  } : !attn.tensor<[b, kv], i32>
  %q = attn.scan over "kv" (%z : !attn.tensor<[kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    %ac = arith.mulf %a, %c : f32
    attn.yield %ac : f32
  } : !attn.tensor<[kv], f32>
  attn.return ["p", "s", "q"](%p, %s, %q : !attn.tensor<[b, kv], f32>, !attn.tensor<[b, kv], i32>, !attn.tensor<[kv], f32>)
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
  %n = arith.constant 8 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
  %R = attn.input "R" : !attn.tensor<[b, i, e], f32>
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[b, i, e], f32> -> !attn.tensor<[b, i, e], f32>
  attn.return ["X"](%X : !attn.tensor<[b, i, e], f32>)
}

// A matrix of 16, 32 or 64 rows is inverted once for both right sides, which are products with it.
// CHECK-LABEL: attn.variant @inverse
// CHECK: %[[D:.*]] = attn.invert %{{.*}} over "i" by "j"
// CHECK: attn.compute (%[[B:.*]]: i32, %[[I:.*]]: i32, %[[E:.*]]: i32) {
// CHECK: attn.reduce sum over "j" (%[[J:.*]]: i32) {
// CHECK: attn.read %[[D]][%[[B]], %[[I]], %[[J]]]
// CHECK: attn.read %{{.*}}[%[[B]], %[[J]], %[[E]]]
// CHECK-NOT: attn.invert
// CHECK: attn.compute (%{{.*}}: i32, %{{.*}}: i32) {
// CHECK: attn.read %[[D]]
attn.variant @inverse {
  %n = arith.constant 32 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
  %R = attn.input "R" : !attn.tensor<[b, i, e], f32>
  %r = attn.input "r" : !attn.tensor<[b, i], f32>
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[b, i, e], f32> -> !attn.tensor<[b, i, e], f32>
  %x = attn.solve %N, %r over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[b, i], f32> -> !attn.tensor<[b, i], f32>
  attn.return ["X", "x"](%X, %x : !attn.tensor<[b, i, e], f32>, !attn.tensor<[b, i], f32>)
}

// More rows go by blocks, of which those on the diagonal are inverted; what is above the diagonal is not read.
// CHECK-LABEL: attn.variant @blocks
// CHECK-DAG: attn.space "i_block" extent %c2
// CHECK-DAG: attn.space "i_of_block" extent %c64
// CHECK: %[[D:.*]] = attn.invert %{{.*}} over "i_of_block" by "i_before" : <[b, i_block, i_of_block, i_before], f32>
// CHECK: %[[X:.*]] = attn.recur over "i_block" for ["b"] from(%{{.*}} : !attn.tensor<[j, e], f32>)
// CHECK: attn.reduce sum over "j" to
// CHECK: attn.read %[[D]][
// CHECK: %[[FIRST:.*]] = attn.compute (%[[B:.*]]: i32, %[[I:.*]]: i32, %[[E:.*]]: i32) {
// CHECK-NEXT: attn.read %[[X]][%[[B]], %[[I]], %[[E]]]
// CHECK-NOT: attn.invert
// CHECK: attn.recur over "i_block" for ["b"] from(%{{.*}} : !attn.tensor<[j], f32>)
// CHECK: attn.read %[[D]][
// CHECK: attn.return
attn.variant @blocks {
  %n = arith.constant 128 : i32
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
// CHECK: attn.reduce min over "kv" to %[[END]] (%[[I:.*]]: i32) {
// CHECK: attn.read %{{.*}}[%[[B]], %[[I]]]
// CHECK: attn.compute (%{{.*}}: i32, %[[KV:.*]]: i32) {
// CHECK: attn.reduce max over "kv" (%[[I:.*]]: i32) {
// CHECK: %[[BEHIND:.*]] = arith.cmpi sgt, %[[I]], %[[KV]]
// CHECK: attn.yield %{{.*}}, %[[BEHIND]]
attn.variant @ints {
  %x = attn.input "x" : !attn.tensor<[b, kv], i32>
  %most = arith.constant 2147483647 : i32
  %least = arith.constant -2147483648 : i32
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], i32>) from (%most : i32) combine(%a: i32, %c: i32) {
    %ac = arith.minsi %a, %c : i32
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

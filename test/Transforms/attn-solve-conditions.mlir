// RUN: attnc-opt %s --attn-solve-conditions | FileCheck %s
// This pass cannot fail.

// One bound; what was compared is gone.
// CHECK-LABEL: @causal
attn.variant @causal {
  %X = attn.input "X" : !attn.tensor<[b, kv], f32>
  %Y = attn.input "Y" : !attn.tensor<[b, q], f32>
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[Q:.*]]: i32)
  // CHECK: %[[ONE:.*]] = arith.constant 1
  // CHECK: %[[END:.*]] = arith.addi %[[Q]], %[[ONE]]
  // CHECK: attn.reduce sum over "kv" to %[[END]] (%[[KV:.*]]: i32) {
  // CHECK-NEXT: %[[V:.*]] = attn.read
  // CHECK-NEXT: attn.yield %[[V]] : f32
  %x = attn.compute (%b: i32, %q: i32) {
    %sum = attn.reduce sum over "kv" (%kv: i32) {
      %v = attn.read %X[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
      %keep = arith.cmpi sle, %kv, %q : i32
      attn.yield %v, %keep : f32, i1
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, q], f32>
  attn.return ["x"](%x : !attn.tensor<[b, q], f32>)
}

// Taps of a convolution that lie inside of the sequence; the index has a minus, and what it is compared with is computed inside.
// CHECK-LABEL: @taps
attn.variant @taps {
  %X = attn.input "X" : !attn.tensor<[b, t], f32>
  %four = arith.constant 4 : i32
  attn.space "c" extent %four
  // CHECK: attn.compute (%{{.*}}: i32, %[[T:.*]]: i32)
  // CHECK: %[[END:.*]] = arith.addi %[[T]], %{{.*}}
  // CHECK: attn.reduce sum over "c" to %[[END]] (%
  %x = attn.compute (%b: i32, %t: i32) {
    %sum = attn.reduce sum over "c" (%c: i32) {
      %at = arith.subi %t, %c : i32
      %v = attn.read %X[%b, %at] : !attn.tensor<[b, t], f32> -> f32
      %zero = arith.constant 0 : i32
      %keep = arith.cmpi sge, %at, %zero : i32
      attn.yield %v, %keep : f32, i1
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, t], f32>
  attn.return ["x"](%x : !attn.tensor<[b, t], f32>)
}

// Of a conjunction each comparison is solved by itself. Blocks of 16: a bound is divided; a comparison of reals stays.
// CHECK-LABEL: @both
attn.variant @both {
  %X = attn.input "X" : !attn.tensor<[b, kv], f32>
  %Y = attn.input "Y" : !attn.tensor<[b, q], f32>
  %n = arith.constant 16 : i32
  attn.space "p" of "kv" extent %n
  // CHECK: attn.compute (%{{.*}}: i32, %[[Q:.*]]: i32)
  // CHECK: %[[BLOCK:.*]] = arith.floordivsi %[[Q]], %{{.*}}
  // CHECK: %[[END:.*]] = arith.addi %[[BLOCK]], %{{.*}}
  // CHECK: attn.reduce max over "p" from %[[FIRST:.*]] to %[[END]] (%[[P:.*]]: i32) {
  // CHECK: %[[REAL:.*]] = arith.cmpf
  // CHECK-NEXT: attn.yield %{{.*}}, %[[REAL]] : f32, i1
  %x = attn.compute (%b: i32, %q: i32) {
    %most = attn.reduce max over "p" (%p: i32) {
      %first = arith.muli %p, %n : i32
      %v = attn.read %X[%b, %first] : !attn.tensor<[b, kv], f32> -> f32
      %zero = arith.constant 0.0 : f32
      %real = arith.cmpf ogt, %v, %zero : f32
      %before = arith.cmpi sle, %first, %q : i32
      %one = arith.constant 1 : i32
      %behind = arith.cmpi sgt, %p, %one : i32
      %some = arith.andi %before, %real : i1
      %all = arith.andi %some, %behind : i1
      attn.yield %v, %all : f32, i1
    } : f32
    attn.yield %most : f32
  } : !attn.tensor<[b, q], f32>
  attn.return ["x"](%x : !attn.tensor<[b, q], f32>)
}

// A parameter can be any int: it is cut below the largest before 1 is added, and what may wrap around is not solved.
// CHECK-LABEL: @parameter
attn.variant @parameter {
  %X = attn.input "X" : !attn.tensor<[b, kv], f32>
  %Y = attn.input "Y" : !attn.tensor<[b, q], f32>
  // CHECK: %[[W:.*]] = attn.param "w"
  %w = attn.param "w" = 4 : i32 : i32
  // CHECK: %[[MOST:.*]] = arith.constant 2147483646
  // CHECK: %[[CUT:.*]] = arith.minsi %[[W]], %[[MOST]]
  // CHECK: %[[END:.*]] = arith.addi %[[CUT]], %{{.*}}
  // CHECK: attn.reduce sum over "kv" to %[[END]] (%[[KV:.*]]: i32) {
  // CHECK: arith.addi %{{.*}}, %[[W]]
  // CHECK: arith.cmpi slt, %[[KV]]
  // CHECK: attn.yield %{{.*}}, %{{.*}} : f32, i1
  %x = attn.compute (%b: i32, %q: i32) {
    %sum = attn.reduce sum over "kv" (%kv: i32) {
      %v = attn.read %X[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
      %few = arith.cmpi sle, %kv, %w : i32
      %end = arith.addi %kv, %w : i32
      %near = arith.cmpi slt, %kv, %end : i32
      %all = arith.andi %few, %near : i1
      attn.yield %v, %all : f32, i1
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, q], f32>
  attn.return ["x"](%x : !attn.tensor<[b, q], f32>)
}

// These stay: what depends on a tensor at the index, what does not depend on the index, an unequal, an alternative.
// CHECK-LABEL: @stays
attn.variant @stays {
  %X = attn.input "X" : !attn.tensor<[b, kv], i32>
  %Y = attn.input "Y" : !attn.tensor<[b, q], f32>
  // CHECK-NOT: {{from|to}} %
  %x = attn.compute (%b: i32, %q: i32) {
    %count = attn.reduce sum over "kv" (%kv: i32) {
      %v = attn.read %X[%b, %kv] : !attn.tensor<[b, kv], i32> -> i32
      %one = arith.constant 1 : i32
      %same = arith.cmpi eq, %v, %q : i32
      %late = arith.cmpi sgt, %q, %one : i32
      %other = arith.cmpi ne, %kv, %q : i32
      %low = arith.cmpi slt, %kv, %q : i32
      %either = arith.ori %low, %same : i1
      %some = arith.andi %same, %late : i1
      %more = arith.andi %some, %other : i1
      %all = arith.andi %more, %either : i1
      attn.yield %one, %all : i32, i1
    } : i32
    attn.yield %count : i32
  } : !attn.tensor<[b, q], i32>
  attn.return ["x"](%x : !attn.tensor<[b, q], i32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

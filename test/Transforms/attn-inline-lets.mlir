// RUN: attnc-opt %s --attn-inline-lets | FileCheck %s
// This pass cannot fail.

// A bias for each query and key is computed in the score. It is read through another one of its kind.
// CHECK-LABEL: @bias
attn.variant @bias {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // CHECK: %[[SLOPE:.*]] = attn.input "slope"
  %slope = attn.input "slope" : !attn.tensor<[h], f32>
  // CHECK-NOT: attn.compute
  %distance = attn.compute (%q: i32, %kv: i32) {
    %i = arith.subi %kv, %q : i32
    %x = arith.sitofp %i : i32 to f32
    attn.yield %x : f32
  } : !attn.tensor<[q, kv], f32>
  %bias = attn.compute (%h: i32, %q: i32, %kv: i32) {
    %x = attn.read %distance[%q, %kv] : !attn.tensor<[q, kv], f32> -> f32
    %a = attn.read %slope[%h] : !attn.tensor<[h], f32> -> f32
    %y = arith.mulf %x, %a : f32
    attn.yield %y : f32
  } : !attn.tensor<[h, q, kv], f32>
  // CHECK: attn.attend
  // CHECK-NEXT: score(%[[S:.*]]: f32, %{{.*}}: i32, %[[H:.*]]: i32, %[[ROW:.*]]: i32, %[[KEY:.*]]: i32)
  // CHECK: %[[I:.*]] = arith.subi %[[KEY]], %[[ROW]]
  // CHECK: %[[X:.*]] = arith.sitofp %[[I]]
  // CHECK: %[[A:.*]] = attn.read %[[SLOPE]][%[[H]]]
  // CHECK: %[[Y:.*]] = arith.mulf %[[X]], %[[A]]
  // CHECK: arith.addf %[[S]], %[[Y]]
  %out, %lse = attn.attend %Q, %K, %V
    score(%s: f32, %b: i32, %h: i32, %row: i32, %kv: i32) {
      %x = attn.read %bias[%h, %row, %kv] : !attn.tensor<[h, q, kv], f32> -> f32
      %y = arith.addf %s, %x : f32
      attn.yield %y : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// A product that is read once for each of its elements takes the place of the read.
// CHECK-LABEL: @once
attn.variant @once {
  %Q = attn.input "Q" : !attn.tensor<[b, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, kv, d]>
  // CHECK-COUNT-1: attn.compute
  // CHECK: attn.reduce max over "kv"
  // CHECK: attn.reduce sum over "d"
  %x = attn.compute (%b: i32, %q: i32, %kv: i32) {
    %sum = attn.reduce sum over "d" (%d: i32) {
      %y = attn.read %Q[%b, %q, %d] : !attn.tensor<[b, q, d]> -> f32
      %k = attn.read %K[%b, %kv, %d] : !attn.tensor<[b, kv, d]> -> f32
      %yk = arith.mulf %y, %k : f32
      attn.yield %yk : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, q, kv], f32>
  %m = attn.compute (%b: i32, %q: i32) {
    %most = attn.reduce max over "kv" (%kv: i32) {
      %y = attn.read %x[%b, %q, %kv] : !attn.tensor<[b, q, kv], f32> -> f32
      attn.yield %y : f32
    } : f32
    attn.yield %most : f32
  } : !attn.tensor<[b, q], f32>
  attn.return ["m"](%m : !attn.tensor<[b, q], f32>)
}

// These stay: a product that would be computed for each d again; one that is an output; one that is read at another row; one
// that rounds; one over a single row axis.
// CHECK-LABEL: @stays
attn.variant @stays {
  %Q = attn.input "Q" : !attn.tensor<[b, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, kv, d]>
  // CHECK-COUNT-6: attn.compute
  %product = attn.compute (%b: i32, %q: i32, %kv: i32) {
    %sum = attn.reduce sum over "d" (%d: i32) {
      %y = attn.read %Q[%b, %q, %d] : !attn.tensor<[b, q, d]> -> f32
      %k = attn.read %K[%b, %kv, %d] : !attn.tensor<[b, kv, d]> -> f32
      %yk = arith.mulf %y, %k : f32
      attn.yield %yk : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, q, kv], f32>
  %output = attn.compute (%q: i32, %kv: i32) {
    %i = arith.subi %kv, %q : i32
    attn.yield %i : i32
  } : !attn.tensor<[q, kv], i32>
  %shifted = attn.compute (%q: i32, %kv: i32) {
    %i = arith.addi %kv, %q : i32
    attn.yield %i : i32
  } : !attn.tensor<[q, kv], i32>
  %rounded = attn.compute (%q: i32, %kv: i32) {
    %i = arith.muli %kv, %q : i32
    %x = arith.sitofp %i : i32 to f32
    attn.yield %x : f32
  } : !attn.tensor<[q, kv]>
  %row = attn.compute (%b: i32, %q: i32) {
    %zero = arith.constant 0 : i32
    %y = attn.read %Q[%b, %q, %zero] : !attn.tensor<[b, q, d]> -> f32
    attn.yield %y : f32
  } : !attn.tensor<[b, q], f32>
  %m = attn.compute (%b: i32, %q: i32, %d: i32) {
    %most = attn.reduce max over "kv" (%kv: i32) {
      %y = attn.read %product[%b, %q, %kv] : !attn.tensor<[b, q, kv], f32> -> f32
      %one = arith.constant 1 : i32
      %next = arith.addi %q, %one : i32
      %i = attn.read %shifted[%next, %kv] : !attn.tensor<[q, kv], i32> -> i32
      %j = attn.read %output[%q, %kv] : !attn.tensor<[q, kv], i32> -> i32
      %ij = arith.addi %i, %j : i32
      %x = arith.sitofp %ij : i32 to f32
      %r = attn.read %rounded[%q, %kv] : !attn.tensor<[q, kv]> -> f32
      %a = attn.read %row[%b, %q] : !attn.tensor<[b, q], f32> -> f32
      %xr = arith.addf %x, %r : f32
      %xa = arith.addf %xr, %a : f32
      %z = arith.addf %xa, %y : f32
      attn.yield %z : f32
    } : f32
    attn.yield %most : f32
  } : !attn.tensor<[b, q, d], f32>
  attn.return ["m", "output"](%m, %output : !attn.tensor<[b, q, d], f32>, !attn.tensor<[q, kv], i32>)
}

// A decision by reals that are computed is taken in one place: the comparison stays a tensor; one of indices, or of what is read, does not.
// CHECK-LABEL: attn.variant @decisions
attn.variant @decisions {
  %Q = attn.input "Q" : !attn.tensor<[q], f32>
  %K = attn.input "K" : !attn.tensor<[kv], f32>
  // CHECK: attn.compute
  // CHECK: arith.cmpf
  %above = attn.compute (%q: i32, %kv: i32) {
    %x = attn.read %Q[%q] : !attn.tensor<[q], f32> -> f32
    %y = attn.read %K[%kv] : !attn.tensor<[kv], f32> -> f32
    %xy = arith.mulf %x, %y : f32
    %0 = arith.cmpf ogt, %xy, %y : f32
    attn.yield %0 : i1
  } : !attn.tensor<[q, kv], i1>
  %less = attn.compute (%q: i32, %kv: i32) {
    %x = attn.read %Q[%q] : !attn.tensor<[q], f32> -> f32
    %y = attn.read %K[%kv] : !attn.tensor<[kv], f32> -> f32
    %0 = arith.cmpf olt, %x, %y : f32
    attn.yield %0 : i1
  } : !attn.tensor<[q, kv], i1>
  %causal = attn.compute (%q: i32, %kv: i32) {
    %0 = arith.cmpi sle, %kv, %q : i32
    attn.yield %0 : i1
  } : !attn.tensor<[q, kv], i1>
  // CHECK: %[[COUNT:.*]] = attn.compute
  // CHECK: attn.read %{{.*}} : <[q, kv], i1> -> i1
  // CHECK-NEXT: arith.cmpi sle
  // CHECK: arith.cmpf olt
  %count = attn.compute (%q: i32) {
    %n = attn.reduce sum over "kv" (%kv: i32) {
      %a = attn.read %above[%q, %kv] : !attn.tensor<[q, kv], i1> -> i1
      %b = attn.read %causal[%q, %kv] : !attn.tensor<[q, kv], i1> -> i1
      %l = attn.read %less[%q, %kv] : !attn.tensor<[q, kv], i1> -> i1
      %ab = arith.andi %a, %b : i1
      %c = arith.andi %ab, %l : i1
      %i = arith.extui %c : i1 to i32
      attn.yield %i : i32
    } : i32
    attn.yield %n : i32
  } : !attn.tensor<[q], i32>
  attn.return ["count"](%count : !attn.tensor<[q], i32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s '--attn-chunk-recurrences=chunk=16 by-halves=1' | FileCheck %s
// A factor that varies along what reads sum over: scores are products of matrices for halves of blocks of 2, 4, 8 and 16 steps. That it
// computes the same is test/E2E/test_chunked_recurrences.py.

// CHECK-LABEL: attn.variant @decayed
// CHECK-NOT: t_part
// CHECK: math.exp
// CHECK: attn.yield
// CHECK: attn.compute
// CHECK: attn.reduce prod over "t_row" from
// CHECK-NEXT: attn.read %[[F:[0-9]+]][
// CHECK: attn.recur over "t_chunk"

// Single steps: the row's own factor, and none.
// CHECK: attn.reduce prod over "t_row" to
// CHECK: attn.compute
// CHECK: %[[X1:.*]] = attn.compute (%{{.*}}: i32, %{{.*}}: i32, %[[I:.*]]: i32, %[[D:.*]]: i32) {
// CHECK-NEXT: attn.read %{{[0-9]+}}[%{{.*}}, %[[I]], %[[D]]]
// CHECK-NEXT: attn.read %[[F]][%{{.*}}, %[[I]], %[[D]]]
// CHECK-NOT: attn.reduce
// CHECK: arith.remsi
// CHECK: arith.select

// Halves of two steps: from the first step of its half up to the row, or behind it up to the last one.
// CHECK: %[[X2:.*]] = attn.compute (%{{.*}}: i32, %{{.*}}: i32, %[[I:.*]]: i32, %{{.*}}: i32) {
// CHECK: %[[PART:.*]] = arith.floordivsi %[[I]], %c2
// CHECK: %[[FIRST:.*]] = arith.muli %[[PART]], %c2
// CHECK: %[[NEXT:.*]] = arith.addi %[[I]], %c1
// CHECK: attn.reduce prod over "t_row" from %[[FIRST]] to %[[NEXT]] (%{{.*}}: i32) {
// CHECK-NEXT: attn.read %[[F]][
// CHECK: %[[END:.*]] = arith.addi %{{.*}}, %c2
// CHECK: %[[BEHIND:.*]] = arith.addi %[[I]], %c1
// CHECK: attn.reduce prod over "t_row" from %[[BEHIND]] to %[[END]] (%{{.*}}: i32) {
// CHECK: %[[NUMBER:.*]] = arith.remsi
// CHECK: %[[IS_SECOND:.*]] = arith.cmpi eq, %[[NUMBER]], %c1
// CHECK: arith.select %[[IS_SECOND]]
// CHECK: %[[X4:.*]] = attn.compute
// CHECK: arith.floordivsi %{{.*}}, %c4
// CHECK: %[[X8:.*]] = attn.compute
// CHECK: arith.floordivsi %{{.*}}, %c8

// The first product is for a step and itself, without factors.
// CHECK: attn.compute
// CHECK: attn.reduce sum over "d"
// CHECK-NOT: attn.read %[[X1]]
// CHECK: attn.reduce sum over "d"
// CHECK-NEXT: attn.read %[[X1]]
// CHECK-NEXT: attn.read %[[X1]]
// CHECK: attn.reduce sum over "d"
// CHECK-NEXT: attn.read %[[X2]]
// CHECK: attn.reduce sum over "d"
// CHECK-NEXT: attn.read %[[X4]]
// CHECK: attn.reduce sum over "d"
// CHECK-NEXT: attn.read %[[X8]]
// CHECK-NOT: attn.reduce
// CHECK: } : <[b, t_chunk, t_row, t_column], f32>
attn.variant @decayed {
  %Q = attn.input "Q" : !attn.tensor<[b, t, d], f32>
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, t, e], f32>
  %G = attn.input "G" : !attn.tensor<[b, t, d], f32>
  %zero = attn.compute (%d: i32, %e: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[d, e], f32>
  %out, %S = attn.recur over "t" for ["b"] from(%zero : !attn.tensor<[d, e], f32>) body(%b: i32, %t: i32, %s: !attn.tensor<[d, e], f32>) {
    %next = attn.compute (%d: i32, %e: i32) {
      %g = attn.read %G[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %f = math.exp %g : f32
      %old = attn.read %s[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %kept = arith.mulf %f, %old : f32
      %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e], f32> -> f32
      %kv = arith.mulf %k, %v : f32
      %n = arith.addf %kept, %kv : f32
      attn.yield %n : f32
    } : !attn.tensor<[d, e], f32>
    %o = attn.compute (%e: i32) {
      %r = attn.reduce sum over "d" (%d: i32) {
        %q = attn.read %Q[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
        %x = attn.read %next[%d, %e] : !attn.tensor<[d, e], f32> -> f32
        %qx = arith.mulf %q, %x : f32
        attn.yield %qx : f32
      } : f32
      attn.yield %r : f32
    } : !attn.tensor<[e], f32>
    attn.yield %o, %next : !attn.tensor<[e], f32>, !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, t, e], f32>, !attn.tensor<[b, d, e], f32>
  attn.return ["out", "S"](%out, %S : !attn.tensor<[b, t, e], f32>, !attn.tensor<[b, d, e], f32>)
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --attn-chunk-recurrences=chunk=32 | FileCheck %s
// The shape of what comes out: what stands in front of the recurrence over chunks, in it and behind it. That it computes the same is
// test/E2E/test_chunked_recurrences.py; what stays step by step, and why, attn-chunk-recurrences-errors.mlir.

// No decay and no read in an update: all products are outside, and the recurrence adds up.
// CHECK-LABEL: attn.variant @sums
// CHECK-DAG: attn.space "t_chunk" of "t" extent %c32
// CHECK-DAG: attn.space "t_row" extent %c32
// CHECK: %[[K:.*]] = attn.compute (%[[B:.*]]: i32, %[[C:.*]]: i32, %[[I:.*]]: i32, %[[D:.*]]: i32) {
// CHECK: %[[FIRST:.*]] = arith.muli %[[C]], %
// CHECK: %[[T:.*]] = arith.addi %[[FIRST]], %[[I]]
// CHECK: %[[IS_STEP:.*]] = arith.cmpi slt, %[[T]], %
// CHECK: %[[READ:.*]] = attn.read %{{.*}}[%[[B]], %[[T]], %[[D]]]
// CHECK: arith.select %[[IS_STEP]], %[[READ]], %cst
// CHECK: <[b, t_chunk, t_row, d], f32>
// CHECK: %[[ADDED:.*]] = attn.compute
// CHECK: attn.reduce sum over "t_row"
// CHECK: <[b, t_chunk, d, e], f32>
// CHECK: %[[R:.*]]:2 = attn.recur over "t_chunk" for ["b"] from(%{{.*}} : !attn.tensor<[d, e], f32>)
// CHECK-NEXT: body(%{{.*}}: i32, %{{.*}}: i32, %[[H:.*]]: !attn.tensor<[d, e], f32>) {
// CHECK: %[[NEXT:.*]] = attn.compute
// CHECK-NOT: attn.reduce
// CHECK: attn.yield %[[H]], %[[NEXT]]
// The scores know the new state: a step reads what it wrote.
// CHECK: attn.compute (%{{.*}}: i32, %{{.*}}: i32, %[[I:.*]]: i32, %[[J:.*]]: i32) {
// CHECK: attn.reduce sum over "d"
// CHECK: %[[END:.*]] = arith.addi %[[I]], %c1
// CHECK: %[[IS_BEFORE:.*]] = arith.cmpi slt, %[[J]], %[[END]]
// CHECK: arith.select %[[IS_BEFORE]]
// CHECK: <[b, t_chunk, t_row, t_column], f32>
// CHECK: %[[READS:.*]] = attn.compute
// CHECK: attn.read %[[R]]#0[
// CHECK: attn.reduce sum over "t_column"
// CHECK: attn.read %{{.*}} : <[b, t_chunk, t_row, t_column], f32>
// CHECK: <[b, t_chunk, t_row, e], f32>
// CHECK: %[[OUT:.*]] = attn.compute (%{{.*}}: i32, %[[T:.*]]: i32, %{{.*}}: i32) {
// CHECK: arith.floordivsi %[[T]]
// CHECK: arith.remsi %[[T]]
// CHECK: attn.read %[[READS]][
// CHECK: <[b, t, e], f32>
// CHECK: attn.return ["out", "S"](%[[OUT]], %[[R]]#1
attn.variant @sums {
  %Q = attn.input "Q" : !attn.tensor<[b, t, d], f32>
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, t, e], f32>
  %zero = attn.compute (%d: i32, %e: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[d, e], f32>
  %out, %final = attn.recur over "t" for ["b"] from (%zero : !attn.tensor<[d, e], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d, e], f32>) {
    %next = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e], f32> -> f32
      %kv = arith.mulf %k, %v : f32
      %sum = arith.addf %s, %kv : f32
      attn.yield %sum : f32
    } : !attn.tensor<[d, e], f32>
    %o = attn.compute (%e: i32) {
      %r = attn.reduce sum over "d" (%d: i32) {
        %s = attn.read %next[%d, %e] : !attn.tensor<[d, e], f32> -> f32
        %q = attn.read %Q[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
        %p = arith.mulf %s, %q : f32
        attn.yield %p : f32
      } : f32
      attn.yield %r : f32
    } : !attn.tensor<[e], f32>
    attn.yield %o, %next : !attn.tensor<[e], f32>, !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, t, e], f32>, !attn.tensor<[b, d, e], f32>
  attn.return ["out", "S"](%out, %final : !attn.tensor<[b, t, e], f32>, !attn.tensor<[b, d, e], f32>)
}

// A decay along the axis that is summed: scores between parts of 16 steps are products, those within one are not. The state is only put
// out at the end, so nothing of the chunks is kept.
// CHECK-LABEL: attn.variant @decay
// CHECK-DAG: attn.space "t_part" extent %c2
// CHECK-DAG: attn.space "t_part_row" extent %c16
// CHECK: attn.reduce prod over "t_part_row"
// CHECK: attn.compute
// CHECK: attn.reduce prod over "t_part" (
// CHECK: <[b, t_chunk, d], f32>
// CHECK: %[[FINAL:.*]] = attn.recur over "t_chunk"
// CHECK: attn.read %{{.*}} : <[b, t_chunk, d], f32>
// CHECK: attn.return ["S"](%[[FINAL]]
attn.variant @decay {
  %G = attn.input "G" : !attn.tensor<[b, t, d], f32>
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, t, e], f32>
  %S0 = attn.input "S0" : !attn.tensor<[b, d, e], f32>
  %final = attn.recur over "t" for ["b"] from (%S0 : !attn.tensor<[b, d, e], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d, e], f32>) {
    %next = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %g = attn.read %G[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e], f32> -> f32
      %decayed = arith.mulf %s, %g : f32
      %kv = arith.mulf %k, %v : f32
      %sum = arith.addf %decayed, %kv : f32
      attn.yield %sum : f32
    } : !attn.tensor<[d, e], f32>
    attn.yield %next : !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, d, e], f32>
  attn.return ["S"](%final : !attn.tensor<[b, d, e], f32>)
}

// What is added holds a read of the state: a triangular system for all chunks, and two products in each.
// CHECK-LABEL: attn.variant @corrected
// CHECK: %[[N:.*]] = attn.compute
// CHECK: %[[KNOWN:.*]] = attn.solve %{{.*}}, %{{.*}} over "t_row" by "t_column" : <[b, t_chunk, t_row, t_column], f32>, <[b, t_chunk, t_row, e], f32>
// CHECK: %[[WEIGHTS:.*]] = attn.solve %{{.*}}, %{{.*}} over "t_row" by "t_column" : <[b, t_chunk, t_row, t_column], f32>, <[b, t_chunk, t_row, d], f32>
// CHECK: attn.recur over "t_chunk"
// CHECK: %[[ROWS:.*]] = attn.compute
// CHECK: attn.reduce sum over "d"
// CHECK: attn.read %[[WEIGHTS]][
// CHECK: attn.read %[[KNOWN]][
// CHECK: <[t_row, e], f32>
// CHECK: attn.reduce sum over "t_row"
// CHECK: attn.read %[[ROWS]][
attn.variant @corrected {
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, t, e], f32>
  %S0 = attn.input "S0" : !attn.tensor<[b, d, e], f32>
  %final = attn.recur over "t" for ["b"] from (%S0 : !attn.tensor<[b, d, e], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d, e], f32>) {
    %error = attn.compute (%e: i32) {
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e], f32> -> f32
      %r = attn.reduce sum over "d" (%d: i32) {
        %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
        %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
        %p = arith.mulf %s, %k : f32
        attn.yield %p : f32
      } : f32
      %x = arith.subf %v, %r : f32
      attn.yield %x : f32
    } : !attn.tensor<[e], f32>
    %next = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %x = attn.read %error[%e] : !attn.tensor<[e], f32> -> f32
      %kx = arith.mulf %k, %x : f32
      %sum = arith.addf %s, %kx : f32
      attn.yield %sum : f32
    } : !attn.tensor<[d, e], f32>
    attn.yield %next : !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, d, e], f32>
  attn.return ["S"](%final : !attn.tensor<[b, d, e], f32>)
}

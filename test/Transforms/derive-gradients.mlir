// RUN: attnc-opt %s --attn-derive-gradients | FileCheck %s
// A gradient becomes one contribution for each read of the state, and their sum. Values: test/E2E/test_gradients.py.

// sum(exp(w)): the sum goes away, as the index of the read is its coordinate.
// CHECK-LABEL: attn.variant @descent
// CHECK: body(%[[B:.*]]: i32, %[[T:.*]]: i32, %[[W:.*]]: !attn.tensor<[d], f32>)
// CHECK: attn.compute ()
// CHECK: %[[ONE:.*]] = attn.compute () {
// CHECK-NEXT: arith.constant 1.000000e+00
// CHECK: %[[G:.*]] = attn.compute (%[[D:.*]]: i32) {
// CHECK-NOT: arith.cmpi
// CHECK: attn.read %[[ONE]][]
// CHECK: attn.read %[[W]][%[[D]]]
// CHECK: } : <[d], f32>
// CHECK-NOT: attn.grad
// CHECK: %[[NEXT:.*]] = attn.compute
// CHECK: attn.read %[[W]]
// CHECK: attn.read %[[G]]
// CHECK: attn.yield %[[NEXT]]
attn.variant @descent {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %final = attn.recur over "t" for ["b"] from (%zero : !attn.tensor<[d], f32>)
      body(%b: i32, %t: i32, %W: !attn.tensor<[d], f32>) {
    %loss = attn.compute () {
      %sum = attn.reduce sum over "d" (%d: i32) {
        %w = attn.read %W[%d] : !attn.tensor<[d], f32> -> f32
        %e = math.exp %w : f32
        attn.yield %e : f32
      } : f32
      attn.yield %sum : f32
    } : !attn.tensor<[], f32>
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    %next = attn.compute (%d: i32) {
      %w = attn.read %W[%d] : !attn.tensor<[d], f32> -> f32
      %x = attn.read %g[%d] : !attn.tensor<[d], f32> -> f32
      %y = arith.subf %w, %x : f32
      attn.yield %y : f32
    } : !attn.tensor<[d], f32>
    attn.yield %next : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, d], f32>
  attn.return ["W"](%final : !attn.tensor<[b, d], f32>)
}

// An index that is no coordinate is compared, clamped as the read is, with the element's: the reads are added up by a sum.
// CHECK-LABEL: attn.variant @shifted
// CHECK: %[[G:.*]] = attn.compute (%[[I:.*]]: i32) {
// CHECK: attn.reduce sum over "d" (%[[D:.*]]: i32)
// CHECK: %[[AT:.*]] = arith.addi %[[D]]
// CHECK: attn.size "d"
// CHECK: %[[LOW:.*]] = arith.maxsi %[[AT]]
// CHECK: %[[CLAMPED:.*]] = arith.minsi %[[LOW]]
// CHECK: %[[HIT:.*]] = arith.cmpi eq, %[[CLAMPED]], %[[I]]
// CHECK: arith.select %[[HIT]]
// CHECK-NOT: attn.grad
attn.variant @shifted {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %final = attn.recur over "t" for [] from (%zero : !attn.tensor<[d], f32>) body(%t: i32, %W: !attn.tensor<[d], f32>) {
    %loss = attn.compute () {
      %one = arith.constant 1 : i32
      %sum = attn.reduce sum over "d" (%d: i32) {
        %at = arith.addi %d, %one : i32
        %w = attn.read %W[%at] : !attn.tensor<[d], f32> -> f32
        attn.yield %w : f32
      } : f32
      attn.yield %sum : f32
    } : !attn.tensor<[], f32>
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %g : !attn.tensor<[d], f32>
  } : !attn.tensor<[d], f32>
  attn.return ["W"](%final : !attn.tensor<[d], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Equal stages, reductions and numbers become one; what differs in a number inside a region, or in the order of its operands,
// stays; what nobody uses goes. The pass cannot fail.
// RUN: attnc-opt --attn-merge-equals %s | FileCheck %s

// CHECK-LABEL: attn.variant @merged
attn.variant @merged {
  // CHECK: %[[X:.*]] = attn.input "X"
  %x = attn.input "X" : <[q, d], f32>
  // CHECK: %[[A:.*]] = attn.compute
  // CHECK: attn.reduce
  // CHECK-NOT: attn.reduce
  // CHECK: arith.mulf
  // CHECK: attn.yield
  %a = attn.compute (%q: i32) {
    %s = attn.reduce sum over "d" (%d: i32) {
      %e = attn.read %x[%q, %d] : <[q, d], f32> -> f32
      attn.yield %e : f32
    } : f32
    %t = attn.reduce sum over "d" (%i: i32) {
      %e = attn.read %x[%q, %i] : <[q, d], f32> -> f32
      attn.yield %e : f32
    } : f32
    %p = arith.mulf %s, %t : f32
    attn.yield %p : f32
  } : <[q], f32>
  %b = attn.compute (%r: i32) {
    %s = attn.reduce sum over "d" (%d: i32) {
      %e = attn.read %x[%r, %d] : <[q, d], f32> -> f32
      attn.yield %e : f32
    } : f32
    %p = arith.mulf %s, %s : f32
    attn.yield %p : f32
  } : <[q], f32>
  // CHECK: %[[TWO:.*]] = attn.compute
  // CHECK: arith.constant 2.0
  %two = attn.compute (%q: i32) {
    %c = arith.constant 2.0 : f32
    attn.yield %c : f32
  } : <[q], f32>
  // CHECK: %[[THREE:.*]] = attn.compute
  // CHECK: arith.constant 3.0
  %three = attn.compute (%q: i32) {
    %c = arith.constant 3.0 : f32
    attn.yield %c : f32
  } : <[q], f32>
  // CHECK-NOT: arith.constant 4.0
  %unused = attn.compute (%q: i32) {
    %c = arith.constant 4.0 : f32
    attn.yield %c : f32
  } : <[q], f32>
  // CHECK: attn.return {{.*}}(%[[A]], %[[A]], %[[TWO]], %[[THREE]] :
  attn.return ["a", "b2", "two", "three"](%a, %b, %two, %three : !attn.tensor<[q], f32>, !attn.tensor<[q], f32>, !attn.tensor<[q], f32>, !attn.tensor<[q], f32>)
}

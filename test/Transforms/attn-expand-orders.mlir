// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: attnc-opt %s --attn-expand-orders | FileCheck %s
// Ranks count, orders look ranks up, sums without a kernel of their own run up to their place. This pass cannot fail.

// Larger reals first, then smaller indices, and NaN last.
// CHECK-LABEL: @rank
attn.variant @rank {
  // CHECK: %[[X:.*]] = attn.input "x"
  %x = attn.input "x" : !attn.tensor<[b, kv]>
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[I:.*]]: i32) {
  // CHECK-NEXT: %[[OWN:.*]] = attn.read %[[X]][%[[B]], %[[I]]]
  // CHECK-NEXT: %[[ONE:.*]] = arith.constant 1 : i32
  // CHECK-NEXT: attn.reduce sum over "kv" (%[[J:.*]]: i32) {
  // CHECK-NEXT: %[[Y:.*]] = attn.read %[[X]][%[[B]], %[[J]]]
  // CHECK-NEXT: %[[EARLIER:.*]] = arith.cmpi slt, %[[J]], %[[I]]
  // CHECK-NEXT: %[[NUMBER:.*]] = arith.cmpf ord, %[[Y]], %[[Y]]
  // CHECK-NEXT: %[[OTHER:.*]] = arith.cmpf ord, %[[OWN]], %[[OWN]]
  // CHECK-NEXT: %[[GREATER:.*]] = arith.cmpf ugt, %[[Y]], %[[OWN]]
  // CHECK-NEXT: %[[LARGER:.*]] = arith.andi %[[NUMBER]], %[[GREATER]]
  // CHECK-NEXT: %[[ALIKE:.*]] = arith.cmpi eq, %[[NUMBER]], %[[OTHER]]
  // CHECK-NEXT: %[[SAME:.*]] = arith.cmpf ueq, %[[Y]], %[[OWN]]
  // CHECK-NEXT: %[[EQUAL:.*]] = arith.andi %[[ALIKE]], %[[SAME]]
  // CHECK-NEXT: %[[TIE:.*]] = arith.andi %[[EQUAL]], %[[EARLIER]]
  // CHECK-NEXT: %[[BEFORE:.*]] = arith.ori %[[LARGER]], %[[TIE]]
  // CHECK-NEXT: attn.yield %[[ONE]], %[[BEFORE]]
  // CHECK: } : <[b, kv], i32>
  %r = attn.rank %x over "kv" : !attn.tensor<[b, kv]> -> !attn.tensor<[b, kv], i32>
  attn.return ["r"](%r : !attn.tensor<[b, kv], i32>)
}

// CHECK-LABEL: @order_of_ints
attn.variant @order_of_ints {
  %x = attn.input "x" : !attn.tensor<[kv, b], i32>
  // CHECK: %[[RANK:.*]] = attn.compute
  // CHECK: arith.cmpi sgt
  // CHECK-NOT: arith.cmpf
  // CHECK: } : <[kv, b], i32>
  // CHECK: attn.compute (%[[PLACE:.*]]: i32, %[[B:.*]]: i32) {
  // CHECK-NEXT: attn.reduce sum over "kv" (%[[J:.*]]: i32) {
  // CHECK-NEXT: %[[R:.*]] = attn.read %[[RANK]][%[[J]], %[[B]]]
  // CHECK-NEXT: %[[HERE:.*]] = arith.cmpi eq, %[[R]], %[[PLACE]]
  // CHECK-NEXT: attn.yield %[[J]], %[[HERE]]
  %o = attn.order %x over "kv" : !attn.tensor<[kv, b], i32> -> !attn.tensor<[kv, b], i32>
  attn.return ["o"](%o : !attn.tensor<[kv, b], i32>)
}

// CHECK-LABEL: @cumsum
attn.variant @cumsum {
  // CHECK: %[[X:.*]] = attn.input "x"
  %x = attn.input "x" : !attn.tensor<[kv], i32>
  // CHECK: attn.compute (%[[I:.*]]: i32) {
  // CHECK: %[[END:.*]] = arith.addi %[[I]], %{{.*}} : i32
  // CHECK-NEXT: attn.reduce sum over "kv" to %[[END]] (%[[J:.*]]: i32) {
  // CHECK-NEXT: %[[Y:.*]] = attn.read %[[X]][%[[J]]]
  // CHECK-NEXT: attn.yield %[[Y]] : i32
  // CHECK: } : <[kv], i32>
  %s = attn.cumsum %x over "kv" : !attn.tensor<[kv], i32> -> !attn.tensor<[kv], i32>
  attn.return ["s"](%s : !attn.tensor<[kv], i32>)
}

// One has a kernel of its own, but in a step of a recurrence it has not.
// CHECK-LABEL: @cumsum_stays
attn.variant @cumsum_stays {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  // CHECK: attn.cumsum
  %s = attn.cumsum %x over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f32>
  %zero = attn.compute (%d: i32, %e: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[d, e], f32>
  %final = attn.recur over "t" for ["b"] from (%zero : !attn.tensor<[d, e], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d, e], f32>) {
    // CHECK-NOT: attn.cumsum
    // CHECK: attn.reduce sum over "d" to
    %next = attn.cumsum %S over "d" : !attn.tensor<[d, e], f32> -> !attn.tensor<[d, e], f32>
    attn.yield %next : !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, d, e], f32>
  attn.return ["s", "S"](%s, %final : !attn.tensor<[b, kv], f32>, !attn.tensor<[b, d, e], f32>)
}

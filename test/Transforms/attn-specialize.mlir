// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=bf16 head-dim=64 v-head-dim=96 params=cap=30})' | FileCheck %s --implicit-check-not='param const'
// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f32},attn-verify-specialized)' | FileCheck %s --check-prefix=DEFAULT
// What is specialised stays as it is.
// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=bf16 head-dim=64 v-head-dim=96 params=cap=30},attn-specialize{dtype=f16 head-dim=32})' | FileCheck %s --implicit-check-not='param const'
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// CHECK-LABEL: attn.variant @capped attributes {attn.operand_dtype = bf16} {
// CHECK-DAG: %[[D:.*]] = arith.constant 64 : i32
// CHECK-DAG: %[[E:.*]] = arith.constant 96 : i32
// CHECK-DAG: attn.space "d" extent %[[D]]
// CHECK-DAG: attn.space "e" extent %[[E]]
// CHECK: %[[CAP:.*]] = arith.constant 3.000000e+01 : f32
// CHECK: %[[W:.*]] = arith.constant 7 : i32
// CHECK: attn.param "t" = 1.000000e+00 : f32
// CHECK: attn.input "Q" : <[b, h, q, d], bf16>
// CHECK: attn.input "V" : <[b, g, kv, e], bf16>
// Element types that the spec fixes stay.
// CHECK: attn.input "bias" : <[h], f32>
// CHECK: arith.mulf %{{.*}}, %[[CAP]]
// CHECK: arith.addi %{{.*}}, %[[D]] : i32
// CHECK: arith.addi %{{.*}}, %[[W]] : i32
// CHECK: -> <[b, h, q, e], bf16>, <[b, h, q], f32>
// DEFAULT: arith.constant 5.000000e+01 : f32
// DEFAULT: attn.input "Q" : <[b, h, q, d], f32>
attn.variant @capped {
  %cap = attn.param const "cap" = 50.0 : f32 : f32
  %w = attn.param const "w" = 7 : i32 : i32
  %t = attn.param "t" = 1.0 : f32 : f32
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %bias = attn.input "bias" : !attn.tensor<[h], f32>
  %out, %lse = attn.attend %Q, %K, %V
    score(%s: f32, %b: i32, %h: i32, %row: i32, %kv: i32) {
      %x = arith.mulf %s, %cap : f32
      attn.yield %x : f32
    }
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %n = attn.size "d"
      %far = arith.addi %row, %n : i32
      %further = arith.addi %far, %w : i32
      %keep = arith.cmpi sle, %kv, %further : i32
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// No attention, and no tensor of the operand dtype: nothing to do but the sizes. Slots that follow from them have a number.
// CHECK-LABEL: attn.variant @none attributes {attn.operand_dtype = bf16} {
// CHECK: attn.space "f" extent
// A recurrence stores its outputs in the operand dtype, and keeps its states.
// CHECK-LABEL: attn.variant @sum attributes
// CHECK: attn.recur
// CHECK: : !attn.tensor<[b, t, e], bf16>, !attn.tensor<[b, e], f32>
attn.variant @none {
  %d = attn.size "d"
  %two = arith.constant 2 : i32
  %n = arith.muli %d, %two : i32
  attn.space "f" extent %n
  %x = attn.input "x" : !attn.tensor<[b, f], f32>
  attn.return ["x"](%x : !attn.tensor<[b, f], f32>)
}

attn.variant @sum {
  %V = attn.input "V" : !attn.tensor<[b, t, e]>
  %from = attn.compute (%e: i32) {
    %zero = arith.constant 0.0 : f32
    attn.yield %zero : f32
  } : !attn.tensor<[e], f32>
  %out:2 = attn.recur over "t" for ["b"] from(%from : !attn.tensor<[e], f32>)
    body(%b: i32, %t: i32, %S: !attn.tensor<[e], f32>) {
    %next = attn.compute (%e: i32) {
      %s = attn.read %S[%e] : !attn.tensor<[e], f32> -> f32
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e]> -> f32
      %sum = arith.addf %s, %v : f32
      attn.yield %sum : f32
    } : !attn.tensor<[e], f32>
    attn.yield %next, %next : !attn.tensor<[e], f32>, !attn.tensor<[e], f32>
  } : !attn.tensor<[b, t, e]>, !attn.tensor<[b, e], f32>
  attn.return ["out"](%out#0 : !attn.tensor<[b, t, e]>)
}

// A stage reads the sum as f32; returned is a copy in the operand dtype, where that is another.
// CHECK-LABEL: attn.variant @read
// CHECK: %[[SUM:.*]] = attn.compute
// CHECK: } : <[b, h, t, e], f32>
// CHECK: attn.read %[[SUM]]{{.*}} : <[b, h, t, e], f32> -> f32
// CHECK: %[[COPY:.*]] = attn.compute
// CHECK-NEXT: attn.read %[[SUM]]
// CHECK: } : <[b, h, t, e], bf16>
// CHECK: attn.return ["out", "first"](%[[COPY]], %{{.*}} : !attn.tensor<[b, h, t, e], bf16>, !attn.tensor<[b, h, t], f32>)
// DEFAULT-LABEL: attn.variant @read
// DEFAULT: %[[SUM:.*]] = attn.compute
// DEFAULT: attn.return ["out", "first"](%[[SUM]],
attn.variant @read {
  %V = attn.input "V" : !attn.tensor<[b, h, t, e]>
  %sum = attn.compute (%b: i32, %h: i32, %t: i32, %e: i32) {
    %v = attn.read %V[%b, %h, %t, %e] : !attn.tensor<[b, h, t, e]> -> f32
    %sum = arith.addf %v, %v : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, h, t, e]>
  %first = attn.compute (%b: i32, %h: i32, %t: i32) {
    %zero = arith.constant 0 : i32
    %x = attn.read %sum[%b, %h, %t, %zero] : !attn.tensor<[b, h, t, e]> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, h, t], f32>
  attn.return ["out", "first"](%sum, %first : !attn.tensor<[b, h, t, e]>, !attn.tensor<[b, h, t], f32>)
}

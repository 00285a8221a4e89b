// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=bf16 head-dim=64 v-head-dim=96 params=cap=30})' | FileCheck %s --implicit-check-not='param const'
// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f32},attn-verify-specialized)' | FileCheck %s --check-prefix=DEFAULT
// What is specialised stays as it is.
// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=bf16 head-dim=64 v-head-dim=96 params=cap=30},attn-specialize{dtype=f16 head-dim=32})' | FileCheck %s --implicit-check-not='param const'
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// CHECK-LABEL: attn.variant @capped {
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

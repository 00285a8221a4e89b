// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: attnc-opt %s --attn-specialize=dtype=f16 --attn-plan=target=sm_80 --convert-attn-to-tile | FileCheck %s
// Random numbers in kernels: ten rounds of Philox on words of 32 bits.

// CHECK-LABEL: tile.kernel @thinned
// CHECK-SAME: %[[SEED:[a-z0-9]+]]: i32 {tile.binding = "param:seed"}
// CHECK: tile.map
// The first product is that of the first counter, the second that of the third one, which is not written here.
// CHECK: %[[A:.*]] = arith.constant 3528531795 : i64
// CHECK: arith.muli %{{.*}}, %[[A]] : i64
// CHECK: %[[B:.*]] = arith.constant 3449720151 : i64
// CHECK: %[[PRODUCT:.*]] = arith.muli %{{.*}}, %[[B]] : i64
// CHECK: %[[HIGH:.*]] = arith.shrui %[[PRODUCT]], %{{.*}} : i64
// CHECK-NEXT: %[[B0:.*]] = arith.trunci %[[HIGH]] : i64 to i32
// CHECK: %[[MIXED:.*]] = arith.xori %[[B0]], %{{.*}} : i32
// CHECK-NEXT: arith.xori %[[MIXED]], %[[SEED]] : i32
// CHECK: arith.constant -1640531527 : i32
// CHECK-COUNT-18: arith.muli %{{.*}} : i64
// CHECK-NOT: arith.muli %{{.*}} : i64
// CHECK: arith.shrui %{{.*}} : i32
// CHECK-NEXT: arith.sitofp
// CHECK-NEXT: arith.constant 5.96046448E-8 : f32
// CHECK-NEXT: arith.mulf
attn.variant @thinned {
  %seed = attn.param "seed" = 7 : i32 : i32
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %u = attn.uniform %seed [%row, %kv]
      %half = arith.constant 0.5 : f32
      %keep = arith.cmpf olt, %u, %half : f32
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

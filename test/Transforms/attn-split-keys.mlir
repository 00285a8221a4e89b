// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f16 head-dim=64},attn-plan{target=sm_80},attn-split-keys)' | FileCheck %s
// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f16 head-dim=64},attn-plan{target=host},attn-split-keys)' | FileCheck %s --check-prefix=HOST
// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f16 head-dim=64},attn-plan{target=sm_80},attn-split-keys,attn-split-keys)' | FileCheck %s
// RUN: not attnc-opt %s --attn-split-keys 2>&1 | FileCheck %s --check-prefix=NONE
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The keys of an attention in parts, for launches with few queries; the attention itself for the others. A second run of the
// pass finds nothing to do. The merge compares nothing, or `--check` would have decisions to replay.

// The host has another form for few queries.
// HOST-NOT: parts
// NONE: error: 'attn.variant' op has no schedule: run attn-plan first

// The scale is part of the exponential's factor: products are compared, and a unit is 1 / sqrt(64).
// CHECK-LABEL: attn.variant @plain
// CHECK: %[[Q:.*]] = attn.input "Q"
// CHECK: %[[OUT:.*]], %[[LSE:.*]] = attn.attend %[[Q]], %[[K:.*]], %[[V:.*]] : {{.*}} -> <[b, h, q, e], f16>, <[b, h, q], f32>
// More keys than a part has, and few queries: else there is no part.
// CHECK: %[[KEYS:.*]] = attn.size "kv"
// CHECK: %[[LONG:.*]] = arith.cmpi slt, %{{.*}}, %[[KEYS]]
// CHECK: %[[FEW:.*]] = arith.cmpi sle
// CHECK: %[[BETTER:.*]] = arith.andi %[[LONG]], %[[FEW]]
// CHECK: %[[PARTS:.*]] = arith.ceildivsi %[[KEYS]]
// CHECK: %[[NUMBER:.*]] = arith.select %[[BETTER]], %[[PARTS]], %{{.*}}
// CHECK: attn.space "kv_part" extent %[[NUMBER]] optional
// CHECK: %[[O:.*]], %[[L:.*]], %[[M:.*]] = attn.attend %[[Q]], %[[K]], %[[V]] parts <"kv_part" of 256 unit 1.250000e-01 : f64>
// CHECK: %[[MERGED:.*]] = attn.compute (%[[B:[^:]*]]: i32, %[[H:[^:]*]]: i32, %[[ROW:[^:]*]]: i32, %[[E:[^:]*]]: i32) {
// CHECK-NEXT: %[[TOP:.*]] = attn.reduce max over "kv_part" (%[[P:.*]]: i32) {
// CHECK-NEXT: %[[X:.*]] = attn.read %[[M]][%[[B]], %[[H]], %[[ROW]], %[[P]]]
// CHECK: %[[FINITE:.*]] = arith.maximumf %[[TOP]], %{{.*}}
// CHECK: %[[SUM:.*]] = attn.reduce sum over "kv_part"
// CHECK: arith.subf %{{.*}}, %[[FINITE]]
// CHECK: %[[TOTAL:.*]] = attn.reduce sum over "kv_part" (%[[P2:.*]]: i32) {
// CHECK: %[[PART:.*]] = attn.read %[[O]][%[[B]], %[[H]], %[[ROW]], %[[P2]], %[[E]]]
// CHECK: %[[MASS:.*]] = arith.maximumf %[[SUM]], %{{.*}}
// CHECK-NEXT: arith.divf %[[TOTAL]], %[[MASS]]
// CHECK: } : <[b, h, q, e], f16>
// CHECK: %[[RESULT:.*]] = attn.choose "kv_part" some(%[[MERGED]]) none(%[[OUT]])
// CHECK: math.log
// CHECK: %[[LOG:.*]] = attn.choose "kv_part" some(%{{.*}}) none(%[[LSE]])
// CHECK: attn.return ["out", "lse"](%[[RESULT]], %[[LOG]]
attn.variant @plain {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
}

// A sink is a part of its own, and scores are counted as they are. No one asks for the lse.
// CHECK-LABEL: attn.variant @sink
// CHECK: attn.attend
// CHECK-NEXT: sink(
// CHECK: attn.attend {{.*}} parts <"kv_part" of 256 unit 1.000000e+00 : f64>
// CHECK-NOT: sink(
// CHECK: attn.compute (%[[B:[^:]*]]: i32, %[[H:[^:]*]]: i32,
// CHECK: %[[SINK:.*]] = attn.read %{{.*}}[%[[H]]]
// CHECK: %[[TOP:.*]] = attn.reduce max
// CHECK: %[[FINITE:.*]] = arith.maximumf %[[TOP]],
// CHECK: arith.maximumf %[[FINITE]], %[[SINK]]
// CHECK: attn.choose
// CHECK-NOT: attn.choose
attn.variant @sink {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %z = attn.input "z" : !attn.tensor<[h], f32>
  %out, %lse = attn.attend %Q, %K, %V
    sink(%b: i32, %h: i32, %row: i32) {
      %logit = attn.read %z[%h] : !attn.tensor<[h], f32> -> f32
      attn.yield %logit : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// Other keys for each head: they are not read together.
// CHECK-LABEL: attn.variant @heads
// CHECK-NOT: parts
attn.variant @heads {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %keep = arith.cmpi sle, %h, %kv : i32
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

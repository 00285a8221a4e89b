// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selections and scalar decisions become outputs; what depends on a product of an attention or on a state does not.
// RUN: attnc-opt %s --attn-export-decisions --split-input-file | FileCheck %s

// A selection that is an output already, a comparison within a reduction over an axis of the stage.
// CHECK-LABEL: attn.variant @selection
// CHECK: %[[KEEP:.*]] = attn.select top
// CHECK: attn.yield %{{.*}} : i32
// CHECK: %[[COPY:.*]] = attn.compute (%[[B:.*]]: i32, %[[I:.*]]: i32)
// CHECK: attn.read %[[KEEP]][%[[B]], %[[I]]]
// CHECK: %[[SIZE:.*]] = attn.size "kv"
// CHECK: %[[EXTENT:.*]] = arith.maxsi %[[SIZE]]
// CHECK: attn.space "kv_again2" extent %[[EXTENT]]
// CHECK: %[[FLAGS:.*]] = attn.compute (%[[B:.*]]: i32, %[[I:.*]]: i32, %[[J:.*]]: i32)
// CHECK-DAG: %[[X:.*]] = attn.read %{{.*}}[%[[B]], %[[I]]]
// CHECK-DAG: %[[Y:.*]] = attn.read %{{.*}}[%[[B]], %[[J]]]
// CHECK: arith.cmpf olt, %[[X]], %[[Y]]
// CHECK: attn.yield %{{.*}} : i1
// CHECK: : <[b, kv, kv_again2], i1>
// CHECK: attn.return ["keep", "rank", "decision_3", "decision_8"]
// CHECK-SAME: (%[[KEEP]], %{{.*}}, %[[COPY]], %[[FLAGS]] :
attn.variant @selection {
  %X = attn.input "X" : !attn.tensor<[b, kv], f32>
  %n = attn.input "N" : !attn.tensor<[], i32>
  %keep = attn.select top %X, %n over ["kv"] : !attn.tensor<[b, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, kv], i1>
  %rank = attn.compute (%b: i32, %i: i32) {
    %x = attn.read %X[%b, %i] : !attn.tensor<[b, kv], f32> -> f32
    %count = attn.reduce sum over "kv" (%j: i32) {
      %y = attn.read %X[%b, %j] : !attn.tensor<[b, kv], f32> -> f32
      %less = arith.cmpf olt, %x, %y : f32
      %one = arith.extui %less : i1 to i32
      attn.yield %one : i32
    } : i32
    attn.yield %count : i32
  } : !attn.tensor<[b, kv], i32>
  attn.return ["keep", "rank"](%keep, %rank : !attn.tensor<[b, kv], i1>, !attn.tensor<[b, kv], i32>)
}

// -----
// A mask that compares what it reads; a score that compares the product, which only the attention has.
// CHECK-LABEL: attn.variant @attention
// CHECK: attn.attend
// CHECK: %[[FLAGS:.*]] = attn.compute (%[[B:.*]]: i32, %[[Q:.*]]: i32, %[[KV:.*]]: i32)
// CHECK: attn.read %{{.*}}[%[[B]], %[[Q]]]
// CHECK: attn.read %{{.*}}[%[[B]], %[[KV]]]
// CHECK: arith.cmpf ole
// CHECK: : <[b, q, kv], i1>
// CHECK-NOT: attn.compute
// CHECK: attn.return ["out", "decision_{{[0-9]+}}"](%{{.*}}, %[[FLAGS]] :
attn.variant @attention {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %X = attn.input "X" : !attn.tensor<[b, q], f32>
  %Y = attn.input "Y" : !attn.tensor<[b, kv], f32>
  %out, %lse = attn.attend %Q, %K, %V
    score(%s: f32, %b: i32, %h: i32, %q: i32, %kv: i32) {
      %zero = arith.constant 0.0 : f32
      %positive = arith.cmpf ogt, %s, %zero : f32
      %t = arith.select %positive, %s, %zero : f32
      attn.yield %t : f32
    }
    mask(%b: i32, %h: i32, %q: i32, %kv: i32) {
      %x = attn.read %X[%b, %q] : !attn.tensor<[b, q], f32> -> f32
      %y = attn.read %Y[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
      %keep = arith.cmpf ole, %x, %y : f32
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

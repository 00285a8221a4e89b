// RUN: attnc-opt %s | attnc-opt | FileCheck %s
// RUN: attnc-opt %s --mlir-print-op-generic | attnc-opt | FileCheck %s
// Recurrences in their shortest form and with all that is optional, in custom and in generic syntax.

// CHECK-LABEL: attn.variant @nothing
// CHECK: attn.recur over "t" for [] from()
// CHECK-NEXT: body(%{{.*}}: i32) {
// CHECK-NEXT: attn.yield{{$}}
// CHECK-NEXT: }{{$}}
attn.variant @nothing {
  attn.recur over "t" for [] from () body(%t: i32) {
    attn.yield
  }
  attn.return []
}

// CHECK-LABEL: attn.variant @two_states
// CHECK: %[[N:.*]] = arith.constant 4
// CHECK: %[[A:.*]] = attn.input "a" : <[b, d, e]>
// CHECK: %[[C:.*]] = attn.input "c" : <[e], f16>
// CHECK: %[[ALL:.*]]:4 = attn.recur over "kv" for ["b", "g"] every %[[N]] from(%[[A]], %[[C]] : !attn.tensor<[b, d, e]>, !attn.tensor<[e], f16>)
// CHECK-NEXT: body(%[[B:.*]]: i32, %[[G:.*]]: i32, %[[KV:.*]]: i32, %[[S:.*]]: !attn.tensor<[d, e], f32>, %[[Z:.*]]: !attn.tensor<[e], f32>, %[[S0:.*]]: !attn.tensor<[d, e], f32>, %[[Z0:.*]]: !attn.tensor<[e], f32>) {
// CHECK: %[[L:.*]] = attn.compute ()
// CHECK: attn.read %[[Z0]][%{{.*}}] : <[e], f32> -> f32
// CHECK: %[[GRAD:.*]] = attn.grad %[[L]], %[[Z0]] : <[], f32>, <[e], f32>
// CHECK: %[[P:.*]] = attn.softmax %[[GRAD]] over "e" : <[e], f32> -> <[e], f32>
// CHECK: %[[R:.*]] = attn.rank %[[P]] over "e" : <[e], f32> -> <[e], i32>
// CHECK: %[[H:.*]] = attn.quantize %[[S]] as bf16 : <[d, e], f32> -> <[d, e], f32>
// CHECK: attn.yield %[[P]], %[[R]], %[[H]], %[[Z]] : !attn.tensor<[e], f32>, !attn.tensor<[e], i32>, !attn.tensor<[d, e], f32>, !attn.tensor<[e], f32>
// CHECK: } : !attn.tensor<[b, g, kv, e]>, !attn.tensor<[b, g, kv, e], i32>, !attn.tensor<[b, g, d, e], f32>, !attn.tensor<[b, g, e], f32>
// CHECK: attn.return ["out", "last"](%[[ALL]]#0, %[[ALL]]#2 : !attn.tensor<[b, g, kv, e]>, !attn.tensor<[b, g, d, e], f32>)
attn.variant @two_states {
  %n = arith.constant 4 : i32
  %a = attn.input "a" : !attn.tensor<[b, d, e]>
  %c = attn.input "c" : !attn.tensor<[e], f16>
  %out, %ranks, %last, %zlast = attn.recur over "kv" for ["b", "g"] every %n
      from (%a, %c : !attn.tensor<[b, d, e]>, !attn.tensor<[e], f16>)
      body(%b: i32, %g: i32, %kv: i32, %S: !attn.tensor<[d, e], f32>, %z: !attn.tensor<[e], f32>,
           %S0: !attn.tensor<[d, e], f32>, %z0: !attn.tensor<[e], f32>) {
    %loss = attn.compute () {
      %sum = attn.reduce sum over "e" (%e: i32) {
        %x = attn.read %z0[%e] : !attn.tensor<[e], f32> -> f32
        %xx = arith.mulf %x, %x : f32
        attn.yield %xx : f32
      } : f32
      attn.yield %sum : f32
    } : !attn.tensor<[], f32>
    %grad = attn.grad %loss, %z0 : !attn.tensor<[], f32>, !attn.tensor<[e], f32>
    %p = attn.softmax %grad over "e" : !attn.tensor<[e], f32> -> !attn.tensor<[e], f32>
    %r = attn.rank %p over "e" : !attn.tensor<[e], f32> -> !attn.tensor<[e], i32>
    %half = attn.quantize %S as bf16 : !attn.tensor<[d, e], f32> -> !attn.tensor<[d, e], f32>
    attn.yield %p, %r, %half, %z
        : !attn.tensor<[e], f32>, !attn.tensor<[e], i32>, !attn.tensor<[d, e], f32>, !attn.tensor<[e], f32>
  } : !attn.tensor<[b, g, kv, e]>, !attn.tensor<[b, g, kv, e], i32>, !attn.tensor<[b, g, d, e], f32>, !attn.tensor<[b, g, e], f32>
  attn.return ["out", "last"](%out, %last : !attn.tensor<[b, g, kv, e]>, !attn.tensor<[b, g, d, e], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

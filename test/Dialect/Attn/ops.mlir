// RUN: attnc-opt %s | attnc-opt | FileCheck %s
// RUN: attnc-opt %s --mlir-print-op-generic | attnc-opt | FileCheck %s
// Every op in its full and in its shortest form, in custom and in generic syntax.

// CHECK-LABEL: attn.variant @shortest
// CHECK: attn.attend %{{.*}}, %{{.*}}, %{{.*}} : <[b, h, q, d]>
// CHECK: attn.return ["out"]
attn.variant @shortest {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// CHECK-LABEL: attn.variant @fullest
// CHECK: %[[N:.*]] = attn.param "n" = 4 : i32 : i32
// CHECK: attn.param const "cap" = 5.000000e+01 : f32 : f32
// CHECK: attn.input "z" sample <uniform(0.000000e+00, size(kv))> : <[h, 32], bf16>
// CHECK: attn.size "kv"
// CHECK: attn.attend {{.*}} scale %{{.*}} precision tf32
// CHECK: score(%{{.*}}: f32, %{{.*}}: i32, %[[H:.*]]: i32, %{{.*}}: i32, %{{.*}}: i32)
// CHECK: attn.read %{{.*}}[%[[H]], %[[N]]] : <[h, 32], bf16> -> f32
// CHECK: mask(
// CHECK: attn.position %{{.*}} top_left
// CHECK: sink(
attn.variant @fullest {
  %n = attn.param "n" = 4 : i32 : i32
  %cap = attn.param const "cap" = 50.0 : f32 : f32
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %z = attn.input "z" sample <uniform(0.0, size(kv))> : !attn.tensor<[h, 32], bf16>
  %kvs = attn.size "kv"
  %scale = arith.sitofp %kvs : i32 to f32
  %out, %lse = attn.attend %Q, %K, %V scale %scale precision tf32
    score(%s: f32, %b: i32, %h: i32, %row: i32, %kv: i32) {
      %x = attn.read %z[%h, %n] : !attn.tensor<[h, 32], bf16> -> f32
      attn.yield %x : f32
    }
    mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %q = attn.position %row top_left
      %m = arith.cmpi sle, %kv, %q : i32
      attn.yield %m : i1
    }
    sink(%b: i32, %h: i32, %row: i32) {
      attn.yield %cap : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

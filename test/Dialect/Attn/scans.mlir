// RUN: attnc-opt %s | attnc-opt | FileCheck %s
// RUN: attnc-opt %s --mlir-print-op-generic | attnc-opt | FileCheck %s
// Scans and triangular systems in their shortest form and with all that is optional, in custom and in generic syntax.

// CHECK-LABEL: attn.variant @shortest
// CHECK: attn.scan over "kv"(%{{.*}} : !attn.tensor<[b, kv], f32>) from(%{{.*}} : f32)
// CHECK-NEXT: combine(%{{.*}}: f32, %{{.*}}: f32) {
// CHECK: } : !attn.tensor<[b, kv], f32>
// CHECK: attn.solve %{{.*}}, %{{.*}} over "i" by "j" : <[i, j], f32>, <[i], f32> -> <[i], f32>
attn.variant @shortest {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %N = attn.input "N" : !attn.tensor<[i, j], f32>
  %R = attn.input "R" : !attn.tensor<[i], f32>
  %zero = arith.constant 0.0 : f32
  %s = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%zero : f32) combine(%a: f32, %c: f32) {
    %ac = arith.addf %a, %c : f32
    attn.yield %ac : f32
  } : !attn.tensor<[b, kv], f32>
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[i, j], f32>, !attn.tensor<[i], f32> -> !attn.tensor<[i], f32>
  attn.return ["s", "X"](%s, %X : !attn.tensor<[b, kv], f32>, !attn.tensor<[i], f32>)
}

// CHECK-LABEL: attn.variant @fullest
// CHECK: %{{.*}}:2 = attn.scan over "kv" reverse exclusive(%{{.*}}, %{{.*}} : !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, d], i32>) from(%{{.*}}, %{{.*}} : f32, i32)
// CHECK: } : !attn.tensor<[b, g, kv, d], f32>, !attn.tensor<[b, g, kv, d], i32>
// CHECK: attn.recur
// CHECK: attn.scan over "d"(
attn.variant @fullest {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %c = attn.input "c" : !attn.tensor<[b, g, kv, d], i32>
  %least = arith.constant 0xFF800000 : f32
  %none = arith.constant 0 : i32
  %s:2 = attn.scan over "kv" reverse exclusive (%K, %c : !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, d], i32>)
      from (%least, %none : f32, i32) combine(%m0: f32, %c0: i32, %m1: f32, %c1: i32) {
    %m = arith.maximumf %m0, %m1 : f32
    %n = arith.addi %c0, %c1 : i32
    attn.yield %m, %n : f32, i32
  } : !attn.tensor<[b, g, kv, d], f32>, !attn.tensor<[b, g, kv, d], i32>
  %zero = attn.compute (%d: i32) {
    %z = arith.constant 0.0 : f32
    attn.yield %z : f32
  } : !attn.tensor<[d], f32>
  %last = attn.recur over "kv" for ["b", "g"] from (%zero : !attn.tensor<[d], f32>) body(%b: i32, %g: i32, %kv: i32, %S: !attn.tensor<[d], f32>) {
    %one = arith.constant 1.0 : f32
    %p = attn.scan over "d" (%S : !attn.tensor<[d], f32>) from (%one : f32) combine(%x: f32, %y: f32) {
      %xy = arith.mulf %x, %y : f32
      attn.yield %xy : f32
    } : !attn.tensor<[d], f32>
    attn.yield %p : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, g, d], f32>
  attn.return ["m", "n", "last"](%s#0, %s#1, %last : !attn.tensor<[b, g, kv, d], f32>, !attn.tensor<[b, g, kv, d], i32>, !attn.tensor<[b, g, d], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// CHECK-LABEL: attn.variant @inverse
// CHECK: attn.invert %{{.*}} over "i" by "j" : <[b, i, h, j]> -> <[b, i, h, j], f32>
attn.variant @inverse {
  %n = arith.constant 16 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, h, j]>
  %Y = attn.invert %N over "i" by "j" : !attn.tensor<[b, i, h, j]> -> !attn.tensor<[b, i, h, j], f32>
  attn.return ["Y"](%Y : !attn.tensor<[b, i, h, j], f32>)
}

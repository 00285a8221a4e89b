// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of a 16-bit tensor that are scaled are taken apart in sums of products. It cannot fail.
// RUN: attnc-opt %s --split-input-file --attn-inline-factors | FileCheck %s

// A factor that knows the index of the sum stays in it; 0 under a condition is 0 in both factors. The other one is a factor of the sum.
// CHECK-LABEL: attn.variant @scaled
// CHECK: %[[KT:.*]] = attn.input "K"
// CHECK: %[[VT:.*]] = attn.input "V"
// CHECK: %[[AFTER:.*]] = attn.input "after"
// CHECK-NEXT: attn.compute (%[[D:.*]]: i32, %[[E:.*]]: i32) {
// CHECK: %[[SUM:.*]] = attn.reduce sum over "i" (%[[I:.*]]: i32) {
// CHECK: %[[K:.*]] = attn.read %[[KT]][%[[I]], %[[D]]]
// CHECK: %[[C:.*]] = attn.read %[[AFTER]][%[[I]]]
// CHECK: %[[V:.*]] = attn.read %[[VT]][%[[I]], %[[E]]]
// CHECK: %[[IN:.*]] = arith.select %{{.*}}, %[[K]], %
// CHECK: %[[CIN:.*]] = arith.select %{{.*}}, %[[C]], %
// CHECK: %[[P:.*]] = arith.mulf %[[IN]], %[[CIN]]
// CHECK: %[[T:.*]] = arith.mulf %[[P]], %[[V]]
// CHECK: attn.yield %[[T]]
// CHECK: attn.compute (%[[I:.*]]: i32, %[[E:.*]]: i32) {
// CHECK: %[[SUM:.*]] = attn.reduce sum over "d" (%[[D:.*]]: i32) {
// CHECK-NOT: attn.read %[[AFTER]]
// CHECK: %[[K:.*]] = attn.read %[[KT]][%[[I]], %[[D]]]
// CHECK: %[[IN:.*]] = arith.select %{{.*}}, %[[K]], %
// CHECK: %[[P:.*]] = arith.mulf %[[IN]], %{{.*}}
// CHECK: attn.yield %[[P]]
// CHECK: %[[OUT:.*]] = arith.select %{{.*}}, %{{.*}}, %
// CHECK: %[[ALL:.*]] = arith.mulf %[[SUM]], %[[OUT]]
// CHECK: attn.yield %[[ALL]]
attn.variant @scaled {
  %n = arith.constant 16 : i32
  %last = arith.constant 10 : i32
  %zero = arith.constant 0.0 : f32
  attn.space "i" extent %n
  %K = attn.input "K" : !attn.tensor<[i, d], bf16>
  %V = attn.input "V" : !attn.tensor<[i, e], bf16>
  %H = attn.input "H" : !attn.tensor<[d, e], f32>
  %after = attn.input "after" : !attn.tensor<[i], f32>
  %scaled = attn.compute (%i: i32, %d: i32) {
    %k = attn.read %K[%i, %d] : !attn.tensor<[i, d], bf16> -> f32
    %c = attn.read %after[%i] : !attn.tensor<[i], f32> -> f32
    %kc = arith.mulf %k, %c : f32
    %in = arith.cmpi slt, %i, %last : i32
    %s = arith.select %in, %kc, %zero : f32
    attn.yield %s : f32
  } : !attn.tensor<[i, d], f32>
  %S = attn.compute (%d: i32, %e: i32) {
    %sum = attn.reduce sum over "i" (%i: i32) {
      %s = attn.read %scaled[%i, %d] : !attn.tensor<[i, d], f32> -> f32
      %v = attn.read %V[%i, %e] : !attn.tensor<[i, e], bf16> -> f32
      %p = arith.mulf %s, %v : f32
      attn.yield %p : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[d, e], f32>
  %z = attn.compute (%i: i32, %e: i32) {
    %sum = attn.reduce sum over "d" (%d: i32) {
      %s = attn.read %scaled[%i, %d] : !attn.tensor<[i, d], f32> -> f32
      %h = attn.read %H[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %p = arith.mulf %s, %h : f32
      attn.yield %p : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[i, e], f32>
  attn.return ["S", "z"](%S, %z : !attn.tensor<[d, e], f32>, !attn.tensor<[i, e], f32>)
}

// -----

// What is scaled twice is taken apart into both factors.
// CHECK-LABEL: attn.variant @twice
// CHECK: %[[K:.*]] = attn.input "K"
// CHECK: %[[X:.*]] = attn.input "x"
// CHECK: %[[Y:.*]] = attn.input "y"
// CHECK-NEXT: attn.compute (%[[E:.*]]: i32) {
// CHECK: attn.reduce sum over "kv" (%[[I:.*]]: i32) {
// CHECK-DAG: attn.read %[[K]][%[[I]], %[[E]]]
// CHECK-DAG: attn.read %[[X]][%[[I]]]
// CHECK-DAG: attn.read %[[Y]][%[[I]]]
// CHECK: attn.return
attn.variant @twice {
  %K = attn.input "K" : !attn.tensor<[kv, e], f16>
  %x = attn.input "x" : !attn.tensor<[kv], f32>
  %y = attn.input "y" : !attn.tensor<[kv], f32>
  %first = attn.compute (%kv: i32, %e: i32) {
    %k = attn.read %K[%kv, %e] : !attn.tensor<[kv, e], f16> -> f32
    %c = attn.read %x[%kv] : !attn.tensor<[kv], f32> -> f32
    %s = arith.mulf %k, %c : f32
    attn.yield %s : f32
  } : !attn.tensor<[kv, e], f32>
  %second = attn.compute (%kv: i32, %e: i32) {
    %c = attn.read %y[%kv] : !attn.tensor<[kv], f32> -> f32
    %k = attn.read %first[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
    %s = arith.mulf %c, %k : f32
    attn.yield %s : f32
  } : !attn.tensor<[kv, e], f32>
  %sum = attn.compute (%e: i32) {
    %all = attn.reduce sum over "kv" (%kv: i32) {
      %s = attn.read %second[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
      attn.yield %s : f32
    } : f32
    attn.yield %all : f32
  } : !attn.tensor<[e], f32>
  attn.return ["sum"](%sum : !attn.tensor<[e], f32>)
}

// -----

// A factor for each element stays with its tensor, and so does what is put out, read elsewhere or of f32.
// CHECK-LABEL: attn.variant @kept
// CHECK-COUNT-4: attn.compute (%{{.*}}: i32, %{{.*}}: i32) {
// CHECK: attn.compute (%{{.*}}: i32) {
attn.variant @kept {
  %K = attn.input "K" : !attn.tensor<[kv, e], bf16>
  %F = attn.input "F" : !attn.tensor<[kv, e], f32>
  %x = attn.input "x" : !attn.tensor<[kv], f32>
  %each = attn.compute (%kv: i32, %e: i32) {
    %k = attn.read %K[%kv, %e] : !attn.tensor<[kv, e], bf16> -> f32
    %c = attn.read %F[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
    %s = arith.mulf %k, %c : f32
    attn.yield %s : f32
  } : !attn.tensor<[kv, e], f32>
  %wide = attn.compute (%kv: i32, %e: i32) {
    %k = attn.read %F[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
    %c = attn.read %x[%kv] : !attn.tensor<[kv], f32> -> f32
    %s = arith.mulf %k, %c : f32
    attn.yield %s : f32
  } : !attn.tensor<[kv, e], f32>
  %out = attn.compute (%kv: i32, %e: i32) {
    %k = attn.read %K[%kv, %e] : !attn.tensor<[kv, e], bf16> -> f32
    %c = attn.read %x[%kv] : !attn.tensor<[kv], f32> -> f32
    %s = arith.mulf %k, %c : f32
    attn.yield %s : f32
  } : !attn.tensor<[kv, e], f32>
  %squared = attn.compute (%kv: i32, %e: i32) {
    %k = attn.read %K[%kv, %e] : !attn.tensor<[kv, e], bf16> -> f32
    %c = attn.read %x[%kv] : !attn.tensor<[kv], f32> -> f32
    %s = arith.mulf %k, %c : f32
    attn.yield %s : f32
  } : !attn.tensor<[kv, e], f32>
  %sum = attn.compute (%e: i32) {
    %all = attn.reduce sum over "kv" (%kv: i32) {
      %a = attn.read %each[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
      %b = attn.read %wide[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
      %c = attn.read %out[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
      %ab = arith.mulf %a, %b : f32
      %abc = arith.mulf %ab, %c : f32
      attn.yield %abc : f32
    } : f32
    %most = attn.reduce max over "kv" (%kv: i32) {
      %a = attn.read %squared[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
      attn.yield %a : f32
    } : f32
    %y = arith.addf %all, %most : f32
    attn.yield %y : f32
  } : !attn.tensor<[e], f32>
  attn.return ["out", "sum"](%out, %sum : !attn.tensor<[kv, e], f32>, !attn.tensor<[e], f32>)
}

// -----

// The host multiplies f32.
// CHECK-LABEL: attn.variant @host
// CHECK-COUNT-2: attn.compute
attn.variant @host attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %K = attn.input "K" : !attn.tensor<[kv, e], bf16>
  %x = attn.input "x" : !attn.tensor<[kv], f32>
  %scaled = attn.compute (%kv: i32, %e: i32) {
    %k = attn.read %K[%kv, %e] : !attn.tensor<[kv, e], bf16> -> f32
    %c = attn.read %x[%kv] : !attn.tensor<[kv], f32> -> f32
    %s = arith.mulf %k, %c : f32
    attn.yield %s : f32
  } : !attn.tensor<[kv, e], f32>
  %sum = attn.compute (%e: i32) {
    %all = attn.reduce sum over "kv" (%kv: i32) {
      %s = attn.read %scaled[%kv, %e] : !attn.tensor<[kv, e], f32> -> f32
      attn.yield %s : f32
    } : f32
    attn.yield %all : f32
  } : !attn.tensor<[e], f32>
  attn.return ["sum"](%sum : !attn.tensor<[e], f32>)
}

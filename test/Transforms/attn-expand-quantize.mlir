// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: attnc-opt %s --attn-expand-quantize | FileCheck %s
// Groups become tensors with one element for each, rounding becomes arithmetic. This pass cannot fail.

// A scale for each row.
// CHECK-LABEL: @by_row
attn.variant @by_row {
  // CHECK: %[[K:.*]] = attn.input "K"
  %K = attn.input "K" : !attn.tensor<[b, kv, d]>
  // CHECK: %[[SCALE:.*]] = attn.compute (%[[B:.*]]: i32, %[[KV:.*]]: i32) {
  // CHECK-NEXT: %[[MAX:.*]] = attn.reduce max over "d" (%[[D:.*]]: i32) {
  // CHECK-NEXT: %[[X:.*]] = attn.read %[[K]][%[[B]], %[[KV]], %[[D]]]
  // CHECK-NEXT: math.absf %[[X]]
  // CHECK: %[[MOST:.*]] = arith.constant 1.270000e+02
  // CHECK-NEXT: arith.divf %[[MAX]], %[[MOST]]
  // CHECK: } : <[b, kv], f32>
  // CHECK: attn.compute (%[[B2:.*]]: i32, %[[KV2:.*]]: i32, %[[D2:.*]]: i32) {
  // CHECK-NEXT: %[[X2:.*]] = attn.read %[[K]][%[[B2]], %[[KV2]], %[[D2]]]
  // CHECK-NEXT: %[[S:.*]] = attn.read %[[SCALE]][%[[B2]], %[[KV2]]]
  // CHECK-NEXT: %[[STEPS:.*]] = arith.divf %[[X2]], %[[S]]
  // CHECK-NEXT: %[[WHOLE:.*]] = math.roundeven %[[STEPS]]
  // CHECK: %[[LOW:.*]] = arith.minnumf %[[WHOLE]], %{{.*}}
  // CHECK: %[[CODE:.*]] = arith.maxnumf %[[LOW]], %{{.*}}
  // CHECK-NEXT: arith.mulf %[[CODE]], %[[S]]
  // CHECK: } : <[b, kv, d], f32>
  %q = attn.quantize %K as int8 group(%b: i32, %kv: i32, %d: i32) {
    attn.yield %b, %kv : i32, i32
  } : !attn.tensor<[b, kv, d]> -> !attn.tensor<[b, kv, d], f32>
  attn.return ["q"](%q : !attn.tensor<[b, kv, d], f32>)
}

// A block of rows is a space that is declared; two quantizations share it. What the spec declared itself is used too.
// CHECK-LABEL: @by_block
attn.variant @by_block {
  %K = attn.input "K" : !attn.tensor<[b, kv, d], f32>
  // CHECK: %[[N:.*]] = attn.param "n"
  %n = attn.param "n" = 16 : i32 : i32
  %four = arith.constant 4 : i32
  // CHECK: attn.space "part" of "d"
  attn.space "part" of "d" extent %four
  // CHECK: attn.space "kv_blocks" of "kv" extent %[[N]]
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[P:.*]]: i32) {
  // CHECK-NEXT: attn.reduce max over "kv" in "kv_blocks" at %[[P]] (%[[KV:.*]]: i32) {
  // CHECK-NEXT: attn.reduce max over "d" (%[[D:.*]]: i32) {
  // CHECK: } : <[b, kv_blocks], f32>
  // CHECK: attn.compute (%[[B2:.*]]: i32, %[[KV2:.*]]: i32, %[[D2:.*]]: i32) {
  // CHECK: %[[P2:.*]] = arith.floordivsi %[[KV2]], %[[N]]
  // CHECK: attn.read %{{.*}}[%[[B2]], %[[P2]]]
  // CHECK: } : <[b, kv, d], f32>
  %x = attn.quantize %K as int8 group(%b: i32, %kv: i32, %d: i32) {
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i32
    %none = arith.cmpi eq, %n, %zero : i32
    %divisor = arith.select %none, %one, %n : i32
    %p = arith.floordivsi %kv, %divisor : i32
    attn.yield %b, %p : i32, i32
  } : !attn.tensor<[b, kv, d], f32> -> !attn.tensor<[b, kv, d], f32>
  // CHECK-NOT: attn.space
  // CHECK: attn.reduce max over "kv" in "kv_blocks" at
  // CHECK-NEXT: attn.reduce max over "d" in "part" at
  // CHECK: } : <[b, kv_blocks, part], f32>
  %y = attn.quantize %K as f8E5M2 group(%b: i32, %kv: i32, %d: i32) {
    %p = arith.floordivsi %kv, %n : i32
    %c = arith.constant 4 : i32
    %r = arith.floordivsi %d, %c : i32
    attn.yield %b, %p, %r : i32, i32, i32
  } : !attn.tensor<[b, kv, d], f32> -> !attn.tensor<[b, kv, d], f32>
  attn.return ["x", "y"](%x, %y : !attn.tensor<[b, kv, d], f32>, !attn.tensor<[b, kv, d], f32>)
}

// Any other key is compared: here over the members of the row's block.
// CHECK-LABEL: @by_residue
attn.variant @by_residue {
  %K = attn.input "K" : !attn.tensor<[b, kv, d], f32>
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[OWN:.*]]: i32) {
  // CHECK: %[[BLOCK:.*]] = arith.floordivsi %[[OWN]], %{{.*}}
  // CHECK: %[[KEY:.*]] = arith.remsi %[[OWN]], %{{.*}}
  // CHECK: attn.reduce max over "kv" in "kv_blocks" at %[[BLOCK]] (%[[KV:.*]]: i32) {
  // CHECK: attn.reduce max over "d"
  // CHECK: %[[OTHER:.*]] = arith.remsi %[[KV]], %{{.*}}
  // CHECK: %[[SAME:.*]] = arith.cmpi eq, %[[KEY]], %[[OTHER]]
  // CHECK: attn.yield %{{.*}}, %[[SAME]]
  // CHECK: } : <[b, kv], f32>
  %q = attn.quantize %K as int8 group(%b: i32, %kv: i32, %d: i32) {
    %eight = arith.constant 8 : i32
    %p = arith.floordivsi %kv, %eight : i32
    %two = arith.constant 2 : i32
    %r = arith.remsi %kv, %two : i32
    attn.yield %b, %p, %r : i32, i32, i32
  } : !attn.tensor<[b, kv, d], f32> -> !attn.tensor<[b, kv, d], f32>
  attn.return ["q"](%q : !attn.tensor<[b, kv, d], f32>)
}

// The mean of a smooth group is taken off before, and put back behind, all else; steps count from the smallest number.
// CHECK-LABEL: @smooth_asymmetric
attn.variant @smooth_asymmetric {
  %K = attn.input "K" : !attn.tensor<[b, kv, d], f32>
  // CHECK: %[[MEAN:.*]] = attn.compute (%[[B:.*]]: i32, %[[D:.*]]: i32) {
  // CHECK-NEXT: %[[SUM:.*]] = attn.reduce sum over "kv"
  // CHECK: %[[SIZE:.*]] = attn.size "kv"
  // CHECK-NEXT: %[[COUNT:.*]] = arith.sitofp %[[SIZE]]
  // CHECK-NEXT: arith.divf %[[SUM]], %[[COUNT]]
  // CHECK: } : <[b, d], f32>
  // CHECK: %[[LOWEST:.*]] = attn.compute (%{{.*}}: i32, %{{.*}}: i32) {
  // CHECK-NEXT: attn.reduce min over "d"
  // CHECK: %[[X:.*]] = arith.subf
  // CHECK-NEXT: %[[NUMBER:.*]] = arith.cmpf ord, %[[X]], %[[X]]
  // CHECK-NEXT: attn.yield %[[X]], %[[NUMBER]]
  // CHECK: } : <[b, kv], f32>
  // CHECK: attn.reduce max over "d"
  // CHECK: attn.read %[[LOWEST]]
  // CHECK: arith.constant 1.500000e+01
  // CHECK: arith.constant 1.250000e-01
  // CHECK-NEXT: arith.addf
  // CHECK: } : <[b, kv], f32>
  // CHECK: %[[ROUNDED:.*]] = arith.select
  // CHECK: %[[SHIFT:.*]] = attn.read %[[MEAN]]
  // CHECK-NEXT: arith.addf %{{.*}}, %[[SHIFT]]
  // CHECK: } : <[b, kv, d], f32>
  %q = attn.quantize %K as int4 epsilon 1.250000e-01 asymmetric
    group(%b: i32, %kv: i32, %d: i32) {
      attn.yield %b, %kv : i32, i32
    }
    smooth(%b: i32, %kv: i32, %d: i32) {
      attn.yield %b, %d : i32, i32
    } : !attn.tensor<[b, kv, d], f32> -> !attn.tensor<[b, kv, d], f32>
  attn.return ["q"](%q : !attn.tensor<[b, kv, d], f32>)
}

// A float format without a scale. The distance of its numbers is found by comparisons: of f4E2M1's 0.5, 1 and 2 here.
// CHECK-LABEL: @float
attn.variant @float {
  %K = attn.input "K" : !attn.tensor<[kv], f32>
  // CHECK: %[[X:.*]] = arith.divf
  // CHECK-NEXT: %[[ABS:.*]] = math.absf %[[X]]
  // CHECK: %[[HALF:.*]] = arith.constant 5.000000e-01
  // CHECK: %[[TWO:.*]] = arith.constant 2.000000e+00
  // CHECK: %[[SCALED:.*]] = arith.mulf %[[ABS]], %{{.*}}
  // CHECK: %[[D:.*]] = arith.mulf %[[HALF]], %{{.*}}
  // CHECK: %[[I:.*]] = arith.mulf %[[TWO]], %{{.*}}
  // CHECK-NEXT: %[[IS:.*]] = arith.cmpf oge, %[[SCALED]], %[[D]]
  // CHECK-NEXT: %[[D1:.*]] = arith.select %[[IS]], %[[D]], %[[HALF]]
  // CHECK-NEXT: %[[I1:.*]] = arith.select %[[IS]], %[[I]], %[[TWO]]
  // CHECK: %[[D2:.*]] = arith.select %[[IS2:.*]], %{{.*}}, %[[D1]]
  // CHECK-NEXT: %[[I2:.*]] = arith.select %[[IS2]], %{{.*}}, %[[I1]]
  // CHECK-NEXT: %[[STEPS:.*]] = arith.mulf %[[ABS]], %[[I2]]
  // CHECK-NEXT: %[[WHOLE:.*]] = math.roundeven %[[STEPS]]
  // CHECK-NEXT: %[[NEAREST:.*]] = arith.mulf %[[WHOLE]], %[[D2]]
  // CHECK-NEXT: %[[SIX:.*]] = arith.constant 6.000000e+00
  // CHECK-NEXT: arith.minimumf %[[NEAREST]], %[[SIX]]
  %q = attn.quantize %K as f4E2M1 static 5.000000e-01 : !attn.tensor<[kv], f32> -> !attn.tensor<[kv], f32>
  attn.return ["q"](%q : !attn.tensor<[kv], f32>)
}

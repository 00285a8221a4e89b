// RUN: attnc-opt %s | attnc-opt | FileCheck %s
// RUN: attnc-opt %s --mlir-print-op-generic | attnc-opt | FileCheck %s
// Stages in their shortest form and with all that is optional, in custom and in generic syntax.

// CHECK-LABEL: attn.variant @spaces
// CHECK: %[[N:.*]] = arith.constant 4
// CHECK: attn.space "any"{{$}}
// CHECK: attn.space "some" extent %[[N]]{{$}}
// CHECK: attn.space "p" of "kv" extent %[[N]]{{$}}
// CHECK: attn.space "c" of "kv" extent %[[N]] stride %[[N]]{{$}}
// CHECK: attn.space "w" of "p" extent %[[N]] stride %[[N]] full{{$}}
// CHECK: attn.space "r" of "q" extent %[[N]] full{{$}}
// CHECK: attn.size "w"
// CHECK: attn.input "x" sample <uniform(0.000000e+00, size(p))> : <[any, some, p], f32>
attn.variant @spaces {
  %n = arith.constant 4 : i32
  attn.space "any"
  attn.space "some" extent %n
  attn.space "p" of "kv" extent %n
  attn.space "c" of "kv" extent %n stride %n
  attn.space "w" of "p" extent %n stride %n full
  attn.space "r" of "q" extent %n full
  %size = attn.size "w"
  %x = attn.input "x" sample <uniform(0.0, size(p))> : !attn.tensor<[any, some, p], f32>
  attn.return ["x"](%x : !attn.tensor<[any, some, p], f32>)
}

// CHECK-LABEL: attn.variant @bounds
// CHECK: %[[N:.*]] = arith.constant 4
// CHECK: attn.reduce sum over "kv" in "p" at %{{.*}} from %[[N]] to %[[N]] (%
// CHECK: attn.reduce max over "kv" from %[[N]] (%
// CHECK: attn.reduce min over "kv" to %[[N]] (%
attn.variant @bounds {
  %n = arith.constant 4 : i32
  attn.space "p" of "kv" extent %n
  %x = attn.compute (%p: i32) {
    %both = attn.reduce sum over "kv" in "p" at %p from %n to %n (%kv: i32) {
      attn.yield %kv : i32
    } : i32
    %first = attn.reduce max over "kv" from %n (%kv: i32) {
      attn.yield %kv : i32
    } : i32
    %last = attn.reduce min over "kv" to %n (%kv: i32) {
      attn.yield %kv : i32
    } : i32
    %some = arith.addi %both, %first : i32
    %all = arith.addi %some, %last : i32
    attn.yield %all : i32
  } : !attn.tensor<[p], i32>
  attn.return ["x"](%x : !attn.tensor<[p], i32>)
}

// CHECK-LABEL: attn.variant @formulas
// CHECK: attn.compute () {
// CHECK: } : <[], i1>
// CHECK: attn.compute (%[[B:.*]]: i32, %[[P:.*]]: i32) {
// CHECK: attn.reduce sum over "kv" in "p" at %[[P]] (%[[KV:.*]]: i32) {
// CHECK: attn.reduce argmax over "d" (%{{.*}}: i32) {
// CHECK: attn.yield %{{.*}} : f32
// CHECK: } : i32
// CHECK: attn.yield %{{.*}}, %{{.*}} : f32, i1
// CHECK: } : f32
// CHECK: attn.uniform %[[B]][]
// CHECK: attn.uniform %[[B]][%[[P]], %[[P]], %[[P]], %[[P]]]
// CHECK: } : <[b, p], f32>
// CHECK: attn.compute (%{{.*}}: i32) {
// CHECK: } : <[b]>
attn.variant @formulas {
  %n = arith.constant 4 : i32
  attn.space "p" of "kv" extent %n
  %never = attn.compute () {
    %c = arith.constant false
    attn.yield %c : i1
  } : !attn.tensor<[], i1>
  %x = attn.compute (%b: i32, %p: i32) {
    %sum = attn.reduce sum over "kv" in "p" at %p (%kv: i32) {
      %at = attn.reduce argmax over "d" (%d: i32) {
        %r = arith.sitofp %d : i32 to f32
        attn.yield %r : f32
      } : i32
      %r = arith.sitofp %at : i32 to f32
      %c = attn.read %never[] : !attn.tensor<[], i1> -> i1
      attn.yield %r, %c : f32, i1
    } : f32
    %u = attn.uniform %b []
    %v = attn.uniform %b [%p, %p, %p, %p]
    %uv = arith.addf %u, %v : f32
    %y = arith.addf %sum, %uv : f32
    attn.yield %y : f32
  } : !attn.tensor<[b, p], f32>
  %operand = attn.compute (%b: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[b]>
  attn.return ["x"](%x : !attn.tensor<[b, p], f32>)
}

// CHECK-LABEL: attn.variant @rows
// CHECK: %[[R:.*]] = attn.input "r"
// CHECK: attn.softmax %[[R]] over "kv" : <[b, q, kv], f32> -> <[b, q, kv], f32>
// CHECK: attn.cumsum %[[R]] over "q" : <[b, q, kv], f32> -> <[b, q, kv], f32>
// CHECK: attn.rank %[[R]] over "kv" : <[b, q, kv], f32> -> <[b, q, kv], i32>
// CHECK: %[[I:.*]] = attn.order %[[R]] over "kv" : <[b, q, kv], f32> -> <[b, q, kv], i32>
// CHECK: attn.cumsum %[[I]] over "b" : <[b, q, kv], i32> -> <[b, q, kv], i32>
attn.variant @rows {
  %r = attn.input "r" : !attn.tensor<[b, q, kv], f32>
  %softmax = attn.softmax %r over "kv" : !attn.tensor<[b, q, kv], f32> -> !attn.tensor<[b, q, kv], f32>
  %sums = attn.cumsum %r over "q" : !attn.tensor<[b, q, kv], f32> -> !attn.tensor<[b, q, kv], f32>
  %ranks = attn.rank %r over "kv" : !attn.tensor<[b, q, kv], f32> -> !attn.tensor<[b, q, kv], i32>
  %order = attn.order %r over "kv" : !attn.tensor<[b, q, kv], f32> -> !attn.tensor<[b, q, kv], i32>
  %counts = attn.cumsum %order over "b" : !attn.tensor<[b, q, kv], i32> -> !attn.tensor<[b, q, kv], i32>
  attn.return []
}

// CHECK-LABEL: attn.variant @selections
// CHECK: attn.select top %[[R:.*]], %[[N:.*]] over ["kv"] : <[b, q, kv], f32>, <[], i32> -> <[b, q, kv], i1>
// CHECK: attn.select cover_inclusive %[[R]], %[[C:.*]] over ["q", "kv"] : <[b, q, kv], f32>, <[b], f32> -> <[b, q, kv], i1>
// CHECK: attn.select cover_exclusive %[[R]], %[[C]] over ["kv"] at_least %[[N]] : !attn.tensor<[], i32> at_most %[[N]] : !attn.tensor<[], i32> : <[b, q, kv], f32>, <[b], f32> -> <[b, q, kv], i1>
// CHECK: attn.select cover_exclusive %[[R]], %[[C]] over ["kv"] at_most %[[N]] : !attn.tensor<[], i32> : <[b, q, kv], f32>
attn.variant @selections {
  %r = attn.input "r" : !attn.tensor<[b, q, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  %c = attn.input "c" : !attn.tensor<[b], f32>
  %0 = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, q, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, q, kv], i1>
  %1 = attn.select cover_inclusive %r, %c over ["q", "kv"]
      : !attn.tensor<[b, q, kv], f32>, !attn.tensor<[b], f32> -> !attn.tensor<[b, q, kv], i1>
  %2 = attn.select cover_exclusive %r, %c over ["kv"] at_least %n : !attn.tensor<[], i32> at_most %n : !attn.tensor<[], i32>
      : !attn.tensor<[b, q, kv], f32>, !attn.tensor<[b], f32> -> !attn.tensor<[b, q, kv], i1>
  %3 = attn.select cover_exclusive %r, %c over ["kv"] at_most %n : !attn.tensor<[], i32>
      : !attn.tensor<[b, q, kv], f32>, !attn.tensor<[b], f32> -> !attn.tensor<[b, q, kv], i1>
  attn.return []
}

// CHECK-LABEL: attn.variant @merges
// CHECK: attn.merge(%[[O:.*]], %[[O]], %[[O]]) (%[[L:.*]], %[[L]], %[[L]]) : (!attn.tensor<[q, e]>, !attn.tensor<[q, e]>, !attn.tensor<[q, e]>), (!attn.tensor<[q], f32>, !attn.tensor<[q], f32>, !attn.tensor<[q], f32>) -> <[q, e]>, <[q], f32>
attn.variant @merges {
  %o = attn.input "o" : !attn.tensor<[q, e]>
  %l = attn.input "l" : !attn.tensor<[q], f32>
  %out, %lse = attn.merge(%o, %o, %o)(%l, %l, %l) : (!attn.tensor<[q, e]>, !attn.tensor<[q, e]>, !attn.tensor<[q, e]>),
      (!attn.tensor<[q], f32>, !attn.tensor<[q], f32>, !attn.tensor<[q], f32>) -> !attn.tensor<[q, e]>, !attn.tensor<[q], f32>
  attn.return []
}

// CHECK-LABEL: attn.variant @formats
// CHECK: %[[K:.*]] = attn.input "K"
// CHECK: attn.quantize %[[K]] as f16 : <[b, kv, d]> -> <[b, kv, d], f32>
// CHECK: attn.quantize %[[K]] as int8
// CHECK-NEXT: group(%[[B:.*]]: i32, %{{.*}}: i32, %{{.*}}: i32) {
// CHECK-NEXT: attn.yield %[[B]] : i32
// CHECK-NEXT: } : <[b, kv, d]> -> <[b, kv, d], f32>
// CHECK: attn.quantize %[[K]] as int4 round half_away scale f8E4M3 epsilon {{.*}} largest 6.000000e+00 asymmetric
// CHECK-NEXT: group(
// CHECK-NEXT: attn.yield{{$}}
// CHECK: smooth(%[[X:.*]]: i32, %[[Y:.*]]: i32, %[[Z:.*]]: i32) {
// CHECK-NEXT: attn.yield %[[X]], %[[Z]] : i32, i32
// CHECK-NEXT: } : <[b, kv, d]> -> <[b, kv, d], f32>
// CHECK: attn.quantize %[[K]] as f8E5M2 static 5.000000e-01 : <[b, kv, d]> -> <[b, kv, d], f32>
attn.variant @formats {
  %K = attn.input "K" : !attn.tensor<[b, kv, d]>
  %0 = attn.quantize %K as f16 : !attn.tensor<[b, kv, d]> -> !attn.tensor<[b, kv, d], f32>
  %1 = attn.quantize %K as int8 group(%b: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
  } : !attn.tensor<[b, kv, d]> -> !attn.tensor<[b, kv, d], f32>
  %2 = attn.quantize %K as int4 round half_away scale f8E4M3 epsilon 1.0e-6 largest 6.0 asymmetric
    group(%b: i32, %kv: i32, %d: i32) {
      attn.yield
    }
    smooth(%b: i32, %kv: i32, %d: i32) {
      attn.yield %b, %d : i32, i32
    } : !attn.tensor<[b, kv, d]> -> !attn.tensor<[b, kv, d], f32>
  %3 = attn.quantize %K as f8E5M2 static 0.5 : !attn.tensor<[b, kv, d]> -> !attn.tensor<[b, kv, d], f32>
  attn.return []
}

// CHECK-LABEL: attn.variant @tiles
// CHECK: %[[N:.*]] = arith.constant 64
// CHECK: attn.attend %{{.*}}, %{{.*}}, %{{.*}} over %[[SET:.*]] : !attn.tensor<[b, h, q, p], i1> tile %[[N]] skip_rows "w" weights f4E2M1 by 4.480000e+02 group %[[N]]
// CHECK: skip(%[[TILE:.*]]: f32, %[[RUNNING:.*]]: f32) {
// CHECK-NEXT: arith.cmpf olt, %[[TILE]], %[[RUNNING]]
// CHECK: -> <[b, h, q, e]>, <[b, h, q], f32>, !attn.tensor<[b, h, q, kv], f32>
attn.variant @tiles {
  %n = arith.constant 64 : i32
  attn.space "p" of "kv" extent %n
  attn.space "w" of "q" extent %n
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %set = attn.input "set" : !attn.tensor<[b, h, q, p], i1>
  %out, %lse, %weights = attn.attend %Q, %K, %V over %set : !attn.tensor<[b, h, q, p], i1> tile %n skip_rows "w"
      weights f4E2M1 by 448.0 group %n
    skip(%tile: f32, %running: f32) {
      %c = arith.cmpf olt, %tile, %running : f32
      attn.yield %c : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q, kv], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// CHECK-LABEL: attn.variant @choices
// CHECK: attn.space "p" extent %{{.*}} optional{{$}}
// CHECK: %[[OUT:.*]], %{{.*}}, %[[LARGEST:.*]] = attn.attend %{{.*}}, %{{.*}}, %{{.*}} parts <"p" of 16 unit 2.500000e-01 : f64>
// CHECK-SAME: -> <[b, h, q, p, e], f32>, <[b, h, q, p], f32> largest !attn.tensor<[b, h, q, p], f32>
// CHECK: %[[X:.*]] = attn.compute
// CHECK: %[[Y:.*]] = attn.compute
// CHECK: attn.choose "p" some(%[[X]]) none(%[[Y]]) : <[q], f32>
attn.variant @choices {
  %n = attn.size "kv"
  attn.space "p" extent %n optional
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  %out, %lse, %largest = attn.attend %q, %k, %v parts <"p" of 16 unit 0.25>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, p, e], f32>, !attn.tensor<[b, h, q, p], f32> largest !attn.tensor<[b, h, q, p], f32>
  %zero = arith.constant 0 : i32
  %x = attn.compute (%i: i32) {
    %top = attn.read %largest[%zero, %zero, %i, %zero] : !attn.tensor<[b, h, q, p], f32> -> f32
    attn.yield %top : f32
  } : !attn.tensor<[q], f32>
  %one = arith.constant 1.0 : f32
  %y = attn.compute (%i: i32) { attn.yield %one : f32 } : !attn.tensor<[q], f32>
  %z = attn.choose "p" some(%x) none(%y) : !attn.tensor<[q], f32>
  attn.return ["out", "z"](%out, %z : !attn.tensor<[b, h, q, p, e], f32>, !attn.tensor<[q], f32>)
}

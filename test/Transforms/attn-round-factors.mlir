// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The products of a chunked recurrence in bf16 multiply bf16, but for inverses and f32 of the caller. It cannot fail.
// RUN: attnc-opt %s --split-input-file --attn-round-factors | FileCheck %s

// What a step sums up is rounded on both sides: K is bf16 already, and the decay goes to the side that is rounded anyway. The old state
// is handed out in bf16, as it is only read to be rounded; it is copied first.
// CHECK-LABEL: attn.variant @steps
// CHECK: %[[RESULTS:.*]]:2 = attn.recur over "chunk"
// CHECK: %[[OLD:.*]] = attn.compute
// CHECK-NEXT: attn.read %{{.*}} : <[d, e], f32> -> f32
// CHECK-NEXT: attn.yield
// CHECK-NEXT: } : <[d, e], bf16>
// CHECK-NEXT: %[[NEW:.*]] = attn.compute (%[[D:.*]]: i32, %[[E:.*]]: i32) {
// CHECK: attn.reduce sum over "row"
// CHECK: %[[K:.*]] = attn.read %{{.*}}, bf16> -> f32
// CHECK: %[[A:.*]] = attn.read
// CHECK: %[[U:.*]] = attn.read
// CHECK: %[[UA:.*]] = arith.mulf %[[U]], %[[A]]
// CHECK: %[[N:.*]] = arith.truncf %[[UA]] : f32 to bf16
// CHECK: %[[W:.*]] = arith.extf %[[N]] : bf16 to f32
// CHECK: %[[P:.*]] = arith.mulf %[[K]], %[[W]]
// CHECK: attn.yield %[[P]]
// CHECK: } : <[d, e], f32>
// CHECK: attn.yield %[[OLD]], %[[NEW]] : !attn.tensor<[d, e], bf16>, !attn.tensor<[d, e], f32>
// The sum over d of a step is a product with its chunk's state.
// CHECK: attn.compute (%{{.*}}: i32, %{{.*}}: i32) {
// CHECK: attn.reduce sum over "d"
// CHECK-NOT: arith.truncf
// CHECK: attn.read %[[RESULTS]]#0{{.*}} : <[chunk, d, e], bf16> -> f32
// CHECK-NOT: arith.truncf
// CHECK: attn.return
attn.variant @steps attributes {attn.operand_dtype = bf16, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  attn.space "row" extent %c64
  attn.space "chunk" of "t" extent %c64
  %K = attn.input "K" : !attn.tensor<[t, d], bf16>
  %U = attn.input "U" : !attn.tensor<[chunk, row, e], f32>
  %after = attn.input "after" : !attn.tensor<[chunk, row], f32>
  %S0 = attn.input "S0" : !attn.tensor<[d, e], f32>
  %twice = attn.compute (%c: i32, %i: i32, %e: i32) {
    %u = attn.read %U[%c, %i, %e] : !attn.tensor<[chunk, row, e], f32> -> f32
    %uu = arith.addf %u, %u : f32
    attn.yield %uu : f32
  } : !attn.tensor<[chunk, row, e], f32>
  %all:2 = attn.recur over "chunk" for [] from(%S0 : !attn.tensor<[d, e], f32>)
    body(%c: i32, %S: !attn.tensor<[d, e], f32>) {
    %next = attn.compute (%d: i32, %e: i32) {
      %sum = attn.reduce sum over "row" (%i: i32) {
        %first = arith.muli %c, %c64 : i32
        %t = arith.addi %first, %i : i32
        %k = attn.read %K[%t, %d] : !attn.tensor<[t, d], bf16> -> f32
        %a = attn.read %after[%c, %i] : !attn.tensor<[chunk, row], f32> -> f32
        %u = attn.read %twice[%c, %i, %e] : !attn.tensor<[chunk, row, e], f32> -> f32
        %ka = arith.mulf %k, %a : f32
        %kau = arith.mulf %ka, %u : f32
        attn.yield %kau : f32
      } : f32
      %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %n = arith.addf %s, %sum : f32
      attn.yield %n : f32
    } : !attn.tensor<[d, e], f32>
    attn.yield %S, %next : !attn.tensor<[d, e], f32>, !attn.tensor<[d, e], f32>
  } : !attn.tensor<[chunk, d, e], f32>, !attn.tensor<[d, e], f32>
  %out = attn.compute (%t: i32, %e: i32) {
    %sum = attn.reduce sum over "d" (%d: i32) {
      %c = arith.floordivsi %t, %c64 : i32
      %k = attn.read %K[%t, %d] : !attn.tensor<[t, d], bf16> -> f32
      %s = attn.read %all#0[%c, %d, %e] : !attn.tensor<[chunk, d, e], f32> -> f32
      %ks = arith.mulf %k, %s : f32
      attn.yield %ks : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[t, e], f32>
  attn.return ["out", "S"](%out, %all#1 : !attn.tensor<[t, e], f32>, !attn.tensor<[d, e], f32>)
}

// -----

// An inverse, scaled, is rounded to the sum of two numbers: its kernel may know. One that something else reads too is not `rounded`. A sum of what is no matrix is not: both factors know all indices.
// CHECK-LABEL: attn.variant @inverse
// CHECK: attn.invert %{{.*}} over "column" by "row" rounded :
// CHECK: attn.invert %{{.*}} over "column" by "row" :
// CHECK: attn.reduce sum over "row"
// CHECK: %[[T:.*]] = attn.read
// CHECK: %[[B:.*]] = attn.read
// CHECK: %[[V:.*]] = attn.read %{{.*}} bf16> -> f32
// CHECK: %[[TB:.*]] = arith.mulf %[[T]], %[[B]]
// CHECK: %[[N:.*]] = arith.truncf %[[TB]]
// CHECK: %[[FIRST:.*]] = arith.extf %[[N]]
// CHECK: %[[REST:.*]] = arith.subf %[[TB]], %[[FIRST]]
// CHECK: %[[M:.*]] = arith.truncf %[[REST]]
// CHECK: %[[SECOND:.*]] = arith.extf %[[M]]
// CHECK: %[[SUM:.*]] = arith.addf %[[FIRST]], %[[SECOND]]
// CHECK: arith.mulf %[[SUM]], %[[V]]
// CHECK-NOT: arith.truncf
// CHECK: attn.return
attn.variant @inverse attributes {attn.operand_dtype = bf16, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %c64 = arith.constant 64 : i32
  attn.space "row" extent %c64
  attn.space "column" extent %c64
  attn.space "chunk" of "t" extent %c64
  %V = attn.input "V" : !attn.tensor<[chunk, row, e], bf16>
  %N = attn.input "N" : !attn.tensor<[chunk, column, row], f32>
  %beta = attn.input "beta" : !attn.tensor<[chunk, row], f32>
  %T = attn.invert %N over "column" by "row" : !attn.tensor<[chunk, column, row], f32> -> !attn.tensor<[chunk, column, row], f32>
  %unrounded = attn.invert %N over "column" by "row" : !attn.tensor<[chunk, column, row], f32> -> !attn.tensor<[chunk, column, row], f32>
  %R = attn.compute (%c: i32, %i: i32, %e: i32) {
    %sum = attn.reduce sum over "row" (%j: i32) {
      %x = attn.read %T[%c, %i, %j] : !attn.tensor<[chunk, column, row], f32> -> f32
      %b = attn.read %beta[%c, %j] : !attn.tensor<[chunk, row], f32> -> f32
      %v = attn.read %V[%c, %j, %e] : !attn.tensor<[chunk, row, e], bf16> -> f32
      %xb = arith.mulf %x, %b : f32
      %xbv = arith.mulf %xb, %v : f32
      attn.yield %xbv : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[chunk, column, e], f32>
  %squares = attn.compute (%c: i32, %e: i32) {
    %sum = attn.reduce sum over "row" (%j: i32) {
      %v = attn.read %R[%c, %j, %e] : !attn.tensor<[chunk, column, e], f32> -> f32
      %vv = arith.mulf %v, %v : f32
      attn.yield %vv : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[chunk, e], f32>
  %S0 = attn.compute (%e: i32) {
    %zero = arith.constant 0.0 : f32
    attn.yield %zero : f32
  } : !attn.tensor<[e], f32>
  %S = attn.recur over "chunk" for [] from(%S0 : !attn.tensor<[e], f32>) body(%c: i32, %s: !attn.tensor<[e], f32>) {
    %next = attn.compute (%e: i32) {
      %sum = attn.read %squares[%c, %e] : !attn.tensor<[chunk, e], f32> -> f32
      %before = attn.read %s[%e] : !attn.tensor<[e], f32> -> f32
      %n = arith.addf %before, %sum : f32
      attn.yield %n : f32
    } : !attn.tensor<[e], f32>
    attn.yield %next : !attn.tensor<[e], f32>
  } : !attn.tensor<[e], f32>
  attn.return ["S", "T"](%S, %unrounded : !attn.tensor<[e], f32>, !attn.tensor<[chunk, column, row], f32>)
}

// -----

// What the caller gives in f32 stays, by way of a scaled tensor too.
// CHECK-LABEL: attn.variant @given
// CHECK-NOT: truncf
// CHECK: attn.return
attn.variant @given attributes {attn.operand_dtype = bf16, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %c64 = arith.constant 64 : i32
  attn.space "row" extent %c64
  attn.space "chunk" of "t" extent %c64
  %K = attn.input "K" : !attn.tensor<[chunk, row, d], f32>
  %V = attn.input "V" : !attn.tensor<[chunk, row, e], f32>
  %S0 = attn.input "S0" : !attn.tensor<[d, e], f32>
  %after = attn.input "after" : !attn.tensor<[chunk, row], f32>
  %scaled = attn.compute (%c: i32, %i: i32, %d: i32) {
    %k = attn.read %K[%c, %i, %d] : !attn.tensor<[chunk, row, d], f32> -> f32
    %a = attn.read %after[%c, %i] : !attn.tensor<[chunk, row], f32> -> f32
    %ka = arith.mulf %k, %a : f32
    attn.yield %ka : f32
  } : !attn.tensor<[chunk, row, d], f32>
  %S = attn.recur over "chunk" for [] from(%S0 : !attn.tensor<[d, e], f32>) body(%c: i32, %s: !attn.tensor<[d, e], f32>) {
    %next = attn.compute (%d: i32, %e: i32) {
      %sum = attn.reduce sum over "row" (%i: i32) {
        %k = attn.read %scaled[%c, %i, %d] : !attn.tensor<[chunk, row, d], f32> -> f32
        %v = attn.read %V[%c, %i, %e] : !attn.tensor<[chunk, row, e], f32> -> f32
        %kv = arith.mulf %k, %v : f32
        attn.yield %kv : f32
      } : f32
      %before = attn.read %s[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %n = arith.addf %before, %sum : f32
      attn.yield %n : f32
    } : !attn.tensor<[d, e], f32>
    attn.yield %next : !attn.tensor<[d, e], f32>
  } : !attn.tensor<[d, e], f32>
  attn.return ["S"](%S : !attn.tensor<[d, e], f32>)
}

// -----

// A copy of bf16 numbers is stored as bf16, unless it is put out: an output keeps its type.
// CHECK-LABEL: attn.variant @copies
// CHECK: attn.compute
// CHECK: attn.read %{{.*}} : <[b, t, d], bf16> -> f32
// CHECK: } : <[b, chunk, row, d], bf16>
// CHECK: attn.compute
// CHECK: attn.read %{{.*}} : <[b, t, d], bf16> -> f32
// CHECK: } : <[b, chunk, row, d], f32>
attn.variant @copies attributes {attn.operand_dtype = bf16, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  attn.space "row" extent %c64
  attn.space "chunk" of "t" extent %c64
  %K = attn.input "K" : !attn.tensor<[b, t, d], bf16>
  %read = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %first = arith.muli %c, %c64 : i32
    %t = arith.addi %first, %i : i32
    %size = attn.size "t"
    %isStep = arith.cmpi slt, %t, %size : i32
    %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], bf16> -> f32
    %r = arith.select %isStep, %k, %zero : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  %put = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %first = arith.muli %c, %c64 : i32
    %t = arith.addi %first, %i : i32
    %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], bf16> -> f32
    attn.yield %k : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  %twice = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %x = attn.read %read[%b, %c, %i, %d] : !attn.tensor<[b, chunk, row, d], f32> -> f32
    %y = arith.addf %x, %x : f32
    attn.yield %y : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  attn.return ["put", "twice"](%put, %twice : !attn.tensor<[b, chunk, row, d], f32>, !attn.tensor<[b, chunk, row, d], f32>)
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which stages run chunk by chunk: those between which a large tensor lies, over the axes along which each reads at its
// own index.
// RUN: attnc-opt %s --split-input-file --convert-attn-to-tile --canonicalize --cse | FileCheck %s

// A tensor over queries and keys, summed over keys: in parts of b, h and q. Kernels get the parts; their tiles begin at
// the first index of the part.
// CHECK-LABEL: tile.kernel @rows_0_w
// CHECK-SAME: %[[FIRST:[a-z_0-9.]*]]: i32 {tile.binding = "part:q.first"}, %[[COUNT:[a-z_0-9.]*]]: i32 {tile.binding = "part:q.count"}
// CHECK: %[[UP:.*]] = arith.addi %[[COUNT]], %c63_i32
// CHECK: arith.divui %[[UP]], %c64_i32
// CHECK: arith.addi %[[FIRST]], %{{.*}}
// CHECK-LABEL: tile.program "rows"
// CHECK: tile.chunks (%[[B:.*]], %[[BN:.*]]) of %{{.*}} by 1, (%[[H:.*]], %[[HN:.*]]) of %{{.*}} by 1, (%[[Q:.*]], %[[QN:.*]]) of %{{.*}} by 64 {
// CHECK: tile.workspace "w"[%[[BN]], %[[HN]], %[[QN]], %{{.*}}] from[%[[B]], %[[H]], %[[Q]], %c0_i32]
// CHECK: tile.launch @rows_0_w
// CHECK: tile.launch @rows_1_sum
// CHECK: }
attn.variant @rows attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q], f32>
  %y = attn.input "y" : !attn.tensor<[b, h, kv], f32>
  %w = attn.compute(%b: i32, %h: i32, %q: i32, %kv: i32) {
    %1 = attn.read %x[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    %2 = attn.read %y[%b, %h, %kv] : !attn.tensor<[b, h, kv], f32> -> f32
    %3 = arith.mulf %1, %2 : f32
    attn.yield %3 : f32
  } : !attn.tensor<[b, h, q, kv], f32> loc("w")
  %sum = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.reduce sum over "kv" (%kv: i32) {
      %2 = attn.read %w[%b, %h, %q, %kv] : !attn.tensor<[b, h, q, kv], f32> -> f32
      attn.yield %2 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, h, q], f32>
  attn.return ["sum"](%sum : !attn.tensor<[b, h, q], f32>)
}

// -----

// Summed over queries: a chunk of q would not do, parts of b and h do.
// CHECK-LABEL: tile.program "columns"
// CHECK: tile.chunks (%{{.*}}, %{{.*}}) of %{{.*}} by 1, (%{{.*}}, %{{.*}}) of %{{.*}} by 1 {
attn.variant @columns attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q, kv], f32>
  %w = attn.compute(%b: i32, %h: i32, %q: i32, %kv: i32) {
    %1 = attn.read %x[%b, %h, %q, %kv] : !attn.tensor<[b, h, q, kv], f32> -> f32
    %2 = math.exp %1 : f32
    attn.yield %2 : f32
  } : !attn.tensor<[b, h, q, kv], f32> loc("w")
  %sum = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.reduce sum over "q" (%i: i32) {
      %2 = attn.read %w[%b, %h, %i, %q] : !attn.tensor<[b, h, q, kv], f32> -> f32
      attn.yield %2 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, h, q], f32>
  attn.return ["sum"](%sum : !attn.tensor<[b, h, q], f32>)
}

// -----

// The first row of all heads of all batches: nothing can be cut. An output is whole, too.
// CHECK-LABEL: tile.program "nowhere"
// CHECK-NOT: tile.chunks
attn.variant @nowhere attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q, kv], f32>
  %w = attn.compute(%b: i32, %h: i32, %q: i32, %kv: i32) {
    %1 = attn.read %x[%b, %h, %q, %kv] : !attn.tensor<[b, h, q, kv], f32> -> f32
    %2 = math.exp %1 : f32
    attn.yield %2 : f32
  } : !attn.tensor<[b, h, q, kv], f32> loc("w")
  %first = attn.compute(%b: i32, %h: i32, %q: i32, %kv: i32) {
    %zero = arith.constant 0 : i32
    %1 = attn.read %w[%zero, %zero, %zero, %kv] : !attn.tensor<[b, h, q, kv], f32> -> f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, h, q, kv], f32>
  attn.return ["first"](%first : !attn.tensor<[b, h, q, kv], f32>)
}

// -----

// What lies between two stages of a loop is in it: `top` is not over q, and so q is not cut.
// CHECK-LABEL: tile.program "between"
// CHECK: tile.chunks (%{{.*}}, %{{.*}}) of %{{.*}} by 1 {
// CHECK: tile.launch @between_0_w
// CHECK: tile.launch @between_1_top
// CHECK: tile.launch @between_2
// CHECK: }
attn.variant @between attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[h, q, kv], f32>
  %w = attn.compute(%h: i32, %q: i32, %kv: i32) {
    %1 = attn.read %x[%h, %q, %kv] : !attn.tensor<[h, q, kv], f32> -> f32
    %2 = math.exp %1 : f32
    attn.yield %2 : f32
  } : !attn.tensor<[h, q, kv], f32> loc("w")
  %top = attn.compute(%h: i32) {
    %1 = attn.reduce max over "q" (%q: i32) {
      %zero = arith.constant 0 : i32
      %2 = attn.read %w[%h, %q, %zero] : !attn.tensor<[h, q, kv], f32> -> f32
      attn.yield %2 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[h], f32> loc("top")
  %sum = attn.compute(%h: i32, %q: i32) {
    %1 = attn.reduce sum over "kv" (%kv: i32) {
      %2 = attn.read %w[%h, %q, %kv] : !attn.tensor<[h, q, kv], f32> -> f32
      %3 = attn.read %top[%h] : !attn.tensor<[h], f32> -> f32
      %4 = arith.divf %2, %3 : f32
      attn.yield %4 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[h, q], f32>
  attn.return ["sum"](%sum : !attn.tensor<[h, q], f32>)
}

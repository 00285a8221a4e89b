// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which sides of products are blocks of a tensor. It cannot fail: what is none is read element by element.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @blocks attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %c64 = arith.constant 64 : i32
  %c80 = arith.constant 80 : i32
  %zero = arith.constant 0.0 : f32
  attn.space "d" extent %c64
  attn.space "e" extent %c64
  attn.space "odd" extent %c80
  attn.space "row" extent %c64
  attn.space "chunk" of "t" extent %c64
  %K = attn.input "K" : !attn.tensor<[b, t, d], bf16>
  %V = attn.input "V" : !attn.tensor<[b, t, e], bf16>
  %H = attn.input "H" : !attn.tensor<[b, chunk, d, e], bf16>
  %A = attn.input "A" : !attn.tensor<[b, chunk, row, d], bf16>
  %W = attn.input "W" : !attn.tensor<[b, t, odd], bf16>
  %U = attn.input "U" : !attn.tensor<[b, odd, e], bf16>

  // Steps of a chunk: rows from its first step on, none beyond the last step. The left side is read along its rows and turned.
  // CHECK-LABEL: tile.kernel @blocks_0
  // CHECK-SAME: !tile.view<3xbf16, unit> {{.*}} tile.binding = "tensor:K"
  // CHECK: %[[FIRST:.*]] = arith.muli %[[CHUNK:.*]], %c64_i32
  // CHECK: %[[K:.*]] = tile.load_block %{{.*}}[%[[B:.*]]] rows 1 from %[[FIRST]] to %[[STEPS:.*]] cols from %c0_i32 : <3xbf16, unit> -> <64x64xbf16>
  // CHECK: %[[V:.*]] = tile.load_block %{{.*}}[%[[B]]] rows 1 from %[[FIRST]] to %[[STEPS]] cols from %c0_i32 : <3xbf16, unit> -> <64x64xbf16>
  // CHECK: %[[T:.*]] = tile.transpose %[[K]]
  // CHECK: tile.dot %[[T]], %[[V]],
  %S = attn.compute (%b: i32, %c: i32, %d: i32, %e: i32) {
    %sum = attn.reduce sum over "row" (%i: i32) {
      %first = arith.muli %c, %c64 : i32
      %t = arith.addi %first, %i : i32
      %size = attn.size "t"
      %isIn = arith.cmpi slt, %t, %size : i32
      %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], bf16> -> f32
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e], bf16> -> f32
      %kIn = arith.select %isIn, %k, %zero : f32
      %vIn = arith.select %isIn, %v, %zero : f32
      %p = arith.mulf %kIn, %vIn : f32
      attn.yield %p : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, chunk, d, e], f32>

  // The step within its chunk, and the chunk, of a row of the tile. A result in bf16 has rows of its own.
  // CHECK-LABEL: tile.kernel @blocks_1
  // CHECK-SAME: %{{.*}}: !tile.view<3xbf16, unit> {{.*}}tile.output
  // CHECK: %[[STEP:.*]] = arith.remui %{{.*}}, %c64_i32
  // CHECK: tile.load_block %{{.*}}[%[[B:.*]], %[[CHUNK:.*]]] rows 2 from %[[STEP]] to %c64_i32 cols from %c0_i32 : <4xbf16, unit> -> <64x64xbf16>
  // CHECK: tile.load_block %{{.*}}[%[[B]], %[[CHUNK]]] rows 2 from %c0_i32 to %c64_i32 cols from %c0_i32 : <4xbf16, unit> -> <64x64xbf16>
  %out = attn.compute (%b: i32, %t: i32, %e: i32) {
    %c = arith.floordivsi %t, %c64 : i32
    %i = arith.remsi %t, %c64 : i32
    %sum = attn.reduce sum over "d" (%d: i32) {
      %a = attn.read %A[%b, %c, %i, %d] : !attn.tensor<[b, chunk, row, d], bf16> -> f32
      %h = attn.read %H[%b, %c, %d, %e] : !attn.tensor<[b, chunk, d, e], bf16> -> f32
      %p = arith.mulf %a, %h : f32
      attn.yield %p : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, t, e], bf16>

  // Columns that are no whole tiles, and steps that nothing keeps inside: neighbours are clamped, not 0.
  // CHECK-LABEL: tile.kernel @blocks_2
  // CHECK-NOT: tile.load_block
  // CHECK: tile.dot
  // CHECK-NOT: tile.load_block
  // CHECK: tile.return
  %ragged = attn.compute (%b: i32, %t: i32, %e: i32) {
    %sum = attn.reduce sum over "odd" (%o: i32) {
      %w = attn.read %W[%b, %t, %o] : !attn.tensor<[b, t, odd], bf16> -> f32
      %u = attn.read %U[%b, %o, %e] : !attn.tensor<[b, odd, e], bf16> -> f32
      %p = arith.mulf %w, %u : f32
      attn.yield %p : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, t, e], f32>
  // CHECK-LABEL: tile.kernel @blocks_3
  // CHECK: tile.map()
  // CHECK: tile.load_block
  // CHECK: tile.dot
  %shifted = attn.compute (%b: i32, %t: i32, %e: i32) {
    %one = arith.constant 1 : i32
    %before = arith.subi %t, %one : i32
    %c = arith.floordivsi %t, %c64 : i32
    %sum = attn.reduce sum over "d" (%d: i32) {
      %k = attn.read %K[%b, %before, %d] : !attn.tensor<[b, t, d], bf16> -> f32
      %h = attn.read %H[%b, %c, %d, %e] : !attn.tensor<[b, chunk, d, e], bf16> -> f32
      %p = arith.mulf %k, %h : f32
      attn.yield %p : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, t, e], f32>
  attn.return ["S", "out", "ragged", "shifted"](%S, %out, %ragged, %shifted : !attn.tensor<[b, chunk, d, e], f32>, !attn.tensor<[b, t, e], bf16>, !attn.tensor<[b, t, e], f32>, !attn.tensor<[b, t, e], f32>)
}

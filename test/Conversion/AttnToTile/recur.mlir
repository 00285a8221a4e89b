// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A recurrence, step by step: states in memory for even and odd steps, stages with barriers between
// them, the steps of a group around the state that it starts with.
// RUN: attnc-opt %s --split-input-file --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @steps attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %K = attn.input "K" : !attn.tensor<[b, h, t, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, h, t, e], f32>
  %zero = attn.compute (%d: i32, %e: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[d, e], f32>

  // CHECK-LABEL: tile.kernel @steps(
  // CHECK-SAME: %[[STATE:[^:]*]]: !tile.view<5xf32, unit> {{{[^}]*}}"tensor:out.state0", {{[^}]*}}}
  // CHECK-SAME: %[[START:[^:]*]]: !tile.view<4xf32, unit> {{{[^}]*}}"tensor:out.start0", {{[^}]*}}}
  // CHECK-SAME: %[[NEXT:[^:]*]]: !tile.view<4xf32, unit> {{{[^}]*}}"tensor:out.step0", {{[^}]*}}}
  // CHECK: tile.store_block {{.*}}, %[[STATE]][%{{.*}}] rows 3
  // CHECK: tile.barrier
  // CHECK: scf.for
  // CHECK:   tile.store_block {{.*}}, %[[START]]
  // CHECK:   tile.barrier
  // CHECK:   scf.for %[[T:.*]] =
  // CHECK:     %[[OLD:.*]] = arith.andi %[[T]], %c1_i32
  // CHECK:     tile.element %[[START]]
  // CHECK:     tile.element %[[STATE]][%[[OLD]],
  // CHECK:     tile.store_block {{.*}}, %[[NEXT]]
  // CHECK:     tile.store_block {{.*}}, %[[STATE]]
  // CHECK:     tile.barrier
  // CHECK:     tile.element %[[NEXT]]
  // CHECK:     tile.store {{.*}} : <64xf32>
  // CHECK:     tile.barrier
  // CHECK: tile.store_block
  // CHECK: tile.return
  %group = arith.constant 4 : i32
  %out, %final = attn.recur over "t" for ["b", "h"] every %group from (%zero : !attn.tensor<[d, e], f32>)
      body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d, e], f32>, %start: !attn.tensor<[d, e], f32>) {
    %next = attn.compute (%d: i32, %e: i32) {
      %first = attn.read %start[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %k = attn.read %K[%b, %h, %t, %d] : !attn.tensor<[b, h, t, d], f32> -> f32
      %v = attn.read %V[%b, %h, %t, %e] : !attn.tensor<[b, h, t, e], f32> -> f32
      %kv = arith.mulf %k, %v : f32
      %sum = arith.addf %s, %kv : f32
      %all = arith.addf %sum, %first : f32
      attn.yield %all : f32
    } : !attn.tensor<[d, e], f32>
    %o = attn.compute (%e: i32) {
      %r = attn.reduce sum over "d" (%d: i32) {
        %s = attn.read %next[%d, %e] : !attn.tensor<[d, e], f32> -> f32
        attn.yield %s : f32
      } : f32
      attn.yield %r : f32
    } : !attn.tensor<[e], f32>
    attn.yield %o, %next : !attn.tensor<[e], f32>, !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, h, t, e], f32>, !attn.tensor<[b, h, d, e], f32>
  attn.return ["out", "S"](%out, %final : !attn.tensor<[b, h, t, e], f32>, !attn.tensor<[b, h, d, e], f32>)
}

// -----

// Columns of a state that no step combines are shared out over programs, a tile to each; what the state starts with is a constant and
// no tensor. A step that reads each element at its own place has its tile of the state in registers, without a bound; no memory is asked
// for it.
attn.variant @slices attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %columns = arith.constant 128 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %columns
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %V = attn.input "V" : !attn.tensor<[b, t, e], f32>
  %half = attn.compute (%d: i32, %e: i32) {
    %c = arith.constant 0.5 : f32
    attn.yield %c : f32
  } : !attn.tensor<[d, e], f32>
  // CHECK-LABEL: tile.kernel @slices
  // CHECK: %[[SLICE:.*]] = tile.program_id 1
  // CHECK: %[[AT:.*]] = arith.muli %[[SLICE]], %c64_i32
  // CHECK: %[[FIRST:.*]] = arith.minsi %[[AT]], %c64_i32
  // CHECK: tile.program_id 0
  // CHECK: %[[START:.*]] = tile.fill %cst
  // CHECK: %[[END:.*]] = scf.for {{.*}} iter_args(%[[OLD:.*]] = %[[START]])
  // CHECK-NOT: scf.for
  // CHECK: %[[NEW:.*]] = tile.map({{.*}}%[[OLD]]{{.*}}) at(%c0_i32, %[[FIRST]])
  // CHECK-NOT: tile.store_block
  // CHECK: scf.yield %[[NEW]]
  // CHECK: tile.store_block %[[END]], {{.*}} cols 2 from %[[FIRST]] to %c128_i32
  // CHECK: tile.program
  // CHECK-NOT: tile.workspace
  // CHECK: tile.launch @slices{{.*}} grid(%{{.*}}, %c2_i32, %c1_i32)
  %S = attn.recur over "t" for ["b"] from (%half : !attn.tensor<[d, e], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d, e], f32>) {
    %next = attn.compute (%d: i32, %e: i32) {
      %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
      %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e], f32> -> f32
      %kv = arith.mulf %k, %v : f32
      %sum = arith.addf %s, %kv : f32
      attn.yield %sum : f32
    } : !attn.tensor<[d, e], f32>
    attn.yield %next : !attn.tensor<[d, e], f32>
  } : !attn.tensor<[b, d, e], f32>
  attn.return ["S"](%S : !attn.tensor<[b, d, e], f32>)
}

// -----

// Columns that a step sums have one program.
attn.variant @whole attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %V = attn.input "V" : !attn.tensor<[b, t, e], f32>
  %zero = attn.compute (%e: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[e], f32>
  // CHECK-LABEL: tile.kernel @whole
  // CHECK-NOT: tile.program_id 1
  // CHECK: tile.program
  %S = attn.recur over "t" for ["b"] from (%zero : !attn.tensor<[e], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[e], f32>) {
    %next = attn.compute (%e: i32) {
      %all = attn.reduce sum over "e" (%i: i32) {
        %s = attn.read %S[%i] : !attn.tensor<[e], f32> -> f32
        attn.yield %s : f32
      } : f32
      %v = attn.read %V[%b, %t, %e] : !attn.tensor<[b, t, e], f32> -> f32
      %sum = arith.addf %all, %v : f32
      attn.yield %sum : f32
    } : !attn.tensor<[e], f32>
    attn.yield %next : !attn.tensor<[e], f32>
  } : !attn.tensor<[b, e], f32>
  attn.return ["S"](%S : !attn.tensor<[b, e], f32>)
}

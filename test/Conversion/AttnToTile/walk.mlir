// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels that walk along the steps of a recurrence over blocks of rows: what comes before a step and behind it is computed between
// the steps, so that what they hand on is small.
// RUN: attnc-opt %s --split-input-file --attn-form-kernels | FileCheck %s
// RUN: attnc-opt %s --split-input-file --attn-form-kernels --convert-attn-to-tile --canonicalize --cse | FileCheck %s --check-prefix=TILE

// Sums of each block, their running sums, and what these are to each row: one program for each b. The sums and the state before a
// step are its own, at the index of the step.
// CHECK-LABEL: attn.variant @walk
// CHECK: } {attn.kernel = 0 : i64} : <[b, c, d], f32>
// CHECK: } {attn.kernel = 0 : i64} : !attn.tensor<[b, c, d], f32>, !attn.tensor<[b, d], f32>
// CHECK: } {attn.kernel = 0 : i64} : <[b, c, r, d], f32>
// TILE: tile.kernel @walk
// TILE: %[[B:.*]] = tile.program_id 0
// TILE: tile.store %{{.*}}, %[[STATES:.*]][%c0_i32, %[[B]]]
// TILE: scf.for %[[C:.*]] = %c0_i32 to %{{.*}} step %c1_i32
// TILE:   %[[SUMS:.*]] = tile.local [1, 1, 64] from[%[[B]], %[[C]], %c0_i32] at 0
// TILE:   %[[BEFORE:.*]] = tile.local [1, 1, 64] from[%[[B]], %[[C]], %c0_i32] at 256
// TILE:   tile.store %{{.*}}, %[[SUMS]][%[[B]], %[[C]]]
// TILE:   tile.barrier
// TILE:   tile.element %[[STATES]]
// TILE:   tile.element %[[SUMS]]
// TILE:   tile.store %{{.*}}, %[[STATES]]
// TILE:   tile.store %{{.*}}, %[[BEFORE]][%[[B]], %[[C]]]
// TILE:   tile.element %[[BEFORE]]
// TILE:   tile.store_block %{{.*}}, %{{.*}}[%[[B]], %[[C]]]
// TILE: }
// TILE: tile.element %[[STATES]]
// TILE: tile.store %{{.*}}, %{{.*}}[%[[B]]]
// TILE: tile.return
attn.variant @walk attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %rows = arith.constant 16 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "c" of "t" extent %rows
  attn.space "r" extent %rows
  %x = attn.input "x" : !attn.tensor<[b, t, d], f32>
  %none = attn.compute(%d: i32) {
    %zero = arith.constant 0.0 : f32
    attn.yield %zero : f32
  } : !attn.tensor<[d], f32>
  %sums = attn.compute(%b: i32, %c: i32, %d: i32) {
    %sixteen = arith.constant 16 : i32
    %first = arith.muli %c, %sixteen : i32
    %1 = attn.reduce sum over "r" (%r: i32) {
      %t = arith.addi %first, %r : i32
      %2 = attn.read %x[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      attn.yield %2 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, c, d], f32>
  %before, %S = attn.recur over "c" for ["b"] from(%none : !attn.tensor<[d], f32>)
    body(%b: i32, %c: i32, %old: !attn.tensor<[d], f32>) {
    %new = attn.compute(%d: i32) {
      %1 = attn.read %old[%d] : !attn.tensor<[d], f32> -> f32
      %2 = attn.read %sums[%b, %c, %d] : !attn.tensor<[b, c, d], f32> -> f32
      %3 = arith.addf %1, %2 : f32
      attn.yield %3 : f32
    } : !attn.tensor<[d], f32>
    attn.yield %old, %new : !attn.tensor<[d], f32>, !attn.tensor<[d], f32>
  } : !attn.tensor<[b, c, d], f32>, !attn.tensor<[b, d], f32>
  %y = attn.compute(%b: i32, %c: i32, %r: i32, %d: i32) {
    %1 = attn.read %before[%b, %c, %d] : !attn.tensor<[b, c, d], f32> -> f32
    %2 = arith.sitofp %r : i32 to f32
    %3 = arith.mulf %1, %2 : f32
    attn.yield %3 : f32
  } : !attn.tensor<[b, c, r, d], f32>
  attn.return ["y", "S"](%y, %S : !attn.tensor<[b, c, r, d], f32>, !attn.tensor<[b, d], f32>)
}

// -----

// What reads the block before, or the last state, is not there at a step; single rows are no blocks, and a GPU would have a program
// for each b only.
// CHECK-LABEL: attn.variant @apart
// CHECK: } {attn.kernel = 0 : i64} : <[b, c, d], f32>
// CHECK: } {attn.kernel = 1 : i64} : !attn.tensor<[b, c, d], f32>, !attn.tensor<[b, d], f32>
// CHECK: } {attn.kernel = 2 : i64} : <[b, c, d], f32>
attn.variant @apart attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %rows = arith.constant 16 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "c" of "t" extent %rows
  %x = attn.input "x" : !attn.tensor<[b, t, d], f32>
  %none = attn.compute(%d: i32) {
    %zero = arith.constant 0.0 : f32
    attn.yield %zero : f32
  } : !attn.tensor<[d], f32>
  %firsts = attn.compute(%b: i32, %c: i32, %d: i32) {
    %sixteen = arith.constant 16 : i32
    %first = arith.muli %c, %sixteen : i32
    %1 = attn.read %x[%b, %first, %d] : !attn.tensor<[b, t, d], f32> -> f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, c, d], f32>
  %before, %S = attn.recur over "c" for ["b"] from(%none : !attn.tensor<[d], f32>)
    body(%b: i32, %c: i32, %old: !attn.tensor<[d], f32>) {
    %new = attn.compute(%d: i32) {
      %one = arith.constant 1 : i32
      %last = arith.subi %c, %one : i32
      %1 = attn.read %old[%d] : !attn.tensor<[d], f32> -> f32
      %2 = attn.read %firsts[%b, %last, %d] : !attn.tensor<[b, c, d], f32> -> f32
      %3 = arith.addf %1, %2 : f32
      attn.yield %3 : f32
    } : !attn.tensor<[d], f32>
    attn.yield %old, %new : !attn.tensor<[d], f32>, !attn.tensor<[d], f32>
  } : !attn.tensor<[b, c, d], f32>, !attn.tensor<[b, d], f32>
  %y = attn.compute(%b: i32, %c: i32, %d: i32) {
    %1 = attn.read %before[%b, %c, %d] : !attn.tensor<[b, c, d], f32> -> f32
    %2 = attn.read %S[%b, %d] : !attn.tensor<[b, d], f32> -> f32
    %3 = arith.mulf %1, %2 : f32
    attn.yield %3 : f32
  } : !attn.tensor<[b, c, d], f32>
  attn.return ["y"](%y : !attn.tensor<[b, c, d], f32>)
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products and sums up to, or from, an index of the tile are one scan of the elements of all rows; others are not.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @running attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %rows = arith.constant 16 : i32
  %few = arith.constant 12 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "i" extent %rows
  attn.space "x" extent %rows
  attn.space "y" extent %few
  %F = attn.input "F" : !attn.tensor<[b, x, d], f32>
  %T = attn.input "T" : !attn.tensor<[b, t], f32>
  %G = attn.input "G" : !attn.tensor<[b, y, d], f32>

  // CHECK-LABEL: tile.kernel @running_0
  // CHECK-NOT: scf.for
  // CHECK: %[[ELEMENTS:.*]] = tile.map()
  // CHECK-NOT: arith.select
  // CHECK: %[[PREFIX:.*]] = tile.scan product %[[ELEMENTS]] along rows : <16x64xf32>
  // CHECK: tile.store_block %[[PREFIX]]
  %inclusive = attn.compute (%b: i32, %i: i32, %d: i32) {
    %one = arith.constant 1 : i32
    %to = arith.addi %i, %one : i32
    %r = attn.reduce prod over "x" to %to (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      attn.yield %v : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, i, d], f32>

  // CHECK-LABEL: tile.kernel @running_1
  // CHECK: tile.scan sum {{.*}} along rows exclusive reverse
  %after = attn.compute (%b: i32, %i: i32, %d: i32) {
    %one = arith.constant 1 : i32
    %from = arith.addi %i, %one : i32
    %r = attn.reduce sum over "x" from %from (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      attn.yield %v : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, i, d], f32>

  // Elements that are not there, or whose condition does not hold, change nothing.
  // CHECK-LABEL: tile.kernel @running_2
  // CHECK: %[[TWELVE:.*]] = arith.constant 12 : i32
  // CHECK: tile.map()
  // CHECK: %[[IN:.*]] = arith.cmpi slt, %{{.*}}, %[[TWELVE]]
  // CHECK: %[[BOTH:.*]] = arith.andi %[[IN]]
  // CHECK: arith.select %[[BOTH]]
  // CHECK: tile.scan product {{.*}} along rows exclusive :
  %before = attn.compute (%b: i32, %i: i32, %d: i32) {
    %r = attn.reduce prod over "y" to %i (%y: i32) {
      %v = attn.read %G[%b, %y, %d] : !attn.tensor<[b, y, d], f32> -> f32
      %zero = arith.constant 0.0 : f32
      %c = arith.cmpf ogt, %v, %zero : f32
      attn.yield %v, %c : f32, i1
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, i, d], f32>

  // What differs from row to row is no prefix of one sequence.
  // CHECK-LABEL: tile.kernel @running_3
  // CHECK-NOT: tile.scan
  // CHECK: scf.for
  %differs = attn.compute (%b: i32, %i: i32, %d: i32) {
    %r = attn.reduce prod over "x" to %i (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      %n = arith.sitofp %i : i32 to f32
      %p = arith.addf %v, %n : f32
      attn.yield %p : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, i, d], f32>

  // Rows of several tiles do not start at 0.
  // CHECK-LABEL: tile.kernel @running_4
  // CHECK-NOT: tile.scan
  %long = attn.compute (%b: i32, %t: i32, %d: i32) {
    %r = attn.reduce prod over "x" to %t (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      attn.yield %v : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, t, d], f32>
  // From the first index of a part of rows, and up to the last one. Parts that do not divide the tile are none.
  // CHECK-LABEL: tile.kernel @running_5
  // CHECK-DAG: tile.scan product {{.*}} along rows every 4 : <16x64xf32>
  // CHECK-DAG: tile.scan product {{.*}} along rows every 8 exclusive reverse : <16x64xf32>
  // CHECK-DAG: scf.for
  // CHECK-NOT: tile.scan
  %parts = attn.compute (%b: i32, %i: i32, %d: i32) {
    %one = arith.constant 1 : i32
    %three = arith.constant 3 : i32
    %four = arith.constant 4 : i32
    %eight = arith.constant 8 : i32
    %next = arith.addi %i, %one : i32
    %part = arith.floordivsi %i, %four : i32
    %first = arith.muli %part, %four : i32
    %half = arith.floordivsi %i, %eight : i32
    %start = arith.muli %half, %eight : i32
    %end = arith.addi %start, %eight : i32
    %third = arith.floordivsi %i, %three : i32
    %odd = arith.muli %third, %three : i32
    %r = attn.reduce prod over "x" from %first to %next (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      attn.yield %v : f32
    } : f32
    %s = attn.reduce prod over "x" from %next to %end (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      attn.yield %v : f32
    } : f32
    %t = attn.reduce prod over "x" from %odd to %next (%x: i32) {
      %v = attn.read %F[%b, %x, %d] : !attn.tensor<[b, x, d], f32> -> f32
      attn.yield %v : f32
    } : f32
    %rs = arith.addf %r, %s : f32
    %rst = arith.addf %rs, %t : f32
    attn.yield %rst : f32
  } : !attn.tensor<[b, i, d], f32>
  attn.return ["inclusive", "after", "before", "differs", "long", "parts"](%inclusive, %after, %before, %differs, %long, %parts : !attn.tensor<[b, i, d], f32>, !attn.tensor<[b, i, d], f32>, !attn.tensor<[b, i, d], f32>, !attn.tensor<[b, i, d], f32>, !attn.tensor<[b, t, d], f32>, !attn.tensor<[b, i, d], f32>)
}

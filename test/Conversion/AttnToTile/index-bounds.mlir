// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An index that is seen to be inside of its axis is not clamped; one that may be outside is, on the sides where it may.
// RUN: attnc-opt %s --convert-attn-to-tile --canonicalize --cse | FileCheck %s

attn.variant @bounds attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %four = arith.constant 4 : i32
  %sixteen = arith.constant 16 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "part" extent %four
  attn.space "i" extent %sixteen
  attn.space "row" extent %dim
  %F = attn.input "F" : !attn.tensor<[b, row, d], f32>
  %P = attn.input "P" : !attn.tensor<[b, part, i, d], f32>

  // part * 16 + i < 64.
  // CHECK-LABEL: tile.kernel @bounds_0
  // CHECK-NOT: arith.minsi
  // CHECK-NOT: arith.maxsi
  // CHECK: tile.element
  // CHECK: tile.store_block
  %joined = attn.compute (%b: i32, %p: i32, %i: i32, %d: i32) {
    %n = arith.constant 16 : i32
    %first = arith.muli %p, %n : i32
    %row = arith.addi %first, %i : i32
    %v = attn.read %F[%b, %row, %d] : !attn.tensor<[b, row, d], f32> -> f32
    attn.yield %v : f32
  } : !attn.tensor<[b, part, i, d], f32>

  // row / 16 < 4 and row % 16 < 16.
  // CHECK-LABEL: tile.kernel @bounds_1
  // CHECK-NOT: arith.minsi
  // CHECK-NOT: arith.maxsi
  // CHECK: tile.element
  // CHECK: tile.store_block
  %taken_apart = attn.compute (%b: i32, %row: i32, %d: i32) {
    %n = arith.constant 16 : i32
    %p = arith.floordivsi %row, %n : i32
    %i = arith.remsi %row, %n : i32
    %v = attn.read %P[%b, %p, %i, %d] : !attn.tensor<[b, part, i, d], f32> -> f32
    attn.yield %v : f32
  } : !attn.tensor<[b, row, d], f32>

  // row >> 4 < 4 and row & 15 < 16.
  // CHECK-LABEL: tile.kernel @bounds_2
  // CHECK-NOT: arith.minsi
  // CHECK-NOT: arith.maxsi
  // CHECK: tile.element
  // CHECK: tile.store_block
  %by_bits = attn.compute (%b: i32, %row: i32, %d: i32) {
    %four_bits = arith.constant 4 : i32
    %fifteen = arith.constant 15 : i32
    %p = arith.shrsi %row, %four_bits : i32
    %i = arith.andi %row, %fifteen : i32
    %v = attn.read %P[%b, %p, %i, %d] : !attn.tensor<[b, part, i, d], f32> -> f32
    attn.yield %v : f32
  } : !attn.tensor<[b, row, d], f32>

  // row - 1 may be below 0 only, row + 1 above 63 only, and row * 67,108,864 may be anything, since i32 wraps.
  // CHECK-LABEL: tile.kernel @bounds_3
  // CHECK: %[[BEFORE:.*]] = arith.subi
  // CHECK: %[[IN:.*]] = arith.maxsi %[[BEFORE]]
  // CHECK-NEXT: tile.element %{{.*}}[%{{.*}}, %[[IN]], %{{.*}}]
  // CHECK: %[[AFTER:.*]] = arith.addi
  // CHECK: %[[IN:.*]] = arith.minsi %[[AFTER]]
  // CHECK-NEXT: tile.element %{{.*}}[%{{.*}}, %[[IN]], %{{.*}}]
  // CHECK: %[[LARGE:.*]] = arith.muli
  // CHECK: %[[FROM0:.*]] = arith.maxsi %[[LARGE]]
  // CHECK: %[[IN:.*]] = arith.minsi %[[FROM0]]
  // CHECK-NEXT: tile.element %{{.*}}[%{{.*}}, %[[IN]], %{{.*}}]
  %outside = attn.compute (%b: i32, %row: i32, %d: i32) {
    %one = arith.constant 1 : i32
    %many = arith.constant 67108864 : i32
    %before = arith.subi %row, %one : i32
    %x = attn.read %F[%b, %before, %d] : !attn.tensor<[b, row, d], f32> -> f32
    %after = arith.addi %row, %one : i32
    %y = attn.read %F[%b, %after, %d] : !attn.tensor<[b, row, d], f32> -> f32
    %large = arith.muli %row, %many : i32
    %z = attn.read %F[%b, %large, %d] : !attn.tensor<[b, row, d], f32> -> f32
    %xy = arith.addf %x, %y : f32
    %xyz = arith.addf %xy, %z : f32
    attn.yield %xyz : f32
  } : !attn.tensor<[b, row, d], f32>
  attn.return ["joined", "taken_apart", "by_bits", "outside"](%joined, %taken_apart, %by_bits, %outside : !attn.tensor<[b, part, i, d], f32>, !attn.tensor<[b, row, d], f32>, !attn.tensor<[b, row, d], f32>, !attn.tensor<[b, row, d], f32>)
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which stages are one kernel, and what becomes of the tensors between them.
// RUN: attnc-opt %s --split-input-file --attn-form-kernels | FileCheck %s
// RUN: attnc-opt %s --split-input-file --attn-form-kernels --convert-attn-to-tile --canonicalize --cse | FileCheck %s --check-prefix=TILE

// Sums over d of squares, and what each element is to them: a program has 64 rows of both. The squares are its own; their
// first row has the number that it has in all of them.
// CHECK-LABEL: attn.variant @norm
// CHECK: attn.compute {{.*}}
// CHECK: } {attn.kernel = 0 : i64} : <[b, h, q, d], f32>
// CHECK: } {attn.kernel = 0 : i64} : <[b, h, q], f32>
// CHECK: } {attn.kernel = 0 : i64} : <[b, h, q, d], f32>
// TILE: tile.kernel @norm(%{{.*}}: !tile.view<4xf32> {{.*}}"tensor:x"}, {{.*}}"tensor:y", tile.output}, %{{.*}}"size:b"}
// TILE: %[[FIRST:.*]] = arith.muli %{{.*}}, %c64_i32
// TILE: %[[SQUARES:.*]] = tile.local [1, 1, 64, 64] from[%[[B:.*]], %[[H:.*]], %[[FIRST]], %c0_i32] at 0 : <4xf32, unit>
// TILE: %[[SUMS:.*]] = tile.local [1, 1, 64] from[%[[B]], %[[H]], %[[FIRST]]] at 16384 : <3xf32, unit>
// TILE: tile.store_block %{{.*}}, %[[SQUARES]]
// TILE: tile.barrier
// TILE: tile.element %[[SQUARES]]
// TILE: tile.store %{{.*}}, %[[SUMS]]
// TILE: tile.barrier
// TILE: tile.element %[[SUMS]]
// TILE: tile.return
// TILE: tile.program "norm"
// TILE-NOT: tile.workspace
// TILE: tile.launch @norm
attn.variant @norm attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q, d], f32>
  %squares = attn.compute(%b: i32, %h: i32, %q: i32, %d: i32) {
    %1 = attn.read %x[%b, %h, %q, %d] : !attn.tensor<[b, h, q, d], f32> -> f32
    %2 = arith.mulf %1, %1 : f32
    attn.yield %2 : f32
  } : !attn.tensor<[b, h, q, d], f32>
  %sums = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.reduce sum over "d" (%d: i32) {
      %2 = attn.read %squares[%b, %h, %q, %d] : !attn.tensor<[b, h, q, d], f32> -> f32
      attn.yield %2 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, h, q], f32>
  %y = attn.compute(%b: i32, %h: i32, %q: i32, %d: i32) {
    %1 = attn.read %squares[%b, %h, %q, %d] : !attn.tensor<[b, h, q, d], f32> -> f32
    %2 = attn.read %sums[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    %3 = arith.divf %1, %2 : f32
    attn.yield %3 : f32
  } : !attn.tensor<[b, h, q, d], f32>
  attn.return ["y"](%y : !attn.tensor<[b, h, q, d], f32>)
}

// -----

// On a GPU, stages of thread blocks that are not alike stay apart; what is between two kernels is in memory.
// CHECK-LABEL: attn.variant @apart
// CHECK: } {attn.kernel = 0 : i64} : <[b, h, q, d], f32>
// CHECK: attn.select {{.*}} {attn.kernel = 1 : i64} :
// TILE: tile.program "apart"
// TILE: tile.workspace "stage"
// TILE: tile.launch @apart_0_stage
// TILE: tile.launch @apart_1_keep
attn.variant @apart attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %two = attn.input "two" : !attn.tensor<[], i32>
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q, d], f32>
  %squares = attn.compute(%b: i32, %h: i32, %q: i32, %d: i32) {
    %1 = attn.read %x[%b, %h, %q, %d] : !attn.tensor<[b, h, q, d], f32> -> f32
    %2 = arith.mulf %1, %1 : f32
    attn.yield %2 : f32
  } : !attn.tensor<[b, h, q, d], f32>
  %keep = attn.select top %squares, %two over ["d"] : !attn.tensor<[b, h, q, d], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, q, d], i1>
  attn.return ["keep"](%keep : !attn.tensor<[b, h, q, d], i1>)
}

// -----

// A sum over queries has no axis of rows in common with what it sums: on the host too they are two kernels.
// CHECK-LABEL: attn.variant @columns
// CHECK: } {attn.kernel = 0 : i64} : <[b, h, q], f32>
// CHECK: } {attn.kernel = 1 : i64} : <[b, h], f32>
// TILE: tile.program "columns"
attn.variant @columns attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q], f32>
  %squares = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.read %x[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    %2 = arith.mulf %1, %1 : f32
    attn.yield %2 : f32
  } : !attn.tensor<[b, h, q], f32>
  %y = attn.compute(%b: i32, %h: i32) {
    %1 = attn.reduce sum over "q" (%q: i32) {
      %2 = attn.read %squares[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
      attn.yield %2 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, h], f32>
  attn.return ["y"](%y : !attn.tensor<[b, h], f32>)
}

// -----

// A choice that somebody made stays; another one is used as it is.
// CHECK-LABEL: attn.variant @chosen
// CHECK: } {attn.kernel = 7 : i64} : <[b, h, q], f32>
// CHECK: } {attn.kernel = 3 : i64} : <[b, h, q], f32>
// TILE: tile.launch @chosen_0_stage
// TILE: tile.launch @chosen_1_y
attn.variant @chosen attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %x = attn.input "x" : !attn.tensor<[b, h, q], f32>
  %squares = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.read %x[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    %2 = arith.mulf %1, %1 : f32
    attn.yield %2 : f32
  } {attn.kernel = 7 : i64} : !attn.tensor<[b, h, q], f32>
  %y = attn.compute(%b: i32, %h: i32, %q: i32) {
    %1 = attn.read %squares[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    attn.yield %1 : f32
  } {attn.kernel = 3 : i64} : !attn.tensor<[b, h, q], f32>
  attn.return ["y"](%y : !attn.tensor<[b, h, q], f32>)
}

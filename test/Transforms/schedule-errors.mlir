// RUN: attnc-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(tile.kernel(tile-pipeline-loads,tile-assign-layouts))'

// expected-error@below {{'tile.kernel' op has no schedule: expected `tile.schedule`}}
tile.kernel @unplanned(%n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// Two loops of a chain must load the same.
tile.kernel @unlike(%k: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %v: !tile.view<4xf16, unit> {tile.binding = "tensor:V"},
                    %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32,
    tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %zero = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  %none = arith.constant 0.0 : f32
  %acc = tile.fill %none : f32 -> <64x64xf32>
  %p = tile.cast %acc : <64x64xf32> -> <64x64xf16>
  scf.for %i = %zero to %step step %step : i32 {
    %a = tile.load %k[%zero, %zero] rows 2 from %i to %n cols 64 : <4xf16, unit> -> <64x64xf16>
    %s = tile.dot %p, %a, %acc : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <64x64xf32>
  }
  scf.for %i = %step to %n step %step : i32 {
    // expected-error@below {{'tile.load' op expects a row that follows from the loop's induction variable, and a load that agrees with the first loop of its chain}}
    %a = tile.load %v[%zero, %zero] rows 2 from %i to %n cols 64 : <4xf16, unit> -> <64x64xf16>
    %s = tile.dot %p, %a, %acc : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <64x64xf32>
  }
  tile.return
}

// -----

// A row that a loop carries is not known ahead.
tile.kernel @carried(%k: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32,
    tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %zero = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  %none = arith.constant 0.0 : f32
  %acc = tile.fill %none : f32 -> <64x64xf32>
  %p = tile.cast %acc : <64x64xf32> -> <64x64xf16>
  %last = scf.for %i = %zero to %n step %step iter_args(%row = %zero) -> (i32) : i32 {
    // expected-error@below {{'tile.load' op expects a row that follows from the loop's induction variable, and a load that agrees with the first loop of its chain}}
    %a = tile.load %k[%zero, %zero] rows 2 from %row to %n cols 64 : <4xf16, unit> -> <64x64xf16>
    %s = tile.dot %p, %a, %acc : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <64x64xf32>
    %next = arith.addi %row, %i : i32
    scf.yield %next : i32
  }
  tile.return
}

// -----

// Neither mma fragments nor powers of two.
tile.kernel @cols(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32,
    tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  // expected-error@below {{'tile.fill' op expects tiles whose rows and columns are powers of two, or rows that are one and a multiple of 16 for each of 4 warps and columns that are a multiple of 8, found '!tile.tile<64x12xf32>'}}
  %0 = tile.fill %f : f32 -> <64x12xf32>
  tile.return
}

// -----

// Columns that a fragment takes, but that no scan can spread over threads: lanes beyond them wrote over other elements.
tile.kernel @scan(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32,
    tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %0 = tile.fill %f : f32 -> <64x24xf32>
  // expected-error@below {{'tile.scan' op expects columns that are a power of two to scan along rows, found}}
  %1 = tile.scan sum %0 along rows : <64x24xf32> -> <64x24xf32>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which axes are tiled where a sum is no product of matrices.
// RUN: attnc-opt %s --split-input-file --convert-attn-to-tile --canonicalize --cse | FileCheck %s

// A factor of the sum knows row and column, columns are few, and what is read lies along the summed axis: tiles of rows
// alone, which the sum makes matrices of.
// CHECK-LABEL: tile.kernel @few
// CHECK: tile.element
// CHECK: -> !tile.tile<1x64xf32>
// CHECK: -> !tile.tile<64x64xf32>
// CHECK: tile.fold
// CHECK: tile.store %{{.*}} : <64xf32>, <3xf32>
attn.variant @few attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %four = arith.constant 4 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "n" extent %four
  %x = attn.input "x" : !attn.tensor<[b, q, d], f32>
  %y = attn.input "y" : !attn.tensor<[n, d], f32>
  %z = attn.compute(%b: i32, %q: i32, %n: i32) {
    %1 = attn.reduce sum over "d" (%d: i32) {
      %2 = attn.read %x[%b, %q, %d] : !attn.tensor<[b, q, d], f32> -> f32
      %3 = attn.read %y[%n, %d] : !attn.tensor<[n, d], f32> -> f32
      %4 = arith.subf %2, %3 : f32
      %5 = arith.mulf %4, %4 : f32
      attn.yield %5 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, q, n], f32>
  attn.return ["z"](%z : !attn.tensor<[b, q, n], f32>)
}

// -----

// As many columns as a vector has lanes: a tile of both.
// CHECK-LABEL: tile.kernel @many
// CHECK: tile.store_block %{{.*}} : <64x32xf32>, <3xf32>
attn.variant @many attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %few = arith.constant 32 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "n" extent %few
  %x = attn.input "x" : !attn.tensor<[b, q, d], f32>
  %y = attn.input "y" : !attn.tensor<[n, d], f32>
  %z = attn.compute(%b: i32, %q: i32, %n: i32) {
    %1 = attn.reduce sum over "d" (%d: i32) {
      %2 = attn.read %x[%b, %q, %d] : !attn.tensor<[b, q, d], f32> -> f32
      %3 = attn.read %y[%n, %d] : !attn.tensor<[n, d], f32> -> f32
      %4 = arith.subf %2, %3 : f32
      %5 = arith.mulf %4, %4 : f32
      attn.yield %5 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, q, n], f32>
  attn.return ["z"](%z : !attn.tensor<[b, q, n], f32>)
}

// -----

// A product of matrices has few columns as well as many.
// CHECK-LABEL: tile.kernel @product
// CHECK: tile.dot
// CHECK: tile.store_block %{{.*}} : <64x4xf32>, <3xf32>
attn.variant @product attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 64 : i32
  %four = arith.constant 4 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "n" extent %four
  %x = attn.input "x" : !attn.tensor<[b, q, d], f32>
  %y = attn.input "y" : !attn.tensor<[n, d], f32>
  %z = attn.compute(%b: i32, %q: i32, %n: i32) {
    %1 = attn.reduce sum over "d" (%d: i32) {
      %2 = attn.read %x[%b, %q, %d] : !attn.tensor<[b, q, d], f32> -> f32
      %3 = attn.read %y[%n, %d] : !attn.tensor<[n, d], f32> -> f32
      %4 = arith.mulf %2, %3 : f32
      attn.yield %4 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, q, n], f32>
  attn.return ["z"](%z : !attn.tensor<[b, q, n], f32>)
}

// -----

// On a GPU, rows that are fewer than a product's fragment has get a tile of their own height, and more columns, where nothing is a
// product.
// CHECK-LABEL: tile.kernel @few_rows_0
// CHECK: tile.store_block %{{.*}} : <4x128xf32>
// CHECK-LABEL: tile.kernel @few_rows_1
// CHECK: tile.store_block %{{.*}} : <16x64xf32>
attn.variant @few_rows attributes {attn.operand_dtype = f32, tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %dim = arith.constant 128 : i32
  %four = arith.constant 4 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  attn.space "n" extent %four
  %x = attn.input "x" : !attn.tensor<[b, n, d], f32>
  %y = attn.compute(%b: i32, %n: i32, %d: i32) {
    %1 = attn.read %x[%b, %n, %d] : !attn.tensor<[b, n, d], f32> -> f32
    %2 = math.exp %1 : f32
    attn.yield %2 : f32
  } : !attn.tensor<[b, n, d], f32>
  %z = attn.compute(%b: i32, %n: i32, %e: i32) {
    %1 = attn.reduce sum over "d" (%d: i32) {
      %2 = attn.read %y[%b, %n, %d] : !attn.tensor<[b, n, d], f32> -> f32
      %3 = attn.read %x[%b, %n, %e] : !attn.tensor<[b, n, d], f32> -> f32
      %4 = arith.mulf %2, %3 : f32
      attn.yield %4 : f32
    } : f32
    attn.yield %1 : f32
  } : !attn.tensor<[b, n, e], f32>
  attn.return ["z"](%z : !attn.tensor<[b, n, e], f32>)
}

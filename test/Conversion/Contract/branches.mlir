// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --convert-tile-to-vector=isa=avx2 | FileCheck %s --check-prefix=HOST
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-assign-layouts),convert-tile-to-nvvm)' | FileCheck %s --check-prefix=NVVM
// A branch that a tile decides, with tiles and scalars as results: both back ends take it.

// HOST-LABEL: llvm.func @branch
// The elements seen so far, over the rows that are stored.
// HOST: %[[SEEN:.*]] = scf.for {{.*}} -> (vector<8xi32>)
// HOST: arith.ori
// HOST: %[[SOME:.*]] = arith.cmpi ne
// HOST: scf.if %[[SOME]] -> (i32)

// All threads of a block get one answer.
// NVVM-LABEL: llvm.func @branch

// NVVM: %[[ANY:.*]] = nvvm.barrier #nvvm.reduction<or> %{{.*}} -> i32
// NVVM: %[[SOME:.*]] = arith.cmpi ne, %[[ANY]]
// NVVM: %[[RESULT:.*]]:17 = scf.if %[[SOME]] ->
// NVVM: scf.for
// NVVM: } else {
// NVVM: llvm.store
tile.kernel @branch(%out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %x = tile.map() at(%c0, %c0) {
  ^bb0(%row: i32, %col: i32):
    %f = arith.sitofp %row : i32 to f32
    tile.yield %f : f32
  } : () -> !tile.tile<64x32xf32>
  %flags = tile.map(%x) at(%c0, %c0) {
  ^bb0(%e: f32, %row: i32, %col: i32):
    %large = arith.cmpi sgt, %col, %row : i32
    %flag = arith.extui %large : i1 to i32
    tile.yield %flag : i32
  } : (!tile.tile<64x32xf32>) -> !tile.tile<64x32xi32>
  %some = tile.any %flags : <64x32xi32>
  %y, %count = scf.if %some -> (!tile.tile<64x32xf32>, i32) {
    %sum = scf.for %i = %c0 to %n step %c1 iter_args(%s = %x) -> (!tile.tile<64x32xf32>) : i32 {
      %t = tile.map(%s) at(%c0, %c0) {
      ^bb0(%e: f32, %row: i32, %col: i32):
        %d = arith.addf %e, %e : f32
        tile.yield %d : f32
      } : (!tile.tile<64x32xf32>) -> !tile.tile<64x32xf32>
      scf.yield %t : !tile.tile<64x32xf32>
    }
    scf.yield %sum, %c1 : !tile.tile<64x32xf32>, i32
  } else {
    scf.yield %x, %c0 : !tile.tile<64x32xf32>, i32
  }
  tile.store %y, %out[] rows 0 from %count to %n cols 32 : <64x32xf32>, <2xf32, unit>
  tile.return
}

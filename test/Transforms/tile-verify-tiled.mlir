// RUN: attnc-opt %s --split-input-file --verify-diagnostics --tile-verify-tiled
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// What phase tile has: nothing is reported.
tile.kernel @tiled(%k: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  scf.for %i = %zero to %n step %step : i32 {
    %a = tile.load %k[%zero, %zero] rows 2 from %i to %n cols 16 : <4xf16, unit> -> <16x16xf16>
  }
  tile.return
}

// -----

// expected-error@below {{'attn.variant' op remains in phase `tile`: convert-attn-to-tile has no lowering for it}}
attn.variant @left {
  %0 = attn.input "Q" : <[b, h, q, d]>
  attn.return ["out"](%0 : !attn.tensor<[b, h, q, d]>)
}

// -----

tile.kernel @foreign(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  // expected-error@below {{'llvm.mlir.zero' op is no op of a kernel in phase `tile`: expected tile, arith and math, and scf.for, scf.if or scf.while}}
  %p = llvm.mlir.zero : !llvm.ptr
  tile.return
}

// -----

tile.kernel @buffer(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  // expected-error@below {{'tile.alloc' op is of phase `scheduled`: in phase `tile` memory is read by tile.load}}
  %b = tile.alloc : <1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>>
  tile.return
}

// -----

tile.kernel @layout(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  // expected-error@below {{'tile.fill' op has a layout, which tile-assign-layouts chooses: expected none in phase `tile`, found '!tile.tile<16xf32}}
  %a = tile.fill %f : f32 -> <16xf32, #tile.linear<register = [8, 0], lane = [0, 0, 0, 0, 1, 0, 2, 0, 4, 0], warp = []>>
  tile.return
}

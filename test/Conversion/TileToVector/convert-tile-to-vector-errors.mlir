// RUN: attnc-opt %s --split-input-file --verify-diagnostics --convert-tile-to-vector=isa=avx512bf16

// The scheduled phase belongs to GPUs.
tile.kernel @scheduled(%n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  // expected-error @below {{has no lowering on the host}}
  tile.commit
  tile.return
}

// -----

tile.kernel @layout(%n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0.0 : f32
  // expected-error @below {{expects the tiled phase on the host, found a layout}}
  %t = tile.fill %zero : f32 -> !tile.tile<16x8xf32, #tile.linear<register = [0, 1, 8, 0], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = []>>
  tile.return
}

// -----

tile.kernel @element_type(%n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0 : i8
  // expected-error @below {{expects tiles of f32, f16, bf16, i32 or i1 on the host, found '!tile.tile<16x16xi8>'}}
  %t = tile.fill %zero : i8 -> !tile.tile<16x16xi8>
  tile.return
}

// -----

tile.kernel @odd_depth(%v: !tile.view<2xbf16, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %a = tile.load %v[] rows 0 from %c0 to %n cols 15 : !tile.view<2xbf16, unit> -> !tile.tile<16x15xbf16>
  %s0 = tile.fill %zero : f32 -> !tile.tile<16x16xf32>
  // expected-error @below {{expects an even depth for bf16 on the host, found 15}}
  %s = tile.dot %a, %a transposed, %s0 : !tile.tile<16x15xbf16>, !tile.tile<16x15xbf16>, !tile.tile<16x16xf32> -> !tile.tile<16x16xf32>
  tile.return
}

// -----

tile.kernel @region_op(%n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %in = tile.fill %zero : f32 -> !tile.tile<16x16xf32>
  %x = tile.map(%in) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    // expected-error @below {{has no vector form on the host}}
    %p = tile.program_id 0
    %y = arith.sitofp %p : i32 to f32
    tile.yield %y : f32
  } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

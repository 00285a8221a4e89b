// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --convert-tile-to-nvvm --verify-diagnostics
// Columns that lie in several warps: their sum was the sum of one warp's. Now it goes through shared memory, which
// tile-assign-layouts finds.
tile.kernel @spread(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <16x32xf32, #tile.linear<register = [0, 1, 8, 0], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [0, 8, 0, 16]>>
  // expected-error@below {{has no shared memory for the warps that share what is reduced}}
  %0 = tile.reduce sum %t : <16x32xf32, #tile.linear<register = [0, 1, 8, 0], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [0, 8, 0, 16]>>
      -> <16xf32, #tile.linear<register = [8, 0], lane = [0, 0, 0, 0, 1, 0, 2, 0, 4, 0], warp = [0, 0, 0, 0]>>
  tile.return
}

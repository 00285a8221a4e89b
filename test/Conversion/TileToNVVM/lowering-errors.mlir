// RUN: attnc-opt %s --split-input-file --verify-diagnostics --convert-tile-to-nvvm

tile.kernel @unscheduled(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{'tile.alloc' op has no offset in shared memory}}
  %s = tile.alloc : <1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>>
  tile.return
}

// -----

// 20 columns of f16 are no whole number of 16-byte units.
tile.kernel @units(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc at 0 : <1x16x32xf16, #tile.shared<pitch = 64, shift = 1, mask = 3>>
  // expected-error@below {{'tile.async_copy' op expects rows that are whole units of 16 bytes, found rows of 40 bytes}}
  %t = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 20 into %s[%n] by 16 : <4xf16, unit>, <1x16x32xf16, #tile.shared<pitch = 64, shift = 1, mask = 3>> -> <<1x16x32xf16, #tile.shared<pitch = 64, shift = 1, mask = 3>>>
  tile.return
}

// -----

// A load that was not scheduled.
tile.kernel @load(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{'tile.load' op has no layout, and no copy into shared memory stands for it}}
  %0 = tile.load %v[%n, %n] rows 2 from %n to %n cols 64 : <4xf16, unit> -> <64x64xf16>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RUN: attnc-opt %s --split-input-file --verify-diagnostics --tile-verify-scheduled
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// What phase scheduled has: nothing is reported. The right operand of the product stays in shared memory and has no layout.
#s = #tile.shared<pitch = 32, shift = 2, mask = 1>
#a = #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = []>
tile.kernel @scheduled(%k: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %g: f32 {tile.binding = "param:g"},
                       %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32, tile.shared_bytes = 512 : i64} {
  %zero = arith.constant 0 : i32
  %b = tile.alloc at 0 : <1x16x16xf16, #s>
  %t = tile.async_copy %k[%zero, %zero] rows 2 from %zero to %n cols 16 into %b[%zero] by 16 : <4xf16, unit>, <1x16x16xf16, #s> -> <<1x16x16xf16, #s>>
  tile.commit
  %s = tile.wait %t pending 0 barrier : !tile.token<<1x16x16xf16, #s>> -> !tile.slot<<1x16x16xf16, #s>>
  %r = tile.read %s : <<1x16x16xf16, #s>> -> <16x16xf16>
  %c = tile.fill %g : f32 -> <16x16xf32, #a>
  %q = tile.cast %c : <16x16xf32, #a> -> <16x16xf16, #a>
  %d = tile.dot %q, %r, %c : <16x16xf16, #a>, <16x16xf16>, <16x16xf32, #a> -> <16x16xf32, #a>
  tile.return
}

// -----

tile.kernel @load(%k: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  // expected-error@below {{'tile.load' op remains in phase `scheduled`: expected copies into shared memory, or a layout if no product reads it}}
  %a = tile.load %k[%zero, %zero] rows 2 from %zero to %n cols 16 : <4xf16, unit> -> <16x16xf16>
  tile.return
}

// -----

#l = #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = []>
tile.kernel @right(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  %a = tile.fill %f : f32 -> <16x16xf32, #l>
  // expected-error@below {{'tile.dot' op has a right operand that is not read from shared memory}}
  %d = tile.dot %a, %a, %a : <16x16xf32, #l>, <16x16xf32, #l>, <16x16xf32, #l> -> <16x16xf32, #l>
  tile.return
}

// -----

tile.kernel @bare(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  // expected-error@below {{'tile.fill' op has a tile in registers without a layout: '!tile.tile<16xf32>'}}
  %a = tile.fill %f : f32 -> <16xf32>
  tile.return
}

// -----

tile.kernel @warps(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  // expected-error@below {{'tile.fill' op has a tile that is laid out for 2 warps, expected the kernel's 1: '!tile.tile<32xf32}}
  %a = tile.fill %f : f32 -> <32xf32, #tile.linear<register = [8, 0], lane = [0, 0, 0, 0, 1, 0, 2, 0, 4, 0], warp = [16, 0]>>
  tile.return
}

// -----

tile.kernel @placeless(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32, tile.shared_bytes = 512 : i64} {
  // expected-error@below {{'tile.alloc' op has no place in shared memory: expected an offset, and `tile.shared_bytes` of the kernel}}
  %b = tile.alloc : <1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>>
  tile.return
}

// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// One case for each way to break a constraint of the shared-memory and asynchronous ops.

// tile.alloc C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects an offset that is a multiple of 16, found 24}}
  %0 = tile.alloc at 24 : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  tile.return
}

// -----

// tile.alloc C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects an offset that is a multiple of 16, found -16}}
  %0 = tile.alloc at -16 : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  tile.return
}

// -----

// tile.async_copy C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects a view with a unit last stride, found}}
  %0 = tile.async_copy %w[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf32, #tile.shared<pitch = 288, shift = 0, mask = 0>>
  // expected-error@below {{expects element type 'f16', found 'f32'}}
  %0 = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf32, #tile.shared<pitch = 288, shift = 0, mask = 0>> -> <<1x64x64xf32, #tile.shared<pitch = 288, shift = 0, mask = 0>>>
  tile.return
}

// -----

// tile.async_copy C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects 2 indices, found 1}}
  %0 = tile.async_copy %v[%n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects rows over one of the first 3 dimensions, found 3}}
  %0 = tile.async_copy %v[%n, %n] rows 3 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C3
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects at most 64 valid columns, found 80}}
  %0 = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 80 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C4
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects copies by a power of two of bytes, from an element to 16, found 1}}
  %0 = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 1 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C4
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects copies by a power of two of bytes, from an element to 16, found 6}}
  %0 = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 6 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C4
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects copies by a power of two of bytes, from an element to 16, found 32}}
  %0 = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 32 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C4
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects copies by a power of two of bytes, from an element to 16, found -8}}
  %0 = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by -8 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.async_copy C5
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error@below {{expects a token of}}
  %0 = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.wait C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %tok = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error@below {{expects a slot of}}
  %1 = tile.wait %tok pending 0 : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> !tile.slot<<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.wait C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %tok = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error@below {{expects one slot for each token, found 1 tokens and 2 slots}}
  %1:2 = tile.wait %tok pending 0 : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>, !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.wait C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %tok = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error@below {{expects 0 or more pending groups, found -1}}
  %1 = tile.wait %tok pending -1 : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.read C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %t = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 from %n into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  %slot = tile.wait %t pending 0 barrier : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error@below {{expects to be transposed for left operands of 16 bits, found '!tile.tile<64x64xf16>'}}
  %x = tile.read %slot transposed : <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> <64x64xf16>
  %w = tile.cast %x : <64x64xf16> -> <64x64xf32>
  tile.return
}

// -----

// tile.read C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %tok = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  %slot = tile.wait %tok pending 0 : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error@below {{expects a tile like a stage of}}
  %2 = tile.read %slot : <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> <64x32xf16>
  tile.return
}

// -----

// tile.read C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %s = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %tok = tile.async_copy %v[%n, %n] rows 2 from %n to %n cols 64 into %s[%n] by 16 : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>> -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  %slot = tile.wait %tok pending 0 : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error@below {{expects a tile like a stage of}}
  %2 = tile.read %slot : <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> <64x64xbf16>
  tile.return
}

// -----

// A tile has rank 1 or 2.
// expected-error@below {{expects a tile of rank 1 or 2, found rank 3}}
tile.kernel @f(%t: !tile.tile<2x2x2xf32>) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// A tile has rows.
// expected-error@below {{expects positive tile sizes, found 0}}
tile.kernel @f(%t: !tile.tile<0x8xf32>) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// A view names its rank.
// expected-error@below {{expects the rank of the view, as in 4xf16}}
tile.kernel @f(%t: !tile.view<4x4xf32>) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One test for each constraint of the ops for warps with roles; the label is that of the verifier.
// RUN: attnc-opt %s --split-input-file --verify-diagnostics

// tile.specialize C1
tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 8 : i32} {
  // expected-error @+1 {{expects multiples of 4 warps, found 2 producers and 8 consumers}}
  tile.specialize producers 2 registers 40 {
  } consumers registers 232 {
  }
  tile.return
}

// -----

// tile.specialize C2
tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 8 : i32} {
  // expected-error @+1 {{expects registers in eights, from 24 to 256, found 36}}
  tile.specialize producers 4 registers 36 {
  } consumers registers 232 {
  }
  tile.return
}

// -----

// tile.specialize C2
tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 8 : i32} {
  // expected-error @+1 {{expects at most 64512 registers, what such a block has at its launch, found 65536}}
  tile.specialize producers 4 registers 48 {
  } consumers registers 232 {
  }
  tile.return
}

// -----

// tile.specialize C3
tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 8 : i32} {
  // expected-error @+1 {{expects nothing but a return behind it}}
  tile.specialize producers 4 registers 40 {
  } consumers registers 232 {
  }
  tile.barrier
  tile.return
}

// -----

// tile.ring C1
tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error @+1 {{expects an offset that is a multiple of 8, found 4}}
  %ring = tile.ring %buffer at 4 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.ring C2
tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  // expected-error @+1 {{expects at least one warp that fills and one that releases, found 0 and 4}}
  %ring = tile.ring %buffer at 16384 filled 0 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.ring_fill C1
tile.kernel @k(%K: !tile.view<4xbf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %ring = tile.ring %buffer at 16384 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error @+1 {{expects element type 'bf16', found 'f16'}}
  tile.ring_fill %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%zero] by 16
    : <4xbf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.ring_fill C2
tile.kernel @k(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"},
               %map: !tile.tensor_map<rank = 4, element = f16, row_dim = 2, rows = 64, columns = 32> {tile.binding = "map:K"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
  %ring = tile.ring %buffer at 16384 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  // expected-error @+1 {{whose boxes are panels of}}
  tile.ring_fill %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%zero] by 16
    through %map : !tile.tensor_map<rank = 4, element = f16, row_dim = 2, rows = 64, columns = 32>
    : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  tile.return
}

// -----

// tile.ring_signal C1
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %ring = tile.ring %buffer at 16384 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error @+1 {{expects a number of pending fills that is not negative}}
  tile.ring_signal %ring[%n] pending -1 : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// -----

// tile.ring_wait C1
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
  %ring = tile.ring %buffer at 16384 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  // expected-error @+1 {{expects a slot of '!tile.buffer<2x64x64xf16}}
  %slot = tile.ring_wait %ring[%n] : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      -> <<3x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
  tile.return
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// Where the operands of an op lie: a wrong layout was a silent miscompile. Masks and conditions of tiles.

// tile.map C4: an identity between two layouts would permute columns without a word.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 4, 0, 2, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // expected-error@below {{expects operands that lie where the result does, found}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    tile.yield %e : f32
  } : (!tile.tile<64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 4, 0, 2, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>)
      -> !tile.tile<64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.map C4: a row value that other lanes hold.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %m = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  %t = tile.fill %f : f32 -> <64xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // expected-error@below {{expects operands that lie where the result does, found}}
  %0 = tile.map(%m, %t) at(%n, %n) {
  ^bb0(%e: f32, %r: f32, %i: i32, %j: i32):
    tile.yield %e : f32
  } : (!tile.tile<64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>,
       !tile.tile<64xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>)
      -> !tile.tile<64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.map C4: a layout on one side only.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects operands that lie where the result does, found}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    tile.yield %e : f32
  } : (!tile.tile<64x16xf32>)
      -> !tile.tile<64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.reduce C2: the result has the layout of other rows.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // expected-error@below {{expects a result that lies where the input's rows do, found}}
  %0 = tile.reduce max %t : <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
      -> <64xf32, #tile.linear<register = [4, 0], lane = [0, 0, 0, 0, 1, 0, 2, 0, 8, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.cast C2
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 4, 0, 2, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // expected-error@below {{expects equal layouts, found}}
  %0 = tile.cast %t : <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 4, 0, 2, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
      -> <64x16xf16, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.dot C3
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  %u = tile.fill %f : f32 -> <16x16xf32>
  // expected-error@below {{expects a result with the accumulator's layout, found}}
  %0 = tile.dot %t, %u, %t : <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>,
      <16x16xf32>, <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
      -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 4, 0, 2, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.dot C2: integers have no product yet.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64x16xi32>
  %u = tile.fill %n : i32 -> <16x16xi32>
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects operands of one element type among f16, bf16 and f32, or f32 and bf16, and an f32 accumulator and result, found}}
  %0 = tile.dot %i, %u, %t : <64x16xi32>, <16x16xi32>, <64x16xf32> -> <64x16xf32>
  tile.return
}

// -----

// tile.dot C4: a mask of the wrong type.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %u = tile.fill %f : f32 -> <16x16xf32>
  // expected-error@below {{expects a mask of i32 that lies where the left operand does, found}}
  %0 = tile.dot %t, %u, %t where %t : <64x16xf32>, <16x16xf32>, <64x16xf32>, !tile.tile<64x16xf32> -> <64x16xf32>
  tile.return
}

// -----

// tile.dot C4: a mask of another shape.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %u = tile.fill %f : f32 -> <16x16xf32>
  %m = tile.fill %n : i32 -> <64x32xi32>
  // expected-error@below {{expects a mask of i32 that lies where the left operand does, found}}
  %0 = tile.dot %t, %u, %t where %m : <64x16xf32>, <16x16xf32>, <64x16xf32>, !tile.tile<64x32xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.dot C4
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %u = tile.fill %f : f32 -> <16x16xf32>
  %m = tile.fill %n : i32 -> <64x16xi32>
  // expected-error@below {{expects a right operand of the left one's type that is not transposed with a mask}}
  %0 = tile.dot %t, %u transposed, %t where %m : <64x16xf32>, <16x16xf32>, <64x16xf32>, !tile.tile<64x16xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.dot C5: rows that are no multiple of 64.
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <32x16xf32>
  %p = tile.cast %t : <32x16xf32> -> <32x16xf16>
  %a = tile.fill %f : f32 -> <16x16xf32>
  %v = tile.cast %a : <16x16xf32> -> <16x16xf16>
  // expected-error@below {{expects 16-bit operands, rows that are a multiple of 64, a depth that is one of 16, at most 256 columns that are a multiple of 16 and no mask for warpgroups, found '!tile.tile<32x16xf16>' times '!tile.tile<16x16xf16>' into '!tile.tile<32x16xf32>'}}
  %0 = tile.dot %p, %v, %t {warpgroup} : <32x16xf16>, <16x16xf16>, <32x16xf32> -> <32x16xf32>
  tile.return
}

// -----

// tile.dot C7
tile.kernel @k(%n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  %zero = arith.constant 0.0 : f32
  %x = tile.fill %zero : f32 -> <64x64xf32>
  // expected-error@below {{expects f32 times bf16 for `two_bf16`, found '!tile.tile<64x64xf32>' times '!tile.tile<64x64xf32>'}}
  %y = tile.dot %x, %x, %x {precision = 2 : i32} : <64x64xf32>, <64x64xf32>, <64x64xf32> -> <64x64xf32>
  tile.return
}

// -----

// tile.dot C6
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a = tile.fill %f : f32 -> <64x64xf32>
  %x = tile.cast %a : <64x64xf32> -> <64x64xf16>
  // expected-error@below {{expects `warpgroup` where it is `delayed`}}
  %0 = tile.dot %x, %x, %a {delayed} : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <64x64xf32>
  tile.return
}

// -----

// tile.dot_start C1
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a = tile.fill %f : f32 -> <64x64xf32>
  %x = tile.cast %a : <64x64xf32> -> <64x64xf16>
  %b = tile.fill %f : f32 -> <64x32xf32>
  // expected-error@below {{expects shapes that agree, found '!tile.tile<64x64xf16>' times '!tile.tile<64x64xf16>' into '!tile.tile<64x32xf32>'}}
  %0 = tile.dot_start %x, %x, %b : <64x64xf16>, <64x64xf16>, <64x32xf32> -> <<64x32xf32>>
  tile.return
}

// -----

// tile.dot_start C1
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a = tile.fill %f : f32 -> <64x64xf32>
  %x = tile.cast %a : <64x64xf32> -> <64x64xf16>
  // expected-error@below {{expects a product that warpgroups can compute, found '!tile.tile<64x64xf32>' times '!tile.tile<64x64xf32>' into '!tile.tile<64x64xf32>'}}
  %0 = tile.dot_start %a, %a, %a : <64x64xf32>, <64x64xf32>, <64x64xf32> -> <<64x64xf32>>
  tile.return
}

// -----

// tile.dot_start C2
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a = tile.fill %f : f32 -> <64x64xf32>
  %x = tile.cast %a : <64x64xf32> -> <64x64xf16>
  // expected-error@below {{expects a product of the accumulator's type '!tile.tile<64x64xf32>', found '!tile.tile<64x32xf32>'}}
  %0 = tile.dot_start %x, %x, %a : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <<64x32xf32>>
  tile.return
}

// -----

// tile.dot_wait C1
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a = tile.fill %f : f32 -> <64x64xf32>
  %x = tile.cast %a : <64x64xf32> -> <64x64xf16>
  %0 = tile.dot_start %x, %x, %a : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <<64x64xf32>>
  // expected-error@below {{expects 1 results, found 2}}
  %1:2 = tile.dot_wait %0 pending 0 : !tile.product<<64x64xf32>> -> !tile.tile<64x64xf32>, !tile.tile<64x64xf32>
  tile.return
}

// -----

// tile.dot_wait C1
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a = tile.fill %f : f32 -> <64x64xf32>
  %x = tile.cast %a : <64x64xf32> -> <64x64xf16>
  %0 = tile.dot_start %x, %x, %a : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <<64x64xf32>>
  // expected-error@below {{expects a result of type '!tile.tile<64x64xf32>', found '!tile.tile<64x32xf32>'}}
  %1 = tile.dot_wait %0 pending 0 : !tile.product<<64x64xf32>> -> !tile.tile<64x32xf32>
  tile.return
}

// -----

// tile.dot_wait C2
tile.kernel @k(%f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a = tile.fill %f : f32 -> <64x64xf32>
  %x = tile.cast %a : <64x64xf32> -> <64x64xf16>
  %0 = tile.dot_start %x, %x, %a : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <<64x64xf32>>
  // expected-error@below {{expects a number of pending products that is not negative}}
  %1 = tile.dot_wait %0 pending -1 : !tile.product<<64x64xf32>> -> !tile.tile<64x64xf32>
  tile.return
}

// -----

// #tile.linear C1
// expected-error@below {{expects a row and a column for each bit, found 3 numbers}}
func.func private @odd(!tile.tile<16x8xf32, #tile.linear<register = [0, 1, 8], lane = [], warp = []>>)

// -----

// #tile.linear C1
// expected-error@below {{expects basis vectors that are not negative, found -8}}
func.func private @negative(!tile.tile<16x8xf32, #tile.linear<register = [0, 1, -8, 0], lane = [], warp = []>>)

// -----

// #tile.linear C2
// expected-error@below {{expects basis vectors without common bits, found another with bits of 3}}
func.func private @overlapping(!tile.tile<16x8xf32, #tile.linear<register = [0, 1], lane = [0, 3], warp = []>>)

// -----

// tile.scan C2
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // expected-error@below {{expects all elements along rows that are combined in one thread, found}}
  %0 = tile.scan sum %t along rows : <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>> -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.transpose C2
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // expected-error@below {{expects a result whose threads keep their elements, found}}
  %0 = tile.transpose %t : <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>> -> <16x64xf32>
  tile.return
}

// -----

// tile.gather C5
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64xi32, #tile.linear<register = [], lane = [1, 0, 2, 0, 4, 0, 8, 0, 16, 0], warp = [32, 0, 0, 0]>>
  // expected-error@below {{expects row numbers that lie where the result's rows do, found}}
  %0 = tile.gather %v[] rows 0 at %i to %n cols 16 : <2xf32, unit>, <64xi32, #tile.linear<register = [], lane = [1, 0, 2, 0, 4, 0, 8, 0, 16, 0], warp = [32, 0, 0, 0]>> -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  tile.return
}

// -----

// tile.fold C4
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  %u = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects operands of one layout, found}}
  %0:2 = tile.fold(%t, %u) along columns {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32):
    tile.yield %a, %b : f32, f32
  } : (!tile.tile<64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>, !tile.tile<64x16xf32>) -> (!tile.tile<64xf32>, !tile.tile<64xf32>)
  tile.return
}

// -----

// tile.fold C4
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
  // expected-error@below {{expects a result that lies like}}
  %0 = tile.fold(%t) along columns {
  ^bb0(%a: f32, %b: f32):
    tile.yield %a : f32
  } : (!tile.tile<64x16xf32, #tile.linear<register = [0, 1, 8, 0, 0, 8], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>) -> !tile.tile<64xf32>
  tile.return
}

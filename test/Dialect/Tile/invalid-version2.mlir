// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Vectors along either axis, folds, scans, moves: one case for each way to break a constraint.

// tile.store C4
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %n : i32 -> <64x16xi32>
  // expected-error@below {{expects reals stored as reals, i32 as i32 or i1 as i1, found}}
  tile.store %t, %v[] rows 0 from %n to %n cols 16 : <64x16xi32>, <2xf32, unit>
  tile.return
}

// -----

// tile.map C5
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %h = tile.cast %t : <64x16xf32> -> <64x16xf16>
  // expected-error@below {{expects tiles of f32, i32 or i1, found '!tile.tile<64x16xf16>': cast before and after}}
  %0 = tile.map(%h) at(%n, %n) {
  ^bb0(%e: f16, %i: i32, %j: i32):
    %y = arith.extf %e : f16 to f32
    tile.yield %y : f32
  } : (!tile.tile<64x16xf16>) -> !tile.tile<64x16xf32>
  tile.return
}

// -----

// tile.map C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <1x32xf32>
  // expected-error@below {{expects an operand with the result's rows and columns, found '!tile.tile<1x32xf32>'}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    tile.yield %e : f32
  } : (!tile.tile<1x32xf32>) -> !tile.tile<64x16xf32>
  tile.return
}

// -----

// tile.reduce C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects a matrix reduced to one value for each column, found}}
  %0 = tile.reduce max %t along rows : <64x16xf32> -> <64xf32>
  tile.return
}

// -----

// tile.reduce C3
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %h = tile.cast %t : <64x16xf32> -> <64x16xf16>
  // expected-error@below {{expects elements of f32 or i32, found}}
  %0 = tile.reduce max %h : <64x16xf16> -> <64xf16>
  tile.return
}

// -----

// tile.cast C3
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %n : i32 -> <64x16xi32>
  // expected-error@below {{expects a conversion between f32 and f16 or bf16, found}}
  %0 = tile.cast %t : <64x16xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.any C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects elements of type i32 or i1, found}}
  %0 = tile.any %t : <64x16xf32>
  tile.return
}

// -----

// tile.fold C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %u = tile.fill %f : f32 -> <64x32xf32>
  // expected-error@below {{expects matrices of one shape, found}}
  %0:2 = tile.fold(%t, %u) along columns {
  ^bb0(%a: f32, %b: f32, %c: f32, %d: f32):
    tile.yield %a, %b : f32, f32
  } : (!tile.tile<64x16xf32>, !tile.tile<64x32xf32>) -> (!tile.tile<64xf32>, !tile.tile<64xf32>)
  tile.return
}

// -----

// tile.fold C2
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects a result like}}
  %0 = tile.fold(%t) along rows {
  ^bb0(%a: f32, %b: f32):
    tile.yield %a : f32
  } : (!tile.tile<64x16xf32>) -> (!tile.tile<64xf32>)
  tile.return
}

// -----

// tile.fold C2
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects 1 results, found 2}}
  %0:2 = tile.fold(%t) along rows {
  ^bb0(%a: f32, %b: f32):
    tile.yield %a : f32
  } : (!tile.tile<64x16xf32>) -> (!tile.tile<1x16xf32>, !tile.tile<1x16xf32>)
  tile.return
}

// -----

// tile.fold C3
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects region arguments of the operands' element types, twice}}
  %0 = tile.fold(%t) along rows {
  ^bb0(%a: f32, %b: i32):
    tile.yield %a : f32
  } : (!tile.tile<64x16xf32>) -> (!tile.tile<1x16xf32>)
  tile.return
}

// -----

// tile.fold C3
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects the region to yield the operands' element types}}
  %0 = tile.fold(%t) along rows {
  ^bb0(%a: f32, %b: f32):
    tile.yield %a, %b : f32, f32
  } : (!tile.tile<64x16xf32>) -> (!tile.tile<1x16xf32>)
  tile.return
}

// -----

// tile.fold C5
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %h = tile.cast %t : <64x16xf32> -> <64x16xf16>
  // expected-error@below {{expects elements of f32, i32 or i1, found}}
  %0 = tile.fold(%h) along rows {
  ^bb0(%a: f16, %b: f16):
    tile.yield %a : f16
  } : (!tile.tile<64x16xf16>) -> (!tile.tile<1x16xf16>)
  tile.return
}

// -----

// tile.fold C5
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %0 = tile.fold(%t) along rows {
  ^bb0(%a: f32, %b: f32):
  // expected-error@below {{is no op of a combiner: expected arith and math}}
    %x = tile.element %v[%n, %n] : <2xf32, unit> -> f32
    tile.yield %a : f32
  } : (!tile.tile<64x16xf32>) -> (!tile.tile<1x16xf32>)
  tile.return
}

// -----

// tile.scan C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64xf32>
  // expected-error@below {{expects a matrix of f32 or i32 and a result of its type, found}}
  %0 = tile.scan sum %t along rows : <64xf32> -> <64xf32>
  tile.return
}

// -----

// tile.scan C3
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects parts that are a divisor of 64 rows, found 48}}
  %0 = tile.scan sum %t along rows every 48 : <64x16xf32> -> <64x16xf32>
  tile.return
}

// -----

// tile.transpose C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects a result of the input's shape the other way round, found}}
  %0 = tile.transpose %t : <64x16xf32> -> <64x16xf32>
  tile.return
}

// -----

// tile.transpose C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64xf32>
  // expected-error@below {{expects a result of the input's shape the other way round, found}}
  %0 = tile.transpose %t : <64xf32> -> <64x1xf32>
  tile.return
}

// -----

// tile.gather C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64xi32>
  %s = tile.fill %n : i32 -> <32xi32>
  // expected-error@below {{expects a view with a unit last stride, found}}
  %0 = tile.gather %w[] rows 0 at %i to %n cols 16 : <2xf32>, <64xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.gather C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64xi32>
  %s = tile.fill %n : i32 -> <32xi32>
  // expected-error@below {{expects element type}}
  %0 = tile.gather %v[] rows 0 at %i to %n cols 16 : <2xf32, unit>, <64xi32> -> <64x16xf16>
  tile.return
}

// -----

// tile.gather C2
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64xi32>
  %s = tile.fill %n : i32 -> <32xi32>
  // expected-error@below {{expects 0 indices, found 1}}
  %0 = tile.gather %v[%n] rows 0 at %i to %n cols 16 : <2xf32, unit>, <64xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.gather C2
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64xi32>
  %s = tile.fill %n : i32 -> <32xi32>
  // expected-error@below {{expects rows over one of the first 1 dimensions, found 1}}
  %0 = tile.gather %v[] rows 1 at %i to %n cols 16 : <2xf32, unit>, <64xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.gather C3
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64xi32>
  %s = tile.fill %n : i32 -> <32xi32>
  // expected-error@below {{expects at most 16 valid columns, found 17}}
  %0 = tile.gather %v[] rows 0 at %i to %n cols 17 : <2xf32, unit>, <64xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.gather C4
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %i = tile.fill %n : i32 -> <64xi32>
  %s = tile.fill %n : i32 -> <32xi32>
  // expected-error@below {{expects an i32 for each row of a matrix, found}}
  %0 = tile.gather %v[] rows 0 at %s to %n cols 16 : <2xf32, unit>, <32xi32> -> <64x16xf32>
  tile.return
}

// -----

// tile.convert_layout C2
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects tiles with layouts, found}}
  %0 = tile.convert_layout %t : <64x16xf32> -> <64x16xf32>
  tile.return
}

// -----

// tile.convert_layout C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects tiles of one shape and element type, found}}
  %0 = tile.convert_layout %t : <64x16xf32> -> <64x32xf32>
  tile.return
}

// -----

// tile.share C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %w: !tile.view<2xf32> {tile.binding = "tensor:W"},
               %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  %b = tile.alloc : <1x64x32xf32, #tile.shared<pitch = 160, shift = 0, mask = 0>>
  // expected-error@below {{expects a tile like a stage of the buffer and a slot of it, found}}
  %0 = tile.share %t into %b : <64x16xf32>, <1x64x32xf32, #tile.shared<pitch = 160, shift = 0, mask = 0>> -> <<1x64x32xf32, #tile.shared<pitch = 160, shift = 0, mask = 0>>>
  tile.return
}

// -----

// tile.load_block C1
tile.kernel @k(%v: !tile.view<2xbf16> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  // expected-error@below {{expects a view with a unit last stride, found '!tile.view<2xbf16>'}}
  %t = tile.load_block %v[] rows 0 from %n to %n cols from %n : <2xbf16> -> <64x32xbf16>
  tile.return
}

// -----

// tile.load_block C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  // expected-error@below {{expects a tile of the view's elements, of 16 bits, found '!tile.tile<64x32xf32>'}}
  %t = tile.load_block %v[] rows 0 from %n to %n cols from %n : <2xf32, unit> -> <64x32xf32>
  tile.return
}

// -----

// tile.load_block C2
tile.kernel @k(%v: !tile.view<3xf16, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  // expected-error@below {{expects 1 indices, found 0}}
  %t = tile.load_block %v[] rows 0 from %n to %n cols from %n : <3xf16, unit> -> <64x32xf16>
  tile.return
}

// -----

// tile.load_block C2
tile.kernel @k(%v: !tile.view<2xf16, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  // expected-error@below {{expects rows over one of the first 1 dimensions, found 1}}
  %t = tile.load_block %v[] rows 1 from %n to %n cols from %n : <2xf16, unit> -> <64x32xf16>
  tile.return
}

// -----

// tile.load_block C3
tile.kernel @k(%v: !tile.view<2xf16, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  // expected-error@below {{expects a matrix of a multiple of 16 columns, found '!tile.tile<64x8xf16>'}}
  %t = tile.load_block %v[] rows 0 from %n to %n cols from %n : <2xf16, unit> -> <64x8xf16>
  tile.return
}

// -----

// tile.load_block C4
tile.kernel @k(%v: !tile.view<2xf16, unit> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  // expected-error@below {{expects to be an operand of products}}
  %t = tile.load_block %v[] rows 0 from %n to %n cols from %n : <2xf16, unit> -> <64x32xf16>
  %w = tile.cast %t : <64x32xf16> -> <64x32xf32>
  tile.return
}

// -----

// tile.store_block C1
tile.kernel @k(%v: !tile.view<2xf32> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  %c = arith.constant 0.0 : f32
  %t = tile.fill %c : f32 -> <64xf32>
  // expected-error@below {{expects a matrix, found '!tile.tile<64xf32>'}}
  tile.store_block %t, %v[] rows 0 from %n to %n cols 1 from %n to %n : <64xf32>, <2xf32>
  tile.return
}

// -----

// tile.store_block C1
tile.kernel @k(%v: !tile.view<2xf32> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  %c = arith.constant 0.0 : f32
  %t = tile.fill %c : f32 -> <64x32xf32>
  // expected-error@below {{expects 0 indices, found 1}}
  tile.store_block %t, %v[%n] rows 0 from %n to %n cols 1 from %n to %n : <64x32xf32>, <2xf32>
  tile.return
}

// -----

// tile.store_block C2
tile.kernel @k(%v: !tile.view<2xf32> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  %c = arith.constant 0.0 : f32
  %t = tile.fill %c : f32 -> <64x32xf32>
  // expected-error@below {{expects rows and columns over two of 2 dimensions, found 1 and 1}}
  tile.store_block %t, %v[] rows 1 from %n to %n cols 1 from %n to %n : <64x32xf32>, <2xf32>
  tile.return
}

// -----

// tile.store_block C3
tile.kernel @k(%v: !tile.view<2xf32> {tile.binding = "tensor:v"}, %n: i32 {tile.binding = "size:n"}) attributes {num_warps = 4 : i32} {
  %c = arith.constant 0.0 : f32
  %i = arith.constant 0 : i32
  %t = tile.fill %i : i32 -> <64x32xi32>
  // expected-error@below {{expects reals stored as reals, i32 as i32 or i1 as i1, found}}
  tile.store_block %t, %v[] rows 0 from %n to %n cols 1 from %n to %n : <64x32xi32>, <2xf32>
  tile.return
}

// -----

// tile.local C1
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects a size and a first index for each of 2 dimensions, found 3 and 2}}
  %0 = tile.local [4, 4, 4] from [%n, %n] at 0 : <2xf32, unit>
  tile.return
}

// -----

// tile.local C1
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects sizes of at least 1}}
  %0 = tile.local [4, 0] from [%n, %n] at 0 : <2xf32, unit>
  tile.return
}

// -----

// tile.local C1
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects a view with a unit last stride}}
  %0 = tile.local [4, 4] from [%n, %n] at 0 : <2xf32>
  tile.return
}

// -----

// tile.local C2
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects an offset that is a multiple of 64, found 32}}
  %0 = tile.local [4, 4] from [%n, %n] at 32 : <2xf32, unit>
  tile.return
}

// -----

// tile.local C3
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}, %some: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %is = arith.cmpi slt, %n, %some : i32
  scf.if %is {
    // expected-error@below {{expects to be in the body of a kernel, or of a loop in it}}
    %0 = tile.local [4, 4] from [%n, %n] at 0 : <2xf32, unit>
  }
  tile.return
}

// -----

// tile.scalar C1
tile.kernel @k(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:V"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <1x16xf32>
  // expected-error@below {{expects a tile of one element, of the type of the result, found}}
  %0 = tile.scalar %t : <1x16xf32> -> f32
  tile.return
}

// -----

// tile.invert C1
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x16xf32>
  // expected-error@below {{expects a matrix of f32 with 16, 32 or 64 rows and as many columns, and a result of its type, found '!tile.tile<64x16xf32>' to '!tile.tile<64x16xf32>'}}
  %0 = tile.invert %t : <64x16xf32> -> <64x16xf32>
  tile.return
}

// -----

// tile.invert C1: the number of rows
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <128x128xf32>
  // expected-error@below {{expects a matrix of f32 with 16, 32 or 64 rows and as many columns}}
  %0 = tile.invert %t : <128x128xf32> -> <128x128xf32>
  tile.return
}

// -----

// tile.dot C2: f16 has not the range of f32
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <16x16xf32>
  %h = tile.cast %t : <16x16xf32> -> <16x16xf16>
  // expected-error@below {{expects operands of one element type among f16, bf16 and f32, or f32 and bf16, and an f32 accumulator and result, found}}
  %0 = tile.dot %t, %h, %t : <16x16xf32>, <16x16xf16>, <16x16xf32> -> <16x16xf32>
  tile.return
}

// -----

// tile.dot C4: a mask
tile.kernel @k(%f: f32 {tile.binding = "param:f"}, %n: i32 {tile.binding = "size:q"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <16x16xf32>
  %h = tile.cast %t : <16x16xf32> -> <16x16xbf16>
  %m = tile.fill %n : i32 -> <16x16xi32>
  // expected-error@below {{expects a right operand of the left one's type that is not transposed with a mask}}
  %0 = tile.dot %t, %h, %t where %m : <16x16xf32>, <16x16xbf16>, <16x16xf32>, !tile.tile<16x16xi32> -> <16x16xf32>
  tile.return
}

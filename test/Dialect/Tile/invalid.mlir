// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// One case for each way to break a constraint of the dialect; labels are those of the declarations.

// tile.kernel C1
// expected-error@below {{expects three grid dimensions, found 2 spaces and 3 tiles}}
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {grid_spaces = ["q", "h"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// tile.kernel C1
// expected-error@below {{expects three grid dimensions, found 3 spaces and 2 tiles}}
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// tile.kernel C1
// expected-error@below {{expects grid tiles of at least 1, found 0}}
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 0, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// tile.kernel C2
// expected-error@below {{expects arguments that are views, tensor maps, i32 or f32, found 'i64'}}
tile.kernel @k(%n: i64 {tile.binding = "size:kv"}) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// tile.kernel C3
// expected-error@below {{expects argument 0 to have a `tile.binding`}}
tile.kernel @k(%n: i32) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  tile.return
}

// -----

// tile.kernel C4
// expected-error@below {{expects 1 to 32 warps, found 0}}
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 0 : i32} {
  tile.return
}

// -----

// tile.kernel C4
// expected-error@below {{expects 1 to 32 warps, found -4}}
tile.kernel @k(%n: i32 {tile.binding = "size:kv"}) attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = -4 : i32} {
  tile.return
}

// -----

// tile.program_id
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{attribute 'dim' failed to satisfy constraint}}
  %0 = tile.program_id 3
  tile.return
}

// -----

// tile.load C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects a view with a unit last stride, found '!tile.view<4xf16>'}}
  %0 = tile.load %w[%n, %n] rows 2 from %n to %n cols 64 : <4xf16> -> <64x64xf16>
  tile.return
}

// -----

// tile.load C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects element type 'f16', found 'f32'}}
  %0 = tile.load %v[%n, %n] rows 2 from %n to %n cols 64 : <4xf16, unit> -> <64x64xf32>
  tile.return
}

// -----

// tile.load C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects 2 indices, found 1}}
  %0 = tile.load %v[%n] rows 2 from %n to %n cols 64 : <4xf16, unit> -> <64x64xf16>
  tile.return
}

// -----

// tile.load C3
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects at most 64 valid columns, found 72}}
  %0 = tile.load %v[%n, %n] rows 2 from %n to %n cols 72 : <4xf16, unit> -> <64x64xf16>
  tile.return
}

// -----

// tile.load C4
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects a matrix, found}}
  %0 = tile.load %v[%n, %n] rows 2 from %n to %n cols 1 : <4xf16, unit> -> <64xf16>
  tile.return
}

// -----

// tile.load C4
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects rows over one of the first 3 dimensions, found 3}}
  %0 = tile.load %v[%n, %n] rows 3 from %n to %n cols 64 : <4xf16, unit> -> <64x64xf16>
  tile.return
}

// -----

// tile.store C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects a view with a unit last stride, found}}
  tile.store %t, %w[%n, %n] rows 2 from %n to %n cols 64 : <64x64xf32>, <4xf16>
  tile.return
}

// -----

// tile.store C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects 2 indices, found 3}}
  tile.store %t, %v[%n, %n, %n] rows 2 from %n to %n cols 64 : <64x64xf32>, <4xf16, unit>
  tile.return
}

// -----

// tile.store C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64xf32>
  // expected-error@below {{expects 2 indices, found 1}}
  tile.store %t, %r[%n] rows 2 from %n to %n cols 1 : <64xf32>, <3xf32>
  tile.return
}

// -----

// tile.store C3
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects at most 64 valid columns, found 65}}
  tile.store %t, %v[%n, %n] rows 2 from %n to %n cols 65 : <64x64xf32>, <4xf16, unit>
  tile.return
}

// -----

// tile.store C3
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects rows over one of the first 3 dimensions, found 3}}
  tile.store %t, %v[%n, %n] rows 3 from %n to %n cols 64 : <64x64xf32>, <4xf16, unit>
  tile.return
}

// -----

// tile.store C3
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64xf32>
  // expected-error@below {{expects rows over one of the first 3 dimensions, found 5}}
  tile.store %t, %r[%n, %n] rows 5 from %n to %n cols 1 : <64xf32>, <3xf32>
  tile.return
}

// -----

// tile.element C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects 3 indices, found 2}}
  %0 = tile.element %r[%n, %n] : <3xf32> -> f32
  tile.return
}

// -----

// tile.element C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects a result of type 'f32', found 'i32'}}
  %0 = tile.element %r[%n, %n, %n] : <3xf32> -> i32
  tile.return
}

// -----

// tile.fill C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  // expected-error@below {{expects a value of type 'f16', found 'f32'}}
  %0 = tile.fill %f : f32 -> <64x64xf16>
  tile.return
}

// -----

// tile.dot C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a0 = arith.constant 0.0 : f16
  %a = tile.fill %a0 : f16 -> <64x48xf16>
  %b0 = arith.constant 0.0 : f16
  %b = tile.fill %b0 : f16 -> <32x48xf16>
  %c0 = arith.constant 0.0 : f32
  %c = tile.fill %c0 : f32 -> <64xf32>
  // expected-error@below {{expects matrices}}
  %0 = tile.dot %a, %b transposed, %c : <64x48xf16>, <32x48xf16>, <64xf32> -> <64x32xf32>
  tile.return
}

// -----

// tile.dot C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a0 = arith.constant 0.0 : f16
  %a = tile.fill %a0 : f16 -> <64x48xf16>
  %b0 = arith.constant 0.0 : f16
  %b = tile.fill %b0 : f16 -> <32x64xf16>
  %c0 = arith.constant 0.0 : f32
  %c = tile.fill %c0 : f32 -> <64x32xf32>
  // expected-error@below {{expects shapes that agree, found}}
  %0 = tile.dot %a, %b transposed, %c : <64x48xf16>, <32x64xf16>, <64x32xf32> -> <64x32xf32>
  tile.return
}

// -----

// tile.dot C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a0 = arith.constant 0.0 : f16
  %a = tile.fill %a0 : f16 -> <64x48xf16>
  %b0 = arith.constant 0.0 : f16
  %b = tile.fill %b0 : f16 -> <32x48xf16>
  %c0 = arith.constant 0.0 : f32
  %c = tile.fill %c0 : f32 -> <64x32xf32>
  // expected-error@below {{expects shapes that agree, found}}
  %0 = tile.dot %a, %b, %c : <64x48xf16>, <32x48xf16>, <64x32xf32> -> <64x32xf32>
  tile.return
}

// -----

// tile.dot C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a0 = arith.constant 0.0 : f16
  %a = tile.fill %a0 : f16 -> <32x48xf16>
  %b0 = arith.constant 0.0 : f16
  %b = tile.fill %b0 : f16 -> <32x48xf16>
  %c0 = arith.constant 0.0 : f32
  %c = tile.fill %c0 : f32 -> <64x32xf32>
  // expected-error@below {{expects shapes that agree, found}}
  %0 = tile.dot %a, %b transposed, %c : <32x48xf16>, <32x48xf16>, <64x32xf32> -> <64x32xf32>
  tile.return
}

// -----

// tile.dot C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a0 = arith.constant 0.0 : f16
  %a = tile.fill %a0 : f16 -> <64x48xf16>
  %b0 = arith.constant 0.0 : bf16
  %b = tile.fill %b0 : bf16 -> <32x48xbf16>
  %c0 = arith.constant 0.0 : f32
  %c = tile.fill %c0 : f32 -> <64x32xf32>
  // expected-error@below {{expects operands of one element type among f16, bf16 and f32, or f32 and bf16, and an f32 accumulator and result, found}}
  %0 = tile.dot %a, %b transposed, %c : <64x48xf16>, <32x48xbf16>, <64x32xf32> -> <64x32xf32>
  tile.return
}

// -----

// tile.dot C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %a0 = arith.constant 0.0 : f16
  %a = tile.fill %a0 : f16 -> <64x48xf16>
  %b0 = arith.constant 0.0 : f16
  %b = tile.fill %b0 : f16 -> <32x48xf16>
  %c0 = arith.constant 0.0 : f16
  %c = tile.fill %c0 : f16 -> <64x32xf16>
  // expected-error@below {{expects operands of one element type among f16, bf16 and f32, or f32 and bf16, and an f32 accumulator and result, found}}
  %0 = tile.dot %a, %b transposed, %c : <64x48xf16>, <32x48xf16>, <64x32xf16> -> <64x32xf16>
  tile.return
}

// -----

// tile.map C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects an operand with the result's rows and columns, found}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    tile.yield %e : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x32xf32>
  tile.return
}

// -----

// tile.map C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects an operand with the result's rows and columns, found}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: i32):
    tile.yield %e : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64xf32>
  tile.return
}

// -----

// tile.map C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects 3 region arguments, found 2}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: i32):
    tile.yield %e : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  tile.return
}

// -----

// tile.map C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects a region argument of type 'f32', found 'i32'}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: i32, %i: i32, %j: i32):
    tile.yield %f : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  tile.return
}

// -----

// tile.map C2
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects i32 coordinates, found 'f32'}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: f32, %j: i32):
    tile.yield %e : f32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  tile.return
}

// -----

// tile.map C3
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects the region to yield 'f32'}}
  %0 = tile.map(%t) at(%n, %n) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    tile.yield %i : i32
  } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
  tile.return
}

// -----

// tile.reduce C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects a matrix reduced to one value for each row, found}}
  %0 = tile.reduce max %t : <64x64xf32> -> <32xf32>
  tile.return
}

// -----

// tile.reduce C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64xf32>
  // expected-error@below {{expects a matrix, found '!tile.tile<64xf32>'}}
  %0 = tile.reduce sum %t : <64xf32> -> <64xf32>
  tile.return
}

// -----

// tile.cast C1
tile.kernel @k(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %w: !tile.view<4xf16> {tile.binding = "tensor:L"},
               %r: !tile.view<3xf32> {tile.binding = "tensor:lse"}, %n: i32 {tile.binding = "size:kv"}, %f: f32 {tile.binding = "param:f"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %t = tile.fill %f : f32 -> <64x64xf32>
  // expected-error@below {{expects equal shapes, found}}
  %0 = tile.cast %t : <64x64xf32> -> <64x32xf16>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

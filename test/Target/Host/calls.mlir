// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Host code calls no function of the C library, which LLVM would call once for each lane. Every function that specs have is expanded, on
// the oldest CPUs too, that round by no instruction; one that is not is an error where code is verified.
// REQUIRES: attnc
// RUN: not attnc compile %s --compile-from=tile --target=host --emit=obj -o %t.o 2>&1 | FileCheck %s
// CHECK: host code calls `log10f`: expected calls of memcpy, memmove and memset alone
// RUN: sed s/math.log10/math.sin/ %s > %t.mlir
// RUN: attnc compile %t.mlir --compile-from=tile --target=host --emit=obj -o %t.o

// Powers and sines; floor, ceil and round; a sine and a cosine of one number.
// RUN: attnc compile %specs/model/gemma3.attn --target=host --host-features=x86-64 --verify --emit=obj -o %t.o
// RUN: attnc compile %specs/quantized/sage1.attn --target=host --host-features=x86-64 --verify --emit=obj -o %t.o
// RUN: attnc compile %specs/decode/ucm_gsa.attn --target=host --host-features=x86-64 --verify --emit=obj -o %t.o
// RUN: attnc compile %specs/decode/rerope.attn --target=host --host-features=x86-64-v3 --verify --emit=obj -o %t.o

module {
  tile.kernel @apply(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X", tile.axes = ["q", "32"]},
                     %Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y", tile.axes = ["q", "32"], tile.output},
                     %n: i32 {tile.binding = "size:q"})
      attributes {grid_spaces = ["q", "q", "q"], grid_tiles = array<i64: 16, 1048576, 1048576>, num_warps = 4 : i32} {
    %c0 = arith.constant 0 : i32
    %c16 = arith.constant 16 : i32
    %pid = tile.program_id 0
    %row = arith.muli %pid, %c16 : i32
    %t = tile.load %X[] rows 0 from %row to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
    %u = tile.map(%t) at(%row, %c0) {
    ^bb0(%x: f32, %i: i32, %j: i32):
      %y = math.log10 %x : f32
      tile.yield %y : f32
    } : (!tile.tile<16x32xf32>) -> !tile.tile<16x32xf32>
    tile.store %u, %Y[] rows 0 from %row to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
    tile.return
  }
}

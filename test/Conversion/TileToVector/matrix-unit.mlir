// RUN: attnc-opt %s --convert-tile-to-vector=isa=amx | FileCheck %s
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products of bf16 on a matrix unit.

// Registers get their shapes once, before anything else: 16 rows of 64 bytes, but for the halves.
// CHECK-LABEL: llvm.func @sums
// CHECK: arith.constant dense<[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 32, 0, 64, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 16, 16, 16, 16, 16, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0]> : vector<64xi8>
// CHECK: llvm.call_intrinsic "llvm.x86.ldtilecfg"
// CHECK-NOT: llvm.x86.ldtilecfg
// Two tiles of rows, two of columns: each left tile is loaded once for a step over the depth, and a right one is kept for the
// next row of tiles. A depth of 48 is one step and half of one.
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tilezero"
// CHECK-NOT: tilezero
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tdpbf16ps"(%{{c._i8.*}}, %c4_i8{{.*}}, %c6_i8{{.*}})
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"(%c5_i8
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"(%c7_i8
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tdpbf16ps"(%{{c._i8.*}}, %c5_i8{{.*}}, %c7_i8{{.*}})
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tilestored64"
// CHECK-NOT: dpbf16ps
// CHECK: llvm.call_intrinsic "llvm.x86.tilerelease"
// CHECK-NEXT: llvm.return
tile.kernel @sums(%v: !tile.view<2xbf16, unit> {tile.binding = "tensor:v"},
                  %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 32, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %a = tile.load %v[] rows 0 from %c0 to %n cols 48 : !tile.view<2xbf16, unit> -> !tile.tile<32x48xbf16>
  %b = tile.load %v[] rows 0 from %c0 to %n cols 48 : !tile.view<2xbf16, unit> -> !tile.tile<32x48xbf16>
  %s0 = tile.fill %zero : f32 -> !tile.tile<32x32xf32>
  %s = tile.dot %a, %b transposed, %s0 : !tile.tile<32x48xbf16>, !tile.tile<32x48xbf16>, !tile.tile<32x32xf32> -> !tile.tile<32x32xf32>
  tile.store %s, %out[] rows 0 from %c0 to %n cols 32 : !tile.tile<32x32xf32>, !tile.view<2xf32, unit>
  tile.return
}

// An accumulator is where the sums start. The map that makes it goes with the other rows, and overwrites what it reads.
// CHECK-LABEL: llvm.func @carried
// CHECK: arith.mulf
// CHECK-NOT: tilezero
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"(%c0_i8
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"(%c1_i8
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"(%c4_i8
// CHECK: llvm.call_intrinsic "llvm.x86.tdpbf16ps"(%c0_i8
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64"(%c0_i8
tile.kernel @carried(%v: !tile.view<2xbf16, unit> {tile.binding = "tensor:v"},
                     %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %half = arith.constant 0.5 : f32
  %a = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<16x32xbf16>
  %b = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<32x32xbf16>
  %o = tile.load %out[] rows 0 from %c0 to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
  %x = tile.map(%o) at(%c0, %c0) {
  ^bb0(%e: f32, %i: i32, %j: i32):
    %y = arith.mulf %e, %half : f32
    tile.yield %y : f32
  } : (!tile.tile<16x32xf32>) -> !tile.tile<16x32xf32>
  %s = tile.dot %a, %b, %x : !tile.tile<16x32xbf16>, !tile.tile<32x32xbf16>, !tile.tile<16x32xf32> -> !tile.tile<16x32xf32>
  tile.store %s, %out[] rows 0 from %c0 to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
  tile.return
}

// Rows and depths that are no multiples of 16, and sums that start at a number, are products of vectors.
// CHECK-LABEL: llvm.func @others
// CHECK-NOT: ldtilecfg
// CHECK-NOT: tdpbf16ps
// CHECK: llvm.x86.avx512bf16.dpbf16ps.512
// CHECK-NOT: tdpbf16ps
// CHECK-NOT: tilerelease
// CHECK: llvm.return
tile.kernel @others(%v: !tile.view<2xbf16, unit> {tile.binding = "tensor:v"},
                    %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 24, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %a = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<24x32xbf16>
  %b = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<16x32xbf16>
  %s0 = tile.fill %zero : f32 -> !tile.tile<24x16xf32>
  %s = tile.dot %a, %b transposed, %s0 : !tile.tile<24x32xbf16>, !tile.tile<16x32xbf16>, !tile.tile<24x16xf32> -> !tile.tile<24x16xf32>
  tile.store %s, %out[] rows 0 from %c0 to %n cols 16 : !tile.tile<24x16xf32>, !tile.view<2xf32, unit>
  %d = tile.load %v[] rows 0 from %c0 to %n cols 40 : !tile.view<2xbf16, unit> -> !tile.tile<16x40xbf16>
  %f = tile.load %v[] rows 0 from %c0 to %n cols 40 : !tile.view<2xbf16, unit> -> !tile.tile<16x40xbf16>
  %t0 = tile.fill %zero : f32 -> !tile.tile<16x16xf32>
  %t = tile.dot %d, %f transposed, %t0 : !tile.tile<16x40xbf16>, !tile.tile<16x40xbf16>, !tile.tile<16x16xf32> -> !tile.tile<16x16xf32>
  tile.store %t, %out[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  %g = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<16x32xbf16>
  %h = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<16x32xbf16>
  %u0 = tile.fill %one : f32 -> !tile.tile<16x16xf32>
  %u = tile.dot %g, %h transposed, %u0 : !tile.tile<16x32xbf16>, !tile.tile<16x32xbf16>, !tile.tile<16x16xf32> -> !tile.tile<16x16xf32>
  tile.store %u, %out[] rows 0 from %c0 to %n cols 16 : !tile.tile<16x16xf32>, !tile.view<2xf32, unit>
  tile.return
}

// RUN: attnc-opt %s --convert-tile-to-vector=isa=avx512bf16 | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: attnc-opt %s --convert-tile-to-vector=isa=avx2 | FileCheck %s --check-prefixes=CHECK,AVX2
// Products: packing, the register tile, accumulators that are computed as they are loaded.

// CHECK-LABEL: llvm.func @bf16
// The transposed operand is packed by a transposition in registers: log2(lanes) rounds of shuffles.
// BF16-COUNT-64: llvm.shufflevector %{{.*}} : vector<16xf32>
// BF16: scf.for {{.*}} iter_args
// BF16-COUNT-16: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// Elsewhere bf16 is held as f32: eight lanes, 24 shuffles, fused multiply-adds.
// AVX2-COUNT-24: llvm.shufflevector %{{.*}} : vector<8xf32>
// AVX2: scf.for {{.*}} iter_args
// AVX2: llvm.intr.fma(%{{.*}}) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
// AVX2-NOT: dpbf16ps
// CHECK: llvm.return
tile.kernel @bf16(%v: !tile.view<2xbf16, unit> {tile.binding = "tensor:v"},
                  %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %a = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<16x32xbf16>
  %b = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<32x32xbf16>
  %s0 = tile.fill %zero : f32 -> !tile.tile<16x32xf32>
  %s = tile.dot %a, %b transposed, %s0 : !tile.tile<16x32xbf16>, !tile.tile<32x32xbf16>, !tile.tile<16x32xf32> -> !tile.tile<16x32xf32>
  tile.store %s, %out[] rows 0 from %c0 to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
  tile.return
}

// The sums of a product start at 0. The rescale is computed where the accumulator is loaded, behind the depth loop; there is
// no pass of its own over the accumulator, and the result overwrites it.
// CHECK-LABEL: llvm.func @deferred
// CHECK: %[[ZERO:.*]] = arith.constant dense<0.000000e+00> : vector
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[ZERO]]
// CHECK: llvm.intr.fma
// CHECK: scf.yield
// CHECK: %[[ALPHA:.*]] = llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> f32
// CHECK: %[[WIDE:.*]] = llvm.shufflevector
// CHECK: %[[OLD:.*]] = arith.mulf %{{.*}}, %[[WIDE]]
// CHECK: arith.addf %[[OLD]], %{{.*}} : vector
// CHECK: llvm.return
tile.kernel @deferred(%v: !tile.view<2xf32, unit> {tile.binding = "tensor:v"},
                      %w: !tile.view<2xf32, unit> {tile.binding = "tensor:w"}, %n: i32 {tile.binding = "size:q"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %p = tile.load %v[] rows 0 from %c0 to %n cols 16 : !tile.view<2xf32, unit> -> !tile.tile<16x16xf32>
  %o = tile.load %v[] rows 0 from %c0 to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
  %alpha = tile.reduce max %p : !tile.tile<16x16xf32> -> !tile.tile<16xf32>
  %x = tile.load %w[] rows 0 from %c0 to %n cols 32 : !tile.view<2xf32, unit> -> !tile.tile<16x32xf32>
  %or = tile.map(%o, %alpha) at(%c0, %c0) {
  ^bb0(%e: f32, %a: f32, %i: i32, %j: i32):
    %y = arith.mulf %e, %a : f32
    tile.yield %y : f32
  } : (!tile.tile<16x32xf32>, !tile.tile<16xf32>) -> !tile.tile<16x32xf32>
  %on = tile.dot %p, %x, %or : !tile.tile<16x16xf32>, !tile.tile<16x32xf32>, !tile.tile<16x32xf32> -> !tile.tile<16x32xf32>
  tile.store %on, %v[] rows 0 from %c0 to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

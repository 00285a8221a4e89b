// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-choose-products))' | FileCheck %s
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-choose-products,tile-share-operands,tile-pipeline-loads))' \
// RUN:   | FileCheck %s --check-prefix=SHARED

// Both products have 64 rows for four warps. Operands lie in panels of 128 bytes, or of what their rows are whole ones of.
// CHECK-LABEL: tile.kernel @attention
// CHECK: tile.dot {{.*}} transposed, {{.*}} {warpgroup}
// CHECK: tile.dot {{.*}} {warpgroup}
// SHARED-LABEL: tile.kernel @attention
// SHARED-DAG: tile.alloc at {{.*}} : <2x64x96xbf16, #tile.shared<pitch = 64, shift = 1, mask = 3, panel_bytes = 4096>>
// SHARED-DAG: tile.alloc at {{.*}} : <2x64x128xbf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
// SHARED-DAG: tile.alloc at 0 : <1x64x128xbf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
#sm_90a = #tile.schedule<target = "sm_90a", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>
tile.kernel @attention(%Q: !tile.view<2xbf16, unit> {tile.binding = "tensor:Q"}, %K: !tile.view<2xbf16, unit> {tile.binding = "tensor:K"},
                       %V: !tile.view<2xbf16, unit> {tile.binding = "tensor:V"}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32, tile.schedule = #sm_90a} {
  %c0 = arith.constant 0 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %q = tile.load %Q[] rows 0 from %c0 to %n cols 128 : <2xbf16, unit> -> <64x128xbf16>
  %o0 = tile.fill %zero : f32 -> <64x96xf32>
  %o = scf.for %kv = %c0 to %n step %c64 iter_args(%acc = %o0) -> (!tile.tile<64x96xf32>) : i32 {
    %k = tile.load %K[] rows 0 from %kv to %n cols 128 : <2xbf16, unit> -> <64x128xbf16>
    %s0 = tile.fill %zero : f32 -> <64x64xf32>
    %s = tile.dot %q, %k transposed, %s0 : <64x128xbf16>, <64x128xbf16>, <64x64xf32> -> <64x64xf32>
    %p = tile.cast %s : <64x64xf32> -> <64x64xbf16>
    %v = tile.load %V[] rows 0 from %kv to %n cols 96 : <2xbf16, unit> -> <64x96xbf16>
    %next = tile.dot %p, %v, %acc : <64x64xbf16>, <64x96xbf16>, <64x96xf32> -> <64x96xf32>
    scf.yield %next : !tile.tile<64x96xf32>
  }
  tile.return
}

// A product that leaves terms out has no such form, and neither has another one that reads what it reads.
// CHECK-LABEL: tile.kernel @masked
// CHECK-NOT: warpgroup
// CHECK: tile.return
tile.kernel @masked(%V: !tile.view<2xbf16, unit> {tile.binding = "tensor:V"}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32, tile.schedule = #sm_90a} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %v = tile.load %V[] rows 0 from %c0 to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
  %a = tile.fill %zero : f32 -> <64x64xf32>
  %w = tile.cast %a : <64x64xf32> -> <64x64xbf16>
  %m = tile.fill %n : i32 -> <64x64xi32>
  %x = tile.dot %w, %v, %a where %m : <64x64xbf16>, <64x64xbf16>, <64x64xf32>, !tile.tile<64x64xi32> -> <64x64xf32>
  %y = tile.dot %w, %v, %a : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
  tile.return
}

// f32 operands, too few rows for eight warps, and another target.
// CHECK-LABEL: tile.kernel @others
// CHECK-NOT: warpgroup
// CHECK: tile.return
tile.kernel @others(%K: !tile.view<2xf32, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 8 : i32, tile.schedule = #sm_90a} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %k = tile.load %K[] rows 0 from %c0 to %n cols 64 : <2xf32, unit> -> <64x64xf32>
  %a = tile.fill %zero : f32 -> <128x64xf32>
  %x = tile.dot %a, %k, %a : <128x64xf32>, <64x64xf32>, <128x64xf32> -> <128x64xf32>
  %b = tile.fill %zero : f32 -> <64x64xf32>
  %w = tile.cast %b : <64x64xf32> -> <64x64xf16>
  %y = tile.dot %w, %w, %b : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <64x64xf32>
  tile.return
}
// CHECK-LABEL: tile.kernel @older
// CHECK-NOT: warpgroup
// CHECK: tile.return
tile.kernel @older(%n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32,
    tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %zero = arith.constant 0.0 : f32
  %b = tile.fill %zero : f32 -> <64x64xf32>
  %w = tile.cast %b : <64x64xf32> -> <64x64xf16>
  %y = tile.dot %w, %w, %b : <64x64xf16>, <64x64xf16>, <64x64xf32> -> <64x64xf32>
  tile.return
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-choose-products,tile-share-operands,tile-pipeline-loads,tile-assign-layouts,tile-overlap-products),convert-tile-to-nvvm)' \
// RUN:   | FileCheck %s

// Keys of 64 columns: panels of 128 bytes, swizzle 1, groups of eight rows 1024 bytes apart, depth along their rows. The
// first step starts from 0. Values of 32 columns: panels of 64 bytes, swizzle 2, 512 bytes apart; a depth of 16 is 1024
// bytes. What was copied is fenced before the barrier.
// CHECK-LABEL: llvm.func @attention
// CHECK: arith.constant 4611686293305360384 : i64
// CHECK: nvvm.cp.async.wait.group
// CHECK-NEXT: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>, space = #nvvm.shared_space<cta>}
// CHECK-NEXT: nvvm.barrier
// CHECK: llvm.inline_asm has_side_effects {{.*}}wgmma.fence.sync.aligned;{{.*}}add.s64 right, {{.*}}, 0;{{.*}}wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {{[^;]*}}, left, right, 0, 1, 1, 0, 0;{{.*}}add.s64 right, {{.*}}, 2;{{.*}}left, right, 1, 1, 1, 0, 0;{{.*}}add.s64 right, {{.*}}, 6;{{.*}}wgmma.commit_group.sync.aligned;
// CHECK: llvm.inline_asm has_side_effects {{.*}}wgmma.wait_group.sync.aligned 0;
// CHECK: llvm.inline_asm has_side_effects {{.*}}wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {{[^;]*}}, right, 1, 1, 1, 1;{{.*}}add.s64 right, {{.*}}, 64;
#sm_90a = #tile.schedule<target = "sm_90a", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>
tile.kernel @attention(%Q: !tile.view<2xbf16, unit> {tile.binding = "tensor:Q"}, %K: !tile.view<2xbf16, unit> {tile.binding = "tensor:K"},
                       %V: !tile.view<2xbf16, unit> {tile.binding = "tensor:V"}, %O: !tile.view<2xf32, unit> {tile.binding = "tensor:O", tile.output},
                       %n: i32 {tile.binding = "size:n"}, %f: i32 {tile.binding = "size:f"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32, tile.schedule = #sm_90a} {
  %c0 = arith.constant 0 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %q = tile.load %Q[] rows 0 from %c0 to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
  %o0 = tile.fill %zero : f32 -> <64x32xf32>
  %o1 = scf.for %kv = %c0 to %f step %c64 iter_args(%acc = %o0) -> (!tile.tile<64x32xf32>) : i32 {
    %k = tile.load %K[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %s0 = tile.fill %zero : f32 -> <64x64xf32>
    %s = tile.dot %q, %k transposed, %s0 : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
    %m = tile.reduce max %s : <64x64xf32> -> <64xf32>
    %half = tile.map(%acc, %m) at(%c0, %c0) {
    ^bb0(%a: f32, %x: f32, %i: i32, %j: i32):
      %h = arith.mulf %a, %x : f32
      tile.yield %h : f32
    } : (!tile.tile<64x32xf32>, !tile.tile<64xf32>) -> !tile.tile<64x32xf32>
    %p = tile.cast %s : <64x64xf32> -> <64x64xbf16>
    %v = tile.load %V[] rows 0 from %kv to %n cols 32 : <2xbf16, unit> -> <64x32xbf16>
    %next = tile.dot %p, %v, %half : <64x64xbf16>, <64x32xbf16>, <64x32xf32> -> <64x32xf32>
    scf.yield %next : !tile.tile<64x32xf32>
  }
  %o2 = scf.for %kv = %f to %n step %c64 iter_args(%acc = %o1) -> (!tile.tile<64x32xf32>) : i32 {
    %k = tile.load %K[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %s0 = tile.fill %zero : f32 -> <64x64xf32>
    %s = tile.dot %q, %k transposed, %s0 : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
    %p = tile.cast %s : <64x64xf32> -> <64x64xbf16>
    %v = tile.load %V[] rows 0 from %kv to %n cols 32 : <2xbf16, unit> -> <64x32xbf16>
    %next = tile.dot %p, %v, %acc : <64x64xbf16>, <64x32xbf16>, <64x32xf32> -> <64x32xf32>
    scf.yield %next : !tile.tile<64x32xf32>
  }
  tile.store %o2, %O[] rows 0 from %c0 to %n cols 32 : <64x32xf32>, <2xf32, unit>
  tile.return
}

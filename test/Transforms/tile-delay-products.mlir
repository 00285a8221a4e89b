// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-choose-products,tile-delay-products))' | FileCheck %s
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-choose-products,tile-delay-products,tile-share-operands,tile-pipeline-loads))' \
// RUN:   | FileCheck %s --check-prefix=RING

// The second product of both loops; what it reads stays for an iteration longer, in three stages where keys have two.
// CHECK-LABEL: tile.kernel @attention
// CHECK: tile.dot {{.*}} transposed, {{.*}} {warpgroup}
// CHECK: tile.dot {{.*}} {delayed, warpgroup}
// CHECK: tile.dot {{.*}} transposed, {{.*}} {warpgroup}
// CHECK: tile.dot {{.*}} {delayed, warpgroup}
// RING-LABEL: tile.kernel @attention
// RING-DAG: %[[V:.*]] = tile.alloc at {{.*}} : <3x64x32xbf16,
// RING-DAG: %[[K:.*]] = tile.alloc at {{.*}} : <2x64x64xbf16,
// RING: scf.for {{.*}} iter_args(%{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}}, %[[TWO:.*]] = %{{.*}}, %[[THREE:.*]] = %{{.*}})
// RING: into %[[K]][%[[TWO]]]
// RING: into %[[V]][%[[THREE]]]
// RING: arith.remui
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

// A product whose sums are needed before the next iteration's first product stays where it is, and so does one without another.
// CHECK-LABEL: tile.kernel @others
// CHECK-NOT: delayed
// CHECK: tile.return
tile.kernel @others(%V: !tile.view<2xbf16, unit> {tile.binding = "tensor:V"}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32, tile.schedule = #sm_90a} {
  %c0 = arith.constant 0 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %o0 = tile.fill %zero : f32 -> <64x64xf32>
  %state = scf.for %kv = %c0 to %n step %c64 iter_args(%acc = %o0) -> (!tile.tile<64x64xf32>) : i32 {
    %x = tile.cast %acc : <64x64xf32> -> <64x64xbf16>
    %k = tile.load %V[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %s = tile.dot %x, %k transposed, %o0 : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
    %p = tile.cast %s : <64x64xf32> -> <64x64xbf16>
    %v = tile.load %V[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %next = tile.dot %p, %v, %acc : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
    scf.yield %next : !tile.tile<64x64xf32>
  }
  %y = tile.cast %state : <64x64xf32> -> <64x64xbf16>
  %sum = scf.for %kv = %c0 to %n step %c64 iter_args(%acc = %o0) -> (!tile.tile<64x64xf32>) : i32 {
    %p = tile.cast %state : <64x64xf32> -> <64x64xbf16>
    %v = tile.load %V[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %next = tile.dot %p, %v, %acc : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
    scf.yield %next : !tile.tile<64x64xf32>
  }
  tile.return
}

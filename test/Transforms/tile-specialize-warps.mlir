// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-choose-products,tile-delay-products,tile-share-operands,tile-pipeline-loads,tile-assign-layouts,tile-overlap-products,tile-specialize-warps))' \
// RUN:   | FileCheck %s

// CHECK-LABEL: tile.kernel @attention
// The barriers of the rings lie behind all buffers: two of 8 bytes for each stage.
// CHECK: %[[Q:.*]] = tile.ring %{{.*}} at 45056 filled 4 released 8 : <1x128x64xbf16
// CHECK-NEXT: %[[V:.*]] = tile.ring %{{.*}} at 45072 filled 4 released 8 : <3x64x32xbf16
// CHECK-NEXT: %[[K:.*]] = tile.ring %{{.*}} at 45120 filled 4 released 8 : <2x64x64xbf16
// CHECK-NEXT: tile.specialize producers 4 registers 56 {
// What is begun together is signalled where the program waited first; the zeros of V are its fill 0.
// CHECK: tile.ring_fill %arg0[] {{.*}} into %[[Q]][%[[ZERO:.*]]] by 16
// CHECK: %[[ONE:.*]] = arith.addi %[[ZERO]]
// CHECK: tile.ring_fill %arg2[] {{.*}} into %[[V]][%[[ZERO]]] by 16
// CHECK: tile.ring_fill %arg1[] {{.*}} into %[[K]][%[[ZERO]]] by 16
// CHECK: tile.ring_fill %arg2[] {{.*}} into %[[V]][%[[ONE]]] by 16
// CHECK-NEXT: tile.ring_signal %[[Q]][%[[ZERO]]] pending 3
// CHECK-NEXT: tile.ring_signal %[[V]][%[[ZERO]]] pending 2
// CHECK-NEXT: tile.ring_signal %[[K]][%[[ZERO]]] pending 1
// CHECK-NEXT: tile.ring_signal %[[V]][%[[ONE]]] pending 0
// Of the loops, producers carry how many fills came before, and nothing else.
// CHECK: %[[FULL:.*]]:2 = scf.for %{{.*}} iter_args(%[[NV:.*]] = %{{.*}}, %[[NK:.*]] = %{{.*}}) -> (i32, i32)
// CHECK-NOT: tile.dot
// CHECK: tile.ring_fill %arg1[] {{.*}} into %[[K]][%[[NK]]] by 16
// CHECK: tile.ring_fill %arg2[] {{.*}} into %[[V]][%[[NV]]] by 16
// CHECK-NEXT: tile.ring_signal %[[K]][%[[NK]]] pending 1
// CHECK-NEXT: tile.ring_signal %[[V]][%[[NV]]] pending 0
// CHECK: scf.for %{{.*}} iter_args(%{{.*}} = %[[FULL]]#0, %{{.*}} = %[[FULL]]#1) -> (i32, i32)
// CHECK: } consumers registers 224 {
// CHECK-NOT: tile.async_copy
// CHECK-NOT: tile.commit
// CHECK: %[[SLOT:.*]] = tile.ring_wait %[[Q]]
// CHECK: tile.read %[[SLOT]]
// A tile is waited for where it is read, and released behind the product that reads it.
// CHECK: scf.for
// CHECK: tile.ring_wait %[[K]][%[[K0:.*]]] :
// CHECK: %[[S:.*]] = tile.dot_start {{.*}} transposed
// CHECK: tile.ring_wait %[[V]][%[[V0:.*]]] :
// CHECK: %[[O:.*]] = tile.dot_start
// CHECK: tile.dot_wait %[[S]] pending 1
// CHECK-NEXT: tile.ring_release %[[K]][%[[K0]]]
// CHECK: tile.dot_wait %[[O]] pending 0
// CHECK-NEXT: tile.ring_release %[[V]][%[[V0]]]
// CHECK: scf.for
// Q behind the last loop that reads it.
// CHECK: }
// CHECK-NEXT: tile.ring_release %[[Q]]
// What was copied in vain is waited for before threads leave.
// CHECK: tile.ring_wait %[[V]]
// CHECK: %[[LAST:.*]] = tile.dot_start
// CHECK: tile.ring_wait %[[K]]
// CHECK: tile.ring_wait %[[V]]
// CHECK: tile.dot_wait %[[LAST]] pending 0
// CHECK: tile.store
// CHECK-NEXT: }
// CHECK-NEXT: tile.return
#sm_90a = #tile.schedule<target = "sm_90a", tile_q = 128, tile_kv = 64, stages = 2, warps = 8, vector_bytes = 16, precision = f32>
tile.kernel @attention(%Q: !tile.view<2xbf16, unit> {tile.binding = "tensor:Q"}, %K: !tile.view<2xbf16, unit> {tile.binding = "tensor:K"},
                       %V: !tile.view<2xbf16, unit> {tile.binding = "tensor:V"}, %O: !tile.view<2xf32, unit> {tile.binding = "tensor:O", tile.output},
                       %n: i32 {tile.binding = "size:n"}, %f: i32 {tile.binding = "size:f"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 128, 64, 64>, num_warps = 8 : i32, tile.schedule = #sm_90a} {
  %c0 = arith.constant 0 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %q = tile.load %Q[] rows 0 from %c0 to %n cols 64 : <2xbf16, unit> -> <128x64xbf16>
  %o0 = tile.fill %zero : f32 -> <128x32xf32>
  %o1 = scf.for %kv = %c0 to %f step %c64 iter_args(%acc = %o0) -> (!tile.tile<128x32xf32>) : i32 {
    %k = tile.load %K[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %s0 = tile.fill %zero : f32 -> <128x64xf32>
    %s = tile.dot %q, %k transposed, %s0 : <128x64xbf16>, <64x64xbf16>, <128x64xf32> -> <128x64xf32>
    %m = tile.reduce max %s : <128x64xf32> -> <128xf32>
    %half = tile.map(%acc, %m) at(%c0, %c0) {
    ^bb0(%a: f32, %x: f32, %i: i32, %j: i32):
      %h = arith.mulf %a, %x : f32
      tile.yield %h : f32
    } : (!tile.tile<128x32xf32>, !tile.tile<128xf32>) -> !tile.tile<128x32xf32>
    %p = tile.cast %s : <128x64xf32> -> <128x64xbf16>
    %v = tile.load %V[] rows 0 from %kv to %n cols 32 : <2xbf16, unit> -> <64x32xbf16>
    %next = tile.dot %p, %v, %half : <128x64xbf16>, <64x32xbf16>, <128x32xf32> -> <128x32xf32>
    scf.yield %next : !tile.tile<128x32xf32>
  }
  %o2 = scf.for %kv = %f to %n step %c64 iter_args(%acc = %o1) -> (!tile.tile<128x32xf32>) : i32 {
    %k = tile.load %K[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %s0 = tile.fill %zero : f32 -> <128x64xf32>
    %s = tile.dot %q, %k transposed, %s0 : <128x64xbf16>, <64x64xbf16>, <128x64xf32> -> <128x64xf32>
    %p = tile.cast %s : <128x64xf32> -> <128x64xbf16>
    %v = tile.load %V[] rows 0 from %kv to %n cols 32 : <2xbf16, unit> -> <64x32xbf16>
    %next = tile.dot %p, %v, %acc : <128x64xbf16>, <64x32xbf16>, <128x32xf32> -> <128x32xf32>
    scf.yield %next : !tile.tile<128x32xf32>
  }
  tile.store %o2, %O[] rows 0 from %c0 to %n cols 32 : <128x32xf32>, <2xf32, unit>
  tile.return
}

// Four warps compute: their blocks share multiprocessors, and keep their copies.
// CHECK-LABEL: tile.kernel @four_warps
// CHECK: tile.async_copy
// CHECK-NOT: tile.specialize
#four = #tile.schedule<target = "sm_90a", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>
tile.kernel @four_warps(%Q: !tile.view<2xbf16, unit> {tile.binding = "tensor:Q"}, %K: !tile.view<2xbf16, unit> {tile.binding = "tensor:K"},
                        %O: !tile.view<2xf32, unit> {tile.binding = "tensor:O", tile.output}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32, tile.schedule = #four} {
  %c0 = arith.constant 0 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %q = tile.load %Q[] rows 0 from %c0 to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
  %o0 = tile.fill %zero : f32 -> <64x64xf32>
  %o1 = scf.for %kv = %c0 to %n step %c64 iter_args(%acc = %o0) -> (!tile.tile<64x64xf32>) : i32 {
    %k = tile.load %K[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %s = tile.dot %q, %k transposed, %acc : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
    scf.yield %s : !tile.tile<64x64xf32>
  }
  tile.store %o1, %O[] rows 0 from %c0 to %n cols 64 : <64x64xf32>, <2xf32, unit>
  tile.return
}

// The rows of K follow from what a tile says: nobody but the threads that have it can copy them.
// CHECK-LABEL: tile.kernel @rows_of_a_tile
// CHECK: tile.async_copy
// CHECK-NOT: tile.specialize
#eight = #tile.schedule<target = "sm_90a", tile_q = 128, tile_kv = 64, stages = 2, warps = 8, vector_bytes = 16, precision = f32>
tile.kernel @rows_of_a_tile(%Q: !tile.view<2xbf16, unit> {tile.binding = "tensor:Q"}, %K: !tile.view<2xbf16, unit> {tile.binding = "tensor:K"},
                            %O: !tile.view<2xf32, unit> {tile.binding = "tensor:O", tile.output}, %n: i32 {tile.binding = "size:n"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 128, 64, 64>, num_warps = 8 : i32, tile.schedule = #eight} {
  %c0 = arith.constant 0 : i32
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  %q = tile.load %Q[] rows 0 from %c0 to %n cols 64 : <2xbf16, unit> -> <128x64xbf16>
  %o0 = tile.fill %zero : f32 -> <128x64xf32>
  %ones = tile.fill %c64 : i32 -> <128xi32>
  %some = tile.any %ones : <128xi32>
  %end = arith.select %some, %n, %c0 : i32
  %o1 = scf.for %kv = %c0 to %end step %c64 iter_args(%acc = %o0) -> (!tile.tile<128x64xf32>) : i32 {
    %k = tile.load %K[] rows 0 from %kv to %n cols 64 : <2xbf16, unit> -> <64x64xbf16>
    %s = tile.dot %q, %k transposed, %acc : <128x64xbf16>, <64x64xbf16>, <128x64xf32> -> <128x64xf32>
    scf.yield %s : !tile.tile<128x64xf32>
  }
  tile.store %o1, %O[] rows 0 from %c0 to %n cols 64 : <128x64xf32>, <2xf32, unit>
  tile.return
}

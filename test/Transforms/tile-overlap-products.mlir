// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-choose-products,tile-delay-products,tile-share-operands,tile-pipeline-loads,tile-assign-layouts,tile-overlap-products))' \
// RUN:   | FileCheck %s

// CHECK-LABEL: tile.kernel @attention
// The last of the three stages is filled with zeros, by a copy of no rows, before the pipeline's first copies.
// CHECK: %[[ZEROS:.*]] = tile.async_copy %arg2[] rows 0 from %[[NONE:.*]] to %{{.*}} cols 32 into %{{.*}}[%{{.*}}]
// CHECK-NEXT: tile.commit
// CHECK: tile.async_copy %arg1
// CHECK: tile.async_copy %arg2
// CHECK: tile.commit
// The wait for Q is one for them as well.
// CHECK: %[[ARRIVED:.*]]:2 = tile.wait %{{.*}}, %[[ZEROS]] pending 1 barrier
// CHECK: %[[NOTHING:.*]] = tile.fill {{.*}} : bf16 -> <64x64xbf16
// CHECK: %[[FULL:.*]]:{{[0-9]+}} = scf.for {{.*}} = %[[NOTHING]], %[[SLOT:.*]] = %[[ARRIVED]]#1)
// CHECK: %[[READY:.*]]:2 = tile.wait
// CHECK: %[[S:.*]] = tile.dot_start {{.*}} transposed
// CHECK: %[[BEFORE:.*]] = tile.read %[[SLOT]]
// CHECK: %[[O:.*]] = tile.dot_start %{{.*}}, %[[BEFORE]], %{{.*}}
// CHECK: %[[SCORES:.*]] = tile.dot_wait %[[S]] pending 1
// CHECK: %[[MAX:.*]] = tile.reduce max %[[SCORES]]
// What is reduced from the scores comes before the wait for the sums that it is multiplied with.
// CHECK: %[[SUMS:.*]] = tile.dot_wait %[[O]] pending 0 behind %[[MAX]]
// CHECK: %[[HALF:.*]] = tile.map(%[[SUMS]], %[[MAX]])
// CHECK: %[[P:.*]] = tile.cast %[[SCORES]]
// CHECK: scf.yield %[[HALF]], {{.*}}, %[[P]], %[[READY]]#1
// The second loop goes on with the product that the first one has left.
// CHECK: %[[PARTIAL:.*]]:{{[0-9]+}} = scf.for {{.*}} = %[[FULL]]#{{[0-9]+}}, %[[SECOND:[^ ]*]] = %[[FULL]]#{{[0-9]+}})
// CHECK: tile.read %[[SECOND]]
// CHECK: scf.yield
// The last one.
// CHECK: %[[V:.*]] = tile.read %[[PARTIAL]]#
// CHECK: %[[LAST:.*]] = tile.dot_start %[[PARTIAL]]#{{[0-9]+}}, %[[V]], %[[PARTIAL]]#0
// CHECK: %[[OUT:.*]] = tile.dot_wait %[[LAST]] pending 0
// CHECK: tile.store %[[OUT]]
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

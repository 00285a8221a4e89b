// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --convert-tile-to-nvvm | FileCheck %s

// A block of both roles. The ring's barriers wait for the warps that fill and for those that release.
// CHECK-LABEL: llvm.func @k
// CHECK-SAME: nvvm.reqntid = array<i32: 256, 1, 1>
// CHECK: scf.if
// CHECK-COUNT-2: nvvm.mbarrier.init %{{.*}}, %[[FOUR:.*]] :
// CHECK-COUNT-2: nvvm.mbarrier.init %{{.*}}, %[[FOUR]] :
// CHECK: nvvm.fence.mbarrier.init
// CHECK-NEXT: nvvm.barrier
// CHECK-NOT: id
// Which role a warp has is the same for all of its lanes.
// CHECK: arith.cmpi uge
// CHECK-NEXT: scf.if
// CHECK-NEXT: nvvm.setmaxregister decrease 40
// CHECK: "{\0A.reg .pred done;{{.*}}mbarrier.try_wait.parity.shared::cta.b64 done, [$0], $1
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// The copies of all lanes are there, and fenced for warpgroups, before the first one arrives.
// CHECK: nvvm.cp.async.wait.group 0
// CHECK-NEXT: nvvm.fence.proxy {kind = #nvvm.proxy_kind<async.shared>
// CHECK: nvvm.bar.warp.sync
// CHECK: @first mbarrier.arrive.shared::cta.b64 _, [$0];
// CHECK: } else {
// CHECK-NEXT: nvvm.setmaxregister increase 232
// CHECK: mbarrier.try_wait.parity
// Barriers of a role have a number, and the role's threads.
// CHECK: nvvm.barrier id = %{{.*}} number_of_threads = %{{.*}}
// CHECK: llvm.call_intrinsic "llvm.nvvm.barrier.cta.red.or.aligned.count"
// CHECK: nvvm.bar.warp.sync
// CHECK: @first mbarrier.arrive.shared::cta.b64 _, [$0];
// CHECK: llvm.return
tile.kernel @k(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
  %ring = tile.ring %buffer at 16384 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  tile.specialize producers 4 registers 40 {
    tile.ring_fill %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%zero] by 16
      : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    tile.ring_signal %ring[%zero] pending 0 : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  } consumers registers 232 {
    %slot = tile.ring_wait %ring[%zero] : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
        -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    tile.barrier
    %flags = tile.fill %n : i32 -> <64xi32, #tile.linear<register = [8, 0], lane = [0, 0, 0, 0, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
    %some = tile.any %flags : <64xi32, #tile.linear<register = [8, 0], lane = [0, 0, 0, 0, 1, 0, 2, 0, 4, 0], warp = [16, 0, 32, 0]>>
    tile.ring_release %ring[%zero] : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  }
  tile.return
}

// Through a map one thread asks for both panels of a stage, if the launch could make it and all rows are before the limit; the
// barrier waits for the bytes too. Coordinates are columns, rows, and the other dimensions from the last one on.
// CHECK-LABEL: llvm.func @mapped
// CHECK-SAME: !llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<128 x i8>, nvvm.grid_constant}, %[[THERE:[a-z0-9]*]]: i32
// CHECK: nvvm.setmaxregister decrease
// CHECK: %[[INSIDE:.*]] = arith.cmpi sge
// CHECK-NEXT: %[[MADE:.*]] = arith.cmpi ne, %[[THERE]]
// CHECK-NEXT: %[[ENGINE:.*]] = arith.andi %[[INSIDE]], %[[MADE]]
// CHECK-NEXT: scf.if %[[ENGINE]] {
// CHECK-NEXT: arith.cmpi eq
// CHECK-NEXT: scf.if
// CHECK: mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [$0], $1;
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[MAP:.*]], %[[BARRIER:.*]], box[%{{.*}}, %[[ROW:.*]], %[[HEAD:.*]], %[[BATCH:.*]]]
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[MAP]], %[[BARRIER]], box[%{{.*}}, %[[ROW]], %[[HEAD]], %[[BATCH]]]
// CHECK-NOT: nvvm.cp.async.bulk
// CHECK: } else {
// CHECK: nvvm.cp.async.shared.global
// CHECK: }
// CHECK-NEXT: nvvm.cp.async.commit.group
tile.kernel @mapped(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}, %b: i32 {tile.binding = "size:b"},
                    %map: !tile.tensor_map<rank = 4, element = f16, row_dim = 2, rows = 64, columns = 64> {tile.binding = "map:K"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %buffer = tile.alloc at 0 : <2x64x128xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
  %ring = tile.ring %buffer at 32768 filled 4 released 4 : <2x64x128xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
      -> <<2x64x128xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  tile.specialize producers 4 registers 40 {
    tile.ring_fill %K[%b, %n] rows 2 from %zero to %n cols 128 into %ring[%zero] by 16
      through %map : !tile.tensor_map<rank = 4, element = f16, row_dim = 2, rows = 64, columns = 64>
      : <4xf16, unit>, <<2x64x128xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    tile.ring_signal %ring[%zero] pending 0 : <<2x64x128xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  } consumers registers 232 {
  }
  tile.return
}

// Warpgroups take turns: the last one ends a turn before the first one has begun, and each ends its own at the next one's barrier.
// CHECK-LABEL: llvm.func @turns
// CHECK: nvvm.setmaxregister increase
// CHECK: scf.if
// CHECK-NEXT: nvvm.barrier.arrive id = %[[THREE:.*]] number_of_threads = %[[BOTH:.*]]
// CHECK: scf.for
// CHECK: %[[OWN:.*]] = arith.addi %[[WARPGROUP:.*]], %[[THREE]]
// CHECK-NEXT: nvvm.barrier id = %[[OWN]] number_of_threads = %[[BOTH]]
// CHECK: arith.addi %[[WARPGROUP]]
// CHECK-NEXT: arith.remui
// CHECK-NEXT: %[[NEXT:.*]] = arith.addi %{{.*}}, %[[THREE]]
// CHECK-NEXT: nvvm.barrier.arrive id = %[[NEXT]] number_of_threads = %[[BOTH]]
tile.kernel @turns(%n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 128, 1, 1>, num_warps = 8 : i32} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  tile.specialize producers 4 registers 56 {
  } consumers registers 224 {
    scf.for %i = %zero to %n step %one : i32 {
      tile.begin_turn
      tile.end_turn
    }
  }
  tile.return
}

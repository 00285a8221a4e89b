// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --tile-map-tensors | FileCheck %s

// One map for a tensor and a size of its boxes, however many fills go through it; launches pass the tensor once more. What is
// copied in parts of 8 bytes, what is workspace and what may be an output's memory have none.
// CHECK-LABEL: tile.kernel @k(
// CHECK-SAME: %[[K:[a-z0-9]*]]: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}
// CHECK-SAME: %[[MAP:[a-z0-9]*]]: !tile.tensor_map<rank = 4, element = f16, row_dim = 2, rows = 64, columns = 64> {tile.binding = "map:K"})
// CHECK: tile.ring_fill %[[K]][{{.*}} by 16 through %[[MAP]] : !tile.tensor_map<rank = 4
// CHECK: tile.ring_fill %[[K]][{{.*}} by 16 through %[[MAP]] : !tile.tensor_map<rank = 4
// CHECK: tile.ring_fill %{{.*}} by 8 :
// CHECK: tile.ring_fill %{{.*}} by 16 :
// CHECK: tile.ring_fill %{{.*}} by 16 :
// CHECK-LABEL: tile.program "k"(
// CHECK-SAME: %[[TENSOR:[a-z0-9]*]]: !tile.view<4xf16, unit> {tile.axes
// CHECK: tile.launch @k(%[[TENSOR]], %{{.*}}, %{{.*}}, %{{.*}}, %[[TENSOR]])
tile.kernel @k(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %W: !tile.view<4xf16, unit> {tile.binding = "tensor:W"},
               %A: !tile.view<4xf16, unit> {tile.binding = "tensor:A", tile.may_alias}, %n: i32 {tile.binding = "size:kv"}) attributes {num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
  %ring = tile.ring %buffer at 16384 filled 4 released 4 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  tile.specialize producers 4 registers 40 {
    tile.ring_fill %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%zero] by 16
      : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    tile.ring_fill %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%one] by 16
      : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    tile.ring_fill %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%one] by 8
      : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    tile.ring_fill %W[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%one] by 16
      : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    tile.ring_fill %A[%zero, %zero] rows 2 from %zero to %n cols 64 into %ring[%one] by 16
      : <4xf16, unit>, <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  } consumers registers 232 {
  }
  tile.return
}
tile.program "k"(%K: !tile.view<4xf16, unit> {tile.axes = ["b", "g", "kv", "64"], tile.binding = "tensor:K"},
                 %A: !tile.view<4xf16, unit> {tile.axes = ["b", "g", "kv", "64"], tile.binding = "tensor:A"},
                 %b: i32 {tile.binding = "size:b"}, %g: i32 {tile.binding = "size:g"}, %n: i32 {tile.binding = "size:kv"}) {
  %c64 = arith.constant 64 : i32
  %w = tile.workspace "w"[%b, %g, %n, %c64] : <4xf16, unit>
  tile.launch @k(%K, %w, %A, %n) grid(%n, %g, %b) : !tile.view<4xf16, unit>, !tile.view<4xf16, unit>, !tile.view<4xf16, unit>, i32
}

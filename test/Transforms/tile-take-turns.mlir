// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-take-turns))' | FileCheck %s

// The products that run at once are a turn; what comes behind their wait is not.
// CHECK-LABEL: tile.kernel @two_warpgroups
// CHECK: scf.for
// CHECK: tile.read
// CHECK-NEXT: tile.begin_turn
// CHECK-NEXT: %[[A:.*]] = tile.dot_start
// CHECK-NEXT: %[[B:.*]] = tile.dot_start
// CHECK-NEXT: tile.end_turn
// CHECK-NEXT: tile.dot_wait %[[A]]
// CHECK-NOT: _turn
tile.kernel @two_warpgroups(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 128, 1, 1>, num_warps = 8 : i32} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %none = arith.constant 0.0 : f32
  %buffer = tile.alloc at 0 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
  %ring = tile.ring %buffer at 16384 filled 4 released 8 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
      -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  tile.specialize producers 4 registers 56 {
  } consumers registers 224 {
    %acc = tile.fill %none : f32 -> <128x64xf32>
    %x = tile.cast %acc : <128x64xf32> -> <128x64xf16>
    scf.for %i = %zero to %n step %one : i32 {
      %slot = tile.ring_wait %ring[%i] : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
          -> <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
      %k = tile.read %slot : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>> -> <64x64xf16>
      %a = tile.dot_start %x, %k transposed, %acc : <128x64xf16>, <64x64xf16>, <128x64xf32> -> <<128x64xf32>>
      %b = tile.dot_start %x, %k, %acc : <128x64xf16>, <64x64xf16>, <128x64xf32> -> <<128x64xf32>>
      %s = tile.dot_wait %a pending 1 : !tile.product<<128x64xf32>> -> !tile.tile<128x64xf32>
      %o = tile.dot_wait %b pending 0 : !tile.product<<128x64xf32>> -> !tile.tile<128x64xf32>
      %c = tile.dot_start %x, %k, %o : <128x64xf16>, <64x64xf16>, <128x64xf32> -> <<128x64xf32>>
      %d = tile.dot_wait %c pending 0 : !tile.product<<128x64xf32>> -> !tile.tile<128x64xf32>
      tile.ring_release %ring[%i] : <<2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    }
  }
  tile.return
}

// With 256 columns the products take longer than what is computed of them; one warpgroup has nobody to wait for.
// CHECK-LABEL: tile.kernel @wide
// CHECK-NOT: _turn
tile.kernel @wide(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 128, 1, 1>, num_warps = 8 : i32} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %none = arith.constant 0.0 : f32
  %buffer = tile.alloc at 0 : <2x64x256xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
  %ring = tile.ring %buffer at 65536 filled 4 released 8 : <2x64x256xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>
      -> <<2x64x256xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
  tile.specialize producers 4 registers 56 {
  } consumers registers 224 {
    %acc = tile.fill %none : f32 -> <128x256xf32>
    %p = tile.fill %none : f32 -> <128x64xf32>
    %x = tile.cast %p : <128x64xf32> -> <128x64xf16>
    scf.for %i = %zero to %n step %one : i32 {
      %slot = tile.ring_wait %ring[%i] : <<2x64x256xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
          -> <<2x64x256xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
      %k = tile.read %slot : <<2x64x256xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>> -> <64x256xf16>
      %a = tile.dot_start %x, %k, %acc : <128x64xf16>, <64x256xf16>, <128x256xf32> -> <<128x256xf32>>
      %s = tile.dot_wait %a pending 0 : !tile.product<<128x256xf32>> -> !tile.tile<128x256xf32>
      tile.ring_release %ring[%i] : <<2x64x256xf16, #tile.shared<pitch = 128, shift = 0, mask = 7, panel_bytes = 8192>>>
    }
  }
  tile.return
}

// Rows that are aligned to 2 bytes only: no cp.async moves so little, so that elements go through registers, guarded.
// RUN: attnc-opt %s --convert-tile-to-nvvm | FileCheck %s

// CHECK-LABEL: llvm.func @narrow(
// CHECK: scf.if
// CHECK: llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr<1> -> i16
// CHECK: } else {
// CHECK: llvm.store %{{.*}} {alignment = 2 : i64} : i16, !llvm.ptr<3>
// CHECK-NOT: nvvm.cp.async.shared.global
// CHECK: llvm.return
tile.kernel @narrow(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %s = tile.alloc at 0 : <1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>>
  %t = tile.async_copy %v[%zero, %zero] rows 2 from %zero to %n cols 16 into %s[%zero] by 2 : <4xf16, unit>, <1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>> -> <<1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>>>
  tile.commit
  tile.return
}

// By 8 and 4 bytes cp.async has no cache-global form.
// CHECK-LABEL: llvm.func @eight(
// CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 8, cache = ca, %{{.*}}
tile.kernel @eight(%v: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
    grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %s = tile.alloc at 0 : <1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>>
  %t = tile.async_copy %v[%zero, %zero] rows 2 from %zero to %n cols 16 into %s[%zero] by 8 : <4xf16, unit>, <1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>> -> <<1x16x16xf16, #tile.shared<pitch = 32, shift = 2, mask = 1>>>
  tile.commit
  tile.return
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

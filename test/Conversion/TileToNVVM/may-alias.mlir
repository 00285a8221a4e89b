// RUN: attnc-opt %s --convert-tile-to-nvvm | FileCheck %s
// Views that may be the same memory are not said to be apart, so that stores are seen by loads; the
// others are. The program has been read by then, and is gone.

// CHECK-NOT: tile.program
// CHECK: llvm.func @apart(%{{.*}}: !llvm.ptr<1> {llvm.noalias}, %{{[^:]*}}: i64, %{{.*}}: !llvm.ptr<1> {llvm.noalias}
tile.kernel @apart(%x: !tile.view<1xf32> {tile.binding = "tensor:x"}, %y: !tile.view<1xf32> {tile.binding = "tensor:y"}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  tile.return
}

// CHECK: llvm.func @same
// CHECK-NOT: llvm.noalias
// CHECK: {{^  }}}
tile.kernel @same(%x: !tile.view<1xf32> {tile.binding = "tensor:x", tile.may_alias}, %y: !tile.view<1xf32> {tile.binding = "tensor:y", tile.may_alias}) attributes {
    grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 1, 1, 1>, num_warps = 1 : i32} {
  tile.return
}

// CHECK-NOT: tile.program
tile.program "p"(%x: !tile.view<1xf32> {tile.axes = ["n"], tile.binding = "tensor:x"},
                 %y: !tile.view<1xf32> {tile.axes = ["n"], tile.binding = "tensor:y", tile.output, tile.may_alias = "x"},
                 %n: i32 {tile.binding = "size:n"}) {
  tile.launch @same(%x, %y) grid(%n, %n, %n) : !tile.view<1xf32>, !tile.view<1xf32>
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RUN: attnc-opt %s --pass-pipeline='builtin.module(tile.kernel(tile-name-values))' --mlir-use-nameloc-as-prefix | FileCheck %s
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// CHECK: tile.kernel @named(%Q: {{.*}}, %K: {{.*}}, %out: {{.*}}, %size_q: i32 {{.*}}, %size_kv: i32 {{.*}}, %window: i32 {{.*}})
tile.kernel @named(%arg0: !tile.view<2xf16, unit> {tile.axes = ["q", "64"], tile.binding = "tensor:Q"},
                   %arg1: !tile.view<2xf16, unit> {tile.axes = ["kv", "64"], tile.binding = "tensor:K"},
                   %arg2: !tile.view<2xf32, unit> {tile.axes = ["q", "16"], tile.binding = "tensor:out", tile.output},
                   %arg3: i32 {tile.binding = "size:q"}, %arg4: i32 {tile.binding = "size:kv"}, %arg5: i32 {tile.binding = "param:window"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
  // A program index has the space of its dimension.
  // CHECK: %block_q = tile.program_id 0
  %0 = tile.program_id 0
  %c16 = arith.constant 16 : i32
  %row = arith.muli %0, %c16 : i32
  %zero = arith.constant 0.0 : f32
  // CHECK: %Q_tile = tile.load %Q[] rows 0 from %{{.*}} to %size_q
  %q = tile.load %arg0[] rows 0 from %row to %arg3 cols 64 : <2xf16, unit> -> <16x64xf16>
  %init = tile.fill %zero : f32 -> <16x16xf32>
  // A loop's variable has the space that loads of its rows lie in; what is in a loop twice is numbered.
  // CHECK: scf.for %kv =
  %sum = scf.for %i = %arg5 to %arg4 step %c16 iter_args(%a = %init) -> !tile.tile<16x16xf32> : i32 {
    // CHECK: %K_tile = tile.load %K[] rows 0 from %kv to %size_kv
    %k = tile.load %arg1[] rows 0 from %i to %arg4 cols 64 : <2xf16, unit> -> <16x64xf16>
    // CHECK: %times_K = tile.dot %Q_tile, %K_tile transposed,
    %s = tile.dot %q, %k transposed, %a : <16x64xf16>, <16x64xf16>, <16x16xf32> -> <16x16xf32>
    scf.yield %s : !tile.tile<16x16xf32>
  }
  // CHECK: %out_tile = tile.map
  %doubled = tile.map(%sum) at(%row, %row) {
  ^bb0(%x: f32, %r: i32, %c: i32):
    %y = arith.addf %x, %x : f32
    tile.yield %y : f32
  } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
  // CHECK: tile.store %out_tile, %out[]
  tile.store %doubled, %arg2[] rows 0 from %row to %arg3 cols 16 : <16x16xf32>, <2xf32, unit>
  tile.return
}

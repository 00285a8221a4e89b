// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors of a program lie in front of its tiles in the scratch memory, and indices start where they say.
// RUN: attnc-opt %s --convert-tile-to-vector="isa=avx2" --canonicalize --cse | FileCheck %s

// 2 KiB at 64, and no tile: what is stored when it is computed needs none. The second row of the tensor is 64 bytes behind the first one.
// CHECK-LABEL: llvm.func @k
// CHECK-SAME: %[[SCRATCH:[a-z0-9]+]]: !llvm.ptr {llvm.align = 64 : i64, llvm.noalias}
// CHECK-SAME: attnc.scratch_bytes = 2112 : i64
// CHECK-DAG: %[[ROWS:.*]] = arith.constant -64 : i64
// CHECK-DAG: %[[FIRST:.*]] = llvm.load {{.*}} -> i32
// CHECK: llvm.getelementptr inbounds %[[SCRATCH]][64]
// CHECK: arith.muli %{{.*}}, %[[ROWS]]
tile.kernel @k(%Y: !tile.view<2xf32, unit> {tile.binding = "tensor:Y"}, %q: i32 {tile.binding = "size:q"},
               %f: f32 {tile.binding = "param:f"}) attributes {num_warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %end = arith.constant 16 : i32
  %own = tile.local [32, 16] from [%q, %zero] at 64 : <2xf32, unit>
  %x = tile.map() at(%zero, %zero) {
  ^bb0(%row: i32, %col: i32):
    tile.yield %f : f32
  } : () -> !tile.tile<32x16xf32>
  tile.store_block %x, %own[] rows 0 from %zero to %q cols 1 from %zero to %end : <32x16xf32>, <2xf32, unit>
  %y = tile.map() at(%zero, %zero) {
  ^bb0(%row: i32, %col: i32):
    %at = tile.element %own[%row, %col] : <2xf32, unit> -> f32
    tile.yield %at : f32
  } : () -> !tile.tile<32x16xf32>
  tile.store_block %y, %Y[] rows 0 from %zero to %q cols 1 from %zero to %end : <32x16xf32>, <2xf32, unit>
  tile.return
}

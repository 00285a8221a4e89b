// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of tiles of few rows read what is loaded for them where it lies; those of 16 rows pack it.
// RUN: attnc-opt %s --split-input-file --convert-tile-to-vector=isa=avx512 | FileCheck %s

// Keys: four rows at once, whose sums over 64 columns stay in lanes and become one vector of four.
// CHECK-LABEL: llvm.func @scores
// CHECK: %[[ROWS:.*]] = arith.maxsi
// CHECK: %[[KEYS:.*]] = arith.maxsi
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c4
// Four rows of the left side by four of the right one:
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-16: llvm.intr.fma
// CHECK-NOT: llvm.intr.fma
// Ten shuffles and five additions for each row: four sums of 16 lanes each become four numbers.
// CHECK-COUNT-10: llvm.shufflevector
// CHECK: arith.addf %{{.*}} : vector<4xf32>
// CHECK: arith.cmpi slt, {{.*}} : vector<4xi64>
// CHECK: llvm.store {{.*}} : vector<4xf32>
// One row:
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-4: llvm.intr.fma
// CHECK-NOT: llvm.intr.fma
// CHECK: llvm.return
tile.kernel @scores(%q: !tile.view<2xf32, unit> {tile.binding = "tensor:q"}, %k: !tile.view<2xf32, unit> {tile.binding = "tensor:k"},
                    %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"}, %m: i32 {tile.binding = "size:kv"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 8, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %a = tile.load %q[] rows 0 from %c0 to %n cols 64 : !tile.view<2xf32, unit> -> !tile.tile<8x64xf32>
  %b = tile.load %k[] rows 0 from %c0 to %m cols 64 : !tile.view<2xf32, unit> -> !tile.tile<32x64xf32>
  %s0 = tile.fill %zero : f32 -> !tile.tile<8x32xf32>
  %s = tile.dot %a, %b transposed, %s0 : !tile.tile<8x64xf32>, !tile.tile<32x64xf32>, !tile.tile<8x32xf32> -> !tile.tile<8x32xf32>
  tile.store %s, %out[] rows 0 from %c0 to %n cols 32 : !tile.tile<8x32xf32>, !tile.view<2xf32, unit>
  tile.return
}

// -----

// Values: row after row, a vector of columns for each sum; bf16 is widened as it is loaded.
// CHECK-LABEL: llvm.func @values
// CHECK: scf.for {{.*}} iter_args
// CHECK: arith.shli {{.*}} : vector<16xi32>
// CHECK-COUNT-8: llvm.intr.fma
// CHECK-NEXT: scf.yield
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-2: llvm.intr.fma
// CHECK-NEXT: scf.yield
// CHECK-NOT: llvm.intr.fma
// CHECK: llvm.return
tile.kernel @values(%p: !tile.view<2xf32, unit> {tile.binding = "tensor:p"}, %v: !tile.view<2xbf16, unit> {tile.binding = "tensor:v"},
                    %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"}, %m: i32 {tile.binding = "size:kv"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 8, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %wide = tile.load %p[] rows 0 from %c0 to %n cols 64 : !tile.view<2xf32, unit> -> !tile.tile<8x64xf32>
  %a = tile.cast %wide : !tile.tile<8x64xf32> -> !tile.tile<8x64xbf16>
  %b = tile.load %v[] rows 0 from %c0 to %m cols 32 : !tile.view<2xbf16, unit> -> !tile.tile<64x32xbf16>
  %s0 = tile.fill %zero : f32 -> !tile.tile<8x32xf32>
  %s = tile.dot %a, %b, %s0 : !tile.tile<8x64xbf16>, !tile.tile<64x32xbf16>, !tile.tile<8x32xf32> -> !tile.tile<8x32xf32>
  tile.store %s, %out[] rows 0 from %c0 to %n cols 32 : !tile.tile<8x32xf32>, !tile.view<2xf32, unit>
  tile.return
}

// -----

// CHECK-LABEL: llvm.func @many
// A row of 64 columns is copied and transposed.
// CHECK-COUNT-64: llvm.shufflevector %{{.*}} : vector<16xf32>
tile.kernel @many(%q: !tile.view<2xf32, unit> {tile.binding = "tensor:q"}, %k: !tile.view<2xf32, unit> {tile.binding = "tensor:k"},
                  %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out"}, %n: i32 {tile.binding = "size:q"}, %m: i32 {tile.binding = "size:kv"})
    attributes {grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 4 : i32} {
  %c0 = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %a = tile.load %q[] rows 0 from %c0 to %n cols 64 : !tile.view<2xf32, unit> -> !tile.tile<16x64xf32>
  %b = tile.load %k[] rows 0 from %c0 to %m cols 64 : !tile.view<2xf32, unit> -> !tile.tile<32x64xf32>
  %s0 = tile.fill %zero : f32 -> !tile.tile<16x32xf32>
  %s = tile.dot %a, %b transposed, %s0 : !tile.tile<16x64xf32>, !tile.tile<32x64xf32>, !tile.tile<16x32xf32> -> !tile.tile<16x32xf32>
  tile.store %s, %out[] rows 0 from %c0 to %n cols 32 : !tile.tile<16x32xf32>, !tile.view<2xf32, unit>
  tile.return
}

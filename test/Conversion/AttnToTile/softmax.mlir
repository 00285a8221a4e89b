// RUN: attnc-opt %s --split-input-file --pass-pipeline='builtin.module(cse,attn-specialize{dtype=f16 head-dim=64},attn-plan{target=sm_80},convert-attn-to-tile,canonicalize,cse)' | FileCheck %s

// Without a mask: FULL tiles first, then the tail, whose only condition is the number of keys. The default scale is
// folded into the exponential: 0.125 * log2(e) = 0.180336878. What is subtracted from a row without a key is finite.
// CHECK-LABEL: tile.kernel @full(
// CHECK-DAG: %[[NONE:.*]] = arith.constant -3.000000e+38 : f32
// CHECK-DAG: %[[HIDDEN:.*]] = arith.constant 0xFF800000 : f32
// CHECK-DAG: %[[FACTOR:.*]] = arith.constant 0.180336878 : f32
// CHECK: %[[Q:.*]] = tile.load %{{.*}} rows 2 from %{{.*}} to %{{.*}} cols 64
// CHECK-DAG: %[[M0:.*]] = tile.fill %[[HIDDEN]] : f32 -> <64xf32>
// CHECK-DAG: %[[S0:.*]] = tile.fill %[[NONE]] : f32 -> <64xf32>
// CHECK: %[[FULL:.*]]:4 = scf.for %[[KEY:.*]] = %{{.*}} to %[[MID:.*]] step %{{.*}} iter_args(%{{.*}} = %[[M0]], {{.*}} = %[[S0]])
// CHECK: %[[K:.*]] = tile.load %{{.*}} rows 2 from %[[KEY]]
// CHECK: %[[S:.*]] = tile.dot %[[Q]], %[[K]] transposed
// CHECK-NEXT: tile.reduce max %[[S]]
// CHECK-NOT: arith.cmpi
// CHECK: math.fma %{{.*}}, %[[FACTOR]], %{{.*}} : f32
// CHECK-NOT: arith.cmpi
// CHECK: scf.yield
// CHECK: %[[FAST:.*]]:4 = scf.for %[[KEY2:.*]] = %[[MID]] to %{{.*}} iter_args(%{{.*}} = %[[FULL]]#0, %{{.*}} = %[[FULL]]#1, %{{.*}} = %[[FULL]]#2, %{{.*}} = %[[FULL]]#3)
// CHECK: tile.map(%{{.*}}) at(%{{.*}}, %[[KEY2]])
// CHECK-COUNT-1: arith.cmpi slt
// CHECK: arith.select
// What came out is looked at once, and computed again where it may be wrong: over tiles of 16 keys, all of them PARTIAL,
// by exact differences, and by products that leave hidden keys out.
// CHECK: tile.map(%[[FAST]]#0, %[[FAST]]#1)
// CHECK: %[[SUSPECTS:.*]] = tile.map(%[[FAST]]#2, %{{.*}}) at(
// CHECK: %[[SOME:.*]] = tile.any %[[SUSPECTS]] : <64x64xi32>
// CHECK: scf.if %[[SOME]]
// CHECK: scf.for {{.*}} step %c16_i32
// CHECK: %[[SCORES:.*]] = tile.map
// CHECK: arith.select
// CHECK: %[[SEEN:.*]] = tile.map(%[[SCORES]])
// CHECK: arith.cmpf une, %{{.*}}, %[[HIDDEN]]
// CHECK: tile.dot %{{.*}}, %{{.*}}, %{{.*}} where %[[SEEN]] {zero_outside} : <64x16xf16>, <16x64xf16>, <64x64xf32>, !tile.tile<64x16xi32>
// CHECK-NOT: scf.for
// CHECK: tile.return
attn.variant @full {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V  : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// Causal: may ends behind the last row's position, must behind the first row's; programs start at the last tile. Of the
// heads whose keys and values are in the cache together (32 MiB / 256 bytes = 131072; a power of two of them), each has its last tile first.
// CHECK-LABEL: tile.kernel @causal(
// CHECK-SAME: %[[NH:[a-z0-9]+]]: i32 {tile.binding = "size:h"}, %[[NG:[a-z0-9]+]]: i32 {tile.binding = "size:g"}, %[[NQ:[a-z0-9]+]]: i32 {tile.binding = "size:q"}, %[[NK:[a-z0-9]+]]: i32 {tile.binding = "size:kv"}
// CHECK-DAG: %[[BYTES:.*]] = arith.constant 131072 : i32
// CHECK-DAG: %[[MOST:.*]] = arith.constant 1073741824 : i32
// CHECK: %[[KEYS:.*]] = arith.maxsi %[[NK]]
// CHECK: %[[FIT:.*]] = arith.divui %[[BYTES]], %[[KEYS]]
// CHECK: math.ctlz
// CHECK: arith.shli
// CHECK: %[[GROUP:.*]] = arith.divui %[[NH]], %[[NG]]
// CHECK: %[[HEADS:.*]] = arith.muli %{{.*}}, %[[GROUP]]
// CHECK: %[[X:.*]] = tile.program_id 0
// CHECK: %[[Y:.*]] = tile.program_id 1
// CHECK: %[[TILES:.*]] = arith.divui
// CHECK: arith.divui %[[MOST]], %[[TILES]]
// CHECK: %[[SECTION:.*]] = arith.minsi %[[HEADS]]
// CHECK: %[[INSECTION:.*]] = arith.remui %[[Y]], %[[SECTION]]
// CHECK: %[[START:.*]] = arith.subi %[[Y]], %[[INSECTION]]
// CHECK: %[[LEFT:.*]] = arith.subi %[[NH]], %[[START]]
// CHECK: %[[OWN:.*]] = arith.minsi %[[SECTION]], %[[LEFT]]
// CHECK: %[[BEFORE:.*]] = arith.muli %[[INSECTION]], %[[TILES]]
// CHECK: %[[PROGRAM:.*]] = arith.addi %[[BEFORE]], %[[X]]
// CHECK: %[[ID:.*]] = arith.divui %[[PROGRAM]], %[[OWN]]
// CHECK: %[[HEAD:.*]] = arith.remui %[[PROGRAM]], %[[OWN]]
// CHECK: arith.addi %[[START]], %[[HEAD]]
// CHECK: %[[LASTTILE:.*]] = arith.subi %[[TILES]], %{{.*}} : i32
// CHECK: %[[TILE:.*]] = arith.subi %[[LASTTILE]], %[[ID]] : i32
// CHECK: %[[ROW:.*]] = arith.muli %[[TILE]], %{{.*}} : i32
// CHECK-DAG: %[[Q64:.*]] = arith.extsi %[[NQ]] : i32 to i64
// CHECK-DAG: %[[K64:.*]] = arith.extsi %[[NK]] : i32 to i64
// CHECK-DAG: %[[FIRST:.*]] = arith.extsi %[[ROW]] : i32 to i64
// CHECK: %[[ENDROW:.*]] = arith.minsi %{{.*}}, %[[Q64]] : i64
// CHECK: %[[LAST:.*]] = arith.subi %[[ENDROW]], %{{.*}} : i64
// CHECK: %[[SHIFT:.*]] = arith.subi %[[K64]], %[[Q64]] : i64
// CHECK: arith.addi %[[LAST]], %[[SHIFT]] : i64
// CHECK: arith.addi %[[FIRST]], %[[SHIFT]] : i64
// CHECK-COUNT-2: scf.for
// CHECK-NOT: scf.for
// CHECK: scf.if
// CHECK-COUNT-1: scf.for
// CHECK-NOT: scf.for
// CHECK: } else {
// CHECK: tile.return
attn.variant @causal {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %q = attn.position %row bottom_right
      %keep = arith.cmpi sle, %kv, %q : i32
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// A mask that cannot be solved for kv: one loop, PARTIAL tiles only.
// CHECK-LABEL: tile.kernel @unsolvable(
// CHECK: scf.for
// CHECK: tile.element
// CHECK: scf.yield
// CHECK-NOT: scf.for
// CHECK: scf.if
// CHECK-COUNT-1: scf.for
// CHECK-NOT: scf.for
// CHECK: } else {
// CHECK: tile.return
attn.variant @unsolvable {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %c = attn.input "c" : !attn.tensor<[b, kv], i1>
  %out, %lse = attn.attend %Q, %K, %V mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %keep = attn.read %c[%b, %kv] : !attn.tensor<[b, kv], i1> -> i1
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// Two ranges share one copy of the loops: an outer loop picks the bounds.
// CHECK-LABEL: tile.kernel @two(
// CHECK: scf.for %[[PICK:.*]] = %{{.*}} to %c2_i32
// CHECK: arith.cmpi eq, %[[PICK]], %c1_i32
// CHECK-COUNT-4: arith.select
// CHECK-COUNT-3: scf.for
// CHECK-NOT: scf.for
// CHECK: scf.if
// CHECK-COUNT-2: scf.for
// CHECK-NOT: scf.for
// CHECK: tile.return
attn.variant @two {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
      %few = arith.constant 4 : i32
      %from = arith.constant 100 : i32
      %first = arith.cmpi slt, %kv, %few : i32
      %later = arith.cmpi sge, %kv, %from : i32
      %keep = arith.ori %first, %later : i1
      attn.yield %keep : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// A sink is the last key, without a value: behind the loops m, l and o change as for a tile of keys; the scale is not folded.
// CHECK-LABEL: tile.kernel @sink(
// CHECK: %[[SINK:.*]] = tile.map() at(
// CHECK: tile.element
// CHECK: scf.for
// CHECK: tile.dot
// CHECK-NEXT: tile.map
// CHECK: arith.mulf %{{.*}}, %cst{{.*}} : f32
// CHECK: %[[M:.*]] = tile.map(%{{.*}}, %[[SINK]])
// CHECK: arith.maxnumf
// CHECK: %[[SHIFT:.*]] = tile.map(%[[M]])
// CHECK: %[[ALPHA:.*]] = tile.map(%{{.*}}, %[[SHIFT]])
// CHECK: math.exp2
// CHECK: %[[MASS:.*]] = tile.map(%[[SINK]], %[[SHIFT]])
// CHECK: math.exp2
// CHECK: tile.map(%{{.*}}, %[[ALPHA]], %[[MASS]])
// CHECK: tile.map(%{{.*}}, %[[ALPHA]])
// CHECK: arith.mulf
// In the exact form a sink of +inf is what all of a row's weight goes to: its own is 1.
// CHECK: scf.if
// CHECK: scf.for
// CHECK: %[[LAST:.*]] = tile.map(%{{.*}}, %[[SINK]])
// CHECK: arith.maxnumf
// CHECK: tile.map(%[[SINK]], %[[LAST]])
// CHECK: arith.cmpf oeq
// CHECK: arith.select
attn.variant @sink {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %z = attn.input "z" : !attn.tensor<[h], f32>
  %out, %lse = attn.attend %Q, %K, %V sink(%b: i32, %h: i32, %row: i32) {
      %s = attn.read %z[%h] : !attn.tensor<[h], f32> -> f32
      attn.yield %s : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// A sink reads a tensor over the keys at a row that is brought inside; that there is a key is checked at launch.
// CHECK-LABEL: tile.kernel @sink_of_keys(
// CHECK: tile.map() at(
// CHECK: %[[LAST:.*]] = arith.subi
// CHECK: %[[INSIDE:.*]] = arith.minsi %{{.*}}, %[[LAST]] : i32
// CHECK-NEXT: tile.element %{{.*}}, %[[INSIDE]]] : 
// CHECK: tile.program "sink_of_keys"(
// CHECK: `z` is read at an index of `kv`, which has none
attn.variant @sink_of_keys {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %z = attn.input "z" : !attn.tensor<[h, kv], f32>
  %out, %lse = attn.attend %Q, %K, %V sink(%b: i32, %h: i32, %row: i32) {
      %s = attn.read %z[%h, %row] : !attn.tensor<[h, kv], f32> -> f32
      attn.yield %s : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// A score region and the lse: scores are scaled before the region sees them, in FULL tiles too; lse is stored by row.
// CHECK-LABEL: tile.kernel @scored(
// CHECK: scf.for
// CHECK: tile.dot
// CHECK-NEXT: tile.map
// CHECK: %[[X:.*]] = arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: math.tanh %[[X]] : f32
// CHECK: scf.for
// CHECK: math.tanh
// CHECK: tile.store %{{.*}} rows 2 from %{{.*}} to %{{.*}} cols 64 : <64x64xf32>, <4xf16, unit>
// CHECK: math.log2
// CHECK: tile.store %{{.*}} rows 2 from %{{.*}} to %{{.*}} cols 1 : <64xf32>, <3xf32>
attn.variant @scored {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V score(%s: f32, %b: i32, %h: i32, %row: i32, %kv: i32) {
      %t = math.tanh %s : f32
      attn.yield %t : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

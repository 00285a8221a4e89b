// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a chunk has for each of its steps is computed where the step reads it, on a GPU. It cannot fail.
// RUN: attnc-opt %s --split-input-file --attn-inline-chunks | FileCheck %s

// A row of a chunk is the step that it is: its own row of x, which is always there.
// CHECK-LABEL: attn.variant @steps
// CHECK: %[[X:.*]] = attn.input "x"
// CHECK-NEXT: %[[H:.*]] = attn.input "H"
// CHECK-NOT: attn.compute (%{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32)
// CHECK: attn.compute (%[[T:.*]]: i32, %[[E:.*]]: i32) {
// CHECK: %[[C:.*]] = arith.floordivsi %[[T]], %c64_i32
// CHECK: attn.reduce sum over "d" (%[[D:.*]]: i32) {
// CHECK: %[[Y:.*]] = attn.read %[[X]][%[[T]], %[[D]]]
// CHECK: %[[Z:.*]] = attn.read %[[H]][%[[C]], %[[D]], %[[E]]]
// CHECK: arith.mulf %[[Y]], %[[Z]]
// CHECK: attn.return
attn.variant @steps attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %chunk = arith.constant 64 : i32
  attn.space "c" of "t" extent %chunk
  attn.space "i" extent %chunk
  %x = attn.input "x" : !attn.tensor<[t, d], bf16>
  %H = attn.input "H" : !attn.tensor<[c, d, e], f32>
  %z = attn.compute (%c: i32, %i: i32, %e: i32) {
    %first = arith.muli %c, %chunk : i32
    %t = arith.addi %first, %i : i32
    %size = attn.size "t"
    %isThere = arith.cmpi slt, %t, %size : i32
    %none = arith.constant 0.0 : f32
    %sum = attn.reduce sum over "d" (%d: i32) {
      %1 = attn.read %x[%t, %d] : !attn.tensor<[t, d], bf16> -> f32
      %2 = arith.select %isThere, %1, %none : f32
      %3 = attn.read %H[%c, %d, %e] : !attn.tensor<[c, d, e], f32> -> f32
      %4 = arith.mulf %2, %3 : f32
      attn.yield %4 : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[c, i, e], f32>
  %out = attn.compute (%t: i32, %e: i32) {
    %c = arith.floordivsi %t, %chunk : i32
    %i = arith.remsi %t, %chunk : i32
    %1 = attn.read %z[%c, %i, %e] : !attn.tensor<[c, i, e], f32> -> f32
    attn.yield %1 : f32
  } : !attn.tensor<[t, e], f32>
  attn.return ["out"](%out : !attn.tensor<[t, e], f32>)
}

// -----

// Tiles of 64 rows would lie in several chunks of 32.
// CHECK-LABEL: attn.variant @short
// CHECK-COUNT-2: attn.compute
attn.variant @short attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %chunk = arith.constant 32 : i32
  attn.space "c" of "t" extent %chunk
  attn.space "i" extent %chunk
  %z = attn.compute (%c: i32, %i: i32) {
    %1 = arith.sitofp %i : i32 to f32
    attn.yield %1 : f32
  } : !attn.tensor<[c, i], f32>
  %x = attn.input "x" : !attn.tensor<[t], f32>
  %out = attn.compute (%t: i32) {
    %c = arith.floordivsi %t, %chunk : i32
    %i = arith.remsi %t, %chunk : i32
    %1 = attn.read %z[%c, %i] : !attn.tensor<[c, i], f32> -> f32
    attn.yield %1 : f32
  } : !attn.tensor<[t], f32>
  attn.return ["out"](%out : !attn.tensor<[t], f32>)
}

// -----

// Another number than the chunk has steps, or another reader.
// CHECK-LABEL: attn.variant @kept
// CHECK-COUNT-4: attn.compute
attn.variant @kept attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %chunk = arith.constant 64 : i32
  %other = arith.constant 128 : i32
  attn.space "c" of "t" extent %chunk
  attn.space "i" extent %chunk
  %x = attn.input "x" : !attn.tensor<[t], f32>
  %y = attn.compute (%c: i32, %i: i32) {
    %1 = arith.sitofp %i : i32 to f32
    attn.yield %1 : f32
  } : !attn.tensor<[c, i], f32>
  %z = attn.compute (%c: i32, %i: i32) {
    %1 = arith.sitofp %c : i32 to f32
    attn.yield %1 : f32
  } : !attn.tensor<[c, i], f32>
  %first = attn.compute (%t: i32) {
    %c = arith.floordivsi %t, %other : i32
    %i = arith.remsi %t, %other : i32
    %1 = attn.read %y[%c, %i] : !attn.tensor<[c, i], f32> -> f32
    attn.yield %1 : f32
  } : !attn.tensor<[t], f32>
  %second = attn.compute (%t: i32) {
    %c = arith.floordivsi %t, %chunk : i32
    %i = arith.remsi %t, %chunk : i32
    %1 = attn.read %z[%c, %i] : !attn.tensor<[c, i], f32> -> f32
    attn.yield %1 : f32
  } : !attn.tensor<[t], f32>
  attn.return ["first", "second", "z"](%first, %second, %z : !attn.tensor<[t], f32>, !attn.tensor<[t], f32>, !attn.tensor<[c, i], f32>)
}

// -----

// The host keeps what a chunk has in its cache.
// CHECK-LABEL: attn.variant @host
// CHECK-COUNT-2: attn.compute
attn.variant @host attributes {tile.schedule = #tile.schedule<target = "host", tile_q = 64, tile_kv = 64, stages = 1, warps = 1, vector_bytes = 16, precision = f32>} {
  %chunk = arith.constant 64 : i32
  attn.space "c" of "t" extent %chunk
  attn.space "i" extent %chunk
  %x = attn.input "x" : !attn.tensor<[t], f32>
  %z = attn.compute (%c: i32, %i: i32) {
    %1 = arith.sitofp %i : i32 to f32
    attn.yield %1 : f32
  } : !attn.tensor<[c, i], f32>
  %out = attn.compute (%t: i32) {
    %c = arith.floordivsi %t, %chunk : i32
    %i = arith.remsi %t, %chunk : i32
    %1 = attn.read %z[%c, %i] : !attn.tensor<[c, i], f32> -> f32
    attn.yield %1 : f32
  } : !attn.tensor<[t], f32>
  attn.return ["out"](%out : !attn.tensor<[t], f32>)
}

// -----

// What one tensor of chunks is made of, element by element, is no tensor of its own. What is read turned, or as often as another axis has
// indices, stays.
// CHECK-LABEL: attn.variant @elements
// CHECK: %[[X:.*]] = attn.input "x"
// CHECK-NEXT: %[[TURNED:.*]] = attn.compute
// CHECK: %[[N:.*]] = attn.compute (%[[C:.*]]: i32, %[[I:.*]]: i32, %[[J:.*]]: i32) {
// CHECK-NEXT: attn.read %[[X]][%[[C]], %[[I]]]
// CHECK-NEXT: attn.reduce sum over "d"
// CHECK: attn.read %[[TURNED]][%[[C]], %[[J]], %[[I]]]
// CHECK: attn.return ["n"](%[[N]]
attn.variant @elements attributes {tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>} {
  %chunk = arith.constant 64 : i32
  attn.space "c" of "t" extent %chunk
  attn.space "i" extent %chunk
  attn.space "j" extent %chunk
  %x = attn.input "x" : !attn.tensor<[c, i], f32>
  %a = attn.compute (%c: i32, %i: i32, %j: i32) {
    %sum = attn.reduce sum over "d" (%d: i32) {
      %1 = arith.sitofp %d : i32 to f32
      attn.yield %1 : f32
    } : f32
    attn.yield %sum : f32
  } : !attn.tensor<[c, i, j], f32>
  %turned = attn.compute (%c: i32, %i: i32, %j: i32) {
    %1 = arith.sitofp %j : i32 to f32
    attn.yield %1 : f32
  } : !attn.tensor<[c, i, j], f32>
  %n = attn.compute (%c: i32, %i: i32, %j: i32) {
    %1 = attn.read %x[%c, %i] : !attn.tensor<[c, i], f32> -> f32
    %2 = attn.read %a[%c, %i, %j] : !attn.tensor<[c, i, j], f32> -> f32
    %3 = arith.mulf %1, %2 : f32
    %4 = attn.read %turned[%c, %j, %i] : !attn.tensor<[c, i, j], f32> -> f32
    %5 = arith.addf %3, %4 : f32
    attn.yield %5 : f32
  } : !attn.tensor<[c, i, j], f32>
  attn.return ["n"](%n : !attn.tensor<[c, i, j], f32>)
}

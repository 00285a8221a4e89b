// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --attn-forward-copies | FileCheck %s
// RUN: attnc-opt %s --attn-forward-copies=keep-copies=1 | FileCheck %s --check-prefix=KEEP
// This pass cannot fail.

// An output that only names a result is that result.
// CHECK-LABEL: @name
attn.variant @name {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // CHECK: %[[OUT:.*]], %[[LSE:.*]] = attn.attend
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  // CHECK-NOT: attn.compute
  %again = attn.compute (%b: i32, %h: i32, %q: i32) {
    %x = attn.read %lse[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, h, q], f32>
  // CHECK: attn.return ["out", "lse"](%[[OUT]], %[[LSE]]
  attn.return ["out", "lse"](%out, %again : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
}

// Reads of a slice with its axes in another order, through a second copy, at an index that is clamped.
// CHECK-LABEL: @slice
attn.variant @slice {
  // CHECK: %[[S:.*]] = attn.input "S"
  %S = attn.input "S" : !attn.tensor<[b, t, d], f32>
  %latest = attn.compute (%d: i32, %b: i32) {
    %last = arith.constant 7 : i32
    %x = attn.read %S[%b, %last, %d] : !attn.tensor<[b, t, d], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[d, b], f32>
  %same = attn.compute (%b: i32, %d: i32) {
    %x = attn.read %latest[%d, %b] : !attn.tensor<[d, b], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, d], f32>
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[D:.*]]: i32)
  // CHECK-DAG: %[[NEXT:.*]] = arith.addi %[[D]]
  // CHECK-DAG: %[[LAST:.*]] = arith.constant 7
  // CHECK: attn.read %[[S]][%[[B]], %[[LAST]], %[[NEXT]]]
  // CHECK-NOT: attn.compute
  %y = attn.compute (%b: i32, %d: i32) {
    %one = arith.constant 1 : i32
    %next = arith.addi %d, %one : i32
    %x = attn.read %same[%b, %next] : !attn.tensor<[b, d], f32> -> f32
    %z = arith.mulf %x, %x : f32
    attn.yield %z : f32
  } : !attn.tensor<[b, d], f32>
  attn.return ["y"](%y : !attn.tensor<[b, d], f32>)
}

// Elements along another space, which may have another size, and elements before each other: readers take the formula. The
// operand dtype rounds: that is no copy.
// CHECK-LABEL: @elsewhere
attn.variant @elsewhere {
  %S = attn.input "S" : !attn.tensor<[b, kv], f32>
  %other = attn.compute (%b: i32, %q: i32) {
    %x = attn.read %S[%b, %q] : !attn.tensor<[b, kv], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, q], f32>
  %shifted = attn.compute (%b: i32, %kv: i32) {
    %one = arith.constant 1 : i32
    %before = arith.subi %kv, %one : i32
    %x = attn.read %S[%b, %before] : !attn.tensor<[b, kv], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, kv], f32>
  %rounded = attn.compute (%b: i32, %kv: i32) {
    %x = attn.read %S[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, kv]>
  // CHECK: %[[S:.*]] = attn.input "S"
  // CHECK-NEXT: %[[ROUNDED:.*]] = attn.compute
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[Q:.*]]: i32, %[[KV:.*]]: i32)
  // CHECK-NEXT: attn.read %[[S]][%[[B]], %[[Q]]]
  // CHECK: %[[BEFORE:.*]] = arith.subi %[[KV]]
  // CHECK-NEXT: attn.read %[[S]][%[[B]], %[[BEFORE]]]
  // CHECK-NEXT: attn.read %[[ROUNDED]][%[[B]], %[[KV]]]
  %sum = attn.compute (%b: i32, %q: i32, %kv: i32) {
    %x = attn.read %other[%b, %q] : !attn.tensor<[b, q], f32> -> f32
    %y = attn.read %shifted[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
    %z = attn.read %rounded[%b, %kv] : !attn.tensor<[b, kv]> -> f32
    %xy = arith.addf %x, %y : f32
    %xyz = arith.addf %xy, %z : f32
    attn.yield %xyz : f32
  } : !attn.tensor<[b, q, kv], f32>
  attn.return ["sum"](%sum : !attn.tensor<[b, q, kv], f32>)
}

// Rows cut into chunks of 64, the last one padded: a product of them reads the rows. Its own row is one of 4 parts of 16,
// which are 64; the next row may not be in the chunk, and is clamped as before.
// CHECK-LABEL: @chunks
attn.variant @chunks {
  %c64 = arith.constant 64 : i32
  %c16 = arith.constant 16 : i32
  %c4 = arith.constant 4 : i32
  attn.space "c" of "t" extent %c64
  attn.space "row" extent %c64
  attn.space "part" extent %c4
  attn.space "i" extent %c16
  // CHECK: %[[K:.*]] = attn.input "K"
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %padded = attn.compute (%b: i32, %c: i32, %row: i32, %d: i32) {
    %first = arith.muli %c, %c64 : i32
    %t = arith.addi %first, %row : i32
    %n = attn.size "t"
    %is = arith.cmpi slt, %t, %n : i32
    %x = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
    %zero = arith.constant 0.0 : f32
    %y = arith.select %is, %x, %zero : f32
    attn.yield %y : f32
  } : !attn.tensor<[b, c, row, d], f32>
  // CHECK: attn.compute (%[[B:.*]]: i32, %[[C:.*]]: i32, %[[PART:.*]]: i32, %[[I:.*]]: i32, %[[D:.*]]: i32)
  // CHECK: %[[FROM:.*]] = arith.muli %[[PART]], %c16
  // CHECK: %[[ROW:.*]] = arith.addi %[[FROM]], %[[I]]
  // CHECK-NEXT: arith.muli %[[C]], %c64
  // CHECK-NEXT: %[[T:.*]] = arith.addi %{{.*}}, %[[ROW]]
  // CHECK: %[[IS:.*]] = arith.cmpi slt, %[[T]]
  // CHECK: %[[X:.*]] = attn.read %[[K]][%[[B]], %[[T]], %[[D]]]
  // CHECK: arith.select %[[IS]], %[[X]]
  // CHECK: %[[AFTER:.*]] = arith.addi %[[ROW]], %c1
  // CHECK: arith.maxsi %[[AFTER]]
  // CHECK: %[[WITHIN:.*]] = arith.minsi
  // CHECK: arith.addi %{{.*}}, %[[WITHIN]]
  // CHECK: attn.return
  %y = attn.compute (%b: i32, %c: i32, %part: i32, %i: i32, %d: i32) {
    %from = arith.muli %part, %c16 : i32
    %row = arith.addi %from, %i : i32
    %x = attn.read %padded[%b, %c, %row, %d] : !attn.tensor<[b, c, row, d], f32> -> f32
    %c1 = arith.constant 1 : i32
    %after = arith.addi %row, %c1 : i32
    %next = attn.read %padded[%b, %c, %after, %d] : !attn.tensor<[b, c, row, d], f32> -> f32
    %z = arith.mulf %x, %next : f32
    attn.yield %z : f32
  } : !attn.tensor<[b, c, part, i, d], f32>
  attn.return ["y"](%y : !attn.tensor<[b, c, part, i, d], f32>)
}

// A remainder scatters what neighbours read: it stays a copy.
// CHECK-LABEL: @scattered
attn.variant @scattered {
  %c16 = arith.constant 16 : i32
  %K = attn.input "K" : !attn.tensor<[b, t], f32>
  %turned = attn.compute (%b: i32, %t: i32) {
    %i = arith.remsi %t, %c16 : i32
    %x = attn.read %K[%b, %i] : !attn.tensor<[b, t], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, t], f32>
  // CHECK: %[[TURNED:.*]] = attn.compute
  // CHECK: attn.read %[[TURNED]]
  %y = attn.compute (%b: i32, %t: i32) {
    %x = attn.read %turned[%b, %t] : !attn.tensor<[b, t], f32> -> f32
    %z = arith.mulf %x, %x : f32
    attn.yield %z : f32
  } : !attn.tensor<[b, t], f32>
  attn.return ["y"](%y : !attn.tensor<[b, t], f32>)
}

// Rounded where it is computed, if only the rounding reads it.
// CHECK-LABEL: @rounds
// CHECK: %[[X:.*]] = attn.input "X"
// CHECK: %[[Y:.*]] = attn.compute
// CHECK-NEXT: attn.read %[[X]]
// CHECK-NEXT: arith.addf
// CHECK-NEXT: attn.yield
// CHECK-NEXT: } : <[b, d], bf16>
// CHECK-NEXT: %[[Z:.*]] = attn.compute
// CHECK: } : <[b, d], f32>
// CHECK-NEXT: %[[W:.*]] = attn.compute
// CHECK-NEXT: attn.read %[[Z]]
// CHECK: } : <[b, d], bf16>
// CHECK-NEXT: attn.return ["y", "z", "w"](%[[Y]], %[[Z]], %[[W]]
attn.variant @rounds {
  %X = attn.input "X" : !attn.tensor<[b, d], f32>
  %twice = attn.compute (%b: i32, %d: i32) {
    %x = attn.read %X[%b, %d] : !attn.tensor<[b, d], f32> -> f32
    %z = arith.addf %x, %x : f32
    attn.yield %z : f32
  } : !attn.tensor<[b, d], f32>
  %y = attn.compute (%b: i32, %d: i32) {
    %x = attn.read %twice[%b, %d] : !attn.tensor<[b, d], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, d], bf16>
  %z = attn.compute (%b: i32, %d: i32) {
    %x = attn.read %X[%b, %d] : !attn.tensor<[b, d], f32> -> f32
    %s = arith.mulf %x, %x : f32
    attn.yield %s : f32
  } : !attn.tensor<[b, d], f32>
  %w = attn.compute (%b: i32, %d: i32) {
    %x = attn.read %z[%b, %d] : !attn.tensor<[b, d], f32> -> f32
    attn.yield %x : f32
  } : !attn.tensor<[b, d], bf16>
  attn.return ["y", "z", "w"](%y, %z, %w : !attn.tensor<[b, d], bf16>, !attn.tensor<[b, d], f32>, !attn.tensor<[b, d], bf16>)
}

// Rows of chunks, the last of them padded, that many stages compute with: these go on to read the copy, a sum does not.
// CHECK-LABEL: @many
// CHECK-NOT: attn.read %[[ROWS:.*]] : <[b, chunk, row, d], f32>
// CHECK: attn.return
// KEEP-LABEL: @many
// KEEP: %[[K:.*]] = attn.input "K"
// KEEP: %[[ROWS:.*]] = attn.compute
// KEEP: arith.select
// KEEP-COUNT-4: attn.read %[[ROWS]][
// KEEP: attn.reduce sum
// KEEP: attn.read %[[K]][
attn.variant @many {
  %c64 = arith.constant 64 : i32
  %zero = arith.constant 0.0 : f32
  attn.space "row" extent %c64
  attn.space "chunk" of "t" extent %c64
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %rows = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %first = arith.muli %c, %c64 : i32
    %t = arith.addi %first, %i : i32
    %size = attn.size "t"
    %isStep = arith.cmpi slt, %t, %size : i32
    %k = attn.read %K[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
    %r = arith.select %isStep, %k, %zero : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  %w = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %n = arith.constant 2.0 : f32
    %k = attn.read %rows[%b, %c, %i, %d] : !attn.tensor<[b, chunk, row, d], f32> -> f32
    %p = arith.mulf %k, %n : f32
    attn.yield %p : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  %x = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %n = arith.constant 3.0 : f32
    %k = attn.read %rows[%b, %c, %i, %d] : !attn.tensor<[b, chunk, row, d], f32> -> f32
    %p = arith.mulf %k, %n : f32
    attn.yield %p : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  %y = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %n = arith.constant 4.0 : f32
    %k = attn.read %rows[%b, %c, %i, %d] : !attn.tensor<[b, chunk, row, d], f32> -> f32
    %p = arith.mulf %k, %n : f32
    attn.yield %p : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  %z = attn.compute (%b: i32, %c: i32, %i: i32, %d: i32) {
    %n = arith.constant 5.0 : f32
    %k = attn.read %rows[%b, %c, %i, %d] : !attn.tensor<[b, chunk, row, d], f32> -> f32
    %p = arith.mulf %k, %n : f32
    attn.yield %p : f32
  } : !attn.tensor<[b, chunk, row, d], f32>
  %sum = attn.compute (%b: i32, %c: i32, %d: i32) {
    %r = attn.reduce sum over "row" (%i: i32) {
      %k = attn.read %rows[%b, %c, %i, %d] : !attn.tensor<[b, chunk, row, d], f32> -> f32
      attn.yield %k : f32
    } : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, chunk, d], f32>
  attn.return ["w", "x", "y", "z", "sum"](%w, %x, %y, %z, %sum : !attn.tensor<[b, chunk, row, d], f32>, !attn.tensor<[b, chunk, row, d], f32>, !attn.tensor<[b, chunk, row, d], f32>, !attn.tensor<[b, chunk, row, d], f32>, !attn.tensor<[b, chunk, d], f32>)
}

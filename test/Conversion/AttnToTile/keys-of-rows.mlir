// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --split-input-file --pass-pipeline='builtin.module(cse,attn-specialize{dtype=f16 head-dim=64},attn-plan{target=sm_80},convert-attn-to-tile,canonicalize,cse)' \
// RUN:   | FileCheck %s
// RUN: attnc-opt %s --split-input-file --pass-pipeline='builtin.module(cse,attn-specialize{dtype=f16 head-dim=64},attn-plan{target=host},convert-attn-to-tile,canonicalize,cse)' \
// RUN:   | FileCheck %s --check-prefix=HOST

// A mask that is one range of keys is two numbers for each row, before the loops, and one comparison for each score. On the
// host it is computed at each score.
// CHECK-LABEL: tile.kernel @window(
// CHECK: %[[FIRST:.*]] = tile.map() at
// CHECK: arith.addi %{{.*}}, %c-63_i64
// CHECK: !tile.tile<64xi32>
// CHECK: %[[COUNT:.*]] = tile.map() at
// CHECK: arith.subi
// CHECK: arith.maxsi
// CHECK: !tile.tile<64xi32>
// CHECK: scf.for
// CHECK: %[[S:.*]] = tile.dot
// CHECK: tile.map(%[[S]], %[[FIRST]], %[[COUNT]])
// CHECK-NEXT: ^bb0(%[[X:.*]]: f32, %[[FROM:.*]]: i32, %[[KEYS:.*]]: i32, %{{.*}}: i32, %[[KEY:.*]]: i32)
// CHECK-NEXT: %[[D:.*]] = arith.subi %[[KEY]], %[[FROM]]
// CHECK-NEXT: %[[SEES:.*]] = arith.cmpi ult, %[[D]], %[[KEYS]]
// CHECK-NEXT: arith.select %[[SEES]], %[[X]]
// CHECK-NOT: arith.cmpi sle
// CHECK: tile.return
// HOST-LABEL: tile.kernel @window
// HOST: arith.cmpi sle
// HOST: tile.return
attn.variant @window {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
    %c64 = arith.constant 64 : i32
    %d = arith.subi %row, %kv : i32
    %near = arith.cmpi slt, %d, %c64 : i32
    %past = arith.cmpi sle, %kv, %row : i32
    %both = arith.andi %near, %past : i1
    attn.yield %both : i1
  } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// Without a range, and where a range holds under a condition only (the mask's arithmetic could wrap), the mask is computed.
// CHECK-LABEL: tile.kernel @remainder(
// CHECK: arith.remsi
// CHECK: tile.return
attn.variant @remainder {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
    %c4 = arith.constant 4 : i32
    %c0 = arith.constant 0 : i32
    %d = arith.remsi %kv, %c4 : i32
    %keep = arith.cmpi eq, %d, %c0 : i32
    attn.yield %keep : i1
  } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// CHECK-LABEL: tile.kernel @wraps(
// CHECK: tile.map(%{{[^,]*}}) at
// CHECK: arith.muli
// CHECK: arith.cmpi sle
// CHECK: tile.return
attn.variant @wraps {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
    %c4 = arith.constant 4 : i32
    %four = arith.muli %kv, %c4 : i32
    %keep = arith.cmpi sle, %four, %row : i32
    attn.yield %keep : i1
  } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

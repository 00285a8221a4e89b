// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// On the host an attention has a second kernel, for few queries: the rows of its tiles are the heads that share keys and
// values, cut within their group. The program launches one of the two. Where a mask looks at the head, each may have other
// keys: a program has one of them.
// RUN: attnc-opt %s --split-input-file --pass-pipeline='builtin.module(cse,attn-specialize{dtype=f32 head-dim=64},attn-plan{target=host},convert-attn-to-tile,canonicalize,cse)' | FileCheck %s

// CHECK-LABEL: tile.kernel @grouped(
// CHECK-LABEL: tile.kernel @grouped_by_heads(
// CHECK: %[[QUERY:.*]] = tile.program_id 0
// CHECK: %[[TILE:.*]] = tile.program_id 1
// CHECK: %[[HEADS:.*]] = arith.divui %[[H:.*]], %[[G:.*]] : i32
// CHECK: %[[ROUND:.*]] = arith.addi %[[HEADS]], %c7_i32
// CHECK: %[[TILES:.*]] = arith.divui %[[ROUND]], %c8_i32
// CHECK: %[[GROUP:.*]] = arith.divui %[[TILE]], %[[TILES]]
// CHECK: %[[WITHIN:.*]] = arith.remui %[[TILE]], %[[TILES]]
// CHECK: %[[FIRST:.*]] = arith.muli %[[GROUP]], %[[HEADS]]
// CHECK: %[[SKIPPED:.*]] = arith.muli %[[WITHIN]], %c8_i32
// CHECK: %[[ROW:.*]] = arith.addi %[[FIRST]], %[[SKIPPED]]
// CHECK: %[[END:.*]] = arith.addi %[[FIRST]], %[[HEADS]]
// CHECK: tile.load %{{.*}}[%{{.*}}, %[[QUERY]]] rows 1 from %[[ROW]] to %[[END]] cols 64 : {{.*}} -> <8x64xf32>
// One loop for all key tiles.
// CHECK: scf.for
// CHECK: tile.load %{{.*}}[%{{.*}}, %[[GROUP]]] rows 2
// CHECK-NOT: scf.for
// CHECK: scf.if
// CHECK: tile.store %{{.*}}[%{{.*}}, %[[QUERY]]] rows 1 from %[[ROW]] to %[[END]] cols 64
// CHECK-LABEL: tile.program "grouped"
// CHECK: %[[BETTER:.*]] = arith.minsi %{{.*}}, %c1_i32
// CHECK: %[[WORSE:.*]] = arith.subi %c1_i32, %[[BETTER]]
// CHECK: %[[X:.*]] = arith.muli %{{.*}}, %[[WORSE]]
// CHECK: tile.launch @grouped({{.*}}) grid(%[[X]],
// CHECK: %[[Y:.*]] = arith.muli %{{.*}}, %[[BETTER]]
// CHECK: tile.launch @grouped_by_heads({{.*}}) grid(%[[Y]],
attn.variant @grouped {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// -----

// CHECK-LABEL: tile.kernel @head_windows(
// CHECK-LABEL: tile.kernel @head_windows_by_heads(
// CHECK: %[[QUERY:.*]] = tile.program_id 0
// CHECK: %[[TILE:.*]] = tile.program_id 1
// CHECK: %[[HEADS:.*]] = arith.divui %[[H:.*]], %[[G:.*]] : i32
// CHECK: %[[GROUP:.*]] = arith.divui %[[TILE]], %[[HEADS]]
// CHECK: %[[WITHIN:.*]] = arith.remui %[[TILE]], %[[HEADS]]
// CHECK: %[[FIRST:.*]] = arith.muli %[[GROUP]], %[[HEADS]]
// CHECK: %[[ROW:.*]] = arith.addi %[[FIRST]], %[[WITHIN]]
// CHECK: %[[END:.*]] = arith.addi %[[ROW]], %c1_i32
// The bound of the keys is that head's.
// CHECK: arith.extsi %[[ROW]]
// CHECK: tile.load %{{.*}}[%{{.*}}, %[[QUERY]]] rows 1 from %[[ROW]] to %[[END]] cols 64 : {{.*}} -> <8x64xf32>
// CHECK: tile.store %{{.*}}[%{{.*}}, %[[QUERY]]] rows 1 from %[[ROW]] to %[[END]] cols 64
// CHECK: tile.program "head_windows"
attn.variant @head_windows {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V
      mask(%b: i32, %h: i32, %q: i32, %kv: i32) {
        %keep = arith.cmpi sle, %kv, %h : i32
        attn.yield %keep : i1
      } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

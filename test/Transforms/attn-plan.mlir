// RUN: attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f16 head-dim=512 v-head-dim=31},attn-plan{target=sm_80})' | FileCheck %s
// RUN: not attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=f32 head-dim=1024},attn-plan{target=sm_80})' 2>&1 | FileCheck %s --check-prefix=LARGE
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tiles shrink until they fit in shared memory, or nothing does. What is no attention has a schedule too, and no tiles.

// CHECK-LABEL: attn.variant @wide
// CHECK-SAME: tile.schedule = #tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 32, stages = 2, warps = 4, vector_bytes = 16, precision = f32>
// LARGE: attn-plan.mlir:[[@LINE+1]]:1: error: head dims 1024 and 1024 in f32 do not fit on sm_80: the smallest tiles need 337920 bytes of shared memory, a thread block has 166912
attn.variant @wide {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

// CHECK-LABEL: attn.variant @rows
// CHECK-SAME: tile.schedule = #tile.schedule<target = "sm_80",
attn.variant @rows {
  %r = attn.input "r" : !attn.tensor<[b, h, q], f32>
  %w = attn.softmax %r over "q" : !attn.tensor<[b, h, q], f32> -> !attn.tensor<[b, h, q], f32>
  attn.return ["w"](%w : !attn.tensor<[b, h, q], f32>)
}

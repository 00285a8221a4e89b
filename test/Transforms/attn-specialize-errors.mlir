// RUN: not attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{dtype=i8})' 2>&1 | FileCheck %s --check-prefix=DTYPE
// RUN: not attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{head-dim=1025})' 2>&1 | FileCheck %s --check-prefix=DIM
// RUN: not attnc-opt %s --pass-pipeline='builtin.module(attn-specialize{params=cap})' 2>&1 | FileCheck %s --check-prefix=PARAM
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// DTYPE: attn-specialize-errors.mlir:[[@LINE+3]]:1: error: unsupported dtype `i8`: expected f32, f16 or bf16
// DIM: attn-specialize-errors.mlir:[[@LINE+2]]:1: error: unsupported head dim 1025: expected 1 to 1024
// PARAM: expected name=number for a parameter, found `cap`
attn.variant @plain {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]> -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
}

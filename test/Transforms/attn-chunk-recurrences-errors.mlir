// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --attn-chunk-recurrences="report-refusals=1" --verify-diagnostics | FileCheck %s
// RUN: not attnc-opt %s --attn-chunk-recurrences=chunk=24 2>&1 | FileCheck %s --check-prefix=CHUNK
// RUN: not attnc-opt %s --attn-chunk-recurrences=chunk=0 2>&1 | FileCheck %s --check-prefix=NONE
// A recurrence that has not the form stays as it is, and with `report-refusals` a remark says why. All reasons are in
// test/Tools/explain-chunks.test.
// CHUNK: expects `chunk` to be a multiple of 16, or from 1 to 16, found 24
// NONE: expects `chunk` to be a multiple of 16, or from 1 to 16, found 0

// CHECK: attn.recur over "t" for ["b"]
// CHECK-NOT: attn.space
attn.variant @squares {
  %K = attn.input "K" : !attn.tensor<[b, t, d], f32>
  %S0 = attn.input "S0" : !attn.tensor<[b, d], f32>
  %final = attn.recur over "t" for ["b"] from (%S0 : !attn.tensor<[b, d], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    %next = attn.compute (%d: i32) {
      %s = attn.read %S[%d] : !attn.tensor<[d], f32> -> f32
      // expected-remark@+1 {{step by step: the new state 0 is not linear in the states (`mulf`)}}
      %ss = arith.mulf %s, %s : f32
      attn.yield %ss : f32
    } : !attn.tensor<[d], f32>
    attn.yield %next : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, d], f32>
  attn.return ["S"](%final : !attn.tensor<[b, d], f32>)
}

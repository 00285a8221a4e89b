// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
attn.variant @outputs {
  %X = attn.input "X" : !attn.tensor<[b, h, q], f32>
  %y = attn.compute (%b: i32, %h: i32, %q: i32) {
    %x = attn.read %X[%b, %h, %q] : !attn.tensor<[b, h, q], f32> -> f32
    %negative = arith.negf %x : f32
    attn.yield %negative : f32
  } : !attn.tensor<[b, h, q], f32>
  attn.return ["same", "once", "twice"](%X, %y, %y : !attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q], f32>)
}

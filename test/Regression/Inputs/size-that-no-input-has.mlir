// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
attn.variant @random {
  %seed = attn.param "seed" = 7 : i32 : i32
  %keep = attn.compute (%b: i32, %h: i32, %kv: i32) {
    %u = attn.uniform %seed [%b, %h, %kv]
    attn.yield %u : f32
  } : !attn.tensor<[b, h, kv], f32>
  attn.return ["keep"](%keep : !attn.tensor<[b, h, kv], f32>)
}

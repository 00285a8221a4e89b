// RUN: attnc-opt %s --split-input-file --verify-diagnostics --attn-verify-specialized
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// What phase specialized has: nothing is reported.
attn.variant @specialized {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  %t = attn.param "t" = 1.0 : f32 : f32
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d], f16>
  attn.return ["out"](%Q : !attn.tensor<[b, h, q, d], f16>)
}

// -----

attn.variant @param {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  // expected-error@below {{'attn.param' op remains in phase `specialized`: expected a constant in place of const parameter `cap`}}
  %cap = attn.param const "cap" = 50.0 : f32 : f32
  attn.return []
}

// -----

// expected-error@below {{'attn.variant' op does not declare the size of `e`, which phase `specialized` fixes}}
attn.variant @dim {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.return []
}

// -----

attn.variant @element {
  %dim = arith.constant 64 : i32
  attn.space "d" extent %dim
  attn.space "e" extent %dim
  // expected-error@below {{'attn.input' op has a tensor without an element type in phase `specialized`: '!attn.tensor<[b, h, q, d]>'}}
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  attn.return ["out"](%Q : !attn.tensor<[b, h, q, d]>)
}

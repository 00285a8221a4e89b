// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// Attentions in parts of the keys, and choices between two ways to compute a tensor: a case for each check.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// #attn.parts C1
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{custom op 'attn.attend' expects parts of at least one key and a positive unit, found 0 and 1.000000e+00}}
  %out, %lse, %top = attn.attend %q, %k, %v parts <"p" of 0 unit 1.0>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, p, e], f32>, !attn.tensor<[b, h, q, p], f32> largest !attn.tensor<[b, h, q, p], f32>
  attn.return []
}
// -----
// attn.attend C8: the largest scores
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects `largest` as a result with `parts`, and only then}}
  %out, %lse = attn.attend %q, %k, %v parts <"p" of 16 unit 1.0>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, p, e], f32>, !attn.tensor<[b, h, q, p], f32>
  attn.return []
}
// -----
// attn.attend C8: what has no parts
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects no set, tile, sink or weights with `parts`}}
  %out, %lse, %top = attn.attend %q, %k, %v tile %n parts <"p" of 16 unit 1.0>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, p, e], f32>, !attn.tensor<[b, h, q, p], f32> largest !attn.tensor<[b, h, q, p], f32>
  attn.return []
}
// -----
// attn.attend C8: the space
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a declared index space of parts, found "p"}}
  %out, %lse, %top = attn.attend %q, %k, %v parts <"p" of 16 unit 1.0>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, p, e], f32>, !attn.tensor<[b, h, q, p], f32> largest !attn.tensor<[b, h, q, p], f32>
  attn.return []
}
// -----
// attn.attend C8: results over parts
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects an out of type '!attn.tensor<[b, h, q, p, e], f32>', found '!attn.tensor<[b, h, q, p, e]>'}}
  %out, %lse, %top = attn.attend %q, %k, %v parts <"p" of 16 unit 1.0>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, p, e]>, !attn.tensor<[b, h, q, p], f32> largest !attn.tensor<[b, h, q, p], f32>
  attn.return []
}
// -----
// attn.space C3: blocks that may be none
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects `optional` with an extent that is no blocks'}}
  attn.space "p" of "kv" extent %n optional
  attn.return []
}
// -----
// attn.choose C1
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n
  %one = arith.constant 1.0 : f32
  %x = attn.compute (%kv: i32) { attn.yield %one : f32 } : !attn.tensor<[kv], f32>
  %y = attn.compute (%kv: i32) { attn.yield %one : f32 } : !attn.tensor<[kv], f32>
  // expected-error@below {{'attn.choose' op expects a space that is declared with an optional extent, found "p"}}
  %z = attn.choose "p" some(%x) none(%y) : !attn.tensor<[kv], f32>
  attn.return ["z"](%z : !attn.tensor<[kv], f32>)
}
// -----
// attn.choose C2
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n optional
  %one = arith.constant 1.0 : f32
  %x = attn.compute (%kv: i32) { attn.yield %one : f32 } : !attn.tensor<[kv], f32>
  %y = attn.input "y" : !attn.tensor<[kv], f32>
  // expected-error@below {{'attn.choose' op expects results of stages that nothing else uses}}
  %z = attn.choose "p" some(%x) none(%y) : !attn.tensor<[kv], f32>
  attn.return ["z"](%z : !attn.tensor<[kv], f32>)
}

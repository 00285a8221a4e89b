// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// Attentions with lists of the blocks of keys that they visit: a case for each check.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// attn.attend C9: blocks of rows
attn.variant @v {
  %n = arith.constant 64 : i32
  attn.space "s" extent %n
  attn.space "p" of "kv" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  %list = attn.input "list" : !attn.tensor<[p, s], i32>
  // expected-error@below {{'attn.attend' op expects visits of i32 over blocks of `q` that do not overlap and slots, found '!attn.tensor<[p, s], i32>'}}
  %out, %lse = attn.attend %q, %k, %v visits %list of 64 : !attn.tensor<[p, s], i32>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C9: slots
attn.variant @v {
  %n = arith.constant 64 : i32
  attn.space "r" of "q" extent %n
  attn.space "p" of "kv" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  %list = attn.input "list" : !attn.tensor<[r, p], i32>
  // expected-error@below {{'attn.attend' op expects visits of i32 over blocks of `q` that do not overlap and slots, found '!attn.tensor<[r, p], i32>'}}
  %out, %lse = attn.attend %q, %k, %v visits %list of 64 : !attn.tensor<[r, p], i32>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C9: numbers of blocks
attn.variant @v {
  %n = arith.constant 64 : i32
  attn.space "r" of "q" extent %n
  attn.space "s" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  %list = attn.input "list" : !attn.tensor<[r, s], f32>
  // expected-error@below {{'attn.attend' op expects visits of i32 over blocks of `q` that do not overlap and slots, found '!attn.tensor<[r, s], f32>'}}
  %out, %lse = attn.attend %q, %k, %v visits %list of 64 : !attn.tensor<[r, s], f32>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C9: keys of a block
attn.variant @v {
  %n = arith.constant 64 : i32
  attn.space "r" of "q" extent %n
  attn.space "s" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  %list = attn.input "list" : !attn.tensor<[r, s], i32>
  // expected-error@below {{'attn.attend' op expects blocks of at least one key, found 0}}
  %out, %lse = attn.attend %q, %k, %v visits %list of 0 : !attn.tensor<[r, s], i32>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C9: both or none
attn.variant @v {
  %n = arith.constant 64 : i32
  attn.space "r" of "q" extent %n
  attn.space "s" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects the number of a block's keys with `visits`, and only then}}
  %out, %lse = attn.attend %q, %k, %v {visit_keys = 64 : i64}
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C9: what has no lists
attn.variant @v {
  %n = arith.constant 64 : i32
  attn.space "r" of "q" extent %n
  attn.space "s" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  %list = attn.input "list" : !attn.tensor<[r, s], i32>
  // expected-error@below {{'attn.attend' op expects no set, tile or parts with `visits`}}
  %out, %lse = attn.attend %q, %k, %v tile %n visits %list of 64 : !attn.tensor<[r, s], i32>
      : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}

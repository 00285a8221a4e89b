// RUN: attnc-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
// Key sets and tiles of attention stages, and further cases for the ops of invalid.mlir.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// attn.attend C6: conditions
attn.variant @v {
  %set = attn.input "set" : !attn.tensor<[b, h, q, kv], f32>
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a set of i1 whose last axis is `kv` or a space of blocks of it, found '!attn.tensor<[b, h, q, kv], f32>'}}
  %out, %lse = attn.attend %q, %k, %v over %set : !attn.tensor<[b, h, q, kv], f32> : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C6: keys or blocks of them
attn.variant @v {
  %set = attn.input "set" : !attn.tensor<[b, h, q], i1>
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a set of i1 whose last axis is `kv` or a space of blocks of it, found '!attn.tensor<[b, h, q], i1>'}}
  %out, %lse = attn.attend %q, %k, %v over %set : !attn.tensor<[b, h, q], i1> : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C6: at least one axis
attn.variant @v {
  %set = attn.input "set" : !attn.tensor<[], i1>
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a set of i1 whose last axis is `kv` or a space of blocks of it, found '!attn.tensor<[], i1>'}}
  %out, %lse = attn.attend %q, %k, %v over %set : !attn.tensor<[], i1> : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C6: slots are no blocks
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "c" extent %n
  %set = attn.input "set" : !attn.tensor<[b, h, c], i1>
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a set of i1 whose last axis is `kv` or a space of blocks of it, found '!attn.tensor<[b, h, c], i1>'}}
  %out, %lse = attn.attend %q, %k, %v over %set : !attn.tensor<[b, h, c], i1> : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: skip without tile
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects `tile` with `skip` and a format of weights, which depend on it}}
  %out, %lse = attn.attend %q, %k, %v
    skip(%m: f32, %r: f32) {
      %c = arith.constant true
      attn.yield %c : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: blocks of rows without skip
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "w" of "q" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects `skip` for blocks of `q` that do not overlap, found "w"}}
  %out, %lse = attn.attend %q, %k, %v tile %n skip_rows "w" : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: blocks of other rows
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "w" of "kv" extent %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects `skip` for blocks of `q` that do not overlap, found "w"}}
  %out, %lse = attn.attend %q, %k, %v tile %n skip_rows "w"
    skip(%m: f32, %r: f32) {
      %c = arith.constant true
      attn.yield %c : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: blocks that overlap
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "w" of "q" extent %n stride %n
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects `skip` for blocks of `q` that do not overlap, found "w"}}
  %out, %lse = attn.attend %q, %k, %v tile %n skip_rows "w"
    skip(%m: f32, %r: f32) {
      %c = arith.constant true
      attn.yield %c : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: unknown blocks
attn.variant @v {
  %n = arith.constant 4 : i32
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects `skip` for blocks of `q` that do not overlap, found "w"}}
  %out, %lse = attn.attend %q, %k, %v tile %n skip_rows "w"
    skip(%m: f32, %r: f32) {
      %c = arith.constant true
      attn.yield %c : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: quantized weights without tile
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects `tile` with `skip` and a format of weights, which depend on it}}
  %out, %lse = attn.attend %q, %k, %v weights f8E4M3 : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: a scale of nothing
attn.variant @v {
  %n = arith.constant 4 : i32
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a format of weights with their scale or group}}
  %out, %lse = attn.attend %q, %k, %v tile %n by 448.0 : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C7: a group of nothing
attn.variant @v {
  %n = arith.constant 4 : i32
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a format of weights with their scale or group}}
  %out, %lse = attn.attend %q, %k, %v tile %n group %n : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.yield C1
"test.region"() ({
  // expected-error@below {{'attn.yield' op expects to end a region of the attn dialect, found one of `test.region`}}
  attn.yield
}) : () -> ()
// -----
// #attn.sample C1: two arguments
attn.variant @v {
  // expected-error@below {{custom op 'attn.input' expects 2 arguments of `normal`, found 1}}
  %x = attn.input "x" sample <normal(0.5)> : !attn.tensor<[h], f32>
  attn.return []
}
// -----
// #attn.sample: distributions
attn.variant @v {
  // expected-error@below {{custom op 'attn.input' expects a distribution (uniform, normal, sorted, bernoulli, geometric), found `poisson`}}
  %x = attn.input "x" sample <poisson(0.5)> : !attn.tensor<[h], f32>
  attn.return []
}
// -----
// attn.param C2: a name that starts with a digit
attn.variant @v {
  // expected-error@below {{'attn.param' op expects a name of letters, digits and `_`, found "4x"}}
  %x = attn.param "4x" = 1 : i32 : i32
  attn.return []
}
// -----
// attn.param C2: no name
attn.variant @v {
  // expected-error@below {{'attn.param' op expects a name of letters, digits and `_`, found ""}}
  %x = attn.param "" = 1 : i32 : i32
  attn.return []
}
// -----
// attn.read C1: a number
attn.variant @v {
  // expected-note@below {{the tensor is '!attn.tensor<[], f32>'}}
  %x = attn.input "x" : !attn.tensor<[], f32>
  %c = arith.constant 0 : i32
  // expected-error@below {{'attn.read' op expects 0 indices, one for each axis, found 1}}
  %r = attn.read %x[%c] : !attn.tensor<[], f32> -> f32
  attn.return []
}
// -----
// attn.read C2: a condition
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[], i1>
  // expected-error@below {{'attn.read' op expects a result of type 'i1', found 'i32'}}
  %r = attn.read %x[] : !attn.tensor<[], i1> -> i32
  attn.return []
}
// -----
// attn.variant C2: two parameters
attn.variant @v {
  // expected-note@below {{first used here}}
  %x = attn.param "x" = 1 : i32 : i32
  // expected-error@below {{'attn.param' op expects a unique name, but `x` is taken}}
  %y = attn.param "x" = 1 : i32 : i32
  attn.return []
}
// -----
// attn.variant C1: an empty body
// expected-error@below {{'attn.variant' op expects a non-empty block}}
attn.variant @v {
}

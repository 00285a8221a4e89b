// RUN: attnc-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
// Attention stages: a case for each check of labels C1 to C5.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// attn.attend C1: rows and a dimension
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a query that ends with a space of rows and a dimension, found '!attn.tensor<[d]>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[e]>, !attn.tensor<[], f32>
  attn.return []
}
// -----
// attn.attend C1: rows that have a name
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, 4, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a key that ends with a space of rows and a dimension, found '!attn.tensor<[b, g, 4, d]>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, 4, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C1: values that end with rows and a dimension
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[e]>
  // expected-error@below {{'attn.attend' op expects a value that ends with a space of rows and a dimension, found '!attn.tensor<[e]>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C1: reals
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d], i32>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a key of reals, found '!attn.tensor<[b, g, kv, d], i32>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d], i32>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C1: queries of reals
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d], i1>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects a query of reals, found '!attn.tensor<[b, h, q, d], i1>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d], i1>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C1: one space of keys and values
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, q, e]>
  // expected-error@below {{'attn.attend' op expects keys and values over one space, found '!attn.tensor<[b, g, kv, d]>' and '!attn.tensor<[b, g, q, e]>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, q, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C1: one dimension
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, e]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects keys of the query's dimension, found '!attn.tensor<[b, h, q, e]>' and '!attn.tensor<[b, g, kv, d]>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C1: keys that are no rows
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, q, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, q, e]>
  // expected-error@below {{'attn.attend' op expects a key space that is no axis of the query, found '!attn.tensor<[b, h, q, d]>' and '!attn.tensor<[b, g, q, d]>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, q, d]>, !attn.tensor<[b, g, q, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C2: axes of the output
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects an out of type '!attn.tensor<[b, h, q, e]>', found '!attn.tensor<[b, h, q, d]>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C2: element of the output
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects an out of type '!attn.tensor<[b, h, q, e], f32>', found '!attn.tensor<[b, h, q, e], f16>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e], f16>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C2: weights
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects weights of type '!attn.tensor<[b, h, q, kv], f32>', found '!attn.tensor<[b, h, q], f32>'}}
  %out, %lse, %w = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C2: element of the weights
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects weights of type '!attn.tensor<[b, h, q, kv], f32>', found '!attn.tensor<[b, h, q, kv]>'}}
  %out, %lse, %w = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q, kv]>
  attn.return []
}
// -----
// attn.attend C2: axes of the log-sum-exp
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects an lse of type '!attn.tensor<[b, h, q], f32>', found '!attn.tensor<[b, h], f32>'}}
  %out, %lse = attn.attend %q, %k, %v : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h], f32>
  attn.return []
}
// -----
// attn.attend C3: a score has the scaled product first
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects arguments ('f32', 'i32', 'i32', 'i32', 'i32') of the score region, found ('i32', 'i32', 'i32', 'i32', 'f32')}}
  %out, %lse = attn.attend %q, %k, %v
    score(%b: i32, %h: i32, %q0: i32, %kv: i32, %s: f32) {
      %c = arith.constant 0.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C3: a sink has no key
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects arguments ('i32', 'i32', 'i32') of the sink region, found ('i32', 'i32', 'i32', 'i32')}}
  %out, %lse = attn.attend %q, %k, %v
    sink(%b: i32, %h: i32, %q0: i32, %kv: i32) {
      %c = arith.constant 0.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C3: skip has two maxima
attn.variant @v {
  %n = arith.constant 4 : i32
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects arguments ('f32', 'f32') of the skip region, found ('f32')}}
  %out, %lse = attn.attend %q, %k, %v tile %n
    skip(%m: f32) {
      %c = arith.constant true
      attn.yield %c : i1
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C4: a mask is a condition
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects the mask region to yield 'i1', found 'i32'}}
  %out, %lse = attn.attend %q, %k, %v
    mask(%b: i32, %h: i32, %q0: i32, %kv: i32) {
      // expected-note@below {{yielded here}}
      attn.yield %kv : i32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C4: one value
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects the sink region to yield 'f32', found 'f32', 'f32'}}
  %out, %lse = attn.attend %q, %k, %v
    sink(%b: i32, %h: i32, %q0: i32) {
      %c = arith.constant 0.0 : f32
      // expected-note@below {{yielded here}}
      attn.yield %c, %c : f32, f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C4: a region ends with its value
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects the sink region to end with attn.yield}}
  %out, %lse = attn.attend %q, %k, %v
    sink(%b: i32, %h: i32, %q0: i32) {
      %c = arith.constant 0.0 : f32
      "test.end"(%c) : (f32) -> ()
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.attend C5: no tensors within
attn.variant @v {
  %q = attn.input "q" : !attn.tensor<[b, h, q, d]>
  %k = attn.input "k" : !attn.tensor<[b, g, kv, d]>
  %v = attn.input "v" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects scalar arithmetic, attn.read, attn.position, attn.size, attn.reduce and attn.uniform in the sink region, found `attn.input`}}
  %out, %lse = attn.attend %q, %k, %v
    sink(%b: i32, %h: i32, %q0: i32) {
      // expected-note@below {{found here}}
      %x = attn.input "x" : !attn.tensor<[h], f32>
      %c = arith.constant 0.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}

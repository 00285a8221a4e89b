// RUN: attnc-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
// One case for each constraint label of the dialect.

// attn.variant C1
// expected-error@below {{'attn.variant' op expects a body that ends with attn.return}}
"attn.variant"() <{sym_name = "v"}> ({
  %n = attn.size "q"
  "test.end"(%n) : (i32) -> ()
}) : () -> ()
// -----

// attn.variant C2
attn.variant @v {
  // expected-note@below {{first used here}}
  %a = attn.param "n" = 1 : i32 : i32
  // expected-error@below {{'attn.input' op expects a unique name, but `n` is taken}}
  %b = attn.input "n" : !attn.tensor<[h], f32>
  attn.return []
}
// -----

// attn.param C1
attn.variant @v {
  // expected-error@below {{'attn.param' op expects a default value of type 'f32', found 'i32'}}
  %a = attn.param "n" = 1 : i32 : f32
  attn.return []
}
// -----

// attn.param C2
attn.variant @v {
  // expected-error@below {{'attn.param' op expects a name of letters, digits and `_`, found "a b"}}
  %a = attn.param "a b" = 1 : i32 : i32
  attn.return []
}
// -----

// attn.input C1
attn.variant @v {
  // expected-error@below {{'attn.input' op expects a name of letters, digits and `_`, found "1st"}}
  %a = attn.input "1st" : !attn.tensor<[h], f32>
  attn.return []
}
// -----

// attn.input C2
attn.variant @v {
  // expected-error@below {{'attn.input' op expects axes over the index spaces b, h, g, q, kv, t, d and e, declared spaces or fixed sizes, found `heads`}}
  %a = attn.input "x" : !attn.tensor<[heads], f32>
  attn.return []
}
// -----

// attn.size C1
attn.variant @v {
  // expected-error@below {{'attn.size' op expects one of the index spaces b, h, g, q, kv, t, d and e or a declared one, found "keys"}}
  %a = attn.size "keys"
  attn.return []
}
// -----

// attn.read C1
attn.variant @v {
  // expected-note@below {{the tensor is '!attn.tensor<[b, h], f32>'}}
  %x = attn.input "x" : !attn.tensor<[b, h], f32>
  %c = arith.constant 0 : i32
  // expected-error@below {{'attn.read' op expects 2 indices, one for each axis, found 1}}
  %a = attn.read %x[%c] : !attn.tensor<[b, h], f32> -> f32
  attn.return []
}
// -----

// attn.read C2
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[h], f16>
  %c = arith.constant 0 : i32
  // expected-error@below {{'attn.read' op expects a result of type 'f32', found 'i32'}}
  %a = attn.read %x[%c] : !attn.tensor<[h], f16> -> i32
  attn.return []
}
// -----

// attn.attend C1
attn.variant @v {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects keys of the query's dimension, found '!attn.tensor<[b, h, q, d]>' and '!attn.tensor<[b, g, kv, e]>'}}
  %out, %lse = attn.attend %Q, %V, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, e]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----

// attn.attend C2
attn.variant @v {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects an lse of type '!attn.tensor<[b, h, q], f32>', found '!attn.tensor<[b, h, q]>'}}
  %out, %lse = attn.attend %Q, %K, %V : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q]>
  attn.return []
}
// -----

// attn.attend C3: a mask has four coordinates.
attn.variant @v {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects arguments ('i32', 'i32', 'i32', 'i32') of the mask region, found ('i32', 'i32', 'i32')}}
  %out, %lse = attn.attend %Q, %K, %V mask(%b: i32, %h: i32, %q: i32) {
    %c = arith.constant true
    attn.yield %c : i1
  } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----

// attn.attend C4
attn.variant @v {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects the score region to yield 'f32', found 'i32'}}
  %out, %lse = attn.attend %Q, %K, %V score(%s: f32, %b: i32, %h: i32, %q: i32, %kv: i32) {
    // expected-note@below {{yielded here}}
    attn.yield %kv : i32
  } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----

// attn.attend C5: a vector is not a scalar.
attn.variant @v {
  %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
  // expected-error@below {{'attn.attend' op expects scalar arithmetic, attn.read, attn.position, attn.size, attn.reduce and attn.uniform in the sink region, found `arith.constant`}}
  %out, %lse = attn.attend %Q, %K, %V sink(%b: i32, %h: i32, %q: i32) {
    // expected-note@below {{found here}}
    %v = arith.constant dense<0.0> : vector<4xf32>
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
      -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----

// attn.return C1
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[h], f32>
  // expected-error@below {{'attn.return' op expects one name for each value, found 2 names and 1 values}}
  attn.return ["a", "b"](%x : !attn.tensor<[h], f32>)
}
// -----

// attn.return C2
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[h], f32>
  // expected-error@below {{'attn.return' op expects unique names, but `a` occurs twice}}
  attn.return ["a", "a"](%x, %x : !attn.tensor<[h], f32>, !attn.tensor<[h], f32>)
}
// -----

// attn.return C3
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[h], f32>
  // expected-error@below {{'attn.return' op expects `reuses` to have an entry for each name, found 2 and 1}}
  attn.return ["a"](%x : !attn.tensor<[h], f32>) {reuses = ["x", ""]}
}
// -----

// attn.return C4
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[h], f32>
  %y = attn.input "y" : !attn.tensor<[h, 2], f32>
  // expected-error@below {{'attn.return' op expects "a" to reuse an input of its type, which no other output reuses, found `y`}}
  attn.return ["a"](%x : !attn.tensor<[h], f32>) {reuses = ["y"]}
}
// -----

// attn.return C4
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[h], f32>
  %y = attn.input "y" : !attn.tensor<[h], f32>
  // expected-error@below {{'attn.return' op expects "b" to reuse an input of its type, which no other output reuses, found `x`}}
  attn.return ["a", "b"](%x, %y : !attn.tensor<[h], f32>, !attn.tensor<[h], f32>) {reuses = ["x", "x"]}
}
// -----

// #attn.sample C1
attn.variant @v {
  // expected-error@below {{custom op 'attn.input' expects 1 argument of `bernoulli`, found 2}}
  %x = attn.input "x" sample <bernoulli(0.5, 0.5)> : !attn.tensor<[h], f32>
  attn.return []
}
// -----

// attn.input C3
attn.variant @v {
  // expected-error@below {{'attn.input' op expects the size of an index space, found `heads`}}
  %x = attn.input "x" sample <uniform(0.0, size(heads))> : !attn.tensor<[h], f32>
  attn.return []
}
// -----

// !attn.tensor: element types
attn.variant @v {
  // expected-error@below {{expects element type f32, f16, bf16, i32 or i1, found 'f64'}}
  %x = attn.input "x" : !attn.tensor<[h], f64>
  attn.return []
}
// -----

// !attn.tensor: sizes of axes
attn.variant @v {
  // expected-error@below {{expects a positive axis size, found 0}}
  %x = attn.input "x" : !attn.tensor<[0], f32>
  attn.return []
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

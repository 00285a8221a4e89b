// RUN: attnc-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
// Reductions, random numbers and functions of rows: a case for each check of their labels.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// attn.reduce C1: a known space
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a known index space, found "keys"}}
  %x = attn.reduce sum over "keys" (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C1: blocks of the space
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" of "q" extent %n
  // expected-error@below {{'attn.reduce' op expects blocks of `kv`, found "p"}}
  %x = attn.reduce sum over "kv" in "p" at %n (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C1: blocks
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n
  // expected-error@below {{'attn.reduce' op expects blocks of `kv`, found "p"}}
  %x = attn.reduce sum over "kv" in "p" at %n (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C2: the index
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects arguments ('i32') of the value region, found ('f32')}}
  %x = attn.reduce sum over "kv" (%i: f32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C2: one index
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects arguments ('i32') of the value region, found ('i32', 'i32')}}
  %x = attn.reduce sum over "kv" (%i: i32, %j: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C2: a value
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects the value region to yield a scalar and at most one i1 beside it}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    attn.yield
  } : f32
  attn.return []
}
// -----
// attn.reduce C2: a condition beside it
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects the value region to yield a scalar and at most one i1 beside it}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    attn.yield %i, %i : i32, i32
  } : i32
  attn.return []
}
// -----
// attn.reduce C2: at most one condition
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects the value region to yield a scalar and at most one i1 beside it}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    %t = arith.constant true
    attn.yield %i, %t, %t : i32, i1, i1
  } : i32
  attn.return []
}
// -----
// attn.reduce C2: a scalar
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b], f32>
  // expected-error@below {{'attn.reduce' op expects the value region to yield a scalar and at most one i1 beside it}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    attn.yield %r : !attn.tensor<[b], f32>
  } : f32
  attn.return []
}
// -----
// attn.reduce C2: its end
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects the value region to end with attn.yield}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    "test.end"() : () -> ()
  } : f32
  attn.return []
}
// -----
// attn.reduce C3: sum of conditions
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a number and a result of its type for `sum`, found 'i1' -> 'i1'}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    %t = arith.constant true
    attn.yield %t : i1
  } : i1
  attn.return []
}
// -----
// attn.reduce C3: prod of conditions
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a number and a result of its type for `prod`, found 'i1' -> 'i1'}}
  %x = attn.reduce prod over "kv" (%i: i32) {
    %t = arith.constant true
    attn.yield %t : i1
  } : i1
  attn.return []
}
// -----
// attn.reduce C3: max of conditions
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a number and a result of its type for `max`, found 'i1' -> 'i1'}}
  %x = attn.reduce max over "kv" (%i: i32) {
    %t = arith.constant true
    attn.yield %t : i1
  } : i1
  attn.return []
}
// -----
// attn.reduce C3: min of conditions
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a number and a result of its type for `min`, found 'i1' -> 'i1'}}
  %x = attn.reduce min over "kv" (%i: i32) {
    %t = arith.constant true
    attn.yield %t : i1
  } : i1
  attn.return []
}
// -----
// attn.reduce C3: the type of the value
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a number and a result of its type for `sum`, found 'f32' -> 'i32'}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : i32
  attn.return []
}
// -----
// attn.reduce C3: mean of ints
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects f32 and a result of f32 for `mean`, found 'i32' -> 'i32'}}
  %x = attn.reduce mean over "kv" (%i: i32) {
    attn.yield %i : i32
  } : i32
  attn.return []
}
// -----
// attn.reduce C3: argmax is an index
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a number and a result of i32 for `argmax`, found 'f32' -> 'f32'}}
  %x = attn.reduce argmax over "kv" (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C3: argmin of conditions
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects a number and a result of i32 for `argmin`, found 'i1' -> 'i32'}}
  %x = attn.reduce argmin over "kv" (%i: i32) {
    %t = arith.constant true
    attn.yield %t : i1
  } : i32
  attn.return []
}
// -----
// attn.reduce C3: any of numbers
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects i1 and a result of i1 for `any`, found 'f32' -> 'i1'}}
  %x = attn.reduce any over "kv" (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : i1
  attn.return []
}
// -----
// attn.reduce C3: all is a condition
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects i1 and a result of i1 for `all`, found 'i1' -> 'i32'}}
  %x = attn.reduce all over "kv" (%i: i32) {
    %t = arith.constant true
    attn.yield %t : i1
  } : i32
  attn.return []
}
// -----
// attn.reduce C4
attn.variant @v {
  // expected-error@below {{'attn.reduce' op expects scalar arithmetic, attn.read, attn.position, attn.size, attn.reduce and attn.uniform in the value region, found `test.op`}}
  %x = attn.reduce sum over "kv" (%i: i32) {
    // expected-note@below {{found here}}
    %k = "test.op"() : () -> f32
    attn.yield %k : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C5: `in` without `at`
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" of "kv" extent %n
  // expected-error@below {{'attn.reduce' op expects `in` with a space of blocks and `at` with the block's index together}}
  %x = attn.reduce sum over "kv" in "p" (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.reduce C5: `at` without `in`
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.reduce' op expects `in` with a space of blocks and `at` with the block's index together}}
  %x = attn.reduce sum over "kv" at %n (%i: i32) {
    %c = arith.constant 1.0 : f32
    attn.yield %c : f32
  } : f32
  attn.return []
}
// -----
// attn.uniform C1
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.uniform' op expects at most four counters, found 5}}
  %u = attn.uniform %n [%n, %n, %n, %n, %n]
  attn.return []
}
// -----
// attn.softmax C1
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.softmax' op expects a row over an axis of the tensor, found "q" and '!attn.tensor<[b, kv], f32>'}}
  %x = attn.softmax %r over "q" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----
// attn.softmax C2: numbers
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], i1>
  // expected-error@below {{'attn.softmax' op expects a tensor of reals, found '!attn.tensor<[b, kv], i1>'}}
  %x = attn.softmax %r over "kv" : !attn.tensor<[b, kv], i1> -> !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----
// attn.softmax C2: the result's element
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.softmax' op expects a result of type '!attn.tensor<[b, kv], f32>', found '!attn.tensor<[b, kv], f16>'}}
  %x = attn.softmax %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f16>
  attn.return []
}
// -----
// attn.softmax C2: the result's axes
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.softmax' op expects a result of type '!attn.tensor<[b, kv], f32>', found '!attn.tensor<[b], f32>'}}
  %x = attn.softmax %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b], f32>
  attn.return []
}
// -----
// attn.cumsum C1
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.cumsum' op expects a row over an axis of the tensor, found "q" and '!attn.tensor<[b, kv], f32>'}}
  %x = attn.cumsum %r over "q" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----
// attn.cumsum C2: numbers
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], i1>
  // expected-error@below {{'attn.cumsum' op expects a tensor of numbers, found '!attn.tensor<[b, kv], i1>'}}
  %x = attn.cumsum %r over "kv" : !attn.tensor<[b, kv], i1> -> !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----
// attn.cumsum C2: the result's element
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.cumsum' op expects a result of type '!attn.tensor<[b, kv], f32>', found '!attn.tensor<[b, kv], f16>'}}
  %x = attn.cumsum %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f16>
  attn.return []
}
// -----
// attn.cumsum C2: the result's axes
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.cumsum' op expects a result of type '!attn.tensor<[b, kv], f32>', found '!attn.tensor<[b], f32>'}}
  %x = attn.cumsum %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b], f32>
  attn.return []
}
// -----
// attn.rank C1
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.rank' op expects a row over an axis of the tensor, found "q" and '!attn.tensor<[b, kv], f32>'}}
  %x = attn.rank %r over "q" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], i32>
  attn.return []
}
// -----
// attn.rank C2: numbers
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], i1>
  // expected-error@below {{'attn.rank' op expects a tensor of numbers, found '!attn.tensor<[b, kv], i1>'}}
  %x = attn.rank %r over "kv" : !attn.tensor<[b, kv], i1> -> !attn.tensor<[b, kv], i32>
  attn.return []
}
// -----
// attn.rank C2: the result's element
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.rank' op expects a result of type '!attn.tensor<[b, kv], i32>', found '!attn.tensor<[b, kv], f16>'}}
  %x = attn.rank %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f16>
  attn.return []
}
// -----
// attn.rank C2: the result's axes
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.rank' op expects a result of type '!attn.tensor<[b, kv], i32>', found '!attn.tensor<[b], i32>'}}
  %x = attn.rank %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b], i32>
  attn.return []
}
// -----
// attn.order C1
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.order' op expects a row over an axis of the tensor, found "q" and '!attn.tensor<[b, kv], f32>'}}
  %x = attn.order %r over "q" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], i32>
  attn.return []
}
// -----
// attn.order C2: numbers
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], i1>
  // expected-error@below {{'attn.order' op expects a tensor of numbers, found '!attn.tensor<[b, kv], i1>'}}
  %x = attn.order %r over "kv" : !attn.tensor<[b, kv], i1> -> !attn.tensor<[b, kv], i32>
  attn.return []
}
// -----
// attn.order C2: the result's element
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.order' op expects a result of type '!attn.tensor<[b, kv], i32>', found '!attn.tensor<[b, kv], f16>'}}
  %x = attn.order %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f16>
  attn.return []
}
// -----
// attn.order C2: the result's axes
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], f32>
  // expected-error@below {{'attn.order' op expects a result of type '!attn.tensor<[b, kv], i32>', found '!attn.tensor<[b], i32>'}}
  %x = attn.order %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b], i32>
  attn.return []
}
// -----
// attn.softmax C2: reals
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], i32>
  // expected-error@below {{'attn.softmax' op expects a tensor of reals, found '!attn.tensor<[b, kv], i32>'}}
  %x = attn.softmax %r over "kv" : !attn.tensor<[b, kv], i32> -> !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----
// attn.cumsum C2: ints stay ints
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, kv], i32>
  // expected-error@below {{'attn.cumsum' op expects a result of type '!attn.tensor<[b, kv], i32>', found '!attn.tensor<[b, kv], f32>'}}
  %x = attn.cumsum %r over "kv" : !attn.tensor<[b, kv], i32> -> !attn.tensor<[b, kv], f32>
  attn.return []
}

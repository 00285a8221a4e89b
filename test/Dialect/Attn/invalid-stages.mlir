// RUN: attnc-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
// Index spaces and tensors by a formula: a case for each check of their labels.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// attn.space C1: a name
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects a name of letters, digits and `_`, found "4p"}}
  attn.space "4p" extent %n
  attn.return []
}
// -----
// attn.space C1: a new name
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects a new name, but `kv` is an index space already}}
  attn.space "kv" extent %n
  attn.return []
}
// -----
// attn.space C1: a name of its own
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "p" extent %n
  // expected-error@below {{'attn.space' op expects a new name, but `p` is an index space already}}
  attn.space "p" extent %n
  attn.return []
}
// -----
// attn.space C2: blocks of something
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects blocks of an index space that is declared before, found "keys"}}
  attn.space "p" of "keys" extent %n
  attn.return []
}
// -----
// attn.space C2: not of themselves
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects blocks of an index space that is declared before, found "p"}}
  attn.space "p" of "p" extent %n
  attn.return []
}
// -----
// attn.space C2: declared before
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects blocks of an index space that is declared before, found "w"}}
  attn.space "p" of "w" extent %n
  attn.space "w" of "p" extent %n
  attn.return []
}
// -----
// attn.space C3: slots do not overlap
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects `stride` and `full` with blocks of another space only}}
  attn.space "p" extent %n stride %n
  attn.return []
}
// -----
// attn.space C3: slots are always full
attn.variant @v {
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.space' op expects `stride` and `full` with blocks of another space only}}
  attn.space "p" extent %n full
  attn.return []
}
// -----
// attn.space C3: blocks have an extent
attn.variant @v {
  // expected-error@below {{'attn.space' op expects blocks to have an extent}}
  attn.space "p" of "kv"
  attn.return []
}
// -----
// attn.space C4
"test.region"() ({
  // expected-error@below {{'attn.space' op expects to stand in the body of a variant}}
  attn.space "p"
}) : () -> ()
// -----
// attn.compute C1: named axes
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects a result over index spaces, found '!attn.tensor<[4], f32>'}}
  %x = attn.compute (%i: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[4], f32>
  attn.return []
}
// -----
// attn.compute C1: known axes
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects a result over index spaces, found '!attn.tensor<[p], f32>'}}
  %x = attn.compute (%i: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[p], f32>
  attn.return []
}
// -----
// attn.compute C1: an argument for each
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects arguments ('i32', 'i32') of the element region, found ('i32')}}
  %x = attn.compute (%b: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
  } : !attn.tensor<[b, h], f32>
  attn.return []
}
// -----
// attn.compute C1: indices
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects arguments ('i32') of the element region, found ('f32')}}
  %x = attn.compute (%b: f32) {
    attn.yield %b : f32
  } : !attn.tensor<[b], f32>
  attn.return []
}
// -----
// attn.compute C2: an element
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects the element region to yield 'f32', found 'i32'}}
  %x = attn.compute (%b: i32) {
    // expected-note@below {{yielded here}}
    attn.yield %b : i32
  } : !attn.tensor<[b], f32>
  attn.return []
}
// -----
// attn.compute C2: the operand dtype is f32 here
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects the element region to yield 'f32', found 'i32'}}
  %x = attn.compute (%b: i32) {
    // expected-note@below {{yielded here}}
    attn.yield %b : i32
  } : !attn.tensor<[b]>
  attn.return []
}
// -----
// attn.compute C2: one element
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects the element region to yield 'i32', found 'i32', 'i32'}}
  %x = attn.compute (%b: i32) {
    // expected-note@below {{yielded here}}
    attn.yield %b, %b : i32, i32
  } : !attn.tensor<[b], i32>
  attn.return []
}
// -----
// attn.compute C2: its end
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects the element region to end with attn.yield}}
  %x = attn.compute (%b: i32) {
    "test.end"() : () -> ()
  } : !attn.tensor<[b], i32>
  attn.return []
}
// -----
// attn.compute C3
attn.variant @v {
  // expected-error@below {{'attn.compute' op expects scalar arithmetic, attn.read, attn.position, attn.size, attn.reduce and attn.uniform in the element region, found `test.op`}}
  %x = attn.compute (%b: i32) {
    // expected-note@below {{found here}}
    %k = "test.op"() : () -> i32
    attn.yield %k : i32
  } : !attn.tensor<[b], i32>
  attn.return []
}
// -----
// attn.compute C3: no stage within
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b], f32>
  // expected-error@below {{'attn.compute' op expects scalar arithmetic, attn.read, attn.position, attn.size, attn.reduce and attn.uniform in the element region, found `attn.rank`}}
  %x = attn.compute (%b: i32) {
    // expected-note@below {{found here}}
    %k = attn.rank %r over "b" : !attn.tensor<[b], f32> -> !attn.tensor<[b], i32>
    attn.yield %b : i32
  } : !attn.tensor<[b], i32>
  attn.return []
}
// -----
// !attn.tensor: names of axes
attn.variant @v {
  // expected-error@below {{expects an axis to have a name, found ""}}
  %x = attn.input "x" : !attn.tensor<[h, ""], f32>
  attn.return []
}

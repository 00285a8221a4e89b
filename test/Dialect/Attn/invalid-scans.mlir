// RUN: attnc-opt %s --split-input-file --verify-diagnostics
// One case for each constraint of scans and triangular systems.

// attn.scan C1
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects rows over an axis of the tensors, found "q" and '!attn.tensor<[b, kv], f32>'}}
  %p = attn.scan over "q" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    %r = arith.mulf %a, %c : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C1: the same axes
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %y = attn.input "y" : !attn.tensor<[kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects tensors over the same axes, found '!attn.tensor<[b, kv], f32>' and '!attn.tensor<[kv], f32>'}}
  %p:2 = attn.scan over "kv" (%x, %y : !attn.tensor<[b, kv], f32>, !attn.tensor<[kv], f32>) from (%one, %one : f32, f32) combine(%a: f32, %a2: f32, %c: f32, %c2: f32) {
    attn.yield %a, %c : f32, f32
  } : !attn.tensor<[b, kv], f32>, !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C1: numbers
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], i1>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects tensors of numbers, found '!attn.tensor<[b, kv], i1>'}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], i1>) from (%one : f32) combine(%a: f32, %c: f32) {
    %r = arith.mulf %a, %c : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C2
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects an identity and a result for each of 1 tensors, found 2 and 1}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one, %one : f32, f32) combine(%a: f32, %c: f32) {
    %r = arith.mulf %a, %c : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C2: identities
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], i32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects an identity of type 'i32', found 'f32'}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], i32>) from (%one : f32) combine(%a: f32, %c: f32) {
    %r = arith.mulf %a, %c : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, kv], i32>
  attn.return []
}
// -----

// attn.scan C2: results
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects a result of type '!attn.tensor<[b, kv], f32>', found '!attn.tensor<[b, kv], f16>'}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    %r = arith.mulf %a, %c : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, kv], f16>
  attn.return []
}
// -----

// attn.scan C3
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects arguments ('f32', 'f32') of the combine region, found ('f32')}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32) {
    attn.yield %a : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C3: results
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects the combine region to yield 'f32', found 'f32', 'f32'}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    // expected-note@below {{yielded here}}
    attn.yield %a, %c : f32, f32
  } : !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C4
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects scalar arithmetic that decides nothing by reals in the combine region, found `arith.cmpf`}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    // expected-note@below {{found here}}
    %k = arith.cmpf olt, %a, %c : f32
    %r = arith.select %k, %a, %c : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C4: rounding
attn.variant @v {
  %x = attn.input "x" : !attn.tensor<[b, kv], f32>
  %one = arith.constant 1.0 : f32
  // expected-error@below {{'attn.scan' op expects scalar arithmetic that decides nothing by reals in the combine region, found `math.floor`}}
  %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
    // expected-note@below {{found here}}
    %r = math.floor %c : f32
    attn.yield %r : f32
  } : !attn.tensor<[b, kv], f32>
  attn.return []
}
// -----

// attn.scan C1: none
attn.variant @v {
  // expected-error@below {{'attn.scan' op expects at least one tensor}}
  "attn.scan"() <{space = "kv", operandSegmentSizes = array<i32: 0, 0>}> ({
    attn.yield
  }) : () -> ()
  attn.return []
}
// -----

// attn.solve C1
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[i, j], f32>
  %R = attn.input "R" : !attn.tensor<[i, e], f32>
  // expected-error@below {{'attn.solve' op expects two axes of the matrix as its rows and columns, found "i", "i" and '!attn.tensor<[i, j], f32>'}}
  %X = attn.solve %N, %R over "i" by "i" : !attn.tensor<[i, j], f32>, !attn.tensor<[i, e], f32> -> !attn.tensor<[i, e], f32>
  attn.return []
}
// -----

// attn.solve C1: the right side
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[i, j], f32>
  %R = attn.input "R" : !attn.tensor<[j, e], f32>
  // expected-error@below {{'attn.solve' op expects a right side over "i" and not over "j", found '!attn.tensor<[j, e], f32>'}}
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[i, j], f32>, !attn.tensor<[j, e], f32> -> !attn.tensor<[j, e], f32>
  attn.return []
}
// -----

// attn.solve C2
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
  %R = attn.input "R" : !attn.tensor<[i, e], f32>
  // expected-error@below {{'attn.solve' op expects the axes of the matrix beside its columns in the right side, found '!attn.tensor<[b, i, j], f32>' and '!attn.tensor<[i, e], f32>'}}
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[i, e], f32> -> !attn.tensor<[i, e], f32>
  attn.return []
}
// -----

// attn.solve C3
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[i, j], i32>
  %R = attn.input "R" : !attn.tensor<[i, e], f32>
  // expected-error@below {{'attn.solve' op expects tensors of reals, found '!attn.tensor<[i, j], i32>'}}
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[i, j], i32>, !attn.tensor<[i, e], f32> -> !attn.tensor<[i, e], f32>
  attn.return []
}
// -----

// attn.solve C3: the result
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[i, j], f32>
  %R = attn.input "R" : !attn.tensor<[i, e], f16>
  // expected-error@below {{'attn.solve' op expects a result of type '!attn.tensor<[i, e], f32>', found '!attn.tensor<[i, e], f16>'}}
  %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[i, j], f32>, !attn.tensor<[i, e], f16> -> !attn.tensor<[i, e], f16>
  attn.return []
}
// -----

// attn.invert C1
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  %N = attn.input "N" : !attn.tensor<[b, i, i], f32>
  // expected-error@below {{'attn.invert' op expects two axes of the matrix as its rows and columns, found "i", "i" and '!attn.tensor<[b, i, i], f32>'}}
  %X = attn.invert %N over "i" by "i" : !attn.tensor<[b, i, i], f32> -> !attn.tensor<[b, i, i], f32>
  attn.return []
}
// -----

// attn.invert C2
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[i, j], i32>
  // expected-error@below {{'attn.invert' op expects a matrix of reals, found '!attn.tensor<[i, j], i32>'}}
  %X = attn.invert %N over "i" by "j" : !attn.tensor<[i, j], i32> -> !attn.tensor<[i, j], f32>
  attn.return []
}
// -----

// attn.invert C2: the result
attn.variant @v {
  %n = arith.constant 4 : i32
  attn.space "i" extent %n
  attn.space "j" extent %n
  %N = attn.input "N" : !attn.tensor<[i, j], f32>
  // expected-error@below {{'attn.invert' op expects a result of type '!attn.tensor<[i, j], f32>', found '!attn.tensor<[j, i], f32>'}}
  %X = attn.invert %N over "i" by "j" : !attn.tensor<[i, j], f32> -> !attn.tensor<[j, i], f32>
  attn.return []
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

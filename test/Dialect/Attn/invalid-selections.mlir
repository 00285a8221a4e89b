// RUN: attnc-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
// Selections, merges and quantization: a case for each check of their labels.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// attn.select C1: an axis
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  // expected-error@below {{'attn.select' op expects rows over axes of the ranks, each once, found ["q"] and '!attn.tensor<[b, h, kv], f32>'}}
  %x = attn.select top %r, %n over ["q"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C1: each once
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  // expected-error@below {{'attn.select' op expects rows over axes of the ranks, each once, found ["kv", "kv"] and '!attn.tensor<[b, h, kv], f32>'}}
  %x = attn.select top %r, %n over ["kv", "kv"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C1: at least one
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  // expected-error@below {{'attn.select' op expects rows over at least one space}}
  %x = attn.select top %r, %n over [] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C2: reals
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], i32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  // expected-error@below {{'attn.select' op expects ranks of f32 and a result of type '!attn.tensor<[b, h, kv], i1>', found '!attn.tensor<[b, h, kv], i32>' and '!attn.tensor<[b, h, kv], i1>'}}
  %x = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, h, kv], i32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C2: a set
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  // expected-error@below {{'attn.select' op expects ranks of f32 and a result of type '!attn.tensor<[b, h, kv], i1>', found '!attn.tensor<[b, h, kv], f32>' and '!attn.tensor<[b, h, kv], f32>'}}
  %x = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], f32>
  attn.return []
}
// -----
// attn.select C2: the axes of the ranks
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  // expected-error@below {{'attn.select' op expects ranks of f32 and a result of type '!attn.tensor<[b, h, kv], i1>', found '!attn.tensor<[b, h, kv], f32>' and '!attn.tensor<[b, kv], i1>'}}
  %x = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, kv], i1>
  attn.return []
}
// -----
// attn.select C3: a number of entries
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], f32>
  // expected-error@below {{'attn.select' op expects the amount to be 'i32', found '!attn.tensor<[], f32>'}}
  %x = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], f32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C3: a share
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  // expected-error@below {{'attn.select' op expects the amount to be 'f32', found '!attn.tensor<[], i32>'}}
  %x = attn.select cover_inclusive %r, %n over ["kv"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C3: the lower limit
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], f32>
  %l = attn.input "l" : !attn.tensor<[], f32>
  // expected-error@below {{'attn.select' op expects the lower limit to be 'i32', found '!attn.tensor<[], f32>'}}
  %x = attn.select cover_exclusive %r, %n over ["kv"] at_least %l : !attn.tensor<[], f32> : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], f32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C3: the upper limit
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], f32>
  %m = attn.input "m" : !attn.tensor<[], f32>
  // expected-error@below {{'attn.select' op expects the upper limit to be 'i32', found '!attn.tensor<[], f32>'}}
  %x = attn.select cover_exclusive %r, %n over ["kv"] at_most %m : !attn.tensor<[], f32> : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], f32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C4: not over the rows
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[kv], i32>
  // expected-error@below {{'attn.select' op expects the amount over axes of the ranks beside the rows', found '!attn.tensor<[kv], i32>'}}
  %x = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[kv], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C4: axes of the ranks
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[q], i32>
  // expected-error@below {{'attn.select' op expects the amount over axes of the ranks beside the rows', found '!attn.tensor<[q], i32>'}}
  %x = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[q], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C4: the lower limit
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  %l = attn.input "l" : !attn.tensor<[kv], i32>
  // expected-error@below {{'attn.select' op expects the lower limit over axes of the ranks beside the rows', found '!attn.tensor<[kv], i32>'}}
  %x = attn.select top %r, %n over ["kv"] at_least %l : !attn.tensor<[kv], i32> : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.select C4: the upper limit
attn.variant @v {
  %r = attn.input "r" : !attn.tensor<[b, h, kv], f32>
  %n = attn.input "n" : !attn.tensor<[], i32>
  %m = attn.input "m" : !attn.tensor<[q], i32>
  // expected-error@below {{'attn.select' op expects the upper limit over axes of the ranks beside the rows', found '!attn.tensor<[q], i32>'}}
  %x = attn.select top %r, %n over ["kv"] at_most %m : !attn.tensor<[q], i32> : !attn.tensor<[b, h, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, kv], i1>
  attn.return []
}
// -----
// attn.merge C1
attn.variant @v {
  %o0 = attn.input "o0" : !attn.tensor<[b, h, q, e], f32>
  %l0 = attn.input "l0" : !attn.tensor<[b, h, q], f32>
  // expected-error@below {{'attn.merge' op expects at least two branches, found 1}}
  %out, %lse = attn.merge(%o0)(%l0) : (!attn.tensor<[b, h, q, e], f32>), (!attn.tensor<[b, h, q], f32>)
      -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.merge C2: axes of an output
attn.variant @v {
  %o0 = attn.input "o0" : !attn.tensor<[b, h, q, e], f32>
  %o1 = attn.input "o1" : !attn.tensor<[b, g, q, e], f32>
  %l0 = attn.input "l0" : !attn.tensor<[b, h, q], f32>
  %l1 = attn.input "l1" : !attn.tensor<[b, h, q], f32>
  // expected-error@below {{'attn.merge' op expects outputs over the axes of the result '!attn.tensor<[b, h, q, e], f32>', found '!attn.tensor<[b, g, q, e], f32>'}}
  %out, %lse = attn.merge(%o0, %o1)(%l0, %l1) : (!attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, g, q, e], f32>), (!attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q], f32>)
      -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.merge C2: axes of a log-sum-exp
attn.variant @v {
  %o0 = attn.input "o0" : !attn.tensor<[b, h, q, e], f32>
  %o1 = attn.input "o1" : !attn.tensor<[b, h, q, e], f32>
  %l0 = attn.input "l0" : !attn.tensor<[b, h, q], f32>
  %l1 = attn.input "l1" : !attn.tensor<[b, h], f32>
  // expected-error@below {{'attn.merge' op expects log-sum-exps of type '!attn.tensor<[b, h, q], f32>', found '!attn.tensor<[b, h], f32>'}}
  %out, %lse = attn.merge(%o0, %o1)(%l0, %l1) : (!attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q, e], f32>), (!attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h], f32>)
      -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.merge C2: element of a log-sum-exp
attn.variant @v {
  %o0 = attn.input "o0" : !attn.tensor<[b, h, q, e], f32>
  %o1 = attn.input "o1" : !attn.tensor<[b, h, q, e], f32>
  %l0 = attn.input "l0" : !attn.tensor<[b, h, q], f32>
  %l1 = attn.input "l1" : !attn.tensor<[b, h, q]>
  // expected-error@below {{'attn.merge' op expects log-sum-exps of type '!attn.tensor<[b, h, q], f32>', found '!attn.tensor<[b, h, q]>'}}
  %out, %lse = attn.merge(%o0, %o1)(%l0, %l1) : (!attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q, e], f32>), (!attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q]>)
      -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q], f32>
  attn.return []
}
// -----
// attn.merge C2: the result's log-sum-exp
attn.variant @v {
  %o0 = attn.input "o0" : !attn.tensor<[b, h, q, e], f32>
  %o1 = attn.input "o1" : !attn.tensor<[b, h, q, e], f32>
  %l0 = attn.input "l0" : !attn.tensor<[b, h, q], f32>
  %l1 = attn.input "l1" : !attn.tensor<[b, h, q], f32>
  // expected-error@below {{'attn.merge' op expects an lse of type '!attn.tensor<[b, h, q], f32>', found '!attn.tensor<[b, h, q]>'}}
  %out, %lse = attn.merge(%o0, %o1)(%l0, %l1) : (!attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q, e], f32>), (!attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q], f32>)
      -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q]>
  attn.return []
}
// -----
// attn.merge C2: a dimension of the output
attn.variant @v {
  %o = attn.input "o" : !attn.tensor<[], f32>
  // expected-error@below {{'attn.merge' op expects outputs with a dimension, found '!attn.tensor<[], f32>'}}
  %out, %lse = attn.merge(%o, %o)(%o, %o) : (!attn.tensor<[], f32>, !attn.tensor<[], f32>), (!attn.tensor<[], f32>, !attn.tensor<[], f32>)
      -> !attn.tensor<[], f32>, !attn.tensor<[], f32>
  attn.return []
}
// -----
// attn.quantize C1: an index for each axis
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects arguments ('i32', 'i32', 'i32', 'i32') of the group region, found ('i32')}}
  %x = attn.quantize %K as int8
    group(%b: i32) {
    attn.yield %b : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C1: ints
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects the group region to yield ints}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C1: the smooth region's arguments
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects arguments ('i32', 'i32', 'i32', 'i32') of the smooth region, found ('i32')}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    }
    smooth(%sd: i32) {
    attn.yield %sd : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C1: the smooth region's ints
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects the smooth region to yield ints}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    }
    smooth(%sb: i32, %sg: i32, %sk: i32, %sd: i32) {
    %c = arith.constant 0.0 : f32
    attn.yield %c : f32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C1: its end
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects the group region to end with attn.yield}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    "test.end"() : () -> ()
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C2: reals
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d], i32>
  // expected-error@below {{'attn.quantize' op expects reals and a result of type '!attn.tensor<[b, g, kv, d], f32>', found '!attn.tensor<[b, g, kv, d], i32>' and '!attn.tensor<[b, g, kv, d], f32>'}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    } : !attn.tensor<[b, g, kv, d], i32> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C2: the result
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects reals and a result of type '!attn.tensor<[b, g, kv, d], f32>', found '!attn.tensor<[b, g, kv, d]>' and '!attn.tensor<[b, g, kv, d]>'}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d]>
  attn.return []
}
// -----
// attn.quantize C2: the result's axes
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects reals and a result of type '!attn.tensor<[b, g, kv, d], f32>', found '!attn.tensor<[b, g, kv, d]>' and '!attn.tensor<[b, g, kv], f32>'}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv], f32>
  attn.return []
}
// -----
// attn.quantize C3
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects an int format with `asymmetric`, found f8E5M2}}
  %x = attn.quantize %K as f8E5M2 asymmetric
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C4: a scale
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects a group for int4}}
  %x = attn.quantize %K as int4 : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C4: no scale
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects no group for bf16}}
  %x = attn.quantize %K as bf16
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C5
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects scalar arithmetic, attn.read, attn.position, attn.size, attn.reduce and attn.uniform in the group region, found `test.op`}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    // expected-note@below {{found here}}
    %k = "test.op"() : () -> i32
    attn.yield %k : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}
// -----
// attn.quantize C5: the smooth region
attn.variant @v {
  %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
  // expected-error@below {{'attn.quantize' op expects scalar arithmetic, attn.read, attn.position, attn.size, attn.reduce and attn.uniform in the smooth region, found `test.op`}}
  %x = attn.quantize %K as int8
    group(%b: i32, %g: i32, %kv: i32, %d: i32) {
    attn.yield %b : i32
    }
    smooth(%sb: i32, %sg: i32, %sk: i32, %sd: i32) {
    // expected-note@below {{found here}}
    %k = "test.op"() : () -> i32
    attn.yield %k : i32
    } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
  attn.return []
}

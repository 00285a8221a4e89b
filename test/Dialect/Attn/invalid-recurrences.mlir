// RUN: attnc-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect
// Recurrences and gradients: a case for each check of their labels.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// attn.recur C1: time is no batch space
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects batch spaces and a time space that differ, found ["b", "t"] and "t"}}
  %r0 = attn.recur over "t" for ["b", "t"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C1: each once
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects batch spaces and a time space that differ, found ["b", "b"] and "t"}}
  %r0 = attn.recur over "t" for ["b", "b"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C1: a known time
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects known index spaces, found "steps"}}
  %r0 = attn.recur over "steps" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C1: known batch spaces
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects known index spaces, found "heads"}}
  %r0 = attn.recur over "t" for ["b", "heads"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: an argument for each
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects 4 arguments of the body (batch indices, the step, the states), found 3}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: the states twice
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.recur' op expects 5 arguments of the body (batch indices, the step, the states twice), found 4}}
  %r0 = attn.recur over "t" for ["b", "h"] every %n from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: indices first
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects a state of f32 over spaces that are neither batch nor time, found 'i32'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%S: !attn.tensor<[d], f32>, %b: i32, %h: i32, %t: i32) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: an index is an int
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects arguments ('i32', 'i32', 'i32', '!attn.tensor<[d], f32>') of the body region, found ('f32', 'i32', 'i32', '!attn.tensor<[d], f32>')}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: f32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: a state of reals
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects a state of f32 over spaces that are neither batch nor time, found '!attn.tensor<[d], i32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], i32>) {
    attn.yield %S : !attn.tensor<[d], i32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: a state is not over time
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects a state of f32 over spaces that are neither batch nor time, found '!attn.tensor<[t], f32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[t], f32>) {
    attn.yield %S : !attn.tensor<[t], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: a state is not over the batch
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects a state of f32 over spaces that are neither batch nor time, found '!attn.tensor<[h], f32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[h], f32>) {
    attn.yield %S : !attn.tensor<[h], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: the start of the group
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  %n = arith.constant 4 : i32
  // expected-error@below {{'attn.recur' op expects a state at the start of the group of type '!attn.tensor<[d], f32>', found '!attn.tensor<[e], f32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] every %n from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>, %S0: !attn.tensor<[e], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C3: axes of an initial value
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[e], f32>
  // expected-error@below {{'attn.recur' op expects an initial value over batch spaces and the axes of '!attn.tensor<[d], f32>', found '!attn.tensor<[e], f32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[e], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C3: an initial value at each time
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[t, d], f32>
  // expected-error@below {{'attn.recur' op expects an initial value over batch spaces and the axes of '!attn.tensor<[d], f32>', found '!attn.tensor<[t, d], f32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[t, d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C3: reals
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], i32>
  // expected-error@below {{'attn.recur' op expects an initial value of reals, found '!attn.tensor<[d], i32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], i32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C4: the new states
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects the body to yield 1 tensors, the last 1 of them the new states, found 2}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S, %S : !attn.tensor<[d], f32>, !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C4: a tensor
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects the body to yield a tensor of the state's type, found 'i32'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %t : i32
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C4: the state's type
attn.variant @v {
  %X = attn.input "X" : !attn.tensor<[e], f32>
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects the body to yield a tensor of the state's type, found '!attn.tensor<[e], f32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %X : !attn.tensor<[e], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C4: an output is a tensor
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects the body to yield a tensor, found 'i32'}}
  %r0, %r1 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %t, %S : i32, !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, t], f32>, !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C5: a last state
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects result 0 of type '!attn.tensor<[b, h, d], f32>', found '!attn.tensor<[b, d], f32>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, d], f32>
  attn.return []
}
// -----
// attn.recur C5: the last state is f32
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects result 0 of type '!attn.tensor<[b, h, d], f32>', found '!attn.tensor<[b, h, d]>'}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d]>
  attn.return []
}
// -----
// attn.recur C5: an output at each time
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects result 0 of type '!attn.tensor<[b, h, t, d], f32>', found '!attn.tensor<[b, h, d], f32>'}}
  %r0, %r1 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    attn.yield %S, %S : !attn.tensor<[d], f32>, !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>, !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C6: no attention within
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects stages without state of their own in the body, found `attn.input`}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    // expected-note@below {{found here}}
    %x = attn.input "x" : !attn.tensor<[d], f32>
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C6: no other op
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  // expected-error@below {{'attn.recur' op expects stages without state of their own in the body, found `test.op`}}
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    // expected-note@below {{found here}}
    %x = "test.op"() : () -> i32
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.recur C2: its end
attn.variant @v {
  // expected-error@below {{'attn.recur' op expects the body region to end with attn.yield}}
  attn.recur over "t" for [] from () body(%t: i32) {
    "test.end"() : () -> ()
  }
  attn.return []
}
// -----
// attn.grad C1: reals
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    %L = attn.compute () {
      %c = arith.constant 0 : i32
      attn.yield %c : i32
    } : !attn.tensor<[], i32>
    // expected-error@below {{'attn.grad' op expects a loss that is one f32, found '!attn.tensor<[], i32>'}}
    %x = attn.grad %L, %S : !attn.tensor<[], i32>, !attn.tensor<[d], f32>
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.grad C1: one number
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    %L = attn.compute (%d: i32) {
      %c = arith.constant 0.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[d], f32>
    // expected-error@below {{'attn.grad' op expects a loss that is one f32, found '!attn.tensor<[d], f32>'}}
    %x = attn.grad %L, %S : !attn.tensor<[d], f32>, !attn.tensor<[d], f32>
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.grad C2: an input is no state
attn.variant @v {
  %X = attn.input "X" : !attn.tensor<[d], f32>
  %i = attn.input "i" : !attn.tensor<[d], f32>
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    %L = attn.compute () {
      %c = arith.constant 0.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[], f32>
    // expected-error@below {{'attn.grad' op expects the state to be an argument of attn.recur}}
    %x = attn.grad %L, %X : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}
// -----
// attn.grad C2: a new value is no argument
attn.variant @v {
  %i = attn.input "i" : !attn.tensor<[d], f32>
  %r0 = attn.recur over "t" for ["b", "h"] from (%i : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d], f32>) {
    %L = attn.compute () {
      %c = arith.constant 0.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[], f32>
    %Y = attn.compute (%d: i32) {
      %c = arith.constant 0.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[d], f32>
    // expected-error@below {{'attn.grad' op expects the state to be an argument of attn.recur}}
    %x = attn.grad %L, %Y : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %S : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, h, d], f32>
  attn.return []
}

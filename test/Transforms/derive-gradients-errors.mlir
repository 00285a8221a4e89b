// RUN: attnc-opt %s --attn-derive-gradients --split-input-file --verify-diagnostics

attn.variant @softmax {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %final = attn.recur over "t" for [] from (%zero : !attn.tensor<[d], f32>) body(%t: i32, %W: !attn.tensor<[d], f32>) {
    // expected-note@below {{the loss depends on the state through this stage}}
    %p = attn.softmax %W over "d" : !attn.tensor<[d], f32> -> !attn.tensor<[d], f32>
    %loss = attn.compute () {
      %sum = attn.reduce sum over "d" (%d: i32) {
        %w = attn.read %p[%d] : !attn.tensor<[d], f32> -> f32
        attn.yield %w : f32
      } : f32
      attn.yield %sum : f32
    } : !attn.tensor<[], f32>
    // expected-error@below {{this gradient goes through `attn.softmax`, which has no derivative here}}
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %g : !attn.tensor<[d], f32>
  } : !attn.tensor<[d], f32>
  attn.return ["W"](%final : !attn.tensor<[d], f32>)
}
// -----

attn.variant @quantized {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %final = attn.recur over "t" for [] from (%zero : !attn.tensor<[d], f32>) body(%t: i32, %W: !attn.tensor<[d], f32>) {
    // expected-note@below {{the loss depends on the state through this stage}}
    %p = attn.quantize %W as f16 : !attn.tensor<[d], f32> -> !attn.tensor<[d], f32>
    %loss = attn.compute () {
      %sum = attn.reduce sum over "d" (%d: i32) {
        %w = attn.read %p[%d] : !attn.tensor<[d], f32> -> f32
        attn.yield %w : f32
      } : f32
      attn.yield %sum : f32
    } : !attn.tensor<[], f32>
    // expected-error@below {{this gradient goes through `attn.quantize`, which has no derivative here}}
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %g : !attn.tensor<[d], f32>
  } : !attn.tensor<[d], f32>
  attn.return ["W"](%final : !attn.tensor<[d], f32>)
}
// -----

attn.variant @largest {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %final = attn.recur over "t" for [] from (%zero : !attn.tensor<[d], f32>) body(%t: i32, %W: !attn.tensor<[d], f32>) {
    %loss = attn.compute () {
      // expected-note@below {{`max` is used here}}
      %max = attn.reduce max over "d" (%d: i32) {
        %w = attn.read %W[%d] : !attn.tensor<[d], f32> -> f32
        attn.yield %w : f32
      } : f32
      attn.yield %max : f32
    } : !attn.tensor<[], f32>
    // expected-error@below {{this gradient goes through a reduction that is neither sum nor mean}}
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %g : !attn.tensor<[d], f32>
  } : !attn.tensor<[d], f32>
  attn.return ["W"](%final : !attn.tensor<[d], f32>)
}
// -----

attn.variant @arithmetic {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %final = attn.recur over "t" for [] from (%zero : !attn.tensor<[d], f32>) body(%t: i32, %W: !attn.tensor<[d], f32>) {
    %loss = attn.compute () {
      %c = arith.constant 0 : i32
      %w = attn.read %W[%c] : !attn.tensor<[d], f32> -> f32
      %x = math.atan %w : f32
      attn.yield %x : f32
    } : !attn.tensor<[], f32>
    // expected-error@below {{this gradient goes through arithmetic that has no derivative here}}
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %g : !attn.tensor<[d], f32>
  } : !attn.tensor<[d], f32>
  attn.return ["W"](%final : !attn.tensor<[d], f32>)
}
// -----

attn.variant @constant {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %final = attn.recur over "t" for [] from (%zero : !attn.tensor<[d], f32>) body(%t: i32, %W: !attn.tensor<[d], f32>) {
    %loss = attn.compute () {
      %c = arith.constant 4.0 : f32
      attn.yield %c : f32
    } : !attn.tensor<[], f32>
    // expected-error@below {{this gradient is 0: what is differentiated does not read the state}}
    // expected-note@below {{`start(W)` is the state at the start of the group; `W` is its current value}}
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %g : !attn.tensor<[d], f32>
  } : !attn.tensor<[d], f32>
  attn.return ["W"](%final : !attn.tensor<[d], f32>)
}

// -----

attn.variant @bounded {
  %zero = attn.input "zero" : !attn.tensor<[d], f32>
  %end = arith.constant 3 : i32
  %final = attn.recur over "t" for [] from (%zero : !attn.tensor<[d], f32>) body(%t: i32, %W: !attn.tensor<[d], f32>) {
    %loss = attn.compute () {
      // expected-error@below {{'attn.reduce' op with `from` or `to` has no derivative here: derive gradients before attn-solve-conditions}}
      %sum = attn.reduce sum over "d" to %end (%d: i32) {
        %w = attn.read %W[%d] : !attn.tensor<[d], f32> -> f32
        attn.yield %w : f32
      } : f32
      attn.yield %sum : f32
    } : !attn.tensor<[], f32>
    %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
    attn.yield %g : !attn.tensor<[d], f32>
  } : !attn.tensor<[d], f32>
  attn.return ["W"](%final : !attn.tensor<[d], f32>)
}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

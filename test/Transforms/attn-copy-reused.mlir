// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: attnc-opt %s --attn-copy-reused | FileCheck %s
// RUN: attnc-opt %s --attn-copy-reused | attnc-opt --attn-copy-reused | FileCheck %s
// Outputs that reuse an input: a state is written in place, of all else there is a copy that is made last.

// The state begins as what it reuses, and nothing else reads that.
// CHECK-LABEL: attn.variant @state
// CHECK-NOT: attn.last
// CHECK: attn.return ["S"](%[[S:.*]] : {{.*}}) {reuses = ["S0"]}
attn.variant @state {
  %S0 = attn.input "S0" : !attn.tensor<[b, d], f32>
  %x = attn.input "x" : !attn.tensor<[b, t, d], f32>
  %S = attn.recur over "t" for ["b"] from (%S0 : !attn.tensor<[b, d], f32>) body(%b: i32, %t: i32, %state: !attn.tensor<[d], f32>) {
    %next = attn.compute (%d: i32) {
      %s = attn.read %state[%d] : !attn.tensor<[d], f32> -> f32
      %a = attn.read %x[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      %sum = arith.addf %s, %a : f32
      attn.yield %sum : f32
    } : !attn.tensor<[d], f32>
    attn.yield %next : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, d], f32>
  attn.return ["S"](%S : !attn.tensor<[b, d], f32>) {reuses = ["S0"]}
}

// Another stage reads it too.
// CHECK-LABEL: attn.variant @read_elsewhere
// CHECK: %[[S:.*]] = attn.recur
// CHECK: %[[TWICE:.*]] = attn.compute (%{{.*}}: i32, %{{.*}}: i32)
// CHECK: %[[COPY:.*]] = attn.compute (%{{.*}}: i32, %{{.*}}: i32)
// CHECK-NEXT: attn.read %[[S]][%{{.*}}, %{{.*}}]
// CHECK: {attn.last}
// CHECK: attn.return ["S", "twice"](%[[COPY]], %[[TWICE]] : {{.*}}) {reuses = ["S0", ""]}
attn.variant @read_elsewhere {
  %S0 = attn.input "S0" : !attn.tensor<[b, d], f32>
  %x = attn.input "x" : !attn.tensor<[b, t, d], f32>
  %S = attn.recur over "t" for ["b"] from (%S0 : !attn.tensor<[b, d], f32>) body(%b: i32, %t: i32, %state: !attn.tensor<[d], f32>) {
    %next = attn.compute (%d: i32) {
      %a = attn.read %x[%b, %t, %d] : !attn.tensor<[b, t, d], f32> -> f32
      attn.yield %a : f32
    } : !attn.tensor<[d], f32>
    attn.yield %next : !attn.tensor<[d], f32>
  } : !attn.tensor<[b, d], f32>
  %twice = attn.compute (%b: i32, %d: i32) {
    %s = attn.read %S0[%b, %d] : !attn.tensor<[b, d], f32> -> f32
    %sum = arith.addf %s, %s : f32
    attn.yield %sum : f32
  } : !attn.tensor<[b, d], f32>
  attn.return ["S", "twice"](%S, %twice : !attn.tensor<[b, d], f32>, !attn.tensor<[b, d], f32>) {reuses = ["S0", ""]}
}

// Two outputs that swap their inputs are read before either is written. An input that nothing reads needs nothing.
// CHECK-LABEL: attn.variant @swapped
// CHECK: %[[X:.*]] = attn.input "x"
// CHECK: %[[Y:.*]] = attn.input "y"
// CHECK: attn.read %[[Y]]
// CHECK-NOT: attn.last
// CHECK: attn.read %[[X]]
// CHECK-NOT: attn.read %[[X]]
// CHECK: attn.last
// CHECK-NOT: attn.read %[[X]]
// CHECK: attn.last
// CHECK-NOT: attn.last
// CHECK: attn.return ["a", "b", "c"]
attn.variant @swapped {
  %x = attn.input "x" : !attn.tensor<[b], f32>
  %y = attn.input "y" : !attn.tensor<[b], f32>
  %c = attn.compute (%b: i32) {
    %zero = arith.constant 0.0 : f32
    attn.yield %zero : f32
  } : !attn.tensor<[b], f32>
  attn.return ["a", "b", "c"](%y, %x, %c : !attn.tensor<[b], f32>, !attn.tensor<[b], f32>, !attn.tensor<[b], f32>) {reuses = ["x", "y", "gone"]}
}

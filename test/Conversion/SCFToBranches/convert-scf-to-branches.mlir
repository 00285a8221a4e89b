// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops and conditions become blocks in the order of the text, whatever the order of the rewrites:
// two in a row, one in another, and a `while`, whose regions must be whole when it is rewritten.
// The pass cannot fail on ops that its producers make.
// RUN: attnc-opt --convert-scf-to-branches %s | FileCheck %s

// CHECK-LABEL: llvm.func @in_a_row
// CHECK-SAME: (%[[C:.*]]: i1, %[[X:.*]]: i32)
llvm.func @in_a_row(%c: i1, %x: i32) -> i32 {
  // CHECK: cf.cond_br %[[C]], ^[[THEN:.*]], ^[[ELSE:.*]]
  // CHECK: ^[[THEN]]:
  // CHECK: %[[TWICE:.*]] = arith.addi %[[X]], %[[X]]
  // CHECK: cf.br ^[[JOIN:.*]](%[[TWICE]] : i32)
  // CHECK: ^[[ELSE]]:
  // CHECK: cf.br ^[[JOIN]](%[[X]] : i32)
  // CHECK: ^[[JOIN]](%[[A:.*]]: i32):
  %a = scf.if %c -> i32 {
    %twice = arith.addi %x, %x : i32
    scf.yield %twice : i32
  } else {
    scf.yield %x : i32
  }
  // CHECK: cf.cond_br %[[C]], ^[[THEN2:.*]], ^[[ELSE2:.*]]
  // CHECK: %[[SQUARE:.*]] = arith.muli %[[A]], %[[A]]
  %b = scf.if %c -> i32 {
    %square = arith.muli %a, %a : i32
    scf.yield %square : i32
  } else {
    scf.yield %a : i32
  }
  // CHECK: ^{{.*}}(%[[B:.*]]: i32):
  // CHECK: llvm.return %[[B]]
  llvm.return %b : i32
}

// CHECK-LABEL: llvm.func @nested
// CHECK-SAME: (%[[C:.*]]: i1, %[[N:.*]]: i32)
llvm.func @nested(%c: i1, %n: i32) -> i32 {
  // CHECK: %[[ZERO:.*]] = arith.constant 0 : i32
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  // CHECK: cf.br ^[[HEAD:.*]](%[[ZERO]], %[[ZERO]] : i32, i32)
  // CHECK: ^[[HEAD]](%[[I:.*]]: i32, %[[SUM:.*]]: i32):
  // CHECK: %[[MORE:.*]] = arith.cmpi slt, %[[I]], %[[N]]
  // CHECK: cf.cond_br %[[MORE]], ^[[BODY:.*]], ^[[END:.*]]
  // CHECK: ^[[BODY]]:
  // CHECK: cf.cond_br %[[C]], ^[[ADD:.*]], ^[[KEEP:.*]]
  // CHECK: ^[[ADD]]:
  // CHECK: arith.addi %[[SUM]], %[[I]]
  // CHECK: ^[[NEXT:.*]](%[[NEW:.*]]: i32):
  // CHECK: %[[J:.*]] = arith.addi %[[I]]
  // CHECK: cf.br ^[[HEAD]](%[[J]], %[[NEW]] : i32, i32)
  // CHECK: ^[[END]]:
  // CHECK: llvm.return %[[SUM]]
  %r = scf.for %i = %zero to %n step %one iter_args(%sum = %zero) -> i32 : i32 {
    %new = scf.if %c -> i32 {
      %added = arith.addi %sum, %i : i32
      scf.yield %added : i32
    } else {
      scf.yield %sum : i32
    }
    scf.yield %new : i32
  }
  llvm.return %r : i32
}

// CHECK-LABEL: llvm.func @while
// CHECK-SAME: (%[[C:.*]]: i1, %[[N:.*]]: i32)
llvm.func @while(%c: i1, %n: i32) -> i32 {
  // CHECK-NOT: scf.
  // CHECK: cf.br ^[[BEFORE:.*]](%[[N]] : i32)
  // CHECK: ^[[BEFORE]](%[[I:.*]]: i32):
  // CHECK: cf.cond_br %{{.*}}, ^[[AFTER:.*]](%[[I]] : i32), ^[[DONE:.*]]
  // CHECK: ^[[AFTER]](%[[J:.*]]: i32):
  // CHECK: cf.cond_br %[[C]]
  // CHECK: cf.br ^[[BEFORE]]
  // CHECK: ^[[DONE]]:
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %r = scf.while (%i = %n) : (i32) -> i32 {
    %more = arith.cmpi sgt, %i, %zero : i32
    scf.condition(%more) %i : i32
  } do {
  ^bb0(%j: i32):
    %less = scf.if %c -> i32 {
      %minus = arith.subi %j, %one : i32
      scf.yield %minus : i32
    } else {
      scf.yield %zero : i32
    }
    scf.yield %less : i32
  }
  llvm.return %r : i32
}

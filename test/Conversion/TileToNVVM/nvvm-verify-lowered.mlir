// RUN: attnc-opt %s --split-input-file --verify-diagnostics --nvvm-verify-lowered
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// What phase nvvm has: nothing is reported.
llvm.func @lowered(%x: f32, %n: i32) -> f32 {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %y = scf.for %i = %zero to %n step %one iter_args(%a = %x) -> f32 : i32 {
    %e = math.exp2 %a : f32
    %z = math.ctlz %i : i32
    scf.yield %e : f32
  }
  llvm.return %y : f32
}

// -----

llvm.func @tile() -> i32 {
  // expected-error@below {{'tile.program_id' op remains in phase `nvvm`: expected llvm, nvvm, arith, math and scf}}
  %0 = tile.program_id 0
  llvm.return %0 : i32
}

// -----

llvm.func @library(%x: f32) -> f32 {
  // expected-error@below {{'math.tanh' op has no instruction in PTX: expand-math-for-ptx should express it by those that have}}
  %y = math.tanh %x : f32
  llvm.return %y : f32
}

// -----

llvm.func @division(%x: f32) -> f32 {
  // expected-error@below {{'arith.divf' op has no instruction in PTX}}
  %y = arith.divf %x, %x : f32
  llvm.return %y : f32
}

// -----

llvm.func @value(%c: i1, %a: i32) {
  %0 = llvm.mlir.zero : !llvm.ptr
  scf.if %c {
    // expected-error@below {{remains in phase `nvvm`}}
    %t = builtin.unrealized_conversion_cast %a : i32 to !tile.tile<16xf32>
  }
  llvm.return
}

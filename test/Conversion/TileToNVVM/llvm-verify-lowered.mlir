// RUN: attnc-opt %s --split-input-file --verify-diagnostics --llvm-verify-lowered
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

llvm.func @lowered() -> i32 {
  %0 = nvvm.read.ptx.sreg.tid.x : i32
  llvm.return %0 : i32
}

// -----

llvm.func @scalar(%x: i32) -> i32 {
  // expected-error@below {{'arith.addi' op remains in phase `llvm`: expected llvm and nvvm}}
  %0 = arith.addi %x, %x : i32
  llvm.return %0 : i32
}

// -----

llvm.func @cast(%x: i32) -> i64 {
  // expected-error@below {{'builtin.unrealized_conversion_cast' op remains in phase `llvm`}}
  %0 = builtin.unrealized_conversion_cast %x : i32 to i64
  llvm.return %0 : i64
}

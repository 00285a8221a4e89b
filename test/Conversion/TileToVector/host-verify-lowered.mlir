// RUN: attnc-opt %s --split-input-file --verify-diagnostics --host-verify-lowered
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) attributes {attnc.scratch_bytes = 0 : i64} {
  %0 = llvm.add %x, %y : i32
  llvm.return
}

// -----

llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) attributes {attnc.scratch_bytes = 0 : i64} {
  // expected-error@below {{'arith.addi' op remains in phase `llvm` of the host: expected llvm}}
  %0 = arith.addi %x, %y : i32
  llvm.return
}

// -----

llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) attributes {attnc.scratch_bytes = 0 : i64} {
  // expected-error@below {{'nvvm.read.ptx.sreg.tid.x' op remains in phase `llvm` of the host: expected llvm}}
  %0 = nvvm.read.ptx.sreg.tid.x : i32
  llvm.return
}

// -----

// expected-error@below {{'llvm.func' op does not say in `attnc.scratch_bytes` how much scratch memory it needs, in bytes}}
llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) attributes {attnc.scratch_bytes = -8 : i64} {
  llvm.return
}

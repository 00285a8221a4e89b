// RUN: attnc-opt %s --split-input-file --verify-diagnostics --host-verify-loops
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// What convert-tile-to-vector leaves, and a function of the C library that it calls.
llvm.func @expf(f32) -> f32
llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) attributes {attnc.scratch_bytes = 64 : i64} {
  %0 = arith.addi %x, %y : i32
  %1 = arith.index_cast %0 : i32 to index
  scf.for %i = %1 to %1 step %1 {
  }
  llvm.return
}

// -----

func.func private @other()
// expected-error@-1 {{'func.func' op remains in phase `vector-loops`: expected llvm, arith, math and scf}}

// -----

llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) attributes {attnc.scratch_bytes = 64 : i64} {
  %0 = llvm.mlir.constant(0.0 : f32) : f32
  // expected-error@below {{'tile.fill' op remains in phase `vector-loops`}}
  %1 = tile.fill %0 : f32 -> <16x16xf32>
  llvm.return
}

// -----

llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) attributes {attnc.scratch_bytes = 64 : i64} {
  %c = arith.constant true
  llvm.return
// A value of a tile type, in an op that may be there.
^unreachable(%1: !tile.tile<16xf32>):
  // expected-error@below {{'arith.select' op uses a value of type '!tile.tile<16xf32>' in phase `vector-loops`}}
  %2 = arith.select %c, %1, %1 : !tile.tile<16xf32>
  llvm.return
}

// -----

// expected-error@below {{'llvm.func' op is no kernel of phase `vector-loops`: expected the type '!llvm.func<void (ptr, i32, i32, i32, ptr)>', found '!llvm.func<void (ptr)>'}}
llvm.func @kernel(%slots: !llvm.ptr) {
  llvm.return
}

// -----

// expected-error@below {{'llvm.func' op does not say in `attnc.scratch_bytes` how much scratch memory it needs, in bytes}}
llvm.func @kernel(%slots: !llvm.ptr, %x: i32, %y: i32, %z: i32, %scratch: !llvm.ptr) {
  llvm.return
}

// RUN: attnc-opt %S/../../Inputs/causal.tiled.mlir --attnc-host-lowering=isa=avx512 | FileCheck %s
// The whole kernel reaches the LLVM dialect, with no call of the C library and no vector narrower than asked
// for.
// CHECK-LABEL: llvm.func @causal
// CHECK-SAME: passthrough = {{.*}}["prefer-vector-width", "512"], ["min-legal-vector-width", "512"]
// CHECK-NOT: {{tile|arith|scf|math|vector}}.{{[a-z]+}} %
// CHECK-NOT: llvm.intr.exp2
// CHECK-NOT: llvm.intr.log2
// CHECK: llvm.return
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

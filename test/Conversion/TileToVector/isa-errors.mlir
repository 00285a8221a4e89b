// RUN: not attnc-opt %s --convert-tile-to-vector=isa=sve 2>&1 | FileCheck %s
// CHECK: unknown host isa: expected native, generic, avx2, avx512, avx512bf16 or amx, found sve
module {}
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

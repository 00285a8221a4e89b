// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes that stay within a level: creation and registration.
#ifndef ATTNC_TRANSFORMS_PASSES_H
#define ATTNC_TRANSFORMS_PASSES_H

#include "attnc/Plan/Plan.h"
#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/Pass.h"

namespace attnc {

#define GEN_PASS_DECL
#include "attnc/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "attnc/Transforms/Passes.h.inc"

/// attn-specialize and attn-plan with options given in C++.
std::unique_ptr<mlir::Pass> createAttnSpecialize(const CompileOptions &options);
std::unique_ptr<mlir::Pass> createAttnPlan(const CompileOptions &options);

} // namespace attnc

#endif // ATTNC_TRANSFORMS_PASSES_H

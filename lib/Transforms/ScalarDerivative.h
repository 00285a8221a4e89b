// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Derivatives of straight-line scalar arithmetic.
#ifndef ATTNC_LIB_TRANSFORMS_SCALARDERIVATIVE_H
#define ATTNC_LIB_TRANSFORMS_SCALARDERIVATIVE_H

#include "dialects/Attn/Attn.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace attnc {

/// Emits d(value) / d(target), where both are of one block whose ops have been cloned: `mapping`
/// leads to the clones, which hold the numbers. Reads and reductions other than the target are
/// constants. Fails for an op that has no rule.
mlir::FailureOr<mlir::Value> deriveScalar(mlir::OpBuilder &builder, mlir::Value value,
                                          mlir::Value target, const mlir::IRMapping &mapping);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_SCALARDERIVATIVE_H

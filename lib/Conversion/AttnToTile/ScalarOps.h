// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What each scalar op of the language becomes in a kernel.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_SCALAROPS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_SCALAROPS_H

#include "IndexBounds.h"
#include "Parts.h"

namespace attnc {

/// Where a scalar op is emitted: its operands by the values of the variant, and the indices that
/// the code around it is at.
struct ScalarScope {
  KernelContext &context;
  mlir::IRMapping &values;
  llvm::ArrayRef<Index> indices;
  /// What is known of an index of the variant; null: nothing.
  llvm::function_ref<IndexBounds(mlir::Value)> bounds = nullptr;
};

/// Emits `op`, whose operands are in `scope.values`, at the current point, and gives its result.
/// Fails, with a diagnostic at its statement, on an op that the table has no entry for.
mlir::FailureOr<mlir::Value> lowerScalarOp(mlir::Operation *op, const ScalarScope &scope);

/// `value`, brought inside of axis `axis` of what `read` reads, unless it is known to be there: an
/// index of that very space is, or can only overrun; anything else is clamped on both sides.
mlir::FailureOr<mlir::Value> clampIndex(attn::ReadOp read, unsigned axis, mlir::Value value,
                                        const ScalarScope &scope);

/// The entry of attn.uniform.
mlir::FailureOr<mlir::Value> lowerUniform(mlir::Operation *op, const ScalarScope &scope);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_SCALAROPS_H

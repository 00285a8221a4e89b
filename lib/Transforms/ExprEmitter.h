// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes expressions (attnc/Analysis/ScalarExpr.h) as scalar code.
#ifndef ATTNC_LIB_TRANSFORMS_EXPREMITTER_H
#define ATTNC_LIB_TRANSFORMS_EXPREMITTER_H

#include "FormulaBuilder.h"
#include "attnc/Analysis/ScalarExpr.h"

namespace attnc {

/// What the leaves of expressions are in one region of scalar code, and what of them is written
/// there already. A copy serves a region within that one.
struct ExprBindings {
  llvm::SmallDenseMap<mlir::Value, mlir::Value, 8> leaves; ///< others stand for themselves
  llvm::DenseMap<Expr, mlir::Value> written;
};

/// Where the tensor of a read is.
struct TensorPlace {
  mlir::Value tensor;
  llvm::SmallVector<mlir::Value> leading; ///< indices before those of the read
};

/// Finds the place of a tensor for code with these bindings.
using TensorPlaces = llvm::function_ref<TensorPlace(mlir::Value tensor, ExprBindings &bindings)>;

/// Writes `expr` where `builder` is.
mlir::Value emitExpr(FormulaBuilder &builder, Expr expr, ExprBindings &bindings,
                     TensorPlaces places);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_EXPREMITTER_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elementary functions on f32 scalars and vectors as straight-line code.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_MATHEXPANSION_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_MATHEXPANSION_H

#include "Emitter.h"

namespace attnc {

/// 2^x, relative error below 2e-7. exp2(-inf) = 0, exp2(inf) = inf, NaN stays NaN.
mlir::Value emitExp2(Emitter &e, mlir::Value x);
/// e^x, with the same special values.
mlir::Value emitExp(Emitter &e, mlir::Value x);
/// log2(x) times `factor` (ln 2 gives the natural logarithm). log(0) = -inf, log(x < 0) = NaN.
mlir::Value emitLog2(Emitter &e, mlir::Value x, float factor);
mlir::Value emitTanh(Emitter &e, mlir::Value x);
/// What `op`, a sine or a cosine, is of x: relative error below 3e-7, NaN for what is not finite.
mlir::Value emitSine(Emitter &e, mlir::Operation *op, mlir::Value x);

/// lhs / rhs rounded to zero or, with `floor`, down, on i32 scalars and vectors; 0 if rhs is 0.
mlir::Value emitDivision(Emitter &e, mlir::Value lhs, mlir::Value rhs, bool floor);

/// The expansion of a math or arith op on `args`, which are all scalars or all vectors, or a null
/// value if this file has none and the op is to be kept.
mlir::Value expandOp(Emitter &e, mlir::Operation *op, llvm::ArrayRef<mlir::Value> args);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_MATHEXPANSION_H

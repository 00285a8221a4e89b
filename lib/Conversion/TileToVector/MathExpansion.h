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

/// The expansion of a math op (one f32 operand, already of vector or scalar type `x`), or a null value
/// if this file has none and the op is to be kept.
mlir::Value expandMath(Emitter &e, mlir::Operation *op, mlir::Value x);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_MATHEXPANSION_H

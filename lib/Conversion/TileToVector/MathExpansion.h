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
/// The sine of x, or its cosine: relative error below 3e-7, NaN for what is not finite.
mlir::Value emitSine(Emitter &e, mlir::Value x, bool cosine);
/// x^y, relative error below 2e-7, with the special values of C's powf.
mlir::Value emitPower(Emitter &e, mlir::Value x, mlir::Value y);

/// The largest integer that is not above x, the smallest that is not below it, and the nearest one,
/// even of two. Every CPU but the oldest has an instruction for each.
mlir::Value emitFloor(Emitter &e, mlir::Value x);
mlir::Value emitCeil(Emitter &e, mlir::Value x);
mlir::Value emitRoundEven(Emitter &e, mlir::Value x);

/// x = 2^exponent * rest with rest in [sqrt(1/2), sqrt(2)), for a positive number x. Both are f32.
struct PowerOf2AndRest {
  mlir::Value exponent, rest;
};
PowerOf2AndRest splitPowerOf2(Emitter &e, mlir::Value x);
/// 2^(whole + fraction) for an integral `whole` in [-300, 300] and a fraction in [-1/2, 1/2], with
/// the error of emitExp2.
mlir::Value emitExp2OfParts(Emitter &e, mlir::Value whole, mlir::Value fraction);

/// lhs / rhs rounded to zero or, with `floor`, down, on i32 scalars and vectors; 0 if rhs is 0.
mlir::Value emitDivision(Emitter &e, mlir::Value lhs, mlir::Value rhs, bool floor);

/// The expansion of a math or arith op on `args`, which are all scalars or all vectors, or a null
/// value if this file has none and the op is to be kept.
mlir::Value expandOp(Emitter &e, mlir::Operation *op, llvm::ArrayRef<mlir::Value> args);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_MATHEXPANSION_H

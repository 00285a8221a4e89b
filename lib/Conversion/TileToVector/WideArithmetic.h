// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic in f64 and i64 on as many lanes as an f32 value has, for the few steps of elementary
// functions that f32 is too narrow for.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_WIDEARITHMETIC_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_WIDEARITHMETIC_H

#include "Emitter.h"

namespace attnc {

/// Operands are f64, unless a function says otherwise.
class WideArithmetic {
public:
  /// Of values with the shape of `like`, a scalar or a vector.
  WideArithmetic(Emitter &e, mlir::Value like);

  mlir::Value constant(double value);
  /// f32 to f64, exactly.
  mlir::Value extend(mlir::Value x);
  /// f64 to f32.
  mlir::Value truncate(mlir::Value x);
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value scale(mlir::Value x, double y) { return mul(x, constant(y)); }
  /// x * y + z; rounded once where the CPU can.
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z);
  mlir::Value fma(mlir::Value x, double y, mlir::Value z) { return fma(x, constant(y), z); }
  /// The nearest integer, for |x| < 2^51: adding 1.5 * 2^52 leaves no places for a fraction.
  mlir::Value round(mlir::Value x);
  /// x within [low, high]; NaN stays NaN.
  mlir::Value clamp(mlir::Value x, double low, double high);

  /// An i64 constant.
  mlir::Value bits(uint64_t value);
  /// An i32 that is not negative to i64.
  mlir::Value extendBits(mlir::Value x);
  /// An i64, with its sign, to f64.
  mlir::Value fromInt(mlir::Value x);

  mlir::Type f64, i64; ///< of the shape

private:
  Emitter &e;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_WIDEARITHMETIC_H

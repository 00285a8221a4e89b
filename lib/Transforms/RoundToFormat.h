// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rounding to storage formats as scalar arithmetic that is exact in f32, so that it yields what
// attnc::reference::roundToFormat does in float64.
#ifndef ATTNC_LIB_TRANSFORMS_ROUNDTOFORMAT_H
#define ATTNC_LIB_TRANSFORMS_ROUNDTOFORMAT_H

#include "FormulaBuilder.h"

namespace attnc {

/// `x` (f32) rounded to a whole number (f32).
mlir::Value roundToWhole(FormulaBuilder &builder, mlir::Value x, attn::Rounding rounding);

/// `x` (f32) rounded to the nearest number (f32) of `format`; beyond the largest one, and at
/// infinity, to that. NaN stays NaN in a float format; in an int one, which has none, the largest
/// number stands for it.
mlir::Value roundToFormat(FormulaBuilder &builder, mlir::Value x, attn::Format format,
                          attn::Rounding rounding);

/// Whether a format's numbers are ints.
bool isIntFormat(attn::Format format);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_ROUNDTOFORMAT_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The factors of a product in scalar code of attn.
#ifndef ATTNC_ANALYSIS_FACTORS_H
#define ATTNC_ANALYSIS_FACTORS_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"

namespace attnc {

/// What `value` is the product of, taken apart at multiplications (`arith.mulf`) only, in order.
llvm::SmallVector<mlir::Value> factorsOf(mlir::Value value);

/// What `factor` is after it was rounded to 16 bits (`arith.extf` of `arith.truncf`); null if it
/// was not.
mlir::Value roundedFrom(mlir::Value factor);

/// What `factor` is after it was rounded to the sum of two numbers of 16 bits: itself rounded, and
/// what that leaves; null if it was not.
mlir::Value roundedTwiceFrom(mlir::Value factor);

/// The 16-bit type (f16, bf16) of a tensor of which `factor` is an element, or 0 where a condition
/// says so, or to which it was rounded; null if it is anything else. Such a factor is exact in that
/// type.
mlir::Type exactTypeOf(mlir::Value factor);

} // namespace attnc

#endif // ATTNC_ANALYSIS_FACTORS_H

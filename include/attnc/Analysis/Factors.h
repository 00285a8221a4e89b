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

/// The 16-bit type (f16, bf16) of a tensor of which `factor` is an element, or 0 where a condition
/// says so; null if it is anything else. Such a factor is exact in that type.
mlir::Type exactTypeOf(mlir::Value factor);

} // namespace attnc

#endif // ATTNC_ANALYSIS_FACTORS_H

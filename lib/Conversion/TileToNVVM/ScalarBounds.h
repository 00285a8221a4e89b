// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the code of a kernel says about a scalar (i32) of it: where a tile starts, and whether all
// of it is inside of a limit.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_SCALARBOUNDS_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_SCALARBOUNDS_H

#include "mlir/IR/Value.h"
#include <cstdint>

namespace attnc {

/// A number that `scalar` is known to be a multiple of; 0 for 0.
int64_t divisorOf(mlir::Value scalar);

/// Whether `scalar + more` is known to be at most `limit`.
bool isKnownAtMost(mlir::Value scalar, int64_t more, mlir::Value limit);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_SCALARBOUNDS_H

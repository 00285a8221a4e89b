// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs of a kernel of several stages: each has a part of the axes that all stages are over.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELPARTS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELPARTS_H

#include "Lowerings.h"

namespace attnc {

/// How many parts there are (i32): tiles of `axes`, of all of their indices or of those that
/// `context` has.
mlir::FailureOr<mlir::Value> countParts(KernelContext &context, mlir::Location loc,
                                        llvm::ArrayRef<IndependentAxis> axes);
/// Makes the indices of part `id` (i32) those that `context` has. Neighbouring parts are
/// neighbouring tiles of the last axis.
mlir::LogicalResult bindParts(KernelContext &context, mlir::Location loc,
                              llvm::ArrayRef<IndependentAxis> axes, mlir::Value id);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_KERNELPARTS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Copies of rows from global memory to a stage of a buffer by all threads of a role.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_COPIES_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_COPIES_H

#include "KernelLowering.h"

namespace attnc {

/// What is copied where. `row`, `limit`, `indices` and `col` (the first column; null for 0) are
/// values of the kernel that is lowered.
struct StageCopy {
  mlir::Location loc;
  tile::BufferType buffer;
  mlir::Value stage; ///< shared address (i32)
  mlir::Value view;
  mlir::ValueRange indices;
  mlir::Value row, limit;
  int64_t rowDim, validCols, vectorBytes;
  mlir::Value col;
};

/// Starts the copy for `op`: a part of the group that is committed next.
mlir::LogicalResult copyToStage(KernelLowering &kl, mlir::Operation *op, const StageCopy &copy);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_COPIES_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads and stores between tensors and buffers.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_MEMORY_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_MEMORY_H

#include "KernelEmitter.h"

namespace attnc {

/// Address of element (row, 0) of the rows that a load or store names.
mlir::Value rowAddress(KernelEmitter &ke, mlir::Value view, mlir::ValueRange indices,
                       mlir::Value row0, int64_t rowDim, mlir::Value row);
mlir::Value rowAddress(KernelEmitter &ke, tile::LoadOp load, mlir::Value row);
/// How many of `rows` rows from `row` on lie before `limit`.
mlir::Value validRows(KernelEmitter &ke, mlir::Value row, mlir::Value limit, int64_t rows);
/// Copies rows [from, to) of the load to consecutive rows at `into`; rows from `valid` on are 0.
void copyRows(KernelEmitter &ke, tile::LoadOp load, mlir::Value from, mlir::Value to,
              mlir::Value valid, mlir::Value into, int64_t pitch, mlir::Type storage);
/// The first `count` elements (at most a vector) at `address`, as `storage`; 0 beyond.
mlir::Value loadTensor(KernelEmitter &ke, mlir::Value address, mlir::Type element,
                       mlir::Type storage, int64_t count);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_MEMORY_H

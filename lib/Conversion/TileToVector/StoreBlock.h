// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stores of matrices along any two dimensions of a tensor.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_STOREBLOCK_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_STOREBLOCK_H

#include "Memory.h"

namespace attnc {

/// Whether `store` can be the end of the row ops that wait: each row is stored when it is computed,
/// which no op of them may see.
bool joinsGroup(KernelEmitter &ke, tile::StoreBlockOp store);

/// How many rows of the tile are stored (i64).
mlir::Value storedRows(KernelEmitter &ke, tile::StoreBlockOp store);

/// Stores the vectors of row `row` (an offset in the tile) that start at the columns `cols`.
void storeRow(KernelEmitter &ke, tile::StoreBlockOp store, mlir::Value row, mlir::ValueRange cols);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_STOREBLOCK_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What ops that copy rows of a view into a buffer have in common.
#ifndef ATTNC_DIALECTS_TILE_ROWCOPIES_H
#define ATTNC_DIALECTS_TILE_ROWCOPIES_H

#include "dialects/Tile/Tile.h"

namespace attnc::tile {

/// A copy of rows, as its op's types and attributes say it.
struct RowCopy {
  ViewType view;
  BufferType buffer;
  size_t numIndices;
  int64_t rowDim, validCols, vectorBytes;
};

/// Checks `tile.async_copy` C1 to C4 for `op`.
mlir::LogicalResult verifyRowCopy(mlir::Operation *op, const RowCopy &copy);

} // namespace attnc::tile

#endif // ATTNC_DIALECTS_TILE_ROWCOPIES_H

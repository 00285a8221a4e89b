// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an op asks of the layouts of its tiles, and of shared memory for itself: for verifiers, for
// the pass that assigns layouts, and for lowerings.
#ifndef ATTNC_DIALECTS_TILE_TILELAYOUTS_H
#define ATTNC_DIALECTS_TILE_TILELAYOUTS_H

#include "dialects/Tile/LinearLayout.h"
#include "dialects/Tile/Tile.h"

namespace attnc::tile {

/// Whether elements `from` of a tile may be stored in a view of `to`: as themselves, or as other
/// reals.
bool isStoredAs(mlir::Type from, mlir::Type to);

/// The vector that is left of a matrix when it is reduced along `axis`: its shape and, if the
/// matrix has a layout, that of its rows or columns.
TileType reducedType(TileType matrix, Axis axis);

/// The layout of an operand of shape `operand` next to a map's `result`: that of the result, of its
/// rows, or of its columns. Null if the result has none.
LinearLayoutAttr operandLayout(TileType operand, TileType result);

/// The layout with rows and columns exchanged; null for null.
LinearLayoutAttr transposed(LinearLayoutAttr layout);

/// The shared memory of a `tile.invert` of so many rows: the matrix and, behind it, its inverse.
/// Rows are padded, so that fragments, which hold elements of eight rows, are written and read
/// without conflicts of banks.
struct InvertScratch {
  explicit InvertScratch(int64_t rows) : pitch(4 * (rows + 4)), inverse(rows * pitch) {}
  int64_t bytes() const { return 2 * inverse; }

  int64_t pitch;   ///< bytes from row to row
  int64_t inverse; ///< byte offset of the inverse
};

/// Bytes of shared memory that `op` needs while it runs, its layouts being assigned; 0 for most.
int64_t scratchBytes(mlir::Operation *op);

/// Whether all threads of a block take part in `op` or in an op within it: it may not stand where
/// only some come by.
bool needsWholeBlock(mlir::Operation *op);

/// Whether `kernel` writes the view that is its argument `view`, or one that may be the same
/// memory: elements that are read of it may change while it runs.
bool isWritten(KernelOp kernel, mlir::BlockArgument view);

} // namespace attnc::tile

#endif // ATTNC_DIALECTS_TILE_TILELAYOUTS_H

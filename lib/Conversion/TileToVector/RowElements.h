// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The elements of tiles, a vector at a time.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWELEMENTS_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWELEMENTS_H

#include "KernelEmitter.h"

namespace attnc {

/// The vector of `v` at (row, col), or a scalar if its lanes are all the same. In a row value pass
/// (null `col`) lanes are rows.
mlir::Value readVector(KernelEmitter &ke, mlir::Value v, mlir::Value row, mlir::Value col);
/// `value` as a buffer keeps it: a condition becomes 0 or 1.
mlir::Value toStorage(KernelEmitter &ke, mlir::Value value);
/// Writes to the tile's buffer, if it has one.
void writeVector(KernelEmitter &ke, mlir::Value value, mlir::Value tile, mlir::Value row,
                 mlir::Value col);
/// `x` of element type `from` as it is stored, to element type `to` as it is stored.
mlir::Value convertElement(KernelEmitter &ke, mlir::Value x, mlir::Type from, mlir::Type to);
/// The elements of `map` at (row, col); a null `col` as in readVector. `wanted` as in emitRegion.
mlir::Value mapVector(KernelEmitter &ke, tile::MapOp map, mlir::ValueRange operands,
                      mlir::Value row, mlir::Value col, mlir::Value wanted = {});

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_ROWELEMENTS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The region of a tile.map for one vector of elements.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_REGIONS_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_REGIONS_H

#include "Emitter.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/DenseSet.h"

namespace attnc {

/// A view argument: base pointer and strides in elements, all SSA values.
struct ViewValue {
  mlir::Value base;
  llvm::SmallVector<mlir::Value> strides;
  bool isWritten = false; ///< by this kernel: what was read may change
};

using ViewMap = llvm::DenseMap<mlir::Value, ViewValue>;

/// Emits the body of `map` at the current insertion point. `arguments` are the region's arguments:
/// each either a scalar (the same for all lanes) or a vector. Values from outside are looked up in
/// `outer`. Returns a scalar or a vector; a null value after an error has been reported. With
/// `wanted`, a value of the region, only that is computed; arguments that it does not need may be
/// null.
mlir::Value emitRegion(Emitter &e, tile::MapOp map, mlir::ValueRange arguments,
                       const mlir::IRMapping &outer, const ViewMap &views, mlir::Value wanted = {});

/// A constant, or an elementwise op on scalars, or on vectors if an operand is one; null for other
/// ops.
mlir::Value emitElementwise(Emitter &e, mlir::Operation *op, llvm::ArrayRef<mlir::Value> operands);

/// The values of `map`'s region, arguments included, that `wanted` depends on.
llvm::DenseSet<mlir::Value> neededFor(tile::MapOp map, mlir::Value wanted);

/// How the lanes of a vector of indices follow each other.
enum class Lanes {
  Any,
  Clamped,     ///< one after the other, but at the ends the first or the last one is repeated
  Consecutive, ///< one after the other
};

/// Reads one element: a scalar, or a vector if an index is a vector, with `lanes` if only one is.
mlir::Value emitElement(Emitter &e, tile::ElementOp op, const ViewValue &view,
                        mlir::ValueRange indices, Lanes lanes);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_REGIONS_H

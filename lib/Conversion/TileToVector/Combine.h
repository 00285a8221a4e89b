// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What stands for two elements in a reduction or scan, and what stands for none.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_COMBINE_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_COMBINE_H

#include "Emitter.h"
#include "dialects/Tile/Tile.h"

namespace attnc {

/// What changes nothing when it is combined with an element; `type` is a scalar or a vector of f32
/// or i32.
mlir::Value neutralElement(Emitter &e, tile::ReduceKind kind, mlir::Type type);
/// `x` combined with what there was before. A maximum or minimum skips NaN in `x`; `before` starts
/// as what is neutral, and so never is NaN.
mlir::Value combineElements(Emitter &e, tile::ReduceKind kind, mlir::Value x, mlir::Value before);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_COMBINE_H

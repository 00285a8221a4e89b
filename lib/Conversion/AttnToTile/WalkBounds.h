// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bounds of the loops of a walk, as values of the kernel.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_WALKBOUNDS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_WALKBOUNDS_H

#include "Parts.h"

namespace attnc {

/// Emits the bounds of `ranges` for the program's rows at the current point: i32, clamped to the
/// indices there are and to those of `part`, rounded to tiles, disjoint and in order.
mlir::FailureOr<WalkBounds> emitWalkBounds(KernelContext &context, Elements &elements,
                                           mlir::Location loc, const KeyRanges &ranges,
                                           std::optional<KeyPart> part);

/// The keys that one row attends to, i32: `count` of them from `first` on.
struct KeysOfRow {
  mlir::Value first; ///< null: 0
  mlir::Value count; ///< not negative
};

/// Emits what `range`, which is unconditional, says of row `row` (i32) at the current point. Behind
/// emitWalkBounds, since it uses the same scalars.
mlir::FailureOr<KeysOfRow> emitKeysOfRow(KernelContext &context, Elements &elements,
                                         mlir::Location loc, const KeyRange &range,
                                         mlir::Value row);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_WALKBOUNDS_H

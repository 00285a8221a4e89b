// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the code of a kernel says about its scalars and views: where a tile starts, whether all of
// it is inside of a limit, and how elements of a tensor lie.
#ifndef ATTNC_DIALECTS_TILE_KERNELFACTS_H
#define ATTNC_DIALECTS_TILE_KERNELFACTS_H

#include "dialects/Tile/Tile.h"
#include <optional>

namespace attnc::tile {

/// A power of two that `scalar` (i32) is known to be a multiple of; 0 for 0.
int64_t divisorOf(mlir::Value scalar);

/// Whether `scalar + more` is known to be at most `limit` (i32).
bool isKnownAtMost(mlir::Value scalar, int64_t more, mlir::Value limit);

/// The strides (elements) of `view` that its type and its sizes (`tile.dense`) say.
llvm::SmallVector<std::optional<int64_t>> knownStrides(KernelOp kernel, mlir::BlockArgument view);

/// What the start of each row of `view` is a multiple of, in bytes: an element's size if nothing is
/// known.
int64_t rowAlignmentOf(KernelOp kernel, mlir::Value view);

} // namespace attnc::tile

#endif // ATTNC_DIALECTS_TILE_KERNELFACTS_H

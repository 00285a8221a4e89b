// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which of a kernel's copies warps of their own could make, and what they would need for that.
#ifndef ATTNC_LIB_TRANSFORMS_RINGPLAN_H
#define ATTNC_LIB_TRANSFORMS_RINGPLAN_H

#include "dialects/Tile/Tile.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include <optional>

namespace attnc {

/// The buffers of a kernel that become rings: all of their copies follow from scalars alone.
struct RingPlan {
  llvm::SmallVector<tile::AllocOp> buffers;
  /// Tokens and slots of these copies: the number of their buffer.
  llvm::MapVector<mlir::Value, unsigned> ringOf;
  /// Scalars that the copies follow from, with the bounds and conditions of what they are in.
  llvm::SetVector<mlir::Value> needed;
  /// The slots that nothing reads any more behind an op.
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::Value, 1>> released;

  /// Whether `op` is a copy into one of the buffers.
  bool isFill(mlir::Operation *op) const;
  /// The numbers of the buffers that are filled in `op`.
  llvm::SmallVector<unsigned> filledIn(mlir::Operation *op) const;
  /// Whether nothing but these copies follows from `scalar`.
  bool servesFillsOnly(mlir::Value scalar) const;
};

/// The plan of a kernel whose loops copy what warpgroups multiply; nothing if none does, or if a
/// copy, a wait or a reader is not of the forms that roles are made of.
std::optional<RingPlan> planRings(tile::KernelOp kernel);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_RINGPLAN_H

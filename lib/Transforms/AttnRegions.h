// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the rewrites of attn ask about scalar code: which index an argument is, what a value depends
// on, and what has to come along where it moves.
#ifndef ATTNC_LIB_TRANSFORMS_ATTNREGIONS_H
#define ATTNC_LIB_TRANSFORMS_ATTNREGIONS_H

#include "attnc/Analysis/IntIntervals.h"
#include "dialects/Attn/Attn.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace attnc {

/// Whether `value` is the coordinate that axis `axis` of `type` has of its own: an argument over
/// the same space, all of whose indices are inside of the axis. Reads there are never clamped.
bool isOwnIndex(mlir::Value value, attn::AttnTensorType type, unsigned axis);

/// The ops of the regions inside of `root` that `op` and its regions are computed from (without
/// `op`, in order), and the arguments of blocks inside of `root`, but outside of `op`, that they
/// use.
struct BackwardSlice {
  llvm::SetVector<mlir::Operation *> ops;
  llvm::SetVector<mlir::BlockArgument> arguments;
};
BackwardSlice sliceOf(mlir::Operation *op, mlir::Operation *root);

/// Puts the formula of `compute`, at the indices of `read`, in the place of it. The compute stays.
void inlineAt(attn::ReadOp read, attn::ComputeOp compute);

/// Erases what nothing uses in the regions of `stage`.
void eraseDeadIn(mlir::Operation *stage);

/// Whether an element of `type` is stored as it is read and computed: f32, i32 or i1, not the
/// operand dtype, which rounds.
bool storesExactly(attn::AttnTensorType type);

/// Whether so many stages compute with elements of `tensor` that a copy of it, which has no bounds,
/// is worth its memory. What is summed up does not count: it may be a product of matrices, which
/// reads a block of them within bounds.
bool isReadByManyStages(mlir::Value tensor);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_ATTNREGIONS_H

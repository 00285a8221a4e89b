// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which stages of a variant run chunk by chunk, so that large tensors between them need not be in
// memory as a whole (docs/decisions/0011-chunks-of-independent-rows.md).
//
// A stage can compute any part of the indices of an independent axis by itself. Stages make a loop
// over such axes if each tensor that one of them computes and another one reads is read there at
// the reader's own index along all of these axes: then a chunk of the one needs that chunk of the
// others only, and tensors that nobody else reads have to exist for one chunk at a time.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_CHUNKLOOPS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_CHUNKLOOPS_H

#include "Lowerings.h"

namespace attnc {

/// A stage, as loops are made of it.
struct ChunkableStage {
  mlir::Operation *op;
  llvm::SmallVector<IndependentAxis> axes;
  llvm::SmallVector<Scratch> scratch;
  unsigned kernel; ///< number of its kernel: stages of one stay together
};

/// Stages that are launched together: those of a kernel, or of a loop of kernels.
struct StageGroup {
  llvm::SmallVector<unsigned> stages;      ///< in the order of the variant
  llvm::SmallVector<unsigned> kernels;     ///< theirs, in the order of their launches
  llvm::SmallVector<IndependentAxis> axes; ///< that a loop cuts; none: it is no loop
  llvm::DenseSet<mlir::Value> parts;       ///< tensors that exist chunk by chunk

  bool isLoop() const { return !axes.empty(); }
  /// Whether the axis `space` is cut.
  bool cuts(llvm::StringRef space) const {
    return llvm::any_of(axes, [&](const IndependentAxis &axis) { return axis.space == space; });
  }
  /// Whether a tensor of `type`, which stages of the loop alone have, exists chunk by chunk: it is
  /// over an axis that is cut. Not if that is the last one, whose elements are neighbours: rows of
  /// a part would begin anywhere.
  bool isInParts(attn::AttnTensorType type) const;
};

/// The axes of a loop over `members`, or of one kernel of them: those that are independent in all
/// of them, and along which each reads what another one computes at its own index. A step is a
/// multiple of each one's tile; in one kernel it is 1 where a member takes indices one by one and
/// the others can.
llvm::SmallVector<IndependentAxis> commonAxes(llvm::ArrayRef<const ChunkableStage *> members,
                                              bool inOneKernel);

/// The space whose indices a program of a kernel of `members` takes one after the other, all
/// members at each: that of the steps of the recurrences among them. It is blocks of rows, every
/// other member can take its indices one by one, and each reads there what another one computes.
/// Empty if there is none.
llvm::StringRef walkedSpace(llvm::ArrayRef<const ChunkableStage *> members);

/// Whether `stage` is a recurrence whose steps are the indices of `space`, one after the other.
bool hasStepsOf(mlir::Operation *stage, llvm::StringRef space);

/// The groups of `stages`, which are in an order in which each reads what earlier ones computed, in
/// an order in which that holds of groups. A loop is made for a large tensor: one over two axes of
/// rows, or of many elements for a row. `isWorkspace` says of tensors that no caller sees them.
/// Nothing if there is no such order: if two kernels wait for each other.
std::optional<llvm::SmallVector<StageGroup>>
formChunkLoops(llvm::ArrayRef<ChunkableStage> stages,
               llvm::function_ref<bool(mlir::Value)> isWorkspace);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_CHUNKLOOPS_H

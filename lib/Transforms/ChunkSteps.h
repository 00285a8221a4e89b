// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Steps of chunks in scalar code: the quotient and the remainder of an index by the steps of a
// chunk.
#ifndef ATTNC_LIB_TRANSFORMS_CHUNKSTEPS_H
#define ATTNC_LIB_TRANSFORMS_CHUNKSTEPS_H

#include "dialects/Attn/Attn.h"

namespace attnc {

/// An index over a space, and what it is divided by.
struct DividedIndex {
  mlir::BlockArgument index;
  int64_t divisor = 0;

  explicit operator bool() const { return bool(index); }
  bool operator==(const DividedIndex &other) const {
    return index == other.index && divisor == other.divisor;
  }
};

/// What `value` is the quotient, or the remainder, of: an index and a positive constant.
DividedIndex quotientOf(mlir::Value value);
DividedIndex remainderOf(mlir::Value value);

/// Whether `value` is never clamped where axis `axis` of `type` is read, being a remainder by the
/// extent of the axis, or a quotient by the size of the blocks that the axis is over.
bool isStepInside(attn::VariantOp variant, mlir::Value value, attn::AttnTensorType type,
                  unsigned axis);

/// In the formula of `stage`, lets quotient times divisor plus remainder be the index, what is
/// below the size of its own space be true, and a choice by that what it chooses.
void foldSteps(attn::ComputeOp stage);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_CHUNKSTEPS_H

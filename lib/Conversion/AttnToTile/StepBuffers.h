// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where a step of a recurrence keeps what its later stages read.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_STEPBUFFERS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_STEPBUFFERS_H

#include "dialects/Attn/Attn.h"
#include <optional>

namespace attnc {

/// Buffers for the tensors that stages of a step give to later ones. Tensors of one type whose
/// lives do not overlap share a buffer: a step of n statements keeps as many as are needed at once,
/// which bounds the memory it goes through as well as the arguments of its kernel.
struct StepBuffers {
  llvm::SmallVector<attn::AttnTensorType> types;  ///< one for each buffer
  llvm::DenseMap<mlir::Operation *, unsigned> of; ///< the buffer of a stage's result
};

/// For the stages of the body of `recur`, in order. A stage never writes what it reads: its own
/// buffer is taken before those that it is the last to read are free. With `fromOutputs`, what an
/// output keeps needs no buffer.
StepBuffers assignStepBuffers(attn::RecurOp recur, bool fromOutputs = false);

/// The output of `recur`, in memory of its own and not the caller's, that has `tensor`, which a
/// step computes, at each step; none if there is none.
std::optional<unsigned> outputKeeping(attn::RecurOp recur, mlir::Value tensor);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_STEPBUFFERS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where the elements of a stage go.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_STAGETENSORS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_STAGETENSORS_H

#include "Nest.h"

namespace attnc {

/// A view whose first dimensions are at `leading` (i32) and the others are a stage's axes.
struct Destination {
  mlir::Value view;
  llvm::SmallVector<mlir::Value> leading;
};

/// Emits the tile of `compute` at `point` of `nest`, in `scope`, stores it and gives it. `bound` is
/// told the frame that the indices have, before anything is computed.
using Bound = llvm::function_ref<void(Scope &, Frame)>;
mlir::FailureOr<mlir::Value> emitCompute(Evaluator &evaluator, Scope &scope,
                                         attn::ComputeOp compute, const Nest &nest,
                                         const NestPoint &point,
                                         llvm::ArrayRef<Destination> destinations,
                                         Bound bound = nullptr);

/// The rows of `select`: a nest over the axes that tell them apart.
Nest rowsOf(attn::SelectOp select, const Target &target);
/// Emits `select` for the tile of rows at `point` of that nest, and stores it (Select.cpp).
mlir::LogicalResult emitSelect(KernelContext &context, attn::SelectOp select,
                               const NestPoint &point, llvm::ArrayRef<Destination> destinations);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_STAGETENSORS_H

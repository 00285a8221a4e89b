// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How an op of a variant becomes the body of a kernel: an interface, and the table of the ops that
// have an implementation. A new op is a file with a class and a line in Lowerings.cpp.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_LOWERINGS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_LOWERINGS_H

#include "KernelContext.h"
#include <memory>

namespace attnc {

/// One op, for one plan.
class StageLowering {
public:
  virtual ~StageLowering() = default;
  /// How the kernel runs through the axes.
  virtual AxisMap axes() = 0;
  /// Whether tiles of `tensor`, an input or a result, are loaded or stored: rows of it have to be
  /// contiguous and aligned.
  virtual bool isOperand(mlir::Value tensor) = 0;
  /// Emits the body of the kernel, with stores of the op's results that `context` has views of.
  virtual mlir::LogicalResult emit(KernelContext &context) = 0;
};

using StageLoweringFactory = std::unique_ptr<StageLowering> (*)(mlir::Operation *,
                                                                const KernelPlan &);

/// The lowering of ops of the kind of `op`; null if there is none.
StageLoweringFactory findStageLowering(mlir::Operation *op);

std::unique_ptr<StageLowering> lowerAttend(mlir::Operation *op, const KernelPlan &plan);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_LOWERINGS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How an op of a variant becomes the body of a kernel: an interface, and the table of the ops that
// have an implementation. A new op is a file with a class and a line in Lowerings.cpp.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_LOWERINGS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_LOWERINGS_H

#include "KernelContext.h"
#include <array>
#include <memory>

namespace attnc {

/// A tensor that lives while a kernel runs.
struct Scratch {
  std::string name; ///< for people
  attn::AttnTensorType type;
};

/// An axis whose indices a kernel computes without regard to each other. Launched for a part of
/// them, from a multiple of `tile` on, it computes that part (KernelContext::parts).
struct IndependentAxis {
  llvm::StringRef space;
  int64_t tile = 1; ///< indices that are taken at once
  /// Whether they can be taken one by one instead (StageLowering::takeSingly).
  bool canBeSingle = false;
};

/// One op, for one plan: a kernel.
class StageLowering {
public:
  /// Numbers of programs (i32) along x, y and z.
  using Grid = std::array<mlir::Value, 3>;

  virtual ~StageLowering() = default;
  /// Emits the grid in the program of kernels, by the sizes of spaces in `context`.
  virtual mlir::FailureOr<Grid> grid(KernelContext &context) = 0;
  /// Warps of a thread block.
  virtual int64_t warps() = 0;
  /// Whether tiles of `tensor`, an input or a result, are loaded or stored whole: rows of it have
  /// to be contiguous and aligned.
  virtual bool isOperand(mlir::Value tensor) = 0;
  /// The axes over the grid, if they are one to a dimension: for those who read the kernel.
  virtual llvm::SmallVector<Axis> gridAxes() { return {}; }
  /// Axes of all results that launches can have parts of: those whose sizes launches tell.
  virtual llvm::SmallVector<IndependentAxis> independentAxes() { return {}; }
  /// Memory that the kernel needs for itself.
  virtual llvm::SmallVector<Scratch> scratch() { return {}; }
  /// A second kernel for the same op, which is the better one at some sizes; null if there is none.
  /// The program launches one of the two.
  virtual std::unique_ptr<StageLowering> alternative() { return nullptr; }
  /// Of an alternative: i32 in the program of kernels, 1 at sizes at which it is the better one,
  /// else 0.
  virtual mlir::Value isBetter(KernelContext &) { return {}; }
  /// Of an alternative: what the name of its kernel ends with.
  virtual llvm::StringRef suffix() { return ""; }
  /// Emits the body of the kernel, with stores of the op's results that `context` has views of.
  virtual mlir::LogicalResult emit(KernelContext &context) = 0;
  /// Whether the op can be one of several in a kernel: whether there is `emitParts`.
  virtual bool canShareKernel() { return false; }
  /// Lets indices of an independent axis that can be single be taken one by one.
  virtual void takeSingly(llvm::StringRef) {}
  /// Emits code for all indices of the parts that `context` has, as a piece of a kernel.
  virtual mlir::LogicalResult emitParts(KernelContext &) { return mlir::failure(); }
  /// Of a recurrence in a kernel that walks along its steps (ChunkLoops.h): what comes before all
  /// of them, step `time` (i32), and what comes behind.
  virtual mlir::LogicalResult emitBeforeSteps(KernelContext &) { return mlir::failure(); }
  virtual mlir::LogicalResult emitStep(KernelContext &, mlir::Value) { return mlir::failure(); }
  virtual mlir::LogicalResult emitBehindSteps(KernelContext &) { return mlir::failure(); }
};

using StageLoweringFactory = std::unique_ptr<StageLowering> (*)(mlir::Operation *,
                                                                const KernelPlan &);

/// The lowering of ops of the kind of `op`; null if there is none.
StageLoweringFactory findStageLowering(mlir::Operation *op);

std::unique_ptr<StageLowering> lowerCompute(mlir::Operation *op, const KernelPlan &plan);
std::unique_ptr<StageLowering> lowerRecur(mlir::Operation *op, const KernelPlan &plan);
/// For attentions that `lowerAttend` does not take.
std::unique_ptr<StageLowering> lowerAttendGeneral(mlir::Operation *op, const KernelPlan &plan);
std::unique_ptr<StageLowering> lowerInvert(mlir::Operation *op, const KernelPlan &plan);
std::unique_ptr<StageLowering> lowerScan(mlir::Operation *op, const KernelPlan &plan);
std::unique_ptr<StageLowering> lowerSelect(mlir::Operation *op, const KernelPlan &plan);
std::unique_ptr<StageLowering> lowerAttend(mlir::Operation *op, const KernelPlan &plan);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_LOWERINGS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Behind the launch phase no kernel knows of another: each can be compiled by itself, and several
// at the same time. This file takes a module of kernels apart and puts it together again.
//
//   module { @a, @a_shared, @b }   <->   module { module { @b }, module { @a, @a_shared } }
//
// MLIR runs the passes of inner modules on all threads of its context, and code is generated from
// each inner module in an LLVM context of its own. What comes out does not depend on the number of
// threads: modules are always taken apart in the same way, and results have the order of kernels.
#ifndef ATTNC_PIPELINES_KERNELMODULES_H
#define ATTNC_PIPELINES_KERNELMODULES_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>

namespace llvm {
class ThreadPoolInterface;
}

namespace attnc {

/// Whether `module` has two kernels or more: things to compile, with a body.
bool hasSeveralKernels(mlir::ModuleOp module);

/// The kernels of a module, moved into inner modules for as long as this object lives.
class KernelModules {
public:
  /// Takes `module` apart: its operations stand together where one uses a symbol of another.
  /// `tile.program` is dropped: what runtimes need of it has been read. A module of one kernel,
  /// or of none, is left as it is.
  explicit KernelModules(mlir::ModuleOp module);
  /// Moves everything back, in the order of before.
  ~KernelModules();
  KernelModules(const KernelModules &) = delete;

  /// Whether there are inner modules.
  bool areApart() const { return modules.front() != outer; }
  /// The modules to compile, in the order of their first kernels: inner ones, or the whole.
  llvm::ArrayRef<mlir::ModuleOp> inOrder() const { return modules; }
  /// Their numbers, that of the largest first, so that no thread begins with it when the others
  /// are done. Inner modules stand in this order.
  llvm::ArrayRef<size_t> largestFirst() const { return order; }

private:
  mlir::ModuleOp outer;
  llvm::SmallVector<mlir::ModuleOp> modules;
  llvm::SmallVector<size_t> order;
};

/// Gives a context threads for as long as this object lives, `count` of them; 1 gives it none.
class CompileThreads {
public:
  CompileThreads(mlir::MLIRContext &context, unsigned count);
  ~CompileThreads();
  CompileThreads(const CompileThreads &) = delete;

private:
  mlir::MLIRContext &context;
  std::unique_ptr<llvm::ThreadPoolInterface> pool; ///< null if it has none, or had some already
};

} // namespace attnc

#endif // ATTNC_PIPELINES_KERNELMODULES_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// convert-tile-to-nvvm: the pass; KernelLowering.h explains how a kernel is lowered.
#include "KernelLowering.h"
#include "attnc/Conversion/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_CONVERTTILETONVVM
#include "attnc/Conversion/Passes.h.inc"

namespace {
struct ConvertTileToNVVM : impl::ConvertTileToNVVMBase<ConvertTileToNVVM> {
  using ConvertTileToNVVMBase::ConvertTileToNVVMBase;

  void runOnOperation() override {
    OpBuilder builder(&getContext());
    // What runtimes need of it has been read: see extractProgram.
    for (auto program :
         llvm::make_early_inc_range(getOperation().getBody()->getOps<tile::ProgramOp>()))
      program.erase();
    for (auto kernel :
         llvm::make_early_inc_range(getOperation().getBody()->getOps<tile::KernelOp>())) {
      if (failed(KernelLowering(kernel, builder, nvvmLowerings()).run()))
        return signalPassFailure();
      kernel.erase();
    }
  }
};
} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// convert-attn-to-tile: a planned variant becomes kernels, each of one or several stages, and the
// program that launches them (ProgramFrame.h). The lowering of a stage (Lowerings.h) fills its
// kernel, or its piece of one.
#include "ProgramFrame.h"
#include "attnc/Conversion/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_CONVERTATTNTOTILE
#include "attnc/Conversion/Passes.h.inc"

namespace {

struct ConvertAttnToTile : impl::ConvertAttnToTileBase<ConvertAttnToTile> {
  using ConvertAttnToTileBase::ConvertAttnToTileBase;

  void runOnOperation() override {
    for (auto variant :
         llvm::make_early_inc_range(getOperation().getBody()->getOps<attn::VariantOp>())) {
      llvm::Expected<KernelPlan> plan = planOf(variant);
      if (!plan) {
        variant.emitOpError() << llvm::toString(plan.takeError());
        return signalPassFailure();
      }
      if (failed(ProgramFrame(variant, *plan).run()))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace attnc

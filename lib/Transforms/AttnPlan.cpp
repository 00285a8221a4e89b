// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-plan: runs the planner on each variant and attaches its decisions.
#include "attnc/Plan/Plan.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNPLAN
#include "attnc/Transforms/Passes.h.inc"

namespace {

struct AttnPlan : impl::AttnPlanBase<AttnPlan> {
  using AttnPlanBase::AttnPlanBase;
  explicit AttnPlan(const CompileOptions &options) : given(options) {}

  void runOnOperation() override {
    CompileOptions options;
    if (given) {
      options = *given;
    } else {
      llvm::Expected<Target> parsed = Target::parse(target);
      if (!parsed) {
        getOperation().emitError() << llvm::toString(parsed.takeError());
        return signalPassFailure();
      }
      options.target = *parsed;
      options.vectorBytes = vectorBytes;
      options.tileQ = tileQ;
      options.tileKV = tileKV;
      options.stages = stages;
      options.numWarps = numWarps;
    }
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>()) {
      if (variant->hasAttr(tile::ScheduleAttr::attrName))
        continue;
      llvm::Expected<KernelPlan> plan = planVariant(variant, options);
      if (!plan) {
        emitError(variant.getLoc()) << llvm::toString(plan.takeError());
        return signalPassFailure();
      }
      variant->setAttr(tile::ScheduleAttr::attrName, plan->schedule(&getContext()));
    }
  }

  std::optional<CompileOptions> given;
};

} // namespace

std::unique_ptr<Pass> createAttnPlan(const CompileOptions &options) {
  return std::make_unique<AttnPlan>(options);
}

} // namespace attnc

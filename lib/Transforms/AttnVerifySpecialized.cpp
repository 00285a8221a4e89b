// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-verify-specialized: the contract of phase `specialized`.
#include "VerifyPhase.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNVERIFYSPECIALIZED
#include "attnc/Transforms/Passes.h.inc"

namespace {

LogicalResult verifySpecialized(Operation *op) {
  if (auto param = dyn_cast<attn::ParamOp>(op); param && param.getIsConst()) // A1
    return op->emitOpError("remains in phase `specialized`: expected a constant in place of const "
                           "parameter `")
           << param.getName() << "`";
  if (auto variant = dyn_cast<attn::VariantOp>(op))
    for (llvm::StringRef name : {"d", "e"})
      if (!fixedExtent(variant, name)) // A2
        return op->emitOpError("does not declare the size of `")
               << name << "`, which phase `specialized` fixes";
  return verifyDefinitions(op, [](Value value, Operation *op) -> LogicalResult {
    auto type = dyn_cast<attn::AttnTensorType>(value.getType());
    if (type && type.hasOperandElementType()) // A3
      return op->emitOpError("has a tensor without an element type in phase `specialized`: ")
             << type;
    return success();
  });
}

struct AttnVerifySpecialized : impl::AttnVerifySpecializedBase<AttnVerifySpecialized> {
  using AttnVerifySpecializedBase::AttnVerifySpecializedBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    if (failed(verifyEach(getOperation(), verifySpecialized)))
      signalPassFailure();
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// host-verify-lowered: the contract of phase `llvm` on the host, what can be translated to LLVM IR
// and launched.
#include "LaunchFunctions.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_HOSTVERIFYLOWERED
#include "attnc/Conversion/TileToVector/Passes.h.inc"

namespace {

LogicalResult verifyLowered(Operation *op) {
  if (isa<ModuleOp>(op))
    return success();
  if (!isa_and_present<LLVM::LLVMDialect>(op->getDialect())) // H1
    return op->emitOpError("remains in phase `llvm` of the host: expected llvm");
  if (auto function = dyn_cast<LLVM::LLVMFuncOp>(op))
    return verifyLaunchFunction(function, "llvm"); // H2
  return success();
}

struct HostVerifyLowered : impl::HostVerifyLoweredBase<HostVerifyLowered> {
  using HostVerifyLoweredBase::HostVerifyLoweredBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    WalkResult walk = getOperation().walk<WalkOrder::PreOrder>(
        [](Operation *op) -> WalkResult { return verifyLowered(op); });
    if (walk.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
} // namespace attnc

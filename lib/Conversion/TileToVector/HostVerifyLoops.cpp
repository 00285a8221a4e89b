// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// host-verify-loops: the contract of phase `vector-loops`. A kernel is launched through one
// function pointer type with memory of a size that its function says, so both are checked here,
// where the function is made, and not by a fault in a thread.
#include "LaunchFunctions.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "dialects/Tile/Tile.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_HOSTVERIFYLOOPS
#include "attnc/Conversion/TileToVector/Passes.h.inc"

namespace {

LogicalResult verifyLoops(Operation *op) {
  if (isa<ModuleOp>(op))
    return success();
  if (!isa_and_present<LLVM::LLVMDialect, arith::ArithDialect, math::MathDialect, scf::SCFDialect>(
          op->getDialect())) // V1
    return op->emitOpError("remains in phase `vector-loops`: expected llvm, arith, math and scf");
  for (Value operand : op->getOperands())
    if (operand.getType().getDialect().getNamespace() ==
        tile::TileDialect::getDialectNamespace()) // V2
      return op->emitOpError("uses a value of type ")
             << operand.getType() << " in phase `vector-loops`";
  if (auto function = dyn_cast<LLVM::LLVMFuncOp>(op))
    return verifyLaunchFunction(function, "vector-loops"); // V3
  return success();
}

struct HostVerifyLoops : impl::HostVerifyLoopsBase<HostVerifyLoops> {
  using HostVerifyLoopsBase::HostVerifyLoopsBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    WalkResult walk = getOperation().walk<WalkOrder::PreOrder>(
        [](Operation *op) -> WalkResult { return verifyLoops(op); });
    if (walk.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// llvm-verify-lowered: the contract of phase `llvm`, what can be translated to LLVM IR.
#include "attnc/Conversion/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_LLVMVERIFYLOWERED
#include "attnc/Conversion/Passes.h.inc"

namespace {

struct LLVMVerifyLowered : impl::LLVMVerifyLoweredBase<LLVMVerifyLowered> {
  using LLVMVerifyLoweredBase::LLVMVerifyLoweredBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    WalkResult walk = getOperation().walk<WalkOrder::PreOrder>([](Operation *op) -> WalkResult {
      if (isa<ModuleOp>(op) ||
          isa_and_present<LLVM::LLVMDialect, NVVM::NVVMDialect>(op->getDialect()))
        return success();
      return op->emitOpError("remains in phase `llvm`: expected llvm and nvvm"); // L1
    });
    if (walk.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// nvvm-verify-lowered: the contract of phase `nvvm`. A function that PTX has no instruction for
// would become a call of a library that is not linked, and fail when the kernel is loaded.
#include "attnc/Conversion/Passes.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_NVVMVERIFYLOWERED
#include "attnc/Conversion/Passes.h.inc"

namespace {

/// What is left of `math` and `arith` that LLVM selects an instruction for.
bool hasInstruction(Operation *op) {
  if (isa<math::MathDialect>(op->getDialect()))
    return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp,
               math::CountLeadingZerosOp, math::Exp2Op, math::FloorOp, math::FmaOp,
               math::RoundEvenOp, math::SqrtOp, math::TruncOp>(op);
  return !isa<arith::DivFOp, arith::RemFOp, arith::FloorDivSIOp, arith::CeilDivSIOp,
              arith::CeilDivUIOp>(op);
}

LogicalResult verifyLowered(Operation *op) {
  if (isa<ModuleOp>(op))
    return success();
  Dialect *dialect = op->getDialect();
  if (!isa_and_present<LLVM::LLVMDialect, NVVM::NVVMDialect, arith::ArithDialect, math::MathDialect,
                       scf::SCFDialect>(dialect)) // N1
    return op->emitOpError("remains in phase `nvvm`: expected llvm, nvvm, arith, math and scf");
  if (!hasInstruction(op)) // N2
    return op->emitOpError("has no instruction in PTX: expand-math-for-ptx should express it by "
                           "those that have");
  for (Value operand : op->getOperands())
    if (operand.getType().getDialect().getNamespace() ==
        tile::TileDialect::getDialectNamespace()) // N3
      return op->emitOpError("uses a value of type ") << operand.getType() << " in phase `nvvm`";
  return success();
}

struct NVVMVerifyLowered : impl::NVVMVerifyLoweredBase<NVVMVerifyLowered> {
  using NVVMVerifyLoweredBase::NVVMVerifyLoweredBase;

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

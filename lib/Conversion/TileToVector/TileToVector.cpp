// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The pass convert-tile-to-vector and the pipeline around it. See KernelEmitter.h for how a kernel
// is lowered.
//
//   tile.kernel @f(%Q: !tile.view<4xf32, unit> {...}, ...)
//     ->
//   llvm.func @f(%slots: !llvm.ptr, %pid0: i32, %pid1: i32, %pid2: i32, %scratch: !llvm.ptr)
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "KernelEmitter.h"
#include "attnc/Conversion/Passes.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

namespace attnc {
#define GEN_PASS_DEF_CONVERTTILETOVECTOR
#include "attnc/Conversion/TileToVector/Passes.h.inc"
} // namespace attnc

using namespace mlir;
using namespace attnc;

/// Products of f32 and bf16 are products of f32: what a multiply-add takes is no narrower.
static void widenOperands(tile::KernelOp kernel) {
  kernel.walk([](tile::DotOp dot) {
    Type f32 = Float32Type::get(dot.getContext());
    if (dot.getLhs().getType().getElementType() == dot.getRhs().getType().getElementType())
      return;
    OpBuilder b(dot);
    for (OpOperand *operand : {&dot.getLhsMutable(), &dot.getRhsMutable()}) {
      auto type = cast<tile::TileType>(operand->get().getType());
      auto wide = tile::TileType::get(b.getContext(), type.getShape(), f32, type.getLayout());
      if (type != wide)
        operand->set(tile::CastOp::create(b, dot.getLoc(), wide, operand->get()));
    }
  });
}

namespace {
struct ConvertTileToVectorPass : attnc::impl::ConvertTileToVectorBase<ConvertTileToVectorPass> {
  using ConvertTileToVectorBase::ConvertTileToVectorBase;

  void runOnOperation() override {
    std::optional<HostISA> level = parseHostISA(isa);
    if (!level) {
      getOperation().emitError("unknown host isa: expected native, generic, avx2, avx512, "
                               "avx512bf16 or amx, found ")
          << isa;
      return signalPassFailure();
    }
    HostTarget target{*level};
    // What runtimes need of it has been read: see extractProgram.
    for (auto program :
         llvm::make_early_inc_range(getOperation().getBody()->getOps<tile::ProgramOp>()))
      program.erase();
    for (auto kernel :
         llvm::make_early_inc_range(getOperation().getBody()->getOps<tile::KernelOp>())) {
      widenOperands(kernel);
      OpBuilder builder(kernel);
      KernelEmitter emitter(builder, kernel, target, hostLowerings());
      if (failed(emitter.run()))
        return signalPassFailure();
      numDeferred += emitter.numDeferred;
      numGroups += emitter.numGroups;
      kernel.erase();
    }
  }
};
} // namespace

void attnc::buildHostLLVMPipeline(OpPassManager &pm) {
  pm.addPass(createConvertSCFToBranches());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void attnc::buildHostLoweringPipeline(OpPassManager &pm, llvm::StringRef isa) {
  ConvertTileToVectorOptions options;
  options.isa = isa.str();
  pm.addPass(createConvertTileToVector(options));
  buildHostLLVMPipeline(pm);
}

void attnc::registerHostLoweringPipeline() {
  struct Options : PassPipelineOptions<Options> {
    Option<std::string> isa{*this, "isa", llvm::cl::desc("vector instructions"),
                            llvm::cl::init("native")};
  };
  PassPipelineRegistration<Options>("attnc-host-lowering",
                                    "tile kernels to the LLVM dialect for the host",
                                    [](OpPassManager &pm, const Options &options) {
                                      buildHostLoweringPipeline(pm, options.isa);
                                    });
}

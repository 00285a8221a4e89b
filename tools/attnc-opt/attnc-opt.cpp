// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// mlir-opt with attnc's dialects and passes: what the lit tests run.
#include "attnc/Conversion/Passes.h"
#include "attnc/Conversion/TileToVector/TileToVector.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<attnc::attn::AttnDialect, attnc::tile::TileDialect, mlir::arith::ArithDialect,
                  mlir::math::MathDialect, mlir::scf::SCFDialect, mlir::func::FuncDialect,
                  mlir::LLVM::LLVMDialect, mlir::NVVM::NVVMDialect>();
  attnc::registerAttncTransformsPasses();
  attnc::registerAttncConversionPasses();
  attnc::registerAttncTileToVectorPasses();
  attnc::registerHostLoweringPipeline();
  mlir::registerTransformsPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "attnc optimizer driver\n", registry));
}

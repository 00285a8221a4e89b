// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// mlir-opt with attnc's dialects and passes: what the lit tests run.
#include "dialects/Attn/Attn.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<attnc::attn::AttnDialect, attnc::tile::TileDialect, mlir::arith::ArithDialect,
                  mlir::math::MathDialect, mlir::scf::SCFDialect, mlir::func::FuncDialect>();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "attnc optimizer driver\n", registry));
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialects/Tile/Tile.h"

using namespace mlir;
using namespace attnc::tile;

LogicalResult InvertOp::verify() {
  TileType type = getInput().getType();
  if (type.getRank() != 2 || !type.getElementType().isF32() || type.getRows() != type.getCols() ||
      type.getRows() < kBlock || type.getRows() > kMostRows ||
      !llvm::isPowerOf2_64(type.getRows()) || getResult().getType() != type) // tile.invert C1
    return emitOpError("expects a matrix of f32 with 16, 32 or 64 rows and as many columns, "
                       "and a result of its type, found ")
           << type << " to " << getResult().getType();
  return success();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of tile.dot_start and tile.dot_wait. Each check names the constraint that it enforces.
#include "dialects/Tile/Tile.h"

using namespace mlir;
using namespace attnc::tile;

LogicalResult DotStartOp::verify() {
  TileType lhs = getLhs().getType(), rhs = getRhs().getType(), acc = getAcc().getType();
  bool areMatrices = lhs.getRank() == 2 && rhs.getRank() == 2 && acc.getRank() == 2;
  int64_t depth = getTransposeRhs() ? rhs.getCols() : rhs.getRows();
  int64_t cols = getTransposeRhs() ? rhs.getRows() : rhs.getCols();
  if (!areMatrices || lhs.getCols() != depth || lhs.getRows() != acc.getRows() ||
      cols != acc.getCols()) // tile.dot_start C1
    return emitOpError("expects shapes that agree, found ")
           << lhs << " times " << rhs << (getTransposeRhs() ? " transposed" : "") << " into "
           << acc;
  Type element = lhs.getElementType();
  if (element != rhs.getElementType() || !(element.isF16() || element.isBF16()) ||
      !acc.getElementType().isF32() || acc.getRows() % 64 != 0 || depth % 16 != 0 ||
      cols % 16 != 0 || cols > 256) // tile.dot_start C1
    return emitOpError("expects a product that warpgroups can compute, found ")
           << lhs << " times " << rhs << " into " << acc;
  if (getProduct().getType().getTile() != acc) // tile.dot_start C2
    return emitOpError("expects a product of the accumulator's type ")
           << acc << ", found " << getProduct().getType().getTile();
  return success();
}

LogicalResult DotWaitOp::verify() {
  if (getProducts().size() != getResults().size()) // tile.dot_wait C1
    return emitOpError("expects ")
           << getProducts().size() << " results, found " << getResults().size();
  for (auto [product, result] : llvm::zip(getProducts(), getResults()))
    if (cast<ProductType>(product.getType()).getTile() != result.getType()) // tile.dot_wait C1
      return emitOpError("expects a result of type ")
             << cast<ProductType>(product.getType()).getTile() << ", found " << result.getType();
  if (static_cast<int32_t>(getPending()) < 0) // tile.dot_wait C2
    return emitOpError("expects a number of pending products that is not negative");
  return success();
}

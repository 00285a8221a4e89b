// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of the ops that move elements. Each check names the constraint that it enforces.
#include "dialects/Tile/TileLayouts.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc::tile;

LogicalResult TransposeOp::verify() {
  TileType input = getInput().getType(), result = getResult().getType();
  bool vector = input.getRank() == 1 || (input.getRows() == 1 && result.getRank() == 1);
  bool turned = result.getRows() == input.getCols() && result.getCols() == input.getRows() &&
                (vector ? input.getRank() != result.getRank() : result.getRank() == 2);
  if (!turned || input.getElementType() != result.getElementType()) // tile.transpose C1
    return emitOpError("expects a result of the input's shape the other way round, found ")
           << input << " to " << result;
  if (result.getLayout() != transposed(input.getLayout())) // tile.transpose C2
    return emitOpError("expects a result whose threads keep their elements, found ")
           << input << " to " << result;
  return success();
}

LogicalResult GatherOp::verify() {
  ViewType view = getView().getType();
  TileType tile = getResult().getType(), rows = getRows().getType();
  if (!view.getUnitStride()) // tile.gather C1
    return emitOpError("expects a view with a unit last stride, found ") << view;
  if (view.getElementType() != tile.getElementType()) // tile.gather C1
    return emitOpError("expects element type ")
           << view.getElementType() << ", found " << tile.getElementType();
  if (static_cast<int64_t>(getIndices().size()) != view.getRank() - 2) // tile.gather C2
    return emitOpError("expects ")
           << view.getRank() - 2 << " indices, found " << getIndices().size();
  int64_t rowDim = getRowDim();
  if (rowDim < 0 || rowDim >= view.getRank() - 1) // tile.gather C2
    return emitOpError("expects rows over one of the first ")
           << view.getRank() - 1 << " dimensions, found " << rowDim;
  if (static_cast<int64_t>(getValidCols()) > tile.getCols()) // tile.gather C3
    return emitOpError("expects at most ")
           << tile.getCols() << " valid columns, found " << getValidCols();
  if (tile.getRank() != 2 || rows.getRank() != 1 || rows.getRows() != tile.getRows() ||
      !rows.getElementType().isInteger(32)) // tile.gather C4
    return emitOpError("expects an i32 for each row of a matrix, found ")
           << rows << " for " << tile;
  if (tile.getLayout() && rows.getLayout() != operandLayout(rows, tile)) // tile.gather C5
    return emitOpError("expects row numbers that lie where the result's rows do, found ")
           << rows << " for " << tile;
  return success();
}

LogicalResult ConvertLayoutOp::verify() {
  TileType input = getInput().getType(), result = getResult().getType();
  if (input.getShape() != result.getShape() ||
      input.getElementType() != result.getElementType()) // tile.convert_layout C1
    return emitOpError("expects tiles of one shape and element type, found ")
           << input << " to " << result;
  if (!input.getLayout() || !result.getLayout()) // tile.convert_layout C2
    return emitOpError("expects tiles with layouts, found ") << input << " to " << result;
  return success();
}

LogicalResult ShareOp::verify() {
  BufferType buffer = getBuffer().getType();
  TileType tile = getValue().getType();
  if (tile.getShape() != buffer.getShape().drop_front() ||
      tile.getElementType() != buffer.getElementType() ||
      getSlot().getType().getBuffer() != buffer) // tile.share C1
    return emitOpError("expects a tile like a stage of the buffer and a slot of it, found ")
           << tile << " into " << buffer << " to " << getSlot().getType();
  return success();
}

/// Whether `use` reads its tile as an operand of a product, of the left side alone if `turned`.
static bool isOperandOfProduct(OpOperand &use, bool turned) {
  auto dot = dyn_cast<DotOp>(use.getOwner());
  return dot && (&use == &dot.getLhsMutable() || (!turned && &use == &dot.getRhsMutable()));
}

LogicalResult LoadBlockOp::verify() {
  ViewType view = getView().getType();
  TileType tile = getResult().getType();
  if (!view.getUnitStride()) // tile.load_block C1
    return emitOpError("expects a view with a unit last stride, found ") << view;
  if (view.getElementType() != tile.getElementType() ||
      !(tile.getElementType().isF16() || tile.getElementType().isBF16())) // tile.load_block C1
    return emitOpError("expects a tile of the view's elements, of 16 bits, found ")
           << tile << " of " << view;
  if (static_cast<int64_t>(getIndices().size()) != view.getRank() - 2) // tile.load_block C2
    return emitOpError("expects ")
           << view.getRank() - 2 << " indices, found " << getIndices().size();
  int64_t rowDim = getRowDim();
  if (rowDim < 0 || rowDim >= view.getRank() - 1) // tile.load_block C2
    return emitOpError("expects rows over one of the first ")
           << view.getRank() - 1 << " dimensions, found " << rowDim;
  if (tile.getRank() != 2 || tile.getCols() % 16 != 0) // tile.load_block C3
    return emitOpError("expects a matrix of a multiple of 16 columns, found ") << tile;
  for (OpOperand &use : getResult().getUses()) { // tile.load_block C4
    auto turn = dyn_cast<TransposeOp>(use.getOwner());
    bool isOperand = turn ? llvm::all_of(turn.getResult().getUses(),
                                         [](OpOperand &each) {
                                           return isOperandOfProduct(each, /*turned=*/true);
                                         })
                          : isOperandOfProduct(use, /*turned=*/false);
    if (!isOperand)
      return emitOpError("expects to be an operand of products");
  }
  return success();
}

LogicalResult StoreBlockOp::verify() {
  ViewType view = getView().getType();
  TileType tile = getValue().getType();
  if (tile.getRank() != 2) // tile.store_block C1
    return emitOpError("expects a matrix, found ") << tile;
  if (static_cast<int64_t>(getIndices().size()) + 2 != view.getRank()) // tile.store_block C1
    return emitOpError("expects ")
           << view.getRank() - 2 << " indices, found " << getIndices().size();
  auto isDimension = [&](int64_t dim) { return dim >= 0 && dim < view.getRank(); };
  int64_t rowDim = getRowDim(), colDim = getColDim();
  if (!isDimension(rowDim) || !isDimension(colDim) || rowDim == colDim) // tile.store_block C2
    return emitOpError("expects rows and columns over two of ")
           << view.getRank() << " dimensions, found " << rowDim << " and " << colDim;
  if (!isStoredAs(tile.getElementType(), view.getElementType())) // tile.store_block C3
    return emitOpError("expects reals stored as reals, i32 as i32 or i1 as i1, found ")
           << tile << " into " << view;
  return success();
}

LogicalResult LocalOp::verify() {
  ViewType type = getType();
  auto rank = static_cast<size_t>(type.getRank());
  if (getSizes().size() != rank || getFirst().size() != rank) // tile.local C1
    return emitOpError("expects a size and a first index for each of ")
           << rank << " dimensions, found " << getSizes().size() << " and " << getFirst().size();
  if (llvm::any_of(getSizes(), [](int64_t size) { return size < 1; })) // tile.local C1
    return emitOpError("expects sizes of at least 1");
  if (!type.getUnitStride()) // tile.local C1
    return emitOpError("expects a view with a unit last stride");
  if (getOffset() < 0 || getOffset() % 64 != 0) // tile.local C2
    return emitOpError("expects an offset that is a multiple of 64, found ") << getOffset();
  if (!isa<KernelOp, scf::ForOp>((*this)->getParentOp())) // tile.local C3
    return emitOpError("expects to be in the body of a kernel, or of a loop in it");
  return success();
}

int64_t LocalOp::getEnd() {
  int64_t bytes = llvm::divideCeil(getType().getElementType().getIntOrFloatBitWidth(), 8);
  for (int64_t size : getSizes())
    bytes *= size;
  return getOffset() + bytes;
}

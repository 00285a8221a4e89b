// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of tile.fold and tile.scan. Each check names the constraint that it enforces.
#include "dialects/Tile/TileLayouts.h"

using namespace mlir;
using namespace attnc::tile;

LogicalResult FoldOp::verify() {
  if (getInputs().empty()) // tile.fold C1
    return emitOpError("expects at least one operand");
  TileType first = getInputType();
  for (Value input : getInputs()) {
    auto type = cast<TileType>(input.getType());
    Type element = type.getElementType();
    if (type.getRank() != 2 || type.getShape() != first.getShape()) // tile.fold C1
      return emitOpError("expects matrices of one shape, found ") << first << " and " << type;
    if (!element.isF32() && !element.isInteger(32) && !element.isInteger(1)) // tile.fold C5
      return emitOpError("expects elements of f32, i32 or i1, found ") << type;
    if (type.getLayout() != first.getLayout()) // tile.fold C4
      return emitOpError("expects operands of one layout, found ") << first << " and " << type;
  }
  if (getInputs().size() != getResults().size()) // tile.fold C2
    return emitOpError("expects ")
           << getInputs().size() << " results, found " << getResults().size();
  for (auto [input, result] : llvm::zip(getInputs(), getResults())) {
    TileType wanted = reducedType(cast<TileType>(input.getType()), getAxis());
    auto found = cast<TileType>(result.getType());
    if (wanted.getShape() != found.getShape() ||
        wanted.getElementType() != found.getElementType()) // tile.fold C2
      return emitOpError("expects a result like ") << wanted << ", found " << found;
    if (wanted.getLayout() != found.getLayout()) // tile.fold C4
      return emitOpError("expects a result that lies like ") << wanted << ", found " << found;
  }
  return success();
}

LogicalResult FoldOp::verifyRegions() {
  SmallVector<Type> elements;
  for (Type type : getInputs().getTypes())
    elements.push_back(cast<TileType>(type).getElementType());
  SmallVector<Type> twice(elements);
  llvm::append_range(twice, elements);
  if (!llvm::equal(getBlock()->getArgumentTypes(), twice)) // tile.fold C3
    return emitOpError("expects region arguments of the operands' element types, twice");
  if (!llvm::equal(getBlock()->getTerminator()->getOperandTypes(), elements)) // tile.fold C3
    return emitOpError("expects the region to yield the operands' element types");
  for (Operation &op : getBlock()->without_terminator())
    if (!isa<arith::ArithDialect, math::MathDialect>(op.getDialect()) ||
        op.getNumRegions() != 0) // tile.fold C5
      return op.emitOpError("is no op of a combiner: expected arith and math");
  return success();
}

LogicalResult ScalarOp::verify() {
  TileType type = getInput().getType();
  // tile.scalar C1
  if (type.getRows() != 1 || type.getCols() != 1 || type.getElementType() != getResult().getType())
    return emitOpError("expects a tile of one element, of the type of the result, found ") << type;
  return success();
}

LogicalResult ScanOp::verify() {
  TileType type = getInput().getType();
  Type element = type.getElementType();
  if (type.getRank() != 2 || (!element.isF32() && !element.isInteger(32)) ||
      getResult().getType() != type) // tile.scan C1
    return emitOpError("expects a matrix of f32 or i32 and a result of its type, found ")
           << type << " to " << getResult().getType();
  StringRef axis = getAxis() == Axis::Rows ? "rows" : "columns";
  if (getPart() < 1 || getLength() % getPart() != 0) // tile.scan C3
    return emitOpError("expects parts that are a divisor of ")
           << getLength() << " " << axis << ", found " << getPart();
  if (!type.getLayout())
    return success();
  LinearLayout layout(type.getLayout());
  if (getAxis() == Axis::Rows)
    layout = layout.transposed();
  if (!layout.holdsColumns(getPart())) // tile.scan C2
    return emitOpError("expects all elements along ")
           << axis << " that are combined in one thread, found " << type;
  return success();
}

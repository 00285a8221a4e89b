// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers and custom syntax of the tile ops. Each check names the constraint that it enforces.
#include "dialects/Tile/RowCopies.h"
#include "dialects/Tile/TileLayouts.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/FunctionImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace attnc::tile;

#include "dialects/Tile/TileEnums.cpp.inc"

//===----------------------------------------------------------------------===//
// KernelOp
//===----------------------------------------------------------------------===//

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildFuncType = [](Builder &builder, ArrayRef<Type> args, ArrayRef<Type> results,
                          function_interface_impl::VariadicFlag,
                          std::string &) { return builder.getFunctionType(args, results); };
  return function_interface_impl::parseFunctionOp(
      parser, result, /*allowVariadic=*/false, getFunctionTypeAttrName(result.name), buildFuncType,
      getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void KernelOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(printer, *this, /*isVariadic=*/false,
                                           getFunctionTypeAttrName(), getArgAttrsAttrName(),
                                           getResAttrsAttrName());
}

llvm::StringRef KernelOp::getBinding(unsigned i) {
  if (auto binding = getArgAttrOfType<StringAttr>(i, "tile.binding"))
    return binding.getValue();
  return {};
}

int64_t KernelOp::getBlockWarps() {
  int64_t warps = getNumWarps();
  for (auto roles : getBody().getOps<SpecializeOp>())
    warps += roles.getProducers();
  return warps;
}

LogicalResult KernelOp::verify() {
  size_t spaces = getGridSpaces() ? getGridSpaces()->size() : 0;
  ArrayRef<int64_t> tiles = getGridTiles().value_or(ArrayRef<int64_t>());
  bool hasGrid = getGridSpaces() || getGridTiles();
  if (hasGrid && (spaces != 3 || tiles.size() != 3)) // tile.kernel C1
    return emitOpError("expects three grid dimensions, found ")
           << spaces << " spaces and " << tiles.size() << " tiles";
  for (int64_t size : tiles)
    if (size < 1) // tile.kernel C1
      return emitOpError("expects grid tiles of at least 1, found ") << size;
  if (getNumWarps() < 1 || getNumWarps() > 32) // tile.kernel C4
    return emitOpError("expects 1 to 32 warps, found ") << static_cast<int32_t>(getNumWarps());
  for (auto [i, type] : llvm::enumerate(getArgumentTypes())) {
    if (!isa<ViewType, TensorMapType>(type) && !type.isInteger(32) &&
        !type.isF32()) // tile.kernel C2
      return emitOpError("expects arguments that are views, tensor maps, i32 or f32, found ")
             << type;
    if (!isExternal() && getBinding(i).empty()) // tile.kernel C3
      return emitOpError("expects argument ") << i << " to have a `tile.binding`";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Rows run over one of the first `count` dimensions of the view.
static LogicalResult verifyRowDim(Operation *op, int64_t rowDim, int64_t count) {
  if (rowDim < 0 || rowDim >= count)
    return op->emitOpError("expects rows over one of the first ")
           << count << " dimensions, found " << rowDim;
  return success();
}

LogicalResult LoadOp::verify() {
  ViewType view = getView().getType();
  TileType tile = getResult().getType();
  if (!view.getUnitStride()) // tile.load C1
    return emitOpError("expects a view with a unit last stride, found ") << view;
  if (view.getElementType() != tile.getElementType()) // tile.load C1
    return emitOpError("expects element type ")
           << view.getElementType() << ", found " << tile.getElementType();
  if (static_cast<int64_t>(getIndices().size()) != view.getRank() - 2) // tile.load C2
    return emitOpError("expects ")
           << view.getRank() - 2 << " indices, found " << getIndices().size();
  if (static_cast<int64_t>(getValidCols()) > tile.getCols()) // tile.load C3
    return emitOpError("expects at most ")
           << tile.getCols() << " valid columns, found " << getValidCols();
  if (tile.getRank() != 2) // tile.load C4
    return emitOpError("expects a matrix, found ") << tile;
  return verifyRowDim(*this, getRowDim(), view.getRank() - 1); // tile.load C4
}

bool attnc::tile::isStoredAs(Type from, Type to) {
  auto isReal = [](Type type) { return type.isF32() || type.isF16() || type.isBF16(); };
  return (from == to && (to.isInteger(32) || to.isInteger(1))) || (isReal(from) && isReal(to));
}

LogicalResult StoreOp::verify() {
  ViewType view = getView().getType();
  TileType tile = getValue().getType();
  if (tile.getRank() == 2 && !view.getUnitStride()) // tile.store C1
    return emitOpError("expects a view with a unit last stride, found ") << view;
  bool isNumber = view.getRank() == 0 && tile.getRank() == 1 && tile.getRows() == 1;
  if (getIndices().size() + tile.getRank() !=
      static_cast<size_t>(view.getRank()) + isNumber) // tile.store C2
    return emitOpError("expects ") << view.getRank() - static_cast<int64_t>(tile.getRank())
                                   << " indices, found " << getIndices().size();
  if (static_cast<int64_t>(getValidCols()) > tile.getCols()) // tile.store C3
    return emitOpError("expects at most ")
           << tile.getCols() << " valid columns, found " << getValidCols();
  if (!isStoredAs(tile.getElementType(), view.getElementType())) // tile.store C4
    return emitOpError("expects reals stored as reals, i32 as i32 or i1 as i1, found ")
           << tile << " into " << view;
  return verifyRowDim(*this, getRowDim(),
                      view.getRank() + isNumber - (tile.getRank() == 2 ? 1 : 0)); // tile.store C3
}

LogicalResult ElementOp::verify() {
  if (static_cast<int64_t>(getIndices().size()) != getView().getType().getRank()) // tile.element C1
    return emitOpError("expects ")
           << getView().getType().getRank() << " indices, found " << getIndices().size();
  Type element = getView().getType().getElementType();
  Type wanted = isa<FloatType>(element) ? Type(Float32Type::get(getContext())) : element;
  if (getResult().getType() != wanted) // tile.element C2
    return emitOpError("expects a result of type ")
           << wanted << ", found " << getResult().getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

LogicalResult FillOp::verify() {
  if (getValue().getType() != getResult().getType().getElementType()) // tile.fill C1
    return emitOpError("expects a value of type ")
           << getResult().getType().getElementType() << ", found " << getValue().getType();
  return success();
}

bool DotOp::fitsWarpgroups() {
  TileType lhs = getLhs().getType(), acc = getAcc().getType();
  return lhs.getElementType().getIntOrFloatBitWidth() == 16 &&
         lhs.getElementType() == getRhs().getType().getElementType() && lhs.getRows() % 64 == 0 &&
         lhs.getCols() % 16 == 0 && acc.getCols() % 16 == 0 && acc.getCols() <= 256 && !getMask();
}

LogicalResult DotOp::verify() {
  TileType lhs = getLhs().getType(), rhs = getRhs().getType(), acc = getAcc().getType();
  if (lhs.getRank() != 2 || rhs.getRank() != 2 || acc.getRank() != 2)
    return emitOpError("expects matrices"); // tile.dot C1
  int64_t depth = getTransposeRhs() ? rhs.getCols() : rhs.getRows();
  int64_t cols = getTransposeRhs() ? rhs.getRows() : rhs.getCols();
  if (lhs.getCols() != depth || lhs.getRows() != acc.getRows() || cols != acc.getCols() ||
      acc.getShape() != getResult().getType().getShape()) // tile.dot C1
    return emitOpError("expects shapes that agree, found ")
           << lhs << " times " << rhs << (getTransposeRhs() ? " transposed" : "") << " into "
           << acc;
  Type element = lhs.getElementType(), sum = acc.getElementType();
  bool isMixed = (element.isF32() && rhs.getElementType().isBF16()) ||
                 (element.isBF16() && rhs.getElementType().isF32());
  if ((element != rhs.getElementType() && !isMixed) ||
      !(element.isF16() || element.isBF16() || element.isF32()) || !sum.isF32() ||
      getResult().getType().getElementType() != sum) // tile.dot C2
    return emitOpError("expects operands of one element type among f16, bf16 and f32, or f32 and "
                       "bf16, and an f32 accumulator and result, found ")
           << lhs << " times " << rhs << " into " << acc << " to " << getResult().getType();
  if (acc.getLayout() != getResult().getType().getLayout()) // tile.dot C3
    return emitOpError("expects a result with the accumulator's layout, found ")
           << acc << " and " << getResult().getType();
  if (getWarpgroup() && !fitsWarpgroups()) // tile.dot C5
    return emitOpError(
               "expects 16-bit operands, rows that are a multiple of 64, a depth that is one "
               "of 16, at most 256 columns that are a multiple of 16 and no mask for "
               "warpgroups, found ")
           << lhs << " times " << rhs << " into " << acc;
  if (getDelayed() && !getWarpgroup()) // tile.dot C6
    return emitOpError("expects `warpgroup` where it is `delayed`");
  if (getPrecision() == Precision::TwoBF16 &&
      !(element.isF32() && rhs.getElementType().isBF16())) // tile.dot C7
    return emitOpError("expects f32 times bf16 for `two_bf16`, found ") << lhs << " times " << rhs;
  if (!getMask())
    return success();
  TileType mask = getMask().getType();
  if (!mask.getElementType().isInteger(32) || mask.getShape() != lhs.getShape() ||
      (lhs.getLayout() && mask.getLayout() != lhs.getLayout())) // tile.dot C4
    return emitOpError("expects a mask of i32 that lies where the left operand does, found ")
           << mask << " for " << lhs;
  if (getTransposeRhs() || isMixed) // tile.dot C4
    return emitOpError("expects a right operand of the left one's type that is not transposed with "
                       "a mask");
  return success();
}

/// Whether a map can compute with elements of this type.
static bool isMapElement(Type type) {
  return type.isF32() || type.isInteger(32) || type.isInteger(1);
}

LogicalResult MapOp::verify() {
  TileType result = getResult().getType();
  SmallVector<Type> types(getInputs().getTypes());
  types.push_back(result);
  for (Type type : types)
    if (!isMapElement(cast<TileType>(type).getElementType())) // tile.map C5
      return emitOpError("expects tiles of f32, i32 or i1, found ")
             << type << ": cast before and after";
  for (Value input : getInputs()) {
    auto type = cast<TileType>(input.getType());
    bool rowValues = type.getRank() == 1 && type.getRows() == result.getRows();
    bool columnValues =
        type.getRank() == 2 && type.getRows() == 1 && type.getCols() == result.getCols();
    if (type.getShape() != result.getShape() &&
        !(result.getRank() == 2 && (rowValues || columnValues))) // tile.map C1
      return emitOpError("expects an operand with the result's rows and columns, found ") << type;
    if (type.getLayout() != operandLayout(type, result)) // tile.map C4
      return emitOpError("expects operands that lie where the result does, found ")
             << type << " for " << result;
  }
  return success();
}

LogicalResult MapOp::verifyRegions() {
  TileType result = getResult().getType();
  Block &block = getBody().front();
  size_t coordinates = result.getRank();
  if (block.getNumArguments() != getInputs().size() + coordinates) // tile.map C2
    return emitOpError("expects ") << getInputs().size() + coordinates
                                   << " region arguments, found " << block.getNumArguments();
  for (auto [input, arg] : llvm::zip(getInputs(), block.getArguments()))
    if (cast<TileType>(input.getType()).getElementType() != arg.getType()) // tile.map C2
      return emitOpError("expects a region argument of type ")
             << cast<TileType>(input.getType()).getElementType() << ", found " << arg.getType();
  for (BlockArgument arg : block.getArguments().take_back(coordinates))
    if (!arg.getType().isInteger(32)) // tile.map C2
      return emitOpError("expects i32 coordinates, found ") << arg.getType();
  auto yield = cast<YieldOp>(block.getTerminator());
  if (yield.getNumOperands() != 1 ||
      yield.getValue().getType() != result.getElementType()) // tile.map C3
    return emitOpError("expects the region to yield ") << result.getElementType();
  return success();
}

LogicalResult ReduceOp::verify() {
  TileType input = getInput().getType(), result = getResult().getType();
  Type element = input.getElementType();
  if (input.getRank() != 2) // tile.reduce C1
    return emitOpError("expects a matrix, found ") << input;
  if (!element.isF32() && !element.isInteger(32)) // tile.reduce C3
    return emitOpError("expects elements of f32 or i32, found ") << input;
  TileType wanted = reducedType(input, getAxis());
  if (wanted.getShape() != result.getShape() ||
      element != result.getElementType()) // tile.reduce C1
    return emitOpError("expects a matrix reduced to one value for each ")
           << (getAxis() == Axis::Columns ? "row" : "column") << ", found " << input << " to "
           << result;
  if (result.getLayout() != wanted.getLayout()) // tile.reduce C2
    return emitOpError("expects a result that lies where the input's ")
           << (getAxis() == Axis::Columns ? "rows" : "columns") << " do, found " << input << " to "
           << result;
  return success();
}

LogicalResult CastOp::verify() {
  if (getInput().getType().getShape() != getResult().getType().getShape()) // tile.cast C1
    return emitOpError("expects equal shapes, found ")
           << getInput().getType() << " and " << getResult().getType();
  if (getInput().getType().getLayout() != getResult().getType().getLayout()) // tile.cast C2
    return emitOpError("expects equal layouts, found ")
           << getInput().getType() << " and " << getResult().getType();
  Type from = getInput().getType().getElementType(), to = getResult().getType().getElementType();
  auto isNarrow = [](Type type) { return type.isF16() || type.isBF16(); };
  if (from != to && !(from.isF32() && isNarrow(to)) &&
      !(isNarrow(from) && to.isF32())) // tile.cast C3
    return emitOpError("expects a conversion between f32 and f16 or bf16, found ")
           << from << " to " << to;
  return success();
}

LogicalResult AnyOp::verify() {
  Type element = getInput().getType().getElementType();
  if (!element.isInteger(32) && !element.isInteger(1)) // tile.any C1
    return emitOpError("expects elements of type i32 or i1, found ") << getInput().getType();
  return success();
}

//===----------------------------------------------------------------------===//
// Shared memory and asynchronous copies
//===----------------------------------------------------------------------===//

LogicalResult AllocOp::verify() {
  std::optional<uint64_t> offset = getOffset();
  if (offset && (static_cast<int64_t>(*offset) < 0 || *offset % 16 != 0)) // tile.alloc C1
    return emitOpError("expects an offset that is a multiple of 16, found ")
           << static_cast<int64_t>(*offset);
  return success();
}

LogicalResult attnc::tile::verifyRowCopy(Operation *op, const RowCopy &copy) {
  if (!copy.view.getUnitStride()) // tile.async_copy C1
    return op->emitOpError("expects a view with a unit last stride, found ") << copy.view;
  if (copy.view.getElementType() != copy.buffer.getElementType()) // tile.async_copy C1
    return op->emitOpError("expects element type ")
           << copy.view.getElementType() << ", found " << copy.buffer.getElementType();
  if (static_cast<int64_t>(copy.numIndices) != copy.view.getRank() - 2) // tile.async_copy C2
    return op->emitOpError("expects ")
           << copy.view.getRank() - 2 << " indices, found " << copy.numIndices;
  if (copy.validCols > copy.buffer.getShape()[2]) // tile.async_copy C3
    return op->emitOpError("expects at most ")
           << copy.buffer.getShape()[2] << " valid columns, found " << copy.validCols;
  int64_t element = copy.buffer.getElementType().getIntOrFloatBitWidth() / 8;
  if (copy.vectorBytes < std::max<int64_t>(2, element) || copy.vectorBytes > 16 ||
      !llvm::isPowerOf2_64(copy.vectorBytes)) // tile.async_copy C4
    return op->emitOpError(
               "expects copies by a power of two of bytes, from an element to 16, found ")
           << copy.vectorBytes;
  return verifyRowDim(op, copy.rowDim, copy.view.getRank() - 1); // tile.async_copy C2
}

LogicalResult AsyncCopyOp::verify() {
  BufferType buffer = getBuffer().getType();
  if (getToken().getType().getBuffer() != buffer) // tile.async_copy C5
    return emitOpError("expects a token of ") << buffer << ", found " << getToken().getType();
  return verifyRowCopy(
      *this, {getView().getType(), buffer, getIndices().size(), static_cast<int64_t>(getRowDim()),
              static_cast<int64_t>(getValidCols()), static_cast<int32_t>(getVectorBytes())});
}

LogicalResult WaitOp::verify() {
  if (getTokens().size() != getSlots().size()) // tile.wait C1
    return emitOpError("expects one slot for each token, found ")
           << getTokens().size() << " tokens and " << getSlots().size() << " slots";
  for (auto [token, slot] : llvm::zip(getTokens(), getSlots())) {
    Type buffer = cast<TokenType>(token.getType()).getBuffer();
    if (cast<SlotType>(slot.getType()).getBuffer() != buffer) // tile.wait C1
      return emitOpError("expects a slot of ") << buffer << ", found " << slot.getType();
  }
  if (static_cast<int32_t>(getPending()) < 0) // tile.wait C2
    return emitOpError("expects 0 or more pending groups, found ")
           << static_cast<int32_t>(getPending());
  return success();
}

LogicalResult ReadOp::verify() {
  BufferType buffer = getSlot().getType().getBuffer();
  TileType tile = getResult().getType();
  SmallVector<int64_t, 2> shape(buffer.getShape().drop_front());
  if (getTransposed())
    std::swap(shape.front(), shape.back());
  if (tile.getShape() != ArrayRef(shape) ||
      tile.getElementType() != buffer.getElementType()) // tile.read C1
    return emitOpError("expects a tile like a stage of ") << buffer << ", found " << tile;
  auto isLeft = [](OpOperand &use) {
    auto dot = dyn_cast<DotOp>(use.getOwner());
    return dot && &use == &dot.getLhsMutable();
  };
  if (getTransposed() && (tile.getElementType().getIntOrFloatBitWidth() != 16 ||
                          !llvm::all_of(getResult().getUses(), isLeft))) // tile.read C2
    return emitOpError("expects to be transposed for left operands of 16 bits, found ") << tile;
  return success();
}

#define GET_OP_CLASSES
#include "dialects/Tile/TileOps.cpp.inc"

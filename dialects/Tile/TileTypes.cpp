// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Types and attributes of the tile dialect: syntax and verification.
#include "dialects/Tile/Tile.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc::tile;

#define GET_ATTRDEF_CLASSES
#include "dialects/Tile/TileAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Tile/TileTypes.cpp.inc"

void TileDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Tile/TileTypes.cpp.inc"
      >();
}

void TileDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Tile/TileAttrs.cpp.inc"
      >();
}

int64_t SharedLayoutAttr::offsetOf(int64_t row, int64_t byteColumn) const {
  int64_t panel = getPanelBytes() ? byteColumn / getPitch() : 0;
  int64_t inPanel = byteColumn - panel * getPitch();
  int64_t chunk = inPanel / 16;
  return panel * getPanelBytes() + row * getPitch() +
         16 * (chunk ^ ((row >> getShift()) & getMask())) + byteColumn % 16;
}

// `<` rank `x` type (`,` `unit`)? `>`
Type ViewType::parse(AsmParser &parser) {
  SmallVector<int64_t> dims;
  Type elementType;
  bool unit = false;
  if (parser.parseLess() || parser.parseDimensionList(dims, /*allowDynamic=*/false) ||
      parser.parseType(elementType))
    return {};
  if (dims.size() != 1) {
    parser.emitError(parser.getCurrentLocation(), "expects the rank of the view, as in 4xf16");
    return {};
  }
  if (succeeded(parser.parseOptionalComma())) {
    if (parser.parseKeyword("unit"))
      return {};
    unit = true;
  }
  if (parser.parseGreater())
    return {};
  return ViewType::get(parser.getContext(), dims[0], elementType, unit);
}

void ViewType::print(AsmPrinter &printer) const {
  printer << "<" << getRank() << "x" << getElementType();
  if (getUnitStride())
    printer << ", unit";
  printer << ">";
}

LogicalResult LinearLayoutAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                                       llvm::ArrayRef<int32_t> registerBases,
                                       llvm::ArrayRef<int32_t> laneBases,
                                       llvm::ArrayRef<int32_t> warpBases) {
  int32_t seen[2] = {0, 0}; // bits of rows and of columns
  for (llvm::ArrayRef<int32_t> bases : {registerBases, laneBases, warpBases}) {
    if (bases.size() % 2 != 0) // #tile.linear C1
      return emitError() << "expects a row and a column for each bit, found " << bases.size()
                         << " numbers";
    for (auto [i, value] : llvm::enumerate(bases)) {
      if (value < 0) // #tile.linear C1
        return emitError() << "expects basis vectors that are not negative, found " << value;
      if (seen[i % 2] & value) // #tile.linear C2
        return emitError()
               << "expects basis vectors without common bits, found another with bits of " << value;
      seen[i % 2] |= value;
    }
  }
  return success();
}

// `<` dims `x` type (`,` layout)? `>`
Type TileType::parse(AsmParser &parser) {
  SmallVector<int64_t> dims;
  Type elementType;
  LinearLayoutAttr layout;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseDimensionList(dims, /*allowDynamic=*/false) ||
      parser.parseType(elementType))
    return {};
  if (succeeded(parser.parseOptionalComma()) && parser.parseAttribute(layout))
    return {};
  if (parser.parseGreater())
    return {};
  return parser.getChecked<TileType>(loc, parser.getContext(), dims, elementType, layout);
}

void TileType::print(AsmPrinter &printer) const {
  printer << "<";
  printer.printDimensionList(getShape());
  printer << "x" << getElementType();
  if (getLayout())
    printer << ", " << getLayout();
  printer << ">";
}

LogicalResult TileType::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                               llvm::ArrayRef<int64_t> shape, Type elementType, LinearLayoutAttr) {
  if (shape.empty() || shape.size() > 2)
    return emitError() << "expects a tile of rank 1 or 2, found rank " << shape.size();
  for (int64_t size : shape)
    if (size <= 0)
      return emitError() << "expects positive tile sizes, found " << size;
  if (!elementType.isIntOrFloat())
    return emitError() << "expects an integer or float element type, found " << elementType;
  return success();
}

// `<` stages `x` rows `x` cols `x` type `,` layout `>`
Type BufferType::parse(AsmParser &parser) {
  SmallVector<int64_t> dims;
  Type elementType;
  SharedLayoutAttr layout;
  if (parser.parseLess() || parser.parseDimensionList(dims, /*allowDynamic=*/false) ||
      parser.parseType(elementType) || parser.parseComma() || parser.parseAttribute(layout) ||
      parser.parseGreater())
    return {};
  if (dims.size() != 3) {
    parser.emitError(parser.getCurrentLocation(), "expects stages x rows x columns");
    return {};
  }
  return BufferType::get(parser.getContext(), dims, elementType, layout);
}

void BufferType::print(AsmPrinter &printer) const {
  printer << "<";
  printer.printDimensionList(getShape());
  printer << "x" << getElementType() << ", " << getLayout() << ">";
}

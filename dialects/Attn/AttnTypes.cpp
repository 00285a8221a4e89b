// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Types of the attn dialect: syntax and verification.
#include "dialects/Attn/Attn.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc::attn;

#define GET_TYPEDEF_CLASSES
#include "dialects/Attn/AttnTypes.cpp.inc"

void AttnDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Attn/AttnTypes.cpp.inc"
      >();
}

llvm::StringRef AttnTensorType::getAxisName(unsigned i) const {
  if (auto name = dyn_cast<StringAttr>(getAxes()[i]))
    return name.getValue();
  return {};
}

int64_t AttnTensorType::getAxisSize(unsigned i) const {
  if (auto size = dyn_cast<IntegerAttr>(getAxes()[i]))
    return size.getInt();
  return -1;
}

LogicalResult AttnTensorType::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                                     llvm::ArrayRef<Attribute> axes, Type elementType) {
  for (Attribute axis : axes) {
    if (auto name = dyn_cast<StringAttr>(axis)) {
      if (name.getValue().empty())
        return emitError() << "expects an axis to have a name, found \"\"";
      continue;
    }
    auto size = dyn_cast<IntegerAttr>(axis);
    if (!size)
      return emitError() << "expects an axis to be an index space or a size, found " << axis;
    if (size.getInt() <= 0)
      return emitError() << "expects a positive axis size, found " << size.getInt();
  }
  if (!isa<NoneType>(elementType) && !elementType.isF32() && !elementType.isF16() &&
      !elementType.isBF16() && !elementType.isInteger(32) && !elementType.isInteger(1))
    return emitError() << "expects element type f32, f16, bf16, i32 or i1, found " << elementType;
  return success();
}

// `<` `[` axis (`,` axis)* `]` (`,` type)? `>`
Type AttnTensorType::parse(AsmParser &parser) {
  SmallVector<Attribute> axes;
  Builder builder(parser.getContext());
  auto parseAxis = [&]() -> ParseResult {
    int64_t size;
    OptionalParseResult parsed = parser.parseOptionalInteger(size);
    if (parsed.has_value()) {
      if (failed(*parsed))
        return failure();
      axes.push_back(builder.getI64IntegerAttr(size));
      return success();
    }
    std::string name;
    if (parser.parseKeywordOrString(&name))
      return failure();
    axes.push_back(builder.getStringAttr(name));
    return success();
  };
  Type elementType = builder.getNoneType();
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseAxis))
    return {};
  if (succeeded(parser.parseOptionalComma()) && parser.parseType(elementType))
    return {};
  if (parser.parseGreater())
    return {};
  return parser.getChecked<AttnTensorType>(loc, parser.getContext(), axes, elementType);
}

void AttnTensorType::print(AsmPrinter &printer) const {
  printer << "<[";
  llvm::interleaveComma(getAxes(), printer, [&](Attribute axis) {
    if (auto name = dyn_cast<StringAttr>(axis))
      printer.printKeywordOrString(name.getValue());
    else
      printer << cast<IntegerAttr>(axis).getInt();
  });
  printer << "]";
  if (!hasOperandElementType())
    printer << ", " << getElementType();
  printer << ">";
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers and custom syntax of the attn ops. Each check names the constraint of AttnOps.td that it
// enforces.
#include "dialects/Attn/Attn.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc::attn;

#include "dialects/Attn/AttnEnums.cpp.inc"

/// `keyword region`, or nothing for an empty region.
static ParseResult parseOptionalRegion(OpAsmParser &parser, StringRef keyword, Region &region) {
  if (failed(parser.parseOptionalKeyword(keyword)))
    return success();
  SmallVector<OpAsmParser::Argument> args;
  if (parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren, /*allowType=*/true))
    return failure();
  return parser.parseRegion(region, args);
}

static void printOptionalRegion(OpAsmPrinter &printer, Operation *, StringRef keyword,
                                Region &region) {
  if (region.empty())
    return;
  printer.printNewline();
  printer << "  " << keyword << "(";
  llvm::interleaveComma(region.getArguments(), printer,
                        [&](BlockArgument arg) { printer.printRegionArgument(arg); });
  printer << ") ";
  printer.printRegion(region, /*printEntryBlockArgs=*/false);
}

static bool isIdentifier(StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name, [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

LogicalResult VariantOp::verifyRegions() {
  Block &block = getBody().front();
  // attn.variant C1
  if (block.empty() || !isa<ReturnOp>(block.back()))
    return emitOpError("expects a body that ends with attn.return");
  // attn.variant C2
  llvm::StringMap<Operation *> names;
  for (Operation &op : block) {
    StringRef name;
    if (auto param = dyn_cast<ParamOp>(op))
      name = param.getName();
    else if (auto input = dyn_cast<InputOp>(op))
      name = input.getName();
    else
      continue;
    auto [it, isNew] = names.try_emplace(name, &op);
    if (isNew)
      continue;
    InFlightDiagnostic diagnostic = op.emitOpError() << "expects a unique name, but `" << name << "` is taken";
    diagnostic.attachNote(it->second->getLoc()) << "first used here";
    return diagnostic;
  }
  return success();
}

LogicalResult ParamOp::verify() {
  // attn.param C1
  if (getDefaultValueAttr().getType() != getResult().getType())
    return emitOpError() << "expects a default value of type " << getResult().getType() << ", found "
                         << getDefaultValueAttr().getType();
  // attn.param C2
  if (!isIdentifier(getName()))
    return emitOpError() << "expects a name of letters, digits and `_`, found \"" << getName() << "\"";
  return success();
}

LogicalResult InputOp::verify() {
  // attn.input C1
  if (!isIdentifier(getName()))
    return emitOpError() << "expects a name of letters, digits and `_`, found \"" << getName() << "\"";
  // attn.input C2
  AttnTensorType type = getResult().getType();
  for (unsigned i = 0; i < type.getRank(); ++i)
    if (!type.getAxisName(i).empty() && !isIndexSpace(type.getAxisName(i)))
      return emitOpError() << "expects axes over the index spaces b, h, g, q, kv, d and e or fixed sizes, found `"
                           << type.getAxisName(i) << "`";
  return success();
}

LogicalResult SizeOp::verify() {
  // attn.size C1
  if (!isIndexSpace(getSpace()))
    return emitOpError() << "expects one of the index spaces b, h, g, q, kv, d and e, found \"" << getSpace() << "\"";
  return success();
}

LogicalResult ReadOp::verify() {
  AttnTensorType type = getTensor().getType();
  // attn.read C1
  if (getIndices().size() != type.getRank()) {
    InFlightDiagnostic diagnostic = emitOpError() << "expects " << type.getRank() << " indices, one for each axis, found "
                                                  << getIndices().size();
    if (Operation *definition = getTensor().getDefiningOp())
      diagnostic.attachNote(definition->getLoc()) << "the tensor is " << type;
    return diagnostic;
  }
  // attn.read C2
  Type element = type.getElementType();
  Type expected = isa<IntegerType>(element) ? element : Float32Type::get(getContext());
  if (getResult().getType() != expected)
    return emitOpError() << "expects a result of type " << expected << ", found " << getResult().getType();
  return success();
}

/// Checks that `type` is over `axes` with element type `element` (none: the operand dtype).
static LogicalResult verifyTensor(AttendOp op, StringRef what, AttnTensorType type, ArrayRef<StringRef> axes,
                                  Type element) {
  SmallVector<Attribute> names;
  for (StringRef axis : axes)
    names.push_back(StringAttr::get(op.getContext(), axis));
  auto expected = AttnTensorType::get(op.getContext(), names, element);
  if (type == expected)
    return success();
  return op.emitOpError() << "expects " << what << " of type " << expected << ", found " << type;
}

LogicalResult AttendOp::verify() {
  Type operand = NoneType::get(getContext()), real = Float32Type::get(getContext());
  // attn.attend C1
  if (failed(verifyTensor(*this, "a query", getQuery().getType(), {"b", "h", "q", "d"}, operand)) ||
      failed(verifyTensor(*this, "a key", getKey().getType(), {"b", "g", "kv", "d"}, operand)) ||
      failed(verifyTensor(*this, "a value", getValue().getType(), {"b", "g", "kv", "e"}, operand)))
    return failure();
  // attn.attend C2
  if (failed(verifyTensor(*this, "an out", getOut().getType(), {"b", "h", "q", "e"}, operand)) ||
      failed(verifyTensor(*this, "an lse", getLse().getType(), {"b", "h", "q"}, real)))
    return failure();
  return success();
}

/// Checks one region of attend against its argument and result types.
static LogicalResult verifyRegion(AttendOp op, StringRef what, Region &region, bool hasScore, unsigned numCoordinates,
                                  Type result) {
  if (region.empty())
    return success();
  Block &block = region.front();
  Builder builder(op.getContext());
  SmallVector<Type> expected(hasScore ? 1 : 0, builder.getF32Type());
  expected.append(numCoordinates, builder.getI32Type());
  // attn.attend C3
  if (block.getArgumentTypes() != TypeRange(expected)) {
    InFlightDiagnostic diagnostic = op.emitOpError() << "expects arguments (";
    llvm::interleaveComma(expected, diagnostic);
    diagnostic << ") of the " << what << " region, found (";
    llvm::interleaveComma(block.getArgumentTypes(), diagnostic);
    diagnostic << ")";
    return diagnostic;
  }
  // attn.attend C4
  auto yield = block.empty() ? YieldOp() : dyn_cast<YieldOp>(block.back());
  if (!yield)
    return op.emitOpError() << "expects the " << what << " region to end with attn.yield";
  if (yield.getValue().getType() != result) {
    InFlightDiagnostic diagnostic = op.emitOpError() << "expects the " << what << " region to yield " << result
                                                     << ", found " << yield.getValue().getType();
    diagnostic.attachNote(yield.getLoc()) << "yielded here";
    return diagnostic;
  }
  // attn.attend C5
  for (Operation &inner : block.without_terminator()) {
    StringRef dialect = inner.getName().getDialectNamespace();
    bool isScalar = (dialect == "arith" || dialect == "math") && inner.getNumRegions() == 0 &&
                    llvm::none_of(inner.getResultTypes(), llvm::IsaPred<ShapedType>);
    if (isScalar || isa<ReadOp, PositionOp, SizeOp>(inner))
      continue;
    InFlightDiagnostic diagnostic = op.emitOpError() << "expects scalar arithmetic, attn.read, attn.position and "
                                                        "attn.size in the "
                                                     << what << " region, found `" << inner.getName() << "`";
    diagnostic.attachNote(inner.getLoc()) << "found here";
    return diagnostic;
  }
  return success();
}

LogicalResult AttendOp::verifyRegions() {
  Type real = Float32Type::get(getContext()), condition = IntegerType::get(getContext(), 1);
  if (failed(verifyRegion(*this, "score", getScore(), /*hasScore=*/true, 4, real)) ||
      failed(verifyRegion(*this, "mask", getMask(), /*hasScore=*/false, 4, condition)) ||
      failed(verifyRegion(*this, "sink", getSink(), /*hasScore=*/false, 3, real)))
    return failure();
  return success();
}

LogicalResult ReturnOp::verify() {
  // attn.return C1
  if (getNames().size() != getValues().size())
    return emitOpError() << "expects one name for each value, found " << getNames().size() << " names and "
                         << getValues().size() << " values";
  // attn.return C2
  llvm::StringSet<> names;
  for (auto name : getNames().getAsRange<StringAttr>())
    if (!names.insert(name.getValue()).second)
      return emitOpError() << "expects unique names, but `" << name.getValue() << "` occurs twice";
  return success();
}

#define GET_OP_CLASSES
#include "dialects/Attn/AttnOps.cpp.inc"

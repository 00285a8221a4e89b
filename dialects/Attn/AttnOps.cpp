// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers and custom syntax of the attn ops. Each check names the constraint of AttnOps.td that
// it enforces.
#include "VerifyRegions.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc::attn;

#include "dialects/Attn/AttnEnums.cpp.inc"

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
    InFlightDiagnostic diagnostic = op.emitOpError()
                                    << "expects a unique name, but `" << name << "` is taken";
    diagnostic.attachNote(it->second->getLoc()) << "first used here";
    return diagnostic;
  }
  return success();
}

LogicalResult ParamOp::verify() {
  // attn.param C1
  if (getDefaultValueAttr().getType() != getResult().getType())
    return emitOpError() << "expects a default value of type " << getResult().getType()
                         << ", found " << getDefaultValueAttr().getType();
  // attn.param C2
  if (!isIdentifier(getName()))
    return emitOpError() << "expects a name of letters, digits and `_`, found \"" << getName()
                         << "\"";
  return success();
}

LogicalResult InputOp::verify() {
  // attn.input C1
  if (!isIdentifier(getName()))
    return emitOpError() << "expects a name of letters, digits and `_`, found \"" << getName()
                         << "\"";
  // attn.input C2
  AttnTensorType type = getResult().getType();
  for (unsigned i = 0; i < type.getRank(); ++i)
    if (!type.getAxisName(i).empty() && !isKnownSpace(*this, type.getAxisName(i)))
      return emitOpError() << "expects axes over the index spaces b, h, g, q, kv, t, d and e, "
                              "declared spaces or fixed "
                              "sizes, found `"
                           << type.getAxisName(i) << "`";
  // attn.input C3
  if (SampleAttr sample = getSampleAttr())
    for (Attribute arg : sample.getArgs())
      if (auto space = dyn_cast<StringAttr>(arg); space && !isKnownSpace(*this, space.getValue()))
        return emitOpError() << "expects the size of an index space, found `" << space.getValue()
                             << "`";
  return success();
}

LogicalResult SizeOp::verify() {
  // attn.size C1
  if (!isKnownSpace(*this, getSpace()))
    return emitOpError() << "expects one of the index spaces b, h, g, q, kv, t, d and e or a "
                            "declared one, found \""
                         << getSpace() << "\"";
  return success();
}

LogicalResult ReadOp::verify() {
  AttnTensorType type = getTensor().getType();
  // attn.read C1
  if (getIndices().size() != type.getRank()) {
    InFlightDiagnostic diagnostic = emitOpError()
                                    << "expects " << type.getRank()
                                    << " indices, one for each axis, found " << getIndices().size();
    if (Operation *definition = getTensor().getDefiningOp())
      diagnostic.attachNote(definition->getLoc()) << "the tensor is " << type;
    return diagnostic;
  }
  // attn.read C2
  Type element = type.getElementType();
  Type expected = isa<IntegerType>(element) ? element : Float32Type::get(getContext());
  if (getResult().getType() != expected)
    return emitOpError() << "expects a result of type " << expected << ", found "
                         << getResult().getType();
  return success();
}

/// `type` with `axes` and an element type (none: the operand dtype).
static AttnTensorType over(AttnTensorType type, ArrayRef<Attribute> axes, Type element) {
  return AttnTensorType::get(type.getContext(), axes, element);
}

LogicalResult AttendOp::verify() {
  AttnTensorType query = getQuery().getType(), key = getKey().getType(),
                 value = getValue().getType();
  Type real = Float32Type::get(getContext());
  // attn.attend C1
  for (auto [what, type] :
       {std::pair("query", query), std::pair("key", key), std::pair("value", value)}) {
    if (type.getRank() < 2 || type.getAxisName(type.getRank() - 2).empty())
      return emitOpError() << "expects a " << what
                           << " that ends with a space of rows and a dimension, found " << type;
    if (isa<IntegerType>(type.getElementType()))
      return emitOpError() << "expects a " << what << " of reals, found " << type;
  }
  StringRef keySpace = getKeySpace();
  if (value.getAxisName(value.getRank() - 2) != keySpace)
    return emitOpError() << "expects keys and values over one space, found " << key << " and "
                         << value;
  if (key.getAxes().back() != query.getAxes().back())
    return emitOpError() << "expects keys of the query's dimension, found " << query << " and "
                         << key;
  if (llvm::is_contained(query.getAxes(), key.getAxes()[key.getRank() - 2]))
    return emitOpError() << "expects a key space that is no axis of the query, found " << query
                         << " and " << key;
  // attn.attend C8
  PartsAttr parts = getPartsAttr();
  if (static_cast<bool>(parts) != static_cast<bool>(getLargest()))
    return emitOpError("expects `largest` as a result with `parts`, and only then");
  if (parts && (getSet() || getTile() || getWeights() || !getSink().empty()))
    return emitOpError("expects no set, tile, sink or weights with `parts`");
  if (parts && !isKnownSpace(*this, parts.getSpace().getValue()))
    return emitOpError() << "expects a declared index space of parts, found " << parts.getSpace();
  // attn.attend C2
  SmallVector<Attribute> rows(query.getAxes().drop_back());
  if (parts)
    rows.push_back(parts.getSpace());
  SmallVector<Attribute> outAxes(rows), weightAxes(rows);
  outAxes.push_back(value.getAxes().back());
  weightAxes.push_back(key.getAxes()[key.getRank() - 2]);
  // The operand dtype, also where attn-specialize has put a type in its place; else f32.
  Type outElement = getOut().getType().getElementType();
  bool isOperand = !parts && (isa<NoneType>(outElement) || outElement == query.getElementType() ||
                              outElement == key.getElementType());
  for (auto [what, type, expected] :
       {std::tuple("out", getOut().getType(), over(query, outAxes, isOperand ? outElement : real)),
        std::tuple("lse", getLse().getType(), over(query, rows, real)),
        std::tuple("largest",
                   parts ? cast<AttnTensorType>(getLargest().getType()) : over(query, rows, real),
                   over(query, rows, real)),
        std::tuple("weights",
                   getWeights() ? cast<AttnTensorType>(getWeights().getType())
                                : over(query, weightAxes, real),
                   over(query, weightAxes, real))})
    if (type != expected)
      return emitOpError() << "expects " << (StringRef(what) == "weights" ? "" : "an ") << what
                           << " of type " << expected << ", found " << type;
  // attn.attend C6
  if (TypedValue<AttnTensorType> set = getSet()) {
    AttnTensorType type = set.getType();
    StringRef last = type.getRank() ? type.getAxisName(type.getRank() - 1) : StringRef();
    if (!type.getElementType().isInteger(1) || !isBlockOf(*this, last, keySpace))
      return emitOpError() << "expects a set of i1 whose last axis is `" << keySpace
                           << "` or a space of blocks of it, found " << type;
  }
  // attn.attend C9
  if (static_cast<bool>(getVisits()) != getVisitKeys().has_value())
    return emitOpError("expects the number of a block's keys with `visits`, and only then");
  if (TypedValue<AttnTensorType> visits = getVisits()) {
    AttnTensorType type = visits.getType();
    SpaceOp rowBlocks, slots;
    if (type.getRank() >= 2) {
      rowBlocks = findSpace(*this, type.getAxisName(type.getRank() - 2));
      slots = findSpace(*this, type.getAxisName(type.getRank() - 1));
    }
    bool areRows = rowBlocks && rowBlocks.getParent() == query.getAxisName(query.getRank() - 2) &&
                   !rowBlocks.getStride();
    if (!type.getElementType().isInteger(32) || !areRows || !slots || slots.getParent())
      return emitOpError() << "expects visits of i32 over blocks of `"
                           << query.getAxisName(query.getRank() - 2)
                           << "` that do not overlap and slots, found " << type;
    if (*getVisitKeys() < 1)
      return emitOpError() << "expects blocks of at least one key, found " << *getVisitKeys();
    if (getSet() || getTile() || parts)
      return emitOpError("expects no set, tile or parts with `visits`");
  }
  // attn.attend C7
  if ((!getSkip().empty() || getWeightFormat()) && !getTile())
    return emitOpError("expects `tile` with `skip` and a format of weights, which depend on it");
  if ((getWeightScale() || getWeightGroup()) && !getWeightFormat())
    return emitOpError("expects a format of weights with their scale or group");
  if (getSkipRows()) {
    StringRef rowSpace = query.getAxisName(query.getRank() - 2);
    SpaceOp blocks = findSpace(*this, *getSkipRows());
    if (getSkip().empty() || !blocks || blocks.getParent() != rowSpace || blocks.getStride())
      return emitOpError() << "expects `skip` for blocks of `" << rowSpace
                           << "` that do not overlap, found \"" << *getSkipRows() << "\"";
  }
  return success();
}

bool AttendOp::isPlain() {
  // Of the operand dtype, or of what stands for it in a variant that is specialised.
  Type element = getQuery().getType().getElementType();
  bool isOperand = getQuery().getType().hasOperandElementType() ||
                   (isa<FloatType>(element) && findSpace(*this, "d") && findSpace(*this, "e"));
  auto hasAxes = [&](AttnTensorType type, ArrayRef<StringRef> names) {
    if (type.getRank() != names.size() || !isOperand || type.getElementType() != element)
      return false;
    for (auto [i, name] : llvm::enumerate(names))
      if (type.getAxisName(i) != name)
        return false;
    return true;
  };
  return hasAxes(getQuery().getType(), {"b", "h", "q", "d"}) &&
         hasAxes(getKey().getType(), {"b", "g", "kv", "d"}) &&
         hasAxes(getValue().getType(), {"b", "g", "kv", "e"}) &&
         getQuery().getDefiningOp<InputOp>() && getKey().getDefiningOp<InputOp>() &&
         getValue().getDefiningOp<InputOp>() && !getSet() && getSkip().empty() &&
         !getWeightFormat() && !getWeights();
}

LogicalResult AttendOp::verifyRegions() {
  Type real = Float32Type::get(getContext()), condition = IntegerType::get(getContext(), 1);
  Type index = IntegerType::get(getContext(), 32);
  SmallVector<Type> row(getNumOuter() + 1, index), point(getNumOuter() + 2, index), scored{real};
  scored.append(point);
  if (failed(verifyScalarRegion(*this, "score", getScore(), scored, real)) ||
      failed(verifyScalarRegion(*this, "mask", getMask(), point, condition)) ||
      failed(verifyScalarRegion(*this, "sink", getSink(), row, real)) ||
      failed(verifyScalarRegion(*this, "skip", getSkip(), {real, real}, condition)))
    return failure();
  return success();
}

LogicalResult YieldOp::verify() {
  // attn.yield C1
  if (!isa_and_nonnull<AttnDialect>((*this)->getParentOp()->getDialect()))
    return emitOpError() << "expects to end a region of the attn dialect, found one of `"
                         << (*this)->getParentOp()->getName() << "`";
  return success();
}

static LogicalResult verifyReuse(ReturnOp op) {
  if (!op.getReuses())
    return success();
  // attn.return C3
  if (op.getReuses()->size() != op.getNames().size())
    return op.emitOpError() << "expects `reuses` to have an entry for each name, found "
                            << op.getReuses()->size() << " and " << op.getNames().size();
  // attn.return C4
  llvm::StringSet<> reused;
  for (unsigned i = 0; i < op.getNames().size(); ++i) {
    StringRef name = cast<StringAttr>((*op.getReuses())[i]).getValue();
    InputOp input = op.getReused(i);
    bool isOther = input && input.getType() != op.getValues()[i].getType();
    if (!name.empty() && (isOther || !reused.insert(name).second))
      return op.emitOpError() << "expects " << op.getNames()[i]
                              << " to reuse an input of its type, which no other output reuses, "
                                 "found `"
                              << name << "`";
  }
  return success();
}

LogicalResult ReturnOp::verify() {
  // attn.return C1
  if (getNames().size() != getValues().size())
    return emitOpError() << "expects one name for each value, found " << getNames().size()
                         << " names and " << getValues().size() << " values";
  // attn.return C2
  llvm::StringSet<> names;
  for (auto name : getNames().getAsRange<StringAttr>())
    if (!names.insert(name.getValue()).second)
      return emitOpError() << "expects unique names, but `" << name.getValue() << "` occurs twice";
  return verifyReuse(*this);
}

InputOp ReturnOp::getReused(unsigned number) {
  StringRef name = getReuses() ? cast<StringAttr>((*getReuses())[number]).getValue() : StringRef();
  for (auto input : (*this)->getBlock()->getOps<InputOp>())
    if (!name.empty() && input.getName() == name)
      return input;
  return {};
}

#define GET_OP_CLASSES
#include "dialects/Attn/AttnOps.cpp.inc"

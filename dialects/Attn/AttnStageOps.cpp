// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of stages and recurrences. Each check names the constraint that it enforces.
#include "VerifyRegions.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace attnc::attn;

LogicalResult SpaceOp::verify() {
  // attn.space C1
  if (!isIdentifier(getName()))
    return emitOpError() << "expects a name of letters, digits and `_`, found \"" << getName()
                         << "\"";
  SpaceOp first = findSpace(*this, getName());
  bool fixesDim = (getName() == "d" || getName() == "e") && getExtent() && !getParent();
  if ((isIndexSpace(getName()) && !fixesDim) || (first && first != *this))
    return emitOpError() << "expects a new name, but `" << getName()
                         << "` is an index space already";
  // attn.space C2
  SpaceOp parent = getParent() ? findSpace(*this, *getParent()) : SpaceOp();
  bool isEarlier =
      parent && parent->getBlock() == (*this)->getBlock() && parent->isBeforeInBlock(*this);
  if (getParent() && !isIndexSpace(*getParent()) && !isEarlier)
    return emitOpError() << "expects blocks of an index space that is declared before, found \""
                         << *getParent() << "\"";
  // attn.space C3
  if (!getParent() && (getStride() || getFull()))
    return emitOpError("expects `stride` and `full` with blocks of another space only");
  if (getOptional() && (getParent() || !getExtent()))
    return emitOpError("expects `optional` with an extent that is no blocks'");
  if (getParent() && !getExtent())
    return emitOpError("expects blocks to have an extent");
  // attn.space C4
  if (!isa_and_nonnull<VariantOp>((*this)->getParentOp()))
    return emitOpError("expects to stand in the body of a variant");
  return success();
}

LogicalResult ComputeOp::verify() {
  // attn.compute C1
  AttnTensorType type = getResult().getType();
  for (unsigned i = 0; i < type.getRank(); ++i)
    if (!isKnownSpace(*this, type.getAxisName(i)))
      return emitOpError() << "expects a result over index spaces, found " << type;
  return success();
}

LogicalResult ComputeOp::verifyRegions() {
  AttnTensorType type = getResult().getType();
  SmallVector<Type> indices(type.getRank(), IntegerType::get(getContext(), 32));
  return verifyScalarRegion(*this, "element", getBody(), indices, elementScalar(type));
}

LogicalResult ReduceOp::verify() {
  // attn.reduce C1
  if (!isKnownSpace(*this, getSpace()))
    return emitOpError() << "expects a known index space, found \"" << getSpace() << "\"";
  // attn.reduce C5
  if (bool(getBlock()) != bool(getIndex()))
    return emitOpError(
        "expects `in` with a space of blocks and `at` with the block's index together");
  // attn.reduce C1
  if (getBlock() && blockParent(*this, *getBlock()) != getSpace())
    return emitOpError() << "expects blocks of `" << getSpace() << "`, found \"" << *getBlock()
                         << "\"";
  return success();
}

LogicalResult ReduceOp::verifyRegions() {
  Type index = IntegerType::get(getContext(), 32), real = Float32Type::get(getContext());
  Type condition = IntegerType::get(getContext(), 1);
  if (failed(verifyRegionFrame(*this, "value", getBody(), index)) ||
      failed(verifyScalarOps(*this, "value", getBody())))
    return failure();
  // attn.reduce C2
  auto yield = cast<YieldOp>(getBody().front().back());
  TypeRange types = yield.getValues().getTypes();
  if (types.empty() || types.size() > 2 || isa<AttnTensorType>(types[0]) ||
      (types.size() == 2 && types[1] != condition))
    return emitOpError("expects the value region to yield a scalar and at most one i1 beside it");
  // attn.reduce C3
  Type value = types[0], result = getResult().getType();
  bool isNumber = value != condition;
  auto expect = [&](bool ok, const llvm::Twine &rule) -> LogicalResult {
    if (ok)
      return success();
    return emitOpError() << rule.str() << ", found " << value << " -> " << result;
  };
  StringRef kind = stringifyReduction(getKind());
  switch (getKind()) {
  case Reduction::Sum:
  case Reduction::Prod:
  case Reduction::Max:
  case Reduction::Min:
    return expect(isNumber && result == value,
                  "expects a number and a result of its type for `" + kind + "`");
  case Reduction::Mean:
    return expect(value == real && result == real, "expects f32 and a result of f32 for `mean`");
  case Reduction::Argmax:
  case Reduction::Argmin:
    return expect(isNumber && result == index,
                  "expects a number and a result of i32 for `" + kind + "`");
  case Reduction::Any:
  case Reduction::All:
    return expect(!isNumber && result == condition,
                  "expects i1 and a result of i1 for `" + kind + "`");
  }
  return success();
}

LogicalResult UniformOp::verify() {
  // attn.uniform C1
  if (getCounter().size() > 4)
    return emitOpError() << "expects at most four counters, found " << getCounter().size();
  return success();
}

/// C1 and C2 of the functions of rows. `element` is the element type of the result, `takesInts`
/// whether ints are among what the function takes.
static LogicalResult verifyRowOp(Operation *op, AttnTensorType tensor, StringRef space,
                                 AttnTensorType result, Type element, bool takesInts) {
  // attn.softmax C1, attn.cumsum C1, attn.rank C1, attn.order C1
  if (!llvm::is_contained(tensor.getAxes(), StringAttr::get(op->getContext(), space)))
    return op->emitOpError() << "expects a row over an axis of the tensor, found \"" << space
                             << "\" and " << tensor;
  // attn.softmax C2, attn.cumsum C2, attn.rank C2, attn.order C2
  Type scalar = elementScalar(tensor);
  if (scalar.isInteger(1) || (!takesInts && scalar.isInteger(32)))
    return op->emitOpError() << "expects a tensor of " << (takesInts ? "numbers" : "reals")
                             << ", found " << tensor;
  auto expected = AttnTensorType::get(op->getContext(), tensor.getAxes(), element);
  if (result != expected)
    return op->emitOpError() << "expects a result of type " << expected << ", found " << result;
  return success();
}

LogicalResult SoftmaxOp::verify() {
  return verifyRowOp(*this, getTensor().getType(), getSpace(), getResult().getType(),
                     Float32Type::get(getContext()),
                     /*takesInts=*/false);
}

LogicalResult CumsumOp::verify() {
  AttnTensorType type = getTensor().getType();
  return verifyRowOp(*this, type, getSpace(), getResult().getType(), elementScalar(type),
                     /*takesInts=*/true);
}

LogicalResult RankOp::verify() {
  return verifyRowOp(*this, getTensor().getType(), getSpace(), getResult().getType(),
                     IntegerType::get(getContext(), 32), /*takesInts=*/true);
}

LogicalResult OrderOp::verify() {
  return verifyRowOp(*this, getTensor().getType(), getSpace(), getResult().getType(),
                     IntegerType::get(getContext(), 32), /*takesInts=*/true);
}

LogicalResult SelectOp::verify() {
  AttnTensorType ranks = getRanks().getType();
  // attn.select C1
  llvm::SmallDenseSet<Attribute> spaces;
  for (Attribute space : getSpaces())
    if (!llvm::is_contained(ranks.getAxes(), space) || !spaces.insert(space).second)
      return emitOpError() << "expects rows over axes of the ranks, each once, found "
                           << getSpaces() << " and " << ranks;
  if (spaces.empty())
    return emitOpError("expects rows over at least one space");
  // attn.select C2
  Type real = Float32Type::get(getContext()), index = IntegerType::get(getContext(), 32);
  auto expected =
      AttnTensorType::get(getContext(), ranks.getAxes(), IntegerType::get(getContext(), 1));
  if (!ranks.getElementType().isF32() || getResult().getType() != expected)
    return emitOpError() << "expects ranks of f32 and a result of type " << expected << ", found "
                         << ranks << " and " << getResult().getType();
  for (auto [what, tensor, element] :
       {std::tuple("amount", getAmount(), getRule() == Selection::Top ? index : real),
        std::tuple("lower limit", getAtLeast(), index),
        std::tuple("upper limit", getAtMost(), index)}) {
    if (!tensor)
      continue;
    // attn.select C3
    if (tensor.getType().getElementType() != element)
      return emitOpError() << "expects the " << what << " to be " << element << ", found "
                           << tensor.getType();
    // attn.select C4
    for (Attribute axis : tensor.getType().getAxes())
      if (!llvm::is_contained(ranks.getAxes(), axis) || spaces.contains(axis))
        return emitOpError() << "expects the " << what
                             << " over axes of the ranks beside the rows', found "
                             << tensor.getType();
  }
  return success();
}

LogicalResult MergeOp::verify() {
  // attn.merge C1
  if (getOuts().size() < 2)
    return emitOpError() << "expects at least two branches, found " << getOuts().size();
  // attn.merge C2
  AttnTensorType out = getOut().getType();
  if (!out.getRank())
    return emitOpError() << "expects outputs with a dimension, found " << out;
  for (Value branch : getOuts())
    if (cast<AttnTensorType>(branch.getType()).getAxes() != out.getAxes())
      return emitOpError() << "expects outputs over the axes of the result " << out << ", found "
                           << branch.getType();
  auto lse =
      AttnTensorType::get(getContext(), out.getAxes().drop_back(), Float32Type::get(getContext()));
  for (Value branch : getLses())
    if (branch.getType() != lse)
      return emitOpError() << "expects log-sum-exps of type " << lse << ", found "
                           << branch.getType();
  if (getLse().getType() != lse)
    return emitOpError() << "expects an lse of type " << lse << ", found " << getLse().getType();
  return success();
}

LogicalResult ChooseOp::verify() {
  // attn.choose C1
  SpaceOp space = findSpace(*this, getSpace());
  if (!space || !space.getOptional())
    return emitOpError() << "expects a space that is declared with an optional extent, found \""
                         << getSpace() << "\"";
  // attn.choose C2
  for (Value way : getOperands())
    if (!way.getDefiningOp() || isa<InputOp, ChooseOp>(way.getDefiningOp()) || !way.hasOneUse())
      return emitOpError("expects results of stages that nothing else uses");
  return success();
}

LogicalResult QuantizeOp::verify() {
  AttnTensorType type = getTensor().getType();
  // attn.quantize C2
  auto expected = AttnTensorType::get(getContext(), type.getAxes(), Float32Type::get(getContext()));
  if (isa<IntegerType>(type.getElementType()) || getResult().getType() != expected)
    return emitOpError() << "expects reals and a result of type " << expected << ", found " << type
                         << " and " << getResult().getType();
  // attn.quantize C3
  bool isInt = getFormat() == Format::Int8 || getFormat() == Format::Int4;
  if (getAsymmetric() && !isInt)
    return emitOpError() << "expects an int format with `asymmetric`, found "
                         << stringifyFormat(getFormat());
  // attn.quantize C4
  bool hasScale = getFormat() < Format::F16 && !getStaticScale();
  if (hasScale == getGroup().empty())
    return emitOpError() << "expects " << (hasScale ? "a group" : "no group") << " for "
                         << stringifyFormat(getFormat());
  return success();
}

LogicalResult QuantizeOp::verifyRegions() {
  Type index = IntegerType::get(getContext(), 32);
  SmallVector<Type> indices(getTensor().getType().getRank(), index);
  for (auto [what, region] : {std::pair("group", &getGroup()), std::pair("smooth", &getSmooth())}) {
    if (region->empty())
      continue;
    if (failed(verifyRegionFrame(*this, what, *region, indices)))
      return failure();
    // attn.quantize C1
    auto yield = cast<YieldOp>(region->front().back());
    if (!llvm::all_of(yield.getValues().getTypes(), [&](Type t) { return t == index; }))
      return emitOpError() << "expects the " << what << " region to yield ints";
    if (failed(verifyScalarOps(*this, what, *region)))
      return failure();
  }
  return success();
}

LogicalResult RecurOp::verify() {
  // attn.recur C1
  llvm::SmallDenseSet<Attribute> spaces{getTimeAttr()};
  for (Attribute space : getBatch())
    if (!spaces.insert(space).second)
      return emitOpError() << "expects batch spaces and a time space that differ, found "
                           << getBatch() << " and \"" << getTime() << "\"";
  for (Attribute space : spaces)
    if (!isKnownSpace(*this, cast<StringAttr>(space).getValue()))
      return emitOpError() << "expects known index spaces, found " << space;
  return success();
}

LogicalResult RecurOp::verifyRegions() {
  Type index = IntegerType::get(getContext(), 32), real = Float32Type::get(getContext());
  Block &block = getBody().front();
  unsigned first = getBatch().size() + 1, numStates = getNumStates();
  // attn.recur C2
  unsigned expectedArgs = first + numStates * (getEvery() ? 2 : 1);
  if (block.getNumArguments() != expectedArgs)
    return emitOpError() << "expects " << expectedArgs
                         << " arguments of the body (batch indices, the step, the states"
                         << (getEvery() ? " twice" : "") << "), found " << block.getNumArguments();
  auto isInner = [&](Attribute axis) {
    return axis != getTimeAttr() && !llvm::is_contained(getBatch(), axis);
  };
  SmallVector<Type> expected(first, index);
  for (unsigned i = first; i < expectedArgs; ++i) {
    auto type = dyn_cast<AttnTensorType>(block.getArgument(i).getType());
    if (!type || type.getElementType() != real || !llvm::all_of(type.getAxes(), isInner))
      return emitOpError()
             << "expects a state of f32 over spaces that are neither batch nor time, found "
             << block.getArgument(i).getType();
    if (i >= first + numStates && type != block.getArgument(i - numStates).getType())
      return emitOpError() << "expects a state at the start of the group of type "
                           << block.getArgument(i - numStates).getType() << ", found " << type;
    expected.push_back(type);
  }
  if (failed(verifyRegionFrame(*this, "body", getBody(), expected)))
    return failure();
  // attn.recur C3
  for (auto [init, state] : llvm::zip_equal(getInit(), getStates())) {
    auto type = cast<AttnTensorType>(init.getType()),
         stateType = cast<AttnTensorType>(state.getType());
    for (Attribute axis : type.getAxes())
      if (!llvm::is_contained(getBatch(), axis) && !llvm::is_contained(stateType.getAxes(), axis))
        return emitOpError() << "expects an initial value over batch spaces and the axes of "
                             << stateType << ", found " << type;
    if (isa<IntegerType>(type.getElementType()))
      return emitOpError() << "expects an initial value of reals, found " << type;
  }
  // attn.recur C4
  auto yield = cast<YieldOp>(block.back());
  if (getNumResults() < numStates || yield.getValues().size() != getNumResults())
    return emitOpError() << "expects the body to yield " << getNumResults() << " tensors, the last "
                         << numStates << " of them the new states, found "
                         << yield.getValues().size();
  for (auto [i, value] : llvm::enumerate(yield.getValues())) {
    auto type = dyn_cast<AttnTensorType>(value.getType());
    bool isState = i >= getNumOutputs();
    if (!type || (isState && type != getStates()[i - getNumOutputs()].getType()))
      return emitOpError() << "expects the body to yield a tensor"
                           << (isState ? " of the state's type" : "") << ", found "
                           << value.getType();
    // attn.recur C5
    SmallVector<Attribute> axes(getBatch().begin(), getBatch().end());
    if (!isState)
      axes.push_back(getTimeAttr());
    axes.append(type.getAxes().begin(), type.getAxes().end());
    auto result = cast<AttnTensorType>(getResult(i).getType());
    // An output is rounded to the operand dtype, or to what stands for it.
    bool isRounded = !isState && type.getElementType().isF32() &&
                     (result.hasOperandElementType() || isa<FloatType>(result.getElementType()));
    Type element = isRounded ? result.getElementType() : type.getElementType();
    if (result != AttnTensorType::get(getContext(), axes, element))
      return emitOpError() << "expects result " << i << " of type "
                           << AttnTensorType::get(getContext(), axes, element) << ", found "
                           << result;
  }
  // attn.recur C6
  for (Operation &inner : block.without_terminator()) {
    StringRef dialect = inner.getName().getDialectNamespace();
    if (dialect == "arith" || dialect == "math" ||
        isa<ComputeOp, SoftmaxOp, CumsumOp, RankOp, OrderOp, ScanOp, SolveOp, InvertOp, SelectOp,
            QuantizeOp, GradOp, SizeOp, ReadOp, PositionOp>(inner))
      continue;
    InFlightDiagnostic diagnostic =
        emitOpError() << "expects stages without state of their own in the body, found `"
                      << inner.getName() << "`";
    diagnostic.attachNote(inner.getLoc()) << "found here";
    return diagnostic;
  }
  return success();
}

LogicalResult GradOp::verify() {
  // attn.grad C1
  AttnTensorType loss = getLoss().getType();
  if (loss.getRank() || !loss.getElementType().isF32())
    return emitOpError() << "expects a loss that is one f32, found " << loss;
  // attn.grad C2
  auto argument = dyn_cast<BlockArgument>(getState());
  if (!argument || !isa<RecurOp>(argument.getOwner()->getParentOp()))
    return emitOpError("expects the state to be an argument of attn.recur");
  return success();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// BlockLoads.h explains.
#include "BlockLoads.h"
#include "ScalarOps.h"
#include "attnc/Analysis/Factors.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Columns are copied in units of 16 bytes, and multiplied 16 at a time.
constexpr int64_t kFewestColumns = 16;

/// An element, and the condition without which it is 0.
struct GuardedRead {
  attn::ReadOp read;
  Value condition;
};

GuardedRead guardedRead(Value factor) {
  GuardedRead guarded;
  if (auto select = factor.getDefiningOp<arith::SelectOp>()) {
    guarded.condition = select.getCondition();
    factor = select.getTrueValue();
  }
  guarded.read = factor.getDefiningOp<attn::ReadOp>();
  return guarded;
}

/// Whether two values are the same by what they are computed from, without effects.
bool areSame(Value a, Value b) {
  if (a == b)
    return true;
  Operation *x = a.getDefiningOp(), *y = b.getDefiningOp();
  if (!x || !y || x->getName() != y->getName() || x->getNumRegions() != 0 || !isPure(x) ||
      x->getAttrDictionary() != y->getAttrDictionary() ||
      x->getNumOperands() != y->getNumOperands())
    return false;
  return llvm::all_of(llvm::zip(x->getOperands(), y->getOperands()),
                      [](auto pair) { return areSame(std::get<0>(pair), std::get<1>(pair)); });
}

std::optional<int64_t> numberOf(Value value) {
  llvm::APInt number;
  return matchPattern(value, m_ConstantInt(&number)) ? std::optional(number.getSExtValue())
                                                     : std::nullopt;
}

class BlockLoad {
public:
  BlockLoad(Evaluator &evaluator, Scope &scope, GuardedRead guarded, Frame frame)
      : ev(evaluator), b(evaluator.builder), scope(scope), read(guarded.read),
        condition(guarded.condition), frame(frame), loc(read.getLoc()),
        type(read.getTensor().getType()) {}

  FailureOr<std::optional<Value>> emit();

private:
  bool findRowAxis();
  bool hasAllColumns();
  bool isRowIndex(Value index) const;
  bool isNatural(Value value) const;
  bool isGuardedByEnd();
  bool hasIndicesOf(StringRef space, unsigned axis) const;
  FailureOr<Value> firstRow();
  FailureOr<Value> uniformIndex(unsigned axis);

  Evaluator &ev;
  OpBuilder &b;
  Scope &scope;
  attn::ReadOp read;
  Value condition;
  Frame frame;
  Location loc;
  attn::AttnTensorType type;
  unsigned rowAxis = 0;
};

} // namespace

/// Whether `index` is one that runs along the rows, from the start of its space on.
bool BlockLoad::isRowIndex(Value index) const {
  const Place *place = ev.placeOf(scope, index);
  return place && place->axis == frame.rows && !place->base;
}

/// Whether `value` is not negative and no sum in it wraps: indices, and their products with what
/// they are indices of.
bool BlockLoad::isNatural(Value value) const {
  if (std::optional<int64_t> number = numberOf(value))
    return *number >= 0;
  if (const Place *place = ev.placeOf(scope, value))
    return !place->space.empty() && place->scalar;
  Operation *op = value.getDefiningOp();
  if (!op || !isa<arith::MulIOp, arith::FloorDivSIOp>(op))
    return false;
  std::optional<int64_t> number = numberOf(op->getOperand(1));
  Value index = op->getOperand(0);
  const Place *place = ev.placeOf(scope, index);
  bool isIndex = (place && !place->space.empty()) || index.getDefiningOp<arith::FloorDivSIOp>();
  return number && *number > 0 && isIndex;
}

/// The condition says that the row is one of the tensor.
bool BlockLoad::isGuardedByEnd() {
  auto compare = condition ? condition.getDefiningOp<arith::CmpIOp>() : arith::CmpIOp();
  if (!compare || compare.getPredicate() != arith::CmpIPredicate::slt)
    return false;
  auto size = compare.getRhs().getDefiningOp<attn::SizeOp>();
  return size && size.getSpace() == type.getAxisName(rowAxis) &&
         areSame(compare.getLhs(), read.getIndices()[rowAxis]);
}

/// Which axis of the tensor runs along the rows; false if that is none, or two, or any other.
bool BlockLoad::findRowAxis() {
  std::optional<unsigned> found;
  for (unsigned axis = 0; axis + 1 < type.getRank(); ++axis) {
    const Facts &facts = ev.factsOf(scope, read.getIndices()[axis]);
    if (facts.axes.contains(frame.cols) || (facts.axes.contains(frame.rows) && found))
      return false;
    if (facts.axes.contains(frame.rows))
      found = axis;
    else if (!facts.axes.empty())
      return false;
  }
  rowAxis = found.value_or(0);
  return found.has_value();
}

/// Whether all indices of `space` are known to be indices of axis `axis` of the tensor.
bool BlockLoad::hasIndicesOf(StringRef space, unsigned axis) const {
  auto extentOf = [&](StringRef name) -> std::optional<int64_t> {
    Value size = ev.context.sizes.lookup(name);
    return size ? numberOf(size) : std::nullopt;
  };
  StringRef name = type.getAxisName(axis);
  if (space == name)
    return true;
  std::optional<int64_t> extent =
      name.empty() ? std::optional(type.getAxisSize(axis)) : extentOf(name);
  std::optional<int64_t> indices = extentOf(space);
  return extent && indices && *indices <= *extent;
}

/// Whether the last index runs along the columns, all of which are known to be there.
bool BlockLoad::hasAllColumns() {
  const Place *place = ev.placeOf(scope, read.getIndices().back());
  if (!place || place->axis != frame.cols || place->base ||
      frame.cols->tile % kFewestColumns != 0 || place->mayOverrun)
    return false;
  Value size = ev.context.sizes.lookup(place->space);
  std::optional<int64_t> columns = size ? numberOf(size) : std::nullopt;
  return columns && *columns % frame.cols->tile == 0 &&
         hasIndicesOf(place->space, type.getRank() - 1);
}

/// The first row of the tile (i32); null if it is not known that the rows follow each other.
FailureOr<Value> BlockLoad::firstRow() {
  Value index = read.getIndices()[rowAxis];
  if (isRowIndex(index)) {
    bool isOwn = hasIndicesOf(ev.placeOf(scope, index)->space, rowAxis);
    return (isOwn && !condition) || isGuardedByEnd() ? frame.rows->first : Value();
  }
  Operation *op = index.getDefiningOp();
  if (auto sum = dyn_cast_or_null<arith::AddIOp>(op)) {
    Value start = isRowIndex(sum.getRhs()) ? sum.getLhs() : sum.getRhs();
    Value row = isRowIndex(sum.getRhs()) ? sum.getRhs() : sum.getLhs();
    if (!isRowIndex(row) || !isNatural(start) || !ev.factsOf(scope, start).axes.empty() ||
        !isGuardedByEnd())
      return Value();
    FailureOr<Value> first = ev.scalar(scope, start);
    if (failed(first))
      return failure();
    return arith::AddIOp::create(b, loc, *first, frame.rows->first).getResult();
  }
  auto remainder = dyn_cast_or_null<arith::RemSIOp>(op);
  std::optional<int64_t> steps = remainder ? numberOf(remainder.getRhs()) : std::nullopt;
  if (!steps || *steps <= 0 || *steps % frame.rows->tile != 0 || condition ||
      !isRowIndex(remainder.getLhs()))
    return Value();
  // Tiles start at multiples of their size: one does not cross a multiple of the steps.
  return arith::RemUIOp::create(b, loc, frame.rows->first, ev.context.i32(loc, *steps)).getResult();
}

/// An index that is the same for all of the tile, inside of its axis.
FailureOr<Value> BlockLoad::uniformIndex(unsigned axis) {
  Value index = read.getIndices()[axis];
  FailureOr<Value> value = ev.scalar(scope, index);
  if (failed(value))
    return failure();
  SmallVector<Index> indices;
  if (const Place *place = ev.placeOf(scope, index); place && !place->space.empty())
    indices.push_back({place->space, *value, /*isScalar=*/true, place->mayOverrun});
  IRMapping values;
  return clampIndex(read, axis, *value, {ev.context, values, indices});
}

FailureOr<std::optional<Value>> BlockLoad::emit() {
  Value view = ev.context.views.lookup(read.getTensor());
  auto viewType = view ? cast<tile::ViewType>(view.getType()) : tile::ViewType();
  if (!viewType || !viewType.getUnitStride() || type.getRank() < 2 || !frame.rows || !frame.cols ||
      !hasAllColumns() || !findRowAxis())
    return std::optional<Value>();
  FailureOr<Value> row = firstRow();
  if (failed(row))
    return failure();
  if (!*row)
    return std::optional<Value>();
  StringRef name = type.getAxisName(rowAxis);
  FailureOr<Value> limit = name.empty()
                               ? FailureOr<Value>(ev.context.i32(loc, type.getAxisSize(rowAxis)))
                               : ev.size(read, name);
  if (failed(limit))
    return failure();
  SmallVector<Value> indices(ev.context.leading.lookup(read.getTensor()));
  int64_t rowDim = indices.size() + rowAxis;
  for (unsigned axis = 0; axis + 1 < type.getRank(); ++axis) {
    if (axis == rowAxis)
      continue;
    FailureOr<Value> index = uniformIndex(axis);
    if (failed(index))
      return failure();
    indices.push_back(*index);
  }
  return std::optional<Value>(
      tile::LoadBlockOp::create(b, loc, ev.type(frame, viewType.getElementType()), view, indices,
                                *row, *limit, frame.cols->first, rowDim)
          .getResult());
}

FailureOr<std::optional<Value>> attnc::loadBlock(Evaluator &evaluator, Scope &scope, Value factor,
                                                 Frame frame) {
  GuardedRead guarded = guardedRead(factor);
  if (!guarded.read || evaluator.context.plan.target.kind != Target::Kind::NVPTX)
    return std::optional<Value>();
  return BlockLoad(evaluator, scope, guarded, frame).emit();
}

bool attnc::movesBlocksOf(Operation *stage, Value tensor) {
  auto variant = stage->getParentOfType<attn::VariantOp>();
  auto schedule = variant->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  if (!schedule || schedule.getTarget() == "host" || type.getRank() < 2)
    return false;
  // The alignment of rows that a program is compiled for is that of tensors of the operand dtype.
  if (auto operand = variant->getAttrOfType<TypeAttr>("attn.operand_dtype");
      operand && operand.getValue() != type.getElementType())
    return false;
  auto compute = dyn_cast<attn::ComputeOp>(stage);
  bool isResult = compute && compute.getResult() == tensor &&
                  type.getElementType().getIntOrFloatBitWidth() == 16;
  auto isFactor = [&](attn::ReduceOp reduce) {
    auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
    SmallVector<Value> factors = factorsOf(yield.getValues().front());
    return factors.size() > 1 && llvm::any_of(factors, [&](Value factor) {
             if (isResult)
               return bool(exactTypeOf(factor));
             attn::ReadOp read = guardedRead(factor).read;
             return read && read.getTensor() == tensor && exactTypeOf(factor);
           });
  };
  WalkResult walk = stage->walk([&](attn::ReduceOp reduce) {
    bool isProduct = reduce.getKind() == attn::Reduction::Sum && isFactor(reduce);
    return isProduct ? WalkResult::interrupt() : WalkResult::advance();
  });
  return walk.wasInterrupted();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See IntIntervals.h.
#include "attnc/Analysis/IntIntervals.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/RowExpr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace attnc;

/// The spaces of the arguments of an attention's region: its outer axes, its rows and, unless it is
/// the sink, its keys; a score region has the score before them.
static StringRef spaceInAttend(attn::AttendOp attend, BlockArgument argument) {
  Region *region = argument.getOwner()->getParent();
  if (region != &attend.getScore() && region != &attend.getMask() && region != &attend.getSink())
    return {};
  attn::AttnTensorType query = attend.getQuery().getType(), key = attend.getKey().getType();
  unsigned leading = region == &attend.getScore() ? 1 : 0, number = argument.getArgNumber();
  if (number < leading)
    return {};
  unsigned index = number - leading, rows = query.getRank() - 1;
  if (index < rows)
    return query.getAxisName(index);
  return index == rows ? key.getAxisName(key.getRank() - 2) : StringRef();
}

StringRef attnc::spaceOf(BlockArgument argument) {
  return llvm::TypeSwitch<Operation *, StringRef>(argument.getOwner()->getParentOp())
      .Case<attn::ComputeOp>([&](attn::ComputeOp compute) {
        return compute.getResult().getType().getAxisName(argument.getArgNumber());
      })
      .Case<attn::ReduceOp>([](attn::ReduceOp reduce) { return reduce.getSpace(); })
      .Case<attn::RecurOp>([&](attn::RecurOp recur) {
        unsigned number = argument.getArgNumber(), batch = recur.getBatch().size();
        if (number < batch)
          return cast<StringAttr>(recur.getBatch()[number]).getValue();
        return number == batch ? recur.getTime() : StringRef();
      })
      .Case<attn::AttendOp>([&](attn::AttendOp attend) { return spaceInAttend(attend, argument); })
      .Default([](Operation *) { return StringRef(); });
}

/// The constant that `value` folds to, or null.
static Attribute folded(Value value, unsigned depth) {
  Operation *op = value.getDefiningOp();
  Attribute constant;
  if (matchPattern(value, m_Constant(&constant)))
    return constant;
  if (!op || depth == 0 || op->getNumResults() != 1 || op->getNumRegions() != 0 ||
      op->getNumOperands() == 0)
    return {};
  SmallVector<Attribute> operands;
  for (Value operand : op->getOperands()) {
    operands.push_back(folded(operand, depth - 1));
    if (!operands.back())
      return {};
  }
  SmallVector<OpFoldResult> results;
  Operation *copy = op->clone(); // folding may turn operands around
  bool isFolded = succeeded(copy->fold(operands, results)) && results.size() == 1;
  copy->destroy();
  if (!isFolded)
    return {};
  if (auto operand = dyn_cast<Value>(results.front())) // of a select
    return folded(operand, depth - 1);
  return cast<Attribute>(results.front());
}

std::optional<int64_t> attnc::constantOf(Value value, unsigned depth) {
  auto constant = dyn_cast_or_null<IntegerAttr>(folded(value, depth));
  return constant ? std::optional(constant.getInt()) : std::nullopt;
}

Interval attnc::sum(Interval a, Interval b) { return {a.low + b.low, a.high + b.high}; }
Interval attnc::product(Interval a, int64_t factor) {
  int64_t x = a.low * factor, y = a.high * factor;
  return {std::min(x, y), std::max(x, y)};
}

int64_t attnc::largestSize(Operation *at, StringRef space) {
  auto variant = at->getParentOfType<attn::VariantOp>();
  if (std::optional<int64_t> extent = fixedExtent(variant, space))
    return *extent;
  attn::SpaceOp declared = attn::findSpace(variant, space);
  if (!declared)
    return kMaxLaunchedSize;
  if (!declared.getParent())
    return declared.getExtent() ? intervalOf(declared.getExtent()).high : INT32_MAX;
  IntegerAttr stride;
  Value step = declared.getStride() ? declared.getStride() : declared.getExtent();
  if (!matchPattern(step, m_Constant(&stride)) || stride.getInt() < 1)
    return INT32_MAX;
  return largestSize(at, *declared.getParent()) / stride.getInt() + 1;
}

Interval attnc::intervalOf(Value value, unsigned depth) {
  IntegerAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return {constant.getInt(), constant.getInt()};
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    StringRef space = spaceOf(argument);
    if (space.empty())
      return {};
    return {0, largestSize(argument.getOwner()->getParentOp(), space) - 1};
  }
  Operation *op = value.getDefiningOp();
  if (auto size = dyn_cast<attn::SizeOp>(op))
    return {0, largestSize(op, size.getSpace())};
  if (auto position = dyn_cast<attn::PositionOp>(op)) {
    auto row = dyn_cast<BlockArgument>(position.getRow());
    // row + size(kv) - size(q), with row < size(q)
    return row && spaceOf(row) == "q" ? Interval{-kMaxLaunchedSize, kMaxLaunchedSize - 1}
                                      : Interval();
  }
  if (depth == 0 || !isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::MinSIOp,
                         arith::MaxSIOp, arith::FloorDivSIOp>(op))
    return {};
  Interval a = intervalOf(op->getOperand(0), depth - 1);
  Interval b = intervalOf(op->getOperand(1), depth - 1);
  Interval result;
  if (isa<arith::AddIOp>(op))
    result = sum(a, b);
  else if (isa<arith::SubIOp>(op))
    result = sum(a, product(b, -1));
  else if (isa<arith::MinSIOp>(op))
    result = {std::min(a.low, b.low), std::min(a.high, b.high)};
  else if (isa<arith::MaxSIOp>(op))
    result = {std::max(a.low, b.low), std::max(a.high, b.high)};
  else if (isa<arith::FloorDivSIOp>(op))
    result = b.low == b.high && b.low > 0 ? Interval{llvm::divideFloorSigned(a.low, b.low),
                                                     llvm::divideFloorSigned(a.high, b.low)}
                                          : Interval();
  else if (b.low == b.high)
    result = product(a, b.low);
  else if (a.low == a.high)
    result = product(b, a.low);
  return result.fits() ? result : Interval();
}

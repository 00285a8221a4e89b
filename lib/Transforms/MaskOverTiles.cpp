// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See MaskOverTiles.h.
#include "MaskOverTiles.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace attnc;
using Predicate = arith::CmpIPredicate;

/// Sizes and parameters are taken to be at most this, so that sums of them do not wrap around;
/// where they are larger, nothing is known.
static constexpr int64_t kMostAssumed = int64_t(1) << 30;
/// Elements of a tensor that are looked at for one tile. More than that is a mask by elements: to
/// look at as many flags as there are scores takes half as long as the attention does.
static constexpr int64_t kMostElements = 1024;
/// Stands for a span that is not known.
static constexpr int64_t kAnySpan = INT64_MAX / 4;

Value MaskOverTiles::least(Value x, Value y) {
  return x == y ? x : arith::MinSIOp::create(b, x, y).getResult();
}
Value MaskOverTiles::most(Value x, Value y) {
  return x == y ? x : arith::MaxSIOp::create(b, x, y).getResult();
}
Value MaskOverTiles::not_(Value x) {
  return arith::XOrIOp::create(b, x, arith::ConstantOp::create(b, b.getBoolAttr(true)));
}
Value MaskOverTiles::either(Value x, Value y) {
  return x == y ? x : arith::OrIOp::create(b, x, y).getResult();
}

//===-- What is known of a value --------------------------------------------------------------===//

/// What comes from outside of the mask is the same for all of it.
MaskOverTiles::Known MaskOverTiles::valueOf(Value value) {
  auto found = known.find(value);
  if (found != known.end())
    return found->second;
  Known result;
  if (!attend.getMask().isAncestor(value.getParentRegion()))
    result.one = value;
  return result;
}

std::optional<MaskOverTiles::Ints> MaskOverTiles::intsOf(Value value) {
  Known found = valueOf(value);
  if (found.ints || !found.one)
    return found.ints;
  bool isOutside = !attend.getMask().isAncestor(value.getParentRegion());
  if (std::optional<int64_t> fixed = isOutside ? constantOf(value) : std::nullopt)
    return Ints{found.one, found.one, {*fixed, *fixed}, 0};
  return Ints{found.one, found.one, intervalOf(value), 0};
}

MaskOverTiles::Condition MaskOverTiles::conditionOf(Value value) {
  Known found = valueOf(value);
  if (found.one)
    return {found.one, found.one};
  return found.condition.value_or(Condition());
}

/// A size or a parameter as an operand of arithmetic.
MaskOverTiles::Ints MaskOverTiles::narrowed(Ints ints) {
  auto isNarrow = [](const Interval &range) {
    return range.low >= -kMostAssumed && range.high <= kMostAssumed;
  };
  if (!ints.isOne() || isNarrow(ints.range))
    return ints;
  assumed.insert(ints.low);
  ints.range = {std::max(ints.range.low, -kMostAssumed), std::min(ints.range.high, kMostAssumed)};
  return ints;
}

//===-- Ops -----------------------------------------------------------------------------------===//

/// row + size(kv) - size(q); C of attn.position. Rows and keys are at most kMostAssumed, see
/// `evaluate`.
MaskOverTiles::Known MaskOverTiles::ofPosition(attn::PositionOp position) {
  std::optional<Ints> row = intsOf(position.getRow());
  Known result;
  if (!row)
    return result;
  if (position.getAlign() == attn::Align::BottomRight) {
    Value keys = attn::SizeOp::create(b, b.getI32Type(), "kv");
    Value queries = attn::SizeOp::create(b, b.getI32Type(), "q");
    // As rows from the end, which a size can be taken from without wrapping around.
    auto moved = [&](Value index) {
      return b.sub(keys, most(b.sub(queries, index), b.integer(0)));
    };
    row = Ints{moved(row->low), moved(row->high), {-kMostAssumed, kMostAssumed}, row->span};
  }
  result.ints = row;
  return result;
}

/// x - x / c * c, which is what `x % c` is: between 0 and c - 1, or as x is while x / c stays the
/// same.
std::optional<MaskOverTiles::Ints> MaskOverTiles::ofRemainder(arith::SubIOp sub) {
  auto product = sub.getRhs().getDefiningOp<arith::MulIOp>();
  auto quotient = product ? product.getLhs().getDefiningOp<arith::FloorDivSIOp>() : nullptr;
  if (!quotient || quotient.getLhs() != sub.getLhs() || quotient.getRhs() != product.getRhs())
    return std::nullopt;
  std::optional<Ints> x = intsOf(sub.getLhs()), q = intsOf(quotient), c = intsOf(product.getRhs());
  if (!x || !q || !c || !c->isOne() || c->range.low < 1)
    return std::nullopt;
  lookedUp |= x->span + 1 < c->range.low; // else a tile has every remainder
  Value isSame = b.compare(Predicate::eq, q->low, q->high);
  Value whole = b.mul(q->low, c->low);
  Ints result;
  result.low = b.select(isSame, b.sub(x->low, whole), b.integer(0));
  result.high = b.select(isSame, b.sub(x->high, whole), b.sub(c->low, b.integer(1)));
  result.range = {0, c->range.high - 1};
  result.span = c->range.high - 1;
  return result;
}

std::optional<MaskOverTiles::Ints> MaskOverTiles::ofArithmetic(Operation &op) {
  if (auto sub = dyn_cast<arith::SubIOp>(op))
    if (std::optional<Ints> remainder = ofRemainder(sub))
      return remainder;
  if (auto abs = dyn_cast<math::AbsIOp>(op)) {
    std::optional<Ints> x = intsOf(abs.getOperand());
    if (!x || x->range.low == INT32_MIN)
      return std::nullopt;
    Value zero = b.integer(0), below = b.sub(zero, x->high), above = b.sub(zero, x->low);
    return Ints{most(most(x->low, below), zero),
                most(x->high, above),
                {0, std::max(std::abs(x->range.low), std::abs(x->range.high))},
                x->span};
  }
  if (op.getNumOperands() != 2)
    return std::nullopt;
  std::optional<Ints> left = intsOf(op.getOperand(0)), right = intsOf(op.getOperand(1));
  if (!left || !right)
    return std::nullopt;
  if (isa<arith::MinSIOp>(op))
    return Ints{least(left->low, right->low),
                least(left->high, right->high),
                {std::min(left->range.low, right->range.low),
                 std::min(left->range.high, right->range.high)},
                std::max(left->span, right->span)};
  if (isa<arith::MaxSIOp>(op))
    return Ints{most(left->low, right->low),
                most(left->high, right->high),
                {std::max(left->range.low, right->range.low),
                 std::max(left->range.high, right->range.high)},
                std::max(left->span, right->span)};
  Ints x = narrowed(*left), y = narrowed(*right);
  std::optional<Ints> result;
  if (isa<arith::AddIOp>(op)) {
    result =
        Ints{b.add(x.low, y.low), b.add(x.high, y.high), sum(x.range, y.range), x.span + y.span};
  } else if (isa<arith::SubIOp>(op)) {
    result = Ints{b.sub(x.low, y.high), b.sub(x.high, y.low), sum(x.range, product(y.range, -1)),
                  x.span + y.span};
  } else if (isa<arith::MulIOp>(op)) {
    if (!y.isOne())
      std::swap(x, y);
    if (!y.isOne() || y.range.low < 0)
      return std::nullopt;
    Interval a = product(x.range, y.range.low), c = product(x.range, y.range.high);
    bool isLong = x.span >= kAnySpan || y.range.high > INT32_MAX;
    result = Ints{b.mul(x.low, y.low),
                  b.mul(x.high, y.low),
                  {std::min(a.low, c.low), std::max(a.high, c.high)},
                  isLong ? kAnySpan : x.span * y.range.high};
  } else if (isa<arith::FloorDivSIOp>(op)) {
    if (!y.isOne() || y.range.low < 1)
      return std::nullopt;
    bool isFixed = y.range.low == y.range.high;
    bool isOne = isFixed && x.unit != 0 && y.range.low % x.unit == 0; // all are in one block
    auto divided = [&](Value v) -> Value { return arith::FloorDivSIOp::create(b, v, y.low); };
    result = Ints{divided(x.low),
                  divided(x.high),
                  {std::min<int64_t>(x.range.low, 0), std::max<int64_t>(x.range.high, 0)},
                  x.span / y.range.low + 1};
    if (isOne) {
      result->high = result->low;
      result->span = 0;
    } else if (isFixed && x.unit % y.range.low == 0) {
      result->unit = x.unit / y.range.low;
      result->span = std::max<int64_t>(result->unit, 1) - 1;
    }
    if (isFixed)
      result->range = {llvm::divideFloorSigned(x.range.low, y.range.low),
                       llvm::divideFloorSigned(x.range.high, y.range.low)};
  }
  if (!result || !result->range.fits())
    return std::nullopt;
  result->span = std::min(result->span, kAnySpan);
  return result;
}

/// The block that is all that `ints` depends on, with the ops that they follow from.
const MaskOverTiles::Block *MaskOverTiles::blockOf(const Ints &ints,
                                                   llvm::SetVector<Operation *> &slice) const {
  Region *body = b.getInsertionBlock()->getParent();
  llvm::SetVector<Value> open, arguments;
  open.insert(ints.low);
  open.insert(ints.high);
  for (size_t next = 0; next < open.size(); ++next) {
    Value value = open[next];
    if (value.getParentRegion() != body)
      continue;
    bool isIndex = value == tile->rows.index || value == tile->keys.index;
    if (isIndex || isa<BlockArgument>(value)) {
      arguments.insert(value);
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (op->getNumRegions() != 0)
      return nullptr;
    slice.insert(op);
    open.insert(op->operand_begin(), op->operand_end());
  }
  if (arguments.size() != 1)
    return nullptr;
  for (const Block *block : {&tile->rows, &tile->keys})
    if (arguments.front() == block->index)
      return block;
  return nullptr;
}

Value MaskOverTiles::overBlocks(Value tensor, unsigned axis, const Ints &ints,
                                attn::Reduction kind) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  llvm::SetVector<Operation *> slice;
  const Block *block = blockOf(ints, slice);
  SmallVector<Attribute> axes(type.getAxes());
  if (!block || type.getAxisName(axis).empty()) // a reduction runs over a space
    return {};
  axes[axis] = b.getStringAttr(block->space);
  auto result = attn::AttnTensorType::get(b.getContext(), axes, type.getElementType());
  if (!isOverSpaces(result))
    return {};
  OpBuilder::InsertionGuard guard(b);
  Operation *stage = b.getInsertionBlock()->getParentOp();
  b.setInsertionPoint(stage);
  return b.compute(result, [&](ValueRange indices) {
    IRMapping mapping;
    mapping.map(block->index, indices[axis]);
    for (Operation &op : stage->getRegion(0).front()) // in order
      if (slice.contains(&op))
        b.clone(op, mapping);
    Value low = mapping.lookupOrDefault(ints.low), high = mapping.lookupOrDefault(ints.high);
    IndexRange range = within(type.getAxisName(axis), low, high);
    return b.reduce(kind, range, [&](Value member) {
      SmallVector<Value> at(indices);
      at[axis] = member;
      return Term{b.read(tensor, at), {}};
    });
  });
}

/// An element. There may be no keys, and no blocks of them: nothing is read then, as by what runs
/// over them.
Value MaskOverTiles::readAt(Value tensor, ArrayRef<Value> indices, attn::Reduction kind) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  SmallVector<Value> at(indices);
  std::function<Value(unsigned)> from = [&](unsigned axis) -> Value {
    if (axis == type.getRank())
      return b.read(tensor, at);
    StringRef space = type.getAxisName(axis);
    if (space.empty() || !attn::isBlockOf(attend, space, attend.getKeySpace()))
      return from(axis + 1);
    IndexRange range = within(space, indices[axis], indices[axis]);
    return b.reduce(kind, range, [&](Value index) {
      at[axis] = index;
      return Term{from(axis + 1), {}};
    });
  };
  return from(0);
}

/// The indices of `space` from `low` to `high`; those outside count as its first or last one.
IndexRange MaskOverTiles::within(StringRef space, Value low, Value high) {
  Value size = attn::SizeOp::create(b, b.getI32Type(), space), one = b.integer(1);
  Value last = b.sub(size, one);
  auto inside = [&](Value index) { return least(most(index, b.integer(0)), last); };
  IndexRange range{space};
  range.from = inside(low);
  range.end = b.add(inside(high), one);
  return range;
}

/// The least and largest, or any and all, of the elements that the tile reads.
MaskOverTiles::Known MaskOverTiles::ofRead(attn::ReadOp read) {
  Known result;
  bool isFlag = read.getType().isInteger(1);
  if (!isFlag && !read.getType().isInteger(32))
    return result;
  SmallVector<Ints> indices;
  int64_t elements = 1;
  for (Value index : read.getIndices()) {
    std::optional<Ints> ints = intsOf(index);
    if (!ints)
      return result;
    elements *= std::min(ints->span, kMostElements) + 1;
    if (elements > kMostElements)
      return result;
    indices.push_back(*ints);
  }
  auto over = [&](attn::Reduction kind) -> Value {
    Value tensor = read.getTensor();
    SmallVector<Value> at;
    for (auto [axis, ints] : llvm::enumerate(indices)) {
      at.push_back(ints.low);
      if (ints.isOne())
        continue;
      Value blocks = overBlocks(tensor, axis, ints, kind);
      if (!blocks)
        return {};
      llvm::SetVector<Operation *> slice;
      at.back() = blockOf(ints, slice)->index;
      tensor = blocks;
    }
    return readAt(tensor, at, kind);
  };
  Value low = over(isFlag ? attn::Reduction::All : attn::Reduction::Min);
  Value high = low ? over(isFlag ? attn::Reduction::Any : attn::Reduction::Max) : Value();
  if (!high)
    return result;
  lookedUp = true;
  if (isFlag)
    result.condition = Condition{high, low};
  else
    result.ints = Ints{low, high, {}, kAnySpan};
  return result;
}

MaskOverTiles::Known MaskOverTiles::ofComparison(arith::CmpIOp compare) {
  Known result;
  if (!compare.getLhs().getType().isInteger(32))
    return result;
  std::optional<Ints> x = intsOf(compare.getLhs()), y = intsOf(compare.getRhs());
  if (!x || !y)
    return result;
  Predicate predicate = compare.getPredicate();
  switch (predicate) {
  case Predicate::slt:
  case Predicate::sle:
    result.condition = {b.compare(predicate, x->low, y->high),
                        b.compare(predicate, x->high, y->low)};
    break;
  case Predicate::sgt:
  case Predicate::sge:
    result.condition = {b.compare(predicate, x->high, y->low),
                        b.compare(predicate, x->low, y->high)};
    break;
  case Predicate::eq:
  case Predicate::ne: {
    Value overlap = b.both(b.compare(Predicate::sle, x->low, y->high),
                           b.compare(Predicate::sle, y->low, x->high));
    Value isOne = b.both(b.compare(Predicate::eq, x->low, y->high),
                         b.compare(Predicate::eq, x->high, y->low));
    if (predicate == Predicate::eq)
      result.condition = {overlap, isOne};
    else
      result.condition = {not_(isOne), not_(overlap)};
    break;
  }
  default:
    break;
  }
  return result;
}

/// One of two values: either where the condition can go both ways.
MaskOverTiles::Known MaskOverTiles::ofSelect(arith::SelectOp select) {
  Known result;
  Condition choice = conditionOf(select.getCondition());
  if (select.getType().isInteger(1)) {
    Condition yes = conditionOf(select.getTrueValue()), no = conditionOf(select.getFalseValue());
    // can: (choice can and yes can) or (choice need not and no can)
    auto way = [&](Value open, Value can) { return open && can ? b.both(open, can) : Value(); };
    Value first = choice.can ? (yes.can ? way(choice.can, yes.can) : choice.can) : yes.can;
    Value open = choice.always ? not_(choice.always) : Value();
    Value second = open ? (no.can ? way(open, no.can) : open) : no.can;
    Condition found;
    if (first && second)
      found.can = either(first, second);
    // always: (yes always or choice cannot) and (no always or choice always)
    Value never = choice.can ? not_(choice.can) : Value();
    Value left = yes.always && never ? either(yes.always, never) : yes.always ? yes.always : never;
    Value right = no.always && choice.always ? either(no.always, choice.always)
                  : no.always                ? no.always
                                             : choice.always;
    if (left && right)
      found.always = b.both(left, right);
    result.condition = found;
    return result;
  }
  if (!select.getType().isInteger(32))
    return result;
  std::optional<Ints> x = intsOf(select.getTrueValue()), y = intsOf(select.getFalseValue());
  if (!x || !y)
    return result;
  Ints ints{least(x->low, y->low),
            most(x->high, y->high),
            {std::min(x->range.low, y->range.low), std::max(x->range.high, y->range.high)},
            kAnySpan};
  if (choice.always) {
    ints.low = b.select(choice.always, x->low, ints.low);
    ints.high = b.select(choice.always, x->high, ints.high);
  }
  if (choice.can) {
    ints.low = b.select(choice.can, ints.low, y->low);
    ints.high = b.select(choice.can, ints.high, y->high);
  }
  ints.span = std::min(kAnySpan, ints.range.high - ints.range.low);
  result.ints = ints;
  return result;
}

MaskOverTiles::Known MaskOverTiles::derive(Operation &op) {
  bool isSame = op.getNumRegions() == 0 && !isa<attn::PositionOp>(op) &&
                llvm::all_of(op.getOperands(), [&](Value operand) {
                  return isa<attn::AttnTensorType>(operand.getType()) || valueOf(operand).one;
                });
  Known result;
  if (isSame) {
    IRMapping mapping;
    for (Value operand : op.getOperands())
      if (!isa<attn::AttnTensorType>(operand.getType()))
        mapping.map(operand, valueOf(operand).one);
    result.one = b.clone(op, mapping)->getResult(0);
    return result;
  }
  return llvm::TypeSwitch<Operation *, Known>(&op)
      .Case<attn::PositionOp>([&](auto position) { return ofPosition(position); })
      .Case<attn::ReadOp>([&](auto read) { return ofRead(read); })
      .Case<arith::CmpIOp>([&](auto compare) { return ofComparison(compare); })
      .Case<arith::SelectOp>([&](auto select) { return ofSelect(select); })
      .Case<arith::AndIOp, arith::OrIOp, arith::XOrIOp>([&](auto) {
        Known found;
        if (!op.getResult(0).getType().isInteger(1))
          return found;
        Condition x = conditionOf(op.getOperand(0)), y = conditionOf(op.getOperand(1));
        if (isa<arith::AndIOp>(op)) {
          found.condition = Condition{b.both(x.can, y.can),
                                      x.always && y.always ? b.both(x.always, y.always) : Value()};
        } else if (isa<arith::OrIOp>(op)) {
          Value always = !x.always ? y.always : !y.always ? x.always : either(x.always, y.always);
          found.condition = Condition{x.can && y.can ? either(x.can, y.can) : Value(), always};
        } else if (matchPattern(op.getOperand(1), m_One())) { // not
          found.condition =
              Condition{x.always ? not_(x.always) : Value(), x.can ? not_(x.can) : Value()};
        }
        return found;
      })
      .Default([&](Operation *) {
        Known found;
        if (op.getResult(0).getType().isInteger(32))
          found.ints = ofArithmetic(op);
        return found;
      });
}

MaskOverTiles::Condition MaskOverTiles::evaluate(const Tile &tile) {
  known.clear();
  assumed.clear();
  lookedUp = false;
  this->tile = &tile;
  mlir::Block &block = attend.getMask().front();
  unsigned numOuter = attend.getNumOuter();
  for (auto [argument, index] : llvm::zip(block.getArguments(), tile.outer))
    known[argument].one = index;
  for (auto [number, members] : {std::pair(numOuter, &tile.rows), {numOuter + 1, &tile.keys}})
    known[block.getArgument(number)].ints = Ints{
        members->first, members->last, {0, kMostAssumed - 1}, members->size - 1, members->size};
  for (Operation &op : block.without_terminator())
    if (op.getNumResults() == 1)
      known[op.getResult(0)] = derive(op);
  Condition mask = conditionOf(cast<attn::YieldOp>(block.getTerminator()).getValue());
  attn::AttnTensorType query = attend.getQuery().getType();
  for (StringRef space : {query.getAxisName(numOuter), attend.getKeySpace()})
    assumed.insert(attn::SizeOp::create(b, b.getI32Type(), space));
  Value isSmall;
  for (Value value : assumed)
    isSmall = b.both(isSmall, b.both(b.compare(Predicate::sle, value, b.integer(kMostAssumed)),
                                     b.compare(Predicate::sge, value, b.integer(-kMostAssumed))));
  if (mask.can)
    mask.can = either(mask.can, not_(isSmall));
  if (mask.always)
    mask.always = b.both(mask.always, isSmall);
  return mask;
}

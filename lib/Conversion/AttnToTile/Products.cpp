// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sums of products as matrix products: sum(f(r, x) g(x, c) for x if m(r, x)). The value is taken
// apart at its multiplications; factors that know the row go to the left side, the others to the
// right one, each side is evaluated on a tile of its own two axes, and `tile.dot` adds up.
//
// Sides are f32, but where both are just elements of tensors of one 16-bit type, or rounded to it:
// these are multiplied as they are, which is exact. On a GPU, a right side of elements of bf16
// stays so beside a left side of f32. What knows the index of the sum alone may be on either side,
// and goes where it leaves the other one as it is.
#include "BlockLoads.h"
#include "Reductions.h"
#include "attnc/Analysis/Factors.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Indices of the sum at a time.
constexpr int64_t kMostSummed = 32, kFewestSummed = 16;
/// A sum of at most so many terms is one product without a loop: what one side has in common with
/// the turns of a loop around is then computed before that loop. In bytes of the wider operand's
/// row.
constexpr int64_t kMostAtOnce = 256;

/// One side of a product.
struct Side {
  SmallVector<Value> factors, shared; ///< all, and those that know the index of the sum alone
  bool isTurned = false; ///< evaluated with its axes exchanged, so that reads are contiguous
  Type rounded;          ///< what the product of the factors is rounded to; null if it is not
  bool isTwice = false;  ///< it is rounded to the sum of two numbers of 16 bits
  Type element;          ///< of the operand
};

class ProductEmitter {
public:
  ProductEmitter(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce,
                 const ReducedRange &range, Frame frame)
      : ev(evaluator), b(evaluator.builder), scope(scope), reduce(reduce), loc(reduce.getLoc()),
        range(range), frame(frame),
        yield(cast<attn::YieldOp>(reduce.getBody().front().getTerminator())) {}

  FailureOr<std::optional<Evaluated>> emit();

private:
  bool separate();
  Type exactTypeOf(const Side &side) const;
  bool readsAlong(const Side &side, Value index) const;
  bool hasReads(const Side &side) const;
  bool hasReduction(const Side &side) const;
  void chooseTypes();
  FailureOr<Value> evaluateSide(Scope &inside, const Side &side, Frame frame);
  FailureOr<Value> mask(Scope &inside, Frame frame);
  FailureOr<SmallVector<Value>> step(Scope &inside, Value offset, Value acc);
  FailureOr<Value> operand(Scope &inside, const Side &side, Frame own);
  FailureOr<std::optional<Evaluated>> atOnce(Value start);
  bool isAtOnce();
  tile::Precision precision() const {
    bool isTwice = left.isTwice && left.element.isF32() && right.element.isBF16();
    return isTwice ? tile::Precision::TwoBF16 : tile::Precision::F32;
  }

  Evaluator &ev;
  OpBuilder &b;
  Scope &scope;
  attn::ReduceOp reduce;
  Location loc;
  ReducedRange range;
  Frame frame;
  attn::YieldOp yield;
  Side left, right;
  int64_t tile = kMostSummed;
};

} // namespace

/// The read that `factor` is, perhaps with a constant where it does not hold.
static attn::ReadOp readOf(Value factor) {
  if (auto select = factor.getDefiningOp<arith::SelectOp>()) {
    auto read = select.getTrueValue().getDefiningOp<attn::ReadOp>();
    return read ? read : select.getFalseValue().getDefiningOp<attn::ReadOp>();
  }
  return factor.getDefiningOp<attn::ReadOp>();
}

/// The tile of a side that is rounded is made of what it is before, and cast.
static void takeRounded(Side &side) {
  if (side.factors.size() != 1)
    return;
  Value factor = side.factors.front();
  if (Value before = roundedFrom(factor)) {
    side.rounded = exactTypeOf(factor);
    side.factors = factorsOf(before);
  } else if (Value before = roundedTwiceFrom(factor)) {
    side.isTwice = true;
    side.factors = factorsOf(before);
  }
}

/// Decides what each side is; false if the value or its condition knows the row and the column at
/// once. A condition that knows the column is left to the loop over single indices: a mask belongs
/// to the left side, and 0 on the right one would not hide what is not a number on the left.
bool ProductEmitter::separate() {
  Scope trial(scope);
  TileAxis summed;
  trial.places[reduce.getBody().getArgument(0)] = {reduce.getSpace(), {}, &summed, {}, true};
  AxisSet byRow, byColumn;
  byRow.add(frame.rows);
  byRow.add(&summed);
  byColumn.add(frame.cols);
  byColumn.add(&summed);
  SmallVector<Value> either; // knows the index of the sum and nothing else
  for (Value factor : factorsOf(yield.getValues().front())) {
    const Facts &facts = ev.factsOf(trial, factor);
    if (byRow.contains(facts.axes) && (facts.axes.contains(frame.rows) || facts.axes.empty()))
      left.factors.push_back(factor);
    else if (byColumn.contains(facts.axes))
      (facts.axes.contains(frame.cols) ? right.factors : either).push_back(factor);
    else
      return false;
  }
  bool isRightExact = bool(exactTypeOf(right));
  Side &home = isRightExact ? left : right;
  llvm::append_range(home.factors, either);
  if (left.factors.empty() || right.factors.empty())
    return false;
  if (yield.getValues().size() == 2 &&
      !byRow.contains(ev.factsOf(trial, yield.getValues().back()).axes))
    return false;
  for (auto [side, own] : {std::pair(&left, frame.rows), std::pair(&right, frame.cols)}) {
    takeRounded(*side);
    for (Value factor : side->factors)
      if (!ev.factsOf(trial, factor).axes.contains(own))
        side->shared.push_back(factor);
  }
  chooseTypes();
  Value index = reduce.getBody().getArgument(0);
  left.isTurned = hasReads(left) && !readsAlong(left, index) && !hasReduction(left);
  right.isTurned =
      readsAlong(right, index) && yield.getValues().size() == 1 && !hasReduction(right);
  return true;
}

/// Whether the reads of `side` have `index` as their last one, whose elements are neighbours. A
/// read that knows no other index of the side than that is a vector either way.
bool ProductEmitter::readsAlong(const Side &side, Value index) const {
  int64_t votes = 0;
  for (Value factor : side.factors)
    if (attn::ReadOp read = readOf(factor);
        read && !read.getIndices().empty() && !llvm::is_contained(side.shared, factor))
      votes += read.getIndices().back() == index ? 1 : -1;
  return votes > 0;
}

/// Whether a factor of `side` is read: else it is as good one way round as the other.
bool ProductEmitter::hasReads(const Side &side) const {
  return llvm::any_of(side.factors, [](Value factor) { return bool(readOf(factor)); });
}

/// Whether `side` is computed from a reduction, which may be a product itself: its accumulators
/// cannot be turned.
bool ProductEmitter::hasReduction(const Side &side) const {
  SmallVector<Value> open(side.factors);
  llvm::DenseSet<Value> seen;
  while (!open.empty()) {
    Value value = open.pop_back_val();
    Operation *op = value.getDefiningOp();
    if (!op || isa<attn::AttnTensorType>(value.getType()) || !seen.insert(value).second)
      continue;
    if (isa<attn::ReduceOp>(op))
      return true;
    open.append(op->operand_begin(), op->operand_end());
  }
  return false;
}

/// The 16-bit type that holds the elements of `side`; null if none does.
Type ProductEmitter::exactTypeOf(const Side &side) const {
  if (side.rounded)
    return side.rounded;
  return side.factors.size() == 1 ? attnc::exactTypeOf(side.factors.front()) : Type();
}

/// Sides of elements of one 16-bit type keep it, and on a GPU one of bf16 beside f32 does. Where
/// both could, they are of different types: then the right one does, which shared memory holds.
void ProductEmitter::chooseTypes() {
  Type ofLeft = exactTypeOf(left), ofRight = exactTypeOf(right);
  left.element = right.element = b.getF32Type();
  bool canBeMixed =
      yield.getValues().size() == 1 && ev.context.plan.target.kind == Target::Kind::NVPTX;
  if (ofLeft && ofLeft == ofRight)
    left.element = right.element = ofLeft;
  else if (canBeMixed && ofRight && ofRight.isBF16())
    right.element = ofRight;
  else if (canBeMixed && ofLeft && ofLeft.isBF16())
    left.element = ofLeft;
}

/// The product of a side's factors, 0 at indices that are not in the range.
FailureOr<Value> ProductEmitter::evaluateSide(Scope &inside, const Side &side, Frame own) {
  Frame emitted = side.isTurned ? own.transposed() : own;
  if (side.element != b.getF32Type() && side.factors.size() == 1 && !side.rounded &&
      range.isWholeTiles(tile)) {
    FailureOr<std::optional<Value>> block = loadBlock(ev, inside, side.factors.front(), emitted);
    if (failed(block))
      return failure();
    if (*block)
      return **block;
  }
  SmallVector<Value> roots(side.factors);
  roots.push_back(reduce.getBody().getArgument(0));
  bool mayOverrun = !range.isWholeTiles(tile);
  Type f32 = b.getF32Type();
  FailureOr<Value> value =
      ev.map(inside, loc, emitted, f32, roots, range.end, [&](ValueRange v, ValueRange e) -> Value {
        Value product = v.front();
        for (Value factor : v.drop_front().drop_back())
          product = arith::MulFOp::create(b, loc, product, factor);
        if (!mayOverrun)
          return product;
        Value isIn = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, v.back(), e[0]);
        Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0));
        return arith::SelectOp::create(b, loc, isIn, product, zero);
      });
  if (failed(value) || side.element == f32)
    return value;
  return tile::CastOp::create(b, loc, ev.type(emitted, side.element), *value).getResult();
}

/// 1 where the condition holds (i32).
FailureOr<Value> ProductEmitter::mask(Scope &inside, Frame own) {
  if (yield.getValues().size() == 1)
    return Value();
  return ev.map(inside, loc, own, b.getI32Type(), yield.getValues().back(), {},
                [&](ValueRange v, ValueRange) -> Value {
                  return arith::ExtUIOp::create(b, loc, b.getI32Type(), v[0]);
                });
}

/// A side, before the loops that it does not depend on.
FailureOr<Value> ProductEmitter::operand(Scope &inside, const Side &side, Frame own) {
  unsigned depth = range.end.frame.isScalar() ? 0 : inside.depth;
  for (Value factor : side.factors)
    depth = std::max(depth, ev.factsOf(inside, factor).depth);
  depth = std::max(depth, ev.factsOf(inside, reduce.getBody().getArgument(0)).depth);
  return ev.before(inside, depth, [&](Scope &home) { return evaluateSide(home, side, own); });
}

FailureOr<SmallVector<Value>> ProductEmitter::step(Scope &inside, Value offset, Value acc) {
  Place place;
  place.space = reduce.getSpace();
  place.mayOverrun = !range.isWholeTiles(tile);
  place.axis = ev.axis(arith::AddIOp::create(b, loc, range.first.value, offset), tile);
  inside.places[reduce.getBody().getArgument(0)] = place;
  Frame rows{frame.rows, place.axis}, cols{place.axis, frame.cols};
  FailureOr<Value> lhs = operand(inside, left, rows);
  FailureOr<Value> rhs = operand(inside, right, cols);
  FailureOr<Value> where = mask(inside, rows);
  if (failed(lhs) || failed(rhs) || failed(where))
    return failure();
  if (left.isTurned)
    lhs = tile::TransposeOp::create(b, loc, ev.type(rows, left.element), *lhs).getResult();
  Value sum = tile::DotOp::create(b, loc, acc.getType(), *lhs, *rhs, acc, *where, right.isTurned,
                                  precision(), /*zero_outside=*/false);
  return SmallVector<Value>{sum};
}

bool ProductEmitter::isAtOnce() {
  int64_t bytes =
      std::max(left.element.getIntOrFloatBitWidth(), right.element.getIntOrFloatBitWidth()) / 8;
  auto first = range.first.value.getDefiningOp<arith::ConstantOp>();
  return first && range.mostCount && *range.mostCount * bytes <= kMostAtOnce;
}

/// The index of the sum starts where the range does, whatever loop this stands in.
FailureOr<std::optional<Evaluated>> ProductEmitter::atOnce(Value start) {
  tile = std::max<int64_t>(kFewestSummed, llvm::PowerOf2Ceil(*range.mostCount));
  Scope &top = ev.top();
  Value argument = reduce.getBody().getArgument(0);
  Place place;
  place.space = reduce.getSpace();
  place.mayOverrun = !range.isWholeTiles(tile);
  FailureOr<Value> zero =
      ev.before(scope, 0, [&](Scope &) -> FailureOr<Value> { return ev.context.i32(loc, 0); });
  place.axis = ev.axis(*zero, tile);
  top.places[argument] = place;
  Frame rows{frame.rows, place.axis}, cols{place.axis, frame.cols};
  FailureOr<Value> lhs = operand(scope, left, rows);
  FailureOr<Value> rhs = operand(scope, right, cols);
  FailureOr<Value> where = mask(scope, rows);
  top.places.erase(argument);
  if (failed(lhs) || failed(rhs) || failed(where))
    return failure();
  if (left.isTurned)
    lhs = tile::TransposeOp::create(b, loc, ev.type(rows, left.element), *lhs).getResult();
  Value sum = tile::DotOp::create(b, loc, start.getType(), *lhs, *rhs, start, *where,
                                  right.isTurned, precision(), /*zero_outside=*/false);
  return std::optional<Evaluated>(Evaluated{sum, frame});
}

FailureOr<std::optional<Evaluated>> ProductEmitter::emit() {
  bool isReal = reduce.getType().isF32();
  if (!isReal || !range.isUniform() || !separate())
    return std::optional<Evaluated>();
  if (reduce.getKind() == attn::Reduction::Mean && yield.getValues().size() == 2)
    return std::optional<Evaluated>(); // the loop counts
  if (range.mostCount)
    tile = std::max(kFewestSummed, std::min<int64_t>(tile, llvm::PowerOf2Ceil(*range.mostCount)));
  Value zero = ev.context.i32(loc, 0);
  Value start = ev.fill(loc, frame, b.getF32FloatAttr(0));
  if (isAtOnce())
    return atOnce(start);
  FailureOr<SmallVector<Value>> sum = ev.loop(scope, loc, zero, range.count, tile, start,
                                              [&](Scope &inside, Value offset, ValueRange carried) {
                                                return step(inside, offset, carried[0]);
                                              });
  if (failed(sum))
    return failure();
  return std::optional<Evaluated>(Evaluated{sum->front(), frame});
}

FailureOr<std::optional<Evaluated>> attnc::evaluateProduct(Evaluator &evaluator, Scope &scope,
                                                           attn::ReduceOp reduce,
                                                           const ReducedRange &range, Frame frame) {
  return ProductEmitter(evaluator, scope, reduce, range, frame).emit();
}

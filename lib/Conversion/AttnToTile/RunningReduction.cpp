// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A sum or product whose range ends or starts at an index of the tile, as prod(f(x, c) for x if
// x <= r) of every row r: all rows want prefixes, or suffixes, of the same elements. One tile of
// them is evaluated and scanned, where a loop over single indices would take each element for each
// row. All of the range is to lie in the tile. So with parts of it: from the first index of the
// part that r lies in, 16 floor(r / 16), to r, or from r to the last one.
#include "Reductions.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Which elements the row (or column) i takes.
struct Running {
  const TileAxis *along = nullptr; ///< the axis of i
  bool isReverse = false;          ///< from i on, not up to it
  bool isExclusive = false;        ///< without i itself
  std::optional<int64_t> part;     ///< within parts of so many indices
};

class RunningEmitter {
public:
  RunningEmitter(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce, Frame frame)
      : ev(evaluator), b(evaluator.builder), scope(scope), reduce(reduce), loc(reduce.getLoc()),
        frame(frame), combiner(b, reduce) {}

  FailureOr<std::optional<Evaluated>> emit();

private:
  std::optional<Running> running();
  const TileAxis *axisOf(Value index);
  FailureOr<Value> elements(const TileAxis *summed, Frame own);
  void forget();

  Evaluator &ev;
  OpBuilder &b;
  Scope &scope;
  attn::ReduceOp reduce;
  Location loc;
  Frame frame;
  Combiner combiner;
  int64_t count = 0; ///< indices of the reduced space
};

} // namespace

static std::optional<int64_t> constantOf(Value value) {
  llvm::APInt number;
  if (!value || !matchPattern(value, m_ConstantInt(&number)))
    return std::nullopt;
  return number.getSExtValue();
}

namespace {

/// A bound that is an index, or the one after it.
struct OwnBound {
  Value index;
  bool isNext = false;
};

/// A bound that is the first index of the part that `index` lies in, or of the next part.
struct PartBound {
  Value index;
  int64_t part = 0;
  bool isNext = false;
};

} // namespace

static OwnBound ownBound(Value bound) {
  if (auto next = bound.getDefiningOp<arith::AddIOp>())
    if (std::optional<int64_t> number = constantOf(next.getRhs()); number == 0 || number == 1)
      return {next.getLhs(), number == 1};
  return {bound, false};
}

static std::optional<PartBound> partBound(Value bound) {
  std::optional<int64_t> more;
  if (auto next = bound.getDefiningOp<arith::AddIOp>(); next && (more = constantOf(next.getRhs())))
    bound = next.getLhs();
  auto first = bound.getDefiningOp<arith::MulIOp>();
  auto part = first ? first.getLhs().getDefiningOp<arith::FloorDivSIOp>() : arith::FloorDivSIOp();
  std::optional<int64_t> divisor = part ? constantOf(part.getRhs()) : std::nullopt;
  if (!divisor || *divisor <= 0 || constantOf(first.getRhs()) != divisor ||
      (more && *more != *divisor))
    return std::nullopt;
  return PartBound{part.getLhs(), *divisor, more.has_value()};
}

/// The axis of the tile that `index` is the index of, all of which lies in the tile.
const TileAxis *RunningEmitter::axisOf(Value index) {
  const Place *place = ev.placeOf(scope, index);
  bool isOwn = place && place->axis && !place->base &&
               (place->axis == frame.rows || place->axis == frame.cols);
  return isOwn && constantOf(place->axis->first) == 0 ? place->axis : nullptr;
}

/// What the bounds of the reduction say, if they are indices of the tile or of its parts.
std::optional<Running> RunningEmitter::running() {
  Value lower = reduce.getLower(), upper = reduce.getUpper();
  if (reduce.getBlock() || (!lower && !upper))
    return std::nullopt;
  Running found;
  OwnBound own;
  if (lower && upper) {
    std::optional<PartBound> start = partBound(lower), end = partBound(upper);
    bool isUp = start && !start->isNext, isDown = end && end->isNext;
    if (!isUp && !isDown)
      return std::nullopt;
    own = ownBound(isUp ? upper : lower);
    const PartBound &part = isUp ? *start : *end;
    if (own.index != part.index)
      return std::nullopt;
    found.part = part.part;
    found.isReverse = !isUp;
  } else {
    own = ownBound(lower ? lower : upper);
    found.isReverse = bool(lower);
  }
  found.isExclusive = found.isReverse ? own.isNext : !own.isNext;
  found.along = axisOf(own.index);
  std::optional<int64_t> size = constantOf(ev.context.sizes.lookup(reduce.getSpace()));
  if (!found.along || !size || *size <= 0 || *size > found.along->tile)
    return std::nullopt;
  count = *size;
  if (found.part && found.along->tile % *found.part != 0)
    return std::nullopt;
  return found;
}

/// The elements of all rows, and what changes nothing where there is none.
FailureOr<Value> RunningEmitter::elements(const TileAxis *summed, Frame own) {
  auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
  SmallVector<Value> roots(yield.getValues());
  roots.push_back(reduce.getBody().getArgument(0));
  return ev.map(scope, loc, own, reduce.getType(), roots, {}, [&](ValueRange v, ValueRange) {
    Value isIn;
    if (count < summed->tile)
      isIn = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, v.back(),
                                   ev.context.i32(loc, count));
    if (yield.getValues().size() == 2)
      isIn = isIn ? arith::AndIOp::create(b, loc, isIn, v[1]).getResult() : v[1];
    if (!isIn)
      return v[0];
    Value neutral = combiner.constant(combiner.neutral().front());
    return arith::SelectOp::create(b, loc, isIn, v[0], neutral).getResult();
  });
}

/// What was emitted of the region belongs to this reduction's axis alone.
void RunningEmitter::forget() {
  scope.places.erase(reduce.getBody().getArgument(0));
  scope.facts.erase(reduce.getBody().getArgument(0));
  reduce.getBody().walk([&](Operation *op) {
    for (Value value : op->getResults()) {
      scope.values.erase(value);
      scope.facts.erase(value);
    }
  });
}

FailureOr<std::optional<Evaluated>> RunningEmitter::emit() {
  using attn::Reduction;
  Reduction kind = reduce.getKind();
  if ((kind != Reduction::Sum && kind != Reduction::Prod) || !frame.rows || !frame.cols)
    return std::optional<Evaluated>();
  std::optional<Running> found = running();
  if (!found)
    return std::optional<Evaluated>();
  bool alongRows = found->along == frame.rows;
  FailureOr<Value> zero =
      ev.before(scope, 0, [&](Scope &) -> FailureOr<Value> { return ev.context.i32(loc, 0); });
  const TileAxis *summed = ev.axis(*zero, found->along->tile);
  scope.places[reduce.getBody().getArgument(0)] = {
      reduce.getSpace(), {}, summed, {}, /*mayOverrun=*/count < summed->tile};
  AxisSet axes;
  for (Value value : reduce.getBody().front().getTerminator()->getOperands())
    axes.add(ev.factsOf(scope, value).axes);
  const TileAxis *other = alongRows ? frame.cols : frame.rows;
  std::optional<Evaluated> result;
  if (axes.contains(other) && !axes.contains(found->along)) {
    Frame own = alongRows ? Frame{summed, frame.cols} : Frame{frame.rows, summed};
    FailureOr<Value> tile = elements(summed, own);
    if (failed(tile))
      return failure();
    auto scan = tile::ScanOp::create(
        b, loc, tile->getType(),
        kind == Reduction::Sum ? tile::ReduceKind::Sum : tile::ReduceKind::Product, *tile,
        alongRows ? tile::Axis::Rows : tile::Axis::Columns,
        found->part ? b.getI64IntegerAttr(*found->part) : IntegerAttr(), found->isExclusive,
        found->isReverse);
    result = Evaluated{scan.getResult(), frame};
  }
  forget();
  return result;
}

FailureOr<std::optional<Evaluated>> attnc::evaluateRunning(Evaluator &evaluator, Scope &scope,
                                                           attn::ReduceOp reduce, Frame frame) {
  return RunningEmitter(evaluator, scope, reduce, frame).emit();
}

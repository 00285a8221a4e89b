// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions in an expression. One that depends on a single axis is a matrix of that axis and the
// reduced one, combined element by element over tiles and once along the reduced axis at the end;
// one that depends on both axes is a scan (RunningReduction.cpp), a product (Products.cpp) or a
// loop over single indices; one that depends on none is a loop of scalars, or on a
// GPU, whose threads would all run it, one row of such a matrix.
#include "Reductions.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Indices of the reduced axis at a time.
constexpr int64_t kMostReduced = 64, kFewestReduced = 16;

class ReductionEmitter {
public:
  ReductionEmitter(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce, Frame frame)
      : ev(evaluator), b(evaluator.builder), scope(scope), reduce(reduce), loc(reduce.getLoc()),
        frame(frame), combiner(b, reduce),
        yield(cast<attn::YieldOp>(reduce.getBody().front().getTerminator())) {}

  FailureOr<Evaluated> emit();

private:
  using Parts = SmallVector<Value>;

  FailureOr<Evaluated> alongAxis(const TileAxis *kept, bool keptIsRows);
  FailureOr<Evaluated> indexByIndex();
  bool isWorthARow();
  FailureOr<Evaluated> asScalar();
  FailureOr<Parts> accumulate(Scope &inside, Frame own, ValueRange parts, bool mayOverrun);
  FailureOr<Value> accumulatePart(Scope &inside, Frame own, ValueRange parts, unsigned part,
                                  bool mayOverrun);
  FailureOr<Evaluated> finished(Scope &at, Frame own, ValueRange parts);
  Parts neutralParts(Frame of);
  SmallVector<Value> along(ValueRange parts, bool keptIsRows, Frame own);
  bool hasCondition() { return yield.getValues().size() == 2; }
  bool countsIndices() { return combiner.isMean() && (hasCondition() || !range.isUniform()); }

  Evaluator &ev;
  OpBuilder &b;
  Scope &scope;
  attn::ReduceOp reduce;
  Location loc;
  Frame frame;
  Combiner combiner;
  attn::YieldOp yield;
  ReducedRange range;
};

} // namespace

/// A part more for the number of indices that take part, where a mean has to count them.
ReductionEmitter::Parts ReductionEmitter::neutralParts(Frame of) {
  Parts parts;
  for (TypedAttr neutral : combiner.neutral())
    parts.push_back(ev.fill(loc, of, neutral));
  if (countsIndices())
    parts.push_back(ev.fill(loc, of, b.getF32FloatAttr(0)));
  return parts;
}

/// One part of what `parts` and the indices of this step combine to.
FailureOr<Value> ReductionEmitter::accumulatePart(Scope &inside, Frame own, ValueRange parts,
                                                  unsigned part, bool mayOverrun) {
  bool isNumber = part == combiner.neutral().size();
  SmallVector<Value> roots{reduce.getBody().getArgument(0)};
  if (hasCondition())
    roots.push_back(yield.getValues().back());
  if (!isNumber)
    roots.push_back(yield.getValues().front());
  SmallVector<Evaluated> extra{range.end};
  for (Value carried : parts)
    extra.push_back({carried, own});
  Type type = isNumber ? b.getF32Type() : combiner.neutral()[part].getType();
  return ev.map(inside, loc, own, type, roots, extra, [&](ValueRange v, ValueRange e) -> Value {
    ValueRange carried = e.drop_front();
    // An index of a tile's or a block's tail is at or beyond the end.
    Value isIn;
    if (mayOverrun)
      isIn = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, v[0], e[0]);
    if (hasCondition())
      isIn = isIn ? arith::AndIOp::create(b, loc, isIn, v[1]).getResult() : v[1];
    if (isNumber) { // indices are counted where not all of them are in
      Value one = arith::UIToFPOp::create(b, loc, b.getF32Type(), isIn);
      return arith::AddFOp::create(b, loc, carried[part], one);
    }
    SmallVector<Value> lifted = combiner.lift(v.back(), v[0]);
    for (auto [value, neutral] : llvm::zip(lifted, combiner.neutral()))
      if (isIn)
        value = arith::SelectOp::create(b, loc, isIn, value, combiner.constant(neutral));
    return combiner.combine(carried.take_front(lifted.size()), lifted)[part];
  });
}

/// What is carried, combined with the indices of this step: as many as the reduced axis of `own`
/// has elements, or one if it has no such axis.
FailureOr<ReductionEmitter::Parts> ReductionEmitter::accumulate(Scope &inside, Frame own,
                                                                ValueRange parts, bool mayOverrun) {
  Parts next;
  for (unsigned part = 0; part < parts.size(); ++part) {
    FailureOr<Value> value = accumulatePart(inside, own, parts, part, mayOverrun);
    if (failed(value))
      return failure();
    next.push_back(*value);
  }
  return next;
}

FailureOr<Evaluated> ReductionEmitter::finished(Scope &at, Frame own, ValueRange parts) {
  SmallVector<Evaluated> extra;
  for (Value part : parts)
    extra.push_back({part, own});
  if (combiner.isMean() && !countsIndices()) {
    Value number = arith::SIToFPOp::create(b, loc, b.getF32Type(), range.count);
    extra.push_back({number, {}});
  }
  FailureOr<Value> result =
      ev.map(at, loc, own, reduce.getType(), {}, extra, [&](ValueRange, ValueRange e) -> Value {
        return combiner.finish(e, combiner.isMean() ? e.back() : Value());
      });
  if (failed(result))
    return failure();
  return Evaluated{*result, own};
}

/// One index after another: `own` is the shape of the result.
FailureOr<Evaluated> ReductionEmitter::indexByIndex() {
  AxisSet axes = ev.factsOf(scope, reduce.getResult()).axes;
  Frame own = frame.restrictedTo(axes);
  BlockArgument argument = reduce.getBody().getArgument(0);
  auto body = [&](Scope &inside, Value offset, ValueRange parts) -> FailureOr<Parts> {
    Place place;
    place.space = reduce.getSpace();
    if (range.first.frame.isScalar()) {
      place.scalar = arith::AddIOp::create(b, loc, range.first.value, offset);
      inside.places[argument] = place;
    } else {
      FailureOr<Value> index =
          ev.map(inside, loc, range.first.frame, b.getI32Type(), {}, {range.first, {offset, {}}},
                 [&](ValueRange, ValueRange e) -> Value {
                   return arith::AddIOp::create(b, loc, e[0], e[1]);
                 });
      if (failed(index))
        return failure();
      inside.values[argument] = {*index, range.first.frame};
    }
    return accumulate(inside, own, parts, /*mayOverrun=*/!range.isUniform());
  };
  Value zero = ev.context.i32(loc, 0);
  FailureOr<Parts> parts = ev.loop(scope, loc, zero, range.count, 1, neutralParts(own), body);
  if (failed(parts))
    return failure();
  return finished(scope, own, *parts);
}

/// The parts of each row (or column) of matrices.
SmallVector<Value> ReductionEmitter::along(ValueRange parts, bool keptIsRows, Frame own) {
  unsigned count = combiner.neutral().size();
  SmallVector<Type> types;
  for (Value part : parts)
    types.push_back(ev.type(own, cast<tile::TileType>(part.getType()).getElementType()));
  tile::Axis axis = keptIsRows ? tile::Axis::Columns : tile::Axis::Rows;
  auto fold = tile::FoldOp::create(b, loc, types, parts, axis, IntegerAttr());
  OpBuilder::InsertionGuard guard(b);
  Block *block = b.createBlock(&fold.getBody());
  for (unsigned side = 0; side < 2; ++side)
    for (Value part : parts)
      block->addArgument(cast<tile::TileType>(part.getType()).getElementType(), loc);
  ValueRange x = block->getArguments().take_front(parts.size());
  ValueRange y = block->getArguments().drop_front(parts.size());
  SmallVector<Value> both = combiner.combine(x.take_front(count), y.take_front(count));
  if (parts.size() > count)
    both.push_back(arith::AddFOp::create(b, loc, x.back(), y.back()));
  tile::YieldOp::create(b, loc, both);
  return SmallVector<Value>(fold.getResults());
}

/// A matrix of `kept` and the reduced axis.
FailureOr<Evaluated> ReductionEmitter::alongAxis(const TileAxis *kept, bool keptIsRows) {
  int64_t tile = kMostReduced;
  if (range.mostCount)
    tile = std::max(kFewestReduced, std::min<int64_t>(tile, llvm::PowerOf2Ceil(*range.mostCount)));
  bool mayOverrun = !range.isWholeTiles(tile);
  BlockArgument argument = reduce.getBody().getArgument(0);
  Value zero = ev.context.i32(loc, 0);
  auto frameOf = [&](const TileAxis *reduced) {
    return keptIsRows ? Frame{kept, reduced} : Frame{reduced, kept};
  };
  auto body = [&](Scope &inside, Value offset, ValueRange parts) -> FailureOr<Parts> {
    Place place;
    place.space = reduce.getSpace();
    place.mayOverrun = mayOverrun;
    Value first = offset;
    if (range.first.frame.isScalar())
      first = arith::AddIOp::create(b, loc, range.first.value, offset);
    else
      place.base = range.first;
    place.axis = ev.axis(first, tile);
    inside.places[argument] = place;
    return accumulate(inside, frameOf(place.axis), parts, mayOverrun);
  };
  const TileAxis *shape = ev.axis(zero, tile);
  FailureOr<Parts> parts =
      ev.loop(scope, loc, zero, range.count, tile, neutralParts(frameOf(shape)), body);
  if (failed(parts))
    return failure();
  Frame own = keptIsRows ? Frame{kept, nullptr} : Frame{nullptr, kept};
  return finished(scope, own, along(*parts, keptIsRows, own));
}

/// Whether threads have more to gain from sharing the indices than from having nothing to exchange.
/// A row of a part of a space would have a tail whose elements are others' to compute.
bool ReductionEmitter::isWorthARow() {
  bool isLong = !range.mostCount || *range.mostCount > kFewestReduced;
  Type type = reduce.getType();
  return ev.context.plan.target.kind == Target::Kind::NVPTX && isLong && !reduce.getBlock() &&
         !reduce.isBounded() && (type.isF32() || type.isInteger(32));
}

FailureOr<Evaluated> ReductionEmitter::asScalar() {
  FailureOr<Evaluated> row = alongAxis(ev.axis(ev.context.i32(loc, 0), 1), /*keptIsRows=*/true);
  if (failed(row))
    return failure();
  return Evaluated{tile::ScalarOp::create(b, loc, reduce.getType(), row->value), {}};
}

FailureOr<Evaluated> ReductionEmitter::emit() {
  FailureOr<std::optional<Evaluated>> scanned = evaluateRunning(ev, scope, reduce, frame);
  if (failed(scanned))
    return failure();
  if (*scanned)
    return **scanned;
  FailureOr<ReducedRange> found = rangeOf(ev, scope, reduce, frame);
  if (failed(found))
    return failure();
  range = *found;
  AxisSet axes = ev.factsOf(scope, reduce.getResult()).axes;
  if (axes.size() == 1) {
    bool isRows = axes.contains(frame.rows);
    return alongAxis(isRows ? frame.rows : frame.cols, isRows);
  }
  if (axes.empty() && frame.rows && !frame.cols && frame.rows->tile == 1)
    return alongAxis(frame.rows, /*keptIsRows=*/true);
  if (axes.empty() && isWorthARow())
    return asScalar();
  if (axes.size() == 2 && combiner.isSum()) {
    FailureOr<std::optional<Evaluated>> product = evaluateProduct(ev, scope, reduce, range, frame);
    if (failed(product))
      return failure();
    if (*product)
      return finished(scope, frame, (*product)->value);
  }
  return indexByIndex();
}

FailureOr<Evaluated> attnc::evaluateReduce(Evaluator &evaluator, Scope &scope,
                                           attn::ReduceOp reduce, Frame frame) {
  return ReductionEmitter(evaluator, scope, reduce, frame).emit();
}

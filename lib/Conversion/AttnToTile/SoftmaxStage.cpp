// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An attention over key tiles: which tiles are visited, how their scores come about, and what
// leaves the kernel. What is carried from tile to tile is in OnlineSoftmax.h; the kernel walks its
// tiles in the FAST form, and again in the EXACT one if what came out is in doubt:
//
//   m, l, o, M = for key tiles: FAST                  (PARTIAL, FULL and PARTIAL tiles: three
//   loops) m, l, o, excess = if any suspect: for key tiles: EXACT  (one loop, every tile is
//   PARTIAL) out = o / l;  lse = m + ln l
#include "KernelContext.h"
#include "OnlineSoftmax.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <cmath>

using namespace mlir;
using namespace attnc;
using tile::TileType;

namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.6931471805599453;

class SoftmaxStage {
public:
  SoftmaxStage(KernelContext &context, attn::AttendOp attend)
      : context(context), builder(context.builder), attend(attend), loc(attend.getLoc()),
        plan(context.plan), tiles(context, attend.getLoc()) {
    Type f32 = builder.getF32Type();
    operandType = plan.dtype == "f32"   ? f32
                  : plan.dtype == "f16" ? Type(builder.getF16Type())
                                        : Type(builder.getBF16Type());
    paddedD = llvm::alignTo(plan.headDim, 16);
    paddedE = llvm::alignTo(plan.vHeadDim, 16);
    queryTile = tiles.type({plan.tileQ, paddedD}, operandType);
    outTile = tiles.type({plan.tileQ, paddedE}, f32);
    rowTile = tiles.type({plan.tileQ}, f32);
    use(Form::Fast);
  }

  LogicalResult emit(const KeyRanges &keyRanges, Value out, Value lse);

private:
  using Form = OnlineSoftmax::Form;
  using State = OnlineSoftmax::State;

  /// From here on, loops are emitted in this form.
  void use(Form form);
  LogicalResult chooseFactor();
  FailureOr<Value> sinks();
  FailureOr<Value> modifiedScores(Value dots, Value key0, bool partial);
  FailureOr<Value> product(OnlineSoftmax &softmax, const OnlineSoftmax::Step &step, Value scores,
                           Value key0);
  FailureOr<State> visit(OnlineSoftmax &softmax, const State &state, Value key0, bool partial);
  FailureOr<State> loop(OnlineSoftmax &softmax, const State &state, Value from, Value to,
                        bool partial);
  FailureOr<State> visitRange(OnlineSoftmax &softmax, const State &state, const TileRange &range,
                              const TileRanges &ranges);
  FailureOr<State> visitAll(OnlineSoftmax &softmax, const State &state, const TileRanges &ranges);
  FailureOr<State> walk(OnlineSoftmax &softmax, Value sink, const TileRanges &ranges);
  /// The FAST result, or the EXACT one where that is in doubt; `excess` becomes that of the chosen
  /// one.
  FailureOr<State> walkAndCheck(Value sink, const TileRanges &ranges, Value &excess);
  LogicalResult finish(const State &state, Value excess, Value out, Value lse);

  Value load(TileType type, Value view, Value outer, Value inner, Value row, Value limit,
             int64_t validCols) {
    return tile::LoadOp::create(builder, loc, type, view, ValueRange{outer, inner}, row, limit,
                                /*row_dim=*/2, validCols);
  }
  tile::Precision precision() const {
    return plan.precision == "tf32" ? tile::Precision::TF32 : tile::Precision::F32;
  }
  OnlineSoftmax softmax(Form form) {
    return {tiles, rowTile, outTile, factor, form, /*compensated=*/operandType.isF32()};
  }

  KernelContext &context;
  OpBuilder &builder;
  attn::AttendOp attend;
  Location loc;
  const KernelPlan &plan;
  TileBuilder tiles;
  Type operandType;
  int64_t paddedD, paddedE; ///< columns of Q and K, and of V, in tiles
  TileType queryTile, keyTile, valueTile, scoreTile, outTile, rowTile;
  Value query, keyLimit;
  Value scale;            ///< multiplies dots before the score region; null if folded into `factor`
  double foldedScale = 1; ///< what a unit of x is worth in natural score units
  Value factor;           ///< c
  Form form;              ///< of the loops that are being emitted
  int64_t keys;           ///< of their key tiles
  bool mayHideTiles = false; ///< the mask may hide all of a visited key tile
};

} // namespace

/// The EXACT form is seldom run. Narrow tiles keep its code short, and its registers and shared
/// memory below what the FAST loops need.
constexpr int64_t kExactKeys = 16;

void SoftmaxStage::use(Form next) {
  form = next;
  keys = form == Form::Fast ? plan.tileKV : std::min(plan.tileKV, kExactKeys);
  keyTile = tiles.type({keys, paddedD}, operandType);
  valueTile = tiles.type({keys, paddedE}, operandType);
  scoreTile = tiles.type({plan.tileQ, keys}, builder.getF32Type());
}

/// Decides where the scale goes. Folding it into the exponential's factor needs that nothing else
/// looks at the scores and that the scale is positive (a maximum commutes with positive factors
/// only).
LogicalResult SoftmaxStage::chooseFactor() {
  double defaultScale = 1.0 / std::sqrt(static_cast<double>(plan.headDim));
  bool fold = !attend.getScale() && attend.getScore().empty() && attend.getSink().empty();
  if (fold) {
    foldedScale = defaultScale;
    factor = context.f32(loc, defaultScale * kLog2E);
    return success();
  }
  factor = context.f32(loc, kLog2E);
  if (!attend.getScale()) {
    scale = context.f32(loc, defaultScale);
    return success();
  }
  FailureOr<Value> given = context.materialize(attend.getScale());
  if (failed(given))
    return failure();
  scale = *given;
  return success();
}

/// The sink of each row, a score; null without one.
FailureOr<Value> SoftmaxStage::sinks() {
  if (attend.getSink().empty())
    return Value();
  return tiles.map(rowTile, {}, [&](ValueRange args) {
    Coordinates at{context.b, context.h, args.back(), {}, false};
    return context.cloneRegion(attend.getSink(), {context.b, context.h, args.back()}, at);
  });
}

/// Scale, score region and, in PARTIAL tiles, mask. Nothing to do is no op.
FailureOr<Value> SoftmaxStage::modifiedScores(Value dots, Value key0, bool partial) {
  if (!scale && attend.getScore().empty() && !partial)
    return dots;
  auto modify = [&](ValueRange args) -> FailureOr<Value> {
    Value x = args[0], row = args[1], key = args[2];
    Coordinates at{context.b, context.h, row, key, partial};
    if (scale)
      x = tiles.mul(x, scale);
    if (!attend.getScore().empty()) {
      FailureOr<Value> y =
          context.cloneRegion(attend.getScore(), {x, context.b, context.h, row, key}, at);
      if (failed(y))
        return failure();
      x = *y;
    }
    if (!partial)
      return x;
    Value keep =
        arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, key, context.sizes["kv"]);
    if (!attend.getMask().empty()) {
      FailureOr<Value> mask =
          context.cloneRegion(attend.getMask(), {context.b, context.h, row, key}, at);
      if (failed(mask))
        return failure();
      keep = tiles.both(*mask, keep);
    }
    return tiles.select(keep, x, context.f32(loc, -INFINITY));
  };
  FailureOr<Value> scores = tiles.map(scoreTile, dots, modify, key0);
  // m, l and o stay as they are where every score is hidden: a back end may skip the rest of such a
  // tile. Where the ranges are exact there is none, and no need to look.
  if (succeeded(scores) && partial && mayHideTiles)
    scores->getDefiningOp()->setAttr("tile.skip_hidden", builder.getUnitAttr());
  return scores;
}

/// The weights' product with V, added to the rescaled accumulator.
FailureOr<Value> SoftmaxStage::product(OnlineSoftmax &softmax, const OnlineSoftmax::Step &step,
                                       Value scores, Value key0) {
  Value weights = step.weights;
  if (!operandType.isF32())
    weights =
        tile::CastOp::create(builder, loc, tiles.type(scoreTile.getShape(), operandType), weights);
  Value value = load(valueTile, context.inputViews[attend.getValue()], context.b, context.g, key0,
                     keyLimit, plan.vHeadDim);
  if (form == Form::Fast)
    return tile::DotOp::create(builder, loc, outTile, weights, value, step.next.o, /*mask=*/Value(),
                               /*transpose_rhs=*/false, precision())
        .getResult();
  FailureOr<Value> visible = softmax.visible(scores, key0);
  if (failed(visible))
    return failure();
  return tile::DotOp::create(builder, loc, outTile, weights, value, step.next.o, *visible,
                             /*transpose_rhs=*/false, precision())
      .getResult();
}

/// One key tile.
FailureOr<SoftmaxStage::State> SoftmaxStage::visit(OnlineSoftmax &softmax, const State &state,
                                                   Value key0, bool partial) {
  Value key = load(keyTile, context.inputViews[attend.getKey()], context.b, context.g, key0,
                   keyLimit, plan.headDim);
  Value dots = tile::DotOp::create(builder, loc, scoreTile, query, key, tiles.fill(scoreTile, 0.0),
                                   /*mask=*/Value(), /*transpose_rhs=*/true, precision());
  FailureOr<Value> x = modifiedScores(dots, key0, partial);
  if (failed(x))
    return failure();
  FailureOr<OnlineSoftmax::Step> step = softmax.step(state, *x, key0);
  if (failed(step))
    return failure();
  FailureOr<Value> o = product(softmax, *step, *x, key0);
  if (failed(o))
    return failure();
  State next = step->next;
  next.o = *o;
  return next;
}

FailureOr<SoftmaxStage::State> SoftmaxStage::loop(OnlineSoftmax &softmax, const State &state,
                                                  Value from, Value to, bool partial) {
  auto forOp = scf::ForOp::create(builder, loc, from, to, context.i32(loc, keys), state.values());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forOp.getBody());
  FailureOr<State> next =
      visit(softmax, state.with(forOp.getRegionIterArgs()), forOp.getInductionVar(), partial);
  if (failed(next))
    return failure();
  scf::YieldOp::create(builder, loc, next->values());
  return state.with(forOp.getResults());
}

FailureOr<SoftmaxStage::State> SoftmaxStage::visitRange(OnlineSoftmax &softmax, const State &state,
                                                        const TileRange &range,
                                                        const TileRanges &ranges) {
  if (!ranges.hasFull || form == Form::Exact)
    return loop(softmax, state, range.start, range.end, /*partial=*/true);
  FailureOr<State> current = state;
  Value from = range.start;
  if (ranges.hasLeadingPartial) {
    current = loop(softmax, *current, from, range.fullStart, /*partial=*/true);
    from = range.fullStart;
  }
  if (succeeded(current))
    current = loop(softmax, *current, from, range.fullEnd, /*partial=*/false);
  if (succeeded(current))
    current = loop(softmax, *current, range.fullEnd, range.end, /*partial=*/true);
  return current;
}

/// Several ranges share one copy of the code: an outer loop picks the bounds of each.
FailureOr<SoftmaxStage::State> SoftmaxStage::visitAll(OnlineSoftmax &softmax, const State &state,
                                                      const TileRanges &ranges) {
  if (ranges.ranges.size() == 1)
    return visitRange(softmax, state, ranges.ranges.front(), ranges);
  Value zero = context.i32(loc, 0), one = context.i32(loc, 1);
  Value count = context.i32(loc, ranges.ranges.size());
  auto forOp = scf::ForOp::create(builder, loc, zero, count, one, state.values());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forOp.getBody());
  TileRange picked = ranges.ranges.front();
  for (auto [i, range] : llvm::enumerate(llvm::drop_begin(ranges.ranges))) {
    Value here = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                       forOp.getInductionVar(), context.i32(loc, i + 1));
    auto pick = [&](Value candidate, Value current) -> Value {
      return arith::SelectOp::create(builder, loc, here, candidate, current);
    };
    picked = {pick(range.start, picked.start), pick(range.fullStart, picked.fullStart),
              pick(range.fullEnd, picked.fullEnd), pick(range.end, picked.end)};
  }
  FailureOr<State> next =
      visitRange(softmax, state.with(forOp.getRegionIterArgs()), picked, ranges);
  if (failed(next))
    return failure();
  scf::YieldOp::create(builder, loc, next->values());
  return state.with(forOp.getResults());
}

FailureOr<SoftmaxStage::State> SoftmaxStage::walk(OnlineSoftmax &softmax, Value sink,
                                                  const TileRanges &ranges) {
  FailureOr<State> state = softmax.begin(sink);
  if (succeeded(state))
    state = visitAll(softmax, *state, ranges);
  return failed(state) ? state : softmax.finish(*state);
}

FailureOr<SoftmaxStage::State> SoftmaxStage::walkAndCheck(Value sink, const TileRanges &ranges,
                                                          Value &excess) {
  OnlineSoftmax fast = softmax(Form::Fast), exact = softmax(Form::Exact);
  FailureOr<State> result = walk(fast, sink, ranges);
  if (failed(result))
    return failure();
  FailureOr<Value> suspects = fast.suspects(*result);
  if (failed(suspects))
    return failure();
  Value some = tile::AnyOp::create(builder, loc, builder.getI1Type(), *suspects);
  auto branch = scf::IfOp::create(builder, loc, TypeRange{rowTile, rowTile, outTile, rowTile}, some,
                                  /*withElseRegion=*/true);
  auto yield = [&](OnlineSoftmax &softmax, const FailureOr<State> &state) -> LogicalResult {
    if (failed(state))
      return failure();
    FailureOr<Value> own = softmax.excess(*state);
    if (failed(own))
      return failure();
    scf::YieldOp::create(builder, loc, ValueRange{state->m, state->l, state->o, *own});
    return success();
  };
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  use(Form::Exact);
  if (failed(yield(exact, walk(exact, sink, ranges))))
    return failure();
  builder.setInsertionPointToStart(branch.elseBlock());
  if (failed(yield(fast, result)))
    return failure();
  excess = branch.getResult(3);
  return State{branch.getResult(0), branch.getResult(1), branch.getResult(2), Value(), Value()};
}

/// out = o / l (0 for a row without keys), lse = m + ln(l) in natural units (-inf without keys or
/// sink).
LogicalResult SoftmaxStage::finish(const State &state, Value excess, Value out, Value lse) {
  Value queries = context.sizes["q"];
  using Predicate = arith::CmpFPredicate;
  FailureOr<Value> r = tiles.map(rowTile, state.l, [&](ValueRange a) -> FailureOr<Value> {
    // Not equal, or unordered: a NaN must reach the output.
    Value some = tiles.compare(Predicate::UNE, a[0], tiles.f32(0.0));
    return tiles.select(some, tiles.div(tiles.f32(1.0), a[0]), tiles.f32(0.0));
  });
  if (failed(r))
    return failure();
  FailureOr<Value> result =
      tiles.map(outTile, {state.o, *r},
                [&](ValueRange a) -> FailureOr<Value> { return tiles.mul(a[0], a[1]); });
  if (failed(result))
    return failure();
  tile::StoreOp::create(builder, loc, *result, out, ValueRange{context.b, context.h}, context.row0,
                        queries, /*row_dim=*/2, plan.vHeadDim);
  if (!lse)
    return success();
  FailureOr<Value> value =
      tiles.map(rowTile, {state.m, state.l, excess}, [&](ValueRange a) -> FailureOr<Value> {
        Value ln = tiles.mul(tiles.sub(tiles.log2(a[1]), a[2]), tiles.f32(kLn2));
        Value sum = tiles.fma(a[0], tiles.f32(foldedScale), ln);
        Value some = tiles.compare(Predicate::UNE, a[1], tiles.f32(0.0));
        return tiles.select(some, sum, tiles.f32(-INFINITY));
      });
  if (failed(value))
    return failure();
  tile::StoreOp::create(builder, loc, *value, lse, ValueRange{context.b, context.h}, context.row0,
                        queries, /*row_dim=*/2, /*valid_cols=*/1);
  return success();
}

LogicalResult SoftmaxStage::emit(const KeyRanges &keyRanges, Value out, Value lse) {
  for (Region *region : {&attend.getScore(), &attend.getMask(), &attend.getSink()})
    if (failed(context.materializeCaptures(*region)))
      return failure();
  if (failed(chooseFactor()))
    return failure();
  mayHideTiles = !keyRanges.exact;
  FailureOr<TileRanges> ranges = emitTileRanges(context, attend, keyRanges);
  if (failed(ranges))
    return failure();
  keyLimit = ranges->keyLimit;
  query = load(queryTile, context.inputViews[attend.getQuery()], context.b, context.h, context.row0,
               context.sizes["q"], plan.headDim);
  FailureOr<Value> sink = sinks();
  if (failed(sink))
    return failure();
  Value excess;
  FailureOr<State> state = walkAndCheck(*sink, *ranges, excess);
  return failed(state) ? failure() : finish(*state, excess, out, lse);
}

LogicalResult attnc::emitSoftmaxStage(KernelContext &context, attn::AttendOp attend,
                                      const KeyRanges &ranges, Value out, Value lse) {
  return SoftmaxStage(context, attend).emit(ranges, out, lse);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The online softmax over key tiles (Milakov and Gimelshein, arXiv 1805.02867; Dao et al.,
// 2205.14135).
//
// State for each row: m, the running maximum of the scores x; l, the sum of exp(x - m); o, the sum
// of exp(x - m) * V. Exponentials are exp2 with a factor c, so that exp(score) = exp2(c * x):
//
//   m' = max(m, rowmax(x));  alpha = exp2(c*m - c*m');  p = exp2(c*x - c*m')
//   l' = l * alpha + rowsum(p);  o' = o * alpha + p V
//
// m starts at a finite floor instead of -inf: a row that has not seen a key keeps l = 0 without any
// test, as exp2(-inf - floor) = 0 and exp2(floor - floor) = 1 multiplies zeros.
#include "KernelContext.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include <cmath>

using namespace mlir;
using namespace attnc;
using tile::TileType;

namespace {

constexpr double kFloor = -1.0e38;
constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.6931471805599453;

class SoftmaxStage {
public:
  SoftmaxStage(KernelContext &context, attn::AttendOp attend)
      : context(context), builder(context.builder), attend(attend), loc(attend.getLoc()),
        plan(context.plan) {
    MLIRContext *mlir = builder.getContext();
    Type f32 = builder.getF32Type();
    operandType = plan.dtype == "f32"   ? f32
                  : plan.dtype == "f16" ? Type(builder.getF16Type())
                                        : Type(builder.getBF16Type());
    int64_t d = llvm::alignTo(plan.headDim, 16), e = llvm::alignTo(plan.vHeadDim, 16);
    auto tileOf = [&](ArrayRef<int64_t> shape, Type type) {
      return TileType::get(mlir, shape, type, tile::LinearLayoutAttr());
    };
    queryTile = tileOf({plan.tileQ, d}, operandType);
    keyTile = tileOf({plan.tileKV, d}, operandType);
    valueTile = tileOf({plan.tileKV, e}, operandType);
    scoreTile = tileOf({plan.tileQ, plan.tileKV}, f32);
    probabilityTile = tileOf({plan.tileQ, plan.tileKV}, operandType);
    outTile = tileOf({plan.tileQ, e}, f32);
    rowTile = tileOf({plan.tileQ}, f32);
  }

  LogicalResult emit(const KeyRanges &keyRanges, Value out, Value lse);

private:
  struct State {
    Value m, l, o;
    SmallVector<Value> values() const { return {m, l, o}; }
  };
  using ElementFn = llvm::function_ref<FailureOr<Value>(ValueRange)>;

  LogicalResult chooseFactor();
  FailureOr<State> initialState();
  FailureOr<State> visit(const State &state, Value key0, bool partial);
  FailureOr<State> loop(const State &state, Value from, Value to, bool partial);
  FailureOr<State> visitRange(const State &state, const TileRange &range, const TileRanges &ranges);
  FailureOr<State> visitAll(const State &state, const TileRanges &ranges);
  FailureOr<Value> modifiedScores(Value dots, Value key0, bool partial);
  LogicalResult finish(const State &state, Value out, Value lse);

  /// A map whose region is built by `element` from the operands' elements and the coordinates.
  FailureOr<Value> map(TileType type, ValueRange inputs, Value col0, ElementFn element);
  Value fill(TileType type, double value) {
    return tile::FillOp::create(builder, loc, type, context.f32(loc, value));
  }
  Value load(TileType type, Value view, Value outer, Value inner, Value row, Value limit,
             int64_t validCols) {
    return tile::LoadOp::create(builder, loc, type, view, ValueRange{outer, inner}, row, limit,
                                /*row_dim=*/2, validCols);
  }

  KernelContext &context;
  OpBuilder &builder;
  attn::AttendOp attend;
  Location loc;
  const KernelPlan &plan;
  Type operandType;
  TileType queryTile, keyTile, valueTile, scoreTile, probabilityTile, outTile, rowTile;
  Value query;
  Value scale;            ///< multiplies dots before the score region; null if folded into `factor`
  double foldedScale = 1; ///< what a unit of x is worth in natural score units
  Value factor;           ///< c
  bool mayHideTiles = false; ///< the mask may hide all of a visited key tile
};

} // namespace

FailureOr<Value> SoftmaxStage::map(TileType type, ValueRange inputs, Value col0,
                                   ElementFn element) {
  auto op = tile::MapOp::create(builder, loc, type, inputs, context.row0, col0);
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&op.getBody());
  for (Value input : inputs)
    block->addArgument(cast<TileType>(input.getType()).getElementType(), loc);
  for (unsigned i = 0; i < type.getRank(); ++i)
    block->addArgument(builder.getI32Type(), loc);
  SmallVector<Value> args(block->args_begin(), block->args_end());
  FailureOr<Value> value = element(args);
  if (failed(value))
    return failure();
  tile::YieldOp::create(builder, loc, *value);
  return op.getResult();
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

FailureOr<SoftmaxStage::State> SoftmaxStage::initialState() {
  State state;
  state.o = fill(outTile, 0.0);
  if (attend.getSink().empty()) {
    state.m = fill(rowTile, kFloor);
    state.l = fill(rowTile, 0.0);
    return state;
  }
  // A sink is a key without a value that every row has seen already: m = max(sink, floor),
  // l = exp(sink - m), which is 1, or 0 for a sink of -inf.
  Value zero = context.i32(loc, 0);
  Value floor = context.f32(loc, kFloor);
  auto sinkOf = [&](ValueRange args) {
    Coordinates at{context.b, context.h, args.back(), {}, false};
    return context.cloneRegion(attend.getSink(), {context.b, context.h, args.back()}, at);
  };
  FailureOr<Value> sink = map(rowTile, {}, zero, sinkOf);
  if (failed(sink))
    return failure();
  auto larger = [&](ValueRange args) -> FailureOr<Value> {
    return arith::MaxNumFOp::create(builder, loc, args[0], floor).getResult();
  };
  FailureOr<Value> m = map(rowTile, *sink, zero, larger);
  auto mass = [&](ValueRange args) -> FailureOr<Value> {
    Value difference = arith::SubFOp::create(builder, loc, args[0], args[1]);
    Value scaled = arith::MulFOp::create(builder, loc, difference, factor);
    return math::Exp2Op::create(builder, loc, scaled).getResult();
  };
  FailureOr<Value> l = map(rowTile, {*sink, *m}, zero, mass);
  if (failed(m) || failed(l))
    return failure();
  state.m = *m;
  state.l = *l;
  return state;
}

/// Scale, score region and, in PARTIAL tiles, mask. Nothing to do is no op.
FailureOr<Value> SoftmaxStage::modifiedScores(Value dots, Value key0, bool partial) {
  if (!scale && attend.getScore().empty() && !partial)
    return dots;
  auto modify = [&](ValueRange args) -> FailureOr<Value> {
    Value x = args[0], row = args[1], key = args[2];
    Coordinates at{context.b, context.h, row, key, partial};
    if (scale)
      x = arith::MulFOp::create(builder, loc, x, scale);
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
      keep = arith::AndIOp::create(builder, loc, *mask, keep);
    }
    Value hidden = context.f32(loc, -INFINITY);
    return arith::SelectOp::create(builder, loc, keep, x, hidden).getResult();
  };
  FailureOr<Value> scores = map(scoreTile, dots, key0, modify);
  // m, l and o stay as they are where every score is hidden: a back end may skip the rest of such a
  // tile. Where the ranges are exact there is none, and no need to look.
  if (succeeded(scores) && partial && mayHideTiles)
    scores->getDefiningOp()->setAttr("tile.skip_hidden", builder.getUnitAttr());
  return scores;
}

/// One key tile.
FailureOr<SoftmaxStage::State> SoftmaxStage::visit(const State &state, Value key0, bool partial) {
  Value zero = context.i32(loc, 0), keys = context.sizes["kv"];
  auto precision = plan.precision == "tf32" ? tile::Precision::TF32 : tile::Precision::F32;
  Value key = load(keyTile, context.inputViews[attend.getKey()], context.b, context.g, key0, keys,
                   plan.headDim);
  Value dots = tile::DotOp::create(builder, loc, scoreTile, query, key, fill(scoreTile, 0.0),
                                   /*transpose_rhs=*/true, precision);
  FailureOr<Value> x = modifiedScores(dots, key0, partial);
  if (failed(x))
    return failure();

  Value rowMax = tile::ReduceOp::create(builder, loc, rowTile, tile::ReduceKind::Max, *x);
  auto larger = [&](ValueRange args) -> FailureOr<Value> {
    return arith::MaxNumFOp::create(builder, loc, args[0], args[1]).getResult();
  };
  FailureOr<Value> m = map(rowTile, {state.m, rowMax}, zero, larger);
  auto decay = [&](ValueRange args) -> FailureOr<Value> {
    Value difference = arith::SubFOp::create(builder, loc, args[0], args[1]);
    Value scaled = arith::MulFOp::create(builder, loc, difference, factor);
    return math::Exp2Op::create(builder, loc, scaled).getResult();
  };
  FailureOr<Value> alpha = map(rowTile, {state.m, *m}, zero, decay);
  // -c*m once for each row, so that each probability costs one fused multiply-add and one exp2.
  auto offset = [&](ValueRange args) -> FailureOr<Value> {
    Value scaled = arith::MulFOp::create(builder, loc, args[0], factor);
    return arith::NegFOp::create(builder, loc, scaled).getResult();
  };
  FailureOr<Value> negated = map(rowTile, *m, zero, offset);
  auto weight = [&](ValueRange args) -> FailureOr<Value> {
    Value exponent = math::FmaOp::create(builder, loc, args[0], factor, args[1]);
    return math::Exp2Op::create(builder, loc, exponent).getResult();
  };
  FailureOr<Value> p = map(scoreTile, {*x, *negated}, key0, weight);
  Value mass = tile::ReduceOp::create(builder, loc, rowTile, tile::ReduceKind::Sum, *p);
  auto accumulate = [&](ValueRange args) -> FailureOr<Value> {
    return math::FmaOp::create(builder, loc, args[0], args[1], args[2]).getResult();
  };
  FailureOr<Value> l = map(rowTile, {state.l, *alpha, mass}, zero, accumulate);
  auto rescale = [&](ValueRange args) -> FailureOr<Value> {
    return arith::MulFOp::create(builder, loc, args[0], args[1]).getResult();
  };
  FailureOr<Value> o = map(outTile, {state.o, *alpha}, zero, rescale);
  if (failed(m) || failed(alpha) || failed(negated) || failed(p) || failed(l) || failed(o))
    return failure();

  Value weights = *p;
  if (!operandType.isF32())
    weights = tile::CastOp::create(builder, loc, probabilityTile, *p);
  Value value = load(valueTile, context.inputViews[attend.getValue()], context.b, context.g, key0,
                     keys, plan.vHeadDim);
  Value next = tile::DotOp::create(builder, loc, outTile, weights, value, *o,
                                   /*transpose_rhs=*/false, precision);
  return State{*m, *l, next};
}

FailureOr<SoftmaxStage::State> SoftmaxStage::loop(const State &state, Value from, Value to,
                                                  bool partial) {
  auto forOp =
      scf::ForOp::create(builder, loc, from, to, context.i32(loc, plan.tileKV), state.values());
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forOp.getBody());
  ValueRange carried = forOp.getRegionIterArgs();
  FailureOr<State> next =
      visit({carried[0], carried[1], carried[2]}, forOp.getInductionVar(), partial);
  if (failed(next))
    return failure();
  scf::YieldOp::create(builder, loc, next->values());
  return State{forOp.getResult(0), forOp.getResult(1), forOp.getResult(2)};
}

FailureOr<SoftmaxStage::State> SoftmaxStage::visitRange(const State &state, const TileRange &range,
                                                        const TileRanges &ranges) {
  if (!ranges.hasFull)
    return loop(state, range.start, range.end, /*partial=*/true);
  FailureOr<State> current = state;
  Value from = range.start;
  if (ranges.hasLeadingPartial) {
    current = loop(*current, from, range.fullStart, /*partial=*/true);
    from = range.fullStart;
  }
  if (succeeded(current))
    current = loop(*current, from, range.fullEnd, /*partial=*/false);
  if (succeeded(current))
    current = loop(*current, range.fullEnd, range.end, /*partial=*/true);
  return current;
}

/// Several ranges share one copy of the code: an outer loop picks the bounds of each.
FailureOr<SoftmaxStage::State> SoftmaxStage::visitAll(const State &state,
                                                      const TileRanges &ranges) {
  if (ranges.ranges.size() == 1)
    return visitRange(state, ranges.ranges.front(), ranges);
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
  ValueRange carried = forOp.getRegionIterArgs();
  FailureOr<State> next = visitRange({carried[0], carried[1], carried[2]}, picked, ranges);
  if (failed(next))
    return failure();
  scf::YieldOp::create(builder, loc, next->values());
  return State{forOp.getResult(0), forOp.getResult(1), forOp.getResult(2)};
}

/// out = o / l (0 for a row without keys), lse = m + ln(l) in natural units (-inf without keys or
/// sink).
LogicalResult SoftmaxStage::finish(const State &state, Value out, Value lse) {
  Value zeroIndex = context.i32(loc, 0), queries = context.sizes["q"];
  auto inverse = [&](ValueRange args) -> FailureOr<Value> {
    Value zero = context.f32(loc, 0.0), one = context.f32(loc, 1.0);
    // Not equal, or unordered: a NaN must reach the output.
    Value some = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNE, args[0], zero);
    Value reciprocal = arith::DivFOp::create(builder, loc, one, args[0]);
    return arith::SelectOp::create(builder, loc, some, reciprocal, zero).getResult();
  };
  auto normalise = [&](ValueRange args) -> FailureOr<Value> {
    return arith::MulFOp::create(builder, loc, args[0], args[1]).getResult();
  };
  FailureOr<Value> r = map(rowTile, state.l, zeroIndex, inverse);
  FailureOr<Value> result = failed(r) ? r : map(outTile, {state.o, *r}, zeroIndex, normalise);
  if (failed(result))
    return failure();
  tile::StoreOp::create(builder, loc, *result, out, ValueRange{context.b, context.h}, context.row0,
                        queries, /*row_dim=*/2, plan.vHeadDim);
  if (!lse)
    return success();
  auto logSumExp = [&](ValueRange args) -> FailureOr<Value> {
    Value zero = context.f32(loc, 0.0), none = context.f32(loc, -INFINITY);
    Value log2 = math::Log2Op::create(builder, loc, args[1]);
    Value ln = arith::MulFOp::create(builder, loc, log2, context.f32(loc, kLn2));
    Value value = math::FmaOp::create(builder, loc, args[0], context.f32(loc, foldedScale), ln);
    Value some = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNE, args[1], zero);
    return arith::SelectOp::create(builder, loc, some, value, none).getResult();
  };
  FailureOr<Value> value = map(rowTile, {state.m, state.l}, zeroIndex, logSumExp);
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
  query = load(queryTile, context.inputViews[attend.getQuery()], context.b, context.h, context.row0,
               context.sizes["q"], plan.headDim);
  FailureOr<State> state = initialState();
  if (succeeded(state))
    state = visitAll(*state, *ranges);
  return failed(state) ? failure() : finish(*state, out, lse);
}

LogicalResult attnc::emitSoftmaxStage(KernelContext &context, attn::AttendOp attend,
                                      const KeyRanges &ranges, Value out, Value lse) {
  return SoftmaxStage(context, attend).emit(ranges, out, lse);
}

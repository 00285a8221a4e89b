// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.attend over any axes, whatever its score, mask and sink read: a tile of rows for each
// program, all keys tile by tile, with the EXACT form of the online softmax (OnlineSoftmax.h).
// Scores and values are formulas (AttendFormulas.h) that the evaluator takes.
//
// Values of more columns than a tile has are computed by as many programs, each with scores of its
// own. Where values differ from row to row, keys are taken one by one.
#include "Evaluator.h"
#include "Lowerings.h"
#include "Nest.h"
#include "OnlineSoftmax.h"
#include "dialects/Attn/AttendFormulas.h"
#include <cmath>

using namespace mlir;
using namespace attnc;

namespace {

constexpr double kLog2E = 1.4426950408889634, kLn2 = 0.6931471805599453;
constexpr int64_t kRows = 64, kKeys = 64, kMostColumns = 128;
/// Rows at a time where each has keys of its own: nothing is shared then, and keys that exist for a
/// chunk of rows take memory for each.
constexpr int64_t kRowsWithOwnKeys = 16;

class AttendGeneralLowering : public NestLowering {
public:
  AttendGeneralLowering(attn::AttendOp attend, const TiledAxes &tiled)
      : NestLowering(attend, Nest(attend.getOut().getType(), tiled)), attend(attend),
        numWarps(warpsFor(tiled)) {}

  int64_t warps() override { return numWarps; }
  /// Columns are none of them: their first tile has more to do.
  SmallVector<IndependentAxis> independentAxes() override {
    SmallVector<IndependentAxis> axes = NestLowering::independentAxes();
    attn::AttnTensorType type = attend.getOut().getType();
    llvm::erase_if(axes, [&](const IndependentAxis &axis) {
      return axis.space == type.getAxisName(type.getRank() - 1);
    });
    return axes;
  }

private:
  LogicalResult emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) override;

  attn::AttendOp attend;
  int64_t numWarps;
};

/// The formulas of an attention, over indices that are arguments of one block.
struct Regions {
  attn::AttendFormulas::Point point;
  Value column;                   ///< index of a value's column
  Value score, mask, value, sink; ///< mask and sink are null where there is none
};

/// The kernel that is being emitted.
class AttendGeneralKernel : public Attention {
public:
  AttendGeneralKernel(KernelContext &context, attn::AttendOp attend, const Nest &nest,
                      const NestPoint &point)
      : context(context), b(context.builder), attend(attend), loc(attend.getLoc()), nest(nest),
        point(point), evaluator(context) {}

  LogicalResult emit();
  FailureOr<Value> scores(const WalkTile &tile) override;
  Value accumulate(Value weights, const WalkTile &tile, Value acc, Value scores) override;

private:
  LogicalResult bind();
  FailureOr<SmallVector<Value>> walk(OnlineSoftmax &softmax);
  LogicalResult store(TileBuilder &tiles, const OnlineSoftmax::Result &result);
  LogicalResult storeWeights(Value lse);
  FailureOr<Value> valueTile();
  FailureOr<Value> sinkTile();
  Frame rowsOnly() const { return {frame.rows, nullptr}; }

  KernelContext &context;
  OpBuilder &b;
  attn::AttendOp attend;
  Location loc;
  const Nest &nest;
  NestPoint point;
  Evaluator evaluator;
  Regions regions;
  Frame frame;                    ///< of the output: rows and columns
  Scope *inside = nullptr;        ///< the loop over keys that is being emitted
  const TileAxis *keys = nullptr; ///< its tile of keys
  Value numKeys;
  bool valuesDiffer = false; ///< from row to row
  LogicalResult isEmitted = success();
};

} // namespace

/// Tiles of the output.
static TiledAxes outputTiles(attn::AttendOp attend, const Target &target) {
  attn::AttnTensorType type = attend.getOut().getType();
  auto variant = attend->getParentOfType<attn::VariantOp>();
  TiledAxes tiled;
  tiled.rows = type.getRank() - 2;
  tiled.cols = type.getRank() - 1;
  StringRef row = type.getAxisName(*tiled.rows);
  bool hasOwnKeys = llvm::any_of(ValueRange{attend.getKey(), attend.getValue()}, [&](Value keys) {
    return llvm::is_contained(axisNames(cast<attn::AttnTensorType>(keys.getType())), row);
  });
  tiled.rowTile = hasOwnKeys ? kRowsWithOwnKeys : kRows;
  tiled.colTile = tileFor(variant, type, *tiled.cols, kMostColumns, target);
  return tiled;
}

LogicalResult AttendGeneralLowering::emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) {
  if (attend.getWeightFormat() || !attend.getSkip().empty())
    return emitError(attend.getLoc(), "depends on tiles of keys: run attn-expand-tiled-attention "
                                      "first");
  if (attend.getVisits())
    return emitError(attend.getLoc(),
                     "has lists of tiles (`visits`), which only attentions over b, "
                     "h, q, kv and d have a kernel for");
  return AttendGeneralKernel(evaluator.context, attend, nest, point).emit();
}

//===-- The kernel ----------------------------------------------------------------------------===//

/// Writes the formulas out, in front of the attention; they are no stage.
static FailureOr<Regions> writeOut(attn::AttendOp attend) {
  OpBuilder b(attend);
  Location loc = attend.getLoc();
  attn::AttnTensorType query = attend.getQuery().getType();
  SmallVector<Attribute> axes(query.getAxes().begin(), query.getAxes().end() - 1);
  axes.push_back(b.getStringAttr(attend.getKeySpace()));
  auto holder = attn::ComputeOp::create(
      b, loc, attn::AttnTensorType::get(b.getContext(), axes, b.getF32Type()));
  Block *body = b.createBlock(&holder.getBody());
  auto index = [&]() -> Value { return body->addArgument(b.getI32Type(), loc); };
  Regions regions;
  for (unsigned axis = 0; axis < attend.getNumOuter(); ++axis)
    regions.point.outer.push_back(index());
  regions.point.row = index();
  regions.point.key = index();
  regions.column = index();
  attn::AttendFormulas formulas(attend);
  FailureOr<Value> score = formulas.score(b, regions.point);
  FailureOr<Value> mask = formulas.mask(b, regions.point);
  FailureOr<Value> value = formulas.value(b, regions.point, regions.column);
  if (failed(score) || failed(mask) || failed(value))
    return failure();
  regions.score = *score;
  regions.mask = *mask;
  regions.value = *value;
  regions.sink = formulas.sink(b, regions.point);
  attn::YieldOp::create(b, loc, regions.score);
  return regions;
}

LogicalResult AttendGeneralKernel::bind() {
  FailureOr<Regions> written = writeOut(attend);
  if (failed(written))
    return failure();
  regions = *written;
  SmallVector<Value> arguments(regions.point.outer);
  arguments.append({regions.point.row, regions.column});
  frame = nest.bind(evaluator, evaluator.top(), arguments, point);
  FailureOr<Value> size = evaluator.size(attend, attend.getKeySpace());
  if (failed(size))
    return failure();
  numKeys = *size;
  // A key that is bound as a scalar tells whether the row takes part in the value's indices.
  Scope trial(evaluator.top());
  trial.places[regions.point.key].scalar = numKeys;
  valuesDiffer = evaluator.factsOf(trial, regions.value).axes.contains(frame.rows);
  return success();
}

/// -inf where a key is hidden.
FailureOr<Value> AttendGeneralKernel::scores(const WalkTile &) {
  SmallVector<Value> roots{regions.score, regions.point.key};
  if (regions.mask)
    roots.push_back(regions.mask);
  Frame scoreFrame{frame.rows, keys};
  return evaluator.map(
      *inside, loc, scoreFrame, b.getF32Type(), roots, Evaluated{numKeys, {}},
      [&](ValueRange v, ValueRange e) -> Value {
        Value keep = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, v[1], e[0]);
        if (regions.mask)
          keep = arith::AndIOp::create(b, loc, v[2], keep);
        return arith::SelectOp::create(b, loc, keep, v[0], context.f32(loc, -INFINITY));
      });
}

/// The values of a tile of keys, f32; 0 where there is no key.
FailureOr<Value> AttendGeneralKernel::valueTile() {
  return evaluator.map(
      *inside, loc, {keys, frame.cols}, b.getF32Type(), {regions.value, regions.point.key},
      Evaluated{numKeys, {}}, [&](ValueRange v, ValueRange e) -> Value {
        Value isKey = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, v[1], e[0]);
        return arith::SelectOp::create(b, loc, isKey, v[0], context.f32(loc, 0));
      });
}

Value AttendGeneralKernel::accumulate(Value weights, const WalkTile &tile, Value acc,
                                      Value scores) {
  TileBuilder t(context, loc, frame.rows->first);
  auto type = cast<tile::TileType>(weights.getType());
  if (valuesDiffer) {
    // One key: its weight for each row times its value for each row and column.
    Scope key(*inside);
    key.places[regions.point.key] = {attend.getKeySpace(), tile.first, nullptr, {}, false};
    key.values.erase(regions.point.key);
    tile::TileType rows = evaluator.type(rowsOnly(), b.getF32Type());
    Evaluated weight{t.reduce(tile::ReduceKind::Sum, rows, weights), rowsOnly()};
    Evaluated score{t.reduce(tile::ReduceKind::Max, rows, scores), rowsOnly()};
    FailureOr<Value> sum =
        evaluator.map(key, loc, frame, b.getF32Type(), regions.value, {weight, score, {acc, frame}},
                      [&](ValueRange v, ValueRange e) -> Value {
                        Value seen = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, e[1],
                                                           context.f32(loc, -INFINITY));
                        Value next = t.fma(e[0], v[0], e[2]);
                        return arith::SelectOp::create(b, loc, seen, next, e[2]);
                      });
    if (failed(sum))
      isEmitted = failure();
    return succeeded(sum) ? *sum : acc;
  }
  FailureOr<Value> values = valueTile();
  if (failed(values)) {
    isEmitted = failure();
    return acc;
  }
  Type operand = attend.getValue().getType().getElementType();
  if (operand.isF16() || operand.isBF16()) {
    auto cast = [&](Value x, ArrayRef<int64_t> shape) -> Value {
      return tile::CastOp::create(b, loc, t.type(shape, operand), x);
    };
    weights = cast(weights, type.getShape());
    values = cast(*values, {keys->tile, frame.cols->tile});
  }
  Value visible = t.map(
      t.type(type.getShape(), b.getI32Type()), scores,
      [&](ValueRange a) -> Value {
        Value some = t.compare(arith::CmpFPredicate::UNE, a[0], t.f32(-INFINITY));
        return arith::ExtUIOp::create(b, loc, b.getI32Type(), some);
      },
      keys->first);
  return tile::DotOp::create(b, loc, acc.getType(), weights, *values, acc, visible,
                             /*transpose_rhs=*/false, tile::Precision::F32, /*zero_outside=*/true);
}

FailureOr<Value> AttendGeneralKernel::sinkTile() {
  if (!regions.sink)
    return Value();
  return evaluator.map(evaluator.top(), loc, rowsOnly(), b.getF32Type(), regions.sink, {},
                       [](ValueRange v, ValueRange) { return v[0]; });
}

FailureOr<SmallVector<Value>> AttendGeneralKernel::walk(OnlineSoftmax &softmax) {
  FailureOr<Carry::State> state = softmax.init();
  if (failed(state))
    return failure();
  int64_t step = valuesDiffer ? 1 : kKeys;
  state = evaluator.loop(
      evaluator.top(), loc, context.i32(loc, 0), numKeys, step, *state,
      [&](Scope &scope, Value first, ValueRange carried) -> FailureOr<SmallVector<Value>> {
        inside = &scope;
        keys = evaluator.axis(first, step);
        scope.places[regions.point.key] = {attend.getKeySpace(), {}, keys, {}, true};
        return softmax.step(carried, WalkTile{first, /*isFull=*/false});
      });
  if (failed(state) || failed(isEmitted))
    return failure();
  return softmax.finish(*state);
}

LogicalResult AttendGeneralKernel::store(TileBuilder &tiles, const OnlineSoftmax::Result &result) {
  using Predicate = arith::CmpFPredicate;
  tile::TileType rows = evaluator.type(rowsOnly(), b.getF32Type());
  Value r = tiles.map(rows, result.l, [&](ValueRange a) {
    // Not equal, or unordered: a NaN must reach the output.
    Value some = tiles.compare(Predicate::UNE, a[0], tiles.f32(0.0));
    return tiles.select(some, tiles.div(tiles.f32(1.0), a[0]), tiles.f32(0.0));
  });
  if (Value view = context.views.lookup(attend.getOut())) {
    Value out = tiles.map(evaluator.type(frame, b.getF32Type()), {result.o, r},
                          [&](ValueRange a) { return tiles.mul(a[0], a[1]); });
    if (failed(nest.store(context, attend, out, view, {}, point)))
      return failure();
  }
  Value lse = tiles.map(rows, {result.m, result.l}, [&](ValueRange a) {
    Value sum = tiles.fma(tiles.log2(a[1]), tiles.f32(kLn2), a[0]);
    Value some = tiles.compare(Predicate::UNE, a[1], tiles.f32(0.0));
    return tiles.select(some, sum, tiles.f32(-INFINITY));
  });
  if (Value view = context.views.lookup(attend.getLse())) {
    SmallVector<Value> outer(ArrayRef(point.indices).drop_back(2));
    // Programs of further columns have the same numbers.
    Value zero = context.i32(loc, 0);
    Value isFirst =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, frame.cols->first, zero);
    FailureOr<Value> size =
        evaluator.size(attend, attend.getLse().getType().getAxisName(attend.getNumOuter()));
    if (failed(size))
      return failure();
    Value limit = arith::SelectOp::create(b, loc, isFirst, *size, zero);
    tile::StoreOp::create(b, loc, lse, view, outer, frame.rows->first, limit, outer.size(),
                          /*valid_cols=*/1);
  }
  if (attend.getWeights() && context.views.lookup(attend.getWeights()))
    return storeWeights(lse);
  return success();
}

/// exp(score - lse) of each key, in a second walk.
LogicalResult AttendGeneralKernel::storeWeights(Value lse) {
  TileBuilder t(context, loc, frame.rows->first);
  Value view = context.views.lookup(attend.getWeights());
  SmallVector<Value> outer(ArrayRef(point.indices).drop_back(2));
  FailureOr<Value> size =
      evaluator.size(attend, attend.getLse().getType().getAxisName(attend.getNumOuter()));
  if (failed(size))
    return failure();
  Value zero = context.i32(loc, 0);
  Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, frame.cols->first, zero);
  Value limit = arith::SelectOp::create(b, loc, isFirst, *size, zero);
  return LogicalResult(evaluator.loop(
      evaluator.top(), loc, zero, numKeys, kKeys, {},
      [&](Scope &scope, Value first, ValueRange) -> FailureOr<SmallVector<Value>> {
        inside = &scope;
        keys = evaluator.axis(first, kKeys);
        scope.places[regions.point.key] = {attend.getKeySpace(), {}, keys, {}, true};
        FailureOr<Value> x = scores({first, false});
        if (failed(x))
          return failure();
        auto type = cast<tile::TileType>(x->getType());
        Value weights = t.map(
            type, {*x, lse},
            [&](ValueRange a) {
              Value hidden = t.compare(arith::CmpFPredicate::OEQ, a[0], t.f32(-INFINITY));
              Value weight = t.exp2(t.mul(t.sub(a[0], a[1]), t.f32(kLog2E)));
              return t.select(hidden, t.f32(0), weight);
            },
            first);
        tile::StoreBlockOp::create(b, loc, weights, view, outer, frame.rows->first, limit, first,
                                   numKeys, outer.size(), outer.size() + 1);
        return SmallVector<Value>();
      }));
}

LogicalResult AttendGeneralKernel::emit() {
  if (failed(bind()))
    return failure();
  FailureOr<Value> sink = sinkTile();
  if (failed(sink))
    return failure();
  TileBuilder tiles(context, loc, frame.rows->first);
  OnlineSoftmax::Problem problem{evaluator.type(rowsOnly(), b.getF32Type()),
                                 evaluator.type(frame, b.getF32Type()), context.f32(loc, kLog2E),
                                 *sink, attend.getValue().getType().getElementType().isF32()};
  OnlineSoftmax softmax(tiles, *this, problem, OnlineSoftmax::Form::Exact);
  FailureOr<SmallVector<Value>> state = walk(softmax);
  if (failed(state))
    return failure();
  return store(tiles, OnlineSoftmax::resultOf(*state));
}

std::unique_ptr<StageLowering> attnc::lowerAttendGeneral(Operation *op, const KernelPlan &plan) {
  auto attend = cast<attn::AttendOp>(op);
  return std::make_unique<AttendGeneralLowering>(attend, outputTiles(attend, plan.target));
}

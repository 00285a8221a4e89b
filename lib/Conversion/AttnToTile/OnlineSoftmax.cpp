// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See OnlineSoftmax.h for the formulas.
//
// Rows without a key. FAST: m = -inf and M = kNoShift, a finite number, so that exp2(-inf - M) = 0
// and exp2(M - M) = 1 multiplies zeros: no test in the loops. EXACT: m starts at the lowest finite
// number, which is the maximum only of rows whose keys all have that score; there x - m = 0.
#include "OnlineSoftmax.h"
#include <cfloat>
#include <cmath>

using namespace mlir;
using namespace attnc;
using Predicate = arith::CmpFPredicate;

/// M of a row without a key.
static constexpr double kNoShift = -3.0e38;
/// Beyond this |M| a row is in doubt. Below 2^24 the rounding error of M is at most 1/2, so that no
/// p exceeds 2^(1/2); the distance to 2^24 makes sure that what a maximum beyond it has left in l
/// and o was multiplied by exp2(-200) = 0, or lets the row be in doubt.
static constexpr double kLargestShift = 16777216.0 - 512.0;

Carry::State OnlineSoftmax::Tiles::values() const {
  State values = {m, l, o};
  for (Value optional : {shift, lost})
    if (optional)
      values.push_back(optional);
  return values;
}

OnlineSoftmax::Tiles OnlineSoftmax::tilesOf(ValueRange state) const {
  Tiles tiles{state[0], state[1], state[2], Value(), Value()};
  if (form == Form::Fast)
    tiles.shift = state[3];
  if (problem.compensated)
    tiles.lost = state.back();
  return tiles;
}

Value OnlineSoftmax::shiftOf(Value m) {
  return t.map(problem.rows, m,
               [&](ValueRange a) { return t.max(t.mul(a[0], problem.factor), t.f32(kNoShift)); });
}

FailureOr<Carry::State> OnlineSoftmax::init() {
  Tiles state;
  state.o = t.fill(problem.out, 0.0);
  if (problem.compensated)
    state.lost = t.fill(problem.rows, 0.0);
  bool fast = form == Form::Fast;
  state.m = t.fill(problem.rows, fast ? -INFINITY : -FLT_MAX);
  state.l = t.fill(problem.rows, 0.0);
  if (fast)
    state.shift = t.fill(problem.rows, kNoShift);
  return state.values();
}

/// alpha: what a state's l and o are multiplied by.
Value OnlineSoftmax::decay(const Tiles &state, const Tiles &next) {
  if (form == Form::Fast)
    return t.map(problem.rows, {state.shift, next.shift},
                 [&](ValueRange a) { return t.exp2(t.sub(a[0], a[1])); });
  return t.map(problem.rows, {state.m, next.m}, [&](ValueRange a) {
    Value decay = t.exp2(t.mul(t.sub(a[0], a[1]), problem.factor));
    return t.select(t.compare(Predicate::OEQ, a[0], a[1]), t.f32(1.0), decay);
  });
}

/// p (f32).
Value OnlineSoftmax::weights(const Tiles &next, Value scores, Value key0) {
  auto type = cast<tile::TileType>(scores.getType());
  if (form == Form::Fast) {
    auto weight = [&](ValueRange a) { return t.exp2(t.fma(a[0], problem.factor, t.neg(a[1]))); };
    return t.map(type, {scores, next.shift}, weight, key0);
  }
  auto weight = [&](ValueRange a) { return t.exp2(t.mul(t.sub(a[0], a[1]), problem.factor)); };
  return t.map(type, {scores, next.m}, weight, key0);
}

Value OnlineSoftmax::lost(const Tiles &state, const Tiles &next, Value alpha, Value mass) {
  return t.map(problem.rows, {state.lost, state.l, alpha, mass, next.l}, [&](ValueRange a) {
    Value before = t.fma(a[1], a[2], t.neg(a[4])); // l alpha - l'
    return t.fma(a[0], a[2], t.add(before, a[3]));
  });
}

FailureOr<Carry::State> OnlineSoftmax::step(ValueRange values, const WalkTile &tile) {
  Tiles state = tilesOf(values), next;
  FailureOr<Value> x = attention.scores(tile);
  if (failed(x))
    return failure();
  Value rowMax = t.reduce(tile::ReduceKind::Max, problem.rows, *x);
  next.m = t.map(problem.rows, {state.m, rowMax}, [&](ValueRange a) { return t.max(a[0], a[1]); });
  if (form == Form::Fast)
    next.shift = shiftOf(next.m);
  Value alpha = decay(state, next);
  Value p = weights(next, *x, tile.first);
  Value mass = t.reduce(tile::ReduceKind::Sum, problem.rows, p);
  next.l = t.map(problem.rows, {state.l, alpha, mass},
                 [&](ValueRange a) { return t.fma(a[0], a[1], a[2]); });
  Value rescaled =
      t.map(problem.out, {state.o, alpha}, [&](ValueRange a) { return t.mul(a[0], a[1]); });
  // Most maxima are found in the first tiles of a walk.
  rescaled.getDefiningOp()->setAttr("tile.skip_one", t.builder.getUnitAttr());
  if (problem.compensated)
    next.lost = lost(state, next, alpha, mass);
  next.o = attention.accumulate(p, tile, rescaled, form == Form::Exact ? *x : Value());
  return next.values();
}

FailureOr<Carry::State> OnlineSoftmax::finish(ValueRange values) {
  Tiles state = tilesOf(values);
  if (problem.compensated)
    state.l =
        t.map(problem.rows, {state.l, state.lost}, [&](ValueRange a) { return t.add(a[0], a[1]); });
  state.lost = Value();
  if (problem.sink)
    state = withSink(state);
  return state.values();
}

/// The sink is the last key. Were it the first, the weights of keys far below it would be kept in
/// 16 bits as numbers next to 0, which have few digits.
OnlineSoftmax::Tiles OnlineSoftmax::withSink(const Tiles &state) {
  Tiles next;
  next.m =
      t.map(problem.rows, {state.m, problem.sink}, [&](ValueRange a) { return t.max(a[0], a[1]); });
  if (form == Form::Fast)
    next.shift = shiftOf(next.m);
  Value alpha = decay(state, next);
  Value mass =
      form == Form::Fast
          ? t.map(problem.rows, {problem.sink, next.shift},
                  [&](ValueRange a) { return t.exp2(t.fma(a[0], problem.factor, t.neg(a[1]))); })
          : t.map(problem.rows, {problem.sink, next.m}, [&](ValueRange a) {
              Value mass = t.exp2(t.mul(t.sub(a[0], a[1]), problem.factor));
              return t.select(t.compare(Predicate::OEQ, a[0], a[1]), t.f32(1.0), mass);
            });
  next.l = t.map(problem.rows, {state.l, alpha, mass},
                 [&](ValueRange a) { return t.fma(a[0], a[1], a[2]); });
  next.o = t.map(problem.out, {state.o, alpha}, [&](ValueRange a) { return t.mul(a[0], a[1]); });
  return next;
}

OnlineSoftmax::Result OnlineSoftmax::resultOf(ValueRange finished) {
  return {finished[0], finished[1], finished[2], finished.size() > 3 ? finished[3] : Value()};
}

Value OnlineSoftmax::suspects(const Result &result) {
  Type i32 = t.builder.getI32Type();
  auto flag = [&](Value condition) -> Value {
    return arith::ExtUIOp::create(t.builder, t.loc, i32, condition);
  };
  auto notFinite = [&](Value x) { return t.compare(Predicate::UGE, t.abs(x), t.f32(INFINITY)); };
  tile::TileType flags = t.type(problem.rows.getShape(), i32);
  Value byRow = t.map(flags, {result.m, result.l}, [&](ValueRange a) {
    Value shift = t.abs(t.mul(a[0], problem.factor));
    Value large = t.compare(Predicate::OGE, shift, t.f32(kLargestShift));
    Value seen = t.compare(Predicate::UNE, a[0], t.f32(-INFINITY));
    return flag(t.either(t.both(large, seen), notFinite(a[1])));
  });
  return t.map(t.type(problem.out.getShape(), i32), {result.o, byRow}, [&](ValueRange a) -> Value {
    return arith::OrIOp::create(t.builder, t.loc, flag(notFinite(a[0])), a[1]);
  });
}

Value OnlineSoftmax::excess(const Result &result) {
  if (form == Form::Exact)
    return t.fill(problem.rows, 0.0);
  return t.map(problem.rows, {result.m, result.shift},
               [&](ValueRange a) { return t.fma(a[0], problem.factor, t.neg(a[1])); });
}

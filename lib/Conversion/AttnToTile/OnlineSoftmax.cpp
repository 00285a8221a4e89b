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

SmallVector<Value> OnlineSoftmax::State::values() const {
  SmallVector<Value> values = {m, l, o};
  for (Value optional : {shift, lost})
    if (optional)
      values.push_back(optional);
  return values;
}

OnlineSoftmax::State OnlineSoftmax::State::with(ValueRange values) const {
  State state{values[0], values[1], values[2], Value(), Value()};
  if (shift)
    state.shift = values[3];
  if (lost)
    state.lost = values.back();
  return state;
}

FailureOr<Value> OnlineSoftmax::shiftOf(Value m) {
  return t.map(rows, m, [&](ValueRange a) -> FailureOr<Value> {
    return t.max(t.mul(a[0], factor), t.f32(kNoShift));
  });
}

FailureOr<OnlineSoftmax::State> OnlineSoftmax::begin(Value sink) {
  State state;
  state.o = t.fill(out, 0.0);
  if (compensated)
    state.lost = t.fill(rows, 0.0);
  bool fast = form == Form::Fast;
  if (!sink) {
    state.m = t.fill(rows, fast ? -INFINITY : -FLT_MAX);
    state.l = t.fill(rows, 0.0);
    if (fast)
      state.shift = t.fill(rows, kNoShift);
    return state;
  }
  FailureOr<Value> m = sink, l, shift = Value();
  if (fast) {
    shift = shiftOf(sink);
    if (failed(shift))
      return failure();
    l = t.map(rows, {sink, *shift}, [&](ValueRange a) -> FailureOr<Value> {
      return t.exp2(t.fma(a[0], factor, t.neg(a[1])));
    });
  } else {
    m = t.map(rows, sink,
              [&](ValueRange a) -> FailureOr<Value> { return t.max(a[0], t.f32(-FLT_MAX)); });
    if (failed(m))
      return failure();
    l = t.map(rows, {sink, *m}, [&](ValueRange a) -> FailureOr<Value> {
      Value mass = t.exp2(t.mul(t.sub(a[0], a[1]), factor));
      return t.select(t.compare(Predicate::OEQ, a[0], a[1]), t.f32(1.0), mass);
    });
  }
  if (failed(l))
    return failure();
  state.m = *m;
  state.l = *l;
  state.shift = *shift;
  return state;
}

FailureOr<OnlineSoftmax::Step> OnlineSoftmax::step(const State &state, Value scores, Value key0) {
  bool fast = form == Form::Fast;
  auto scoreType = cast<tile::TileType>(scores.getType());
  Value rowMax = t.reduce(tile::ReduceKind::Max, rows, scores);
  FailureOr<Value> m = t.map(rows, {state.m, rowMax},
                             [&](ValueRange a) -> FailureOr<Value> { return t.max(a[0], a[1]); });
  if (failed(m))
    return failure();
  FailureOr<Value> alpha, weights, shift = Value();
  if (fast) {
    shift = shiftOf(*m);
    if (failed(shift))
      return failure();
    alpha = t.map(rows, {state.shift, *shift},
                  [&](ValueRange a) -> FailureOr<Value> { return t.exp2(t.sub(a[0], a[1])); });
    auto weight = [&](ValueRange a) -> FailureOr<Value> {
      return t.exp2(t.fma(a[0], factor, t.neg(a[1])));
    };
    weights = t.map(scoreType, {scores, *shift}, weight, key0);
  } else {
    alpha = t.map(rows, {state.m, *m}, [&](ValueRange a) -> FailureOr<Value> {
      Value decay = t.exp2(t.mul(t.sub(a[0], a[1]), factor));
      return t.select(t.compare(Predicate::OEQ, a[0], a[1]), t.f32(1.0), decay);
    });
    auto weight = [&](ValueRange a) -> FailureOr<Value> {
      return t.exp2(t.mul(t.sub(a[0], a[1]), factor));
    };
    weights = t.map(scoreType, {scores, *m}, weight, key0);
  }
  if (failed(alpha) || failed(weights))
    return failure();
  Value mass = t.reduce(tile::ReduceKind::Sum, rows, *weights);
  FailureOr<Value> l = t.map(rows, {state.l, *alpha, mass}, [&](ValueRange a) -> FailureOr<Value> {
    return t.fma(a[0], a[1], a[2]);
  });
  FailureOr<Value> o = t.map(out, {state.o, *alpha},
                             [&](ValueRange a) -> FailureOr<Value> { return t.mul(a[0], a[1]); });
  if (failed(l) || failed(o))
    return failure();
  FailureOr<Value> lost = Value();
  if (compensated)
    lost =
        t.map(rows, {state.lost, state.l, *alpha, mass, *l}, [&](ValueRange a) -> FailureOr<Value> {
          Value before = t.fma(a[1], a[2], t.neg(a[4])); // l alpha - l'
          return t.fma(a[0], a[2], t.add(before, a[3]));
        });
  if (failed(lost))
    return failure();
  return Step{{*m, *l, *o, *shift, *lost}, *weights};
}

FailureOr<OnlineSoftmax::State> OnlineSoftmax::finish(const State &state) {
  if (!compensated)
    return state;
  FailureOr<Value> l = t.map(rows, {state.l, state.lost},
                             [&](ValueRange a) -> FailureOr<Value> { return t.add(a[0], a[1]); });
  if (failed(l))
    return failure();
  return State{state.m, *l, state.o, state.shift, Value()};
}

FailureOr<Value> OnlineSoftmax::suspects(const State &state) {
  tile::TileType flags = t.type(rows.getShape(), t.builder.getI32Type());
  auto flag = [&](Value condition) -> Value {
    return arith::ExtUIOp::create(t.builder, t.loc, t.builder.getI32Type(), condition);
  };
  auto notFinite = [&](Value x) { return t.compare(Predicate::UGE, t.abs(x), t.f32(INFINITY)); };
  FailureOr<Value> byRow = t.map(flags, {state.m, state.l}, [&](ValueRange a) -> FailureOr<Value> {
    Value large = t.compare(Predicate::OGE, t.abs(t.mul(a[0], factor)), t.f32(kLargestShift));
    Value seen = t.compare(Predicate::UNE, a[0], t.f32(-INFINITY));
    return flag(t.either(t.both(large, seen), notFinite(a[1])));
  });
  if (failed(byRow))
    return failure();
  return t.map(
      t.type(out.getShape(), t.builder.getI32Type()), {state.o, *byRow},
      [&](ValueRange a) -> FailureOr<Value> {
        return arith::OrIOp::create(t.builder, t.loc, flag(notFinite(a[0])), a[1]).getResult();
      });
}

FailureOr<Value> OnlineSoftmax::excess(const State &state) {
  if (form == Form::Exact)
    return t.fill(rows, 0.0);
  return t.map(rows, {state.m, state.shift},
               [&](ValueRange a) -> FailureOr<Value> { return t.fma(a[0], factor, t.neg(a[1])); });
}

FailureOr<Value> OnlineSoftmax::visible(Value scores, Value key0) {
  auto see = [&](ValueRange a) -> FailureOr<Value> {
    Value some = t.compare(Predicate::UNE, a[0], t.f32(-INFINITY));
    return arith::ExtUIOp::create(t.builder, t.loc, t.builder.getI32Type(), some).getResult();
  };
  auto type = cast<tile::TileType>(scores.getType());
  return t.map(t.type(type.getShape(), t.builder.getI32Type()), scores, see, key0);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Combiner: see Reductions.h. NaN and empty ranges are as attn.reduce defines them.
#include "Reductions.h"
#include <cmath>
#include <limits>

using namespace mlir;
using namespace attnc;
using attn::Reduction;

Combiner::Combiner(OpBuilder &builder, attn::ReduceOp reduce)
    : b(builder), loc(reduce.getLoc()), kind(reduce.getKind()) {
  auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
  element = yield.getValues().front().getType();
  bool isReal = element.isF32();
  auto number = [&](double real, int64_t integer) -> TypedAttr {
    return isReal ? TypedAttr(b.getF32FloatAttr(static_cast<float>(real)))
                  : TypedAttr(b.getI32IntegerAttr(static_cast<int32_t>(integer)));
  };
  using Limits = std::numeric_limits<int32_t>;
  switch (kind) {
  case Reduction::Sum:
  case Reduction::Mean:
    neutrals = {number(0, 0)};
    break;
  case Reduction::Prod:
    neutrals = {number(1, 1)};
    break;
  case Reduction::Max:
    neutrals = {number(-INFINITY, Limits::min())};
    break;
  case Reduction::Min:
    neutrals = {number(INFINITY, Limits::max())};
    break;
  case Reduction::Argmax:
    neutrals = {number(-INFINITY, Limits::min()), b.getI32IntegerAttr(-1)};
    break;
  case Reduction::Argmin:
    neutrals = {number(INFINITY, Limits::max()), b.getI32IntegerAttr(-1)};
    break;
  case Reduction::Any:
    neutrals = {b.getI32IntegerAttr(0)};
    break;
  case Reduction::All:
    neutrals = {b.getI32IntegerAttr(1)};
    break;
  }
}

Value Combiner::constant(TypedAttr value) const { return arith::ConstantOp::create(b, loc, value); }

/// A NaN is no candidate of an argmax or argmin.
SmallVector<Value> Combiner::lift(Value value, Value index) const {
  if (kind == Reduction::Any || kind == Reduction::All)
    return {arith::ExtUIOp::create(b, loc, b.getI32Type(), value)};
  if (!isArg())
    return {value};
  if (!element.isF32())
    return {value, index};
  Value isNumber = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::ORD, value, value);
  Value none = constant(neutrals[0]), nowhere = constant(neutrals[1]);
  return {arith::SelectOp::create(b, loc, isNumber, value, none),
          arith::SelectOp::create(b, loc, isNumber, index, nowhere)};
}

SmallVector<Value> Combiner::combine(ValueRange x, ValueRange y) const {
  bool isReal = element.isF32();
  switch (kind) {
  case Reduction::Sum:
  case Reduction::Mean:
    if (isReal)
      return {arith::AddFOp::create(b, loc, x[0], y[0])};
    return {arith::AddIOp::create(b, loc, x[0], y[0])};
  case Reduction::Prod:
    if (isReal)
      return {arith::MulFOp::create(b, loc, x[0], y[0])};
    return {arith::MulIOp::create(b, loc, x[0], y[0])};
  case Reduction::Max:
    if (isReal)
      return {arith::MaximumFOp::create(b, loc, x[0], y[0])};
    return {arith::MaxSIOp::create(b, loc, x[0], y[0])};
  case Reduction::Min:
    if (isReal)
      return {arith::MinimumFOp::create(b, loc, x[0], y[0])};
    return {arith::MinSIOp::create(b, loc, x[0], y[0])};
  case Reduction::Any:
    return {arith::OrIOp::create(b, loc, x[0], y[0])};
  case Reduction::All:
    return {arith::AndIOp::create(b, loc, x[0], y[0])};
  case Reduction::Argmax:
  case Reduction::Argmin:
    break;
  }
  bool largest = kind == Reduction::Argmax;
  auto compare = [&](Value p, Value q, bool strict) -> Value {
    if (isReal)
      return arith::CmpFOp::create(b, loc,
                                   !strict   ? arith::CmpFPredicate::OEQ
                                   : largest ? arith::CmpFPredicate::OGT
                                             : arith::CmpFPredicate::OLT,
                                   p, q);
    return arith::CmpIOp::create(b, loc,
                                 !strict   ? arith::CmpIPredicate::eq
                                 : largest ? arith::CmpIPredicate::sgt
                                           : arith::CmpIPredicate::slt,
                                 p, q);
  };
  // As unsigned numbers, no index is larger than every index.
  Value earlier = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, y[1], x[1]);
  Value tie = arith::AndIOp::create(b, loc, compare(y[0], x[0], /*strict=*/false), earlier);
  Value better = arith::OrIOp::create(b, loc, compare(y[0], x[0], /*strict=*/true), tie);
  return {arith::SelectOp::create(b, loc, better, y[0], x[0]),
          arith::SelectOp::create(b, loc, better, y[1], x[1])};
}

Value Combiner::finish(ValueRange parts, Value number) const {
  if (isArg())
    return parts[1];
  if (kind == Reduction::Any || kind == Reduction::All)
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, parts[0],
                                 constant(b.getI32IntegerAttr(0)));
  if (!isMean())
    return parts[0];
  Value zero = constant(b.getF32FloatAttr(0));
  Value some = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, number, zero);
  Value mean = arith::DivFOp::create(b, loc, parts[0], number);
  return arith::SelectOp::create(b, loc, some, mean, zero);
}

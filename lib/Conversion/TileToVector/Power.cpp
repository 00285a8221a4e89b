// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Powers: |x|^y = 2^(y log2 |x|) with the sign of an odd y. An exponent of up to 150 has to be
// right to some 2^-26, which takes a logarithm of 34 bits: its fraction is a series in f64. What
// becomes of zeros, infinities and NaN is what C's powf says.
#include "MathExpansion.h"
#include "WideArithmetic.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace attnc;

/// log2(x) in f64 of an f32 that is not negative: relative error below 2e-12; -inf of 0.
static Value logarithm(Emitter &e, WideArithmetic &wide, Value x) {
  PowerOf2AndRest parts = splitPowerOf2(e, x);
  // m in [sqrt(1/2), sqrt(2)): ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172.
  Value m = wide.extend(parts.rest), one = wide.constant(1);
  Value s = wide.div(wide.sub(m, one), wide.add(m, one));
  Value z = wide.mul(s, s);
  constexpr double twoLog2E = 2.8853900817779268; // 2 / ln 2
  Value series = wide.constant(twoLog2E / 13);
  for (int n = 11; n >= 1; n -= 2)
    series = wide.fma(series, z, wide.constant(twoLog2E / n));
  Value result = wide.fma(s, series, wide.extend(parts.exponent));
  auto compare = [&](arith::CmpFPredicate predicate, float value) -> Value {
    return arith::CmpFOp::create(e.b, e.loc, predicate, x, e.constF32(x.getType(), value));
  };
  result = e.select(compare(arith::CmpFPredicate::OEQ, 0), wide.constant(-INFINITY), result);
  return e.select(compare(arith::CmpFPredicate::OLT, INFINITY), result, wide.extend(x));
}

/// |x|^y: 1 where |x| is 1, whatever y.
static Value magnitudeOfPower(Emitter &e, Value magnitude, Value y) {
  WideArithmetic wide(e, magnitude);
  Value log2 = logarithm(e, wide, magnitude);
  Value isOne =
      arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, log2, wide.constant(0));
  Value exponent = e.select(isOne, wide.constant(0), wide.mul(wide.extend(y), log2));
  exponent = wide.clamp(exponent, -152, 130);
  Value whole = wide.round(exponent);
  return emitExp2OfParts(e, wide.truncate(whole), wide.truncate(wide.sub(exponent, whole)));
}

Value attnc::emitPower(Emitter &e, Value x, Value y) {
  Type type = x.getType();
  auto compare = [&](arith::CmpFPredicate predicate, Value lhs, Value rhs) -> Value {
    return arith::CmpFOp::create(e.b, e.loc, predicate, lhs, rhs);
  };
  auto isWhole = [&](Value value) {
    return compare(arith::CmpFPredicate::OEQ, emitFloor(e, value), value);
  };
  Value zero = e.zero(type), one = e.constF32(type, 1);
  Value magnitude = math::AbsFOp::create(e.b, e.loc, x);
  Value result = magnitudeOfPower(e, magnitude, y);
  // Infinities and all numbers from 2^24 on are even.
  Value whole = isWhole(y), half = isWhole(e.fmul(y, e.constF32(type, 0.5f)));
  Value odd = math::CopySignOp::create(e.b, e.loc, result, x);
  result = e.select(whole, e.select(half, result, odd), result);
  Value isNegative =
      arith::AndIOp::create(e.b, e.loc, compare(arith::CmpFPredicate::OLT, x, zero),
                            compare(arith::CmpFPredicate::OGT, x, e.constF32(type, -INFINITY)));
  result = e.select(isNegative, e.select(whole, result, e.constF32(type, NAN)), result);
  return e.select(compare(arith::CmpFPredicate::OEQ, y, zero), one, result);
}

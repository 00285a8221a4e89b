// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sine and cosine. x is reduced to r in [-pi/4, pi/4] and a number of quarter turns: in f64, as a
// rotary embedding takes the sine of a position, and positions are large; by integers in a vector
// that has a number which two doubles of pi/2 no longer reduce. What r makes is computed in f32:
// relative error below 3e-7.
#include "MathExpansion.h"
#include "WideArithmetic.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace attnc;

namespace {
/// x = rest + quarter * pi/2 and whole turns. `quarter` is 0, 1, 2 or 3 as an f32; both are NaN for
/// what is not finite.
struct Reduced {
  Value rest, quarter;
};
} // namespace

/// Of |x| below this number.
static float limitOfDoubles(Emitter &e) { return e.target.hasFMA() ? 0x1p40f : 0x1p20f; }

static Reduced reduceByDoubles(Emitter &e, Value x) {
  WideArithmetic wide(e, x);
  // pi/2 in two parts. A fused product of the first is exact; without one it has 33 bits, which
  // leave room for those of up to 2^20 turns.
  bool isFused = e.target.hasFMA();
  double high = isFused ? 1.5707963267948966 : 1.57079632673412561417;
  double low = isFused ? 6.123233995736766e-17 : 6.07710050650619224932e-11;
  Value exact = wide.extend(x);
  Value turns = wide.round(wide.scale(exact, 0.63661977236758134)); // 2 / pi
  Value rest = wide.fma(turns, -high, exact);
  rest = wide.fma(turns, -low, rest);
  // Quarter turns modulo 4, an exact f32.
  Value whole = wide.round(wide.fma(turns, 0.25, wide.constant(-0.375))); // rounded down
  return {wide.truncate(rest), wide.truncate(wide.fma(whole, -4.0, turns))};
}

/// The bits of 2/pi behind its point, after 32 zeros.
static const uint32_t kTwoOverPi[] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                      0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};

/// Of any |x| from 2^20 on that is finite (M. Payne, R. Hanek: "Radian reduction for trigonometric
/// functions", 1983). With x = m * 2^p, m of 24 bits, those bits of 2/pi whose products with x are
/// multiples of 4 are left out; of the others the first 96 are multiplied by m, modulo 4.
static Reduced reduceByIntegers(Emitter &e, Value x) {
  WideArithmetic wide(e, x);
  Type ints = e.i32;
  if (auto vector = dyn_cast<VectorType>(x.getType()))
    ints = VectorType::get(vector.getShape(), e.i32);
  auto shiftLeft = [&](Value a, Value b) -> Value {
    return arith::ShLIOp::create(e.b, e.loc, a, b);
  };
  auto shiftRight = [&](Value a, Value b) -> Value {
    return arith::ShRUIOp::create(e.b, e.loc, a, b);
  };
  auto both = [&](Value a, Value b) -> Value { return arith::AndIOp::create(e.b, e.loc, a, b); };
  auto either = [&](Value a, Value b) -> Value { return arith::OrIOp::create(e.b, e.loc, a, b); };
  Value half = wide.bits(32);

  Value encoded = e.bitcast(math::AbsFOp::create(e.b, e.loc, x), ints);
  Value m = wide.extendBits(
      either(both(encoded, e.constInt(ints, 0x7fffff)), e.constInt(ints, 0x800000)));
  // The first bit that counts, from the zeros on: 127 + 24 + 1 - 32 less than the biased exponent.
  Value begin = e.sub(shiftRight(encoded, e.constInt(ints, 23)), e.constInt(ints, 120));
  Value word = arith::ShRSIOp::create(e.b, e.loc, begin, e.constInt(ints, 5));
  Value shift = wide.extendBits(both(begin, e.constInt(ints, 31)));
  auto wordAt = [&](int offset) {
    Value bits = wide.bits(kTwoOverPi[offset]);
    for (int i = 1; i <= 4; ++i)
      bits = e.select(
          arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, word, e.constInt(ints, i)),
          wide.bits(kTwoOverPi[offset + i]), bits);
    return bits;
  };
  Value words[4] = {wordAt(0), wordAt(1), wordAt(2), wordAt(3)};
  auto bitsAt = [&](int i) {
    return shiftRight(shiftLeft(either(shiftLeft(words[i], half), words[i + 1]), shift), half);
  };
  // The first 64 of the 96 bits: quarter turns with 62 places.
  Value product = e.add(e.add(shiftLeft(e.mul(m, bitsAt(0)), half), e.mul(m, bitsAt(1))),
                        shiftRight(e.mul(m, bitsAt(2)), half));
  Value quarters = shiftRight(e.add(product, wide.bits(uint64_t(1) << 61)), wide.bits(62));
  Value fraction = wide.fromInt(e.sub(product, shiftLeft(quarters, wide.bits(62))));
  Value rest = wide.truncate(wide.scale(fraction, 1.5707963267948966 * 0x1p-62));

  Value isNegative =
      arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, x, e.zero(x.getType()));
  rest = e.select(isNegative, arith::NegFOp::create(e.b, e.loc, rest), rest);
  quarters = e.select(isNegative, both(e.sub(wide.bits(4), quarters), wide.bits(3)), quarters);
  Value narrow = arith::TruncIOp::create(e.b, e.loc, ints, quarters);
  return {rest, arith::SIToFPOp::create(e.b, e.loc, x.getType(), narrow)};
}

/// The reduction of x; by integers only in a vector that has a number which needs it.
static Reduced reduce(Emitter &e, Value x) {
  Type f32 = x.getType();
  Value magnitude = math::AbsFOp::create(e.b, e.loc, x);
  auto compare = [&](arith::CmpFPredicate predicate, float value) -> Value {
    return arith::CmpFOp::create(e.b, e.loc, predicate, magnitude, e.constF32(f32, value));
  };
  Value isLarge =
      arith::AndIOp::create(e.b, e.loc, compare(arith::CmpFPredicate::OGT, limitOfDoubles(e)),
                            compare(arith::CmpFPredicate::OLT, INFINITY));
  Value any = isLarge;
  if (isa<VectorType>(f32))
    any = e.reduceLanes(
        isLarge, [&](Value a, Value b) -> Value { return arith::OrIOp::create(e.b, e.loc, a, b); });
  Reduced small = reduceByDoubles(e, x);
  auto branch = scf::IfOp::create(e.b, e.loc, TypeRange{f32, f32}, any, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(branch.thenBlock());
  Reduced large = reduceByIntegers(e, x);
  scf::YieldOp::create(e.b, e.loc,
                       ValueRange{e.select(isLarge, large.rest, small.rest),
                                  e.select(isLarge, large.quarter, small.quarter)});
  e.b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(e.b, e.loc, ValueRange{small.rest, small.quarter});
  return {branch.getResult(0), branch.getResult(1)};
}

// The cosine is the sine a quarter turn later.
Value attnc::emitSine(Emitter &e, Value x, bool cosine) {
  auto [r, quarter] = reduce(e, x);
  Type f32 = x.getType();
  // Coefficients of the Cephes library's sinf and cosf.
  auto constant = [&](float value) { return e.constF32(f32, value); };
  Value z = e.fmul(r, r);
  Value s = e.fma(z, constant(-1.9515295891e-4f), constant(8.3321608736e-3f));
  s = e.fma(z, s, constant(-1.6666654611e-1f));
  s = e.fma(e.fmul(s, z), r, r);
  Value c = e.fma(z, constant(2.443315711809948e-5f), constant(-1.388731625493765e-3f));
  c = e.fma(z, c, constant(4.166664568298827e-2f));
  c = e.fma(e.fmul(z, z), c, e.fma(z, constant(-0.5f), constant(1.0f)));

  auto is = [&, quarter = quarter](float value) -> Value {
    return arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, quarter, constant(value));
  };
  auto either = [&](Value a, Value b) -> Value { return arith::OrIOp::create(e.b, e.loc, a, b); };
  Value odd = either(is(1), is(3));
  Value value = cosine ? e.select(odd, s, c) : e.select(odd, c, s);
  Value negative = cosine ? either(is(1), is(2)) : either(is(2), is(3));
  return e.select(negative, arith::NegFOp::create(e.b, e.loc, value), value);
}

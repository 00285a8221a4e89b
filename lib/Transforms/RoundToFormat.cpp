// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rounding to a float format is rounding to a multiple of the distance of its numbers around x,
// which is a power of two. There is no op for the exponent of x, so it is searched by comparisons
// with powers of two: the smallest distance is multiplied by 2^7, 2^4, 2^2 and 2, say, each where x
// is as large as that. Products with powers of two are exact, so the one rounding is that to a
// whole number of distances.
//
// For formats with the range of f32 the smallest distance would be no normal number, on which
// executors may differ. So what is below 2^-62 is multiplied by 2^64 on the way.
#include "RoundToFormat.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;
using namespace attnc;
using arith::CmpFPredicate;
using attn::Format;

namespace {
/// A float format by its bits: `precision` counts the leading one, exponents are those of the
/// smallest and the largest normal numbers.
struct FloatBits {
  int precision, minExponent, maxExponent;
};
} // namespace

static FloatBits floatBits(Format format) {
  switch (format) {
  case Format::F8E4M3:
    return {4, -6, 8};
  case Format::F8E5M2:
    return {3, -14, 15};
  case Format::F4E2M1:
    return {2, 0, 2};
  case Format::F16:
    return {11, -14, 15};
  case Format::BF16:
    return {8, -126, 127};
  default:
    return {24, -126, 127};
  }
}

bool attnc::isIntFormat(Format format) { return format == Format::Int8 || format == Format::Int4; }

/// Of numbers that are not negative.
static Value roundMagnitude(FormulaBuilder &b, Value x, attn::Rounding rounding) {
  if (rounding == attn::Rounding::HalfEven)
    return math::RoundEvenOp::create(b, x);
  // floor(x + 0.5) would round twice.
  Value below = math::FloorOp::create(b, x);
  Value isUpper = b.compare(CmpFPredicate::OGE, b.sub(x, below), b.real(0.5));
  return b.select(isUpper, b.add(below, b.real(1)), below);
}

static Value withSignOf(FormulaBuilder &b, Value magnitude, Value x) {
  Value isNegative = b.compare(CmpFPredicate::OLT, x, b.real(0));
  return b.select(isNegative, arith::NegFOp::create(b, magnitude), magnitude);
}

Value attnc::roundToWhole(FormulaBuilder &b, Value x, attn::Rounding rounding) {
  if (rounding == attn::Rounding::HalfEven)
    return math::RoundEvenOp::create(b, x);
  return withSignOf(b, roundMagnitude(b, math::AbsFOp::create(b, x), rounding), x);
}

namespace {
/// A power of two and 1 divided by it.
struct PowerOfTwo {
  Value value, inverse;
};
} // namespace

/// The distance of the numbers of `bits` around `magnitude`. Its inverse is multiplied along: a
/// division need not be exact.
static PowerOfTwo distanceAround(FormulaBuilder &b, Value magnitude, FloatBits bits) {
  auto power = [&](int exponent) { return b.real(std::ldexp(1.0, exponent)); };
  int exponent = bits.minExponent - bits.precision + 1;
  PowerOfTwo distance{power(exponent), power(-exponent)};
  // Where numbers have a distance, the first of them is 2^(precision - 1) of it.
  Value scaled = b.mul(magnitude, power(1 - bits.precision));
  // How many times the distance may have to be doubled still.
  int doublings = bits.maxExponent - bits.minExponent;
  while (doublings > 0) {
    int step = (doublings + 1) / 2;
    doublings -= step;
    PowerOfTwo larger{b.mul(distance.value, power(step)), b.mul(distance.inverse, power(-step))};
    Value isLarger = b.compare(CmpFPredicate::OGE, scaled, larger.value);
    distance = {b.select(isLarger, larger.value, distance.value),
                b.select(isLarger, larger.inverse, distance.inverse)};
  }
  return distance;
}

static Value roundToFloat(FormulaBuilder &b, Value x, Format format, attn::Rounding rounding) {
  FloatBits bits = floatBits(format);
  Value magnitude = math::AbsFOp::create(b, x), one = b.real(1), factor = one, inverse = one;
  bool isWide = bits.minExponent < -62;
  if (isWide) {
    Value isSmall = b.compare(CmpFPredicate::OLT, magnitude, b.real(0x1p-62));
    factor = b.select(isSmall, b.real(0x1p64), one);
    inverse = b.select(isSmall, b.real(0x1p-64), one);
    magnitude = b.mul(magnitude, factor);
    bits.minExponent = -62;
  }
  PowerOfTwo distance = distanceAround(b, magnitude, bits);
  Value steps = roundMagnitude(b, b.mul(magnitude, distance.inverse), rounding);
  Value rounded = b.mul(steps, distance.value);
  if (isWide)
    rounded = b.mul(rounded, inverse);
  rounded = arith::MinimumFOp::create(b, rounded, b.real(attn::largestNumber(format)));
  return withSignOf(b, rounded, x);
}

Value attnc::roundToFormat(FormulaBuilder &b, Value x, Format format, attn::Rounding rounding) {
  if (!isIntFormat(format))
    return roundToFloat(b, x, format, rounding);
  double largest = attn::largestNumber(format);
  Value whole = arith::MinNumFOp::create(b, roundToWhole(b, x, rounding), b.real(largest));
  return arith::MaxNumFOp::create(b, whole, b.real(-largest - 1));
}

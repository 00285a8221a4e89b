// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An independent opinion on arithmetic: exact values in quadruple precision, rounded once into the
// destination format. It shares no code with the emulator's handlers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace attnc::emu::test {

using Quad = __float128;

enum class Round { Nearest, Zero, Down, Up, NearestAway };

struct FloatFormat {
  int exponent, fraction;
  bool infinity = true; ///< false for e4m3
  int bias() const { return (1 << (exponent - 1)) - 1; }
};
constexpr FloatFormat half{5, 10}, bfloat{8, 7}, single{8, 23}, tfloat{8, 10}, fp8e4m3{4, 3, false},
    fp8e5m2{5, 2};

template <class To, class From> To bits(From f) {
  static_assert(sizeof(To) == sizeof(From));
  To t;
  memcpy(&t, &f, sizeof t);
  return t;
}
inline float asFloat(uint64_t b) { return bits<float>(static_cast<uint32_t>(b)); }
inline double asDouble(uint64_t b) { return bits<double>(b); }

inline Quad power(int e) {
  Quad p = 1, step = e < 0 ? Quad(0.5) : Quad(2);
  for (int i = e < 0 ? -e : e; i; --i)
    p *= step;
  return p;
}

/// The value of a bit pattern; `nan` and `inf` are reported instead when they apply.
struct Value {
  bool nan = false, inf = false, negative = false;
  Quad magnitude = 0;
  Quad signedValue() const { return negative ? -magnitude : magnitude; }
};
inline Value valueOf(uint64_t b, const FloatFormat &f) {
  Value v;
  uint64_t fraction = b & ((1ull << f.fraction) - 1),
           e = (b >> f.fraction) & ((1ull << f.exponent) - 1);
  v.negative = (b >> (f.exponent + f.fraction)) & 1;
  if (e == (1ull << f.exponent) - 1 && (f.infinity || fraction == (1ull << f.fraction) - 1)) {
    v.nan = fraction != 0;
    v.inf = !v.nan;
    return v;
  }
  v.magnitude =
      Quad(fraction + (e ? 1ull << f.fraction : 0)) * power(int(e ? e : 1) - f.bias() - f.fraction);
  return v;
}

/// a + b, and when 113 bits could not hold it but the rounded sum fits 53, moved by 2^-110 of
/// itself towards what was lost: one more rounding of the result is then right in every direction.
inline Quad sticky(Quad a, Quad b) {
  Quad s = a + b, back = s - a, lost = (a - (s - back)) + (b - back);
  if (s != s || s - s != 0 || lost == 0 || Quad(double(s)) != s)
    return s;
  Quad size = (s < 0 ? -s : s) * power(-110);
  return lost > 0 ? s + size : s - size;
}

/// The bits of `x` rounded into a format; the sign of a zero is given.
inline uint64_t roundTo(Quad x, const FloatFormat &f, Round mode, bool negativeZero = false,
                        bool satfinite = false) {
  bool negative = x < 0 || (x == 0 && negativeZero);
  uint64_t sign = uint64_t(negative) << (f.exponent + f.fraction);
  Quad m = x < 0 ? -x : x;
  if (m == 0)
    return sign;
  int e = 0;
  while (m >= power(e + 1) && e < 20000)
    ++e;
  while (m < power(e) && e > 1 - f.bias())
    --e;
  Quad unit = power(e - f.fraction), scaled = m / unit; // < 2^(fraction+1)
  uint64_t whole = static_cast<uint64_t>(scaled);
  Quad rest = scaled - Quad(whole);
  bool up = false;
  switch (mode) {
  case Round::Nearest:
    up = rest > Quad(0.5) || (rest == Quad(0.5) && (whole & 1));
    break;
  case Round::NearestAway:
    up = rest >= Quad(0.5);
    break;
  case Round::Zero:
    break;
  case Round::Down:
    up = negative && rest > 0;
    break;
  case Round::Up:
    up = !negative && rest > 0;
    break;
  }
  whole += up;
  uint64_t result = (uint64_t(e - (1 - f.bias())) << f.fraction) + whole;
  uint64_t top = ((1ull << f.exponent) - 1) << f.fraction,
           largest = f.infinity ? top - 1 : top + (1ull << f.fraction) - 2;
  if (result > largest || e > 2 * f.bias() + 2) {
    bool stay = mode == Round::Zero || (mode == Round::Down && !negative) ||
                (mode == Round::Up && negative);
    result = satfinite || stay ? largest : f.infinity ? top : largest + 1;
  }
  return sign | result;
}

} // namespace attnc::emu::test

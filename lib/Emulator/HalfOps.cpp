// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Arithmetic on f16, bf16 and their packed pairs (PTX ISA 9.7.4). Sums, differences and products
// are computed in single precision and rounded once more: with 24 >= 2*11+2 bits the second
// rounding never changes the result. A fused multiply-add has no such guarantee, so it is computed
// in double with round-to-odd, which makes the final rounding exact for any narrower format.
//
// A packed register holds the element of lower index in its low half; the same template runs over
// the one or two halves of a lane.
#include "Simt.h"

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

template <class T> [[gnu::always_inline]] inline T flushHalf(T x) {
  constexpr uint16_t exponent = __is_same(T, Half) ? 0x7c00 : 0x7f80;
  return (x.bits & exponent) ? x : T{static_cast<uint16_t>(x.bits & 0x8000)};
}
template <bool Ftz, class T> [[gnu::always_inline]] inline T maybeFlush(T x) {
  if constexpr (Ftz)
    return flushHalf(x);
  return x;
}

/// a*b + c with the last bit of the double forced to 1 when anything was lost. The product of two
/// values of at most 24 bits is exact in double.
[[gnu::always_inline]] inline double fmaToOdd(double a, double b, double c) {
  double p = a * b, s = p + c;
  double back = s - p, lost = (p - (s - back)) + (c - back);
  uint64_t bits = bitcast<uint64_t>(s);
  bool inexact = lost != 0 && (bits & 1) == 0 && s - s == 0;
  // Step towards the lost part so that truncation, not nearest, is what we stick the bit on.
  bool away = (lost > 0) != (s > 0);
  bits = inexact ? (away ? bits - 1 : bits | 1) : bits;
  return bitcast<double>(bits);
}
/// Rounds a double to odd single precision, so that a further rounding to 16 bits is exact.
[[gnu::always_inline]] inline float toOddFloat(double d) {
  float f = static_cast<float>(d);
  uint32_t b = bitcast<uint32_t>(f);
  double back = f;
  double ad = d < 0 ? -d : d, af = back < 0 ? -back : back;
  bool finite = f - f == 0.0f;
  // Overflow to infinity is left alone: 16-bit formats overflow as well, except bf16 near its top.
  uint32_t toOdd = af > ad ? b - 1 : b; // truncate, then stick
  return finite && back != d ? bitcast<float>(toOdd | 1) : f;
}

template <Alu Op, class T>
[[gnu::always_inline]] inline T evalBinary(T x, T y, bool nan, bool xorsign) {
  float a = toFloat(x), b = toFloat(y);
  if constexpr (Op == Alu::Add)
    return fromFloat<T>(a + b);
  else if constexpr (Op == Alu::Sub)
    return fromFloat<T>(a - b);
  else if constexpr (Op == Alu::Mul)
    return fromFloat<T>(a * b);
  else {
    uint16_t xb = x.bits, yb = y.bits;
    if (xorsign) {
      a = a < 0 ? -a : a;
      b = b < 0 ? -b : b;
      xb &= 0x7fff;
      yb &= 0x7fff;
    }
    bool first = Op == Alu::Min ? a < b : a > b;
    uint16_t equal = static_cast<uint16_t>(Op == Alu::Min ? xb | yb : xb & yb);
    uint16_t m = first ? xb : yb;
    m = a == b ? equal : m;
    bool an = a != a, bn = b != b;
    m = an ? yb : m;
    m = bn ? xb : m;
    m = (an && bn) || (nan && (an || bn)) ? 0x7fff : m;
    if (xorsign && m != 0x7fff)
      m = static_cast<uint16_t>(m | ((x.bits ^ y.bits) & 0x8000));
    return T{m};
  }
}

template <bool Sat, bool Relu, class T> [[gnu::always_inline]] inline T clampHalf(T x) {
  float f = toFloat(x);
  if constexpr (Sat)
    return f > 0.0f ? (f < 1.0f ? x : fromFloat<T>(1.0f)) : T{0};
  if constexpr (Relu)
    return f == f ? (f > 0.0f ? x : T{0}) : T{0x7fff};
  return x;
}

/// Applies `f(half index)` to the halves of a lane and assembles the word.
template <bool Packed, class F> [[gnu::always_inline]] inline uint32_t halves(F f) {
  uint32_t low = f(0).bits;
  if constexpr (Packed)
    low |= static_cast<uint32_t>(f(16).bits) << 16;
  return low;
}
template <class T> [[gnu::always_inline]] inline T part(uint32_t word, int shift) {
  return T{static_cast<uint16_t>(word >> shift)};
}

template <Alu Op, class T, bool Packed, bool Ftz, bool Sat, bool Nan, bool Xorsign>
const Rec *binary(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) {
    d.set(l, halves<Packed>([&](int s) {
            T x = evalBinary<Op, T>(maybeFlush<Ftz>(part<T>(a[l], s)),
                                    maybeFlush<Ftz>(part<T>(b[l], s)), Nan, Xorsign);
            return clampHalf<Sat, false>(maybeFlush<Ftz>(x));
          }));
  });
  return r + 1;
}
template <class T, bool Packed, bool Ftz, bool Sat, bool Relu>
const Rec *fma(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  forLanes(w.exec, [&](int l) {
    d.set(l, halves<Packed>([&](int s) {
            auto in = [&](const Column<uint32_t> &x) {
              return static_cast<double>(toFloat(maybeFlush<Ftz>(part<T>(x[l], s))));
            };
            T x = fromFloat<T>(toOddFloat(fmaToOdd(in(a), in(b), in(c))));
            return clampHalf<Sat, Relu>(maybeFlush<Ftz>(x));
          }));
  });
  return r + 1;
}
template <Alu Op, class T, bool Packed, bool Ftz> const Rec *unary(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]), a(w, r->o[1]);
  forLanes(w.exec, [&](int l) {
    d.set(l, halves<Packed>([&](int s) {
            T x = maybeFlush<Ftz>(part<T>(a[l], s));
            if constexpr (Op == Alu::Neg)
              return T{static_cast<uint16_t>(x.bits ^ 0x8000)};
            else if constexpr (Op == Alu::Abs)
              return T{static_cast<uint16_t>(x.bits & 0x7fff)};
            else {
              double v = toFloat(x);
              T y = fromFloat<T>(
                  static_cast<float>(Op == Alu::Ex2 ? __builtin_exp2(v) : __builtin_tanh(v)));
              return maybeFlush<Ftz>(y);
            }
          }));
  });
  return r + 1;
}

template <Alu Op, class T, bool Packed, bool Ftz> Handler pickBinary(const AluKey &k) {
  if constexpr (Op == Alu::Min || Op == Alu::Max) {
    if (k.sat)
      return nullptr;
    if (k.xorsignAbs)
      return k.nan ? binary<Op, T, Packed, Ftz, false, true, true>
                   : binary<Op, T, Packed, Ftz, false, false, true>;
    return k.nan ? binary<Op, T, Packed, Ftz, false, true, false>
                 : binary<Op, T, Packed, Ftz, false, false, false>;
  } else {
    return k.sat ? binary<Op, T, Packed, Ftz, true, false, false>
                 : binary<Op, T, Packed, Ftz, false, false, false>;
  }
}

template <class T, bool Packed, bool Ftz> Handler select(const AluKey &k) {
  switch (k.op) {
  case Alu::Add:
    return pickBinary<Alu::Add, T, Packed, Ftz>(k);
  case Alu::Sub:
    return pickBinary<Alu::Sub, T, Packed, Ftz>(k);
  case Alu::Mul:
    return pickBinary<Alu::Mul, T, Packed, Ftz>(k);
  case Alu::Min:
    return pickBinary<Alu::Min, T, Packed, Ftz>(k);
  case Alu::Max:
    return pickBinary<Alu::Max, T, Packed, Ftz>(k);
  case Alu::Fma:
    if (k.relu)
      return k.sat ? nullptr : fma<T, Packed, Ftz, false, true>;
    return k.sat ? fma<T, Packed, Ftz, true, false> : fma<T, Packed, Ftz, false, false>;
  case Alu::Neg:
    return unary<Alu::Neg, T, Packed, Ftz>;
  case Alu::Abs:
    return unary<Alu::Abs, T, Packed, Ftz>;
  case Alu::Ex2:
    return unary<Alu::Ex2, T, Packed, Ftz>;
  case Alu::Tanh:
    return unary<Alu::Tanh, T, Packed, Ftz>;
  default:
    return nullptr;
  }
}

} // namespace

Handler selectHalf(const AluKey &k) {
  if (k.rnd != Rnd::None && k.rnd != Rnd::Rn && k.rnd != Rnd::Approx)
    return nullptr;
  switch (k.type) {
  case Type::F16:
    return k.ftz ? select<Half, false, true>(k) : select<Half, false, false>(k);
  case Type::F16x2:
    return k.ftz ? select<Half, true, true>(k) : select<Half, true, false>(k);
  // ex2.approx.ftz.bf16 is the only bf16 form with .ftz.
  case Type::BF16:
    return k.ftz ? select<BFloat, false, true>(k) : select<BFloat, false, false>(k);
  case Type::BF16x2:
    return k.ftz ? select<BFloat, true, true>(k) : select<BFloat, true, false>(k);
  default:
    return nullptr;
  }
}

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Single- and double-precision arithmetic (PTX ISA 9.7.3) and the approximate functions.
//
// Three things differ from C. Single-precision results are never a NaN other than 0x7fffffff;
// `.ftz` flushes subnormal inputs and outputs of one instruction, not of the thread; and min/max
// prefer a number over a NaN and order -0 before +0. The `.approx` functions are specified by an
// error bound only; we return nearly correctly rounded values, which satisfies every bound, and
// leave calibration of the last bit to hardware.
#include "Simt.h"

#include <cfenv>
#include <cmath>

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

/// Saturation to [0, 1]: NaN becomes 0, and -0 becomes +0.
template <bool Sat, class T> [[gnu::always_inline]] inline T saturate(T x) {
  if constexpr (Sat)
    return x > T(0) ? (x < T(1) ? x : T(1)) : T(0);
  return x;
}
template <bool Ftz> [[gnu::always_inline]] inline double flush(double x) { return x; }

template <class T> using Bits = Word<T>;
template <class T> constexpr Bits<T> signBit = Bits<T>(1) << (8 * sizeof(T) - 1);

template <Alu Op, class T> [[gnu::always_inline]] inline T minMax(T a, T b, bool nanWins) {
  bool less = Op == Alu::Min ? a < b : a > b;
  // Equal operands: for min keep the negative zero, for max the positive one.
  Bits<T> x = bitcast<Bits<T>>(a), y = bitcast<Bits<T>>(b);
  T equal = bitcast<T>(Op == Alu::Min ? x | y : x & y);
  T m = less ? a : b;
  m = a == b ? equal : m;
  T nan = nanWins ? a + b : m;
  m = a != a ? (nanWins ? nan : b) : m;
  m = b != b ? (nanWins ? nan : a) : m;
  return m;
}

template <Alu Op, class T, bool Ftz, bool Sat>
[[gnu::always_inline]] inline T evalBinary(T a, T b) {
  a = flush<Ftz>(a);
  b = flush<Ftz>(b);
  T x = Op == Alu::Add ? a + b : Op == Alu::Sub ? a - b : Op == Alu::Mul ? a * b : a / b;
  return saturate<Sat>(canonical(flush<Ftz>(x)));
}

template <Alu Op, class T, bool Ftz, bool Sat> const Rec *binary(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) { d.set(l, evalBinary<Op, T, Ftz, Sat>(a[l], b[l])); });
  return r + 1;
}
template <class T, bool Ftz, bool Sat> const Rec *fma(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  forLanes(w.exec, [&](int l) {
    T x = __builtin_elementwise_fma(flush<Ftz>(a[l]), flush<Ftz>(b[l]), flush<Ftz>(c[l]));
    d.set(l, saturate<Sat>(canonical(flush<Ftz>(x))));
  });
  return r + 1;
}
template <Alu Op, class T, bool Ftz, bool NanWins, bool XorSign>
const Rec *minmax(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) {
    T x = flush<Ftz>(a[l]), y = flush<Ftz>(b[l]);
    if constexpr (XorSign) {
      Bits<T> sign = (bitcast<Bits<T>>(x) ^ bitcast<Bits<T>>(y)) & signBit<T>;
      T ax = bitcast<T>(bitcast<Bits<T>>(x) & ~signBit<T>),
        ay = bitcast<T>(bitcast<Bits<T>>(y) & ~signBit<T>);
      T m = canonical(minMax<Op>(ax, ay, NanWins));
      d.set(l, m == m ? bitcast<T>(bitcast<Bits<T>>(m) | sign) : m);
    } else {
      d.set(l, canonical(minMax<Op>(x, y, NanWins)));
    }
  });
  return r + 1;
}

/// neg, abs and copysign act on the sign bit; `.ftz` flushes first. NaN keeps its payload here,
/// which the ISA leaves open.
template <Alu Op, class T, bool Ftz> const Rec *signOp(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[Op == Alu::Copysign ? 2 : 1]);
  forLanes(w.exec, [&](int l) {
    Bits<T> x = bitcast<Bits<T>>(flush<Ftz>(a[l]));
    Bits<T> result = Op == Alu::Neg   ? x ^ signBit<T>
                     : Op == Alu::Abs ? x & ~signBit<T>
                                      // copysign.f32 d, a, b: the sign of a, the magnitude of b
                                      : (x & signBit<T>) | (bitcast<Bits<T>>(b[l]) & ~signBit<T>);
    d.set(l, bitcast<T>(result));
  });
  return r + 1;
}

#pragma clang fp exceptions(strict)
#pragma STDC FENV_ACCESS ON
/// Directed rounding through the floating-point environment: correct for every operation, slow, and
/// rare (the expansions of division use it).
template <Alu Op, class T, bool Ftz, bool Sat, int Mode>
[[gnu::noinline]] const Rec *rounded(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]), a(w, r->o[1]), b(w, r->o[2]), c(w, r->o[3]);
  T out[32];
  int before = std::fegetround();
  std::fesetround(Mode);
  for (int l = 0; l < 32; ++l) {
    if (!((w.exec >> l) & 1))
      continue;
    volatile T x = flush<Ftz>(a[l]);
    volatile T y = Op == Alu::Sqrt || Op == Alu::Rcp ? x : flush<Ftz>(b[l]);
    volatile T z;
    if constexpr (Op == Alu::Fma)
      z = std::fma(x, y, flush<Ftz>(c[l]));
    else if constexpr (Op == Alu::Sqrt)
      z = std::sqrt(x);
    else if constexpr (Op == Alu::Rcp)
      z = T(1) / x;
    else
      z = Op == Alu::Add ? x + y : Op == Alu::Sub ? x - y : Op == Alu::Mul ? x * y : x / y;
    out[l] = saturate<Sat>(canonical(flush<Ftz>(static_cast<T>(z))));
  }
  std::fesetround(before);
  forLanes(w.exec, [&](int l) { d.set(l, out[l]); });
  return r + 1;
}
#pragma STDC FENV_ACCESS OFF
#pragma clang fp exceptions(ignore)

/// 2^x in double precision: an exponent and a degree-9 polynomial on [-0.5, 0.5] (Taylor series of
/// exp at x ln 2; the first neglected term is below 2^-36), then one rounding.
[[gnu::always_inline]] inline float exp2Float(float x) {
  double v = x;
  v = v > 200.0 ? 200.0 : v > -200.0 ? v : -200.0; // NaN too; it is put back at the end
  double n = __builtin_elementwise_roundeven(v);
  double t = (v - n) * 0.6931471805599453;
  double p = 1.0 / 362880;
  p = p * t + 1.0 / 40320;
  p = p * t + 1.0 / 5040;
  p = p * t + 1.0 / 720;
  p = p * t + 1.0 / 120;
  p = p * t + 1.0 / 24;
  p = p * t + 1.0 / 6;
  p = p * t + 0.5;
  p = p * t + 1.0;
  p = p * t + 1.0;
  double scale = bitcast<double>(static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52);
  float y = static_cast<float>(p * scale);
  return x == x ? y : x;
}

template <Alu Op> [[gnu::always_inline]] inline float evalApprox(float x) {
  if constexpr (Op == Alu::Ex2)
    return exp2Float(x);
  else if constexpr (Op == Alu::Rcp)
    return 1.0f / x;
  else if constexpr (Op == Alu::Sqrt)
    return __builtin_sqrtf(x);
  else if constexpr (Op == Alu::Rsqrt)
    return static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(x)));
  else if constexpr (Op == Alu::Lg2)
    return static_cast<float>(__builtin_log2(static_cast<double>(x)));
  else if constexpr (Op == Alu::Sin)
    return static_cast<float>(__builtin_sin(static_cast<double>(x)));
  else if constexpr (Op == Alu::Cos)
    return static_cast<float>(__builtin_cos(static_cast<double>(x)));
  else
    return static_cast<float>(__builtin_tanh(static_cast<double>(x)));
}

template <Alu Op, bool Ftz, bool Sat> const Rec *approx(Warp &w, const Rec *r) {
  Column<float> d(w, r->o[0]), a(w, r->o[1]);
  auto f = [&](int l) {
    d.set(l, saturate<Sat>(canonical(flush<Ftz>(evalApprox<Op>(flush<Ftz>(a[l]))))));
  };
  forLanes(w.exec, f);
  return r + 1;
}
template <Alu Op> const Rec *approxDouble(Warp &w, const Rec *r) {
  Column<double> d(w, r->o[0]), a(w, r->o[1]);
  forLanes(w.exec, [&](int l) {
    d.set(l, Op == Alu::Sqrt  ? __builtin_sqrt(a[l])
             : Op == Alu::Rcp ? 1.0 / a[l]
                              : 1.0 / __builtin_sqrt(a[l]));
  });
  return r + 1;
}

/// testp.op: imm selects the property, o[0] is a predicate. 0 finite, 1 infinite, 2 number,
/// 3 notanumber, 4 normal, 5 subnormal.
template <class T> const Rec *testp(Warp &w, const Rec *r) {
  Column<T> a(w, r->o[1]);
  constexpr Bits<T> exponent =
      sizeof(T) == 4 ? Bits<T>(0x7f800000u) : Bits<T>(0x7ff0000000000000ull);
  uint64_t what = r->imm;
  setPredicate(w, r->o[0], lanesWhere(w.exec, [&](int l) {
                 Bits<T> x = bitcast<Bits<T>>(a[l]) & ~signBit<T>, e = x & exponent;
                 return what == 0   ? e != exponent
                        : what == 1 ? x == exponent
                        : what == 2 ? x <= exponent
                        : what == 3 ? x > exponent
                        : what == 4 ? e != exponent && e != 0
                                    : e == 0 && x != 0;
               }));
  return r + 1;
}

template <Alu Op, class T, bool Ftz, bool Sat> Handler pickRounded(Rnd rnd) {
  switch (rnd) {
  case Rnd::Rz:
    return rounded<Op, T, Ftz, Sat, FE_TOWARDZERO>;
  case Rnd::Rm:
    return rounded<Op, T, Ftz, Sat, FE_DOWNWARD>;
  case Rnd::Rp:
    return rounded<Op, T, Ftz, Sat, FE_UPWARD>;
  default:
    return nullptr;
  }
}
template <Alu Op, class T, bool Ftz, bool Sat> Handler pickArithmetic(const AluKey &k) {
  if (k.rnd == Rnd::Rz || k.rnd == Rnd::Rm || k.rnd == Rnd::Rp)
    return pickRounded<Op, T, Ftz, Sat>(k.rnd);
  if constexpr (Op == Alu::Fma)
    return fma<T, Ftz, Sat>;
  else if constexpr (Op == Alu::Sqrt || Op == Alu::Rcp) {
    if constexpr (__is_same(T, float))
      return approx<Op, Ftz, Sat>;
    else
      return approxDouble<Op>;
  } else
    return binary<Op, T, Ftz, Sat>;
}

template <class T, bool Ftz> Handler select(const AluKey &k) {
#define ARITHMETIC(X)                                                                              \
  case Alu::X:                                                                                     \
    if constexpr (__is_same(T, float))                                                             \
      return k.sat ? pickArithmetic<Alu::X, T, Ftz, true>(k)                                       \
                   : pickArithmetic<Alu::X, T, Ftz, false>(k);                                     \
    return k.sat ? nullptr : pickArithmetic<Alu::X, T, Ftz, false>(k);
  switch (k.op) {
    ARITHMETIC(Add)
    ARITHMETIC(Sub)
  ARITHMETIC(Mul) ARITHMETIC(Div) ARITHMETIC(Fma) ARITHMETIC(Sqrt) ARITHMETIC(Rcp) case Alu::Neg:
    return signOp<Alu::Neg, T, Ftz>;
  case Alu::Abs:
    return signOp<Alu::Abs, T, Ftz>;
  case Alu::Copysign:
    return signOp<Alu::Copysign, T, false>;
  case Alu::Testp:
    return testp<T>;
#define MINMAX(X)                                                                                  \
  case Alu::X:                                                                                     \
    if (k.xorsignAbs)                                                                              \
      return k.nan ? minmax<Alu::X, T, Ftz, true, true> : minmax<Alu::X, T, Ftz, false, true>;     \
    return k.nan ? minmax<Alu::X, T, Ftz, true, false> : minmax<Alu::X, T, Ftz, false, false>;
    MINMAX(Min) MINMAX(Max) default : return nullptr;
  }
#undef ARITHMETIC
#undef MINMAX
}
template <bool Ftz> Handler selectApprox(const AluKey &k) {
  switch (k.op) {
  case Alu::Ex2:
    return approx<Alu::Ex2, Ftz, false>;
  case Alu::Lg2:
    return approx<Alu::Lg2, Ftz, false>;
  case Alu::Rsqrt:
    return approx<Alu::Rsqrt, Ftz, false>;
  case Alu::Sin:
    return approx<Alu::Sin, Ftz, false>;
  case Alu::Cos:
    return approx<Alu::Cos, Ftz, false>;
  case Alu::Tanh:
    return approx<Alu::Tanh, Ftz, false>;
  default:
    return nullptr;
  }
}

} // namespace

Handler selectFloating(const AluKey &k) {
  if (k.type == Type::F32) {
    if (Handler h = k.ftz ? selectApprox<true>(k) : selectApprox<false>(k))
      return h;
    return k.ftz ? select<float, true>(k) : select<float, false>(k);
  }
  if (k.type == Type::F64 && !k.ftz) {
    if (k.op == Alu::Rsqrt)
      return approxDouble<Alu::Rsqrt>;
    return select<double, false>(k);
  }
  return nullptr;
}

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu

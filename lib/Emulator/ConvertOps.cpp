// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// cvt (PTX ISA 9.7.9.21). The conversions that attention kernels run in their inner loops have
// vector handlers of their own; everything else goes through one lane function that converts by way
// of a wide intermediate: integers through 64 bits, floats through double (which holds every source
// format exactly), and one rounding into the destination format.
//
// Two traps of the ISA: in the packed forms `cvt.rn.bf16x2.f32 d, a, b` the *first* source becomes
// the *upper* half, and float-to-integer conversion saturates always, with NaN giving 0 (or the
// most negative value when a 64-bit type is involved).
#include "Simt.h"

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

/// A binary floating-point format with `exponent` and `fraction` bits.
struct Format {
  int exponent, fraction;
  bool noInfinity; ///< e4m3: the all-ones exponent holds numbers, only 0x7f is NaN
};
constexpr Format f16Format{5, 10, false}, bf16Format{8, 7, false}, tf32Format{8, 10, false},
    f32Format{8, 23, false}, e4m3Format{4, 3, true}, e5m2Format{5, 2, false};

double power2(int e) { return bitcast<double>(static_cast<uint64_t>(e + 1023) << 52); }

/// Integer part of x >= 0 in the given direction; `odd` ties for nearest-even come from the value.
double roundIntegral(double x, Rnd rnd, bool negative) {
  double down = __builtin_floor(x), rest = x - down;
  switch (rnd) {
  case Rnd::Rz:
  case Rnd::Rzi:
    return down;
  case Rnd::Rm:
  case Rnd::Rmi:
    return negative && rest > 0 ? down + 1 : down;
  case Rnd::Rp:
  case Rnd::Rpi:
    return !negative && rest > 0 ? down + 1 : down;
  case Rnd::Rna:
    return rest >= 0.5 ? down + 1 : down;
  default:
    if (rest != 0.5)
      return rest > 0.5 ? down + 1 : down;
    return __builtin_fmod(down, 2.0) == 0 ? down : down + 1;
  }
}

/// The bits of x in a narrow format. `satfinite` clamps to the largest finite value.
uint32_t encode(double x, const Format &f, Rnd rnd, bool satfinite) {
  uint32_t sign = bitcast<uint64_t>(x) >> 63 ? 1u << (f.exponent + f.fraction) : 0;
  int bias = (1 << (f.exponent - 1)) - 1;
  uint32_t allOnes = ((1u << f.exponent) - 1) << f.fraction;
  uint32_t largest = f.noInfinity ? allOnes + (1u << f.fraction) - 2 : allOnes - 1;
  if (x != x)
    return f.fraction == 3 ? 0x7fu : f.fraction == 2 ? 0x7fu : allOnes | ((1u << f.fraction) - 1);
  bool negative = sign != 0;
  double m = negative ? -x : x;
  if (m == 0)
    return sign;
  uint32_t bits = largest + 1; // infinity, or beyond everything in a format without one
  if (m - m == 0) {            // finite
    int e =
        static_cast<int>(bitcast<uint64_t>(m) >> 52) - 1023; // a subnormal double is tiny anyway
    int lowest = 1 - bias;
    if (e < lowest)
      e = lowest;
    // Units in the last place of the destination; may round up into the next binade, which the
    // addition of exponent and fraction below carries naturally.
    double units =
        roundIntegral(m * power2(f.fraction - e > 1000 ? 1000 : f.fraction - e), rnd, negative);
    double wide = static_cast<double>(e - lowest) * static_cast<double>(1u << f.fraction) + units;
    bits = wide > static_cast<double>(largest) ? largest + 1 : static_cast<uint32_t>(wide);
    bool towardsZero =
        rnd == Rnd::Rz || (rnd == Rnd::Rm && !negative) || (rnd == Rnd::Rp && negative);
    if (bits > largest && towardsZero)
      bits = largest;
  }
  if (bits > largest)
    bits = satfinite ? largest : f.noInfinity ? largest + 1 : allOnes;
  return sign | bits;
}

double decode(uint32_t bits, const Format &f) {
  int bias = (1 << (f.exponent - 1)) - 1;
  uint32_t fraction = bits & ((1u << f.fraction) - 1);
  uint32_t e = (bits >> f.fraction) & ((1u << f.exponent) - 1);
  double sign = (bits >> (f.exponent + f.fraction)) & 1 ? -1.0 : 1.0;
  if (e == (1u << f.exponent) - 1) {
    if (f.noInfinity ? fraction == (1u << f.fraction) - 1 : fraction != 0)
      return __builtin_nan("");
    if (!f.noInfinity)
      return sign * __builtin_inf();
  }
  double unit = power2((e ? static_cast<int>(e) : 1) - bias - f.fraction);
  return sign * unit * static_cast<double>(fraction + (e ? 1u << f.fraction : 0));
}

const Format &formatOf(Type t) {
  switch (t) {
  case Type::F16:
  case Type::F16x2:
    return f16Format;
  case Type::BF16:
  case Type::BF16x2:
    return bf16Format;
  case Type::TF32:
    return tf32Format;
  case Type::E4M3x2:
    return e4m3Format;
  case Type::E5M2x2:
    return e5m2Format;
  default:
    return f32Format;
  }
}

/// Modes of a conversion, packed in Rec::aux by the decoder: types in bits 0-15, rounding in 16-23,
/// then flags.
struct Mode {
  Type to, from;
  Rnd rnd;
  bool ftz, sat, relu, satfinite;
  explicit Mode(uint32_t aux)
      : to(static_cast<Type>(aux & 0xff)), from(static_cast<Type>((aux >> 8) & 0xff)),
        rnd(static_cast<Rnd>((aux >> 16) & 0xff)), ftz(aux >> 24 & 1), sat(aux >> 25 & 1),
        relu(aux >> 26 & 1), satfinite(aux >> 27 & 1) {}
};

bool isFloat(Type t) {
  return t == Type::F16 || t == Type::BF16 || t == Type::F32 || t == Type::F64;
}
bool isSigned(Type t) {
  return t == Type::S8 || t == Type::S16 || t == Type::S32 || t == Type::S64;
}
unsigned widthOf(Type t) {
  switch (t) {
  case Type::U8:
  case Type::S8:
  case Type::B8:
    return 8;
  case Type::U16:
  case Type::S16:
  case Type::B16:
  case Type::F16:
  case Type::BF16:
    return 16;
  case Type::U64:
  case Type::S64:
  case Type::B64:
  case Type::F64:
    return 64;
  default:
    return 32;
  }
}

/// The source lane as a 64-bit pattern, extended by its type.
int64_t extend(uint64_t bits, Type t) {
  unsigned n = 64 - widthOf(t);
  return isSigned(t) ? static_cast<int64_t>(bits << n) >> n : static_cast<int64_t>(bits << n >> n);
}

double loadFloat(uint64_t bits, Type t, bool ftz) {
  if (t == Type::F64)
    return bitcast<double>(bits);
  float f = t == Type::F16    ? toFloat(Half{static_cast<uint16_t>(bits)})
            : t == Type::BF16 ? toFloat(BFloat{static_cast<uint16_t>(bits)})
                              : bitcast<float>(static_cast<uint32_t>(bits));
  return ftz && t == Type::F32 ? flush<true>(f) : f;
}

/// Correctly rounded 64-bit integer to double in any direction, as an exact pair is not available.
double integerToDouble(int64_t v, bool isUnsigned, Rnd rnd) {
  bool negative = !isUnsigned && v < 0;
  uint64_t m = negative ? 0 - static_cast<uint64_t>(v) : static_cast<uint64_t>(v);
  int extra = m >> 53 ? 11 - __builtin_clzll(m) : 0;
  uint64_t rest = extra ? m & ((1ull << extra) - 1) : 0, half = extra ? 1ull << (extra - 1) : 0;
  uint64_t top = m >> extra;
  bool up = rnd == Rnd::Rp   ? !negative && rest
            : rnd == Rnd::Rm ? negative && rest
            : rnd == Rnd::Rz ? false
                             : rest > half || (rest == half && half && (top & 1));
  double d = static_cast<double>(top + (up ? 1 : 0)) * power2(extra);
  return negative ? -d : d;
}

/// Integer to a float format of at most 24 bits: exact through double only up to 53 bits, so larger
/// magnitudes are first reduced with a sticky bit, which keeps the single rounding correct.
double stickyDouble(int64_t v, bool isUnsigned) {
  bool negative = !isUnsigned && v < 0;
  uint64_t m = negative ? 0 - static_cast<uint64_t>(v) : static_cast<uint64_t>(v);
  if (m >> 53)
    m = (m & ~0xfffull) | ((m & 0xfff) ? 0x800u : 0);
  double d = static_cast<double>(m);
  return negative ? -d : d;
}

uint64_t storeFloat(double x, const Mode &m) {
  if (m.sat)
    x = x > 0 ? (x < 1 ? x : 1.0) : 0.0;
  if (m.relu && x == x)
    x = x > 0 ? x : 0.0;
  if (m.to == Type::F64)
    return bitcast<uint64_t>(x);
  if (m.to == Type::F32 || m.to == Type::TF32) {
    uint32_t bits = encode(x, formatOf(m.to), m.rnd, m.satfinite);
    if (m.to == Type::TF32)
      return x == x ? bits << 13 : 0x7fffffffu;
    return x == x ? (m.ftz ? bitcast<uint32_t>(flush<true>(bitcast<float>(bits))) : bits)
                  : 0x7fffffffu;
  }
  uint32_t bits = encode(x, formatOf(m.to), m.rnd, m.satfinite);
  return x == x ? bits : 0x7fffu;
}

uint64_t storeInteger(double x, const Mode &m) {
  unsigned width = widthOf(m.to);
  bool wide = width == 64 || m.from == Type::F64;
  if (x != x)
    return wide ? 1ull << (width - 1) : 0;
  bool negative = bitcast<uint64_t>(x) >> 63;
  double mag = roundIntegral(negative ? -x : x, m.rnd == Rnd::None ? Rnd::Rzi : m.rnd, negative);
  if (isSigned(m.to)) {
    double limit = power2(static_cast<int>(width) - 1);
    if (negative)
      return mag >= limit ? 0 - (1ull << (width - 1)) : 0 - static_cast<uint64_t>(mag);
    return mag >= limit ? (1ull << (width - 1)) - 1 : static_cast<uint64_t>(mag);
  }
  if (negative)
    return 0;
  return mag >= power2(static_cast<int>(width) - 1) * 2 ? ~0ull >> (64 - width)
                                                        : static_cast<uint64_t>(mag);
}

uint64_t clampInteger(int64_t v, const Mode &m) {
  unsigned width = widthOf(m.to);
  bool fromUnsigned = !isSigned(m.from);
  if (isSigned(m.to)) {
    int64_t hi = static_cast<int64_t>(~0ull >> (65 - width)), lo = -hi - 1;
    if (fromUnsigned && v < 0)
      return static_cast<uint64_t>(hi);
    return static_cast<uint64_t>(v > hi ? hi : v < lo ? lo : v);
  }
  uint64_t hi = ~0ull >> (64 - width);
  if (!fromUnsigned && v < 0)
    return 0;
  return static_cast<uint64_t>(v) > hi ? hi : static_cast<uint64_t>(v);
}

/// One lane of any scalar conversion.
uint64_t convertLane(uint64_t bits, const Mode &m) {
  if (!isFloat(m.from)) {
    int64_t v = extend(bits, m.from);
    if (!isFloat(m.to))
      return m.sat ? clampInteger(v, m) : static_cast<uint64_t>(v);
    bool isUnsigned = !isSigned(m.from);
    if (m.to == Type::F64) // exact or rounded here; storeFloat does no more than saturate
      return storeFloat(integerToDouble(v, isUnsigned, m.rnd), m);
    return storeFloat(stickyDouble(v, isUnsigned), m);
  }
  double x = loadFloat(bits, m.from, m.ftz);
  if (!isFloat(m.to) && m.to != Type::TF32)
    return storeInteger(x, m);
  bool integral = m.rnd == Rnd::Rni || m.rnd == Rnd::Rzi || m.rnd == Rnd::Rmi || m.rnd == Rnd::Rpi;
  if (integral && x - x == 0) {
    bool negative = bitcast<uint64_t>(x) >> 63;
    double mag = roundIntegral(negative ? -x : x, m.rnd, negative);
    x = negative ? -mag : mag;
  }
  return storeFloat(x, m);
}

template <class D, class S> const Rec *general(Warp &w, const Rec *r) {
  D *d = place<D>(w, r->o[0]);
  const S *a = place<S>(w, r->o[1]);
  Mode m(r->aux);
  // The result is truncated to the destination's type, then extended to its register: signed
  // narrow results sign-extend, so that a wider register holds the same number.
  unsigned width = widthOf(m.to), reg = static_cast<unsigned>(r->imm);
  for (uint32_t mask = w.exec; mask; mask &= mask - 1) {
    int l = __builtin_ctz(mask);
    uint64_t x = convertLane(a[l], m);
    if (width < 64) {
      x &= ~0ull >> (64 - width);
      if (isSigned(m.to) && reg > width)
        x = static_cast<uint64_t>(static_cast<int64_t>(x << (64 - width)) >> (64 - width));
      if (reg < 64)
        x &= ~0ull >> (64 - reg);
    }
    d[l] = static_cast<D>(x);
  }
  return r + 1;
}

/// Two singles to one packed register: o[1] becomes the upper half, o[2] the lower.
template <class T> const Rec *packFast(Warp &w, const Rec *r) {
  Column<uint32_t> d(w, r->o[0]);
  Column<float> a(w, r->o[1]), b(w, r->o[2]);
  forLanes(w.exec, [&](int l) {
    d.set(l, static_cast<uint32_t>(fromFloat<T>(a[l]).bits) << 16 | fromFloat<T>(b[l]).bits);
  });
  return r + 1;
}
const Rec *packGeneral(Warp &w, const Rec *r) {
  uint32_t *d = place<uint32_t>(w, r->o[0]);
  const uint32_t *a = place<uint32_t>(w, r->o[1]), *b = place<uint32_t>(w, r->o[2]);
  Mode m(r->aux);
  bool fp8 = m.to == Type::E4M3x2 || m.to == Type::E5M2x2;
  unsigned width = fp8 ? 8 : 16;
  auto one = [&](uint32_t bits, Type from) -> uint32_t {
    double x = from == Type::F16    ? toFloat(Half{static_cast<uint16_t>(bits)})
               : from == Type::BF16 ? toFloat(BFloat{static_cast<uint16_t>(bits)})
                                    : bitcast<float>(bits);
    if (m.relu && x == x)
      x = x > 0 ? x : 0.0;
    uint32_t y = encode(x, formatOf(m.to), m.rnd, m.satfinite);
    return x == x ? y : fp8 ? 0x7fu : 0x7fffu;
  };
  for (uint32_t mask = w.exec; mask; mask &= mask - 1) {
    int l = __builtin_ctz(mask);
    if (m.from == Type::F32)
      d[l] = one(a[l], Type::F32) << width | one(b[l], Type::F32);
    else // f16x2 or bf16x2 to fp8: halves stay in order
      d[l] = one(a[l] >> 16, m.from == Type::F16x2 ? Type::F16 : Type::BF16) << width |
             one(a[l] & 0xffff, m.from == Type::F16x2 ? Type::F16 : Type::BF16);
  }
  return r + 1;
}
/// fp8 pairs to f16x2 (exact).
const Rec *unpackFp8(Warp &w, const Rec *r) {
  uint32_t *d = place<uint32_t>(w, r->o[0]);
  const uint32_t *a = place<uint32_t>(w, r->o[1]);
  Mode m(r->aux);
  Format f = formatOf(m.from);
  for (uint32_t mask = w.exec; mask; mask &= mask - 1) {
    int l = __builtin_ctz(mask);
    uint32_t result = 0;
    for (int i = 0; i < 2; ++i) {
      double x = decode((a[l] >> (8 * i)) & 0xff, f);
      if (m.relu && x == x && !(x > 0))
        x = 0;
      result |= (x == x ? encode(x, f16Format, Rnd::Rn, false) : 0x7fffu) << (16 * i);
    }
    d[l] = result;
  }
  return r + 1;
}

template <class T> const Rec *toSingle(Warp &w, const Rec *r) {
  Column<float> d(w, r->o[0]);
  Column<T> a(w, r->o[1]);
  forLanes(w.exec, [&](int l) { d.set(l, canonical(toFloat(a[l]))); });
  return r + 1;
}
template <class T> const Rec *fromSingle(Warp &w, const Rec *r) {
  Column<T> d(w, r->o[0]);
  Column<float> a(w, r->o[1]);
  forLanes(w.exec, [&](int l) { d.set(l, fromFloat<T>(a[l])); });
  return r + 1;
}
template <class D, class S> const Rec *cast(Warp &w, const Rec *r) {
  Column<D> d(w, r->o[0]);
  Column<S> a(w, r->o[1]);
  forLanes(w.exec, [&](int l) { d.set(l, static_cast<D>(a[l])); });
  return r + 1;
}

/// Handlers for the conversions worth a vector loop; null when there is none.
Handler fast(const AluKey &k, bool to64, bool from64) {
  if (k.ftz || k.sat || k.relu || k.nan) // `nan` stands for .satfinite
    return nullptr;
  bool rn = k.rnd == Rnd::Rn;
  if (k.type == Type::F32 && k.rnd == Rnd::None)
    return k.source == Type::F16    ? toSingle<Half>
           : k.source == Type::BF16 ? toSingle<BFloat>
                                    : nullptr;
  if (k.source == Type::F32 && rn)
    return k.type == Type::F16    ? fromSingle<Half>
           : k.type == Type::BF16 ? fromSingle<BFloat>
                                  : nullptr;
  if (k.type == Type::F32 && rn && !from64)
    return k.source == Type::S32   ? cast<float, int32_t>
           : k.source == Type::U32 ? cast<float, uint32_t>
                                   : nullptr;
  if (to64 && !from64 && (k.type == Type::U64 || k.type == Type::S64)) {
    if (k.source == Type::U32)
      return cast<uint64_t, uint32_t>;
    if (k.source == Type::S32)
      return cast<int64_t, int32_t>;
  }
  if (!to64 && from64 && (k.type == Type::U32 || k.type == Type::S32) &&
      (k.source == Type::U64 || k.source == Type::S64))
    return cast<uint32_t, uint64_t>;
  return nullptr;
}

} // namespace

/// `xorsignAbs` and `oob` carry "destination register is 64-bit" and "source register is 64-bit".
Handler selectConvert(const AluKey &k) {
  bool to64 = k.xorsignAbs, from64 = k.oob;
  if (k.op == Alu::CvtPack) {
    bool fp8Source = k.source == Type::E4M3x2 || k.source == Type::E5M2x2;
    if (fp8Source)
      return k.type == Type::F16x2 ? unpackFp8 : nullptr;
    if (k.source == Type::F32 && k.rnd == Rnd::Rn && !k.relu && !k.sat && !k.nan) {
      if (k.type == Type::F16x2)
        return packFast<Half>;
      if (k.type == Type::BF16x2)
        return packFast<BFloat>;
    }
    return packGeneral;
  }
  if (Handler h = fast(k, to64, from64))
    return h;
  if (to64)
    return from64 ? general<uint64_t, uint64_t> : general<uint64_t, uint32_t>;
  return from64 ? general<uint32_t, uint64_t> : general<uint32_t, uint32_t>;
}

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu

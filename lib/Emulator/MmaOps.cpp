// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// mma.sync (PTX ISA 9.7.14.5) computed in fragment layout: the accumulators never leave their
// register columns, and A and B are spread to the lanes that need them by fixed shuffles.
//
// All shapes follow one rule. Lane l = (g, t) with g = l/4, t = l%4. With P elements per 32-bit
// register, register r of A holds row g + 8*(r&1) and columns k = 4P*(r>>1) + P*t + e, e < P;
// register r of B holds column n = g and rows k = 4P*r + P*t + e. The accumulators of a lane are
// c[2h+p] = C[g + 8h][2t + p]. So for the k of (R, T, e):
//   A[g + 8h][k] sits in register 2R+h, lane (g, T): a shuffle inside each group of four lanes;
//   B[k][2t + p] sits in register R, lane (2t+p, T): a shuffle that does not depend on g.
//
// Numerics: products of 16-bit and narrower types are exact in single precision; we add them in k
// order with fused multiply-adds. Hardware adds in an unspecified order and with fewer guard bits,
// so comparisons with a device need a tolerance; the emulator is deterministic.
#include "Simt.h"

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

typedef uint32_t VecU __attribute__((vector_size(128)));
typedef int32_t VecI __attribute__((vector_size(128)));
typedef float VecF __attribute__((vector_size(128)));

// Columns are aligned to 64 bytes only, so they are copied, which promises the compiler nothing.
template <class V> [[gnu::always_inline]] inline V column(Warp &w, uint32_t operand) {
  V v;
  __builtin_memcpy(&v, place<char>(w, operand), sizeof v);
  return v;
}
template <class V> [[gnu::always_inline]] inline void setColumn(Warp &w, uint32_t operand, V v) {
  __builtin_memcpy(place<char>(w, operand), &v, sizeof v);
}
[[gnu::always_inline]] inline VecU load(Warp &w, uint32_t operand) {
  return column<VecU>(w, operand);
}

#define SPREAD_A(T)                                                                                \
  __builtin_shufflevector(v, v, 0 + T, 0 + T, 0 + T, 0 + T, 4 + T, 4 + T, 4 + T, 4 + T, 8 + T,     \
                          8 + T, 8 + T, 8 + T, 12 + T, 12 + T, 12 + T, 12 + T, 16 + T, 16 + T,     \
                          16 + T, 16 + T, 20 + T, 20 + T, 20 + T, 20 + T, 24 + T, 24 + T, 24 + T,  \
                          24 + T, 28 + T, 28 + T, 28 + T, 28 + T)
#define SPREAD_B4(B) B, B + 8, B + 16, B + 24
#define SPREAD_B(B)                                                                                \
  __builtin_shufflevector(v, v, SPREAD_B4(B), SPREAD_B4(B), SPREAD_B4(B), SPREAD_B4(B),            \
                          SPREAD_B4(B), SPREAD_B4(B), SPREAD_B4(B), SPREAD_B4(B))

/// Lane (g, t) receives lane (g, T).
template <int T, class V> [[gnu::always_inline]] inline V spreadA(V v) { return SPREAD_A(T); }
/// Lane (g, t) receives lane (2t + p, T).
template <int T, int P, class V> [[gnu::always_inline]] inline V spreadB(V v) {
  return SPREAD_B(4 * P + T);
}

/// How an operand type unpacks: `perWord` elements per register, `get<e>` the e-th as `Vec`.
struct Bf16Elem {
  using Vec = VecF;
  static constexpr int perWord = 2;
  template <int E> [[gnu::always_inline]] static VecF get(VecU v) {
    return reinterpret_cast<VecF>(E ? v & 0xffff0000u : v << 16);
  }
};
struct F16Elem {
  using Vec = VecF;
  static constexpr int perWord = 2;
  template <int E> [[gnu::always_inline]] static VecF get(VecU v) {
    VecU h = E ? v >> 16 : v & 0xffffu;
    VecU magnitude = (h & 0x7fffu) << 13;
    VecU scaled = reinterpret_cast<VecU>(reinterpret_cast<VecF>(magnitude) * 0x1p112f);
    VecU special = reinterpret_cast<VecU>((h & 0x7fffu) >= 0x7c00u);
    return reinterpret_cast<VecF>((special & (magnitude | 0x7f800000u)) | (~special & scaled) |
                                  (h & 0x8000u) << 16);
  }
};
struct Tf32Elem {
  using Vec = VecF;
  static constexpr int perWord = 1;
  template <int> [[gnu::always_inline]] static VecF get(VecU v) {
    return reinterpret_cast<VecF>(v & 0xffffe000u);
  }
};
/// fp8 through exact integer scaling: 2^(e-bias) as float bits, like F16Elem.
template <int Fraction> struct Fp8Elem {
  using Vec = VecF;
  static constexpr int perWord = 4;
  template <int E> [[gnu::always_inline]] static VecF get(VecU v) {
    VecU b = (v >> (8 * E)) & 0xffu;
    VecU magnitude = (b & 0x7fu) << (23 - Fraction);
    constexpr float scale = Fraction == 3 ? 0x1p120f : 0x1p112f; // 127 - bias
    VecU scaled = reinterpret_cast<VecU>(reinterpret_cast<VecF>(magnitude) * scale);
    VecU nan = reinterpret_cast<VecU>(Fraction == 3 ? (b & 0x7fu) == 0x7fu : (b & 0x7fu) > 0x7cu);
    VecU inf = reinterpret_cast<VecU>(Fraction == 2 ? (b & 0x7fu) == 0x7cu : b > 0xffffu);
    VecU x = (nan & 0x7fc00000u) | (inf & 0x7f800000u) | (~(nan | inf) & scaled);
    return reinterpret_cast<VecF>(x | (b & 0x80u) << 24);
  }
};
template <int Width, bool Signed> struct IntElem {
  using Vec = VecI;
  static constexpr int perWord = 32 / Width;
  template <int E> [[gnu::always_inline]] static VecI get(VecU v) {
    VecU top = v << (32 - Width * (E + 1));
    return Signed ? reinterpret_cast<VecI>(top) >> (32 - Width)
                  : reinterpret_cast<VecI>(top >> (32 - Width));
  }
};

[[gnu::always_inline]] inline VecF multiplyAdd(VecF a, VecF b, VecF c) {
  return __builtin_elementwise_fma(a, b, c);
}
[[gnu::always_inline]] inline VecI multiplyAdd(VecI a, VecI b, VecI c) {
  return reinterpret_cast<VecI>(reinterpret_cast<VecU>(a) * reinterpret_cast<VecU>(b) +
                                reinterpret_cast<VecU>(c));
}

/// One k: four multiply-adds of 32 lanes.
template <class EA, class EB, int T, int E, class V>
[[gnu::always_inline]] inline void step(VecU a0, VecU a1, VecU b, V *acc) {
  V lo = spreadA<T>(EA::template get<E>(a0)), hi = spreadA<T>(EA::template get<E>(a1));
  V even = spreadB<T, 0>(EB::template get<E>(b)), odd = spreadB<T, 1>(EB::template get<E>(b));
  acc[0] = multiplyAdd(lo, even, acc[0]);
  acc[1] = multiplyAdd(lo, odd, acc[1]);
  acc[2] = multiplyAdd(hi, even, acc[2]);
  acc[3] = multiplyAdd(hi, odd, acc[3]);
}
template <class EA, class EB, int T, int E, class V>
[[gnu::always_inline]] inline void steps(VecU a0, VecU a1, VecU b, V *acc) {
  step<EA, EB, T, E>(a0, a1, b, acc);
  if constexpr (E + 1 < EA::perWord)
    steps<EA, EB, T, E + 1>(a0, a1, b, acc);
}

/// The product for `Halves` pairs of A registers. `places` lists the A registers, then B's.
template <class EA, class EB, int Halves, class V>
[[gnu::always_inline]] inline void multiply(Warp &w, const uint32_t *a, const uint32_t *b, V *acc) {
  for (int r = 0; r < Halves; ++r) {
    VecU a0 = load(w, a[2 * r]), a1 = load(w, a[2 * r + 1]), bv = load(w, b[r]);
    steps<EA, EB, 0, 0>(a0, a1, bv, acc);
    steps<EA, EB, 1, 0>(a0, a1, bv, acc);
    steps<EA, EB, 2, 0>(a0, a1, bv, acc);
    steps<EA, EB, 3, 0>(a0, a1, bv, acc);
  }
}

/// A row of four values, to all eight groups of four lanes: a broadcasting load on wide machines.
[[gnu::always_inline]] [[maybe_unused]] inline VecF broadcastRow(const float *p) {
  typedef float Vec4 __attribute__((vector_size(16)));
  Vec4 four;
  __builtin_memcpy(&four, p, sizeof four);
  return __builtin_shufflevector(four, four, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1,
                                 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
}

#ifdef __AVX512BW__
// With 512-bit permutes a whole register is turned at once: a column of 16-bit values is eight rows
// (lanes of one g) of eight consecutive k. Turned, every k is eight neighbours, from which A is
// spread by one permute; B goes through memory, because a load that broadcasts four floats costs
// the vector units nothing. Same products, same order of additions as `multiply`.
typedef uint16_t VecH __attribute__((vector_size(128)));
typedef float VecQ __attribute__((vector_size(64)));

#define ROW8(K) K, 8 + K, 16 + K, 24 + K, 32 + K, 40 + K, 48 + K, 56 + K
#define ROW8_EVEN_ODD(K) K, 16 + K, 32 + K, 48 + K, 8 + K, 24 + K, 40 + K, 56 + K
#define ALL_K(ROW) ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7)
#define SPREAD4(I) I, I, I, I
#define SPREAD_K(I)                                                                                \
  SPREAD4(I), SPREAD4(I + 1), SPREAD4(I + 2), SPREAD4(I + 3), SPREAD4(I + 4), SPREAD4(I + 5),      \
      SPREAD4(I + 6), SPREAD4(I + 7)

template <class Elem> struct Wide;
struct Wide16 {
  static constexpr int ks = 8; ///< k per register
  typedef uint16_t Quarter __attribute__((vector_size(32)));
  template <int Q> [[gnu::always_inline]] static Quarter quarter(VecH h) {
    constexpr int b = 16 * Q;
    return __builtin_shufflevector(h, h, b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8,
                                   b + 9, b + 10, b + 11, b + 12, b + 13, b + 14, b + 15);
  }
  template <class Convert>
  [[gnu::always_inline]] static void convertAll(VecH h, VecQ *out, Convert c) {
    out[0] = c(quarter<0>(h)), out[1] = c(quarter<1>(h));
    out[2] = c(quarter<2>(h)), out[3] = c(quarter<3>(h));
  }
  struct A {
    VecQ k[4];
    template <int K> [[gnu::always_inline]] VecF spread() const {
      return __builtin_shufflevector(k[K / 2], k[K / 2], SPREAD_K(K % 2 * 8));
    }
  };
  [[gnu::always_inline]] static VecH turnA(VecU v) {
    VecH h = reinterpret_cast<VecH>(v);
    return __builtin_shufflevector(h, h, ALL_K(ROW8));
  }
  [[gnu::always_inline]] static VecH turnB(VecU v) {
    VecH h = reinterpret_cast<VecH>(v);
    return __builtin_shufflevector(h, h, ALL_K(ROW8_EVEN_ODD));
  }
};
template <> struct Wide<F16Elem> : Wide16 {
  [[gnu::always_inline]] static VecQ convert(Quarter q) {
    typedef _Float16 Halves __attribute__((vector_size(32)));
    return __builtin_convertvector(reinterpret_cast<Halves>(q), VecQ);
  }
};
template <> struct Wide<Bf16Elem> : Wide16 {
  [[gnu::always_inline]] static VecQ convert(Quarter q) {
    typedef uint32_t Words __attribute__((vector_size(64)));
    return reinterpret_cast<VecQ>(__builtin_convertvector(q, Words) << 16);
  }
};
template <> struct Wide<Tf32Elem> {
  static constexpr int ks = 4;
};

template <class E> [[gnu::always_inline]] inline typename Wide<E>::A wideA(VecU v) {
  typename Wide<E>::A a;
  Wide<E>::convertAll(Wide<E>::turnA(v), a.k, Wide<E>::convert);
  return a;
}
/// Floats [k][p][t] of the column n = 2t + p.
template <class E> [[gnu::always_inline]] inline void wideB(VecU v, float *out) {
  VecQ q[4];
  Wide<E>::convertAll(Wide<E>::turnB(v), q, Wide<E>::convert);
  __builtin_memcpy(out, q, sizeof q);
}

struct Tf32A {
  VecF f;
  template <int K> [[gnu::always_inline]] VecF spread() const { return spreadA<K>(f); }
};
template <> [[gnu::always_inline]] inline void wideB<Tf32Elem>(VecU v, float *out) {
  VecF f = Tf32Elem::get<0>(v);
#define ROW4(T) T, T + 8, T + 16, T + 24, T + 4, T + 12, T + 20, T + 28
  VecF turned = __builtin_shufflevector(f, f, ROW4(0), ROW4(1), ROW4(2), ROW4(3));
  __builtin_memcpy(out, &turned, sizeof turned);
}

/// The k of one register pair of A, for `Count` products with that A; `b` and `acc` step by
/// product.
template <int Count, int K, int End, class A>
[[gnu::always_inline]] inline void wideSteps(const A &a0, const A &a1, const float *const *b,
                                             VecF (*acc)[4]) {
  if constexpr (K < End) {
    VecF lo = a0.template spread<K>(), hi = a1.template spread<K>();
    for (int i = 0; i < Count; ++i) {
      VecF even = broadcastRow(b[i] + 8 * K), odd = broadcastRow(b[i] + 8 * K + 4);
      acc[i][0] = multiplyAdd(lo, even, acc[i][0]);
      acc[i][1] = multiplyAdd(lo, odd, acc[i][1]);
      acc[i][2] = multiplyAdd(hi, even, acc[i][2]);
      acc[i][3] = multiplyAdd(hi, odd, acc[i][3]);
    }
    wideSteps<Count, K + 1, End>(a0, a1, b, acc);
  }
}
/// `b[i]` lists the B registers of product i.
template <class E, int Halves, int Count>
[[gnu::always_inline]] inline void multiplyWide(Warp &w, const uint32_t *a,
                                                const uint32_t *const *b, VecF (*acc)[4]) {
  constexpr int ks = Wide<E>::ks;
  alignas(64) float rows[Halves][Count][8 * ks];
  for (int r = 0; r < Halves; ++r)
    for (int i = 0; i < Count; ++i)
      wideB<E>(load(w, b[i][r]), rows[r][i]);
  for (int r = 0; r < Halves; ++r) {
    VecU a0 = load(w, a[2 * r]), a1 = load(w, a[2 * r + 1]);
    const float *row[Count];
    for (int i = 0; i < Count; ++i)
      row[i] = rows[r][i];
    if constexpr (__is_same(E, Tf32Elem))
      wideSteps<Count, 0, ks>(Tf32A{E::template get<0>(a0)}, Tf32A{E::template get<0>(a1)}, row,
                              acc);
    else
      wideSteps<Count, 0, ks>(wideA<E>(a0), wideA<E>(a1), row, acc);
  }
}
template <class EA, class EB>
constexpr bool isWide = __is_same(EA, EB) && (__is_same(EA, F16Elem) || __is_same(EA, Bf16Elem) ||
                                              __is_same(EA, Tf32Elem));
#else
template <class EA, class EB> constexpr bool isWide = false;
#endif

template <class EA, class EB, int Halves>
[[gnu::always_inline]] inline void multiplyFloats(Warp &w, const uint32_t *a, const uint32_t *b,
                                                  VecF *acc) {
#ifdef __AVX512BW__
  if constexpr (isWide<EA, EB>)
    return multiplyWide<EA, Halves, 1>(w, a, &b, reinterpret_cast<VecF(*)[4]>(acc));
#endif
  multiply<EA, EB, Halves>(w, a, b, acc);
}

[[gnu::always_inline]] inline VecF canonicalNan(VecF x) {
  VecU nan = reinterpret_cast<VecU>(x != x);
  return reinterpret_cast<VecF>((nan & 0x7fffffffu) | (~nan & reinterpret_cast<VecU>(x)));
}

const Rec *notConverged(Warp &w, const Rec *r) {
  return fault(w, r, -1, "divergent-collective",
               "mma.sync needs all 32 lanes of the warp, but only lanes 0x%08x execute it", w.exec);
}

/// ext: d[4], a[2*Halves], b[Halves], c[4].
template <class EA, class EB, int Halves> const Rec *mmaF32(Warp &w, const Rec *r) {
  if (w.exec != allLanes)
    return notConverged(w, r);
  const uint32_t *d = r->ext, *a = d + 4, *b = a + 2 * Halves, *c = b + Halves;
  VecF acc[4];
  for (int i = 0; i < 4; ++i)
    acc[i] = column<VecF>(w, c[i]);
  multiplyFloats<EA, EB, Halves>(w, a, b, acc);
  for (int i = 0; i < 4; ++i)
    setColumn(w, d[i], canonicalNan(acc[i]));
  return r + 1;
}

#ifdef __AVX512BW__
/// Two neighbours with the same A, which is then converted and spread once; see Fuse.cpp.
template <class E, int Halves> const Rec *mmaF32Pair(Warp &w, const Rec *r) {
  if (w.exec != allLanes)
    return notConverged(w, r);
  constexpr int toB = 4 + 2 * Halves, toC = toB + Halves;
  const uint32_t *first = r->ext, *second = r[1].ext;
  const uint32_t *b[2] = {first + toB, second + toB};
  VecF acc[2][4];
  for (int i = 0; i < 4; ++i) {
    acc[0][i] = column<VecF>(w, first[toC + i]);
    acc[1][i] = column<VecF>(w, second[toC + i]);
  }
  multiplyWide<E, Halves, 2>(w, first + 4, b, acc);
  for (int i = 0; i < 4; ++i)
    setColumn(w, first[i], canonicalNan(acc[0][i]));
  for (int i = 0; i < 4; ++i)
    setColumn(w, second[i], canonicalNan(acc[1][i]));
  return r + 2;
}
#endif

/// f16 accumulators: two registers, each holding the columns 2t (low half) and 2t+1 of a row.
template <class EA, class EB, int Halves> const Rec *mmaF16(Warp &w, const Rec *r) {
  if (w.exec != allLanes)
    return notConverged(w, r);
  const uint32_t *d = r->ext, *a = d + 2, *b = a + 2 * Halves, *c = b + Halves;
  VecF acc[4];
  for (int h = 0; h < 2; ++h) {
    acc[2 * h] = F16Elem::get<0>(load(w, c[h]));
    acc[2 * h + 1] = F16Elem::get<1>(load(w, c[h]));
  }
  multiplyFloats<EA, EB, Halves>(w, a, b, acc);
  for (int h = 0; h < 2; ++h) {
    uint32_t *out = place<uint32_t>(w, d[h]);
    for (int l = 0; l < 32; ++l)
      out[l] = static_cast<uint32_t>(halfFromFloat(acc[2 * h + 1][l]).bits) << 16 |
               halfFromFloat(acc[2 * h][l]).bits;
  }
  return r + 1;
}

template <class EA, class EB, int Halves, bool Sat> const Rec *mmaS32(Warp &w, const Rec *r) {
  if (w.exec != allLanes)
    return notConverged(w, r);
  const uint32_t *d = r->ext, *a = d + 4, *b = a + 2 * Halves, *c = b + Halves;
  VecI acc[4] = {};
  multiply<EA, EB, Halves>(w, a, b, acc);
  for (int i = 0; i < 4; ++i) {
    VecI before = column<VecI>(w, c[i]);
    VecI sum =
        reinterpret_cast<VecI>(reinterpret_cast<VecU>(before) + reinterpret_cast<VecU>(acc[i]));
    if constexpr (Sat) {
      VecI overflow = ((before ^ sum) & (acc[i] ^ sum)) < 0;
      VecI limit = (before >> 31) ^ 0x7fffffff;
      sum = (overflow & limit) | (~overflow & sum);
    }
    setColumn(w, d[i], sum);
  }
  return r + 1;
}

template <int Width, int Halves> Handler pickInteger(bool sa, bool sb, bool sat) {
  using S = IntElem<Width, true>;
  using U = IntElem<Width, false>;
  if (sa)
    return sb ? (sat ? mmaS32<S, S, Halves, true> : mmaS32<S, S, Halves, false>)
              : (sat ? mmaS32<S, U, Halves, true> : mmaS32<S, U, Halves, false>);
  return sb ? (sat ? mmaS32<U, S, Halves, true> : mmaS32<U, S, Halves, false>)
            : (sat ? mmaS32<U, U, Halves, true> : mmaS32<U, U, Halves, false>);
}
template <int Halves> Handler pickFp8(bool a43, bool b43, bool half) {
  using E43 = Fp8Elem<3>;
  using E52 = Fp8Elem<2>;
#define FORM(A, B) (half ? Handler(mmaF16<A, B, Halves>) : Handler(mmaF32<A, B, Halves>))
  return a43 ? (b43 ? FORM(E43, E43) : FORM(E43, E52)) : (b43 ? FORM(E52, E43) : FORM(E52, E52));
#undef FORM
}

} // namespace

Handler selectMma(uint32_t shape, Type a, Type b, Type c, Type d, bool satfinite) {
  constexpr uint32_t m16n8 = 16 << 16 | 8 << 8;
  uint32_t k = shape & 0xff;
  if ((shape & ~0xffu) != m16n8 || c != d)
    return nullptr;
  bool f32 = d == Type::F32, f16 = d == Type::F16;
  if (a == b && !satfinite) {
    if (a == Type::F16 && (f32 || f16) && (k == 8 || k == 16)) {
      if (f16)
        return k == 16 ? mmaF16<F16Elem, F16Elem, 2> : mmaF16<F16Elem, F16Elem, 1>;
      return k == 16 ? mmaF32<F16Elem, F16Elem, 2> : mmaF32<F16Elem, F16Elem, 1>;
    }
    if (a == Type::BF16 && f32 && (k == 8 || k == 16))
      return k == 16 ? mmaF32<Bf16Elem, Bf16Elem, 2> : mmaF32<Bf16Elem, Bf16Elem, 1>;
    if (a == Type::TF32 && f32 && (k == 4 || k == 8))
      return k == 8 ? mmaF32<Tf32Elem, Tf32Elem, 2> : mmaF32<Tf32Elem, Tf32Elem, 1>;
  }
  auto is8 = [](Type t) { return t == Type::S8 || t == Type::U8; };
  auto is4 = [](Type t) { return t == Type::S4 || t == Type::U4; };
  auto isFp8 = [](Type t) { return t == Type::E4M3 || t == Type::E5M2; };
  if (d == Type::S32 && is8(a) && is8(b) && (k == 16 || k == 32))
    return k == 32 ? pickInteger<8, 2>(a == Type::S8, b == Type::S8, satfinite)
                   : pickInteger<8, 1>(a == Type::S8, b == Type::S8, satfinite);
  if (d == Type::S32 && is4(a) && is4(b) && (k == 32 || k == 64))
    return k == 64 ? pickInteger<4, 2>(a == Type::S4, b == Type::S4, satfinite)
                   : pickInteger<4, 1>(a == Type::S4, b == Type::S4, satfinite);
  if ((f32 || f16) && isFp8(a) && isFp8(b) && (k == 16 || k == 32) && !satfinite)
    return k == 32 ? pickFp8<2>(a == Type::E4M3, b == Type::E4M3, f16)
                   : pickFp8<1>(a == Type::E4M3, b == Type::E4M3, f16);
  return nullptr;
}

Handler selectMmaPair(Handler h) {
#ifdef __AVX512BW__
#define PAIR(E, HALVES)                                                                            \
  if (h == mmaF32<E, E, HALVES>)                                                                   \
    return mmaF32Pair<E, HALVES>;
  PAIR(F16Elem, 1)
  PAIR(F16Elem, 2)
  PAIR(Bf16Elem, 1)
  PAIR(Bf16Elem, 2)
  PAIR(Tf32Elem, 1)
  PAIR(Tf32Elem, 2)
#undef PAIR
#endif
      (void) h;
  return nullptr;
}

void multiplyWgmma(float *acc, const float *a, const float *b, unsigned k, unsigned n) {
  // A spread to lanes: row g + 8h for all four t.
  alignas(128) float rows[2][32][32];
  for (unsigned h = 0; h < 2; ++h)
    for (unsigned kk = 0; kk < k; ++kk)
      for (unsigned l = 0; l < 32; ++l)
        rows[h][kk][l] = a[(l / 4 + 8 * h) * k + kk];
  typedef float Vec4 __attribute__((vector_size(16)));
  for (unsigned j = 0; j < n; j += 8) {
    VecF c[4];
    __builtin_memcpy(c, acc + j * 16, sizeof c);
    for (unsigned kk = 0; kk < k; ++kk) {
      VecF lo, hi;
      __builtin_memcpy(&lo, rows[0][kk], sizeof lo);
      __builtin_memcpy(&hi, rows[1][kk], sizeof hi);
      for (unsigned p = 0; p < 2; ++p) {
        Vec4 four;
        __builtin_memcpy(&four, b + kk * n + j + 4 * p, sizeof four);
        VecF column = __builtin_shufflevector(four, four, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1,
                                              2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
        c[p] = multiplyAdd(lo, column, c[p]);
        c[2 + p] = multiplyAdd(hi, column, c[2 + p]);
      }
    }
    __builtin_memcpy(acc + j * 16, c, sizeof c);
  }
}

// What this instruction set offers; Dispatch.cpp chooses among the tables.
Handler selectInteger(const AluKey &);
Handler selectFloating(const AluKey &);
Handler selectHalf(const AluKey &);
Handler selectConvert(const AluKey &);
Handler selectCompare(const AluKey &);

#define STRINGIZE2(X) #X
#define STRINGIZE(X) STRINGIZE2(X)
extern const HandlerTable table;
const HandlerTable table = {STRINGIZE(ATTNC_EMU_ISA), selectInteger, selectFloating, selectHalf,
                                      selectConvert, selectCompare, multiplyWgmma, selectMma,
                                      selectMmaPair};

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu

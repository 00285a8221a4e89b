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
#include "Fragments.h"

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

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

#ifdef __AVX512BW__
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

// What this instruction set offers; Dispatch.cpp chooses among the tables.
Handler selectInteger(const AluKey &);
Handler selectFloating(const AluKey &);
Handler selectHalf(const AluKey &);
Handler selectConvert(const AluKey &);
Handler selectCompare(const AluKey &);
void multiplyWgmma(float *acc, const float *a, const float *b, unsigned k, unsigned n);
void decodeOperand(const char *base, const uint32_t *offsets, Type t, const float *byteTable,
                   bool mnMajor, bool evenOdd, unsigned count, unsigned k, float *out);

#define STRINGIZE2(X) #X
#define STRINGIZE(X) STRINGIZE2(X)
extern const HandlerTable table;
const HandlerTable table = {STRINGIZE(ATTNC_EMU_ISA), selectInteger, selectFloating, selectHalf,
                                      selectConvert, selectCompare, multiplyWgmma, decodeOperand,
                                      selectMma, selectMmaPair};

} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu

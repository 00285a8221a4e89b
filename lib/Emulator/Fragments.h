// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Vectors of a warp and the element types of tensor instructions, for MmaOps.cpp and WgmmaMath.cpp.
// Included, like Simt.h, by files that are compiled once per instruction set.
#pragma once

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
#endif

} // namespace
} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu

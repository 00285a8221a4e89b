// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a handler walks over 32 lanes. The loops here are plain scalar code that the compiler turns
// into vector code; the files that include this header are compiled once per instruction set
// (CMakeLists.txt) inside the namespace ATTNC_EMU_ISA, and Dispatch.cpp picks one at run time.
//
// What a reader would get wrong: nothing here may be an inline function of *external* linkage
// shared by those files. The linker would keep one copy, perhaps the AVX-512 one, for all of them,
// and an older CPU would die in it. Hence the namespace, and no standard library templates.
#pragma once

#include "Alu.h"
#include "Machine.h"

#ifndef ATTNC_EMU_ISA
#define ATTNC_EMU_ISA isa_base
#endif

#define LANES_VECTORIZE _Pragma("clang loop vectorize(assume_safety) interleave(enable)")

namespace attnc::emu {
namespace ATTNC_EMU_ISA {
namespace {

/// Raw bits of a half-precision value; a type of its own so that templates can tell it from u16.
struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

template <class To, class From> [[gnu::always_inline]] inline To bitcast(From f) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, f);
}

/// A type of at most four bytes sits zero-extended in a u32 lane, an eight-byte type in a u64 lane.
template <unsigned Bytes> struct LaneWord {
  using type = uint32_t;
};
template <> struct LaneWord<8> {
  using type = uint64_t;
};
template <class T> using Word = typename LaneWord<sizeof(T)>::type;

template <class T> [[gnu::always_inline]] inline T fromWord(Word<T> w) {
  if constexpr (sizeof(T) == 1)
    return bitcast<T>(static_cast<uint8_t>(w));
  else if constexpr (sizeof(T) == 2)
    return bitcast<T>(static_cast<uint16_t>(w));
  else
    return bitcast<T>(w);
}
template <class T> [[gnu::always_inline]] inline Word<T> toWord(T v) {
  if constexpr (sizeof(T) == 1)
    return bitcast<uint8_t>(v);
  else if constexpr (sizeof(T) == 2)
    return bitcast<uint16_t>(v);
  else
    return bitcast<Word<T>>(v);
}

/// A column seen as values of type T.
template <class T> struct Column {
  Word<T> *words;
  [[gnu::always_inline]] Column(Warp &w, uint32_t operand) : words(place<Word<T>>(w, operand)) {}
  [[gnu::always_inline]] T operator[](int lane) const { return fromWord<T>(words[lane]); }
  [[gnu::always_inline]] void set(int lane, T v) const { words[lane] = toWord<T>(v); }
};

/// Calls `f(lane)` for every lane in `mask`. The full mask, by far the most common, vectorises.
template <class F> [[gnu::always_inline]] inline void forLanes(uint32_t mask, F f) {
  if (mask == allLanes) {
    LANES_VECTORIZE
    for (int lane = 0; lane < 32; ++lane)
      f(lane);
    return;
  }
  for (; mask; mask &= mask - 1)
    f(__builtin_ctz(mask));
}

/// The lanes of `mask` for which `f(lane)` is true.
template <class F> [[gnu::always_inline]] inline uint32_t lanesWhere(uint32_t mask, F f) {
  uint32_t result = 0;
  LANES_VECTORIZE
  for (int lane = 0; lane < 32; ++lane)
    result |= static_cast<uint32_t>(f(lane) ? 1u : 0u) << lane;
  return result & mask;
}

/// Writes the lanes of `mask` of a predicate.
[[gnu::always_inline]] inline void setPredicate(Warp &w, uint32_t operand, uint32_t value) {
  uint32_t *p = place<uint32_t>(w, operand);
  *p = (*p & ~w.exec) | (value & w.exec);
}

template <bool Ftz> [[gnu::always_inline]] inline float flush(float x) {
  if constexpr (Ftz) {
    uint32_t b = bitcast<uint32_t>(x);
    return (b & 0x7f800000u) ? x : bitcast<float>(b & 0x80000000u);
  }
  return x;
}

/// Single-precision instructions produce one NaN, 0x7fffffff, whatever came in.
[[gnu::always_inline]] inline float canonical(float x) {
  return x == x ? x : bitcast<float>(0x7fffffffu);
}
[[gnu::always_inline]] inline double canonical(double x) { return x; }

/// Exact: half is a subset of single precision.
[[gnu::always_inline]] inline float toFloat(Half h) {
  uint32_t magnitude = static_cast<uint32_t>(h.bits & 0x7fffu) << 13;
  uint32_t scaled = bitcast<uint32_t>(bitcast<float>(magnitude) * 0x1p112f);
  uint32_t special = magnitude | 0x7f800000u; // infinity and NaN keep their fraction
  uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16;
  return bitcast<float>(((h.bits & 0x7fffu) >= 0x7c00u ? special : scaled) | sign);
}
[[gnu::always_inline]] inline float toFloat(BFloat b) {
  return bitcast<float>(static_cast<uint32_t>(b.bits) << 16);
}
[[gnu::always_inline]] inline float toFloat(float f) { return f; }
[[gnu::always_inline]] inline double toFloat(double f) { return f; }

/// Round to nearest even, by integer arithmetic so that it vectorises on every machine.
[[gnu::always_inline]] inline Half halfFromFloat(float f) {
  uint32_t b = bitcast<uint32_t>(f);
  uint32_t sign = (b >> 16) & 0x8000u;
  uint32_t a = b & 0x7fffffffu;
  // Normal range: re-bias the exponent, round on bit 13.
  uint32_t normal = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1)) >> 13;
  // Below 2^-14: adding 0.5 leaves the rounded subnormal in the low bits.
  uint32_t subnormal = bitcast<uint32_t>(bitcast<float>(a) + 0.5f) - 0x3f000000u;
  uint32_t r = a < 0x38800000u ? subnormal : normal;
  r = a >= 0x477ff000u ? 0x7c00u : r; // 65520 and above round to infinity
  r = a > 0x7f800000u ? 0x7fffu : r;
  return Half{static_cast<uint16_t>(a > 0x7f800000u ? r : r | sign)};
}
[[gnu::always_inline]] inline BFloat bfloatFromFloat(float f) {
  uint32_t b = bitcast<uint32_t>(f);
  uint32_t r = (b + 0x7fffu + ((b >> 16) & 1)) >> 16;
  return BFloat{static_cast<uint16_t>((b & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : r)};
}
template <class T> [[gnu::always_inline]] inline T fromFloat(float f) {
  if constexpr (__is_same(T, Half))
    return halfFromFloat(f);
  else if constexpr (__is_same(T, BFloat))
    return bfloatFromFloat(f);
  else
    return static_cast<T>(f);
}

} // namespace
} // namespace ATTNC_EMU_ISA
} // namespace attnc::emu

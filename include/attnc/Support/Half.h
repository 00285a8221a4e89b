// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// f16 and bf16 as bit patterns: conversion to f32, which is exact, and from it, which rounds to
// nearest, ties to even, keeps infinities and keeps NaN a (quiet) NaN.
#ifndef ATTNC_SUPPORT_HALF_H
#define ATTNC_SUPPORT_HALF_H

#include <cstdint>
#include <cstring>

namespace attnc {

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// The f32 with the value of the bf16 `bits`.
inline float bf16ToFloat(uint16_t bits) { return floatOf(static_cast<uint32_t>(bits) << 16); }

/// `value` rounded to bf16.
inline uint16_t floatToBF16(float value) {
  uint32_t bits = bitsOf(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/// The f32 with the value of the f16 `bits`.
inline float f16ToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1Fu, mantissa = bits & 0x3FFu;
  if (exponent == 0x1Fu) // infinity, NaN
    return floatOf(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0)
    return floatOf(sign | ((exponent + 112) << 23) | (mantissa << 13));
  // Zero and subnormals: mantissa * 2^-24 is exact in f32.
  float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-8f;
  return sign ? -magnitude : magnitude;
}

/// `value` rounded to f16; magnitudes of 65520 and more become infinite.
inline uint16_t floatToF16(float value) {
  uint32_t bits = bitsOf(value);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u)
    return static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x1FFu));
  if (magnitude >= 0x477FF000u)
    return static_cast<uint16_t>(sign | 0x7C00u);
  if (magnitude >= 0x38800000u) // normal: rebias the exponent by 127 - 15, round away 13 bits
    return static_cast<uint16_t>(
        sign | ((magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13));
  // Subnormal. Adding 0.5 aligns the unit of f16 subnormals, 2^-24, with the last bit of the f32,
  // so that the addition rounds.
  uint32_t rounded = bitsOf(floatOf(magnitude) + 0.5f) - bitsOf(0.5f);
  return static_cast<uint16_t>(sign | rounded);
}

} // namespace attnc

#endif // ATTNC_SUPPORT_HALF_H

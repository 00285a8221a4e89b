// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Conversions of f16 and bf16 against the compiler's own, for every bit pattern and around every
// tie.
#include "attnc/Support/Half.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace attnc;

static uint16_t bitsOfHalf(_Float16 value) {
  uint16_t bits;
  std::memcpy(&bits, &value, 2);
  return bits;
}

TEST(Half, F16RoundTripsEveryPattern) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    _Float16 native;
    uint16_t pattern = static_cast<uint16_t>(bits);
    std::memcpy(&native, &pattern, 2);
    float value = f16ToFloat(pattern);
    if (std::isnan(static_cast<float>(native))) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(value))));
      continue;
    }
    EXPECT_EQ(bitsOf(value), bitsOf(static_cast<float>(native)));
    EXPECT_EQ(floatToF16(value), pattern);
  }
}

TEST(Half, F16RoundsToNearestEven) {
  // The middle between neighbours, and the floats next to it on both sides.
  for (uint32_t bits = 0; bits < 0x7C00; ++bits) {
    double low = f16ToFloat(static_cast<uint16_t>(bits));
    double high = bits == 0x7BFF ? 65536.0 : f16ToFloat(static_cast<uint16_t>(bits + 1));
    float middle = static_cast<float>((low + high) / 2);
    for (float value : {middle, std::nextafterf(middle, INFINITY), std::nextafterf(middle, 0.0f)})
      for (float sign : {1.0f, -1.0f})
        EXPECT_EQ(floatToF16(sign * value), bitsOfHalf(static_cast<_Float16>(sign * value)))
            << value;
  }
  EXPECT_EQ(floatToF16(INFINITY), 0x7C00);
  EXPECT_EQ(floatToF16(3e38f), 0x7C00);
  EXPECT_EQ(floatToF16(1e-30f), 0);
}

TEST(Half, BF16RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7F80; ++bits) {
    uint16_t pattern = static_cast<uint16_t>(bits);
    uint32_t middle = (bits << 16) | 0x8000u;
    EXPECT_EQ(floatToBF16(bf16ToFloat(pattern)), pattern);
    EXPECT_EQ(floatToBF16(floatOf(middle)), (bits & 1) ? bits + 1 : bits);
    EXPECT_EQ(floatToBF16(floatOf(middle + 1)), bits + 1);
    EXPECT_EQ(floatToBF16(floatOf(middle - 1)), bits);
  }
  EXPECT_EQ(floatToBF16(-INFINITY), 0xFF80);
  EXPECT_TRUE(
      std::isnan(bf16ToFloat(floatToBF16(floatOf(0x7F800001u))))); // a NaN whose payload is cut off
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of each dtype, at addresses of any alignment, and names of dtypes.
#include "attnc/Support/Element.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace attnc;

namespace {

/// What is left of `value` when it was stored as `dtype`, one element behind an odd address.
double roundTrip(DType dtype, double value) {
  char memory[32] = {};
  TensorView view{memory + 1, dtype, {2}, {1}};
  storeElement(view, 1, value);
  EXPECT_EQ(loadElement(view, 0), 0) << "the element before";
  return loadElement(view, 1);
}

TEST(Element, NamesAreThoseOfDTypes) {
  for (DType dtype : {DType::F32, DType::F16, DType::BF16, DType::I32, DType::Bool})
    EXPECT_EQ(parseDType(dtypeName(dtype)), dtype);
  EXPECT_EQ(parseDType("bf16"), DType::BF16);
  EXPECT_EQ(parseDType("f64"), std::nullopt);
  EXPECT_EQ(parseDType(""), std::nullopt);
}

TEST(Element, KeepsWhatADTypeHas) {
  for (DType dtype : {DType::F32, DType::F16, DType::BF16, DType::I32})
    for (double value : {0.0, 1.0, -2.0, 96.0})
      EXPECT_EQ(roundTrip(dtype, value), value) << dtypeName(dtype);
  EXPECT_EQ(roundTrip(DType::I32, -2147483648.0), -2147483648.0);
  EXPECT_EQ(roundTrip(DType::F32, 16777217.0), 16777216.0);
  EXPECT_TRUE(std::isnan(roundTrip(DType::F16, NAN)));
  EXPECT_EQ(roundTrip(DType::BF16, -INFINITY), -INFINITY);
}

TEST(Element, RoundsToNearestEven) {
  EXPECT_EQ(roundTrip(DType::F16, 1 + 0x1p-11), 1);                    // halfway, to even
  EXPECT_EQ(roundTrip(DType::F16, 1 + 3 * 0x1p-11), 1 + 0x1p-9);       // halfway, to even
  EXPECT_EQ(roundTrip(DType::BF16, 1 + 0x1p-8), 1);                    // halfway, to even
  EXPECT_EQ(roundTrip(DType::BF16, 1 + 0x1p-8 + 0x1p-12), 1 + 0x1p-7); // nearer
  EXPECT_EQ(roundTrip(DType::F16, 65520), INFINITY);
  EXPECT_EQ(roundTrip(DType::I32, -1.75), -1); // towards 0
}

TEST(Element, AnythingButZeroIsTrue) {
  EXPECT_EQ(roundTrip(DType::Bool, 0), 0);
  EXPECT_EQ(roundTrip(DType::Bool, 0.25), 1);
  EXPECT_EQ(roundTrip(DType::Bool, -3), 1);
}

} // namespace

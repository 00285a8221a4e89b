// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formulas with parameters, reals and conditions; which are well formed, and what has no value.
#include "attnc/Support/SizeFormula.h"
#include "gtest/gtest.h"
#include <cmath>
#include <random>

using namespace attnc;
using Op = SizeStep::Op;

namespace {

/// `n` is space 0, `count` and `ratio` are the parameters.
const SizeStep n{Op::Size, 0}, count{Op::Param, 0}, ratio{Op::Param, 1};
const std::vector<NumberKind> kinds{NumberKind::Whole, NumberKind::Real};

SizeStep number(int64_t value) { return {Op::Number, value}; }
SizeStep real(double value) { return {Op::Real, 0, value}; }

std::optional<SizeValue> valueOf(const SizeFormula &formula) {
  EXPECT_TRUE(kindOf(formula, 1, kinds));
  return evaluateAny(formula, {100}, {SizeValue::ofWhole(7), SizeValue::ofReal(0.3)});
}
double realOf(const SizeFormula &formula) {
  std::optional<SizeValue> value = valueOf(formula);
  EXPECT_TRUE(value && value->kind == NumberKind::Real);
  return value ? value->real : NAN;
}
int64_t wholeOf(const SizeFormula &formula) {
  std::optional<SizeValue> value = valueOf(formula);
  EXPECT_TRUE(value && value->kind == NumberKind::Whole);
  return value ? value->whole : -1;
}
bool holds(const SizeFormula &formula) {
  std::optional<SizeValue> value = valueOf(formula);
  EXPECT_TRUE(value && value->kind == NumberKind::Condition);
  return value && value->whole;
}

TEST(SizeFormula, Reals) {
  EXPECT_EQ(realOf({ratio, real(2), {Op::Mul}}), 0.6);
  EXPECT_EQ(realOf({ratio, real(2), {Op::Sub}}), 0.3 - 2);
  EXPECT_EQ(realOf({ratio, real(2), {Op::Div}}), 0.15);
  EXPECT_EQ(realOf({n, {Op::ToReal}, ratio, {Op::Add}}), 100.3);
  EXPECT_EQ(realOf({real(-1.5), {Op::Floor}}), -2);
  EXPECT_EQ(realOf({real(-1.5), {Op::Ceil}}), -1);
  EXPECT_EQ(realOf({real(3), real(2), {Op::Min}}), 2);
  EXPECT_EQ(realOf({real(3), real(2), {Op::Max}}), 3);
  EXPECT_TRUE(std::isnan(realOf({real(NAN), real(2), {Op::Min}})));
  EXPECT_TRUE(std::isnan(realOf({real(2), real(NAN), {Op::Max}})));
  EXPECT_EQ(realOf({real(NAN), real(2), {Op::MinNumber}}), 2);
  EXPECT_EQ(realOf({real(2), real(NAN), {Op::MaxNumber}}), 2);
  EXPECT_EQ(realOf({ratio, {Op::ToF32}}), static_cast<double>(0.3f));
  EXPECT_EQ(wholeOf({real(-1.9), {Op::ToWhole}}), -1);
  // 10 * 0.3f is above 3 in float64, and 3 in f32.
  EXPECT_EQ(wholeOf({real(0.3f), real(10), {Op::Mul}, {Op::Ceil}, {Op::ToWhole}}), 4);
  EXPECT_EQ(wholeOf({real(0.3f), real(10), {Op::Mul}, {Op::ToF32}, {Op::Ceil}, {Op::ToWhole}}), 3);
}

TEST(SizeFormula, Conditions) {
  EXPECT_TRUE(holds({count, n, {Op::Less}}));
  EXPECT_FALSE(holds({count, count, {Op::Less}}));
  EXPECT_TRUE(holds({count, count, {Op::LessEqual}}));
  EXPECT_TRUE(holds({ratio, real(0.3), {Op::Equal}}));
  EXPECT_FALSE(holds({real(NAN), real(NAN), {Op::Equal}}));
  SizeFormula yes{number(1), number(1), {Op::Equal}}, no{number(1), number(2), {Op::Equal}};
  for (const SizeFormula &a : {yes, no})
    for (const SizeFormula &b : {yes, no}) {
      SizeFormula both = a;
      both.insert(both.end(), b.begin(), b.end());
      auto with = [&](Op op) {
        SizeFormula formula = both;
        formula.push_back({op});
        return holds(formula);
      };
      EXPECT_EQ(with(Op::And), holds(a) && holds(b));
      EXPECT_EQ(with(Op::Or), holds(a) || holds(b));
      EXPECT_EQ(with(Op::Xor), holds(a) != holds(b));
    }
  EXPECT_EQ(wholeOf({count, n, {Op::Less}, number(3), number(4), {Op::Select}}), 3);
  EXPECT_EQ(wholeOf({n, count, {Op::Less}, number(3), number(4), {Op::Select}}), 4);
}

TEST(SizeFormula, Bits) {
  for (int64_t a : {0, 1, -1, 5, 12, -16, INT32_MAX, INT32_MIN}) {
    for (int64_t b : {0, 1, -1, 6, 255, -256}) {
      EXPECT_EQ(wholeOf({number(a), number(b), {Op::BitAnd}}), (a & b));
      EXPECT_EQ(wholeOf({number(a), number(b), {Op::BitOr}}), (a | b));
      EXPECT_EQ(wholeOf({number(a), number(b), {Op::BitXor}}), (a ^ b));
    }
    for (int64_t count : {0, 1, 7, 31}) {
      EXPECT_EQ(wholeOf({number(a), number(count), {Op::ShiftLeft}}), a * (int64_t(1) << count));
      EXPECT_EQ(wholeOf({number(a), number(count), {Op::ShiftRight}}),
                std::floor(double(a) / double(int64_t(1) << count)));
    }
    for (int64_t count : {-1, 32, 64}) {
      EXPECT_FALSE(valueOf({number(a), number(count), {Op::ShiftLeft}}));
      EXPECT_FALSE(valueOf({number(a), number(count), {Op::ShiftRight}}));
    }
  }
  EXPECT_FALSE(valueOf({number(INT64_MAX), number(1), {Op::ShiftLeft}}));
  EXPECT_FALSE(valueOf({number(INT64_MIN), number(31), {Op::ShiftLeft}}));
}

TEST(SizeFormula, NoWholeNumber) {
  EXPECT_FALSE(valueOf({real(NAN), {Op::ToWhole}}));
  EXPECT_FALSE(valueOf({real(INFINITY), {Op::ToWhole}}));
  EXPECT_FALSE(valueOf({real(0x1p63), {Op::ToWhole}}));
  EXPECT_EQ(wholeOf({real(-0x1.fffffffffffffp62), {Op::ToWhole}}), -9223372036854774784);
  EXPECT_FALSE(valueOf({number(INT64_MIN), number(-1), {Op::FloorDiv}}));
  // A real is none, as a size.
  EXPECT_FALSE(evaluate({real(2)}, {}));
}

TEST(SizeFormula, WellFormedOnes) {
  auto isGood = [](const SizeFormula &formula) { return kindOf(formula, 1, kinds).has_value(); };
  EXPECT_TRUE(isGood({n}));
  for (const SizeFormula &bad : std::vector<SizeFormula>{
           {},
           {n, n},
           {n, {Op::Add}},
           {{Op::Size, 1}},
           {{Op::Size, -1}},
           {{Op::Param, 2}},
           {n, ratio, {Op::Add}},
           {ratio, ratio, {Op::FloorDiv}},
           {n, n, {Op::Div}},
           {n, {Op::Floor}},
           {ratio, {Op::ToReal}},
           {n, {Op::ToWhole}},
           {n, n, {Op::And}},
           {ratio, ratio, {Op::BitAnd}},
           {n, ratio, {Op::ShiftLeft}},
           {n, n, {Op::Less}, n, n, {Op::Less}, {Op::BitOr}},
           {n, {Op::ShiftRight}},
           {n, n, {Op::Less}, n, n, {Op::Less}, {Op::Add}},
           {n, n, {Op::Less}, n, n, {Op::Less}, {Op::Less}},
           {n, n, n, {Op::Select}},
           {n, n, {Op::Less}, n, ratio, {Op::Select}},
           SizeFormula(maxFormulaSteps + 1, n),
           {n, n, {static_cast<Op>(200)}},
       })
    EXPECT_FALSE(isGood(bad));
}

/// Whatever passes the check can be evaluated.
TEST(SizeFormula, RandomStepsAreSafe) {
  std::mt19937 random(1);
  int good = 0;
  for (int i = 0; i < 200000; ++i) {
    SizeFormula formula;
    for (size_t j = 0, length = 1 + random() % 9; j < length; ++j)
      formula.push_back({static_cast<Op>(random() % 27),
                         static_cast<int64_t>(random() % 4) + (random() % 8 ? -1 : INT64_MIN),
                         static_cast<double>(random() % 5) - 2});
    if (std::optional<NumberKind> kind = kindOf(formula, 1, kinds)) {
      ++good;
      if (std::optional<SizeValue> value = valueOf(formula))
        EXPECT_TRUE(value->kind == *kind);
    }
  }
  EXPECT_GT(good, 2000);
}

} // namespace

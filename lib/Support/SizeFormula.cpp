// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks and evaluates formulas over sizes and parameters. A formula may come from a file: `kindOf`
// is what `evaluateAny` relies on.
#include "attnc/Support/SizeFormula.h"
#include <algorithm>
#include <cmath>

using namespace attnc;
using Op = SizeStep::Op;

//===----------------------------------------------------------------------===//
// Kinds
//===----------------------------------------------------------------------===//

static bool isOperand(Op op) { return op <= Op::Param; }

static int operandsOf(Op op) {
  if (isOperand(op))
    return 0;
  return op == Op::Select ? 3 : op >= Op::Floor ? 1 : 2;
}

/// The kind of a step that is an operand; nothing if its index is of nothing.
static std::optional<NumberKind> operandKind(const SizeStep &step, size_t numSpaces,
                                             const std::vector<NumberKind> &params) {
  auto isIndex = [&](size_t count) {
    return step.value >= 0 && static_cast<uint64_t>(step.value) < count;
  };
  switch (step.op) {
  case Op::Real:
    return NumberKind::Real;
  case Op::Size:
    return isIndex(numSpaces) ? std::optional(NumberKind::Whole) : std::nullopt;
  case Op::Param:
    return isIndex(params.size()) ? std::optional(params[step.value]) : std::nullopt;
  default:
    return NumberKind::Whole;
  }
}

/// The kind of what `op` makes of operands of the kinds `of`; nothing if it does not take them.
static std::optional<NumberKind> resultKind(Op op, const NumberKind *of) {
  auto takes = [&](NumberKind kind, NumberKind result) {
    bool all = std::all_of(of, of + operandsOf(op), [&](NumberKind k) { return k == kind; });
    return all ? std::optional(result) : std::nullopt;
  };
  bool isNumbers = of[0] != NumberKind::Condition;
  switch (op) {
  case Op::Add:
  case Op::Sub:
  case Op::Mul:
  case Op::Min:
  case Op::Max:
    return isNumbers ? takes(of[0], of[0]) : std::nullopt;
  case Op::Equal:
  case Op::Less:
  case Op::LessEqual:
    return isNumbers ? takes(of[0], NumberKind::Condition) : std::nullopt;
  case Op::FloorDiv:
  case Op::CeilDiv:
  case Op::BitAnd:
  case Op::BitOr:
  case Op::BitXor:
  case Op::ShiftLeft:
  case Op::ShiftRight:
    return takes(NumberKind::Whole, NumberKind::Whole);
  case Op::Div:
  case Op::MinNumber:
  case Op::MaxNumber:
  case Op::Floor:
  case Op::Ceil:
  case Op::ToF32:
    return takes(NumberKind::Real, NumberKind::Real);
  case Op::And:
  case Op::Or:
  case Op::Xor:
    return takes(NumberKind::Condition, NumberKind::Condition);
  case Op::Select:
    return of[0] == NumberKind::Condition && of[1] == of[2] ? std::optional(of[1]) : std::nullopt;
  case Op::ToReal:
    return takes(NumberKind::Whole, NumberKind::Real);
  case Op::ToWhole:
    return takes(NumberKind::Real, NumberKind::Whole);
  default:
    return std::nullopt; // operands
  }
}

std::optional<NumberKind> attnc::kindOf(const SizeFormula &formula, size_t numSpaces,
                                        const std::vector<NumberKind> &params) {
  if (formula.size() > maxFormulaSteps)
    return std::nullopt;
  std::vector<NumberKind> stack;
  for (const SizeStep &step : formula) {
    size_t taken = static_cast<size_t>(operandsOf(step.op));
    if (step.op > Op::ToF32 || stack.size() < taken)
      return std::nullopt;
    std::optional<NumberKind> kind = isOperand(step.op)
                                         ? operandKind(step, numSpaces, params)
                                         : resultKind(step.op, stack.data() + stack.size() - taken);
    if (!kind)
      return std::nullopt;
    stack.resize(stack.size() - taken);
    stack.push_back(*kind);
  }
  return stack.size() == 1 ? std::optional(stack.front()) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

/// Quotient of a by b rounded down, or up.
static std::optional<SizeValue> divide(int64_t a, int64_t b, bool up) {
  if (b == 0 || (a == INT64_MIN && b == -1))
    return std::nullopt;
  int64_t quotient = a / b, rest = a % b;
  bool isBelow = rest != 0 && (rest < 0) != (b < 0); // the quotient was cut towards 0, from below
  return SizeValue::ofWhole(quotient + (up ? rest != 0 && !isBelow : -isBelow));
}

/// a times 2^count, or divided by it and rounded down, for a count from 0 to 31.
static std::optional<SizeValue> shift(int64_t a, int64_t count, bool left) {
  int64_t r = 0;
  if (count < 0 || count > 31 || (left && __builtin_mul_overflow(a, int64_t(1) << count, &r)))
    return std::nullopt;
  return SizeValue::ofWhole(left ? r : a >> count);
}

static std::optional<SizeValue> applyWhole(Op op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
  case Op::Add:
    return __builtin_add_overflow(a, b, &r) ? std::nullopt : std::optional(SizeValue::ofWhole(r));
  case Op::Sub:
    return __builtin_sub_overflow(a, b, &r) ? std::nullopt : std::optional(SizeValue::ofWhole(r));
  case Op::Mul:
    return __builtin_mul_overflow(a, b, &r) ? std::nullopt : std::optional(SizeValue::ofWhole(r));
  case Op::Min:
    return SizeValue::ofWhole(std::min(a, b));
  case Op::Max:
    return SizeValue::ofWhole(std::max(a, b));
  case Op::FloorDiv:
    return divide(a, b, /*up=*/false);
  case Op::CeilDiv:
    return divide(a, b, /*up=*/true);
  case Op::Equal:
    return SizeValue::ofCondition(a == b);
  case Op::Less:
    return SizeValue::ofCondition(a < b);
  case Op::LessEqual:
    return SizeValue::ofCondition(a <= b);
  case Op::And:
    return SizeValue::ofCondition(a & b);
  case Op::Or:
    return SizeValue::ofCondition(a | b);
  case Op::Xor:
    return SizeValue::ofCondition(a ^ b);
  case Op::BitAnd:
    return SizeValue::ofWhole(a & b);
  case Op::BitOr:
    return SizeValue::ofWhole(a | b);
  case Op::BitXor:
    return SizeValue::ofWhole(a ^ b);
  case Op::ShiftLeft:
    return shift(a, b, /*left=*/true);
  case Op::ShiftRight:
    return shift(a, b, /*left=*/false);
  case Op::ToReal:
    return SizeValue::ofReal(static_cast<double>(a));
  default:
    return std::nullopt;
  }
}

static std::optional<SizeValue> applyReal(Op op, double a, double b) {
  switch (op) {
  case Op::Add:
    return SizeValue::ofReal(a + b);
  case Op::Sub:
    return SizeValue::ofReal(a - b);
  case Op::Mul:
    return SizeValue::ofReal(a * b);
  case Op::Div:
    return SizeValue::ofReal(a / b);
  case Op::Min:
    return SizeValue::ofReal(std::isnan(a) || std::isnan(b) ? a + b : std::fmin(a, b));
  case Op::Max:
    return SizeValue::ofReal(std::isnan(a) || std::isnan(b) ? a + b : std::fmax(a, b));
  case Op::MinNumber:
    return SizeValue::ofReal(std::fmin(a, b));
  case Op::MaxNumber:
    return SizeValue::ofReal(std::fmax(a, b));
  case Op::Equal:
    return SizeValue::ofCondition(a == b);
  case Op::Less:
    return SizeValue::ofCondition(a < b);
  case Op::LessEqual:
    return SizeValue::ofCondition(a <= b);
  case Op::Floor:
    return SizeValue::ofReal(std::floor(a));
  case Op::Ceil:
    return SizeValue::ofReal(std::ceil(a));
  case Op::ToF32:
    return SizeValue::ofReal(static_cast<double>(static_cast<float>(a)));
  case Op::ToWhole: // 2^63 is the least that is too large
    return std::fabs(a) < 0x1p63 ? std::optional(SizeValue::ofWhole(static_cast<int64_t>(a)))
                                 : std::nullopt;
  default:
    return std::nullopt;
  }
}

std::optional<SizeValue> attnc::evaluateAny(const SizeFormula &formula,
                                            const std::vector<int64_t> &sizes,
                                            const std::vector<SizeValue> &params) {
  std::vector<SizeValue> stack;
  stack.reserve(16);
  for (const SizeStep &step : formula) {
    std::optional<SizeValue> result;
    size_t taken = static_cast<size_t>(operandsOf(step.op));
    const SizeValue *of = stack.data() + stack.size() - taken;
    if (step.op == Op::Number)
      result = SizeValue::ofWhole(step.value);
    else if (step.op == Op::Real)
      result = SizeValue::ofReal(step.real);
    else if (step.op == Op::Size)
      result = SizeValue::ofWhole(sizes[step.value]);
    else if (step.op == Op::Param)
      result = params[step.value];
    else if (step.op == Op::Select)
      result = of[0].whole ? of[1] : of[2];
    else if (of[0].kind == NumberKind::Real)
      result = applyReal(step.op, of[0].real, of[taken - 1].real);
    else
      result = applyWhole(step.op, of[0].whole, of[taken - 1].whole);
    if (!result)
      return std::nullopt;
    stack.resize(stack.size() - taken);
    stack.push_back(*result);
  }
  return stack.front();
}

std::optional<int64_t> attnc::evaluate(const SizeFormula &formula,
                                       const std::vector<int64_t> &sizes,
                                       const std::vector<SizeValue> &params) {
  std::optional<SizeValue> value = evaluateAny(formula, sizes, params);
  return value && value->kind == NumberKind::Whole ? std::optional(value->whole) : std::nullopt;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Numbers that follow from the sizes of index spaces and from parameters: extents of declared
// spaces, shapes of workspace tensors, grids, scalars of a launch. The reference and the runtimes
// evaluate them with the same function, so that they see the same sizes. No MLIR here.
#ifndef ATTNC_SUPPORT_SIZEFORMULA_H
#define ATTNC_SUPPORT_SIZEFORMULA_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace attnc {

/// One step of a number, in postfix order.
struct SizeStep {
  // clang-format off
  enum class Op : uint8_t {
    Number,              // the whole number `value`
    Real,                // the real number `real`
    Size,                // of the index space `value`
    Param,               // parameter `value`
    Add, Sub, Mul,       // of two wholes, or of two reals
    Min, Max,            // the same; NaN if one is
    FloorDiv, CeilDiv,   // of two wholes
    MinNumber, MaxNumber, // of two reals; the other one if one is NaN
    Div,                 // of two reals
    Equal, Less, LessEqual, // of two wholes, or two reals: a condition
    And, Or, Xor,        // of two conditions
    BitAnd, BitOr, BitXor, // of two wholes, bit by bit in two's complement
    ShiftLeft, ShiftRight, // of two wholes: times, and divided by, 2 to the second; rounded down
    Select,              // of a condition and two of one kind
    Floor, Ceil,         // of a real, a real
    ToReal,              // of a whole
    ToWhole,             // of a real: without its fraction
    ToF32,               // of a real: the nearest f32
  };
  // clang-format on
  Op op = Op::Number;
  int64_t value = 0; ///< Number: the number. Size, Param: an index
  double real = 0;   ///< Real: the number
};
using SizeFormula = std::vector<SizeStep>;

/// Most steps of a formula.
inline constexpr size_t maxFormulaSteps = 1024;

enum class NumberKind : uint8_t { Whole, Real, Condition };

/// The kind of number that `formula` is, with `numSpaces` spaces and parameters of the kinds
/// `params`; nothing if it is not well formed: a step lacks operands or has some of a kind that it
/// does not take, an index is of nothing that is there, or it is too long.
std::optional<NumberKind> kindOf(const SizeFormula &formula, size_t numSpaces,
                                 const std::vector<NumberKind> &params);

/// A number: `whole` if it is a whole one or a condition (0 or 1), else `real`.
struct SizeValue {
  NumberKind kind = NumberKind::Whole;
  int64_t whole = 0;
  double real = 0;

  static SizeValue ofWhole(int64_t number) { return {NumberKind::Whole, number, 0}; }
  static SizeValue ofReal(double number) { return {NumberKind::Real, 0, number}; }
  static SizeValue ofCondition(bool holds) { return {NumberKind::Condition, holds, 0}; }
};

/// The number that `formula`, which is well formed, is for these sizes of spaces and values of
/// parameters. Whole numbers have 64 bits, reals are float64. No value if any step leaves the whole
/// numbers or divides one by 0.
std::optional<SizeValue> evaluateAny(const SizeFormula &formula, const std::vector<int64_t> &sizes,
                                     const std::vector<SizeValue> &params);

/// The same, for a formula of whole numbers; nothing if it is of another kind.
std::optional<int64_t> evaluate(const SizeFormula &formula, const std::vector<int64_t> &sizes,
                                const std::vector<SizeValue> &params = {});

} // namespace attnc

#endif // ATTNC_SUPPORT_SIZEFORMULA_H

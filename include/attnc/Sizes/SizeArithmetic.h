// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From scalar arithmetic in the IR to a formula over sizes and parameters.
#ifndef ATTNC_SIZES_SIZEARITHMETIC_H
#define ATTNC_SIZES_SIZEARITHMETIC_H

#include "attnc/Support/SizeFormula.h"
#include "mlir/IR/Value.h"

namespace attnc {

/// Whose arithmetic it is. In a program of kernels f32 is rounded to f32 after each operation, and
/// i32 has no limit, so that a grid that is too large is an error. In a spec reals are float64, as
/// the reference computes them, and whole numbers wrap around at 32 bits. f64 is never rounded.
enum class ArithmeticOf : uint8_t { Program, Spec };

/// Whether `op`, on i32, has operands for which its result is no number of 32 bits.
bool canLeaveInt32(mlir::Operation *op);

/// Why there is no formula.
enum class FormulaProblem : uint8_t { None, NoArithmetic, TooLong };

/// Appends the steps that compute `value` to `formula`. `leaf` gives the step of a value that is
/// a size or a parameter; all others follow from constants and the operations on i1, i32, f32 and
/// f64 that `tile.program` lists.
FormulaProblem appendFormula(mlir::Value value, ArithmeticOf owner,
                             llvm::function_ref<std::optional<SizeStep>(mlir::Value)> leaf,
                             SizeFormula &formula);

} // namespace attnc

#endif // ATTNC_SIZES_SIZEARITHMETIC_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From scalar arithmetic in the IR to a formula over sizes and parameters.
#ifndef ATTNC_SIZES_SIZEARITHMETIC_H
#define ATTNC_SIZES_SIZEARITHMETIC_H

#include "attnc/Support/SizeFormula.h"
#include "mlir/IR/Value.h"

namespace attnc {

/// What f32 arithmetic means: rounded to f32 after each operation, as in a program of kernels; or
/// float64, as the reference computes the reals of a spec. f64 is never rounded.
enum class F32Arithmetic : uint8_t { Rounded, Exact };

/// Why there is no formula.
enum class FormulaProblem : uint8_t { None, NoArithmetic, TooLong };

/// Appends the steps that compute `value` to `formula`. `leaf` gives the step of a value that is
/// a size or a parameter; all others follow from constants and the operations on i1, i32, f32 and
/// f64 that `tile.program` lists.
FormulaProblem appendFormula(mlir::Value value, F32Arithmetic f32,
                             llvm::function_ref<std::optional<SizeStep>(mlir::Value)> leaf,
                             SizeFormula &formula);

} // namespace attnc

#endif // ATTNC_SIZES_SIZEARITHMETIC_H

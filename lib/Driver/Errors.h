// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Comparison of an output with the float64 reference, and the bounds it is held to.
#ifndef ATTNC_LIB_DRIVER_ERRORS_H
#define ATTNC_LIB_DRIVER_ERRORS_H

#include "Execute.h"

namespace attnc::driver {

/// How far an output is from the reference, and how far it may be.
struct OutputError {
  std::string name;
  double relativeFrobenius = 0, frobeniusBound = 0; ///< |x - r| / |r| over the whole tensor
  double maximum = 0, maximumBound = 0;             ///< largest |x - r|
  bool ok() const {
    // Written so that NaN fails.
    return relativeFrobenius <= frobeniusBound && maximum <= maximumBound;
  }
};

/// Compares every output. Infinities must agree exactly; a NaN must be a NaN in the reference too.
///
/// Bounds. With u the unit roundoff of the operand dtype, e = 2^-24 that of f32, d the head dim, n
/// the number of keys, S a bound of |score| and v = max |V|:
///   a score is off by at most ds = S (d e + 2^-20) (sum of d products, exponent arithmetic, and
///   operand splitting on GPUs, where an operand keeps 22 bits); a weight is off by a factor of at
///   most exp(2 ds) (its exponential, and the sum that normalises it), times 1 + 2 u (rounded to
///   the operand type) and 1 + n e (summation); the output is rounded to the operand type: + u v.
/// So |out - r| <= v (exp(2 ds) - 1 + 3 u + (n + 8) e). For lse the same in absolute terms, 2 ds +
/// (n + 8) e, plus one rounding of its value. docs/Testing.md derives this in full.
std::vector<OutputError> compareOutputs(BoundSpec &bound, bool onGPU, bool tf32,
                                        const std::map<std::string, reference::Tensor64> &expected);

/// Compares every output with the reference's value rounded to the output's type, which the
/// reference itself must have: both bounds are 0.
std::vector<OutputError> compareExactly(BoundSpec &bound,
                                        const std::map<std::string, reference::Tensor64> &expected);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_ERRORS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tanh as a quotient of polynomials, for every target: of relative accuracy, so that it is right
// near 0 too, where 1 - 2 / (e^2x + 1) has lost all digits, and without an exponential, which is
// what attention has too many of.
#ifndef ATTNC_LIB_CONVERSION_RATIONALTANH_H
#define ATTNC_LIB_CONVERSION_RATIONALTANH_H

#include "mlir/IR/Value.h"

namespace attnc {

/// tanh(x) = x P(z) / Q(z) with z = min(x^2, 9.02^2), cut off at -1 and 1: relative error below
/// 4e-7 in f32, 3e-7 for |x| < 0.1; 1 beyond 9.02, NaN for NaN. The coefficients minimize the
/// largest relative error on [0, 9.02] for these degrees (6.5e-8 before rounding; a linear program
/// for each round of the denominator).
///
/// `ops` has constant(double), mul, fma(x, y, z) = x y + z, divide, lesser(x, y), which may ignore
/// NaN, and within(x, low, high), which keeps it.
template <typename Ops> mlir::Value rationalTanh(Ops &ops, mlir::Value x) {
  constexpr double p[] = {1.8763369330487834e-11, -1.301422880573e-08, 9.357831913803238e-06,
                          0.0029318039305508137,  0.129300057888031,   1.0};
  constexpr double q[] = {0.00022955553140491247, 0.02380983904004097, 0.46263331174850464, 1.0};
  mlir::Value z = ops.lesser(ops.mul(x, x), ops.constant(81.3604));
  auto polynomial = [&](auto &highestFirst) {
    mlir::Value sum;
    for (double c : highestFirst)
      sum = sum ? ops.fma(sum, z, ops.constant(c)) : ops.constant(c);
    return sum;
  };
  mlir::Value quotient = ops.divide(ops.mul(x, polynomial(p)), polynomial(q));
  return ops.within(quotient, -1.0, 1.0);
}

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_RATIONALTANH_H

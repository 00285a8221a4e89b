// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The arithmetics of a run, as policies that the numeric loops are instantiated for: what is done
// to the result of an operation, to a partial sum, to a finished sum of n terms, to an operand of
// an attention's product, to an element that a step of a recurrence reads, and to a weight. The
// float64 policy does nothing and costs nothing.
#ifndef ATTNC_LIB_REFERENCE_ARITHMETIC_H
#define ATTNC_LIB_REFERENCE_ARITHMETIC_H

#include "attnc/Reference/Reference.h"

#include <cmath>
#include <cstring>

namespace attnc::reference {

struct Exact {
  double result(double x) const { return x; }
  double partial(double x) const { return x; }
  double sum(double x, int64_t) const { return x; }
  double operand(double x) const { return x; }
  double factor(double x, uint64_t) const { return x; }
  double weight(double x) const { return x; }
};

struct Single {
  double result(double x) const { return static_cast<float>(x); }
  double partial(double x) const { return static_cast<float>(x); }
  double sum(double x, int64_t) const { return static_cast<float>(x); }
  double operand(double x) const { return x; }
  double factor(double x, uint64_t) const { return x; }
  double weight(double x) const { return x; }
};

/// Numbers of f32 stay; others become the neighbour that `Single` does not take, and subnormal ones
/// 0. So what is the same in both has been rounded nowhere, and flushed nowhere.
struct Farther {
  double result(double x) const {
    if (std::fabs(x) < 0x1p-126)
      return 0 * x;
    float nearest = static_cast<float>(x);
    if (nearest == x || std::isnan(x))
      return nearest;
    return std::nextafter(nearest, nearest < x ? INFINITY : -INFINITY);
  }
  double partial(double x) const { return result(x); }
  double sum(double x, int64_t) const { return result(x); }
  double operand(double x) const { return x; }
  double factor(double x, uint64_t) const { return x; }
  double weight(double x) const { return x; }
};

/// Errors of known size and pseudo-random sign. Equal numbers are changed alike.
struct Perturbed {
  Roundoffs sizes;
  uint64_t seed = 0;

  double result(double x) const { return change(x, sizes.operation); }
  double partial(double x) const { return x; }
  double sum(double x, int64_t n) const {
    return change(x, sizes.operation * std::sqrt(static_cast<double>(n < 1 ? 1 : n)));
  }
  double operand(double x) const { return change(x, std::fmax(sizes.operand, sizes.operation)); }
  /// Each place that reads a number rounds it by itself: one may be an operand of a product, and
  /// another one not.
  double factor(double x, uint64_t place) const {
    return change(x, sizes.factor, seed + place * 0x9E3779B97F4A7C15ull);
  }
  double weight(double x) const { return change(x, std::fmax(sizes.weight, sizes.operation)); }

private:
  /// The sign is one bit of the finalizer of MurmurHash3.
  double change(double x, double size) const { return change(x, size, seed); }
  double change(double x, double size, uint64_t draw) const {
    if (std::fabs(x) < 0x1p-126 && x != 0)
      size = std::fmax(size, std::fmin(sizes.least / std::fabs(x), 1));
    uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits ^= draw;
    bits = (bits ^ (bits >> 33)) * 0xFF51AFD7ED558CCDull;
    bits = (bits ^ (bits >> 33)) * 0xC4CEB9FE1A85EC53ull;
    return x * (bits >> 63 ? 1 + size : 1 - size);
  }
};

/// Calls `body` with the policy of a run.
template <typename Body> decltype(auto) withArithmetic(const RunOptions &options, Body body) {
  switch (options.arithmetic) {
  case Arithmetic::Float32:
    return body(Single());
  case Arithmetic::Farther32:
    return body(Farther());
  case Arithmetic::Perturbed:
    return body(Perturbed{options.roundoffs, (options.seed + 1) * 0x9E3779B97F4A7C15ull});
  case Arithmetic::Float64:
    break;
  }
  return body(Exact());
}

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_ARITHMETIC_H

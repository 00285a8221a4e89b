// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How much rounding may change a variant's outputs, found by running it with roundings drawn: no
// formula of a variant is known here, so that it holds for any. docs/Testing.md derives the bounds.
#ifndef ATTNC_REFERENCE_DEVIATIONS_H
#define ATTNC_REFERENCE_DEVIATIONS_H

#include "attnc/Reference/Reference.h"

namespace attnc::reference {

/// Of one output: what its elements and its norm deviated by, at most, over all perturbed runs.
struct Deviation {
  /// For each element the largest over its row and over the runs: a deviation that happens to be
  /// small says nothing alone. A row is the innermost axes that together have at least 16 different
  /// numbers; equal ones deviate alike. Where all that have 16 elements deviate by 0, so may they.
  std::vector<double> elements;
  /// The largest Frobenius norm of a run's deviation.
  double norm = 0;
};

/// An executor may be off by so many times the deviation of perturbed runs: it draws the same
/// errors in another order.
inline constexpr double boundMargin = 8;

/// Perturbed runs of one comparison: four, or two where each output that deviates has so many
/// different numbers that two draw as much.
inline constexpr unsigned numPerturbedRuns = 4, numPerturbedRunsOfLarge = 2;
inline constexpr size_t numDrawsOfLarge = 1024, numDrawsOfRow = 16;

/// What perturbed runs deviate by: outputs by name, and by name of a decision what it is taken
/// from.
struct Deviations {
  std::map<std::string, Deviation> outputs, keys;
};

/// Deviations from a float64 run with `decisions` forced, which yielded `expected` and recorded
/// `own`, over perturbed runs with the same decisions, at the same rows (RunOptions). Infinities
/// and NaN that agree deviate by 0, ones that do not by infinity. Fails as `run` does.
llvm::Expected<Deviations> deviations(attn::VariantOp variant, const Bindings &bindings,
                                      const std::map<std::string, Tensor64> &expected,
                                      const Decisions &own, const Decisions &decisions,
                                      const Roundoffs &roundoffs,
                                      const std::vector<int64_t> &rows = {});

} // namespace attnc::reference

#endif // ATTNC_REFERENCE_DEVIATIONS_H

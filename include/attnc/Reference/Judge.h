// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whether decisions that were taken with rounded keys are admissible: those that differ from the
// float64 reference's must be ones that rounding can flip.
#ifndef ATTNC_REFERENCE_JUDGE_H
#define ATTNC_REFERENCE_JUDGE_H

#include "attnc/Reference/Deviations.h"

#include <optional>

namespace attnc::reference {

/// The judgement of one op. A row is what is compared together: the entries of a selection, rank or
/// order, and one place of any other op.
struct DecisionVerdict {
  std::string name; ///< as in Decisions
  int64_t line = 0;
  int64_t places = 0, different = 0; ///< places that were reached, and those decided otherwise
  int64_t rows = 0;
  /// The first place that was decided otherwise: its coordinates, what was decided there, what the
  /// reference decides, and from what.
  struct Difference {
    std::vector<int64_t> at;
    double taken = 0, own = 0, key = 0;
  };
  std::optional<Difference> first;
  /// Rows that differ, within the margin. Where all keys of a row are below 2^-126 kernels flush
  /// them to 0; such rows are not counted.
  int64_t marginRows = 0;
  int64_t inadmissibleRows = 0; ///< rows that differ by more
  int64_t undecidableRows = 0; ///< rows that differ, with a margin over 5 % of what their keys span
  /// The share of rows that the margin may be used in; one row always may. Of fewer than 100 rows a
  /// share says nothing. Rows that are single places have none: a spec may have any number of them
  /// at a step (the largest of a group over its scale), and each is judged by its own margin.
  double limit = 1;
  /// The keys are the same numbers in f32 as in float64: nothing may be decided otherwise.
  bool isExact = false;
  bool ok() const {
    if (isExact && different != 0)
      return false;
    double most = rows < 100 ? static_cast<double>(rows) : limit * static_cast<double>(rows);
    return inadmissibleRows == 0 && undecidableRows == 0 &&
           static_cast<double>(marginRows) <= (most > 1 ? most : 1);
  }
};

/// Judges `taken` by `own`, what the float64 reference decides, and from what keys, behind the same
/// decisions. A key may be off by d = 8 times its deviation in perturbed runs:
///   top               as many entries, and none kept that is more than 2 d below one dropped;
///   cover             none kept that is more than 2 d below one dropped, and so many that the sum
///                     of what is kept is the amount's share of the row's within the sum of all d
///                     and the rounding of two such sums; limits exactly;
///   rank, order       a permutation along which keys never rise by more than 2 d;
///   comparison        flipped where |lhs - rhs| <= 2 d;
///   argmax, argmin    an entry that is at most 2 d worse than the best;
///   rounding, codes   by one step, within d of where the step is.
///   skip              of a tile, where its condition is at most 2 d from being another one.
/// A key that is not known (NaN) counts as within the margin.
/// Scales of quantize are judged as codes. `limit` is DecisionVerdict::limit.
std::vector<DecisionVerdict> judge(const Decisions &taken, const Decisions &own,
                                   const std::map<std::string, Deviation> &keys, double limit);

} // namespace attnc::reference

#endif // ATTNC_REFERENCE_JUDGE_H

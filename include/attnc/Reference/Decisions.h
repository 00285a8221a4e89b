// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decisions of a variant: what it computes from reals that is discrete. A rounding error that is
// harmless everywhere else flips a decision near a tie, and everything behind it differs; so two
// computations are compared with the decisions of one forced on the other.
#ifndef ATTNC_REFERENCE_DECISIONS_H
#define ATTNC_REFERENCE_DECISIONS_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace attnc::reference {

/// What a row of a selection by `cover` is held to: as many of its entries, the largest first, as
/// it takes to reach `target` or, exclusively, as there are before it is exceeded.
struct CoverRow {
  double target = 0; ///< the amount times the sum of the row's entries
  double total = 0;  ///< that sum
  bool isInclusive = true;
  double atLeast = 0, atMost = 0; ///< limits of how many, of which the second comes last
  /// Whether `target` and all sums of entries, in any order, are numbers of f32.
  bool isExact = false;
};

/// All outcomes of one op that decides. The axes are the coordinates that the op depends on,
/// outermost first, of those around it: the batch and the step of a recurrence around it, the axes
/// of its stage, the indices of the reductions around it. Outcomes of places that no run reaches
/// are NaN.
struct Decision {
  std::string op;   ///< of the IR, e.g. "attn.select", "arith.cmpf", "attn.reduce"
  std::string part; ///< of what the op decides, "skip" say; empty where that is one thing
  int64_t line = 0; ///< of the spec; 0 where it is not known
  std::vector<int64_t> shape;
  std::vector<double> values; ///< row-major; conditions are 0 or 1
  /// What each place is decided from, as the run computed it: the entry of a selection, rank or
  /// order, lhs - rhs of a comparison, the number that is rounded, the best entry of an argmax or
  /// argmin, and of a skipped tile how far its condition is from being another one, above 0 where
  /// it holds (of several rows that of the nearest one). NaN where that is not known.
  std::vector<double> keys;
  /// Of an argmax or argmin, for each place: by how much the entry that the run is told to take is
  /// worse than the best; 0 where it is told none, infinity where there is no such entry. Empty for
  /// the others.
  std::vector<double> shortfalls;
  /// Of a selection by `cover`: what each row is held to, by the offset of its first place.
  std::map<size_t, CoverRow> covers;
  /// The axes that a selection, rank or order compares along; empty for the others.
  std::vector<unsigned> rowAxes;
};

/// The decisions of a run by name. A name is the number of the op among those of the variant and
/// what it decides, "12 attn.select" or "12 attn.select cover"; it is the same for each run of a
/// variant. These ops decide: `attn.select`, `attn.rank`, `attn.order`, argmax and argmin,
/// comparisons of reals, conversions and roundings of reals to whole numbers, `skip` (by tile), and
/// the codes and rounded scales of `attn.quantize` and of rounded weights.
struct Decisions {
  std::map<std::string, Decision> byName;

  /// Null if there is none of this name.
  const Decision *find(const std::string &name) const {
    auto found = byName.find(name);
    return found == byName.end() ? nullptr : &found->second;
  }
};

} // namespace attnc::reference

#endif // ATTNC_REFERENCE_DECISIONS_H

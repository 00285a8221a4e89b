// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which keys can a tile of query rows attend to, and which keys does every row of it attend to?
//
// The mask of an `attn.attend` is a predicate over (b, h, q, kv). For the rows [first, last] of a
// query tile this analysis derives, in closed form, a small union of key ranges. Each range has two
// intervals:
//
//   may  = [mayLo, mayHi)    contains every key that some row attends to;
//   must = [mustLo, mustHi)  holds only keys that every row attends to (may be empty).
//
// A key tile outside all `may` intervals is EMPTY and is never visited; one inside a `must`
// interval is FULL and needs no mask code; the rest is PARTIAL. So loop bounds come straight from
// these formulas:
//
//   kv <= q                   may = [0, last + 1)              must = [0, first + 1)
//   kv <= q and q - kv < w    may = [first - w + 1, last + 1)  must = [last - w + 1, first + 1)
//   kv / c == q / c           may = [c*(first/c), c*(last/c) + c)   must = [c*(last/c), c*(first/c)
//   + c)
//
// How: comparisons are solved for kv by peeling monotone operations (sums, constant factors, floor
// division, absolute value) off its side; what remains, a function of the row, is bounded over
// [first, last] by interval arithmetic. Conjunction intersects, disjunction unites. A comparison
// that cannot be solved (modular conditions, reads of tensors at kv) restricts nothing and
// guarantees nothing, which is sound: tiles become PARTIAL, never wrongly FULL or EMPTY.
//
// Ints of a spec wrap around at 32 bits, and peeling is right only where they do not. So the range
// of a comparison holds under a condition on launch-time scalars: that nothing it was solved
// through leaves 32 bits at any row and key, and that divisors are positive. Most often sizes alone
// show it and there is no condition (`q - kv < window` cannot wrap before its comparison);
// otherwise it is part of the bounds, and where it fails the comparison restricts and guarantees
// nothing: its tiles evaluate the mask as it is written, wrapping.
//
// Time is linear in the size of the mask: each value is looked at once, and budgets bound what is
// derived from it (RowExprs, kMaxSteps, kMaxResultNodes in KeyRanges.cpp). Beyond them a comparison
// counts as one that cannot be solved.
//
// The result is symbolic: bounds are expressions over launch-time scalars, to be emitted as code by
// the lowering, or evaluated for `explain`. A solver over Presburger sets can replace this file
// behind the same interface.
#ifndef ATTNC_ANALYSIS_KEYRANGES_H
#define ATTNC_ANALYSIS_KEYRANGES_H

#include "attnc/Analysis/RowExpr.h"
#include "dialects/Attn/Attn.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>

namespace attnc {

/// See the head of this file.
struct KeyRange {
  RowExpr::Ref mayLo = nullptr, mayHi = nullptr;
  /// Null if nothing is guaranteed.
  RowExpr::Ref mustLo = nullptr, mustHi = nullptr;
  bool hasMust() const { return mustLo != nullptr; }
  /// Whether `may` of one row is what that row attends to in every launch, if the ranges are exact:
  /// no bound holds under a condition only.
  bool isUnconditional() const;
  bool operator==(const KeyRange &other) const {
    return mayLo == other.mayLo && mayHi == other.mayHi && mustLo == other.mustLo &&
           mustHi == other.mustHi;
  }
};

struct KeyRanges {
  /// The union of these may overlap and is in no particular order.
  llvm::SmallVector<KeyRange> ranges;
  /// True if the ranges say all there is to know: in a PARTIAL tile the mask is still evaluated,
  /// but `may` is exact for a tile of one row, provided that the conditions in the bounds hold.
  bool exact = true;
  /// Owns the expressions.
  std::shared_ptr<RowExprs> expressions;
};

/// Derives the key ranges of `attend`; at most `maxRanges` of them (more are merged into their
/// hull).
KeyRanges computeKeyRanges(attn::AttendOp attend, unsigned maxRanges = 4);

} // namespace attnc

#endif // ATTNC_ANALYSIS_KEYRANGES_H

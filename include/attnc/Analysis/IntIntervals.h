// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Between which numbers the ints of scalar code lie, whatever a variant is bound to. Ints of a spec
// wrap around at 32 bits; what may do so has no interval but that of all ints.
#ifndef ATTNC_ANALYSIS_INTINTERVALS_H
#define ATTNC_ANALYSIS_INTINTERVALS_H

#include "dialects/Attn/Attn.h"
#include <cstdint>
#include <optional>

namespace attnc {

/// What an int lies in; with 64 bits sums and products of ints do not overflow.
struct Interval {
  int64_t low = INT32_MIN, high = INT32_MAX;

  bool fits() const { return low >= INT32_MIN && high <= INT32_MAX; }
};

Interval sum(Interval a, Interval b);
Interval product(Interval a, int64_t factor);

/// The index space that an argument of a region of scalar code runs over; empty if it is no index
/// (the score of a score region), or one of an op that is not looked into.
llvm::StringRef spaceOf(mlir::BlockArgument argument);

/// How many indices `space` can have where `at` stands.
int64_t largestSize(mlir::Operation *at, llvm::StringRef space);

/// What `value` (i32) is, if it follows from constants; as the language computes it, wrapping
/// around. `depth` bounds how far it is looked at.
std::optional<int64_t> constantOf(mlir::Value value, unsigned depth = 8);

/// What `value` (i32) lies in; all of 32 bits where that is not known, or where it may have wrapped
/// around. `depth` bounds how far it is looked at.
Interval intervalOf(mlir::Value value, unsigned depth = 8);

/// What x - y is at most (both i32, of one region), if their formulas say so: bounds of a reduction
/// that run side by side are so far apart. Nothing where a formula may wrap around.
std::optional<int64_t> mostDifference(mlir::Value x, mlir::Value y);

} // namespace attnc

#endif // ATTNC_ANALYSIS_INTINTERVALS_H

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
// The result is symbolic: bounds are expressions over launch-time scalars, to be emitted as code by
// the lowering, or evaluated for `explain`. A solver over Presburger sets can replace this file
// behind the same interface.
#ifndef ATTNC_ANALYSIS_KEYRANGES_H
#define ATTNC_ANALYSIS_KEYRANGES_H

#include "dialects/Attn/Attn.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include <memory>
#include <optional>
#include <string>

namespace attnc {

/// An integer expression over launch-time scalars and the first and last row of a query tile.
class RowExpr {
public:
  enum class Kind {
    Constant,
    Uniform,  ///< an SSA value of the mask region or the variant that is the same for all q and kv
    FirstRow, ///< index of the tile's first row
    LastRow,  ///< index of the tile's last row
    KeyCount, ///< size(kv)
    QueryCount, ///< size(q)
    Add,
    Sub,
    Mul,
    FloorDiv,
    Min,
    Max,
    Select,     ///< uniform condition, then, else
    IfPositive, ///< `condition` > 0, then, else
  };
  using Ref = std::shared_ptr<const RowExpr>;

  Kind kind;
  int64_t constant = 0;
  mlir::Value uniform; ///< Uniform: an i32; Select: the i1 condition
  Ref lhs, rhs;
  Ref condition; ///< IfPositive

  static Ref makeConstant(int64_t value);
  static Ref makeLeaf(Kind kind);
  static Ref makeUniform(mlir::Value value);
  /// Builds with the obvious simplifications (constants, neutral elements).
  static Ref make(Kind kind, Ref lhs, Ref rhs);
  static Ref makeSelect(mlir::Value condition, Ref thenValue, Ref elseValue);
  static Ref makeIfPositive(Ref condition, Ref thenValue, Ref elseValue);

  bool isConstant(int64_t value) const { return kind == Kind::Constant && constant == value; }
  /// Evaluates in 64-bit arithmetic; `uniformValue` gives the leaves' values (i1 as 0 or 1).
  int64_t evaluate(int64_t firstRow, int64_t lastRow, int64_t queryCount, int64_t keyCount,
                   llvm::function_ref<int64_t(mlir::Value)> uniformValue) const;
  /// For people: `last - window + 1`.
  std::string str() const;
};

/// See the head of this file.
struct KeyRange {
  RowExpr::Ref mayLo, mayHi;
  /// Null if nothing is guaranteed.
  RowExpr::Ref mustLo, mustHi;
  bool hasMust() const { return mustLo != nullptr; }
};

struct KeyRanges {
  /// The union of these may overlap and is in no particular order.
  llvm::SmallVector<KeyRange> ranges;
  /// True if the ranges say all there is to know: in a PARTIAL tile the mask is still evaluated,
  /// but `may` is exact for a tile of one row.
  bool exact = true;
};

/// Derives the key ranges of `attend`; at most `maxRanges` of them (more are merged into their
/// hull).
KeyRanges computeKeyRanges(attn::AttendOp attend, unsigned maxRanges = 4);

} // namespace attnc

#endif // ATTNC_ANALYSIS_KEYRANGES_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integer expressions over launch-time scalars and the first and last row of a query tile, which
// the bounds of key ranges are made of. They are evaluated, and emitted, in 64-bit arithmetic.
//
// Nodes are hash-consed: equal expressions are one node, so that a bound is a DAG whose size is
// that of what it was derived from, however often its parts occur. Each node carries the interval
// that its value lies in whatever is launched. An expression whose interval leaves 64 bits is not
// made, so no evaluation can overflow; one that is too deep, or one too many, is not made either,
// which bounds the time and the stack of all that walk it. `RowExprs::gaveUp` then tells the
// caller, who has to do with less.
#ifndef ATTNC_ANALYSIS_ROWEXPR_H
#define ATTNC_ANALYSIS_ROWEXPR_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>

namespace attnc {

/// The largest length of an index space that a kernel is launched with (Runtime/Arguments.cpp).
constexpr int64_t kMaxLaunchedSize = INT32_MAX - 65536;

class RowExpr {
public:
  enum class Kind {
    Constant,
    Uniform,    ///< an i32 of the mask region or the variant that is the same for all q and kv
    FirstRow,   ///< index of the tile's first row
    LastRow,    ///< index of the tile's last row
    KeyCount,   ///< size(kv)
    QueryCount, ///< size(q)
    Key,        ///< a key, within the analysis only
    Atom,       ///< an i32 that is no sum, within the analysis only
    Add,
    Sub,
    Mul,
    FloorDiv, ///< by the divisor, or by 1 where that is less than 1
    Min,
    Max,
    Select,        ///< uniform condition, then, else
    IfNonNegative, ///< `condition` >= 0, then, else
  };
  using Ref = const RowExpr *;

  Kind kind;
  int64_t constant = 0;
  mlir::Value uniform; ///< Uniform, Atom: an i32; Select: the i1 condition
  Ref condition = nullptr, lhs = nullptr, rhs = nullptr;

  /// The value is in [low, high] for sizes from 0 to kMaxLaunchedSize and all values of uniforms.
  int64_t low = 0, high = 0;
  unsigned depth = 0;
  bool hasRow = false; ///< FirstRow or LastRow occurs in it

  bool isConstant(int64_t value) const { return kind == Kind::Constant && constant == value; }
  /// For people: `last - window + 1`. Cut off with `...` behind `limit` characters.
  std::string str(size_t limit = 400) const;
};

/// Makes and owns nodes.
class RowExprs {
public:
  using Ref = RowExpr::Ref;
  static constexpr unsigned kMaxDepth = 96;
  static constexpr size_t kMaxNodes = 1 << 14;

  Ref constant(int64_t value);
  Ref leaf(RowExpr::Kind kind);
  Ref uniform(mlir::Value value);
  Ref atom(mlir::Value value);
  /// Builds with the obvious simplifications (constants, neutral elements, known order).
  Ref make(RowExpr::Kind kind, Ref lhs, Ref rhs);
  Ref add(Ref a, Ref b) { return make(RowExpr::Kind::Add, a, b); }
  Ref sub(Ref a, Ref b) { return make(RowExpr::Kind::Sub, a, b); }
  Ref mul(Ref a, Ref b) { return make(RowExpr::Kind::Mul, a, b); }
  Ref min(Ref a, Ref b) { return make(RowExpr::Kind::Min, a, b); }
  Ref max(Ref a, Ref b) { return make(RowExpr::Kind::Max, a, b); }
  Ref select(mlir::Value condition, Ref thenValue, Ref elseValue);
  Ref ifNonNegative(Ref condition, Ref thenValue, Ref elseValue);

  /// Whether an expression was not made since the last call, for one of the reasons above. What was
  /// built from it meanwhile is well-formed but means nothing.
  bool gaveUp() { return std::exchange(hasGivenUp, false); }
  size_t size() const { return nodes.size(); }

private:
  Ref intern(RowExpr node);
  Ref giveUp() {
    hasGivenUp = true;
    return constant(0);
  }

  using Key = std::tuple<RowExpr::Kind, int64_t, void *, Ref, Ref, Ref>;
  std::deque<RowExpr> nodes;
  std::map<Key, Ref> known;
  bool hasGivenUp = false;
};

/// Evaluates expressions at one query tile; each node once.
class RowExprValues {
public:
  int64_t firstRow, lastRow, queryCount, keyCount;
  /// The values of uniforms: i32, or i1 as 0 and 1.
  llvm::function_ref<int64_t(mlir::Value)> uniformValue;

  RowExprValues(int64_t firstRow, int64_t lastRow, int64_t queryCount, int64_t keyCount,
                llvm::function_ref<int64_t(mlir::Value)> uniformValue)
      : firstRow(firstRow), lastRow(lastRow), queryCount(queryCount), keyCount(keyCount),
        uniformValue(uniformValue) {}

  int64_t evaluate(RowExpr::Ref e);

private:
  llvm::DenseMap<RowExpr::Ref, int64_t> known;
};

/// Calls `visit` once for each node that the given expressions (null ones are left out) are made
/// of.
void forEachNode(llvm::ArrayRef<RowExpr::Ref> roots, llvm::function_ref<void(RowExpr::Ref)> visit);

} // namespace attnc

#endif // ATTNC_ANALYSIS_ROWEXPR_H

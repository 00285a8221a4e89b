// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Facts about the ints of a mask that KeyRanges.cpp solves with: how each is a sum, how it follows
// from the row, between what it lies, and on what condition none of that wrapped around.
#ifndef ATTNC_LIB_ANALYSIS_MASKVALUES_H
#define ATTNC_LIB_ANALYSIS_MASKVALUES_H

#include "attnc/Analysis/RowExpr.h"
#include "dialects/Attn/Attn.h"
#include "llvm/ADT/SmallVector.h"

namespace attnc {

/// By what `op`, a shift by a known count, multiplies (to the left) or divides (to the right);
/// nothing for any other op.
std::optional<int64_t> powerOfShift(mlir::Operation *op);

/// sum(coefficient * term) + constant, with at most kMaxTerms terms and small coefficients.
struct LinearSum {
  static constexpr size_t kMaxTerms = 16;
  static constexpr int64_t kMaxCoefficient = int64_t(1) << 33;

  llvm::SmallVector<std::pair<RowExpr::Ref, int64_t>, 4> terms;
  int64_t constant = 0;

  static LinearSum of(RowExpr::Ref term);
  /// Adds factor * other; false if the sum became too large, which leaves it without meaning.
  [[nodiscard]] bool add(const LinearSum &other, int64_t factor);
};

/// What is known of an int of a mask.
struct MaskValue {
  /// The value as a sum of leaves and atoms.
  LinearSum sum;
  /// The value as a function of the row, which FirstRow stands for; null if there is none.
  RowExpr::Ref row = nullptr;
  /// Between what it lies for all rows and keys of the launch, in terms of launch-time scalars.
  LinearSum min, max;
  /// The facts above hold where this is at least 0; null if always.
  RowExpr::Ref guard = nullptr;
};

/// Looks at each op of a mask once, in the order of the block.
class MaskValues {
public:
  MaskValues(attn::AttendOp attend, RowExprs &expressions);

  bool dependsOnKey(mlir::Value value) const { return onKey.contains(value); }
  bool isUniform(mlir::Value value) const {
    return !onKey.contains(value) && !onRow.contains(value);
  }
  /// `value` is an i32.
  const MaskValue &operator[](mlir::Value value);

  /// The guard that says both.
  RowExpr::Ref both(RowExpr::Ref a, RowExpr::Ref b) {
    return !a || !b ? (a ? a : b) : expressions.min(a, b);
  }

private:
  void visit(mlir::Operation &op);
  /// Facts by the kind of the op; false if it is not one that is looked through.
  bool derive(mlir::Operation &op, MaskValue &into);
  bool deriveProduct(mlir::Value product, MaskValue lhs, MaskValue rhs, MaskValue &into);
  /// `rhs` is the same for all rows and keys.
  bool deriveQuotient(mlir::Value quotient, MaskValue lhs, MaskValue rhs, MaskValue &into);
  bool deriveExtremum(mlir::Operation &op, RowExpr::Kind kind, MaskValue &into);
  /// min and max of `value.sum` from those of its terms.
  bool bound(MaskValue &value);
  /// Adds to the guard that [min, max] lies within 32 bits.
  void guardAgainstWrapping(MaskValue &value);
  /// A value of which only its type is known.
  MaskValue opaque(mlir::Value value);
  MaskValue leaf(RowExpr::Ref ref);
  RowExpr::Ref emit(const LinearSum &sum);

  RowExprs &expressions;
  mlir::Value rowArg, keyArg;
  llvm::DenseSet<mlir::Value> onKey, onRow;
  llvm::DenseMap<mlir::Value, MaskValue> facts;
};

} // namespace attnc

#endif // ATTNC_LIB_ANALYSIS_MASKVALUES_H

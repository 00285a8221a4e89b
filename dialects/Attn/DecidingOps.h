// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The ops of a variant that decide: whose outcome is discrete although it is computed from reals.
// Whoever speaks of the same decision (the run that records it, the kernel that exports it) calls
// it by the same name.
#ifndef ATTNC_DIALECTS_ATTN_DECIDINGOPS_H
#define ATTNC_DIALECTS_ATTN_DECIDINGOPS_H

#include "dialects/Attn/Attn.h"
#include "llvm/ADT/DenseMap.h"
#include <string>

namespace attnc::attn {

/// Whether `op` yields one scalar and decides it: comparisons of reals, conversions and roundings
/// of reals to whole numbers, argmax and argmin.
bool decidesScalar(mlir::Operation *op);

/// The names of the decisions of a variant: the number of the op among those of the variant, its
/// kind, and, where an op decides several things, which of them: "12 attn.select cover".
class DecisionNames {
public:
  explicit DecisionNames(mlir::Operation *variant);
  std::string of(mlir::Operation *op, llvm::StringRef part) const;
  /// What `op`, a selection or one that decides a scalar, decides.
  std::string of(mlir::Operation *op) const { return of(op, partOf(op)); }
  /// The output of a variant that says what `op` decides: an identifier.
  std::string outputOf(mlir::Operation *op) const;
  /// What tells a selection's rule.
  static llvm::StringRef partOf(mlir::Operation *op);

private:
  llvm::DenseMap<mlir::Operation *, unsigned> numbers;
};

} // namespace attnc::attn

#endif // ATTNC_DIALECTS_ATTN_DECIDINGOPS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The words that the passes attn-expand-* write formulas in: stages over tensors, reductions, and
// scalar arithmetic that picks the op by the type of its operands.
#ifndef ATTNC_LIB_TRANSFORMS_FORMULABUILDER_H
#define ATTNC_LIB_TRANSFORMS_FORMULABUILDER_H

#include "dialects/Attn/Attn.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace attnc {

/// Whether an attn.compute can yield a tensor of `type`: its axes are index spaces, each of them
/// once.
bool isOverSpaces(attn::AttnTensorType type);

/// One term of a reduction. Without a condition (i1) it takes part.
struct Term {
  mlir::Value value, condition;
};

/// The indices that a reduction runs over: all of a space; the members of block `at` (i32) of
/// `block`; or those from `from` (i32), as far as they are below `end` (i32).
struct IndexRange {
  llvm::StringRef space;
  llvm::StringRef block = {};
  mlir::Value at = {};
  mlir::Value end = {};
  mlir::Value from = {};
};

/// Builds stages in front of one, at its location, and formulas within them.
class FormulaBuilder : public mlir::ImplicitLocOpBuilder {
public:
  explicit FormulaBuilder(mlir::Operation *stage) : ImplicitLocOpBuilder(stage->getLoc(), stage) {}

  /// A tensor whose elements `formula` computes from their indices.
  mlir::Value compute(attn::AttnTensorType type,
                      llvm::function_ref<mlir::Value(mlir::ValueRange)> formula);
  /// The same over `axes`, names of spaces.
  mlir::Value compute(llvm::ArrayRef<mlir::Attribute> axes, mlir::Type element,
                      llvm::function_ref<mlir::Value(mlir::ValueRange)> formula);
  /// A reduction of the terms that `term` gives for an index, of the type of their values.
  mlir::Value reduce(attn::Reduction kind, const IndexRange &range,
                     llvm::function_ref<Term(mlir::Value)> term);
  mlir::Value read(mlir::Value tensor, mlir::ValueRange indices);
  /// One step: from its indices, of rows and then the step, and the states, what is put out and the
  /// new states.
  using Step = llvm::function_ref<void(mlir::ValueRange indices, mlir::ValueRange states,
                                       llvm::SmallVector<mlir::Value> &outs,
                                       llvm::SmallVector<mlir::Value> &next)>;
  /// A recurrence over `time` for each index of `rows`, of f32.
  attn::RecurOp recur(llvm::StringRef time, llvm::ArrayRef<mlir::Attribute> rows,
                      mlir::ValueRange inits, Step step);

  mlir::Value real(double value);
  mlir::Value integer(int64_t value);
  // Of two f32 or two i32.
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  // Of two f32.
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value compare(mlir::arith::CmpFPredicate predicate, mlir::Value x, mlir::Value y);
  mlir::Value isNaN(mlir::Value x);
  // Of two i32.
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value x, mlir::Value y);
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y);
  /// Whether both hold; what is null holds.
  mlir::Value both(mlir::Value x, mlir::Value y);
};

/// A tensor as rows along one of its axes.
class RowView {
public:
  /// `space` is an axis of `tensor`.
  RowView(mlir::Value tensor, llvm::StringRef space);

  llvm::StringRef getSpace() const { return space; }
  /// The axes that tell rows apart, in order.
  llvm::ArrayRef<mlir::Attribute> getOuterAxes() const { return outer; }
  /// Indices of rows, from those of an element.
  llvm::SmallVector<mlir::Value> rowOf(mlir::ValueRange indices) const;
  /// The index along the row, from those of an element.
  mlir::Value alongOf(mlir::ValueRange indices) const { return indices[axis]; }
  /// The element at `index` of the row that `row` tells.
  mlir::Value read(FormulaBuilder &builder, mlir::ValueRange row, mlir::Value index) const;

private:
  mlir::Value tensor;
  llvm::StringRef space;
  unsigned axis = 0;
  llvm::SmallVector<mlir::Attribute> outer;
};

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_FORMULABUILDER_H

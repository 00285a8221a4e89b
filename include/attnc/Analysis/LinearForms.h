// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the scalars of a recurrence's step are in terms of its states, as far as they are linear:
//
//     value = sum of   coefficient * S[indices]                     an entry of a state
//                      coefficient * sum(y[d] * S[d, ..] for d)     a read of it
//           + sum of   products that depend on no state
//
// Sums are kept as lists of products and products as lists of factors, so that a later question
// (which factors go along which axis?) can be answered by sorting them. Terms of the same product
// are one: k successive updates of a state make k reads, not 2^k.
#ifndef ATTNC_ANALYSIS_LINEARFORMS_H
#define ATTNC_ANALYSIS_LINEARFORMS_H

#include "attnc/Analysis/ScalarExpr.h"

namespace attnc {

/// A product of factors. Those without a coordinate (an argument of a formula or of a reduction, or
/// an index of a state that is summed over) are in `scalar`.
struct Product {
  Expr scalar;
  llvm::SmallVector<Expr, 4> factors; ///< in order of their numbers
};

/// `product` times an entry of a state.
struct StateTerm {
  unsigned state;
  bool isNew; ///< the state that the step yields, not the one that it starts with
  /// One for each axis; where it is summed over, the state's index of this axis, which factors
  /// depend on then.
  llvm::SmallVector<Expr, 3> indices;
  Product product;
};

struct LinearForm {
  llvm::SmallVector<StateTerm, 2> terms;
  llvm::SmallVector<Product, 2> rest;
};

/// A value of the step.
struct StepValue {
  bool dependsOnState = false;
  LinearForm form;                      ///< unless `nonlinear`
  mlir::Operation *nonlinear = nullptr; ///< the first op that makes it no linear form
};

/// An index for each axis of each state, which is no coordinate of the step; axes over one space
/// have one, so that what is written to several states in the same way is the same.
struct StateIndices {
  StateIndices(attn::RecurOp recur, ExprContext &context);
  llvm::SmallVector<llvm::SmallVector<mlir::Value>> of; ///< by state and axis
};

/// The values of one recurrence's step.
class LinearForms {
public:
  enum class View : uint8_t {
    Update,  ///< everything is brought to the states that the step starts with
    Outputs, ///< what the step yields as new states is not looked into
  };
  /// Sums over a state's axes get its index of `summed`.
  LinearForms(attn::RecurOp recur, ExprContext &context, const StateIndices &summed, View view);

  const StepValue &of(mlir::Value scalar);
  /// An element of a tensor of the step at `indices`.
  StepValue at(mlir::Value tensor, llvm::ArrayRef<Expr> indices);
  /// Whether a tensor depends on a state.
  bool dependsOnState(mlir::Value tensor);
  /// Whether a tensor depends on a state, but holds no entry of one by itself: at most its reads.
  bool holdsReads(mlir::Value tensor);

  /// Whether `term` sums over `axis` of its state.
  bool isSummed(const StateTerm &term, unsigned axis) const;

  /// Multiplied and added up.
  Expr asExpr(const Product &product);
  Expr asExpr(llvm::ArrayRef<Product> sum);
  /// `expr` as a product, taken apart at its multiplications.
  Product asProduct(Expr expr);
  Product times(const Product &x, const Product &y);
  /// Adds `product` to a list, to one of the same factors if there is one.
  void add(llvm::SmallVectorImpl<Product> &sum, const Product &product);

private:
  struct TensorForm {
    llvm::SmallVector<mlir::Value> coordinates;
    StepValue element;
  };

  StepValue evaluate(mlir::Operation *op);
  StepValue read(attn::ReadOp op);
  StepValue reduce(attn::ReduceOp op);
  StepValue sumOver(attn::ReduceOp op, StepValue value);
  StepValue select(mlir::Value condition, const StepValue &x, const StepValue &y);
  StepValue data(mlir::Value scalar);
  static StepValue nonlinear(mlir::Operation *op);
  StepValue sum(const StepValue &x, const StepValue &y, bool subtracts);
  StepValue scaled(StepValue value, const Product &factor);
  const TensorForm &formOf(mlir::Value tensor);
  TensorForm computeForm(mlir::Value tensor);
  void addTerm(llvm::SmallVectorImpl<StateTerm> &terms, const StateTerm &term);
  bool isCoordinate(mlir::Value argument);
  void addFactor(Product &product, Expr factor);

  attn::RecurOp recur;
  ExprContext &context;
  const StateIndices &summed;
  Expr one;
  llvm::DenseMap<mlir::Value, unsigned> newStates;
  llvm::DenseMap<mlir::Value, std::unique_ptr<StepValue>> values;
  llvm::DenseMap<mlir::Value, std::unique_ptr<TensorForm>> tensors;
};

} // namespace attnc

#endif // ATTNC_ANALYSIS_LINEARFORMS_H

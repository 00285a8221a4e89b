// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a reduction combines, and over which indices: what its three lowerings share.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_REDUCTIONS_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_REDUCTIONS_H

#include "Evaluator.h"

namespace attnc {

/// The indices that take part: first + i for 0 <= i < count, as far as they are below `end`.
struct ReducedRange {
  Evaluated first;   ///< i32
  Evaluated end;     ///< i32
  mlir::Value count; ///< i32, the same for all elements
  /// The most that `count` can be, if that is known.
  std::optional<int64_t> mostCount;

  /// All elements start and end at the same index, and `count` is just that far.
  bool isUniform() const { return first.frame.isScalar() && end.frame.isScalar(); }
  /// The indices are known to be so many whole tiles of `tile`: none of a tile is beyond the end.
  bool isWholeTiles(int64_t tile) const;
};

/// One kind of reduction over parts that are combined pairwise: one of value alone, or, for an
/// argmax or argmin, value and index.
class Combiner {
public:
  Combiner(mlir::OpBuilder &builder, attn::ReduceOp reduce);

  /// What no index at all comes to, one attribute for each part.
  llvm::ArrayRef<mlir::TypedAttr> neutral() const { return neutrals; }
  /// The parts of one index, from its value.
  llvm::SmallVector<mlir::Value> lift(mlir::Value value, mlir::Value index) const;
  /// The parts of both, where those of `x` come from smaller indices.
  llvm::SmallVector<mlir::Value> combine(mlir::ValueRange x, mlir::ValueRange y) const;
  /// The result, from the parts and, for a mean, the number of indices (f32).
  mlir::Value finish(mlir::ValueRange parts, mlir::Value number) const;

  bool isMean() const { return kind == attn::Reduction::Mean; }
  bool isSum() const { return kind == attn::Reduction::Sum || isMean(); }
  bool isArg() const { return kind == attn::Reduction::Argmax || kind == attn::Reduction::Argmin; }
  mlir::Value constant(mlir::TypedAttr value) const;

private:
  mlir::OpBuilder &b;
  mlir::Location loc;
  attn::Reduction kind;
  mlir::Type element; ///< of the first part
  llvm::SmallVector<mlir::TypedAttr, 2> neutrals;
};

/// The range of `reduce`; what it depends on is evaluated in `scope`.
mlir::FailureOr<ReducedRange> rangeOf(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce,
                                      Frame frame);

/// Sums of products that separate into a part over the rows and a part over the columns, by
/// `tile.dot`: a tile of the shape of `frame`. No value if this reduction is none (Products.cpp).
mlir::FailureOr<std::optional<Evaluated>> evaluateProduct(Evaluator &evaluator, Scope &scope,
                                                          attn::ReduceOp reduce,
                                                          const ReducedRange &range, Frame frame);

/// A sum or product up to, or from, an index of the tile: one scan of a tile of the shape of
/// `frame`. No value if this reduction is none (RunningReduction.cpp).
mlir::FailureOr<std::optional<Evaluated>> evaluateRunning(Evaluator &evaluator, Scope &scope,
                                                          attn::ReduceOp reduce, Frame frame);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_REDUCTIONS_H

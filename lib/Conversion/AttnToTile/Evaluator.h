// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The value of any scalar region of the language on a tile of coordinates.
//
// Every value of a region depends on some indices, and each index is a scalar of the kernel or runs
// along an axis of tiles. So a value has a smallest shape: scalar, vector along rows or columns,
// matrix. `evaluate` emits a value in that shape. Arithmetic between becomes one `tile.map`, at the
// largest shape, whose operands are what is known or worth computing in a smaller one; what does
// not depend on the index of a loop is emitted before the loop.
//
// A reduction (Reductions.cpp) of what depends on one axis at most reduces a matrix of that axis
// and the reduced one; a sum of products that separate (Products.cpp) is a `tile.dot`; anything
// else is a loop over single indices that accumulates by a map. So every region has code, and each
// of the three is a loop of the program, never one in a map's region.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_EVALUATOR_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_EVALUATOR_H

#include "Frames.h"
#include "IndexBounds.h"
#include "KernelContext.h"
#include <deque>

namespace attnc {

class Evaluator {
public:
  explicit Evaluator(KernelContext &context);

  /// Code of one element of a map, from the elements of its roots and of further tiles.
  using Finish = llvm::function_ref<mlir::Value(mlir::ValueRange roots, mlir::ValueRange extra)>;

  /// The kernel's own scope.
  Scope &top() { return kernelScope; }
  /// An axis whose tiles start at `first` (i32). It lives as long as this.
  const TileAxis *axis(mlir::Value first, int64_t tile);

  /// Emits `value` in the part of `frame` that it depends on, or gives what was emitted before.
  mlir::FailureOr<Evaluated> evaluate(Scope &scope, mlir::Value value, Frame frame);
  /// A value that depends on no axis. Fails, at its statement, if it does.
  mlir::FailureOr<mlir::Value> scalar(Scope &scope, mlir::Value value);
  /// Emits a tile of the shape of `frame` (or a scalar) of `element`: at each element `finish` of
  /// the roots' and the extra tiles' elements.
  mlir::FailureOr<mlir::Value> map(Scope &scope, mlir::Location loc, Frame frame,
                                   mlir::Type element, mlir::ValueRange roots,
                                   llvm::ArrayRef<Evaluated> extra, Finish finish);
  const Facts &factsOf(Scope &scope, mlir::Value value);
  /// Where an index of the variant is; null if `value` is none.
  const Place *placeOf(Scope &scope, mlir::Value value) const;
  /// Elements of `tensor` change from one turn to the next of the loop that `scope` is the body of:
  /// reads of it stay within.
  void changesIn(const Scope &scope, mlir::Value tensor) { changing[tensor] = scope.depth; }

  /// `value` as it is next to a tile of the shape of `frame`: turned if its axes are the other way
  /// round there.
  mlir::Value inFrame(const Evaluated &value, Frame frame);
  tile::TileType type(Frame frame, mlir::Type element) const;
  /// A tile of the shape of `frame`, or a scalar, that is `value` (a constant) everywhere.
  mlir::Value fill(mlir::Location loc, Frame frame, mlir::TypedAttr value);
  /// The size of a space (i32). Fails if nothing says it.
  mlir::FailureOr<mlir::Value> size(mlir::Operation *op, llvm::StringRef space);

  /// Emits code in the scope of `depth` around `scope`: before the loop that `scope` is in there.
  mlir::FailureOr<mlir::Value>
  before(Scope &scope, unsigned depth,
         llvm::function_ref<mlir::FailureOr<mlir::Value>(Scope &home)> emit);
  /// A loop from `from` to `to` (i32) by `step` that carries `init`; `body` emits its body in a
  /// scope of its own and gives what is carried on.
  using LoopBody = llvm::function_ref<mlir::FailureOr<llvm::SmallVector<mlir::Value>>(
      Scope &scope, mlir::Value index, mlir::ValueRange carried)>;
  mlir::FailureOr<llvm::SmallVector<mlir::Value>> loop(Scope &scope, mlir::Location loc,
                                                       mlir::Value from, mlir::Value to,
                                                       int64_t step, mlir::ValueRange init,
                                                       LoopBody body);

  KernelContext &context;
  mlir::OpBuilder &builder;

private:
  struct Plan; ///< what one map is made of

  const Evaluated *known(Scope &scope, mlir::Value value) const;
  IndexBounds boundsOfLeaf(Scope &scope, mlir::Value leaf) const;
  Facts argumentFacts(Scope &scope, mlir::Value value) const;
  Facts combinedFacts(Scope &scope, mlir::Operation *op);
  bool choosesReductions(Scope &scope, mlir::Operation *op);
  mlir::LogicalResult plan(Scope &scope, Frame frame, mlir::ValueRange roots, Plan &plan);
  mlir::LogicalResult addLeaf(Scope &scope, Frame frame, mlir::Value value, Plan &plan);
  mlir::FailureOr<llvm::SmallVector<mlir::Value>>
  emitElement(Scope &scope, const Plan &plan, mlir::ValueRange roots, mlir::ValueRange leaves,
              mlir::Value row, mlir::Value col, Frame frame);
  Scope &scopeAt(Scope &scope, unsigned depth) const;

  Scope kernelScope;
  std::deque<TileAxis> axes;
  llvm::DenseMap<mlir::Value, unsigned> changing; ///< tensors, by the depth of the scope
};

/// A reduction, in the part of `frame` that it depends on (Reductions.cpp).
mlir::FailureOr<Evaluated> evaluateReduce(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce,
                                          Frame frame);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_EVALUATOR_H

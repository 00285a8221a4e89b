// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The words in which a chunk of steps is written: the spaces that its tensors are over, tensors
// that are read by the names of their axes, and rows of data for the steps of each chunk.
#ifndef ATTNC_LIB_TRANSFORMS_CHUNKBUILDER_H
#define ATTNC_LIB_TRANSFORMS_CHUNKBUILDER_H

#include "ExprEmitter.h"
#include "NamedIndices.h"
#include "attnc/Analysis/ChunkForm.h"

namespace attnc {

/// Steps that are taken together, those of a chunk or of a part of one, and the parts that they
/// have. `row` and `column` are two names for the steps, as are `partRow` and `partColumn` for
/// those of a part and `parts` and `partsBefore` for parts.
struct ChunkLevel {
  mlir::StringAttr row, column;
  int64_t part, numParts; ///< steps of a part, and parts
  mlir::StringAttr parts, partsBefore, partRow, partColumn;
};

/// Index spaces of a chunked recurrence, which are declared for it.
struct ChunkSpaces {
  int64_t chunk; ///< steps of a chunk
  mlir::StringAttr time, chunks, row, column;
  /// Chunks, then parts: the steps of a level are those of a part of the level before. None where
  /// chunks go by halves.
  llvm::SmallVector<ChunkLevel, 2> levels;

  bool areHalved() const { return levels.empty(); }

  /// Declares spaces with names that are not taken, in front of `recur`. `chunk` is a multiple of
  /// 16 or less.
  static ChunkSpaces declare(attn::RecurOp recur, int64_t chunk, bool byHalves);
};

/// Builds stages in front of a recurrence, over its batch, its chunks and what a chunk has.
class ChunkBuilder : public FormulaBuilder {
public:
  ChunkBuilder(attn::RecurOp recur, ExprContext &context, const ChunkForm &form,
               const ChunkSpaces &spaces);

  using Axes = llvm::SmallVector<mlir::Attribute, 6>;
  using Formula = llvm::function_ref<mlir::Value(const NamedIndices &)>;

  /// A tensor of f32.
  mlir::Value tensor(llvm::ArrayRef<mlir::Attribute> axes, Formula formula);
  /// The element of `tensor` at its axes' indices.
  mlir::Value at(mlir::Value tensor, const NamedIndices &indices) {
    return readAt(*this, tensor, indices);
  }
  /// sum(term for indices of all of `axes`).
  mlir::Value sum(llvm::ArrayRef<mlir::Attribute> axes, const NamedIndices &indices, Formula term);
  /// prod(term for `from` <= index of `axis` < `end`); without an end up to the last.
  mlir::Value product(mlir::StringAttr axis, mlir::Value from, mlir::Value end,
                      const NamedIndices &indices, Formula term);
  /// The products of the entries of `tensor` along `axis` up to each, in their order.
  mlir::Value runningProduct(mlir::Value tensor, mlir::StringAttr axis);
  mlir::Value isEqual(mlir::Value x, mlir::Value y) {
    return compare(mlir::arith::CmpIPredicate::eq, x, y);
  }
  mlir::Value isLess(mlir::Value x, mlir::Value y) {
    return compare(mlir::arith::CmpIPredicate::slt, x, y);
  }
  /// Quotient and remainder of what is not negative.
  mlir::Value quotient(mlir::Value x, int64_t divisor);
  mlir::Value remainder(mlir::Value x, int64_t divisor);

  /// `axes` behind those of the batch and that of the chunks.
  Axes inChunks(llvm::ArrayRef<mlir::Attribute> axes = {}) const;
  /// The names of axes of a state.
  Axes axesOf(unsigned state, llvm::ArrayRef<unsigned> axes) const;

  /// The batch spaces that `data` depends on.
  Axes batchOf(Expr data);
  /// `data`, which is over axes of a state, for the steps of each chunk: over the batch spaces that
  /// it depends on, chunks, rows and these axes; `fill` in steps behind the last one.
  mlir::Value rows(Expr data, unsigned state, double fill);
  /// A tensor of the step, or one outside, for all steps: over the batch, time and its axes.
  mlir::Value lifted(mlir::Value tensor);
  /// Reads of `placeholder` become reads of `rows`: over the batch, chunks, rows and its own axes.
  void setRows(mlir::Value placeholder, mlir::Value rows) { reads[placeholder] = rows; }

  attn::RecurOp recur;
  ExprContext &context;
  const ChunkForm &form;
  const ChunkSpaces spaces;

private:
  mlir::Value emit(Expr expr, ExprBindings &bindings);
  TensorPlace placeOf(mlir::Value tensor, ExprBindings &bindings);
  ExprBindings bindingsAt(const NamedIndices &indices, mlir::Value time);
  mlir::Value liftedRows(mlir::Operation *op);
  /// Tensors of the step that `expr` reads, but for placeholders.
  llvm::SmallVector<mlir::Value> stepTensorsOf(Expr expr);

  llvm::SmallVector<mlir::Attribute> batch;
  std::map<std::pair<Expr, double>, mlir::Value> known;
  llvm::DenseMap<mlir::Value, mlir::Value> liftedTensors, reads;
};

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_CHUNKBUILDER_H

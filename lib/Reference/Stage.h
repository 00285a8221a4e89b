// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One op of a variant, ready to run: its regions are compiled once, and `run` may be called for
// each step of a recurrence.
#ifndef ATTNC_LIB_REFERENCE_STAGE_H
#define ATTNC_LIB_REFERENCE_STAGE_H

#include "Program.h"

namespace attnc::reference {

class Stage {
public:
  virtual ~Stage() = default;
  /// Reads operands from `memory` and writes results to it.
  virtual void run(Memory &memory) const = 0;
};

using StageResult = llvm::Expected<std::unique_ptr<Stage>>;

StageResult makeCompute(attn::ComputeOp op, const Environment &environment);
StageResult makeRowFunction(mlir::Operation *op, const Environment &environment);
StageResult makeScan(attn::ScanOp op, const Environment &environment);
StageResult makeSolve(attn::SolveOp op, const Environment &environment);
StageResult makeInvert(attn::InvertOp op, const Environment &environment);
StageResult makeSelect(attn::SelectOp op, const Environment &environment);
StageResult makeMerge(attn::MergeOp op, const Environment &environment);
StageResult makeChoose(attn::ChooseOp op, const Environment &environment);
StageResult makeQuantize(attn::QuantizeOp op, const Environment &environment);
StageResult makeAttend(attn::AttendOp op, const Environment &environment);
StageResult makeRecur(attn::RecurOp op, const Environment &environment);

/// The stages of `block`, in order. Scalars are left to the programs that use them.
llvm::Expected<std::vector<std::unique_ptr<Stage>>> makeStages(mlir::Block &block,
                                                               const Environment &environment);

/// Iterates over the rows of a tensor along some of its axes.
class Rows {
public:
  Rows(attn::AttnTensorType type, const Environment &environment,
       llvm::ArrayRef<llvm::StringRef> spaces);
  int64_t getNumRows() const { return elementsOf(outerShape); }
  int64_t getLength() const { return elementsOf(innerShape); }
  /// Index of the first element of a row.
  int64_t base(int64_t row) const { return offset(row, outerShape, outerStrides); }
  /// Distance of element `i` from the first one.
  int64_t step(int64_t i) const { return offset(i, innerShape, innerStrides); }
  /// The row's index in a tensor over some of the other axes.
  int64_t project(int64_t row, attn::AttnTensorType onto) const;
  /// Whether `stage`, which goes over these rows, has to compute this one.
  bool isWanted(int64_t row, mlir::Operation *stage) const;

private:
  static int64_t offset(int64_t index, const std::vector<int64_t> &shape,
                        const std::vector<int64_t> &strides);
  const Environment &environment;
  std::vector<std::string> outerNames;
  std::vector<int64_t> outerShape, outerStrides, innerShape, innerStrides;
};

/// What a stage decides for each element of a tensor, in every step of the recurrences around it.
class TensorDecision {
public:
  /// Does nothing where nobody asks for decisions.
  llvm::Error prepare(mlir::Operation *op, const Environment &environment,
                      std::vector<int64_t> shape, llvm::StringRef part = "",
                      llvm::ArrayRef<unsigned> rowAxes = {});
  /// The place of the first element in the present step.
  int64_t base(const Memory &memory) const;
  double decide(int64_t place, double own, double key) const {
    return site ? site->decide(place, own, key) : own;
  }
  bool isRecorded() const { return site && site->isRecorded(); }
  /// Says what the row of a cover that begins at element `first` is held to; call if it is
  /// recorded.
  void recordCover(const Memory &memory, int64_t first, const CoverRow &row) const {
    site->recordCover(base(memory) + first, row);
  }
  /// Decides all elements of `tensor` from those of `keys`.
  void apply(const Memory &memory, const Tensor64 &keys, Tensor64 &tensor) const;

private:
  const DecisionSite *site = nullptr;
  std::vector<Coordinate> around;
  int64_t elements = 0;
};

/// `value` rounded to a storage format; ints round to whole numbers. Saturates at the largest
/// number of the format.
double roundToFormat(double value, attn::Format format,
                     attn::Rounding rounding = attn::Rounding::HalfEven);

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_STAGE_H

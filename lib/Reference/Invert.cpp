// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.invert, a column of the inverse at a time, by forward substitution.
#include "Stage.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

namespace {
class InvertStage : public Stage {
public:
  InvertStage(attn::InvertOp op, const Environment &environment)
      : op(op), environment(environment), type(op.getMatrix().getType()),
        columns(type, environment, op.getRow()) {}

  llvm::Error prepare() {
    int64_t row = environment.sizeOf(op.getRow()), column = environment.sizeOf(op.getColumn());
    if (row == column)
      return llvm::Error::success();
    return llvm::createStringError(
        llvm::formatv("a triangular matrix needs as many rows as columns, found {0} of `{1}` and "
                      "{2} of `{3}`",
                      row, op.getRow(), column, op.getColumn()));
  }

  void run(Memory &memory) const override {
    const Tensor64 &matrix = memory.tensor(op.getMatrix());
    Tensor64 &result = memory.allocate(op.getResult(), matrix.shape);
    MLIRContext *context = op.getContext();
    auto columnOnly =
        attn::AttnTensorType::get(context, {Attribute(op.getColumnAttr())}, type.getElementType());
    int64_t columnStride = 1;
    for (unsigned i = 0; i < type.getRank(); ++i)
      if (type.getAxisName(i) == op.getColumn())
        columnStride = strideOf(matrix.shape, i);
    parallelFor(columns.getNumRows(), environment.numThreads, [&](int64_t first, int64_t last) {
      for (int64_t unknowns = first; unknowns < last; ++unknowns) {
        int64_t base = columns.base(unknowns), own = columns.project(unknowns, columnOnly);
        auto x = [&](int64_t i) -> double & {
          return result.data[static_cast<size_t>(base + columns.step(i))];
        };
        for (int64_t i = 0; i < columns.getLength(); ++i)
          x(i) = withArithmetic(environment.options, [&](auto a) {
            double sum = i == own ? 1 : 0;
            for (int64_t k = own; k < i; ++k) {
              int64_t entry = base + columns.step(i) + (k - own) * columnStride;
              sum = a.partial(sum + a.result(matrix.data[static_cast<size_t>(entry)] * x(k)));
            }
            return i <= own + 1 ? sum : a.sum(sum, i - own);
          });
      }
    });
  }

private:
  mutable attn::InvertOp op; // a handle; accessors are not const
  const Environment &environment;
  attn::AttnTensorType type;
  Rows columns; ///< the unknowns of one system: a column of the inverse
};
} // namespace

StageResult attnc::reference::makeInvert(attn::InvertOp op, const Environment &environment) {
  auto stage = std::make_unique<InvertStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}

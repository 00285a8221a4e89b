// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-expand-softmax: a softmax as formulas.
//
//   shift[r]  = max(x[r, i] for i), or 0 where that is -inf
//   sum[r]    = sum(exp(x[r, i] - shift[r]) for i)
//   y[r, i]   = exp(x[r, i] - shift[r]) / sum[r], or 0 where that sum is 0
//
// Entries of -inf are exponentials of -inf, which are 0; a row of nothing else sums to 0, and so
// does one without entries. Any other row has an entry whose exponential is 1, or a NaN, which
// comes out of the maximum and goes into all of the row.
#include "FormulaBuilder.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPANDSOFTMAX
#include "attnc/Transforms/Passes.h.inc"

namespace {

Value expand(attn::SoftmaxOp softmax) {
  FormulaBuilder b(softmax);
  RowView rows(softmax.getTensor(), softmax.getSpace());
  IndexRange range{rows.getSpace()};
  Type real = b.getF32Type();
  Value shift = b.compute(rows.getOuterAxes(), real, [&](ValueRange row) {
    Value maximum = b.reduce(attn::Reduction::Max, range,
                             [&](Value index) { return Term{rows.read(b, row, index), {}}; });
    Value lowest = b.real(-std::numeric_limits<double>::infinity());
    Value isEmpty = b.compare(arith::CmpFPredicate::OEQ, maximum, lowest);
    return b.select(isEmpty, b.real(0), maximum);
  });
  auto exponential = [&](ValueRange row, Value index) -> Value {
    Value distance = b.sub(rows.read(b, row, index), b.read(shift, row));
    return math::ExpOp::create(b, distance);
  };
  Value sums = b.compute(rows.getOuterAxes(), real, [&](ValueRange row) {
    return b.reduce(attn::Reduction::Sum, range,
                    [&](Value index) { return Term{exponential(row, index), {}}; });
  });
  return b.compute(softmax.getResult().getType(), [&](ValueRange indices) {
    SmallVector<Value> row = rows.rowOf(indices);
    Value sum = b.read(sums, row), zero = b.real(0);
    Value weight = b.div(exponential(row, rows.alongOf(indices)), sum);
    return b.select(b.compare(arith::CmpFPredicate::OEQ, sum, zero), zero, weight);
  });
}

struct AttnExpandSoftmax : impl::AttnExpandSoftmaxBase<AttnExpandSoftmax> {
  using AttnExpandSoftmaxBase::AttnExpandSoftmaxBase;

  void runOnOperation() override {
    getOperation().walk([&](attn::SoftmaxOp softmax) {
      if (!isOverSpaces(softmax.getResult().getType()))
        return;
      softmax.getResult().replaceAllUsesWith(expand(softmax));
      softmax.erase();
      ++numExpanded;
    });
  }
};

} // namespace
} // namespace attnc

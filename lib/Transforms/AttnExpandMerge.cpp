// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-expand-merge: a merge of branches as formulas.
//
//   shift[r]  = max(lse_1[r], lse_2[r], ...), or 0 where that is -inf
//   w_i[r]    = exp(lse_i[r] - shift[r])
//   out[r, e] = sum(w_i[r] * out_i[r, e] for i if w_i[r] is not 0) / sum(w_i[r] for i)
//   lse[r]    = shift[r] + ln(sum(w_i[r] for i))
//
// Where all branches have -inf the weights are 0: out is 0, and lse is ln 0. A branch without
// weight takes no part, so that what it holds there, NaN say, does not matter. Weights are relative
// to the maximum and not to lse, whose own rounding would be one of all weights.
#include "FormulaBuilder.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPANDMERGE
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// The branches of a merge at one row.
struct Branches {
  Value shift;                ///< what the weights' logarithms are relative to
  Value sum;                  ///< of the weights
  SmallVector<Value> weights; ///< one to a branch

  Branches(FormulaBuilder &b, attn::MergeOp merge, ValueRange row) {
    SmallVector<Value> lses;
    for (Value lse : merge.getLses())
      lses.push_back(b.read(lse, row));
    Value maximum = lses.front();
    for (Value lse : ArrayRef(lses).drop_front())
      maximum = arith::MaximumFOp::create(b, maximum, lse);
    Value lowest = b.real(-std::numeric_limits<double>::infinity());
    Value isEmpty = b.compare(arith::CmpFPredicate::OEQ, maximum, lowest);
    shift = b.select(isEmpty, b.real(0), maximum);
    for (Value lse : lses) {
      weights.push_back(math::ExpOp::create(b, b.sub(lse, shift)));
      sum = sum ? b.add(sum, weights.back()) : weights.back();
    }
  }
};

Value expandOut(FormulaBuilder &b, attn::MergeOp merge) {
  return b.compute(merge.getOut().getType(), [&](ValueRange indices) {
    Branches branches(b, merge, indices.drop_back());
    Value zero = b.real(0), total;
    for (auto [out, weight] : llvm::zip_equal(merge.getOuts(), branches.weights)) {
      Value isAbsent = b.compare(arith::CmpFPredicate::OEQ, weight, zero);
      Value part = b.select(isAbsent, zero, b.mul(weight, b.read(out, indices)));
      total = total ? b.add(total, part) : part;
    }
    Value isEmpty = b.compare(arith::CmpFPredicate::OEQ, branches.sum, zero);
    return b.select(isEmpty, zero, b.div(total, branches.sum));
  });
}

Value expandLse(FormulaBuilder &b, attn::MergeOp merge) {
  return b.compute(merge.getLse().getType(), [&](ValueRange row) {
    Branches branches(b, merge, row);
    return b.add(branches.shift, math::LogOp::create(b, branches.sum));
  });
}

struct AttnExpandMerge : impl::AttnExpandMergeBase<AttnExpandMerge> {
  using AttnExpandMergeBase::AttnExpandMergeBase;

  void runOnOperation() override {
    getOperation().walk([&](attn::MergeOp merge) {
      if (!isOverSpaces(merge.getOut().getType()))
        return;
      FormulaBuilder b(merge);
      if (!merge.getOut().use_empty())
        merge.getOut().replaceAllUsesWith(expandOut(b, merge));
      if (!merge.getLse().use_empty())
        merge.getLse().replaceAllUsesWith(expandLse(b, merge));
      merge.erase();
      ++numExpanded;
    });
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-copy-reused: outputs that reuse an input are written when nothing reads the input any more.
// Most states of recurrences are so as they are (Reuse.h); of anything else there is a copy, which
// is made last.
#include "FormulaBuilder.h"
#include "attnc/Analysis/Reuse.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNCOPYREUSED
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// A copy of `tensor` with elements of `element`, in front of `end`.
Value copyOf(Value tensor, Type element, attn::ReturnOp end) {
  FormulaBuilder b(end);
  b.setLoc(tensor.getLoc());
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  return b.compute(attn::AttnTensorType::get(b.getContext(), type.getAxes(), element),
                   [&](ValueRange indices) { return b.read(tensor, indices); });
}

struct AttnCopyReused : impl::AttnCopyReusedBase<AttnCopyReused> {
  using AttnCopyReusedBase::AttnCopyReusedBase;

  void runOnOperation() override {
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>())
      copyIn(variant);
  }

private:
  void copyIn(attn::VariantOp variant) {
    auto end = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
    SmallVector<unsigned> copied;
    for (unsigned number = 0; number < end.getNames().size(); ++number)
      if (needsCopy(end, number))
        copied.push_back(number);
    // An input is read before the copies are made: another one of them may take its place.
    for (unsigned number : copied)
      if (Value output = end.getValues()[number]; output.getDefiningOp<attn::InputOp>())
        end.getValuesMutable()[number].set(copyOf(output, elementOf(output), end));
    for (unsigned number : copied) {
      Value output = end.getValues()[number];
      Value copy = copyOf(output, elementOf(output), end);
      copy.getDefiningOp()->setAttr(lastAttr, UnitAttr::get(variant.getContext()));
      end.getValuesMutable()[number].set(copy);
      ++numCopied;
    }
  }

  static Type elementOf(Value tensor) {
    return cast<attn::AttnTensorType>(tensor.getType()).getElementType();
  }
};

} // namespace
} // namespace attnc

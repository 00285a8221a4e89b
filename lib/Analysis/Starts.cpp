// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attnc/Analysis/Starts.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

std::optional<double> attnc::constantStart(Operation *stage) {
  auto compute = dyn_cast_or_null<attn::ComputeOp>(stage);
  if (!compute || compute->use_empty() || !compute.getType().getElementType().isF32())
    return std::nullopt;
  auto yield = cast<attn::YieldOp>(compute.getBody().front().getTerminator());
  llvm::APFloat number(0.0f);
  if (!matchPattern(yield.getValue(), m_ConstantFloat(&number)))
    return std::nullopt;
  for (OpOperand &use : compute->getUses()) {
    auto recur = dyn_cast<attn::RecurOp>(use.getOwner());
    if (!recur || !llvm::is_contained(recur.getInit(), use.get()))
      return std::nullopt;
  }
  return number.convertToDouble();
}

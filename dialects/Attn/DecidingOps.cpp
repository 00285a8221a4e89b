// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See DecidingOps.h.
#include "dialects/Attn/DecidingOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace attnc::attn;
using namespace mlir;

bool attnc::attn::decidesScalar(Operation *op) {
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return reduce.getKind() == Reduction::Argmax || reduce.getKind() == Reduction::Argmin;
  return isa<arith::CmpFOp, arith::FPToSIOp, math::FloorOp, math::CeilOp, math::RoundEvenOp>(op);
}

DecisionNames::DecisionNames(Operation *variant) {
  variant->walk<WalkOrder::PreOrder>(
      [&](Operation *op) { numbers.try_emplace(op, static_cast<unsigned>(numbers.size())); });
}

std::string DecisionNames::of(Operation *op, llvm::StringRef part) const {
  return (llvm::Twine(numbers.lookup(op)) + " " + op->getName().getStringRef() +
          (part.empty() ? "" : " " + part))
      .str();
}

std::string DecisionNames::outputOf(Operation *op) const {
  return "decision_" + std::to_string(numbers.lookup(op));
}

llvm::StringRef DecisionNames::partOf(Operation *op) {
  auto select = dyn_cast<SelectOp>(op);
  return select && select.getRule() != Selection::Top ? "cover" : "";
}

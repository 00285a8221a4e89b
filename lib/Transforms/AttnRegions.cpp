// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See AttnRegions.h.
#include "AttnRegions.h"

using namespace mlir;
using namespace attnc;

bool attnc::isOwnIndex(Value value, attn::AttnTensorType type, unsigned axis) {
  auto argument = dyn_cast<BlockArgument>(value);
  StringRef name = type.getAxisName(axis);
  return argument && !name.empty() && spaceOf(argument) == name;
}

BackwardSlice attnc::sliceOf(Operation *op, Operation *root) {
  BackwardSlice slice;
  SmallVector<Operation *> open{op};
  llvm::SetVector<Operation *> found;
  while (!open.empty()) {
    Operation *next = open.pop_back_val();
    next->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands()) {
        Region *home = operand.getParentRegion();
        if (!root->isProperAncestor(home->getParentOp()) && home->getParentOp() != root)
          continue; // from outside
        if (next->isAncestor(home->getParentOp()))
          continue; // its own
        if (auto argument = dyn_cast<BlockArgument>(operand))
          slice.arguments.insert(argument);
        else if (found.insert(operand.getDefiningOp()))
          open.push_back(operand.getDefiningOp());
      }
    });
  }
  // In order: an op of an outer region stands before those of inner ones that use it.
  root->walk<WalkOrder::PreOrder>([&](Operation *inner) {
    if (found.contains(inner))
      slice.ops.insert(inner);
  });
  return slice;
}

void attnc::inlineAt(attn::ReadOp read, attn::ComputeOp compute) {
  OpBuilder builder(read);
  IRMapping mapping;
  Block &body = compute.getBody().front();
  mapping.map(body.getArguments(), read.getIndices());
  for (Operation &op : body.without_terminator())
    builder.clone(op, mapping);
  read.replaceAllUsesWith(mapping.lookupOrDefault(body.getTerminator()->getOperand(0)));
  read.erase();
}

void attnc::eraseDeadIn(Operation *stage) {
  SmallVector<Operation *> ops;
  stage->walk<WalkOrder::PreOrder>([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : llvm::reverse(ops))
    if (op != stage && isOpTriviallyDead(op))
      op->erase();
}

bool attnc::storesExactly(attn::AttnTensorType type) {
  return type.getElementType().isF32() || type.getElementType().isInteger(32) ||
         type.getElementType().isInteger(1);
}

bool attnc::isReadByManyStages(Value tensor) {
  constexpr unsigned kMany = 4;
  llvm::SmallDenseSet<Operation *> stages;
  for (Operation *user : tensor.getUsers())
    if (isa<attn::ReadOp>(user) && isa<attn::ComputeOp>(user->getParentOp()))
      stages.insert(user->getParentOp());
  return stages.size() >= kMany;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See AttnRegions.h.
#include "AttnRegions.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;

/// The spaces of the arguments of an attention's region: its outer axes, its rows and, unless it is
/// the sink, its keys; a score region has the score before them.
static StringRef spaceInAttend(attn::AttendOp attend, BlockArgument argument) {
  Region *region = argument.getOwner()->getParent();
  if (region != &attend.getScore() && region != &attend.getMask() && region != &attend.getSink())
    return {};
  attn::AttnTensorType query = attend.getQuery().getType(), key = attend.getKey().getType();
  unsigned leading = region == &attend.getScore() ? 1 : 0, number = argument.getArgNumber();
  if (number < leading)
    return {};
  unsigned index = number - leading, rows = query.getRank() - 1;
  if (index < rows)
    return query.getAxisName(index);
  return index == rows ? key.getAxisName(key.getRank() - 2) : StringRef();
}

StringRef attnc::spaceOf(BlockArgument argument) {
  return llvm::TypeSwitch<Operation *, StringRef>(argument.getOwner()->getParentOp())
      .Case<attn::ComputeOp>([&](attn::ComputeOp compute) {
        return compute.getResult().getType().getAxisName(argument.getArgNumber());
      })
      .Case<attn::ReduceOp>([](attn::ReduceOp reduce) { return reduce.getSpace(); })
      .Case<attn::AttendOp>([&](attn::AttendOp attend) { return spaceInAttend(attend, argument); })
      .Default([](Operation *) { return StringRef(); });
}

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

bool attnc::storesExactly(attn::AttnTensorType type) {
  return type.getElementType().isF32() || type.getElementType().isInteger(32) ||
         type.getElementType().isInteger(1);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements: the order in which scalar code is emitted. ScalarOps.cpp says what each op becomes.
#include "ScalarOps.h"

using namespace mlir;
using namespace attnc;

/// The indices that are scalars for all of the kernel: of the axes over the grid that programs have
/// one index of.
static SmallVector<Index> programIndices(const Domain &domain) {
  SmallVector<Index> indices;
  for (const Axis *axis : domain.axes().gridAxes())
    if (!axis->isTile() || axis->used == 1)
      indices.push_back({axis->name, domain.first(axis->name)});
  return indices;
}

Elements::Elements(KernelContext &context) : context(context), scalars(context.params) {}

/// Each value once, after what it is computed from, and without recursion: values are shared, and
/// can be computed through as many ops as a spec has.
FailureOr<Value> Elements::scalar(Value root) {
  SmallVector<Index> indices = programIndices(context.domain);
  SmallVector<Value> open{root};
  while (!open.empty()) {
    Value value = open.back();
    if (scalars.contains(value)) {
      open.pop_back();
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (!op || isa<attn::AttnTensorType>(value.getType()))
      return emitError(value.getLoc(), "a tensor, or what differs from row to row, is used where "
                                       "one number for all of them is needed");
    size_t waiting = open.size();
    for (Value operand : op->getOperands())
      if (!isa<attn::AttnTensorType>(operand.getType()) && !scalars.contains(operand))
        open.push_back(operand);
    if (open.size() != waiting)
      continue;
    FailureOr<Value> result = lowerScalarOp(op, {context, scalars, indices});
    if (failed(result))
      return failure();
    scalars.map(value, *result);
  }
  return scalars.lookup(root);
}

LogicalResult Elements::hoist(Region &region, ArrayRef<Index> indices) {
  if (region.empty())
    return success();
  for (auto [argument, index] : llvm::zip(region.getArguments().take_back(indices.size()), indices))
    if (index.isScalar)
      scalars.map(argument, index.value);
  WalkResult walk = region.walk([&](Operation *op) -> WalkResult {
    for (Value operand : op->getOperands()) {
      bool isOwn = region.isAncestor(operand.getParentRegion());
      if (!isOwn && !isa<attn::AttnTensorType>(operand.getType()) && failed(scalar(operand)))
        return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return failure(walk.wasInterrupted());
}

FailureOr<Value> Elements::at(Region &region, ValueRange leading, ArrayRef<Index> indices) {
  IRMapping values = scalars;
  Block &block = region.front();
  values.map(block.getArguments().take_front(leading.size()), leading);
  for (auto [argument, index] :
       llvm::zip_equal(block.getArguments().drop_front(leading.size()), indices))
    values.map(argument, index.value);
  for (Operation &op : block.without_terminator()) {
    FailureOr<Value> result = lowerScalarOp(&op, {context, values, indices});
    if (failed(result))
      return failure();
    values.map(op.getResult(0), *result);
  }
  return values.lookup(block.getTerminator()->getOperand(0));
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-hoist-reductions: a reduction is computed once for each index that it depends on.
//
// In the formula of a compute, a reduction runs for each of the compute's coordinates and, if it
// stands in another reduction, for each of its indices. Where it depends on some of them only, it
// becomes a tensor over these, and the formula reads it there:
//
//   unit[kv, d] = K[kv, d] / sqrt(sum(K[kv, i] * K[kv, i] for i))        a sum for each kv and d
//
//   norm[kv]    = sum(K[kv, i] * K[kv, i] for i)                         a sum for each kv
//   unit[kv, d] = K[kv, d] / sqrt(norm[kv])
#include "AttnRegions.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNHOISTREDUCTIONS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Indices around `reduce`, from `compute` inwards.
SmallVector<BlockArgument> indicesAround(attn::ReduceOp reduce, attn::ComputeOp compute) {
  SmallVector<BlockArgument> indices(compute.getBody().getArguments());
  for (Operation *op = reduce->getParentOp(); op != compute; op = op->getParentOp())
    indices.push_back(cast<attn::ReduceOp>(op).getBody().getArgument(0));
  return indices;
}

/// Whether a tensor can be over `indices`: spaces of different names, each run through as a whole.
bool canBeAxes(ArrayRef<BlockArgument> indices) {
  llvm::SmallDenseSet<StringRef> names;
  return llvm::all_of(indices, [&](BlockArgument index) {
    auto reduce = dyn_cast<attn::ReduceOp>(index.getOwner()->getParentOp());
    return (!reduce || !reduce.getBlock()) && names.insert(spaceOf(index)).second;
  });
}

/// A reduction of the formula of `compute` that does not depend on all indices around it.
attn::ReduceOp findInvariant(attn::ComputeOp compute) {
  attn::ReduceOp found;
  compute.getBody().walk<WalkOrder::PreOrder>([&](attn::ReduceOp reduce) {
    BackwardSlice slice = sliceOf(reduce, compute);
    if (slice.arguments.size() < indicesAround(reduce, compute).size() &&
        canBeAxes(slice.arguments.getArrayRef())) {
      found = reduce;
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return found;
}

/// A compute before `compute` whose elements are the values of `reduce`, which is replaced by reads
/// of it.
attn::ComputeOp hoist(attn::ReduceOp reduce, attn::ComputeOp compute) {
  BackwardSlice slice = sliceOf(reduce, compute);
  SmallVector<BlockArgument> axes;
  for (BlockArgument index : indicesAround(reduce, compute))
    if (slice.arguments.contains(index))
      axes.push_back(index);

  OpBuilder builder(compute);
  SmallVector<Attribute> names;
  for (BlockArgument axis : axes)
    names.push_back(builder.getStringAttr(spaceOf(axis)));
  auto type = attn::AttnTensorType::get(builder.getContext(), names, reduce.getType());
  auto hoisted = attn::ComputeOp::create(builder, reduce.getLoc(), type);
  {
    OpBuilder::InsertionGuard guard(builder);
    Block *body = builder.createBlock(&hoisted.getBody());
    IRMapping mapping;
    for (BlockArgument axis : axes)
      mapping.map(axis, body->addArgument(builder.getI32Type(), axis.getLoc()));
    for (Operation *op : slice.ops)
      builder.clone(*op, mapping);
    Value value = builder.clone(*reduce, mapping)->getResult(0);
    attn::YieldOp::create(builder, reduce.getLoc(), value);
  }
  builder.setInsertionPoint(reduce);
  SmallVector<Value> indices(axes.begin(), axes.end());
  auto read = attn::ReadOp::create(builder, reduce.getLoc(), reduce.getType(), hoisted.getResult(),
                                   indices);
  reduce.replaceAllUsesWith(read.getResult());
  reduce.erase();
  return hoisted;
}

struct AttnHoistReductions : impl::AttnHoistReductionsBase<AttnHoistReductions> {
  using AttnHoistReductionsBase::AttnHoistReductionsBase;

  void runOnOperation() override {
    SmallVector<attn::ComputeOp> open;
    getOperation().walk([&](attn::ComputeOp compute) { open.push_back(compute); });
    while (!open.empty()) {
      attn::ComputeOp compute = open.pop_back_val();
      bool changed = false;
      while (attn::ReduceOp reduce = findInvariant(compute)) {
        open.push_back(hoist(reduce, compute)); // a reduction in it may be invariant again
        ++numHoisted;
        changed = true;
      }
      if (changed)
        eraseDeadIn(compute); // what was computed for the reduction alone
    }
  }
};

} // namespace
} // namespace attnc

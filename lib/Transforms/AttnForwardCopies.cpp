// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-forward-copies: who reads a copy reads what it is a copy of.
//
// A compute whose formula is one read is a copy if each index of the read is one of the compute's
// own coordinates, at an axis over the same space, or the same for the whole copy (a slice). Then
// element [i, j] of the copy is element [j, i, 0] of the source, say, and so it is for indices that
// are clamped: both tensors have the same indices along the axis.
#include "AttnRegions.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNFORWARDCOPIES
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// The read that `compute` copies by, if it is a copy.
attn::ReadOp copyOf(attn::ComputeOp compute) {
  Block &body = compute.getBody().front();
  auto read = body.getTerminator()->getOperand(0).getDefiningOp<attn::ReadOp>();
  if (!read || read->getParentOp() != compute)
    return {};
  attn::AttnTensorType source = read.getTensor().getType(), copy = compute.getResult().getType();
  if (!storesExactly(copy) && copy.getElementType() != source.getElementType())
    return {}; // what it stores is rounded
  for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
    if (isOwnIndex(index, source, axis) && index.getParentBlock() == &body)
      continue;
    Operation *definition = index.getDefiningOp();
    bool isOutside = !compute->isAncestor(index.getParentBlock()->getParentOp());
    if (!isOutside && (!definition || !sliceOf(definition, compute).arguments.empty()))
      return {};
  }
  return read;
}

/// Whether the copy has the source's elements in the source's order.
bool isIdentity(attn::ComputeOp compute, attn::ReadOp read) {
  if (read.getTensor().getType() != compute.getResult().getType())
    return false;
  for (auto [axis, index] : llvm::enumerate(read.getIndices()))
    if (index != compute.getBody().getArgument(axis))
      return false;
  return true;
}

/// `user`, which reads the copy, reads the source instead.
void forward(attn::ReadOp user, attn::ComputeOp compute, attn::ReadOp read) {
  OpBuilder builder(user);
  IRMapping mapping;
  mapping.map(compute.getBody().getArguments(), user.getIndices());
  SmallVector<Value> indices;
  for (Value index : read.getIndices()) {
    Operation *definition = index.getDefiningOp();
    if (definition && compute->isAncestor(definition) && !mapping.contains(index)) {
      for (Operation *op : sliceOf(definition, compute).ops)
        if (!mapping.contains(op->getResult(0)))
          builder.clone(*op, mapping);
      builder.clone(*definition, mapping);
    }
    indices.push_back(mapping.lookupOrDefault(index));
  }
  auto direct =
      attn::ReadOp::create(builder, user.getLoc(), user.getType(), read.getTensor(), indices);
  user.replaceAllUsesWith(direct.getResult());
  user.erase();
}

struct AttnForwardCopies : impl::AttnForwardCopiesBase<AttnForwardCopies> {
  using AttnForwardCopiesBase::AttnForwardCopiesBase;

  void runOnOperation() override {
    // In order: a copy of a copy reads the first source by the time it is looked at.
    getOperation().walk<WalkOrder::PreOrder>([&](attn::ComputeOp compute) {
      attn::ReadOp read = copyOf(compute);
      if (!read)
        return;
      ++numCopies;
      if (isIdentity(compute, read))
        compute.getResult().replaceAllUsesWith(read.getTensor());
      for (Operation *user : llvm::make_early_inc_range(compute.getResult().getUsers()))
        if (auto reader = dyn_cast<attn::ReadOp>(user))
          forward(reader, compute, read);
      dead.push_back(compute);
    });
    for (attn::ComputeOp compute : llvm::reverse(dead))
      if (compute.use_empty())
        compute.erase();
    dead.clear();
  }

  SmallVector<attn::ComputeOp> dead;
};

} // namespace
} // namespace attnc

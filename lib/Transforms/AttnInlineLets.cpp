// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-inline-lets: what has an element for each pair of rows is computed where it is read.
//
// A tensor over two row axes, [b, h, q, kv] say, grows with the square of the length; in memory it
// would cost more than all else. Where its formula is cheap, or is read in one place that is
// evaluated no more often than the tensor has elements, the formula takes the place of the reads,
// unless it decides something by reals that it computes:
//
//   bias[b, h, q, kv] = slope[h] * (kv - q);   score + bias[b, h, q, kv]
//   score + slope[h] * (kv - q)
#include "AttnRegions.h"
#include "attnc/Analysis/Stages.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNINLINELETS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Ops of a formula that are evaluated in several places rather than stored.
constexpr unsigned kCheapOps = 16;

bool isScoreSized(attn::ComputeOp compute) {
  attn::AttnTensorType type = compute.getResult().getType();
  unsigned rows = 0;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    rows += isRowSpace(compute, type.getAxisName(axis));
  return rows >= 2;
}

bool isCheap(attn::ComputeOp compute) {
  unsigned ops = 0;
  WalkResult walk = compute.getBody().walk([&](Operation *op) {
    if (isa<attn::ReduceOp, attn::UniformOp>(op) || ++ops > kCheapOps)
      return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return !walk.wasInterrupted();
}

/// Whether the formula decides by reals that it computes: it compares or truncates them, or takes
/// the place of an extremum. Such a decision is taken once: the formula in two kernels might round
/// differently. What is read from memory, or constant, is the same in both.
bool decidesByReals(attn::ComputeOp compute) {
  auto isKnown = [](Value operand) {
    return operand.getDefiningOp<attn::ReadOp>() || matchPattern(operand, m_Constant());
  };
  WalkResult walk = compute.getBody().walk([&](Operation *op) {
    bool isPlace = isa<attn::ReduceOp>(op) && !isa<FloatType>(op->getResult(0).getType());
    bool isStep = isa<arith::CmpFOp, arith::FPToSIOp>(op);
    return isPlace || (isStep && !llvm::all_of(op->getOperands(), isKnown))
               ? WalkResult::interrupt()
               : WalkResult::advance();
  });
  return walk.wasInterrupted();
}

/// The reads that are all there is of uses of `compute`, each at coordinates of its own; none if
/// there are other uses.
SmallVector<attn::ReadOp> replaceableReads(attn::ComputeOp compute) {
  SmallVector<attn::ReadOp> reads;
  for (Operation *user : compute.getResult().getUsers()) {
    auto read = dyn_cast<attn::ReadOp>(user);
    if (!read)
      return {};
    for (auto [axis, index] : llvm::enumerate(read.getIndices()))
      if (!isOwnIndex(index, read.getTensor().getType(), axis))
        return {}; // it would have to be clamped
    reads.push_back(read);
  }
  return reads;
}

/// How many indices `read` is evaluated for each of, from the stage around it inwards.
unsigned indicesAround(attn::ReadOp read) {
  unsigned count = 0;
  for (Operation *op = read->getParentOp(); op; op = op->getParentOp()) {
    Region *region = nullptr;
    for (Region &candidate : op->getRegions())
      if (candidate.isAncestor(read->getParentRegion()))
        region = &candidate;
    for (BlockArgument argument : region->getArguments())
      count += !spaceOf(argument).empty();
    if (!isa<attn::ReduceOp>(op))
      break;
  }
  return count;
}

struct AttnInlineLets : impl::AttnInlineLetsBase<AttnInlineLets> {
  using AttnInlineLetsBase::AttnInlineLetsBase;

  void runOnOperation() override {
    // In order: what a let reads is in it by the time that the let is looked at.
    SmallVector<attn::ComputeOp> lets;
    getOperation().walk([&](attn::ComputeOp compute) { lets.push_back(compute); });
    for (attn::ComputeOp compute : lets) {
      if (!isScoreSized(compute) || !storesExactly(compute.getResult().getType()) ||
          decidesByReals(compute))
        continue;
      SmallVector<attn::ReadOp> reads = replaceableReads(compute);
      auto isOnce = [&](attn::ReadOp read) {
        return indicesAround(read) == compute.getResult().getType().getRank();
      };
      if (reads.empty() || !(isCheap(compute) || (reads.size() == 1 && isOnce(reads.front()))))
        continue;
      for (attn::ReadOp read : reads)
        inlineAt(read, compute);
      compute.erase();
      ++numInlined;
    }
  }
};

} // namespace
} // namespace attnc

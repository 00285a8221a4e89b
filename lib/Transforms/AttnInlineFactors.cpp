// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-inline-factors: sums of products take scaled elements of 16-bit tensors apart.
//
//   scaled[j, d] = K[j, d] * after[j];        sum(scaled[j, d] * V[j, e] for j)
//   sum(K[j, d] * after[j] * V[j, e] for j)
//
//   scaled[i, d] = Q[i, d] * before[i];       sum(scaled[i, d] * H[d, e] for d)
//   before[i] * sum(Q[i, d] * H[d, e] for d)
//
// A product of matrices takes elements of 16-bit tensors as they are. Scaled, they are f32, which a
// GPU multiplies by several instructions for each; and the scaled tensor is written and read again.
// The factor is left to the other side, or to the sum.
#include "AttnRegions.h"
#include "ChunkSteps.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/Factors.h"
#include "attnc/Plan/Plan.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNINLINEFACTORS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Reads of a scaled tensor that are replaced, at most: each computes the scaled elements anew.
constexpr unsigned kMostReads = 4;

/// A factor, and conditions without which it is 0.
struct Factor {
  Value value;
  SmallVector<Value, 2> conditions;
};

/// What a formula is the product of: `select(c, x * y, 0)` is that of x and y under c.
void collectFactors(Value value, ArrayRef<Value> conditions, SmallVectorImpl<Factor> &factors) {
  for (Value factor : factorsOf(value)) {
    auto select = factor.getDefiningOp<arith::SelectOp>();
    bool isGuarded = select && matchPattern(select.getFalseValue(), m_AnyZeroFloat());
    if (!isGuarded) {
      factors.push_back({factor, SmallVector<Value, 2>(conditions)});
      continue;
    }
    SmallVector<Value, 2> inner(conditions);
    inner.push_back(select.getCondition());
    collectFactors(select.getTrueValue(), inner, factors);
  }
}

/// The indices of `compute` that `value`, in its formula, knows.
llvm::SmallDenseSet<BlockArgument, 8> indicesOf(Value value, attn::ComputeOp compute) {
  llvm::SmallDenseSet<BlockArgument, 8> indices;
  auto add = [&](ArrayRef<BlockArgument> arguments) {
    for (BlockArgument argument : arguments)
      if (argument.getOwner() == &compute.getBody().front())
        indices.insert(argument);
  };
  if (Operation *op = value.getDefiningOp())
    add(sliceOf(op, compute).arguments.getArrayRef());
  return indices;
}

/// Whether the elements of `compute` are those of one 16-bit tensor, scaled by what is read and
/// knows fewer indices: a factor that knows all of them stays where it is in any sum.
bool isScaled(attn::ComputeOp compute) {
  if (!compute.getType().getElementType().isF32())
    return false;
  SmallVector<Factor> factors;
  Value root = cast<attn::YieldOp>(compute.getBody().front().getTerminator()).getValue();
  collectFactors(root, {}, factors);
  unsigned exact = 0;
  for (const Factor &factor : factors) {
    if (exactTypeOf(factor.value)) {
      ++exact;
      continue;
    }
    bool isKnown =
        factor.value.getDefiningOp<attn::ReadOp>() || matchPattern(factor.value, m_Constant());
    if (!isKnown || indicesOf(factor.value, compute).size() == compute.getType().getRank())
      return false;
  }
  return exact == 1 && factors.size() > 1;
}

/// Whether `read` is a factor of what the formula of a compute comes to.
bool isFactorOfFormula(attn::ReadOp read) {
  auto compute = dyn_cast<attn::ComputeOp>(read->getParentOp());
  if (!compute || !compute.getType().getElementType().isF32())
    return false;
  Value root = cast<attn::YieldOp>(compute.getBody().front().getTerminator()).getValue();
  return llvm::is_contained(factorsOf(root), read.getResult());
}

/// The sum of products of whose terms `read` is a factor.
attn::ReduceOp sumOf(attn::ReadOp read) {
  auto reduce = dyn_cast<attn::ReduceOp>(read->getParentOp());
  if (!reduce || reduce.getKind() != attn::Reduction::Sum || !reduce.getType().isF32() ||
      !reduce->getParentOfType<attn::ComputeOp>())
    return {};
  auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
  return llvm::is_contained(factorsOf(yield.getValues().front()), read.getResult())
             ? reduce
             : attn::ReduceOp();
}

/// Whether `index` is never clamped where `axis` of `type` is read: an argument over the axis' own
/// space, or over one that is known to have no more indices, or the chunk or the step of one.
bool isInside(attn::VariantOp variant, Value index, attn::AttnTensorType type, unsigned axis) {
  if (isOwnIndex(index, type, axis) || isStepInside(variant, index, type, axis))
    return true;
  auto argument = dyn_cast<BlockArgument>(index);
  if (!argument || spaceOf(argument).empty() || type.getAxisName(axis).empty())
    return false;
  std::optional<int64_t> indices = fixedExtent(variant, spaceOf(argument));
  std::optional<int64_t> extent = fixedExtent(variant, type.getAxisName(axis));
  return indices && extent && *indices <= *extent;
}

/// The reads of `compute`, if these are all of its uses and each can be taken apart: in a sum, or
/// where the elements are scaled once more.
SmallVector<attn::ReadOp> readsInSums(attn::VariantOp variant, attn::ComputeOp compute) {
  SmallVector<attn::ReadOp> reads;
  for (Operation *user : compute.getResult().getUsers()) {
    auto read = dyn_cast<attn::ReadOp>(user);
    if (!read || !(sumOf(read) || isFactorOfFormula(read)))
      return {};
    for (auto [axis, index] : llvm::enumerate(read.getIndices()))
      if (!isInside(variant, index, compute.getType(), axis))
        return {};
    reads.push_back(read);
  }
  return reads.size() <= kMostReads ? reads : SmallVector<attn::ReadOp>();
}

/// The product of `factors`; null for none.
Value productOf(OpBuilder &b, Location loc, ArrayRef<Value> factors) {
  Value product;
  for (Value factor : factors)
    product = product ? Value(arith::MulFOp::create(b, loc, product, factor)) : factor;
  return product;
}

/// Writes the terms of `reduce` as a product of single factors, and those that do not know its
/// index as factors of the sum.
void spreadFactors(attn::ReduceOp reduce) {
  auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
  SmallVector<Factor> factors;
  collectFactors(yield.getValues().front(), {}, factors);
  Location loc = reduce.getLoc();
  OpBuilder inside(yield), outside(reduce->getContext());
  outside.setInsertionPointAfter(reduce);
  SmallVector<Value> terms, ofSum;
  for (const Factor &factor : factors) {
    Value value = factor.value;
    for (Value condition : llvm::reverse(factor.conditions)) {
      Value zero = arith::ConstantOp::create(inside, loc, inside.getF32FloatAttr(0));
      value = arith::SelectOp::create(inside, loc, condition, value, zero);
    }
    Operation *op = value.getDefiningOp();
    bool isWithin = op && reduce->isProperAncestor(op);
    BackwardSlice slice = isWithin ? sliceOf(op, reduce) : BackwardSlice();
    bool knowsIndex = llvm::any_of(slice.arguments, [&](BlockArgument argument) {
      return argument.getOwner() == &reduce.getBody().front();
    });
    if (knowsIndex) {
      terms.push_back(value);
      continue;
    }
    IRMapping mapping;
    for (Operation *needed : slice.ops)
      outside.clone(*needed, mapping);
    ofSum.push_back(isWithin ? outside.clone(*op, mapping)->getResult(0) : value);
  }
  if (terms.empty()) // a sum of equal terms
    return;
  Value term = productOf(inside, loc, terms);
  yield->setOperand(0, term);
  if (ofSum.empty())
    return;
  Value scale = productOf(outside, loc, ofSum);
  auto scaled = arith::MulFOp::create(outside, loc, reduce.getResult(), scale);
  reduce.getResult().replaceAllUsesExcept(scaled, scaled);
}

/// The host multiplies f32, whatever it reads.
bool isForHost(attn::VariantOp variant) {
  auto schedule = variant->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
  return schedule && schedule.getTarget() == "host";
}

struct AttnInlineFactors : impl::AttnInlineFactorsBase<AttnInlineFactors> {
  using AttnInlineFactorsBase::AttnInlineFactorsBase;

  void runOnOperation() override {
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>()) {
      if (isForHost(variant))
        continue;
      // In order: what a scaled tensor reads is in it by the time that it is looked at.
      for (auto compute : llvm::make_early_inc_range(variant.getBody().getOps<attn::ComputeOp>()))
        inlineScaled(variant, compute);
    }
  }

private:
  void inlineScaled(attn::VariantOp variant, attn::ComputeOp compute) {
    if (!isScaled(compute))
      return;
    llvm::SetVector<Operation *> sums;
    SmallVector<attn::ReadOp> reads = readsInSums(variant, compute);
    for (attn::ReadOp read : reads) {
      if (attn::ReduceOp sum = sumOf(read))
        sums.insert(sum);
      inlineAt(read, compute);
    }
    for (Operation *sum : sums) {
      Operation *stage = sum->getParentOfType<attn::ComputeOp>();
      foldSteps(cast<attn::ComputeOp>(stage));
      spreadFactors(cast<attn::ReduceOp>(sum));
      eraseDeadIn(stage);
    }
    if (reads.empty())
      return;
    compute.erase();
    ++numInlined;
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-forward-copies: who reads a copy reads what it is a copy of.
//
// A compute whose formula is one read is a copy if each index of the read is one of the compute's
// own coordinates, at an axis over the same space, or the same for the whole copy (a slice). Then
// element [i, j] of the copy is element [j, i, 0] of the source, say, and so it is for indices that
// are clamped: both tensors have the same indices along the axis.
//
// A copy may also have its elements elsewhere, and a number where the source has none: rows cut
// into chunks, the last one padded. Readers then take the formula, at their index as the copy would
// have clamped it. With `keep-copies`, those of many stages that compute with the elements read the
// copy instead, which needs no condition; sums do not, as they may be products of matrices.
//
// What only a copy reads that rounds it to 16 bits is rounded where it is computed.
#include "AttnRegions.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

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

/// Whether `op` makes an index or a condition of others, with a carry from one lane of neighbours
/// to the next: quotients, remainders and bits would scatter what is read.
bool isAffine(Operation *op) {
  if (isa<arith::AndIOp>(op))
    return op->getResult(0).getType().isInteger(1);
  return isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::MinSIOp, arith::MaxSIOp,
             arith::CmpIOp, arith::ConstantOp, attn::SizeOp>(op);
}

/// Whether `compute` has elements of one tensor, at indices that are affine in its own, or
/// constants where a condition on indices says so.
bool isPaddedCopy(attn::ComputeOp compute) {
  unsigned reads = 0;
  for (Operation &op : compute.getBody().front().without_terminator()) {
    if (auto read = dyn_cast<attn::ReadOp>(op)) {
      attn::AttnTensorType source = read.getTensor().getType(), copy = compute.getType();
      if (++reads > 1 || (!storesExactly(copy) && copy.getElementType() != source.getElementType()))
        return false;
      continue;
    }
    auto select = dyn_cast<arith::SelectOp>(op);
    if (select ? !isa<FloatType>(select.getType()) : !isAffine(&op))
      return false;
  }
  return reads == 1;
}

/// The least and the largest number that an index can be, where that is known.
using Interval = std::pair<int64_t, int64_t>;
std::optional<Interval> intervalOf(Value index, attn::VariantOp variant) {
  llvm::APInt known;
  if (matchPattern(index, m_ConstantInt(&known)))
    return Interval{known.getSExtValue(), known.getSExtValue()};
  if (auto argument = dyn_cast<BlockArgument>(index)) {
    StringRef space = spaceOf(argument);
    std::optional<int64_t> extent = space.empty() ? std::nullopt : fixedExtent(variant, space);
    return extent ? std::optional(Interval{0, *extent - 1}) : std::nullopt;
  }
  Operation *op = index.getDefiningOp();
  if (!isa<arith::AddIOp, arith::MulIOp, arith::FloorDivSIOp, arith::RemSIOp>(op))
    return std::nullopt;
  std::optional<Interval> x = intervalOf(op->getOperand(0), variant),
                          y = intervalOf(op->getOperand(1), variant);
  constexpr int64_t most = 1 << 30;
  if (!x || !y || x->first < 0 || y->first < 0 || x->second > most || y->second > most)
    return std::nullopt;
  if (isa<arith::AddIOp>(op))
    return Interval{x->first + y->first, x->second + y->second};
  if (isa<arith::MulIOp>(op))
    return Interval{x->first * y->first, x->second * y->second};
  if (y->first != y->second || y->first == 0)
    return std::nullopt;
  if (isa<arith::RemSIOp>(op))
    return Interval{0, y->first - 1};
  return Interval{x->first / y->first, x->second / y->first};
}

/// `index`, as a read of a tensor of `type` along `axis` takes it.
Value clamped(OpBuilder &builder, Location loc, Value index, attn::AttnTensorType type,
              unsigned axis, attn::VariantOp variant) {
  if (isOwnIndex(index, type, axis))
    return index;
  StringRef space = type.getAxisName(axis);
  std::optional<int64_t> extent =
      space.empty() ? std::optional(type.getAxisSize(axis)) : fixedExtent(variant, space);
  std::optional<Interval> interval = intervalOf(index, variant);
  if (extent && interval && interval->second < *extent)
    return index;
  Type i32 = builder.getI32Type();
  auto number = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(builder, loc, builder.getIntegerAttr(i32, value));
  };
  Value size = extent ? number(*extent)
                      : attn::SizeOp::create(builder, loc, i32, builder.getStringAttr(space));
  Value last = arith::SubIOp::create(builder, loc, size, number(1));
  Value low = arith::MaxSIOp::create(builder, loc, index, number(0));
  return arith::MinSIOp::create(builder, loc, low, last);
}

/// `user`, which reads `compute`, has its formula instead.
void inlineInto(attn::ReadOp user, attn::ComputeOp compute) {
  OpBuilder builder(user);
  auto variant = compute->getParentOfType<attn::VariantOp>();
  IRMapping mapping;
  for (auto [axis, index] : llvm::enumerate(user.getIndices()))
    mapping.map(compute.getBody().getArgument(axis),
                clamped(builder, user.getLoc(), index, compute.getType(), axis, variant));
  Block &body = compute.getBody().front();
  for (Operation &op : body.without_terminator())
    builder.clone(op, mapping);
  user.replaceAllUsesWith(mapping.lookupOrDefault(body.getTerminator()->getOperand(0)));
  user.erase();
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

/// Whether an output may be `tensor` itself: an input is none, and no tensor is two.
bool canBeReturned(Value tensor) {
  return !tensor.getDefiningOp<attn::InputOp>() &&
         llvm::none_of(tensor.getUsers(), llvm::IsaPred<attn::ReturnOp>);
}

/// The compute that `compute` rounds to 16 bits, element by element, if nothing else reads it.
attn::ComputeOp roundedBy(attn::ComputeOp compute) {
  Block &body = compute.getBody().front();
  auto read = body.getTerminator()->getOperand(0).getDefiningOp<attn::ReadOp>();
  auto source = read && read->getParentOp() == compute
                    ? read.getTensor().getDefiningOp<attn::ComputeOp>()
                    : attn::ComputeOp();
  Type to = compute.getType().getElementType();
  bool rounds = isa<FloatType>(to) && to.getIntOrFloatBitWidth() == 16;
  if (!source || !rounds || source->getBlock() != compute->getBlock() ||
      !source.getResult().hasOneUse() || !source.getType().getElementType().isF32() ||
      source.getType().getAxes() != compute.getType().getAxes())
    return {};
  return llvm::equal(read.getIndices(), body.getArguments()) ? source : attn::ComputeOp();
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
      if (attn::ComputeOp source = roundedBy(compute)) {
        ++numCopies;
        attn::AttnTensorType type = compute.getType();
        dead.push_back(compute);
        compute.getResult().replaceAllUsesWith(source.getResult());
        source.getResult().setType(type);
        return;
      }
      attn::ReadOp read = copyOf(compute);
      if (!read && isPaddedCopy(compute)) {
        ++numCopies;
        bool isKept = keepCopies && isReadByManyStages(compute.getResult());
        for (Operation *user : llvm::make_early_inc_range(compute.getResult().getUsers()))
          if (auto reader = dyn_cast<attn::ReadOp>(user);
              reader && !(isKept && isa<attn::ComputeOp>(reader->getParentOp())))
            inlineInto(reader, compute);
        dead.push_back(compute);
        return;
      }
      if (!read)
        return;
      ++numCopies;
      if (isIdentity(compute, read))
        compute.getResult().replaceUsesWithIf(read.getTensor(), [&](OpOperand &use) {
          return !isa<attn::ReturnOp>(use.getOwner()) || canBeReturned(read.getTensor());
        });
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

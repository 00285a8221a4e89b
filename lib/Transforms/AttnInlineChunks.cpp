// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-inline-chunks: what a chunk has for each of its steps is computed where the step reads it.
//
//   z[c, i, e] = sum(Y[c, i, d] * H[c, d, e] for d)          out[t, e] = f(z[t / 64, t mod 64, e])
//   out[t, e] = f(sum(Y[t / 64, t mod 64, d] * H[t / 64, d, e] for d))
//
// A step is one of one chunk, so that nothing is computed twice. Tiles of 64 rows lie in one chunk:
// the quotient is a number of the tile, not of the row (Quotients.h).
//
// So is what a chunk has that one other tensor of chunks is made of, element by element:
//
//   a[c, i, j] = sum(K[c, i, d] * K[c, j, d] for d);   n[c, i, j] = beta[c, i] * a[c, i, j]
#include "AttnRegions.h"
#include "ChunkSteps.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/Tile.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNINLINECHUNKS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Rows of a tile on a GPU.
constexpr int64_t kTileRows = 64;

/// Whether `read` takes its element at the chunk and the step of an index of `stage`, all other
/// indices being the stage's own.
bool readsAtStep(attn::ReadOp read, attn::ComputeOp stage) {
  auto variant = stage->getParentOfType<attn::VariantOp>();
  attn::AttnTensorType type = read.getTensor().getType();
  DividedIndex quotient, remainder;
  for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
    if (isOwnIndex(index, type, axis))
      continue;
    DividedIndex isQuotient = quotientOf(index), isRemainder = remainderOf(index);
    if (!isStepInside(variant, index, type, axis) || (isQuotient && quotient) ||
        (isRemainder && remainder))
      return false;
    (isQuotient ? quotient : remainder) = isQuotient ? isQuotient : isRemainder;
  }
  return quotient && quotient == remainder && quotient.divisor % kTileRows == 0 &&
         quotient.index.getOwner() == &stage.getBody().front();
}

/// Whether an axis of `compute` is over blocks of another space, as chunks of steps are.
bool isOfChunks(attn::ComputeOp compute) {
  auto variant = compute->getParentOfType<attn::VariantOp>();
  attn::AttnTensorType type = compute.getType();
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (attn::SpaceOp space = attn::findSpace(variant, type.getAxisName(axis));
        space && space.getParent())
      return true;
  return false;
}

/// Whether each element of `stage` takes one of what `read` reads, all of these once.
bool readsEachOnce(attn::ReadOp read, attn::ComputeOp stage) {
  attn::AttnTensorType type = read.getTensor().getType();
  llvm::SmallDenseSet<Value> indices;
  for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
    auto argument = dyn_cast<BlockArgument>(index);
    if (!argument || argument.getOwner() != &stage.getBody().front() ||
        !isOwnIndex(index, type, axis) || !indices.insert(index).second)
      return false;
  }
  return type.getRank() == stage.getType().getRank();
}

bool isForGPU(attn::VariantOp variant) {
  auto schedule = variant->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
  return schedule && schedule.getTarget() != "host";
}

struct AttnInlineChunks : impl::AttnInlineChunksBase<AttnInlineChunks> {
  using AttnInlineChunksBase::AttnInlineChunksBase;

  void runOnOperation() override {
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>()) {
      if (!isForGPU(variant))
        continue;
      for (auto compute : llvm::make_early_inc_range(variant.getBody().getOps<attn::ComputeOp>()))
        inlineAtSteps(compute);
      for (auto compute : llvm::make_early_inc_range(variant.getBody().getOps<attn::ComputeOp>()))
        inlineElements(compute);
    }
  }

private:
  void inlineAtSteps(attn::ComputeOp compute) {
    Value result = compute.getResult();
    auto read = result.hasOneUse() ? dyn_cast<attn::ReadOp>(*result.user_begin()) : nullptr;
    auto stage = read ? dyn_cast<attn::ComputeOp>(read->getParentOp()) : nullptr;
    if (!stage || !storesExactly(compute.getType()) || !readsAtStep(read, stage))
      return;
    inlineAt(read, compute);
    compute.erase();
    foldSteps(stage);
    ++numInlined;
  }

  void inlineElements(attn::ComputeOp compute) {
    Value result = compute.getResult();
    auto read = result.hasOneUse() ? dyn_cast<attn::ReadOp>(*result.user_begin()) : nullptr;
    auto stage = read ? dyn_cast<attn::ComputeOp>(read->getParentOp()) : nullptr;
    if (!stage || !isa<attn::VariantOp>(stage->getParentOp()) ||
        !storesExactly(compute.getType()) || !isOfChunks(compute) || !readsEachOnce(read, stage))
      return;
    inlineAt(read, compute);
    compute.erase();
    ++numInlined;
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-choose-products: which matrix instruction computes a product. Hopper's warpgroups multiply
// 64 rows at a time, with operands in shared memory (wgmma): no ldmatrix, and half the time of
// mma.sync. Their right operands lie in panels, which every reader of a buffer must then take, so
// that a product is one for warpgroups only if all are that read what it reads from shared memory.
#include "attnc/Plan/Plan.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/Tile.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILECHOOSEPRODUCTS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Whether `use` reads its tile as the right operand of a product.
bool isRight(OpOperand &use) {
  auto dot = dyn_cast<tile::DotOp>(use.getOwner());
  return dot && &use == &dot.getRhsMutable();
}

/// The products that read `tile` from shared memory if one does: as their right operand, or as
/// either where the tile is loaded. A left operand that is computed is in registers.
SmallVector<tile::DotOp> readersOf(Value tile) {
  SmallVector<tile::DotOp> readers;
  for (OpOperand &use : tile.getUses())
    if (auto dot = dyn_cast<tile::DotOp>(use.getOwner());
        dot &&
        (isRight(use) || isa_and_nonnull<tile::LoadOp, tile::LoadBlockOp>(tile.getDefiningOp())))
      readers.push_back(dot);
  return readers;
}

struct TileChooseProducts : impl::TileChooseProductsBase<TileChooseProducts> {
  using TileChooseProductsBase::TileChooseProductsBase;

  void runOnOperation() override {
    tile::KernelOp kernel = getOperation();
    auto schedule = kernel->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
    if (!schedule)
      return;
    llvm::Expected<Target> target = Target::parse(schedule.getTarget());
    if (!target)
      return llvm::consumeError(target.takeError());
    if (!target->hasWarpgroupProducts())
      return;
    int64_t rowsAtOnce = 16 * kernel.getNumWarps(); // of the fragments of a row of warps
    llvm::SetVector<tile::DotOp> chosen;
    kernel.walk([&](tile::DotOp dot) {
      if (kernel.getNumWarps() % 4 == 0 && dot.fitsWarpgroups() &&
          dot.getAcc().getType().getRows() == rowsAtOnce)
        chosen.insert(dot);
    });
    while (chosen.remove_if([&](tile::DotOp dot) {
      return llvm::any_of(ValueRange{dot.getLhs(), dot.getRhs()}, [&](Value operand) {
        return llvm::any_of(readersOf(operand),
                            [&](tile::DotOp reader) { return !chosen.contains(reader); });
      });
    })) {
    }
    for (tile::DotOp dot : chosen)
      dot.setWarpgroup(true);
    numWarpgroup += chosen.size();
  }
};

} // namespace
} // namespace attnc

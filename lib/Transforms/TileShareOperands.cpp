// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-share-operands: products read their right operands from shared memory. What is loaded gets
// there by the copies of tile-pipeline-loads; what is computed is written there by `tile.share`. A
// loaded tile that is also computed with is loaded twice, once for each.
#include "SharedLayouts.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILESHAREOPERANDS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Whether the lowering keeps a tile that is loaded in registers, from which both a product and
/// others take it: 16-bit operands of mma, which are read once.
bool isKeptInRegisters(tile::LoadOp load) {
  return load.getResult().getType().getElementType().getIntOrFloatBitWidth() == 16 &&
         llvm::none_of(load.getResult().getUses(), [](OpOperand &use) {
           auto dot = dyn_cast<tile::DotOp>(use.getOwner());
           return dot && &use == &dot.getRhsMutable();
         });
}

void splitLoad(tile::LoadOp load) {
  SmallVector<OpOperand *> others;
  bool feedsProduct = false;
  for (OpOperand &use : load.getResult().getUses()) {
    if (isProductOperand(use))
      feedsProduct = true;
    else
      others.push_back(&use);
  }
  if (!feedsProduct || others.empty() || isKeptInRegisters(load))
    return;
  OpBuilder b(load);
  Value copy = b.clone(*load)->getResult(0);
  for (OpOperand *use : others)
    use->set(copy);
}

void shareRight(tile::DotOp dot, tile::KernelOp kernel) {
  auto value = dot.getRhs();
  if (value.getDefiningOp<tile::LoadOp>() || value.getDefiningOp<tile::ReadOp>())
    return;
  OpBuilder b = OpBuilder::atBlockBegin(&kernel.getBody().front());
  tile::BufferType type = bufferFor(value, 1);
  Value buffer = tile::AllocOp::create(b, dot.getLoc(), type, IntegerAttr());
  b.setInsertionPoint(dot);
  Value slot = tile::ShareOp::create(b, dot.getLoc(), tile::SlotType::get(b.getContext(), type),
                                     value, buffer);
  dot.getRhsMutable().assign(tile::ReadOp::create(b, dot.getLoc(), value.getType(), slot));
}

struct TileShareOperands : impl::TileShareOperandsBase<TileShareOperands> {
  using TileShareOperandsBase::TileShareOperandsBase;

  void runOnOperation() override {
    tile::KernelOp kernel = getOperation();
    SmallVector<tile::LoadOp> loads;
    SmallVector<tile::DotOp> dots;
    kernel.walk([&](tile::LoadOp load) { loads.push_back(load); });
    kernel.walk([&](tile::DotOp dot) { dots.push_back(dot); });
    for (tile::LoadOp load : loads)
      splitLoad(load);
    for (tile::DotOp dot : dots)
      shareRight(dot, kernel);
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-share-operands: products read their right operands from shared memory. What is loaded gets
// there by the copies of tile-pipeline-loads; what is computed is written there by `tile.share`. A
// loaded tile that is also computed with is loaded twice, once for each. Blocks that a product
// needs where they are loaded are copied there, those next to each other together.
#include "SharedLayouts.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/KernelFacts.h"
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

/// Whether blocks may still be copied behind `op`, together with those before it: it computes
/// elements and no product, whose operands may lie where the next block goes, and does not need
/// them.
bool canBeCrossed(Operation *op, MutableArrayRef<tile::LoadBlockOp> loads) {
  bool usesThem = llvm::any_of(op->getOperands(), [&](Value operand) {
    return llvm::any_of(loads, [&](tile::LoadBlockOp load) { return operand == load.getResult(); });
  });
  if (usesThem && !isa<tile::TransposeOp>(op))
    return false;
  if (isa<tile::DotOp>(op))
    return false;
  return isa<tile::LoadBlockOp, tile::MapOp, tile::ElementOp>(op) ||
         (op->getNumRegions() == 0 && isPure(op));
}

/// Copies blocks into shared memory, for operands of products, which read them there; left ones
/// turned if they are. The copies stand where the loads did, behind a barrier: then all threads are
/// done with what was in the buffers, and what they wrote to the tensors is there.
void stageBlocks(MutableArrayRef<tile::LoadBlockOp> loads, tile::KernelOp kernel) {
  Operation *last = loads.back();
  SmallVector<Value> tokens;
  SmallVector<Type> slots;
  OpBuilder b(loads.front());
  tile::BarrierOp::create(b, loads.front()->getLoc());
  for (tile::LoadBlockOp load : loads) {
    Location loc = load.getLoc();
    tile::BufferType type = bufferFor(load.getResult(), 1);
    b.setInsertionPointToStart(&kernel.getBody().front());
    Value buffer = tile::AllocOp::create(b, loc, type, IntegerAttr());
    b.setInsertionPoint(load);
    Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
    tokens.push_back(tile::AsyncCopyOp::create(
        b, loc, tile::TokenType::get(b.getContext(), type), load.getView(), load.getIndices(),
        load.getRow(), load.getRowLimit(), load.getCol(), load.getRowDim(),
        load.getResult().getType().getCols(),
        static_cast<int32_t>(tile::rowAlignmentOf(kernel, load.getView())), buffer, zero));
    slots.push_back(tile::SlotType::get(b.getContext(), type));
  }
  b.setInsertionPointAfter(last);
  tile::CommitOp::create(b, last->getLoc());
  auto wait = tile::WaitOp::create(b, last->getLoc(), slots, tokens, 0, /*barrier=*/true);
  for (auto [load, slot] : llvm::zip(loads, wait.getSlots())) {
    Location loc = load.getLoc();
    for (Operation *user : llvm::make_early_inc_range(load->getUsers()))
      if (auto turn = dyn_cast<tile::TransposeOp>(user)) {
        b.setInsertionPointAfter(wait); // what stood behind it may be gone
        Value turned = tile::ReadOp::create(b, loc, turn.getType(), slot, b.getUnitAttr());
        turn.replaceAllUsesWith(turned);
        turn.erase();
      }
    b.setInsertionPointAfter(wait);
    // A left side may be kept in registers, a right one never is.
    auto isLeft = [](OpOperand &use) {
      auto dot = dyn_cast<tile::DotOp>(use.getOwner());
      return dot && &use == &dot.getLhsMutable();
    };
    for (bool left : {true, false}) {
      auto isOfSide = [&](OpOperand &use) { return isLeft(use) == left; };
      if (llvm::any_of(load.getResult().getUses(), isOfSide)) {
        Value read = tile::ReadOp::create(b, loc, load.getResult().getType(), slot);
        load.getResult().replaceUsesWithIf(read, isOfSide);
      }
    }
  }
  for (tile::LoadBlockOp load : loads)
    load.erase();
}

/// Copies together what is loaded before anything has to wait for it.
void stageBlocks(Block &block, tile::KernelOp kernel) {
  SmallVector<SmallVector<tile::LoadBlockOp>> groups;
  bool isOpen = false;
  for (Operation &op : block) {
    isOpen = isOpen && canBeCrossed(&op, groups.back());
    auto load = dyn_cast<tile::LoadBlockOp>(op);
    if (!load)
      continue;
    if (!isOpen)
      groups.emplace_back();
    groups.back().push_back(load);
    isOpen = true;
  }
  for (MutableArrayRef<tile::LoadBlockOp> group : groups)
    stageBlocks(group, kernel);
}

struct TileShareOperands : impl::TileShareOperandsBase<TileShareOperands> {
  using TileShareOperandsBase::TileShareOperandsBase;

  void runOnOperation() override {
    tile::KernelOp kernel = getOperation();
    SmallVector<tile::LoadOp> loads;
    SmallVector<tile::DotOp> dots;
    llvm::SetVector<Block *> blocks;
    kernel.walk([&](tile::LoadOp load) { loads.push_back(load); });
    kernel.walk([&](tile::DotOp dot) { dots.push_back(dot); });
    kernel.walk([&](tile::LoadBlockOp load) { blocks.insert(load->getBlock()); });
    for (tile::LoadOp load : loads)
      splitLoad(load);
    for (Block *block : blocks)
      stageBlocks(*block, kernel);
    for (tile::DotOp dot : dots)
      shareRight(dot, kernel);
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-verify-scheduled: the contract of phase `scheduled`. The lowering to one thread's code asks
// a tile's layout for registers and a buffer's offset for addresses; a tile without the one or a
// buffer without the other has none. That layouts agree where tiles meet is checked by each op.
#include "VerifyPhase.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEVERIFYSCHEDULED
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// True for a tile that is read from its buffer by the products that it is the right operand of.
bool staysInShared(Value value) {
  return value.getDefiningOp<tile::ReadOp>() && llvm::all_of(value.getUses(), [](OpOperand &use) {
           return isa<tile::DotOp, tile::DotStartOp>(use.getOwner()) && use.getOperandNumber() == 1;
         });
}

LogicalResult verifyLayout(Value value, Operation *op, int64_t warps) {
  auto type = dyn_cast<tile::TileType>(value.getType());
  if (!type || staysInShared(value))
    return success();
  if (!type.getLayout()) // S2
    return op->emitOpError("has a tile in registers without a layout: ") << type;
  if (int64_t spread = int64_t(1) << type.getLayout().getWarpBases().size() / 2;
      spread != warps) // S3
    return op->emitOpError("has a tile that is laid out for ")
           << spread << " warps, expected the kernel's " << warps << ": " << type;
  return success();
}

LogicalResult verifyBuffer(tile::AllocOp alloc, tile::KernelOp kernel) {
  auto total = kernel->getAttrOfType<IntegerAttr>("tile.shared_bytes");
  if (!alloc.getOffset() || !total) // S4
    return alloc.emitOpError("has no place in shared memory: expected an offset, and "
                             "`tile.shared_bytes` of the kernel");
  return success();
}

LogicalResult verifyScheduled(Operation *op) {
  auto load = dyn_cast<tile::LoadOp>(op);
  if (load && !load.getResult().getType().getLayout()) // S2
    return op->emitOpError("remains in phase `scheduled`: expected copies into shared memory, or a "
                           "layout if no product reads it");
  if (isa<tile::DotOp, tile::DotStartOp>(op))
    if (!op->getOperand(1).getDefiningOp<tile::ReadOp>()) // S1
      return op->emitOpError("has a right operand that is not read from shared memory");
  auto kernel =
      isa<tile::KernelOp>(op) ? cast<tile::KernelOp>(op) : op->getParentOfType<tile::KernelOp>();
  if (!kernel)
    return success();
  if (auto alloc = dyn_cast<tile::AllocOp>(op); alloc && failed(verifyBuffer(alloc, kernel)))
    return failure();
  return verifyDefinitions(op, [&](Value value, Operation *op) {
    return verifyLayout(value, op, kernel.getNumWarps());
  });
}

struct TileVerifyScheduled : impl::TileVerifyScheduledBase<TileVerifyScheduled> {
  using TileVerifyScheduledBase::TileVerifyScheduledBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    if (failed(verifyEach(getOperation(), verifyScheduled)))
      signalPassFailure();
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-assign-layouts: every tile value that lives in registers gets a #tile.linear layout. With
// one family of kernels there is one choice for each rank: that of mma fragments, whose positions
// Products.h of the lowering counts off. What is no product takes its layout from the type alone.
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/LinearLayout.h"
#include "mlir/IR/Visitors.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEASSIGNLAYOUTS
#include "attnc/Transforms/Passes.h.inc"

namespace {

using tile::LinearLayout;
using tile::TileType;

/// True if all uses are as the right operand of a product.
bool staysInShared(Value value) {
  return !value.use_empty() && llvm::all_of(value.getUses(), [](OpOperand &use) {
    auto dot = dyn_cast<tile::DotOp>(use.getOwner());
    return dot && use.getOperandNumber() == 1;
  });
}

struct TileAssignLayouts : impl::TileAssignLayoutsBase<TileAssignLayouts> {
  using TileAssignLayoutsBase::TileAssignLayoutsBase;

  void runOnOperation() override {
    tile::KernelOp kernel = getOperation();
    int64_t warps = kernel.getNumWarps();
    WalkResult result = kernel.walk([&](Operation *op) -> WalkResult {
      for (Value value : op->getResults())
        if (failed(assign(op, value, warps)))
          return WalkResult::interrupt();
      for (Region &region : op->getRegions())
        for (Block &block : region)
          for (Value value : block.getArguments())
            if (failed(assign(op, value, warps)))
              return WalkResult::interrupt();
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  LogicalResult assign(Operation *op, Value value, int64_t warps) {
    auto type = dyn_cast<TileType>(value.getType());
    if (!type || type.getLayout() || staysInShared(value))
      return success();
    if (type.getRows() % (16 * warps) != 0 || !llvm::isPowerOf2_64(type.getRows()))
      return op->emitOpError("expects tiles whose rows are a power of two and a multiple of 16 for "
                             "each of ")
             << warps << " warps, found " << type;
    if (type.getRank() == 2 && type.getCols() % 8 != 0)
      return op->emitOpError("expects tiles whose columns are a multiple of 8, found ") << type;
    LinearLayout layout = LinearLayout::mmaFragment(type.getRows(), type.getCols(), warps);
    if (type.getRank() == 1)
      layout = layout.rowSlice();
    value.setType(TileType::get(op->getContext(), type.getShape(), type.getElementType(),
                                layout.toAttr(op->getContext())));
    return success();
  }
};

} // namespace
} // namespace attnc

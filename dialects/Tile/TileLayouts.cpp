// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// TileLayouts.h explains.
#include "dialects/Tile/TileLayouts.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc::tile;

TileType attnc::tile::reducedType(TileType matrix, Axis axis) {
  LinearLayoutAttr layout = matrix.getLayout();
  SmallVector<int64_t> shape;
  if (axis == Axis::Columns)
    shape = {matrix.getRows()};
  else
    shape = {1, matrix.getCols()};
  if (layout) {
    LinearLayout whole(layout);
    layout = (axis == Axis::Columns ? whole.rowSlice() : whole.columnSlice())
                 .toAttr(matrix.getContext());
  }
  return TileType::get(matrix.getContext(), shape, matrix.getElementType(), layout);
}

LinearLayoutAttr attnc::tile::operandLayout(TileType operand, TileType result) {
  if (!result.getLayout() || operand.getShape() == result.getShape())
    return result.getLayout();
  LinearLayout whole(result.getLayout());
  return (operand.getRank() == 1 ? whole.rowSlice() : whole.columnSlice())
      .toAttr(result.getContext());
}

LinearLayoutAttr attnc::tile::transposed(LinearLayoutAttr layout) {
  return layout ? LinearLayout(layout).transposed().toAttr(layout.getContext()) : layout;
}

/// Warps that share what is reduced leave one value each, for each operand.
static int64_t reductionBytes(TileType input, Axis axis, int64_t numOperands) {
  if (!input.getLayout())
    return 0;
  LinearLayout layout(input.getLayout());
  int64_t warps = (axis == Axis::Columns ? layout : layout.transposed()).columnWarps();
  int64_t kept = axis == Axis::Columns ? input.getRows() : input.getCols();
  return warps ? (int64_t(1) << layout.warpBases().size()) * kept * numOperands * 4 : 0;
}

int64_t attnc::tile::scratchBytes(Operation *op) {
  return llvm::TypeSwitch<Operation *, int64_t>(op)
      .Case<ReduceOp>([](ReduceOp reduce) {
        return reductionBytes(reduce.getInput().getType(), reduce.getAxis(), 1);
      })
      .Case<FoldOp>([](FoldOp fold) {
        return reductionBytes(fold.getInputType(), fold.getAxis(), fold.getInputs().size());
      })
      .Case<InvertOp>([](InvertOp invert) {
        return InvertScratch(invert.getInput().getType().getRows()).bytes();
      })
      .Case<ConvertLayoutOp>([](ConvertLayoutOp convert) {
        TileType type = convert.getInput().getType();
        int64_t bytes = type.getElementType().getIntOrFloatBitWidth() == 16 ? 2 : 4;
        return type.getRows() * type.getCols() * bytes;
      })
      .Default([](Operation *) { return 0; });
}

bool attnc::tile::needsWholeBlock(Operation *op) {
  return op
      ->walk([](Operation *inner) {
        auto wait = dyn_cast<WaitOp>(inner);
        auto dot = dyn_cast<DotOp>(inner);
        bool needs = isa<AnyOp, BarrierOp, ShareOp>(inner) || (wait && wait.getBarrier()) ||
                     (dot && dot.getWarpgroup()) || scratchBytes(inner) > 0;
        return needs ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

bool attnc::tile::isWritten(KernelOp kernel, BlockArgument view) {
  if (kernel.getArgAttr(view.getArgNumber(), "tile.may_alias"))
    return true;
  return llvm::any_of(view.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    return (isa<StoreOp>(user) && use.get() == cast<StoreOp>(user).getView()) ||
           (isa<StoreBlockOp>(user) && use.get() == cast<StoreBlockOp>(user).getView());
  });
}

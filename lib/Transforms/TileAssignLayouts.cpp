// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-assign-layouts: every tile value that lives in registers gets a #tile.linear layout. For
// each shape there is a standard one, in which values pass from op to op: mma fragments where they
// fit, else elements spread over the threads. An op that needs its operands elsewhere, or leaves
// its result elsewhere, gets a `tile.convert_layout` between: a vector next to a matrix, what was
// reduced or transposed, a scan whose neighbours are other than maps and stores. Always right;
// where it is slow, a later choice of layouts can do without.
//
// Conversions, and reductions of what several warps share, get shared memory behind the buffers:
// one place for all, since each takes it between barriers.
#include "ScanLayouts.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/TileLayouts.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEASSIGNLAYOUTS
#include "attnc/Transforms/Passes.h.inc"

namespace {

using tile::Axis;
using tile::LinearLayout;
using tile::LinearLayoutAttr;
using tile::TileType;

/// True if all uses are as the right operand of a product.
bool staysInShared(Value value) {
  return !value.use_empty() && llvm::all_of(value.getUses(), [](OpOperand &use) {
    auto dot = dyn_cast<tile::DotOp>(use.getOwner());
    return dot && use.getOperandNumber() == 1;
  });
}

TileType withLayout(TileType type, LinearLayoutAttr layout) {
  return TileType::get(type.getContext(), type.getShape(), type.getElementType(), layout);
}

struct TileAssignLayouts : impl::TileAssignLayoutsBase<TileAssignLayouts> {
  using TileAssignLayoutsBase::TileAssignLayoutsBase;

  void runOnOperation() override {
    tile::KernelOp kernel = getOperation();
    warps = kernel.getNumWarps();
    chooseScanLayouts(kernel);
    SmallVector<Operation *> ops;
    kernel.walk<WalkOrder::PreOrder>([&](Operation *op) { ops.push_back(op); });
    for (Operation *op : ops)
      if (failed(assign(op)))
        return signalPassFailure();
    placeScratch(kernel);
  }

private:
  LogicalResult assign(Operation *op) {
    for (Value value : op->getResults())
      if (failed(assignStandard(op, value)))
        return failure();
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (Value value : block.getArguments())
          if (failed(assignStandard(op, value)))
            return failure();
    if (auto scan = dyn_cast<tile::ScanOp>(op); scan && failed(checkScan(scan)))
      return failure();
    llvm::TypeSwitch<Operation *>(op)
        .Case<tile::MapOp>([&](tile::MapOp map) {
          for (OpOperand &input : map.getInputsMutable())
            convertOperand(input, operandLayout(typeOf(input.get()), map.getResult().getType()));
        })
        .Case<tile::GatherOp>([&](tile::GatherOp gather) {
          TileType rows = gather.getRows().getType();
          convertOperand(gather.getRowsMutable(),
                         operandLayout(rows, gather.getResult().getType()));
        })
        .Case<tile::ReduceOp>([&](tile::ReduceOp reduce) {
          convertResult(op, reduce.getResult(),
                        reducedType(reduce.getInput().getType(), reduce.getAxis()).getLayout());
        })
        .Case<tile::FoldOp>([&](tile::FoldOp fold) {
          for (Value result : fold.getResults())
            convertResult(op, result, reducedType(fold.getInputType(), fold.getAxis()).getLayout());
        })
        .Case<tile::TransposeOp>([&](tile::TransposeOp transpose) {
          convertResult(op, transpose.getResult(),
                        tile::transposed(transpose.getInput().getType().getLayout()));
        })
        .Case<tile::ScanOp>([&](tile::ScanOp scan) {
          LinearLayoutAttr layout = scanLayout(scan);
          convertOperand(scan.getInputMutable(), layout);
          convertResult(op, scan.getResult(), layout);
        });
    return success();
  }

  LogicalResult assignStandard(Operation *op, Value value) {
    auto type = dyn_cast<TileType>(value.getType());
    if (!type || type.getLayout() || staysInShared(value))
      return success();
    std::optional<LinearLayout> layout = LinearLayout::standard(type.getShape(), warps);
    if (!layout)
      return op->emitOpError("expects tiles whose rows and columns are powers of two, or rows that "
                             "are one and a multiple of 16 for each of ")
             << warps << " warps and columns that are a multiple of 8, found " << type;
    value.setType(withLayout(type, layout->toAttr(op->getContext())));
    return success();
  }

  /// What is not scanned is spread over threads, which are a power of two.
  static LogicalResult checkScan(tile::ScanOp scan) {
    TileType type = scan.getInput().getType();
    bool alongRows = scan.getAxis() == Axis::Rows;
    if (llvm::isPowerOf2_64(alongRows ? type.getCols() : type.getRows()))
      return success();
    return scan.emitOpError("expects ")
           << (alongRows ? "columns" : "rows") << " that are a power of two to scan along "
           << (alongRows ? "rows" : "columns") << ", found " << type;
  }

  /// A thread holds all elements along the axis of a scan.
  LinearLayoutAttr scanLayout(tile::ScanOp scan) {
    TileType type = scan.getInput().getType();
    if (scan.getAxis() == Axis::Columns)
      return LinearLayout::wholeRows(type.getRows(), type.getCols(), warps)
          .toAttr(scan.getContext());
    return scanRowsLayout(scan, warps);
  }

  static TileType typeOf(Value value) { return cast<TileType>(value.getType()); }

  void convertOperand(OpOperand &operand, LinearLayoutAttr layout) {
    TileType type = typeOf(operand.get());
    if (type.getLayout() == layout)
      return;
    OpBuilder b(operand.getOwner());
    if (auto fill = operand.get().getDefiningOp<tile::FillOp>()) {
      operand.set(
          tile::FillOp::create(b, fill.getLoc(), withLayout(type, layout), fill.getValue()));
      if (fill->use_empty())
        fill->erase();
      return;
    }
    operand.set(tile::ConvertLayoutOp::create(
        b, operand.getOwner()->getLoc(), withLayout(type, layout), operand.get(), IntegerAttr()));
  }

  /// Lets `op` leave `result` in `layout`, and what follows have it where it was expected.
  void convertResult(Operation *op, Value result, LinearLayoutAttr layout) {
    TileType type = typeOf(result);
    if (type.getLayout() == layout)
      return;
    result.setType(withLayout(type, layout));
    OpBuilder b(op->getContext());
    b.setInsertionPointAfter(op);
    auto convert = tile::ConvertLayoutOp::create(b, op->getLoc(), type, result, IntegerAttr());
    result.replaceAllUsesExcept(convert, convert);
  }

  void placeScratch(tile::KernelOp kernel) {
    auto used = kernel->getAttrOfType<IntegerAttr>("tile.shared_bytes");
    int64_t offset = used ? used.getInt() : 0, bytes = 0;
    Builder b(&getContext());
    kernel.walk([&](Operation *op) {
      int64_t own = tile::scratchBytes(op);
      if (!own)
        return;
      bytes = std::max(bytes, own);
      op->setAttr("scratch", b.getI64IntegerAttr(offset));
    });
    if (bytes)
      kernel->setAttr("tile.shared_bytes", b.getI64IntegerAttr(offset + llvm::alignTo(bytes, 128)));
  }

  int64_t warps = 0;
};

} // namespace
} // namespace attnc

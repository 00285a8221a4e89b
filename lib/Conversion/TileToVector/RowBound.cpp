// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows that are not stored need not be computed: the last query tile of a length that is no
// multiple, and all but one row of a tile when a single query is decoded. Row ops and products work
// row by row, so a tile's rows beyond the limit of the stores influence nothing, unless the tile is
// the right operand of a product. The tiles from which the stored ones are computed row by row are
// found once; their loops then stop at
//
//   min(limit - row, rows)
#include "RowBound.h"
#include "Memory.h"

using namespace mlir;
using namespace attnc;

/// Whether the owner of `use` passes rows on to a tile in `tiles`, each to the row of the same
/// number.
static bool keepsRows(OpOperand &use, const llvm::DenseSet<Value> &tiles) {
  Operation *owner = use.getOwner();
  if (isa<tile::StoreOp, tile::AnyOp>(owner)) // which looks at rows that are stored only
    return true;
  if (auto loop = dyn_cast<scf::ForOp>(owner)) {
    BlockArgument arg = loop.getTiedLoopRegionIterArg(&use);
    return arg && tiles.contains(arg);
  }
  if (isa<scf::YieldOp>(owner)) {
    if (auto loop = dyn_cast<scf::ForOp>(owner->getParentOp()))
      return tiles.contains(loop.getRegionIterArg(use.getOperandNumber()));
    return tiles.contains(owner->getParentOp()->getResult(use.getOperandNumber()));
  }
  if (auto dot = dyn_cast<tile::DotOp>(owner); dot && &use == &dot.getRhsMutable())
    return false;
  return owner->getNumResults() == 1 && tiles.contains(owner->getResult(0));
}

void attnc::findStoredRows(KernelEmitter &ke) {
  SmallVector<Value> worklist;
  bool consistent = true;
  ke.kernel.walk([&](tile::StoreOp store) {
    if (!ke.rowStore)
      ke.rowStore = store;
    consistent &=
        store.getRow() == ke.rowStore.getRow() && store.getLimit() == ke.rowStore.getLimit() &&
        store.getValue().getType().getRows() == ke.rowStore.getValue().getType().getRows();
    worklist.push_back(store.getValue());
  });
  // `tile.any` looks at rows that are stored only, and at nothing else of what it is computed from.
  ke.kernel.walk([&](tile::AnyOp any) {
    if (ke.rowStore &&
        any.getInput().getType().getRows() == ke.rowStore.getValue().getType().getRows())
      worklist.push_back(any.getInput());
  });
  auto add = [&](Value v) {
    if (isa<tile::TileType>(v.getType()))
      worklist.push_back(v);
  };
  while (consistent && !worklist.empty()) {
    Value v = worklist.pop_back_val();
    if (!ke.storedRows.insert(v).second)
      continue;
    if (auto arg = dyn_cast<BlockArgument>(v)) {
      auto loop = dyn_cast<scf::ForOp>(arg.getOwner()->getParentOp());
      if (!loop) {
        consistent = false;
        continue;
      }
      unsigned index = arg.getArgNumber() - loop.getNumInductionVars();
      add(loop.getInitArgs()[index]);
      add(loop.getYieldedValues()[index]);
      add(loop.getResult(index));
      continue;
    }
    Operation *op = v.getDefiningOp();
    if (auto loop = dyn_cast<scf::ForOp>(op))
      add(loop.getRegionIterArg(cast<OpResult>(v).getResultNumber()));
    else if (auto branch = dyn_cast<scf::IfOp>(op))
      for (scf::YieldOp yield : {branch.thenYield(), branch.elseYield()})
        add(yield.getOperand(cast<OpResult>(v).getResultNumber()));
    else if (auto dot = dyn_cast<tile::DotOp>(op))
      add(dot.getLhs()), add(dot.getAcc()), dot.getMask() ? add(dot.getMask()) : void();
    else if (auto map = dyn_cast<tile::MapOp>(op)) {
      for (Value input : map.getInputs())
        if (cast<tile::TileType>(input.getType()).getRows() == map.getResult().getType().getRows())
          add(input); // else a value for each column, computed as a whole
    } else if (auto reduce = dyn_cast<tile::ReduceOp>(op);
               isa<tile::CastOp>(op) || (reduce && reduce.getAxis() == tile::Axis::Columns))
      add(op->getOperand(0));
    else
      consistent &= isa<tile::FillOp, tile::LoadOp>(op);
  }
  // Nothing else may look at these tiles: it would see rows that were not computed.
  for (Value v : ke.storedRows)
    for (OpOperand &use : v.getUses())
      consistent &= keepsRows(use, ke.storedRows);
  // One bound serves the whole kernel: rows that differ from one step of a loop to the next have
  // none.
  if (ke.rowStore)
    for (Value limits : {ke.rowStore.getRow(), ke.rowStore.getLimit()})
      consistent &= limits.getParentBlock() == &ke.kernel.getBody().front();
  if (!consistent)
    ke.storedRows.clear();
}

void attnc::emitRowBound(KernelEmitter &ke) {
  if (ke.storedRows.empty() || ke.rowBound || !ke.scalars.contains(ke.rowStore.getRow()) ||
      !ke.scalars.contains(ke.rowStore.getLimit()))
    return;
  ke.rowBound = validRows(ke, ke.rowStore.getRow(), ke.rowStore.getLimit(),
                          ke.rowStore.getValue().getType().getRows());
}

Value attnc::rowsOf(KernelEmitter &ke, Value tile) {
  Emitter &e = ke.e;
  if (ke.rowBound && ke.storedRows.contains(tile))
    return ke.rowBound;
  return e.constI64(cast<tile::TileType>(tile.getType()).getRows());
}

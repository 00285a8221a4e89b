// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tiles from global memory straight into registers, where no product reads them from shared memory.
// Elements outside the limits are 0 and are not accessed.
#include "Elements.h"

using namespace mlir;
using namespace attnc;
using tile::TileType;

/// Loads the elements of a tile, whose row of `rows` is `base` plus so many `rowStride` bytes.
/// `inside` says for each element whether its row is there.
static Fragment loadElements(KernelLowering &kl, Location loc, TileType type, Value base,
                             Value rowStride, ArrayRef<Value> rows, ArrayRef<Value> inside,
                             int64_t validCols) {
  OpBuilder &b = kl.builder;
  Type element = type.getElementType(), memory = memoryType(b, element, /*shared=*/false);
  int64_t bytes = memory.getIntOrFloatBitWidth() / 8;
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(memory));
  SmallVector<Value> elements;
  for (auto [row, exists, at] : llvm::zip(rows, inside, positions(kl, loc, type))) {
    Value valid = exists;
    if (validCols < type.getCols()) {
      Value inCols =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, at.col, kl.i32(loc, validCols));
      valid = arith::AndIOp::create(b, loc, valid, inCols);
    }
    auto branch = scf::IfOp::create(b, loc, TypeRange(memory), valid, /*withElseRegion=*/true);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      Value offset = kl.add(loc, kl.mul(loc, kl.widen(loc, row), rowStride),
                            kl.widen(loc, kl.mul(loc, at.col, kl.i32(loc, bytes))));
      Value loaded =
          LLVM::LoadOp::create(b, loc, memory, kl.offsetPointer(loc, base, offset), bytes);
      scf::YieldOp::create(b, loc, loaded);
      b.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(b, loc, zero);
    }
    elements.push_back(fromMemory(b, loc, branch.getResult(0), element));
  }
  return pack(kl, loc, type, elements);
}

static Value isBelow(KernelLowering &kl, Location loc, Value x, Value limit) {
  return arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, x, limit);
}

/// Bytes from a row to the next.
static Value rowBytes(KernelLowering &kl, Location loc, Value view, int64_t rowDim) {
  Type element = cast<tile::ViewType>(view.getType()).getElementType();
  int64_t bytes = std::max<int64_t>(1, element.getIntOrFloatBitWidth() / 8);
  return kl.mul(loc, kl.views[view].strides[rowDim], kl.i64(loc, bytes));
}

static LogicalResult lowerLoad(KernelLowering &kl, tile::LoadOp load) {
  Location loc = load.getLoc();
  TileType type = load.getResult().getType();
  if (!type.getLayout())
    return load.emitOpError("has no layout, and no copy into shared memory stands for it");
  Value first = kl.scalars.lookup(load.getRow()), limit = kl.scalars.lookup(load.getLimit());
  SmallVector<Value> rows, inside;
  for (const Position &at : positions(kl, loc, type)) {
    rows.push_back(kl.add(loc, first, at.row));
    inside.push_back(isBelow(kl, loc, rows.back(), limit));
  }
  Value base = kl.addressOf(loc, load.getView(), load.getIndices(), load.getRowDim());
  kl.fragments[load.getResult()] =
      loadElements(kl, loc, type, base, rowBytes(kl, loc, load.getView(), load.getRowDim()), rows,
                   inside, load.getValidCols());
  return success();
}

static LogicalResult lowerGather(KernelLowering &kl, tile::GatherOp gather) {
  Location loc = gather.getLoc();
  TileType type = gather.getResult().getType();
  Value limit = kl.scalars.lookup(gather.getLimit());
  SmallVector<int64_t> rowOf = tile::LinearLayout(type.getLayout()).rowSliceRegisters();
  SmallVector<Value> rows, inside;
  for (int64_t reg : KernelLowering::liveRegisters(type)) {
    Value row = kl.fragments[gather.getRows()][rowOf[reg]];
    // As unsigned numbers, negative ones are beyond every limit.
    Value below = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::ult, row, limit);
    rows.push_back(row);
    inside.push_back(below);
  }
  Value base = kl.addressOf(loc, gather.getView(), gather.getIndices(), gather.getRowDim());
  kl.fragments[gather.getResult()] =
      loadElements(kl, loc, type, base, rowBytes(kl, loc, gather.getView(), gather.getRowDim()),
                   rows, inside, gather.getValidCols());
  return success();
}

void attnc::registerLoads(NVVMOpTable &table) {
  table.add(lowerGather);
  table.add(lowerLoad);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stores of matrices along any two dimensions of a tensor, tensors of a program, and the block
// barrier, which a kernel on one core meets by running.
#include "Memory.h"
#include "RowElements.h"

using namespace mlir;
using namespace attnc;

namespace {

/// What is the same for all vectors of a store.
struct BlockStore {
  KernelEmitter &ke;
  tile::StoreBlockOp op;
  Type element;     ///< as in memory
  Value columnStep; ///< i64: bytes from a column to the next
};

} // namespace

/// The lanes of which `left` (i64) are left.
static Value firstLanes(Emitter &e, Value left) {
  Value most = e.min(left, e.constI64(e.lanes));
  Value count = arith::TruncIOp::create(e.b, e.loc, e.i32, most);
  return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, e.iota(), e.splat(count));
}

/// `value`, with the type of an access of `element`: masked accesses of integers are supported
/// best.
static Value asAccessed(Emitter &e, Value value, Type element) {
  if (element.isInteger(1))
    return arith::ExtUIOp::create(e.b, e.loc, e.vec(e.i8), value);
  if (isa<FloatType>(element) && getElementTypeOrSelf(value.getType()) != element)
    value = e.fromF32(e.toF32(value), element);
  return element.getIntOrFloatBitWidth() == 16 ? e.bitcast(value, e.vec(e.i16)) : value;
}

/// Stores the first `left` lanes of `value` at `address` and from there on.
static void storeLanes(const BlockStore &store, Value value, Value address, Value left) {
  Emitter &e = store.ke.e;
  int64_t size = byteSize(store.element);
  IntegerAttr align = e.b.getI32IntegerAttr(static_cast<int32_t>(size));
  Value mask = firstLanes(e, left);
  auto together = [&]() { LLVM::MaskedStoreOp::create(e.b, e.loc, value, address, mask, align); };
  auto apart = [&]() {
    Value lanes = arith::ExtSIOp::create(e.b, e.loc, e.vec(e.i64), e.iota());
    Value offsets = e.mul(lanes, e.splat(store.columnStep));
    Type pointers = VectorType::get({e.lanes}, e.ptr);
    Value addresses =
        LLVM::GEPOp::create(e.b, e.loc, pointers, e.i8, address, ArrayRef<LLVM::GEPArg>{offsets});
    LLVM::masked_scatter::create(e.b, e.loc, value, addresses, mask, align);
  };
  Value unit = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, store.columnStep,
                                     e.constI64(size));
  auto choice = scf::IfOp::create(e.b, e.loc, TypeRange{}, unit, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(choice.thenBlock());
  together();
  e.b.setInsertionPointToStart(choice.elseBlock());
  apart();
}

/// The address of the first element in row `row`, an offset in the tile.
static Value rowStart(const BlockStore &store, Value row) {
  KernelEmitter &ke = store.ke;
  Emitter &e = ke.e;
  tile::StoreBlockOp op = store.op;
  const ViewValue &view = ke.views.find(op.getView())->second;
  int64_t rowDim = op.getRowDim(), colDim = op.getColDim(), size = byteSize(store.element);
  Value address = view.base;
  unsigned next = 0;
  for (int64_t dim = 0; dim < op.getView().getType().getRank(); ++dim) {
    Value given = dim == rowDim   ? Value(op.getRow())
                  : dim == colDim ? Value(op.getCol())
                                  : Value(op.getIndices()[next++]);
    Value index = e.toI64(ke.scalars.lookupOrDefault(given));
    if (dim == rowDim)
      index = e.add(index, row);
    address = e.offset(address, e.mulc(e.mul(index, view.strides[dim]), size));
  }
  return address;
}

static LogicalResult emitStoreBlock(KernelEmitter &ke, tile::StoreBlockOp op) {
  Emitter &e = ke.e;
  tile::TileType type = op.getValue().getType();
  Type element = op.getView().getType().getElementType();
  const ViewValue &view = ke.views.find(op.getView())->second;
  BlockStore store{ke, op, element, e.mulc(view.strides[op.getColDim()], byteSize(element))};
  Value rows = validRows(ke, op.getRow(), op.getRowLimit(), type.getRows());
  Value cols = validRows(ke, op.getCol(), op.getColLimit(), type.getCols());
  e.forLoop(e.constI64(0), rows, 1, [&](Value row) {
    Value start = rowStart(store, row);
    e.forLoop(e.constI64(0), cols, e.lanes, [&](Value col) {
      Value value = e.asVector(readVector(ke, op.getValue(), row, col));
      storeLanes(store, asAccessed(e, value, element),
                 e.offset(start, e.mul(col, store.columnStep)), e.sub(cols, col));
    });
  });
  return success();
}

static LogicalResult emitBarrier(KernelEmitter &, tile::BarrierOp) { return success(); }

/// Tensors of a program lie in front of its tiles.
static LogicalResult emitLocal(KernelEmitter &ke, tile::LocalOp local) {
  Emitter &e = ke.e;
  ViewValue view;
  view.isWritten = true;
  int64_t size = byteSize(local.getType().getElementType()), stride = 1;
  view.base = e.offset(ke.tiles.scratch, local.getOffset());
  for (size_t dim = local.getSizes().size(); dim-- > 0; stride *= local.getSizes()[dim]) {
    view.strides.insert(view.strides.begin(), e.constI64(stride));
    Value first = e.toI64(ke.scalars.lookup(local.getFirst()[dim]));
    view.base = e.offset(view.base, e.mulc(first, -stride * size));
  }
  ke.views[local.getResult()] = view;
  return success();
}

void attnc::registerStoreBlock(HostOpTable &table) {
  table.add(emitBarrier);
  table.add(emitLocal);
  table.add(emitStoreBlock);
}

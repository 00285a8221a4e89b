// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// StoreBlock.h explains. Besides: tensors of a program, and the block barrier, which a kernel on
// one core meets by running.
#include "StoreBlock.h"
#include "RowElements.h"
#include "dialects/Tile/KernelFacts.h"

using namespace mlir;
using namespace attnc;

/// A row of at most so many vectors is straight-line code.
constexpr int64_t kMostUnrolled = 8;

namespace {

/// What is the same for all vectors of a store.
struct BlockStore {
  BlockStore(KernelEmitter &ke, tile::StoreBlockOp op)
      : ke(ke), op(op), element(op.getView().getType().getElementType()) {
    const ViewValue &view = ke.views.find(op.getView())->second;
    columnStep = ke.e.mulc(view.strides[op.getColDim()], byteSize(element));
    tile::TileType type = op.getValue().getType();
    hasAllRows = tile::isKnownAtMost(op.getRow(), type.getRows(), op.getRowLimit());
    hasAllCols = tile::isKnownAtMost(op.getCol(), type.getCols(), op.getColLimit()) &&
                 type.getCols() % ke.e.lanes == 0;
  }

  /// How many rows, and columns, of the tile are there (i64).
  Value rows() {
    int64_t all = op.getValue().getType().getRows();
    return hasAllRows ? ke.e.constI64(all) : validRows(ke, op.getRow(), op.getRowLimit(), all);
  }
  Value cols() {
    int64_t all = op.getValue().getType().getCols();
    return hasAllCols ? ke.e.constI64(all) : validRows(ke, op.getCol(), op.getColLimit(), all);
  }

  KernelEmitter &ke;
  tile::StoreBlockOp op;
  Type element;     ///< as in memory
  Value columnStep; ///< i64: bytes from a column to the next
  bool hasAllRows, hasAllCols;
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

/// Stores the lanes in `mask`, or all if it is null, at `address` and from there on.
static void storeLanes(BlockStore &store, Value value, Value address, Value mask) {
  Emitter &e = store.ke.e;
  int64_t size = byteSize(store.element);
  IntegerAttr align = e.b.getI32IntegerAttr(static_cast<int32_t>(size));
  auto together = [&]() {
    if (mask)
      LLVM::MaskedStoreOp::create(e.b, e.loc, value, address, mask, align);
    else
      e.store(value, address, size);
  };
  auto apart = [&]() {
    Value lanes = arith::ExtSIOp::create(e.b, e.loc, e.vec(e.i64), e.iota());
    Value offsets = e.mul(lanes, e.splat(store.columnStep));
    Type pointers = VectorType::get({e.lanes}, e.ptr);
    Value addresses =
        LLVM::GEPOp::create(e.b, e.loc, pointers, e.i8, address, ArrayRef<LLVM::GEPArg>{offsets});
    LLVM::masked_scatter::create(e.b, e.loc, value, addresses, mask ? mask : e.prefixMask(e.lanes),
                                 align);
  };
  llvm::APInt step;
  if (matchPattern(store.columnStep, m_ConstantInt(&step)) && step == size)
    return together();
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
static Value rowStart(BlockStore &store, Value row) {
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

/// Stores the vector of columns from `col` on of the row that starts at `start`.
static void storeVector(BlockStore &store, Value start, Value row, Value col) {
  Emitter &e = store.ke.e;
  Value value = e.asVector(readVector(store.ke, store.op.getValue(), row, col));
  Value mask = store.hasAllCols ? Value() : firstLanes(e, e.sub(store.cols(), col));
  storeLanes(store, asAccessed(e, value, store.element),
             e.offset(start, e.mul(col, store.columnStep)), mask);
}

bool attnc::joinsGroup(KernelEmitter &ke, tile::StoreBlockOp store) {
  Value view = store.getView();
  Operation *producer = ke.tiles.resolve(store.getValue()).getDefiningOp();
  if (!isa_and_nonnull<tile::MapOp>(producer) || !llvm::is_contained(ke.group, producer))
    return false;
  auto argument = dyn_cast<BlockArgument>(view);
  if (argument && ke.kernel.getArgAttr(argument.getArgNumber(), "tile.may_alias"))
    return false;
  return llvm::none_of(ke.group, [&](Operation *op) {
    return op
        ->walk([&](tile::ElementOp element) {
          return element.getView() == view ? WalkResult::interrupt() : WalkResult::advance();
        })
        .wasInterrupted();
  });
}

Value attnc::storedRows(KernelEmitter &ke, tile::StoreBlockOp store) {
  return BlockStore(ke, store).rows();
}

void attnc::storeRow(KernelEmitter &ke, tile::StoreBlockOp op, Value row, ValueRange cols) {
  Emitter &e = ke.e;
  BlockStore store(ke, op);
  auto emit = [&] {
    Value start = rowStart(store, row);
    for (Value col : cols)
      storeVector(store, start, row, col);
  };
  if (store.hasAllRows)
    return emit();
  Value isThere = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, row, store.rows());
  auto branch = scf::IfOp::create(e.b, e.loc, isThere, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(branch.thenBlock());
  emit();
}

static LogicalResult emitStoreBlock(KernelEmitter &ke, tile::StoreBlockOp op) {
  Emitter &e = ke.e;
  BlockStore store(ke, op);
  int64_t vectors = op.getValue().getType().getCols() / e.lanes;
  Value cols = store.cols();
  e.forLoop(e.constI64(0), store.rows(), 1, [&](Value row) {
    Value start = rowStart(store, row);
    if (store.hasAllCols && vectors <= kMostUnrolled)
      for (int64_t i = 0; i < vectors; ++i)
        storeVector(store, start, row, e.constI64(i * e.lanes));
    else
      e.forLoop(e.constI64(0), cols, e.lanes,
                [&](Value col) { storeVector(store, start, row, col); });
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

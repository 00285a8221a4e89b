// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stores of tiles from registers to global memory. Rows beyond a limit are skipped.
#include "Elements.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

/// An element as the tensor keeps it.
static Value asStored(KernelLowering &kl, Location loc, Value value, Type memory) {
  if (value.getType() == memory)
    return value;
  if (memory.isF32())
    return arith::ExtFOp::create(kl.builder, loc, memory, value);
  if (!isa<FloatType>(memory))
    return toMemory(kl.builder, loc, value, memory);
  if (!value.getType().isF32())
    value = arith::ExtFOp::create(kl.builder, loc, kl.builder.getF32Type(), value);
  return narrowed(kl.builder, loc, memory, value);
}

/// Two of them, side by side.
static Value pairAsStored(KernelLowering &kl, Location loc, Value low, Value high, Type memory) {
  if (low.getType().isF32() && KernelLowering::isPacked(memory))
    return narrowedPair(kl.builder, loc, memory, low, high);
  Value pair = LLVM::UndefOp::create(kl.builder, loc, VectorType::get({2}, memory));
  pair = LLVM::InsertElementOp::create(kl.builder, loc, pair, asStored(kl, loc, low, memory),
                                       kl.i32(loc, 0));
  return LLVM::InsertElementOp::create(kl.builder, loc, pair, asStored(kl, loc, high, memory),
                                       kl.i32(loc, 1));
}

/// Row by row, in pairs of columns where the rows' alignment allows it.
static void storeMatrix(KernelLowering &kl, tile::StoreOp store, Value base, Value rowStride) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  LinearLayout layout(type.getLayout());
  Type element = memoryType(kl.builder, store.getView().getType().getElementType(),
                            /*shared=*/false);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  auto argument = cast<BlockArgument>(store.getView());
  int64_t alignment = bytes;
  if (auto given =
          kl.kernel.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "tile.row_alignment"))
    alignment = given.getInt();
  int64_t validCols = store.getValidCols();
  bool pairs = !layout.registerBases().empty() && layout.registerBases()[0] == Coord{0, 1};
  int64_t width = pairs && validCols % 2 == 0 && alignment >= 2 * bytes ? 2 : 1;
  SmallVector<Value> values = unpack(kl, loc, type, kl.fragments[store.getValue()]);
  int64_t laneCols = 0; // the largest column that lane and warp add to a register's
  for (const auto &bases : {layout.laneBases(), layout.warpBases()})
    for (Coord basis : bases)
      laneCols += basis.col;
  Value first = isFirstCopy(kl, loc, type);
  SmallVector<int64_t> live = kl.liveRegisters(type);
  Value rowLane = kl.laneCoordinate(loc, type, /*row=*/true);
  Value colLane = kl.laneCoordinate(loc, type, /*row=*/false);

  llvm::MapVector<int64_t, SmallVector<size_t>> byRow; // live register positions of each row
  for (auto [position, reg] : llvm::enumerate(live))
    byRow[layout.apply(reg, 0, 0).row].push_back(position);
  for (auto &[rowOffset, positions] : byRow) {
    Value row = kl.add(loc, kl.scalars.lookup(store.getRow()),
                       kl.add(loc, rowLane, kl.i32(loc, rowOffset)));
    Value inside = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, row,
                                         kl.scalars.lookup(store.getLimit()));
    if (first)
      inside = arith::AndIOp::create(kl.builder, loc, inside, first);
    auto ifOp = scf::IfOp::create(kl.builder, loc, inside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(kl.builder);
    kl.builder.setInsertionPointToStart(ifOp.thenBlock());
    Value start = kl.add(loc, kl.mul(loc, kl.widen(loc, row), rowStride),
                         kl.widen(loc, kl.mul(loc, colLane, kl.i32(loc, bytes))));
    Value pointer = kl.offsetPointer(loc, base, start);
    for (size_t i = 0; i < positions.size(); i += width) {
      int64_t col = layout.apply(live[positions[i]], 0, 0).col;
      if (col >= validCols)
        continue;
      Value low = values[positions[i]];
      Value stored = width == 1 ? asStored(kl, loc, low, element)
                                : pairAsStored(kl, loc, low, values[positions[i + 1]], element);
      Value inCols;
      if (col + laneCols + width > validCols)
        inCols =
            arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt,
                                  kl.add(loc, colLane, kl.i32(loc, col)), kl.i32(loc, validCols));
      guarded(kl, loc, inCols, [&]() {
        LLVM::StoreOp::create(kl.builder, loc, stored,
                              kl.offsetPointer(loc, pointer, kl.i64(loc, col * bytes)),
                              width * bytes);
      });
    }
  }
}

/// One value for each row: the lanes that share a row hold copies, the first of them stores.
static void storeRows(KernelLowering &kl, tile::StoreOp store, Value base, Value rowStride) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  LinearLayout layout(type.getLayout());
  Type element = memoryType(kl.builder, store.getView().getType().getElementType(),
                            /*shared=*/false);
  Value rowLane = kl.laneCoordinate(loc, type, /*row=*/true);
  Value first = isFirstCopy(kl, loc, type);
  for (auto [value, reg] : llvm::zip(kl.fragments[store.getValue()], kl.liveRegisters(type))) {
    Value row = kl.add(loc, kl.scalars.lookup(store.getRow()),
                       kl.add(loc, rowLane, kl.i32(loc, layout.apply(reg, 0, 0).row)));
    Value mine = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, row,
                                       kl.scalars.lookup(store.getLimit()));
    if (first)
      mine = arith::AndIOp::create(kl.builder, loc, mine, first);
    guarded(kl, loc, mine, [&, value = value]() {
      Value pointer = kl.offsetPointer(loc, base, kl.mul(loc, kl.widen(loc, row), rowStride));
      LLVM::StoreOp::create(kl.builder, loc, asStored(kl, loc, value, element), pointer,
                            element.getIntOrFloatBitWidth() / 8);
    });
  }
}

static LogicalResult lowerStore(KernelLowering &kl, tile::StoreOp store) {
  Location loc = store.getLoc();
  tile::ViewType view = store.getView().getType();
  TileType type = store.getValue().getType();
  int64_t bytes = std::max<int64_t>(1, view.getElementType().getIntOrFloatBitWidth() / 8);
  Value base = kl.addressOf(loc, store.getView(), store.getIndices(), store.getRowDim());
  ArrayRef<Value> strides = kl.views[store.getView()].strides;
  Value stride = strides.empty() // one number
                     ? kl.i64(loc, 0)
                     : kl.mul(loc, strides[store.getRowDim()], kl.i64(loc, bytes));
  if (type.getRank() == 2)
    storeMatrix(kl, store, base, stride);
  else
    storeRows(kl, store, base, stride);
  return success();
}

/// Element by element: nothing is known of the strides.
static LogicalResult lowerStoreBlock(KernelLowering &kl, tile::StoreBlockOp store) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  ArrayRef<Value> strides = kl.views[store.getView()].strides;
  int64_t rowDim = store.getRowDim(), colDim = store.getColDim();
  Type element = memoryType(kl.builder, store.getView().getType().getElementType(),
                            /*shared=*/false);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  Value start;
  auto addTerm = [&](Value index, int64_t dim) {
    Value term = kl.mul(loc, kl.widen(loc, index), strides[dim]);
    start = start ? kl.add(loc, start, term) : term;
  };
  unsigned next = 0;
  for (int64_t dim = 0; dim < static_cast<int64_t>(strides.size()); ++dim)
    if (dim != rowDim && dim != colDim)
      addTerm(kl.scalars.lookup(store.getIndices()[next++]), dim);
  Value first = isFirstCopy(kl, loc, type);
  Value row0 = kl.scalars.lookup(store.getRow()), rows = kl.scalars.lookup(store.getRowLimit());
  Value col0 = kl.scalars.lookup(store.getCol()), cols = kl.scalars.lookup(store.getColLimit());
  auto isBelow = [&](Value index, Value limit) -> Value {
    return arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, index, limit);
  };
  SmallVector<Value> values = unpack(kl, loc, type, kl.fragments[store.getValue()]);
  for (auto [value, position] : llvm::zip_equal(values, positions(kl, loc, type))) {
    Value row = kl.add(loc, row0, position.row), col = kl.add(loc, col0, position.col);
    Value mine = arith::AndIOp::create(kl.builder, loc, isBelow(row, rows), isBelow(col, cols));
    if (first)
      mine = arith::AndIOp::create(kl.builder, loc, mine, first);
    guarded(kl, loc, mine, [&, value = value]() {
      Value offset = kl.add(loc, kl.mul(loc, kl.widen(loc, row), strides[rowDim]),
                            kl.mul(loc, kl.widen(loc, col), strides[colDim]));
      if (start)
        offset = kl.add(loc, start, offset);
      Value pointer = kl.offsetPointer(loc, kl.views[store.getView()].base,
                                       kl.mul(loc, offset, kl.i64(loc, bytes)));
      LLVM::StoreOp::create(kl.builder, loc, asStored(kl, loc, value, element), pointer, bytes);
    });
  }
  return success();
}

void attnc::registerStores(NVVMOpTable &table) {
  table.add(lowerStore);
  table.add(lowerStoreBlock);
}

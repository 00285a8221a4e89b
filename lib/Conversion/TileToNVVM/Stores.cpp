// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stores of tiles from registers to global memory. Rows beyond a limit are skipped.
#include "ColumnAlignment.h"
#include "Elements.h"
#include "dialects/Tile/KernelFacts.h"

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

/// A block of rows and columns, row by row.
static LogicalResult lowerStoreBlock(KernelLowering &kl, tile::StoreBlockOp store) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  Value view = store.getView();
  int64_t rowDim = store.getRowDim(), colDim = store.getColDim();
  int64_t rank = kl.views[view].strides.size();
  Type element = memoryType(kl.builder, store.getView().getType().getElementType(),
                            /*shared=*/false);
  Value start = kl.views[view].base;
  unsigned next = 0;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != rowDim && dim != colDim)
      start = kl.movedAlong(loc, start, view, dim, kl.scalars.lookup(store.getIndices()[next++]));
  auto first = [&](Value from, bool row) {
    return kl.add(loc, kl.scalars.lookup(from), kl.laneCoordinate(loc, type, row));
  };
  Value firstRow = first(store.getRow(), true), firstCol = first(store.getCol(), false);
  // A tile that lies inside needs no comparison.
  bool hasAllRows = tile::isKnownAtMost(store.getRow(), type.getRows(), store.getRowLimit());
  bool hasAllCols = tile::isKnownAtMost(store.getCol(), type.getCols(), store.getColLimit());
  auto isBelow = [&](Value index, Value limit) -> Value {
    return arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, index,
                                 kl.scalars.lookup(limit));
  };
  SmallVector<Value> values = unpack(kl, loc, type, kl.fragments[store.getValue()]);
  LinearLayout layout(type.getLayout());
  llvm::MapVector<int64_t, SmallVector<std::pair<int64_t, Value>>> byRow; // columns and values
  for (auto [reg, value] : llvm::zip_equal(kl.liveRegisters(type), values)) {
    Coord at = layout.apply(reg, 0, 0);
    byRow[at.row].push_back({at.col, value});
  }
  auto storeAt = [&](Value rowPointer, int64_t offset, Value value) {
    Value col = kl.coordinate(loc, firstCol, offset);
    guarded(kl, loc, hasAllCols ? Value() : isBelow(col, store.getColLimit()), [&] {
      int64_t alignment = colDim + 1 == rank
                              ? columnAlignment(kl, view, type, store.getCol(), offset)
                              : kl.elementBytes(view);
      LLVM::StoreOp::create(kl.builder, loc, asStored(kl, loc, value, element),
                            kl.movedAlong(loc, rowPointer, view, colDim, col), alignment);
    });
  };
  // Two 16-bit elements that are rounded become one word.
  auto isPair = [&](ArrayRef<std::pair<int64_t, Value>> rest) {
    return KernelLowering::isPacked(element) && hasAllCols && colDim + 1 == rank &&
           rest.size() > 1 && rest[1].first == rest[0].first + 1 &&
           rest[0].second.getType().isF32() &&
           columnAlignment(kl, view, type, store.getCol(), rest[0].first) >= 4;
  };
  auto storePair = [&](Value rowPointer, ArrayRef<std::pair<int64_t, Value>> pair) {
    Value col = kl.coordinate(loc, firstCol, pair[0].first);
    LLVM::StoreOp::create(kl.builder, loc,
                          pairAsStored(kl, loc, pair[0].second, pair[1].second, element),
                          kl.movedAlong(loc, rowPointer, view, colDim, col),
                          columnAlignment(kl, view, type, store.getCol(), pair[0].first));
  };
  auto storeRow = [&](int64_t offset, ArrayRef<std::pair<int64_t, Value>> elements) {
    Value row = kl.coordinate(loc, firstRow, offset);
    guarded(kl, loc, hasAllRows ? Value() : isBelow(row, store.getRowLimit()), [&] {
      Value pointer = kl.movedAlong(loc, start, view, rowDim, row);
      while (!elements.empty()) {
        bool pair = isPair(elements);
        if (pair)
          storePair(pointer, elements);
        else
          storeAt(pointer, elements[0].first, elements[0].second);
        elements = elements.drop_front(pair ? 2 : 1);
      }
    });
  };
  guarded(kl, loc, isFirstCopy(kl, loc, type), [&] {
    for (auto &[row, elements] : byRow)
      storeRow(row, elements);
  });
  return success();
}

void attnc::registerStores(NVVMOpTable &table) {
  table.add(lowerStore);
  table.add(lowerStoreBlock);
}

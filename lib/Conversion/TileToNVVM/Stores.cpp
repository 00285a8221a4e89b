// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stores of tiles from registers to global memory. Rows beyond a limit are skipped.
#include "KernelLowering.h"

using namespace mlir;
using namespace attnc;
using tile::LinearLayout;
using tile::TileType;

/// Row by row, in pairs of columns where the rows' alignment allows it.
static void storeMatrix(KernelLowering &kl, tile::StoreOp store, Value base, Value rowStride) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  LinearLayout layout(type.getLayout());
  Type element = cast<tile::ViewType>(store.getView().getType()).getElementType();
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  auto argument = cast<BlockArgument>(store.getView());
  int64_t alignment = bytes;
  if (auto given =
          kl.kernel.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "tile.row_alignment"))
    alignment = given.getInt();
  int64_t width = alignment >= 2 * bytes ? 2 : 1;
  const Fragment &values = kl.fragments[store.getValue()];
  SmallVector<int64_t> live = kl.liveRegisters(type);
  Value rowLane = kl.laneCoordinate(loc, type, /*row=*/true);
  Value colLane = kl.laneCoordinate(loc, type, /*row=*/false);
  auto narrow = [&](Value v) -> Value {
    return element.isF32() ? v : Value(LLVM::FPTruncOp::create(kl.builder, loc, element, v));
  };

  llvm::MapVector<int64_t, SmallVector<size_t>> byRow; // live register positions of each row
  for (auto [position, reg] : llvm::enumerate(live))
    byRow[layout.apply(reg, 0, 0).row].push_back(position);
  for (auto &[rowOffset, positions] : byRow) {
    Value row = kl.add(loc, kl.scalars.lookup(store.getRow()),
                       kl.add(loc, rowLane, kl.i32(loc, rowOffset)));
    Value inside = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, row,
                                         kl.scalars.lookup(store.getLimit()));
    auto ifOp = scf::IfOp::create(kl.builder, loc, inside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(kl.builder);
    kl.builder.setInsertionPointToStart(ifOp.thenBlock());
    Value start = kl.add(loc, kl.mul(loc, kl.widen(loc, row), rowStride),
                         kl.widen(loc, kl.mul(loc, colLane, kl.i32(loc, bytes))));
    Value pointer = kl.offsetPointer(loc, base, start);
    for (size_t i = 0; i < positions.size(); i += width) {
      int64_t col = layout.apply(live[positions[i]], 0, 0).col;
      if (col >= static_cast<int64_t>(store.getValidCols()))
        continue;
      Value stored = narrow(values[positions[i]]);
      if (width == 2) {
        Value pair = LLVM::UndefOp::create(kl.builder, loc, VectorType::get({2}, element));
        pair = LLVM::InsertElementOp::create(kl.builder, loc, pair, stored, kl.i32(loc, 0));
        stored = LLVM::InsertElementOp::create(kl.builder, loc, pair,
                                               narrow(values[positions[i + 1]]), kl.i32(loc, 1));
      }
      LLVM::StoreOp::create(kl.builder, loc, stored,
                            kl.offsetPointer(loc, pointer, kl.i64(loc, col * bytes)),
                            width * bytes);
    }
  }
}

/// One value for each row: the lanes that share a row hold copies, the first of them stores.
static void storeRows(KernelLowering &kl, tile::StoreOp store, Value base, Value rowStride) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  LinearLayout layout(type.getLayout());
  Value rowLane = kl.laneCoordinate(loc, type, /*row=*/true);
  int64_t replicas = 0;
  for (auto [bit, basis] : llvm::enumerate(layout.laneBases()))
    if (basis.isZero())
      replicas |= int64_t(1) << bit;
  Value first = arith::CmpIOp::create(
      kl.builder, loc, arith::CmpIPredicate::eq,
      arith::AndIOp::create(kl.builder, loc, kl.laneId, kl.i32(loc, replicas)), kl.i32(loc, 0));
  for (auto [value, reg] : llvm::zip(kl.fragments[store.getValue()], kl.liveRegisters(type))) {
    Value row = kl.add(loc, kl.scalars.lookup(store.getRow()),
                       kl.add(loc, rowLane, kl.i32(loc, layout.apply(reg, 0, 0).row)));
    Value inside = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, row,
                                         kl.scalars.lookup(store.getLimit()));
    Value mine = arith::AndIOp::create(kl.builder, loc, inside, first);
    auto ifOp = scf::IfOp::create(kl.builder, loc, mine, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(kl.builder);
    kl.builder.setInsertionPointToStart(ifOp.thenBlock());
    Value pointer = kl.offsetPointer(loc, base, kl.mul(loc, kl.widen(loc, row), rowStride));
    LLVM::StoreOp::create(kl.builder, loc, value, pointer, /*alignment=*/4);
  }
}

static LogicalResult lowerStore(KernelLowering &kl, tile::StoreOp store) {
  Location loc = store.getLoc();
  tile::ViewType view = store.getView().getType();
  TileType type = store.getValue().getType();
  if (!type.getElementType().isF32())
    return store.emitOpError("expects an f32 tile, found ") << type;
  int64_t bytes = view.getElementType().getIntOrFloatBitWidth() / 8;
  Value base = kl.addressOf(loc, store.getView(), store.getIndices(), store.getRowDim());
  Value stride =
      kl.mul(loc, kl.views[store.getView()].strides[store.getRowDim()], kl.i64(loc, bytes));
  if (type.getRank() == 2)
    storeMatrix(kl, store, base, stride);
  else
    storeRows(kl, store, base, stride);
  return success();
}

void attnc::registerStores(NVVMOpTable &table) { table.add(lowerStore); }

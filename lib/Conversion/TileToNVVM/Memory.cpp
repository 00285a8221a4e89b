// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Copies from global to shared memory, stores, and reads of captured tensors.
//
// All address arithmetic on tensors is in 64 bits. Rows beyond a limit are never accessed: a copy
// of such a row has source size 0 (cp.async then writes zeros and does not touch its source), a
// store is skipped.
#include "KernelLowering.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

Value KernelLowering::addressOf(Location loc, Value view, ValueRange indices, int64_t rowDim) {
  const ViewArgs &args = views[view];
  int64_t bytes = std::max<int64_t>(
      1, cast<tile::ViewType>(view.getType()).getElementType().getIntOrFloatBitWidth() / 8);
  Value offset;
  int64_t dim = 0;
  for (Value index : indices) {
    if (dim == rowDim)
      ++dim;
    Value term = mul(loc, widen(loc, scalars.lookup(index)), args.strides[dim++]);
    offset = offset ? add(loc, offset, term) : term;
  }
  if (!offset)
    return args.base;
  return offsetPointer(loc, args.base, mul(loc, offset, i64(loc, bytes)));
}

//===----------------------------------------------------------------------===//
// Global to shared
//===----------------------------------------------------------------------===//

/// A row is copied in units of `vector_bytes`; the units of a row are split into powers of two, so
/// that for each part a thread has one column and rows at a constant distance.
LogicalResult KernelLowering::lowerAsyncCopy(tile::AsyncCopyOp copy) {
  Location loc = copy.getLoc();
  tile::BufferType buffer = copy.getBuffer().getType();
  int64_t bytes = buffer.getElementType().getIntOrFloatBitWidth() / 8;
  int64_t unit = copy.getVectorBytes(), rowBytes = buffer.getShape()[2] * bytes;
  if (unit < bytes || unit > 16 || !llvm::isPowerOf2_64(unit) || rowBytes % unit != 0 ||
      (copy.getValidCols() * bytes) % unit != 0)
    return copy.emitOpError("expects rows that are whole units of ")
           << unit << " bytes, found rows of " << copy.getValidCols() * bytes << " bytes";
  const ViewArgs &args = views[copy.getView()];
  Value source = addressOf(loc, copy.getView(), copy.getIndices(), copy.getRowDim());
  Value rowStride = mul(loc, args.strides[copy.getRowDim()], i64(loc, bytes));
  Value stage = mul(loc, scalars.lookup(copy.getStage()), i32(loc, buffer.getStageBytes()));
  Value stageBase = add(loc, buffers[copy.getBuffer()], stage);
  fragments[copy.getToken()] = {stageBase};
  int64_t units = rowBytes / unit, first = 0;
  for (int64_t width = int64_t(1) << llvm::Log2_64(units); width > 0; width /= 2) {
    int64_t part = std::min(width, numThreads);
    while (units - first >= width && width > 0) {
      copyColumns(copy, source, rowStride, first, part);
      first += part;
    }
  }
  return success();
}

void KernelLowering::copyColumns(tile::AsyncCopyOp copy, Value source, Value rowStride,
                                 int64_t firstUnit, int64_t width) {
  Location loc = copy.getLoc();
  tile::BufferType buffer = copy.getBuffer().getType();
  tile::SharedLayoutAttr layout = buffer.getLayout();
  int64_t bytes = buffer.getElementType().getIntOrFloatBitWidth() / 8;
  int64_t unit = copy.getVectorBytes(), rows = buffer.getShape()[1];
  int64_t validUnits = copy.getValidCols() * bytes / unit;
  int64_t rowsAtOnce = numThreads / width;

  auto emit = [&]() {
    Value row = arith::ShRUIOp::create(builder, loc, threadId, i32(loc, llvm::Log2_64(width)));
    Value column = arith::AndIOp::create(builder, loc, threadId, i32(loc, width - 1));
    column = add(loc, column, i32(loc, firstUnit));
    Value columnBytes = mul(loc, column, i32(loc, unit));
    // A unit is copied if its row and its column are inside: if neither what is left of the rows,
    // less one, nor what is left of the columns, less one, is negative. Sign bits instead of
    // comparisons keep compare and select out of the key loops.
    Value columnsLeft;
    if (firstUnit + width > validUnits)
      columnsLeft = arith::SubIOp::create(builder, loc, i32(loc, validUnits - 1), column);
    Value globalRow = add(loc, scalars.lookup(copy.getRow()), row);
    Value pointer = offsetPointer(
        loc, source, add(loc, mul(loc, widen(loc, globalRow), rowStride), widen(loc, columnBytes)));
    Value step = mul(loc, rowStride, i64(loc, rowsAtOnce));
    Value rowsLeft =
        arith::SubIOp::create(builder, loc, scalars.lookup(copy.getLimit()), globalRow);
    for (int64_t first = 0; first < rows; first += rowsAtOnce) {
      if (first != 0) {
        pointer = offsetPointer(loc, pointer, step);
        rowsLeft = arith::SubIOp::create(builder, loc, rowsLeft, i32(loc, rowsAtOnce));
      }
      Value tileRow = first ? add(loc, row, i32(loc, first)) : row;
      // offset = row * pitch + 16 * (chunk ^ ((row >> shift) & mask)) + byte within the chunk
      Value inRow = columnBytes;
      if (layout.getMask()) {
        Value turn = arith::ShRUIOp::create(builder, loc, tileRow, i32(loc, layout.getShift()));
        turn = arith::AndIOp::create(builder, loc, turn, i32(loc, layout.getMask()));
        turn = arith::ShLIOp::create(builder, loc, turn, i32(loc, 4));
        inRow = arith::XOrIOp::create(builder, loc, columnBytes, turn);
      }
      Value offset = add(loc, mul(loc, tileRow, i32(loc, layout.getPitch())), inRow);
      Value destination =
          offsetPointer(loc, sharedBase, add(loc, fragments[copy.getToken()].front(), offset));
      Value outside = arith::SubIOp::create(builder, loc, rowsLeft, i32(loc, 1));
      if (columnsLeft)
        outside = arith::OrIOp::create(builder, loc, outside, columnsLeft);
      outside = arith::ShRUIOp::create(builder, loc, outside, i32(loc, 31));
      outside = arith::ShLIOp::create(builder, loc, outside, i32(loc, llvm::Log2_64(unit)));
      Value bytesInside = arith::SubIOp::create(builder, loc, i32(loc, unit), outside);
      copyUnit(copy, pointer, destination, bytesInside, unit);
    }
  };

  if (rows * width >= numThreads) {
    emit();
    return;
  }
  // Fewer units than threads: the last threads sit out.
  Value some = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, threadId,
                                     i32(loc, rows * width));
  auto ifOp = scf::IfOp::create(builder, loc, some, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(ifOp.thenBlock());
  emit();
}

void KernelLowering::copyUnit(tile::AsyncCopyOp copy, Value source, Value destination,
                              Value validBytes, int64_t unit) {
  Location loc = copy.getLoc();
  if (unit >= 4) {
    auto kind = unit == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
    NVVM::CpAsyncOp::create(builder, loc, destination, source, unit, kind, validBytes);
    return;
  }
  // cp.async moves at least 4 bytes: rows of odd 16-bit alignment go through registers.
  Type type = builder.getI16Type();
  Value valid =
      arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, validBytes, i32(loc, 0));
  auto ifOp = scf::IfOp::create(builder, loc, TypeRange(type), valid, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(ifOp.thenBlock());
    Value loaded = LLVM::LoadOp::create(builder, loc, type, source, /*alignment=*/2);
    scf::YieldOp::create(builder, loc, loaded);
    builder.setInsertionPointToStart(ifOp.elseBlock());
    Value zero = arith::ConstantOp::create(builder, loc, builder.getI16IntegerAttr(0));
    scf::YieldOp::create(builder, loc, zero);
  }
  LLVM::StoreOp::create(builder, loc, ifOp.getResult(0), destination, /*alignment=*/2);
}

//===----------------------------------------------------------------------===//
// Registers to global
//===----------------------------------------------------------------------===//

LogicalResult KernelLowering::lowerStore(tile::StoreOp store) {
  Location loc = store.getLoc();
  tile::ViewType view = store.getView().getType();
  TileType type = store.getValue().getType();
  if (!type.getElementType().isF32())
    return store.emitOpError("expects an f32 tile, found ") << type;
  int64_t bytes = view.getElementType().getIntOrFloatBitWidth() / 8;
  Value base = addressOf(loc, store.getView(), store.getIndices(), store.getRowDim());
  Value stride = mul(loc, views[store.getView()].strides[store.getRowDim()], i64(loc, bytes));
  if (type.getRank() == 2)
    storeMatrix(store, base, stride);
  else
    storeRows(store, base, stride);
  return success();
}

/// Row by row, in pairs of columns where the rows' alignment allows it.
void KernelLowering::storeMatrix(tile::StoreOp store, Value base, Value rowStride) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  LinearLayout layout(type.getLayout());
  Type element = cast<tile::ViewType>(store.getView().getType()).getElementType();
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  auto argument = cast<BlockArgument>(store.getView());
  int64_t alignment = bytes;
  if (auto given =
          kernel.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(), "tile.row_alignment"))
    alignment = given.getInt();
  int64_t width = alignment >= 2 * bytes ? 2 : 1;
  const Fragment &values = fragments[store.getValue()];
  SmallVector<int64_t> live = liveRegisters(type);
  Value rowLane = laneCoordinate(loc, type, /*row=*/true);
  Value colLane = laneCoordinate(loc, type, /*row=*/false);
  auto narrow = [&](Value v) -> Value {
    return element.isF32() ? v : Value(LLVM::FPTruncOp::create(builder, loc, element, v));
  };

  llvm::MapVector<int64_t, SmallVector<size_t>> byRow; // live register positions of each row
  for (auto [position, reg] : llvm::enumerate(live))
    byRow[layout.apply(reg, 0, 0).row].push_back(position);
  for (auto &[rowOffset, positions] : byRow) {
    Value row = add(loc, scalars.lookup(store.getRow()), add(loc, rowLane, i32(loc, rowOffset)));
    Value inside = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, row,
                                         scalars.lookup(store.getLimit()));
    auto ifOp = scf::IfOp::create(builder, loc, inside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(ifOp.thenBlock());
    Value start = add(loc, mul(loc, widen(loc, row), rowStride),
                      widen(loc, mul(loc, colLane, i32(loc, bytes))));
    Value pointer = offsetPointer(loc, base, start);
    for (size_t i = 0; i < positions.size(); i += width) {
      int64_t col = layout.apply(live[positions[i]], 0, 0).col;
      if (col >= static_cast<int64_t>(store.getValidCols()))
        continue;
      Value stored = narrow(values[positions[i]]);
      if (width == 2) {
        Value pair = LLVM::UndefOp::create(builder, loc, VectorType::get({2}, element));
        pair = LLVM::InsertElementOp::create(builder, loc, pair, stored, i32(loc, 0));
        stored = LLVM::InsertElementOp::create(builder, loc, pair, narrow(values[positions[i + 1]]),
                                               i32(loc, 1));
      }
      LLVM::StoreOp::create(builder, loc, stored,
                            offsetPointer(loc, pointer, i64(loc, col * bytes)), width * bytes);
    }
  }
}

/// One value for each row: the lanes that share a row hold copies, the first of them stores.
void KernelLowering::storeRows(tile::StoreOp store, Value base, Value rowStride) {
  Location loc = store.getLoc();
  TileType type = store.getValue().getType();
  LinearLayout layout(type.getLayout());
  Value rowLane = laneCoordinate(loc, type, /*row=*/true);
  int64_t replicas = 0;
  for (auto [bit, basis] : llvm::enumerate(layout.laneBases()))
    if (basis.isZero())
      replicas |= int64_t(1) << bit;
  Value first = arith::CmpIOp::create(
      builder, loc, arith::CmpIPredicate::eq,
      arith::AndIOp::create(builder, loc, laneId, i32(loc, replicas)), i32(loc, 0));
  for (auto [value, reg] : llvm::zip(fragments[store.getValue()], liveRegisters(type))) {
    Value row = add(loc, scalars.lookup(store.getRow()),
                    add(loc, rowLane, i32(loc, layout.apply(reg, 0, 0).row)));
    Value inside = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, row,
                                         scalars.lookup(store.getLimit()));
    Value mine = arith::AndIOp::create(builder, loc, inside, first);
    auto ifOp = scf::IfOp::create(builder, loc, mine, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(ifOp.thenBlock());
    Value pointer = offsetPointer(loc, base, mul(loc, widen(loc, row), rowStride));
    LLVM::StoreOp::create(builder, loc, value, pointer, /*alignment=*/4);
  }
}

//===----------------------------------------------------------------------===//
// Captured tensors
//===----------------------------------------------------------------------===//

FailureOr<Value> KernelLowering::lowerElement(tile::ElementOp element, IRMapping &mapping) {
  Location loc = element.getLoc();
  auto view = element.getView().getType();
  const ViewArgs &args = views[element.getView()];
  Type type = view.getElementType();
  int64_t bytes = std::max<int64_t>(1, type.getIntOrFloatBitWidth() / 8);
  Value offset;
  for (auto [index, stride] : llvm::zip(element.getIndices(), args.strides)) {
    Value term = mul(loc, widen(loc, mapping.lookup(index)), stride);
    offset = offset ? add(loc, offset, term) : term;
  }
  Value pointer = args.base;
  if (offset)
    pointer = offsetPointer(loc, pointer, mul(loc, offset, i64(loc, bytes)));
  Type stored = type.isInteger(1) ? Type(builder.getI8Type()) : type;
  Value loaded = LLVM::LoadOp::create(builder, loc, stored, pointer, bytes, /*isVolatile=*/false,
                                      /*isNonTemporal=*/false, /*isInvariant=*/true);
  if (type.isInteger(1)) {
    Value zero = arith::ConstantOp::create(builder, loc, builder.getI8IntegerAttr(0));
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, loaded, zero).getResult();
  }
  if (isPacked(type))
    return arith::ExtFOp::create(builder, loc, builder.getF32Type(), loaded).getResult();
  return loaded;
}

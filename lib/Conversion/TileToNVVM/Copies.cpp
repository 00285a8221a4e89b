// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Copies from global to shared memory.
//
// All address arithmetic on tensors is in 64 bits. Rows beyond a limit are never accessed: a copy
// of such a row has source size 0 (cp.async then writes zeros and does not touch its source).
#include "Copies.h"

using namespace mlir;
using namespace attnc;

static void copyUnit(KernelLowering &kl, Location loc, Value source, Value destination,
                     Value validBytes, int64_t unit) {
  if (unit >= 4) {
    auto kind = unit == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
    NVVM::CpAsyncOp::create(kl.builder, loc, destination, source, unit, kind, validBytes);
    return;
  }
  // cp.async moves at least 4 bytes: rows of odd 16-bit alignment go through registers.
  Type type = kl.builder.getI16Type();
  Value valid =
      arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::ne, validBytes, kl.i32(loc, 0));
  auto ifOp = scf::IfOp::create(kl.builder, loc, TypeRange(type), valid, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(kl.builder);
    kl.builder.setInsertionPointToStart(ifOp.thenBlock());
    Value loaded = LLVM::LoadOp::create(kl.builder, loc, type, source, /*alignment=*/2);
    scf::YieldOp::create(kl.builder, loc, loaded);
    kl.builder.setInsertionPointToStart(ifOp.elseBlock());
    Value zero = arith::ConstantOp::create(kl.builder, loc, kl.builder.getI16IntegerAttr(0));
    scf::YieldOp::create(kl.builder, loc, zero);
  }
  LLVM::StoreOp::create(kl.builder, loc, ifOp.getResult(0), destination, /*alignment=*/2);
}

namespace {
/// Where a thread's rows of a tile go in shared memory.
///
///   offset = row * pitch + 16 * (chunk ^ ((row >> shift) & mask)) + byte within the chunk
///
/// in a panel of columns. A thread has rows `row` + `first`, where `first` is a multiple of more
/// than `row`: what these turn a chunk by can be taken one after the other. So there are as many
/// addresses to compute as there are turns, and the rest of an address is a constant.
class CopyTarget {
public:
  /// `columnBytes` are in the panel `panel`, or in the row if there are none.
  CopyTarget(KernelLowering &kl, Location loc, tile::SharedLayoutAttr layout, Value base,
             int64_t panel, Value row, Value columnBytes)
      : kl(kl), loc(loc), layout(layout), row(row), inRow(columnBytes) {
    this->base = panel ? kl.add(loc, base, kl.i32(loc, panel * layout.getPanelBytes())) : base;
    if (!layout.getMask())
      return;
    Value turn = arith::ShRUIOp::create(kl.builder, loc, row, kl.i32(loc, layout.getShift()));
    turn = arith::AndIOp::create(kl.builder, loc, turn, kl.i32(loc, layout.getMask()));
    turn = arith::ShLIOp::create(kl.builder, loc, turn, kl.i32(loc, 4));
    inRow = arith::XOrIOp::create(kl.builder, loc, columnBytes, turn);
  }

  Value at(int64_t first) {
    int64_t turn = ((first >> layout.getShift()) & layout.getMask()) * 16;
    Value &address = addresses[turn];
    if (!address) {
      Value turned =
          turn ? arith::XOrIOp::create(kl.builder, loc, inRow, kl.i32(loc, turn)) : inRow;
      Value offset = kl.add(loc, kl.mul(loc, row, kl.i32(loc, layout.getPitch())), turned);
      address = kl.offsetPointer(loc, kl.sharedBase, kl.add(loc, base, offset));
    }
    return first ? kl.offsetPointer(loc, address, kl.i32(loc, first * layout.getPitch())) : address;
  }

private:
  KernelLowering &kl;
  Location loc;
  tile::SharedLayoutAttr layout;
  Value base, row, inRow;
  llvm::SmallDenseMap<int64_t, Value> addresses;
};
} // namespace

namespace {
/// Copies as many neighbouring units of all rows as there are threads to a row.
class ColumnCopy {
public:
  ColumnCopy(KernelLowering &kl, const StageCopy &copy, Value source, Value rowStride,
             int64_t firstUnit, int64_t width)
      : kl(kl), copy(copy), loc(copy.loc), source(source), rowStride(rowStride),
        firstUnit(firstUnit), width(width), rows(copy.buffer.getShape()[1]), unit(copy.vectorBytes),
        rowsAtOnce(kl.numThreads / width), firstRow(kl.scalars.lookup(copy.row)),
        limit(kl.scalars.lookup(copy.limit)) {
    int64_t bytes = copy.buffer.getElementType().getIntOrFloatBitWidth() / 8;
    validUnits = copy.validCols * bytes / unit;
  }

  void emit();

private:
  void emitRows(bool areInside);

  KernelLowering &kl;
  const StageCopy &copy;
  Location loc;
  Value source, rowStride;
  int64_t firstUnit, width, rows, unit, rowsAtOnce, validUnits;
  Value firstRow, limit;
};
} // namespace

/// The copies of this thread. Unless they are known to be inside, a unit is copied if its row and
/// its column are: if neither what is left of the rows, less one, nor what is left of the columns,
/// less one, is negative. Sign bits instead of comparisons keep compare and select out of the key
/// loops.
void ColumnCopy::emitRows(bool areInside) {
  OpBuilder &b = kl.builder;
  Value row = arith::ShRUIOp::create(b, loc, kl.threadId, kl.i32(loc, llvm::Log2_64(width)));
  Value column = arith::AndIOp::create(b, loc, kl.threadId, kl.i32(loc, width - 1));
  tile::SharedLayoutAttr layout = copy.buffer.getLayout();
  int64_t panel = layout.getPanelBytes() ? firstUnit * unit / layout.getPitch() : 0;
  Value inPanel = kl.add(loc, column, kl.i32(loc, firstUnit - panel * layout.getPitch() / unit));
  inPanel = kl.mul(loc, inPanel, kl.i32(loc, unit));
  column = kl.add(loc, column, kl.i32(loc, firstUnit));
  Value columnBytes = kl.mul(loc, column, kl.i32(loc, unit));
  Value columnsLeft;
  if (firstUnit + width > validUnits)
    columnsLeft = arith::SubIOp::create(b, loc, kl.i32(loc, validUnits - 1), column);
  Value globalRow = kl.add(loc, firstRow, row);
  Value pointer = kl.offsetPointer(
      loc, source,
      kl.add(loc, kl.mul(loc, kl.widen(loc, globalRow), rowStride), kl.widen(loc, columnBytes)));
  Value step = kl.mul(loc, rowStride, kl.i64(loc, rowsAtOnce));
  Value rowsLeft = arith::SubIOp::create(b, loc, limit, globalRow);
  CopyTarget target(kl, loc, layout, copy.stage, panel, row, inPanel);
  for (int64_t first = 0; first < rows; first += rowsAtOnce) {
    if (first != 0) {
      pointer = kl.offsetPointer(loc, pointer, step);
      rowsLeft = arith::SubIOp::create(b, loc, rowsLeft, kl.i32(loc, rowsAtOnce));
    }
    Value bytesInside;
    if (!areInside) {
      Value outside = arith::SubIOp::create(b, loc, rowsLeft, kl.i32(loc, 1));
      if (columnsLeft)
        outside = arith::OrIOp::create(b, loc, outside, columnsLeft);
      outside = arith::ShRUIOp::create(b, loc, outside, kl.i32(loc, 31));
      outside = arith::ShLIOp::create(b, loc, outside, kl.i32(loc, llvm::Log2_64(unit)));
      bytesInside = arith::SubIOp::create(b, loc, kl.i32(loc, unit), outside);
    }
    copyUnit(kl, loc, pointer, target.at(first), bytesInside, unit);
  }
}

/// Tiles that lie inside need no number for each of their rows: where a thread has many, these are
/// copied apart.
void ColumnCopy::emit() {
  constexpr int64_t kManyRows = 8;
  OpBuilder &b = kl.builder;
  Value some;
  bool canBeInside = firstUnit + width <= validUnits && unit >= 4;
  bool someThreads = rows * width < kl.numThreads;
  if (someThreads)
    some = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, kl.threadId,
                                 kl.i32(loc, rows * width));
  else if (canBeInside && rows / rowsAtOnce >= kManyRows)
    some = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge,
                                 arith::SubIOp::create(b, loc, limit, firstRow), kl.i32(loc, rows));
  if (!some)
    return emitRows(/*areInside=*/false);
  auto ifOp = scf::IfOp::create(b, loc, some, /*withElseRegion=*/!someThreads);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(ifOp.thenBlock());
  emitRows(/*areInside=*/!someThreads);
  if (someThreads)
    return;
  b.setInsertionPointToStart(ifOp.elseBlock());
  emitRows(/*areInside=*/false);
}

/// A row is copied in units of `vector_bytes`; the units of a row are split into powers of two, so
/// that for each part a thread has one column and rows at a constant distance.
LogicalResult attnc::copyToStage(KernelLowering &kl, Operation *op, const StageCopy &copy) {
  Location loc = copy.loc;
  int64_t bytes = copy.buffer.getElementType().getIntOrFloatBitWidth() / 8;
  int64_t unit = copy.vectorBytes, rowBytes = copy.buffer.getShape()[2] * bytes;
  if (unit < bytes || unit > 16 || !llvm::isPowerOf2_64(unit) || rowBytes % unit != 0 ||
      (copy.validCols * bytes) % unit != 0)
    return op->emitOpError("expects rows that are whole units of ")
           << unit << " bytes, found rows of " << copy.validCols * bytes << " bytes";
  const ViewArgs &args = kl.views[copy.view];
  Value source = kl.addressOf(loc, copy.view, copy.indices, copy.rowDim);
  if (copy.col)
    source = kl.offsetPointer(
        loc, source, kl.mul(loc, kl.widen(loc, kl.scalars.lookup(copy.col)), kl.i64(loc, bytes)));
  Value rowStride = kl.mul(loc, args.strides[copy.rowDim], kl.i64(loc, bytes));
  int64_t units = rowBytes / unit, first = 0;
  // A panel at a time, so that all rows of a thread have the same swizzle.
  tile::SharedLayoutAttr layout = copy.buffer.getLayout();
  int64_t most = layout.getPanelBytes() ? layout.getPitch() / unit : kl.numThreads;
  for (int64_t width = int64_t(1) << llvm::Log2_64(units); width > 0; width /= 2) {
    int64_t part = std::min({width, most, kl.numThreads});
    while (units - first >= width && width > 0) {
      ColumnCopy(kl, copy, source, rowStride, first, part).emit();
      first += part;
    }
  }
  return success();
}

static LogicalResult lowerAsyncCopy(KernelLowering &kl, tile::AsyncCopyOp copy) {
  Location loc = copy.getLoc();
  tile::BufferType buffer = copy.getBuffer().getType();
  Value stage =
      kl.mul(loc, kl.scalars.lookup(copy.getStage()), kl.i32(loc, buffer.getStageBytes()));
  Value base = kl.add(loc, kl.buffers[copy.getBuffer()], stage);
  kl.fragments[copy.getToken()] = {base};
  return copyToStage(kl, copy,
                     {loc, buffer, base, copy.getView(), copy.getIndices(), copy.getRow(),
                      copy.getLimit(), static_cast<int64_t>(copy.getRowDim()),
                      static_cast<int64_t>(copy.getValidCols()),
                      static_cast<int64_t>(copy.getVectorBytes()), copy.getCol()});
}

void attnc::registerCopies(NVVMOpTable &table) { table.add(lowerAsyncCopy); }

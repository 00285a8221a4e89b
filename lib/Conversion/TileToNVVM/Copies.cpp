// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Copies from global to shared memory.
//
// All address arithmetic on tensors is in 64 bits. Rows beyond a limit are never accessed: a copy
// of such a row has source size 0 (cp.async then writes zeros and does not touch its source).
#include "KernelLowering.h"

using namespace mlir;
using namespace attnc;

static void copyUnit(KernelLowering &kl, tile::AsyncCopyOp copy, Value source, Value destination,
                     Value validBytes, int64_t unit) {
  Location loc = copy.getLoc();
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

static void copyColumns(KernelLowering &kl, tile::AsyncCopyOp copy, Value source, Value rowStride,
                        int64_t firstUnit, int64_t width) {
  Location loc = copy.getLoc();
  tile::BufferType buffer = copy.getBuffer().getType();
  tile::SharedLayoutAttr layout = buffer.getLayout();
  int64_t bytes = buffer.getElementType().getIntOrFloatBitWidth() / 8;
  int64_t unit = copy.getVectorBytes(), rows = buffer.getShape()[1];
  int64_t validUnits = copy.getValidCols() * bytes / unit;
  int64_t rowsAtOnce = kl.numThreads / width;

  auto emit = [&]() {
    Value row =
        arith::ShRUIOp::create(kl.builder, loc, kl.threadId, kl.i32(loc, llvm::Log2_64(width)));
    Value column = arith::AndIOp::create(kl.builder, loc, kl.threadId, kl.i32(loc, width - 1));
    column = kl.add(loc, column, kl.i32(loc, firstUnit));
    Value columnBytes = kl.mul(loc, column, kl.i32(loc, unit));
    // A unit is copied if its row and its column are inside: if neither what is left of the rows,
    // less one, nor what is left of the columns, less one, is negative. Sign bits instead of
    // comparisons keep compare and select out of the key loops.
    Value columnsLeft;
    if (firstUnit + width > validUnits)
      columnsLeft = arith::SubIOp::create(kl.builder, loc, kl.i32(loc, validUnits - 1), column);
    Value globalRow = kl.add(loc, kl.scalars.lookup(copy.getRow()), row);
    Value pointer = kl.offsetPointer(
        loc, source,
        kl.add(loc, kl.mul(loc, kl.widen(loc, globalRow), rowStride), kl.widen(loc, columnBytes)));
    Value step = kl.mul(loc, rowStride, kl.i64(loc, rowsAtOnce));
    Value rowsLeft =
        arith::SubIOp::create(kl.builder, loc, kl.scalars.lookup(copy.getLimit()), globalRow);
    for (int64_t first = 0; first < rows; first += rowsAtOnce) {
      if (first != 0) {
        pointer = kl.offsetPointer(loc, pointer, step);
        rowsLeft = arith::SubIOp::create(kl.builder, loc, rowsLeft, kl.i32(loc, rowsAtOnce));
      }
      Value tileRow = first ? kl.add(loc, row, kl.i32(loc, first)) : row;
      // offset = row * pitch + 16 * (chunk ^ ((row >> shift) & mask)) + byte within the chunk
      Value inRow = columnBytes;
      if (layout.getMask()) {
        Value turn =
            arith::ShRUIOp::create(kl.builder, loc, tileRow, kl.i32(loc, layout.getShift()));
        turn = arith::AndIOp::create(kl.builder, loc, turn, kl.i32(loc, layout.getMask()));
        turn = arith::ShLIOp::create(kl.builder, loc, turn, kl.i32(loc, 4));
        inRow = arith::XOrIOp::create(kl.builder, loc, columnBytes, turn);
      }
      Value offset = kl.add(loc, kl.mul(loc, tileRow, kl.i32(loc, layout.getPitch())), inRow);
      Value destination = kl.offsetPointer(
          loc, kl.sharedBase, kl.add(loc, kl.fragments[copy.getToken()].front(), offset));
      Value outside = arith::SubIOp::create(kl.builder, loc, rowsLeft, kl.i32(loc, 1));
      if (columnsLeft)
        outside = arith::OrIOp::create(kl.builder, loc, outside, columnsLeft);
      outside = arith::ShRUIOp::create(kl.builder, loc, outside, kl.i32(loc, 31));
      outside = arith::ShLIOp::create(kl.builder, loc, outside, kl.i32(loc, llvm::Log2_64(unit)));
      Value bytesInside = arith::SubIOp::create(kl.builder, loc, kl.i32(loc, unit), outside);
      copyUnit(kl, copy, pointer, destination, bytesInside, unit);
    }
  };

  if (rows * width >= kl.numThreads) {
    emit();
    return;
  }
  // Fewer units than threads: the last threads sit out.
  Value some = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::slt, kl.threadId,
                                     kl.i32(loc, rows * width));
  auto ifOp = scf::IfOp::create(kl.builder, loc, some, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(kl.builder);
  kl.builder.setInsertionPointToStart(ifOp.thenBlock());
  emit();
}

/// A row is copied in units of `vector_bytes`; the units of a row are split into powers of two, so
/// that for each part a thread has one column and rows at a constant distance.
static LogicalResult lowerAsyncCopy(KernelLowering &kl, tile::AsyncCopyOp copy) {
  Location loc = copy.getLoc();
  tile::BufferType buffer = copy.getBuffer().getType();
  int64_t bytes = buffer.getElementType().getIntOrFloatBitWidth() / 8;
  int64_t unit = copy.getVectorBytes(), rowBytes = buffer.getShape()[2] * bytes;
  if (unit < bytes || unit > 16 || !llvm::isPowerOf2_64(unit) || rowBytes % unit != 0 ||
      (copy.getValidCols() * bytes) % unit != 0)
    return copy.emitOpError("expects rows that are whole units of ")
           << unit << " bytes, found rows of " << copy.getValidCols() * bytes << " bytes";
  const ViewArgs &args = kl.views[copy.getView()];
  Value source = kl.addressOf(loc, copy.getView(), copy.getIndices(), copy.getRowDim());
  Value rowStride = kl.mul(loc, args.strides[copy.getRowDim()], kl.i64(loc, bytes));
  Value stage =
      kl.mul(loc, kl.scalars.lookup(copy.getStage()), kl.i32(loc, buffer.getStageBytes()));
  Value stageBase = kl.add(loc, kl.buffers[copy.getBuffer()], stage);
  kl.fragments[copy.getToken()] = {stageBase};
  int64_t units = rowBytes / unit, first = 0;
  for (int64_t width = int64_t(1) << llvm::Log2_64(units); width > 0; width /= 2) {
    int64_t part = std::min(width, kl.numThreads);
    while (units - first >= width && width > 0) {
      copyColumns(kl, copy, source, rowStride, first, part);
      first += part;
    }
  }
  return success();
}

void attnc::registerCopies(NVVMOpTable &table) { table.add(lowerAsyncCopy); }

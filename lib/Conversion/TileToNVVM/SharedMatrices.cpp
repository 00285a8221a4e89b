// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Addresses of ldmatrix; SharedMatrices.h explains.
#include "SharedMatrices.h"
#include "Products.h"

using namespace mlir;
using namespace attnc;
using tile::TileType;

/// Byte offset of this lane's row in a 16x16 block at column 0 of a row of blocks whose chunk index
/// is `turned` modulo the swizzle. Emitted once, at the head of the kernel.
static Value laneMatrixOffset(KernelLowering &kl, Location loc, tile::SharedLayoutAttr layout,
                              bool rowsFirst, int64_t turned) {
  return kl.atHead(layout, unsigned(2 * turned + rowsFirst), [&]() {
    // Lane l gives the address of row l % 8 of matrix l / 8.
    Value inMatrix = arith::AndIOp::create(kl.builder, loc, kl.laneId, kl.i32(loc, 7));
    Value low = arith::ShRUIOp::create(kl.builder, loc, kl.laneId, kl.i32(loc, 3));
    low = arith::AndIOp::create(kl.builder, loc, low, kl.i32(loc, 1));
    Value high = arith::ShRUIOp::create(kl.builder, loc, kl.laneId, kl.i32(loc, 4));
    Value rowHalf = rowsFirst ? low : high, chunk = rowsFirst ? high : low;
    Value row = kl.add(loc, inMatrix, kl.mul(loc, rowHalf, kl.i32(loc, 8)));
    if (layout.getMask()) {
      // Blocks start at multiples of 16 rows, and the turn repeats every 8: it depends on the lane
      // alone.
      Value turn =
          arith::ShRUIOp::create(kl.builder, loc, inMatrix, kl.i32(loc, layout.getShift()));
      turn = arith::AndIOp::create(kl.builder, loc, turn, kl.i32(loc, layout.getMask()));
      chunk = arith::XOrIOp::create(kl.builder, loc, chunk, turn);
      chunk = arith::XOrIOp::create(kl.builder, loc, chunk, kl.i32(loc, turned));
    }
    return kl.add(loc, kl.mul(loc, row, kl.i32(loc, layout.getPitch())),
                  kl.mul(loc, chunk, kl.i32(loc, 16)));
  });
}

MatrixSource attnc::matrixSource(KernelLowering &kl, Location loc, Value slotBase,
                                 tile::BufferType buffer, bool rowsFirst, bool transpose) {
  MatrixSource source{buffer.getLayout(), transpose, {}};
  Value base = kl.offsetPointer(loc, kl.sharedBase, slotBase);
  int64_t chunks = buffer.getShape()[2] / 8;
  for (int64_t turned = 0; turned <= source.layout.getMask() && turned < chunks; turned += 2)
    source.pointers.push_back(
        kl.offsetPointer(loc, base, laneMatrixOffset(kl, loc, source.layout, rowsFirst, turned)));
  return source;
}

static SmallVector<Value> loadMatricesAt(KernelLowering &kl, Location loc, Value pointer,
                                         bool transpose) {
  SmallVector<Type> four(4, kl.builder.getI32Type());
  auto type = LLVM::LLVMStructType::getLiteral(kl.builder.getContext(), four);
  Value loaded = NVVM::LdMatrixOp::create(
      kl.builder, loc, type, pointer, 4, transpose ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(kl.builder.getContext(), 8, 8), NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(LLVM::ExtractValueOp::create(kl.builder, loc, loaded, i));
  return registers;
}

SmallVector<Value> attnc::loadMatrices(KernelLowering &kl, Location loc, const MatrixSource &source,
                                       int64_t row0, int64_t col0) {
  int64_t chunk = col0 / 8, turned = chunk & source.layout.getMask(), panel = 0;
  if (int64_t panelBytes = source.layout.getPanelBytes()) {
    int64_t chunks = source.layout.getPitch() / 16;
    panel = chunk / chunks * panelBytes;
    chunk %= chunks;
  }
  int64_t constant = row0 * source.layout.getPitch() + 16 * (chunk - turned) + panel;
  Value pointer = source.pointers[turned / 2];
  if (constant != 0)
    pointer = kl.offsetPointer(loc, pointer, kl.i32(loc, constant));
  return loadMatricesAt(kl, loc, pointer, source.transpose);
}

/// Where this lane reads the four matrices of a block whose column, a multiple of 16, is not known
/// before the kernel runs, in the first rows; (0,0), (0,8), (8,0), (8,8) in (row, column).
static Value pointerAtColumn(KernelLowering &kl, Location loc, Value slotBase,
                             tile::SharedLayoutAttr layout, Value column) {
  OpBuilder &b = kl.builder;
  auto bit = [&](int64_t number) {
    Value shifted = arith::ShRUIOp::create(b, loc, kl.laneId, kl.i32(loc, number));
    return arith::AndIOp::create(b, loc, shifted, kl.i32(loc, 1));
  };
  Value inMatrix = arith::AndIOp::create(b, loc, kl.laneId, kl.i32(loc, 7));
  Value row = kl.add(loc, inMatrix, kl.mul(loc, bit(4), kl.i32(loc, 8)));
  Value chunk = arith::ShRUIOp::create(b, loc, column, kl.i32(loc, 3));
  Value start = slotBase;
  if (int64_t panelBytes = layout.getPanelBytes()) {
    Value chunks = kl.i32(loc, layout.getPitch() / 16);
    Value panel = arith::DivUIOp::create(b, loc, chunk, chunks);
    start = kl.add(loc, start, kl.mul(loc, panel, kl.i32(loc, panelBytes)));
    chunk = arith::RemUIOp::create(b, loc, chunk, chunks);
  }
  chunk = kl.add(loc, chunk, bit(3));
  if (layout.getMask()) {
    Value turn = arith::ShRUIOp::create(b, loc, inMatrix, kl.i32(loc, layout.getShift()));
    turn = arith::AndIOp::create(b, loc, turn, kl.i32(loc, layout.getMask()));
    chunk = arith::XOrIOp::create(b, loc, chunk, turn);
  }
  Value offset = kl.add(loc, kl.mul(loc, row, kl.i32(loc, layout.getPitch())),
                        kl.mul(loc, chunk, kl.i32(loc, 16)));
  return kl.offsetPointer(loc, kl.sharedBase, kl.add(loc, start, offset));
}

/// Rows of the fragment, which warps share out, are columns of the stage.
static Fragment readTurnedFragment16(KernelLowering &kl, tile::ReadOp read) {
  Location loc = read.getLoc();
  TileType type = read.getResult().getType();
  tile::SharedLayoutAttr layout = read.getSlot().getType().getBuffer().getLayout();
  Type pair = VectorType::get({2}, type.getElementType());
  int64_t warpRows = type.getRows() / (kl.numThreads / 32);
  Value base = kl.fragments[read.getSlot()].front();
  Fragment result(type.getRows() * type.getCols() / kl.numThreads / 2);
  FragmentIndex index(type);
  for (int64_t m = 0; m < rowTiles(type, kl.numThreads); ++m) {
    Value column = kl.add(loc, kl.mul(loc, kl.warpId, kl.i32(loc, warpRows)), kl.i32(loc, 16 * m));
    Value pointer = pointerAtColumn(kl, loc, base, layout, column);
    for (int64_t k = 0; k < type.getCols() / 16; ++k) {
      Value at = kl.offsetPointer(loc, pointer, kl.i32(loc, 16 * k * layout.getPitch()));
      SmallVector<Value> regs = loadMatricesAt(kl, loc, at, /*transpose=*/true);
      for (int64_t r = 0; r < 4; ++r)
        result[index(m, 2 * k + r / 2, r % 2, 0) / 2] =
            LLVM::BitcastOp::create(kl.builder, loc, pair, regs[r]);
    }
  }
  return result;
}

SmallVector<Value> attnc::readFragment16(KernelLowering &kl, tile::ReadOp read) {
  if (read.getTransposed())
    return readTurnedFragment16(kl, read);
  Location loc = read.getLoc();
  TileType type = read.getResult().getType();
  tile::BufferType buffer = read.getSlot().getType().getBuffer();
  Type pair = VectorType::get({2}, type.getElementType());
  int64_t warpRows = type.getRows() / (kl.numThreads / 32);
  Value warpBase = kl.mul(loc, kl.warpId, kl.i32(loc, warpRows * buffer.getLayout().getPitch()));
  Value base = kl.add(loc, kl.fragments[read.getSlot()].front(), warpBase);
  MatrixSource source =
      matrixSource(kl, loc, base, buffer, /*rowsFirst=*/true, /*transpose=*/false);
  Fragment result(type.getRows() * type.getCols() / kl.numThreads / 2);
  FragmentIndex index(type);
  for (int64_t m = 0; m < rowTiles(type, kl.numThreads); ++m)
    for (int64_t k = 0; k < type.getCols() / 16; ++k) {
      SmallVector<Value> regs = loadMatrices(kl, loc, source, 16 * m, 16 * k);
      // Registers of an A operand: (row half, depth half) = (0,0), (1,0), (0,1), (1,1).
      for (int64_t r = 0; r < 4; ++r)
        result[index(m, 2 * k + r / 2, r % 2, 0) / 2] =
            LLVM::BitcastOp::create(kl.builder, loc, pair, regs[r]);
    }
  return result;
}

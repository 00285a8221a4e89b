// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that move elements between threads, or only between names. What goes through shared memory is
// written between two barriers: no thread still reads what was there, and all see what is.
#include "Elements.h"
#include "Products.h"

using namespace mlir;
using namespace attnc;
using tile::TileType;

/// Each thread keeps its elements; only their order may change, and does not: registers are counted
/// alike in both layouts.
static LogicalResult lowerTranspose(KernelLowering &kl, tile::TransposeOp transpose) {
  Location loc = transpose.getLoc();
  TileType from = transpose.getInput().getType(), to = transpose.getResult().getType();
  Fragment elements = unpack(kl, loc, from, kl.fragments[transpose.getInput()]);
  kl.fragments[transpose.getResult()] = pack(kl, loc, to, elements);
  return success();
}

static LogicalResult lowerConvertLayout(KernelLowering &kl, tile::ConvertLayoutOp convert) {
  Location loc = convert.getLoc();
  TileType from = convert.getInput().getType(), to = convert.getResult().getType();
  if (!convert.getScratch())
    return convert.emitOpError("has no shared memory to exchange elements through");
  Type memory = memoryType(kl.builder, from.getElementType(), /*shared=*/true);
  int64_t bytes = memory.getIntOrFloatBitWidth() / 8;
  auto address = [&](const Position &at) {
    Value element = kl.add(loc, kl.mul(loc, at.row, kl.i32(loc, from.getCols())), at.col);
    Value offset =
        kl.add(loc, kl.mul(loc, element, kl.i32(loc, bytes)), kl.i32(loc, *convert.getScratch()));
    return kl.offsetPointer(loc, kl.sharedBase, offset);
  };
  SmallVector<Value> elements = unpack(kl, loc, from, kl.fragments[convert.getInput()]);
  SmallVector<Position> sources = positions(kl, loc, from), targets = positions(kl, loc, to);
  kl.barrier(loc);
  guarded(kl, loc, isFirstCopy(kl, loc, from), [&]() {
    for (auto [value, at] : llvm::zip(elements, sources))
      LLVM::StoreOp::create(kl.builder, loc, toMemory(kl.builder, loc, value, memory), address(at),
                            bytes);
  });
  kl.barrier(loc);
  SmallVector<Value> received;
  for (const Position &at : targets) {
    Value word = LLVM::LoadOp::create(kl.builder, loc, memory, address(at), bytes);
    received.push_back(fromMemory(kl.builder, loc, word, to.getElementType()));
  }
  kl.fragments[convert.getResult()] = pack(kl, loc, to, received);
  return success();
}

static LogicalResult lowerShare(KernelLowering &kl, tile::ShareOp share) {
  Location loc = share.getLoc();
  TileType type = share.getValue().getType();
  tile::SharedLayoutAttr layout = share.getBuffer().getType().getLayout();
  int64_t bytes = type.getElementType().getIntOrFloatBitWidth() / 8;
  Value base = kl.buffers[share.getBuffer()];
  // offset = row * pitch + 16 * (chunk ^ ((row >> shift) & mask)) + byte within the chunk, in a
  // panel
  auto address = [&](const Position &at) {
    Value inRow = kl.mul(loc, at.col, kl.i32(loc, bytes)), start = base;
    if (layout.getPanelBytes()) {
      Value pitch = kl.i32(loc, layout.getPitch());
      Value panel = arith::DivUIOp::create(kl.builder, loc, inRow, pitch);
      inRow = arith::RemUIOp::create(kl.builder, loc, inRow, pitch);
      start = kl.add(loc, start, kl.mul(loc, panel, kl.i32(loc, layout.getPanelBytes())));
    }
    if (layout.getMask()) {
      Value turn = arith::ShRUIOp::create(kl.builder, loc, at.row, kl.i32(loc, layout.getShift()));
      turn = arith::AndIOp::create(kl.builder, loc, turn, kl.i32(loc, layout.getMask()));
      turn = arith::ShLIOp::create(kl.builder, loc, turn, kl.i32(loc, 4));
      inRow = arith::XOrIOp::create(kl.builder, loc, inRow, turn);
    }
    Value offset = kl.add(loc, kl.mul(loc, at.row, kl.i32(loc, layout.getPitch())), inRow);
    return kl.offsetPointer(loc, kl.sharedBase, kl.add(loc, start, offset));
  };
  SmallVector<Value> elements = unpack(kl, loc, type, kl.fragments[share.getValue()]);
  kl.barrier(loc);
  guarded(kl, loc, isFirstCopy(kl, loc, type), [&]() {
    for (auto [value, at] : llvm::zip(elements, positions(kl, loc, type)))
      LLVM::StoreOp::create(kl.builder, loc, value, address(at), bytes);
  });
  if (layout.getPanelBytes())
    fenceForWarpgroups(kl, loc);
  kl.barrier(loc);
  kl.fragments[share.getSlot()] = {base};
  return success();
}

/// A tile of one element is the same in all threads.
static LogicalResult lowerScalar(KernelLowering &kl, tile::ScalarOp scalar) {
  kl.scalars.map(scalar.getResult(), kl.fragments[scalar.getInput()].front());
  return success();
}

void attnc::registerMoves(NVVMOpTable &table) {
  table.add(lowerScalar);
  table.add(lowerConvertLayout);
  table.add(lowerShare);
  table.add(lowerTranspose);
}

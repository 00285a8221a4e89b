// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that move elements between threads, or only between names. What goes through shared memory is
// written between two barriers: no thread still reads what was there, and all see what is.
#include "Elements.h"
#include "Products.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
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
  // A lane's elements are at constant distances from its first one.
  auto addresses = [&](TileType type) {
    Value row = kl.laneCoordinate(loc, type, /*row=*/true);
    Value col = kl.laneCoordinate(loc, type, /*row=*/false);
    Value element = kl.add(loc, kl.mul(loc, row, kl.i32(loc, from.getCols())), col);
    Value first = kl.offsetPointer(
        loc, kl.sharedBase,
        kl.add(loc, kl.mul(loc, element, kl.i32(loc, bytes)), kl.i32(loc, *convert.getScratch())));
    LinearLayout layout(type.getLayout());
    return llvm::map_to_vector(KernelLowering::liveRegisters(type), [&](int64_t reg) {
      Coord at = layout.apply(reg, 0, 0);
      int64_t distance = (at.row * from.getCols() + at.col) * bytes;
      return distance ? kl.offsetPointer(loc, first, kl.i32(loc, distance)) : first;
    });
  };
  SmallVector<Value> elements = unpack(kl, loc, from, kl.fragments[convert.getInput()]);
  kl.barrier(loc);
  guarded(kl, loc, isFirstCopy(kl, loc, from), [&]() {
    for (auto [value, address] : llvm::zip(elements, addresses(from)))
      LLVM::StoreOp::create(kl.builder, loc, toMemory(kl.builder, loc, value, memory), address,
                            bytes);
  });
  kl.barrier(loc);
  SmallVector<Value> received;
  for (Value address : addresses(to)) {
    Value word = LLVM::LoadOp::create(kl.builder, loc, memory, address, bytes);
    received.push_back(fromMemory(kl.builder, loc, word, to.getElementType()));
  }
  kl.fragments[convert.getResult()] = pack(kl, loc, to, received);
  return success();
}

namespace {
/// Where the elements of a lane go in a stage of shared memory:
///
///   offset = row * pitch + 16 * (chunk ^ ((row >> shift) & mask)) + byte within the chunk
///
/// in a panel. Row and column are those of the lane and those of the register, which have no bit in
/// common, so that the turn of both is that of one and then of the other: a lane has as many
/// addresses to compute as registers differ in bits that its own can have; the rest is a constant.
class ShareTarget {
public:
  ShareTarget(KernelLowering &kl, Location loc, TileType type, tile::SharedLayoutAttr layout,
              Value base)
      : kl(kl), loc(loc), layout(layout), base(base),
        bytes(type.getElementType().getIntOrFloatBitWidth() / 8),
        row(kl.laneCoordinate(loc, type, /*row=*/true)),
        inRow(kl.mul(loc, kl.laneCoordinate(loc, type, /*row=*/false), kl.i32(loc, bytes))) {
    LinearLayout lanes(type.getLayout());
    for (const auto &bases : {lanes.laneBases(), lanes.warpBases()})
      for (Coord basis : bases)
        laneBits |= basis.col * bytes;
    if (layout.getMask()) {
      Value turn = arith::ShRUIOp::create(kl.builder, loc, row, kl.i32(loc, layout.getShift()));
      turn = arith::AndIOp::create(kl.builder, loc, turn, kl.i32(loc, layout.getMask()));
      turn = arith::ShLIOp::create(kl.builder, loc, turn, kl.i32(loc, 4));
      if (layout.getPanelBytes())
        turns = turn;
      else
        inRow = arith::XOrIOp::create(kl.builder, loc, inRow, turn);
      laneBits |= int64_t(layout.getMask()) << 4;
    }
  }

  /// The address of the element that the register has at `at`.
  Value address(Coord at) {
    int64_t turn = ((at.row >> layout.getShift()) & layout.getMask()) << 4;
    int64_t rest = at.row * layout.getPitch();
    if (layout.getPanelBytes())
      return inPanel(at.col * bytes, turn, rest);
    int64_t column = (at.col * bytes) ^ turn;
    Value &start = starts[column & laneBits];
    if (!start)
      start = pointer(kl.mul(loc, row, kl.i32(loc, layout.getPitch())), inRow, column & laneBits);
    rest += column & ~laneBits;
    return rest ? kl.offsetPointer(loc, start, kl.i32(loc, rest)) : start;
  }

private:
  Value pointer(Value rows, Value columns, int64_t turn) {
    if (turn)
      columns = arith::XOrIOp::create(kl.builder, loc, columns, kl.i32(loc, turn));
    return kl.offsetPointer(loc, kl.sharedBase, kl.add(loc, base, kl.add(loc, rows, columns)));
  }
  /// Lanes of a row may lie in different panels.
  Value inPanel(int64_t column, int64_t turn, int64_t rows) {
    Value bytesInRow = kl.add(loc, inRow, kl.i32(loc, column)),
          pitch = kl.i32(loc, layout.getPitch());
    Value panel = arith::DivUIOp::create(kl.builder, loc, bytesInRow, pitch);
    Value columns = arith::RemUIOp::create(kl.builder, loc, bytesInRow, pitch);
    columns = arith::XOrIOp::create(kl.builder, loc, columns, turns);
    Value start = kl.add(loc, kl.mul(loc, row, pitch),
                         kl.mul(loc, panel, kl.i32(loc, layout.getPanelBytes())));
    return kl.offsetPointer(loc, pointer(start, columns, turn), kl.i32(loc, rows));
  }

  KernelLowering &kl;
  Location loc;
  tile::SharedLayoutAttr layout;
  Value base;
  int64_t bytes, laneBits = 0;
  Value row, inRow, turns;
  llvm::SmallDenseMap<int64_t, Value> starts;
};
} // namespace

static LogicalResult lowerShare(KernelLowering &kl, tile::ShareOp share) {
  Location loc = share.getLoc();
  TileType type = share.getValue().getType();
  tile::SharedLayoutAttr layout = share.getBuffer().getType().getLayout();
  int64_t bytes = type.getElementType().getIntOrFloatBitWidth() / 8;
  Value base = kl.buffers[share.getBuffer()];
  SmallVector<Value> elements = unpack(kl, loc, type, kl.fragments[share.getValue()]);
  LinearLayout linear(type.getLayout());
  kl.barrier(loc);
  guarded(kl, loc, isFirstCopy(kl, loc, type), [&]() {
    ShareTarget target(kl, loc, type, layout, base);
    for (auto [value, reg] : llvm::zip(elements, KernelLowering::liveRegisters(type)))
      LLVM::StoreOp::create(kl.builder, loc, value, target.address(linear.apply(reg, 0, 0)), bytes);
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

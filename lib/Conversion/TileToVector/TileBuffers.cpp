// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Buffers for tiles, and which values need none: TileBuffers.h explains.
#include "TileBuffers.h"
#include "MatrixUnit.h"

using namespace mlir;
using namespace attnc;

Type TileBuffers::storageOf(Type element) const {
  if (element.isF16() || (element.isBF16() && !e.target.hasBF16Dot()))
    return e.f32;
  if (element.isInteger(1))
    return e.i32;
  return element;
}

int64_t TileBuffers::reserve(int64_t bytes) {
  int64_t offset = used;
  used += llvm::alignTo(bytes, 64);
  highWater = std::max(highWater, used);
  return offset;
}

Buffer TileBuffers::newBuffer(tile::TileType type) {
  Buffer buffer;
  buffer.storage = storageOf(type.getElementType());
  buffer.rows = type.getRows();
  buffer.cols = type.getCols();
  buffer.pitch = type.getRank() == 2 ? llvm::alignTo(type.getCols(), e.lanes) : 1;
  int64_t rows = type.getRank() == 2 ? type.getRows() : llvm::alignTo(type.getRows(), e.lanes);
  buffer.offset = reserve(rows * buffer.rowBytes());
  return buffer;
}

bool TileBuffers::isAlias(tile::CastOp op) const {
  return op.getInput().getType().getElementType() == op.getResult().getType().getElementType();
}

Value TileBuffers::resolve(Value v) const {
  while (auto cast = v.getDefiningOp<tile::CastOp>()) {
    if (!isAlias(cast))
      break;
    v = cast.getInput();
  }
  return v;
}

tile::DotOp TileBuffers::deferredTo(Operation *op) const {
  auto map = dyn_cast<tile::MapOp>(op);
  if (!map || !map->hasOneUse() || map.getResult().getType().getRank() != 2)
    return {};
  auto dot = dyn_cast<tile::DotOp>(*map->user_begin());
  if (!dot || dot->getBlock() != map->getBlock() || dot.getAcc() != map.getResult() ||
      dot.getLhs() == map.getResult() || dot.getRhs() == map.getResult() ||
      usesMatrixUnit(e.target, dot)) // which takes sums from memory
    return {};
  return dot;
}

bool TileBuffers::isOnlyPacked(tile::LoadOp op) const {
  if (!op->hasOneUse())
    return false;
  auto dot = dyn_cast<tile::DotOp>(*op->user_begin());
  return dot && dot.getRhs() == op.getResult() && !dot.getMask() &&
         dot->getBlock() == op->getBlock();
}

bool TileBuffers::isOnlyMultiplied(tile::TransposeOp op) const {
  tile::TileType type = op.getResult().getType();
  if (op->use_empty() || type.getRank() != 2 || !storageOf(type.getElementType()).isF32() ||
      type.getRows() <= kFewRows || fillOf(op.getInput()))
    return false;
  return llvm::all_of(op->getUses(), [&](OpOperand &use) {
    auto dot = dyn_cast<tile::DotOp>(use.getOwner());
    return dot && use.get() == dot.getLhs() && use.getOperandNumber() == 0 && !dot.getMask() &&
           dot->getBlock() == op->getBlock();
  });
}

void TileBuffers::forEachUser(Value v, llvm::function_ref<void(Operation *)> fn) const {
  for (Operation *user : v.getUsers()) {
    auto cast = dyn_cast<tile::CastOp>(user);
    auto transpose = dyn_cast<tile::TransposeOp>(user);
    if (cast && isAlias(cast))
      forEachUser(cast.getResult(), fn);
    else if (transpose && isOnlyMultiplied(transpose))
      forEachUser(transpose.getResult(), fn);
    else if (tile::DotOp dot = deferredTo(user))
      fn(dot);
    else
      fn(user);
  }
}

bool TileBuffers::diesAt(Value v, Operation *op) const {
  if (v.getParentBlock() != op->getBlock())
    return false;
  bool dies = true;
  forEachUser(v, [&](Operation *user) {
    Operation *ancestor = op->getBlock()->findAncestorOpInBlock(*user);
    dies &= ancestor && (ancestor == op || ancestor->isBeforeInBlock(op));
  });
  return dies;
}

Buffer TileBuffers::resultBuffer(Value result, Operation *op, ValueRange candidates) {
  auto type = cast<tile::TileType>(result.getType());
  for (Value candidate : candidates) {
    Value v = resolve(candidate);
    auto it = buffers.find(v);
    if (it == buffers.end() || cast<tile::TileType>(v.getType()).getShape() != type.getShape() ||
        it->second.storage != storageOf(type.getElementType()) || !diesAt(v, op))
      continue;
    return it->second;
  }
  return newBuffer(type);
}

Value TileBuffers::address(const Buffer &buffer, Value row, Value col) {
  Value base = e.offset(scratch, buffer.offset);
  base = e.offset(base, e.mulc(row, buffer.rowBytes()));
  return e.offset(base, e.mulc(col, byteSize(buffer.storage)));
}

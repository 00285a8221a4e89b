// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The elements of tiles, a vector at a time.
#include "RowElements.h"

using namespace mlir;
using namespace attnc;

Value attnc::readVector(KernelEmitter &ke, Value v, Value row, Value col) {
  Emitter &e = ke.e;
  v = ke.tiles.resolve(v);
  if (auto fill = v.getDefiningOp<tile::FillOp>()) {
    Value scalar = ke.scalars.lookupOrDefault(fill.getValue());
    return convertElement(ke, scalar, fill.getValue().getType(),
                          ke.tiles.storageOf(fill.getValue().getType()));
  }
  if (Value known = ke.inRegisters.lookup({v, col}))
    return known;
  const Buffer &buffer = ke.tiles.buffers.find(v)->second;
  auto type = cast<tile::TileType>(v.getType());
  bool matrix = type.getRank() == 2, condition = type.getElementType().isInteger(1);
  if (matrix && type.getRows() == 1) // next to a matrix, its values are those of the columns
    row = e.constI64(0);
  auto loaded = [&](Type stored, Value from, int64_t align) -> Value {
    Value x = e.load(stored, from, align);
    if (!condition)
      return x;
    return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, x, e.zero(stored));
  };
  Value at = ke.tiles.address(buffer, row, matrix ? col : e.constI64(0));
  if (!matrix && col)
    return loaded(buffer.storage, at, byteSize(buffer.storage));
  return loaded(e.vec(buffer.storage), at, ke.tiles.vectorAlign(buffer.storage));
}

Value attnc::toStorage(KernelEmitter &ke, Value value) {
  Emitter &e = ke.e;
  if (!getElementTypeOrSelf(value.getType()).isInteger(1))
    return value;
  Type wide = isa<VectorType>(value.getType()) ? Type(e.vi32) : e.i32;
  return arith::ExtUIOp::create(e.b, e.loc, wide, value);
}

void attnc::writeVector(KernelEmitter &ke, Value value, Value tile, Value row, Value col) {
  Emitter &e = ke.e;
  auto it = ke.tiles.buffers.find(tile);
  if (it == ke.tiles.buffers.end())
    return;
  Value at = ke.tiles.address(it->second, row, col ? col : e.constI64(0));
  e.store(toStorage(ke, e.asVector(value)), at, ke.tiles.vectorAlign(it->second.storage));
}

Value attnc::convertElement(KernelEmitter &ke, Value x, Type from, Type to) {
  Emitter &e = ke.e;
  if (isa<IntegerType>(from) && isa<FloatType>(to)) {
    auto vector = dyn_cast<VectorType>(x.getType());
    x = arith::SIToFPOp::create(e.b, e.loc, vector ? Type(e.vf32) : e.f32, x);
  }
  if (!isa<FloatType>(to))
    return x;
  Value rounded = e.fromF32(e.toF32(x), to);
  return ke.tiles.storageOf(to) == to ? rounded : e.toF32(rounded);
}

Value attnc::mapVector(KernelEmitter &ke, tile::MapOp map, ValueRange operands, Value row,
                       Value col, Value wanted) {
  Emitter &e = ke.e;
  tile::TileType type = map.getResult().getType();
  auto coordinate = [&](Value start, Value index) {
    Value narrow = arith::TruncIOp::create(e.b, e.loc, e.i32, index);
    return e.add(ke.scalars.lookupOrDefault(start), narrow);
  };
  // The padding beyond the tile repeats its last coordinate, so that elements read there exist.
  auto lanesFrom = [&](Value start, Value index, int64_t size) {
    Value vector = e.add(e.splat(coordinate(start, index)), e.iota());
    if (size % e.lanes == 0)
      return vector;
    Value last = e.addc(ke.scalars.lookupOrDefault(start), size - 1);
    return e.min(vector, e.splat(last));
  };
  SmallVector<Value> args(operands);
  if (type.getRank() == 1) {
    args.push_back(lanesFrom(map.getRow0(), row, type.getRows()));
  } else {
    args.push_back(coordinate(map.getRow0(), row));
    args.push_back(map.getCol().use_empty() ? args.back()
                                            : lanesFrom(map.getCol0(), col, type.getCols()));
  }
  return emitRegion(e, map, args, ke.scalars, ke.views, wanted);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// KernelParts.h explains.
#include "KernelParts.h"

using namespace mlir;
using namespace attnc;

/// All indices of an axis, or the part that `context` has.
static FailureOr<IndexPart> whole(KernelContext &context, Location loc, StringRef space) {
  if (auto part = context.parts.find(space); part != context.parts.end())
    return part->second;
  if (Value size = context.sizes.lookup(space))
    return IndexPart{context.i32(loc, 0), size};
  return emitError(loc, "no input says the size of the index space `") << space << "`";
}

/// Tiles of `count` indices, in a kernel, where a division is cheaper unsigned.
static Value tilesOf(KernelContext &context, Location loc, Value count, int64_t tile) {
  if (tile == 1)
    return count;
  OpBuilder &b = context.builder;
  count = arith::AddIOp::create(b, loc, count, context.i32(loc, tile - 1));
  return arith::DivUIOp::create(b, loc, count, context.i32(loc, tile));
}

FailureOr<Value> attnc::countParts(KernelContext &context, Location loc,
                                   ArrayRef<IndependentAxis> axes) {
  Value count = context.i32(loc, 1);
  for (const IndependentAxis &axis : axes) {
    FailureOr<IndexPart> all = whole(context, loc, axis.space);
    if (failed(all))
      return failure();
    Value tiles = all->count;
    if (axis.tile != 1)
      tiles = arith::CeilDivSIOp::create(context.builder, loc, tiles, context.i32(loc, axis.tile));
    count = arith::MulIOp::create(context.builder, loc, count, tiles);
  }
  return count;
}

LogicalResult attnc::bindParts(KernelContext &context, Location loc, ArrayRef<IndependentAxis> axes,
                               Value id) {
  OpBuilder &b = context.builder;
  for (const IndependentAxis &axis : llvm::reverse(axes)) {
    FailureOr<IndexPart> all = whole(context, loc, axis.space);
    if (failed(all))
      return failure();
    Value index = id;
    if (&axis != axes.begin()) {
      Value tiles = tilesOf(context, loc, all->count, axis.tile);
      index = arith::RemUIOp::create(b, loc, id, tiles);
      id = arith::DivUIOp::create(b, loc, id, tiles);
    }
    Value tile = context.i32(loc, axis.tile), offset = index, count = tile;
    if (axis.tile != 1) {
      offset = arith::MulIOp::create(b, loc, index, tile);
      count =
          arith::MinSIOp::create(b, loc, tile, arith::SubIOp::create(b, loc, all->count, offset));
    }
    Value first = arith::AddIOp::create(b, loc, all->first, offset);
    context.parts[axis.space] = {first, count, axis.tile};
  }
  return success();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See Domain.h.
#include "Domain.h"

using namespace mlir;
using namespace attnc;

static Value i32(OpBuilder &builder, Location loc, int64_t value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getI32IntegerAttr(static_cast<int32_t>(value)));
}

/// The first index of tile `index` of `axis`, counted from the last tile if that is first.
static Value firstOf(OpBuilder &builder, Location loc, const Axis &axis, Value index, Value size) {
  if (axis.lastFirst) {
    Value round = arith::AddIOp::create(builder, loc, size, i32(builder, loc, axis.tile - 1));
    Value tiles = arith::DivUIOp::create(builder, loc, round, i32(builder, loc, axis.tile));
    Value last = arith::SubIOp::create(builder, loc, tiles, i32(builder, loc, 1));
    index = arith::SubIOp::create(builder, loc, last, index);
  }
  if (axis.tile == 1)
    return index;
  return arith::MulIOp::create(builder, loc, index, i32(builder, loc, axis.tile));
}

void Domain::emitCoordinates(OpBuilder &builder, Location loc,
                             const llvm::StringMap<Value> &sizes) {
  SmallVector<std::pair<const Axis *, Value>> indices;
  for (auto [dimension, axis] : llvm::enumerate(map.gridAxes()))
    indices.emplace_back(axis,
                         tile::ProgramIdOp::create(builder, loc, builder.getI32Type(), dimension));
  for (auto [axis, index] : indices) {
    if (axis->name == "h" && axis->isTile()) {
      emitHeadTile(builder, loc, *axis, index, sizes);
      continue;
    }
    firsts[axis->name] = firstOf(builder, loc, *axis, index, sizes.lookup(axis->name));
    limits[axis->name] = sizes.lookup(axis->name);
  }
  if (Value h = first("h"); h && !first("g")) {
    Value group = arith::DivUIOp::create(builder, loc, sizes.lookup("h"), sizes.lookup("g"));
    firsts["g"] = arith::DivUIOp::create(builder, loc, h, group);
  }
}

void Domain::share(OpBuilder &builder, Location loc, StringRef outer, StringRef inner, Value size) {
  assert(tile(outer) == 1 && "an index, not a tile of them");
  Value both = firsts[outer];
  firsts[inner] = arith::RemUIOp::create(builder, loc, both, size);
  firsts[outer] = arith::DivUIOp::create(builder, loc, both, size);
}

/// Tile `index` of those of h, of which each group has as many.
void Domain::emitHeadTile(OpBuilder &builder, Location loc, const Axis &axis, Value index,
                          const llvm::StringMap<Value> &sizes) {
  Value heads = arith::DivUIOp::create(builder, loc, sizes.lookup("h"), sizes.lookup("g"));
  assert(axis.used <= 1 && "several used heads could go beyond their group");
  Value size = i32(builder, loc, axis.step());
  Value round = arith::AddIOp::create(builder, loc, heads, i32(builder, loc, axis.step() - 1));
  Value tiles = arith::DivUIOp::create(builder, loc, round, size);
  Value group = arith::DivUIOp::create(builder, loc, index, tiles);
  Value within = arith::RemUIOp::create(builder, loc, index, tiles);
  Value start = arith::MulIOp::create(builder, loc, group, heads);
  firsts["g"] = group;
  firsts["h"] =
      arith::AddIOp::create(builder, loc, start, arith::MulIOp::create(builder, loc, within, size));
  limits["h"] = axis.used ? arith::AddIOp::create(builder, loc, firsts["h"], size).getResult()
                          : arith::AddIOp::create(builder, loc, start, heads).getResult();
}

SmallVector<const Axis *, 2> Domain::tileAxesOf(ArrayRef<StringRef> names) const {
  SmallVector<StringRef> own; // without what follows from another axis
  llvm::copy_if(names, std::back_inserter(own),
                [&](StringRef name) { return map.find(name) || !firsts.contains(name); });
  return llvm::cantFail(map.tileAxesOf(own), "the lowering of a stage maps all of its axes");
}

tile::TileType Domain::typeOf(ArrayRef<StringRef> names, Type element) const {
  SmallVector<int64_t> shape;
  for (const Axis *axis : tileAxesOf(names))
    shape.push_back(axis->tile);
  return tile::TileType::get(element.getContext(), shape, element, tile::LinearLayoutAttr());
}

Domain Domain::withTile(StringRef axis, int64_t tile) const {
  Domain result(llvm::cantFail(map.withTile(axis, tile)));
  result.firsts = firsts;
  result.limits = limits;
  return result;
}

SmallVector<StringRef> attnc::axisNames(attn::AttnTensorType type) {
  SmallVector<StringRef> names;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    names.push_back(type.getAxisName(axis));
  return names;
}

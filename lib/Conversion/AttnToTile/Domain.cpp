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

/// Of a section of n heads, program r has tile r / n of head r % n. No number exceeds 2^31:
/// sections are cut to 2^30 programs.
void Domain::takeTurns(OpBuilder &builder, Location loc, const llvm::StringMap<Value> &sizes,
                       Value headsAtOnce, Value &tile, Value &head) const {
  auto quotient = [&](Value a, Value b) -> Value {
    return arith::DivUIOp::create(builder, loc, a, b);
  };
  const Axis &q = *map.find("q");
  Value round =
      arith::AddIOp::create(builder, loc, sizes.lookup("q"), i32(builder, loc, q.tile - 1));
  Value tiles = quotient(round, i32(builder, loc, q.tile));
  Value one = i32(builder, loc, 1);
  Value most =
      arith::MaxSIOp::create(builder, loc, quotient(i32(builder, loc, 1 << 30), tiles), one);
  Value section = arith::MinSIOp::create(builder, loc, headsAtOnce, most);
  Value inSection = arith::RemUIOp::create(builder, loc, head, section);
  Value start = arith::SubIOp::create(builder, loc, head, inSection);
  Value left = arith::SubIOp::create(builder, loc, sizes.lookup("h"), start);
  Value heads = arith::MinSIOp::create(builder, loc, section, left);
  Value program = arith::AddIOp::create(
      builder, loc, arith::MulIOp::create(builder, loc, inSection, tiles), tile);
  tile = quotient(program, heads);
  head = arith::AddIOp::create(builder, loc, start,
                               arith::RemUIOp::create(builder, loc, program, heads));
}

void Domain::emitCoordinates(OpBuilder &builder, Location loc, const llvm::StringMap<Value> &sizes,
                             Value headsAtOnce) {
  SmallVector<std::pair<const Axis *, Value>> indices;
  for (auto [dimension, axis] : llvm::enumerate(map.gridAxes()))
    indices.emplace_back(axis,
                         tile::ProgramIdOp::create(builder, loc, builder.getI32Type(), dimension));
  if (headsAtOnce) {
    auto indexOf = [&](StringRef name) -> Value & {
      return llvm::find_if(indices, [&](auto &each) { return each.first->name == name; })->second;
    };
    takeTurns(builder, loc, sizes, headsAtOnce, indexOf("q"), indexOf("h"));
  }
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

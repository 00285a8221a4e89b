// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// SelectRows.h explains.
#include "SelectRows.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

/// A warp has the rows of a fragment, most of which there are but in decoding. The host computes
/// row by row anyway, and sums up a row once for each block of columns: what is left of long rows
/// has narrow ones.
constexpr int64_t kRows = 16, kHostRows = 1;
constexpr int64_t kColumns = 64, kHostColumns = 512;

SelectAxes::SelectAxes(attn::SelectOp select) : ranks(select.getRanks().getType()) {
  for (unsigned axis = 0; axis < ranks.getRank(); ++axis) {
    bool isInner = llvm::is_contained(select.getSpaces(), ranks.getAxes()[axis]);
    (isInner ? leading : outer).push_back(axis);
  }
  last = leading.pop_back_val();
}

attn::AttnTensorType SelectAxes::rowType() const {
  auto names = llvm::map_to_vector(outer, [&](unsigned axis) { return ranks.getAxes()[axis]; });
  return attn::AttnTensorType::get(ranks.getContext(), names, ranks.getElementType());
}

TiledAxes SelectAxes::rowTiles(const Target &target) const {
  TiledAxes tiled;
  if (outer.empty())
    return tiled;
  tiled.rows = outer.size() - 1;
  tiled.rowTile = target.kind == Target::Kind::Host ? kHostRows : kRows;
  return tiled;
}

SelectRows::SelectRows(KernelContext &context, attn::SelectOp select, const NestPoint &point)
    : tiles(context, select.getLoc(),
            point.indices.empty() ? context.i32(select.getLoc(), 0) : point.indices.back()),
      select(select), axes(select), point(point),
      numRows(axes.rowTiles(context.plan.target).rowTile), columns{kColumns} {
  if (context.plan.target.kind == Target::Kind::Host)
    columns = {kHostColumns, kColumns};
}

FailureOr<SelectRows> SelectRows::at(KernelContext &context, attn::SelectOp select,
                                     const NestPoint &point) {
  SelectRows rows(context, select, point);
  for (unsigned axis = 0; axis < rows.axes.ranks.getRank(); ++axis) {
    StringRef space = rows.axes.ranks.getAxisName(axis);
    Value size = space.empty() ? rows.integer(rows.axes.ranks.getAxisSize(axis))
                               : context.sizes.lookup(space);
    if (!size)
      return emitError(select.getLoc(), "no input says the size of the index space `")
             << space << "`";
    rows.sizes.push_back(size);
  }
  return rows;
}

//===-- Row values --------------------------------------------------------------------------===//

Value SelectRows::map(Type element, ValueRange vectors, function_ref<Value(ValueRange)> formula) {
  return tiles.map(vectorType(element), vectors,
                   [&](ValueRange a) { return formula(a.take_front(vectors.size())); });
}

Value SelectRows::fill(TypedAttr value) {
  Value scalar = arith::ConstantOp::create(tiles.builder, tiles.loc, value);
  return tile::FillOp::create(tiles.builder, tiles.loc, vectorType(value.getType()), scalar);
}

Value SelectRows::insideOfRows(Value row) {
  if (axes.outer.empty())
    return row;
  Value end = sizes[axes.outer.back()];
  Value last = arith::SubIOp::create(tiles.builder, tiles.loc, end, integer(1));
  return arith::MinSIOp::create(tiles.builder, tiles.loc, row, last);
}

Value SelectRows::read(Value tensor) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  Type element = type.getElementType();
  return tiles.map(vectorType(element), {}, [&](ValueRange a) -> Value {
    SmallVector<Value> indices = tiles.context.leading.lookup(tensor);
    for (unsigned axis = 0; axis < type.getRank(); ++axis)
      for (auto [at, outer] : llvm::enumerate(axes.outer))
        if (axes.ranks.getAxes()[outer] == type.getAxes()[axis])
          indices.push_back(outer == axes.outer.back() ? insideOfRows(a[0]) : point.indices[at]);
    return tile::ElementOp::create(tiles.builder, tiles.loc, element,
                                   tiles.context.views.lookup(tensor), indices);
  });
}

//===-- Entries -----------------------------------------------------------------------------===//

SelectRows::Carried
SelectRows::forEachBlock(ValueRange init, function_ref<Carried(const Block &, ValueRange)> body) {
  OpBuilder &b = tiles.builder;
  Location loc = tiles.loc;
  // Without leading axes there is one leading index.
  Value leads = integer(1);
  for (unsigned axis : axes.leading)
    leads = arith::MulIOp::create(b, loc, leads, sizes[axis]);
  auto loop = [&](Value begin, Value end, int64_t step, ValueRange from,
                  function_ref<Carried(Value, ValueRange)> inner) {
    auto op = scf::ForOp::create(b, loc, begin, end, integer(step), from);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.getBody());
    Carried next = inner(op.getInductionVar(), op.getRegionIterArgs());
    b.setInsertionPointToEnd(op.getBody());
    if (!from.empty())
      scf::YieldOp::create(b, loc, next);
    return Carried(op.getResults());
  };
  auto blocks = [&](Value lead, ValueRange from) {
    Carried carried(from);
    Value begin = integer(0), size = sizes[axes.last];
    for (int64_t width : columns) {
      Value end = size;
      bool isWhole = width != columns.back();
      if (isWhole) {
        Value left = arith::RemUIOp::create(b, loc, size, integer(width));
        end = arith::SubIOp::create(b, loc, size, left);
      }
      carried = loop(begin, end, width, carried, [&](Value column, ValueRange before) {
        Block block{lead, column, width, isWhole, {}};
        block.ranks = loadRanks(block);
        return body(block, before);
      });
      begin = end;
    }
    return carried;
  };
  if (axes.leading.empty())
    return blocks({}, init);
  return loop(integer(0), leads, 1, init, blocks);
}

SmallVector<Value> SelectRows::leadingIndices(Value lead) {
  SmallVector<Value> indices(axes.leading.size());
  for (unsigned at = indices.size(); at-- > 0;) {
    Value size = sizes[axes.leading[at]];
    indices[at] =
        at ? arith::RemUIOp::create(tiles.builder, tiles.loc, lead, size).getResult() : lead;
    if (at)
      lead = arith::DivUIOp::create(tiles.builder, tiles.loc, lead, size);
  }
  return indices;
}

/// -inf for what cannot be kept, and beyond the end of the row.
Value SelectRows::loadRanks(const Block &block) {
  OpBuilder &b = tiles.builder;
  Location loc = tiles.loc;
  SmallVector<Value> leading = leadingIndices(block.lead);
  Value end = sizes[axes.last];
  Value lastColumn = arith::SubIOp::create(b, loc, end, integer(1));
  auto element = [&](ValueRange a) -> Value {
    Value row = insideOfRows(a[0]), column = a[1];
    SmallVector<Value> indices = tiles.context.leading.lookup(select.getRanks());
    size_t first = indices.size();
    indices.resize(first + axes.ranks.getRank());
    for (auto [at, axis] : llvm::enumerate(axes.outer))
      indices[first + axis] = axis == axes.outer.back() ? row : point.indices[at];
    for (auto [at, axis] : llvm::enumerate(axes.leading))
      indices[first + axis] = leading[at];
    indices[first + axes.last] =
        block.isWhole ? column : arith::MinSIOp::create(b, loc, column, lastColumn);
    Value rank = tile::ElementOp::create(b, loc, b.getF32Type(),
                                         tiles.context.views.lookup(select.getRanks()), indices);
    Value lowest = tiles.f32(-std::numeric_limits<double>::infinity());
    Value isLive = tiles.compare(arith::CmpFPredicate::OGT, rank, lowest);
    if (block.isWhole)
      return tiles.select(isLive, rank, lowest);
    Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, column, end);
    return tiles.select(tiles.both(isLive, isThere), rank, lowest);
  };
  return tiles.map(tiles.type({numRows, block.columns}, b.getF32Type()), {}, element, block.column);
}

/// Bits of a number that is not negative order as it does; those of others the other way round, so
/// that their distance from the bits of -0 is taken from 0.
Value SelectRows::keyOf(Value rank) {
  OpBuilder &b = tiles.builder;
  Location loc = tiles.loc;
  Value bits = arith::BitcastOp::create(b, loc, b.getI32Type(), rank), least = integer(INT32_MIN);
  Value isPositive = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, bits, integer(0));
  Value negated = arith::SubIOp::create(b, loc, least, bits);
  Value lowest = tiles.f32(-std::numeric_limits<double>::infinity());
  Value isLive = tiles.compare(arith::CmpFPredicate::OGT, rank, lowest);
  return tiles.select(isLive, tiles.select(isPositive, bits, negated), least);
}

Value SelectRows::entryMap(const Block &block, Type element, ValueRange vectors,
                           function_ref<Value(const RankEntry &, ValueRange)> formula) {
  OpBuilder &b = tiles.builder;
  SmallVector<Value> inputs{block.ranks};
  inputs.append(vectors.begin(), vectors.end());
  Value base;
  if (block.lead)
    base = arith::MulIOp::create(b, tiles.loc, block.lead, sizes[axes.last]);
  auto one = [&](ValueRange a) {
    Value index = a.back();
    if (base)
      index = arith::AddIOp::create(b, tiles.loc, base, index);
    return formula({a[0], keyOf(a[0]), index}, a.slice(1, vectors.size()));
  };
  return tiles.map(tiles.type({numRows, block.columns}, element), inputs, one, block.column);
}

SmallVector<Value> SelectRows::fold(ValueRange vectors, ArrayRef<RowFold> folds) {
  OpBuilder &b = tiles.builder;
  Location loc = tiles.loc;
  SmallVector<Value> init =
      llvm::map_to_vector(folds, [&](const RowFold &fold) { return fill(fold.neutral); });
  return forEachBlock(init, [&](const Block &block, ValueRange carried) {
    Carried next;
    for (auto [number, before] : llvm::enumerate(carried)) {
      const RowFold &fold = folds[number];
      Type element = fold.neutral.getType();
      Value terms = entryMap(block, element, vectors, fold.term);
      Value own = tiles.reduce(fold.kind, vectorType(element), terms);
      next.push_back(map(element, {before, own}, [&](ValueRange a) -> Value {
        if (fold.kind == tile::ReduceKind::Max)
          return tiles.max(a[0], a[1]);
        if (element.isInteger())
          return arith::AddIOp::create(b, loc, a[0], a[1]);
        return tiles.add(a[0], a[1]);
      }));
    }
    return next;
  });
}

void SelectRows::storeBlock(const Block &block, Value kept, const Destination &to) {
  OpBuilder &b = tiles.builder;
  SmallVector<Value> indices(to.leading);
  if (axes.outer.empty() && axes.leading.empty()) { // a vector of the entries of the only row
    Value entries =
        tile::TransposeOp::create(b, tiles.loc, tiles.type({block.columns}, b.getI1Type()), kept);
    tile::StoreOp::create(b, tiles.loc, entries, to.view, indices, block.column, sizes[axes.last],
                          to.leading.size(), /*valid_cols=*/1);
    return;
  }
  // The rows of the tile are the rows' last axis or, where there is one row only, the place in the
  // last of the leading axes.
  SmallVector<Value> leading = leadingIndices(block.lead);
  unsigned rowAxis = axes.outer.empty() ? axes.leading.back() : axes.outer.back();
  Value row = axes.outer.empty() ? leading.back() : point.indices.back();
  Value end = axes.outer.empty() ? arith::AddIOp::create(b, tiles.loc, row, integer(1)).getResult()
                                 : sizes[rowAxis];
  for (unsigned axis = 0; axis < axes.ranks.getRank(); ++axis) {
    if (axis == rowAxis || axis == axes.last)
      continue;
    const auto *outer = llvm::find(axes.outer, axis), *inner = llvm::find(axes.leading, axis);
    indices.push_back(outer != axes.outer.end() ? point.indices[outer - axes.outer.begin()]
                                                : leading[inner - axes.leading.begin()]);
  }
  tile::StoreBlockOp::create(b, tiles.loc, kept, to.view, indices, row, end, block.column,
                             sizes[axes.last], to.leading.size() + rowAxis,
                             to.leading.size() + axes.last);
}

void SelectRows::store(ValueRange vectors, function_ref<Value(const RankEntry &, ValueRange)> keep,
                       ArrayRef<Destination> destinations) {
  forEachBlock({}, [&](const Block &block, ValueRange) {
    Value kept = entryMap(block, tiles.builder.getI1Type(), vectors, keep);
    for (const Destination &to : destinations)
      storeBlock(block, kept, to);
    return Carried();
  });
}

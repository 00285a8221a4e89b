// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.cumsum: a program has a tile of rows, goes along them block by block, and carries their sums
// so far.
//
//   before = 0
//   for each block along the rows:
//     sums = scan(block) + before                    in the order of the entries within a block
//     store sums
//     before = the last of sums
//
// Rows lie along either axis of a tile: the other axis is the last one of the tensor, or the one
// before it if the sums run along that, so that a block is contiguous in memory. A cumulative sum
// with no other axis, or in a step of a recurrence, is a formula by then (attn-expand-orders).
#include "Lowerings.h"
#include "Nest.h"
#include "TileBuilder.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Rows of a program: one to a thread. Entries of a block: a thread has all of its row.
constexpr int64_t kRows = 32, kEntries = 32;

/// The axes of the tensor, by their positions.
struct CumsumAxes {
  explicit CumsumAxes(attn::CumsumOp cumsum) : type(cumsum.getResult().getType()) {
    for (unsigned axis = 0; axis < type.getRank(); ++axis)
      if (type.getAxisName(axis) == cumsum.getSpace())
        along = axis;
    across = along + 1 == type.getRank() ? along - 1 : type.getRank() - 1;
  }

  /// A tensor with one element for each row; `across` is tiled.
  Nest rows() const {
    SmallVector<Attribute> names(type.getAxes());
    names.erase(names.begin() + along);
    TiledAxes tiled;
    tiled.rows = across < along ? across : across - 1;
    tiled.rowTile = kRows;
    return Nest(attn::AttnTensorType::get(type.getContext(), names, type.getElementType()), tiled);
  }

  attn::AttnTensorType type;
  unsigned along = 0;  ///< which the sums run along
  unsigned across = 0; ///< whose indices are the rows of a tile
};

/// The kernel that is being emitted.
class CumsumKernel {
public:
  CumsumKernel(KernelContext &context, attn::CumsumOp cumsum, const NestPoint &point)
      : context(context), b(context.builder), cumsum(cumsum), loc(cumsum.getLoc()), axes(cumsum),
        isAlongColumns(axes.across < axes.along), element(axes.type.getElementType()) {
    if (!isa<IntegerType>(element))
      element = b.getF32Type();
    indices.append(point.indices.begin(), point.indices.end());
    indices.insert(indices.begin() + axes.along, Value());
  }

  LogicalResult emit();

private:
  Value entries(Value first);
  Value carriedOn(Value sums, Value first);
  void store(Value sums, Value first);

  tile::TileType type(int64_t rows, int64_t cols) const {
    return tile::TileType::get(b.getContext(), {rows, cols}, element, tile::LinearLayoutAttr());
  }
  tile::TileType blockType() const {
    return isAlongColumns ? type(kRows, kEntries) : type(kEntries, kRows);
  }
  /// One value for each row.
  tile::TileType carryType() const {
    return isAlongColumns
               ? tile::TileType::get(b.getContext(), {kRows}, element, tile::LinearLayoutAttr())
               : type(1, kRows);
  }
  /// Maps over blocks that start at `first`.
  TileBuilder tilesAt(Value first) {
    return {context, loc, isAlongColumns ? indices[axes.across] : first};
  }
  Value columnsAt(Value first) { return isAlongColumns ? first : indices[axes.across]; }
  Value constant() { return isa<IntegerType>(element) ? context.i32(loc, 0) : context.f32(loc, 0); }
  Value add(Value x, Value y) {
    if (isa<IntegerType>(element))
      return arith::AddIOp::create(b, loc, x, y);
    return arith::AddFOp::create(b, loc, x, y);
  }

  KernelContext &context;
  OpBuilder &b;
  attn::CumsumOp cumsum;
  Location loc;
  CumsumAxes axes;
  bool isAlongColumns;
  Type element;
  SmallVector<Value> indices; ///< i32, of each axis; null for the one along
  Value length, width;        ///< i32: sizes along and across
};

} // namespace

/// A block of the tensor; 0 beyond the ends of the rows.
Value CumsumKernel::entries(Value first) {
  Value lastAlong = arith::SubIOp::create(b, loc, length, context.i32(loc, 1));
  Value lastAcross = arith::SubIOp::create(b, loc, width, context.i32(loc, 1));
  TileBuilder tiles = tilesAt(first);
  return tiles.map(
      blockType(), {},
      [&](ValueRange a) -> Value {
        Value along = isAlongColumns ? a[1] : a[0], across = isAlongColumns ? a[0] : a[1];
        SmallVector<Value> at = context.leading.lookup(cumsum.getTensor());
        for (auto [axis, index] : llvm::enumerate(indices))
          at.push_back(
              axis == axes.along    ? arith::MinSIOp::create(b, loc, along, lastAlong).getResult()
              : axis == axes.across ? arith::MinSIOp::create(b, loc, across, lastAcross).getResult()
                                    : index);
        Value entry =
            tile::ElementOp::create(b, loc, element, context.views.lookup(cumsum.getTensor()), at);
        Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, along, length);
        return tiles.select(isThere, entry, constant());
      },
      columnsAt(first));
}

/// The last of the sums of each row: added to zeros, nothing is rounded.
Value CumsumKernel::carriedOn(Value sums, Value first) {
  TileBuilder tiles = tilesAt(first);
  Value last = arith::AddIOp::create(b, loc, first, context.i32(loc, kEntries - 1));
  Value only = tiles.map(
      blockType(), sums,
      [&](ValueRange a) {
        Value isLast = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                             isAlongColumns ? a[2] : a[1], last);
        return tiles.select(isLast, a[0], constant());
      },
      columnsAt(first));
  return tile::ReduceOp::create(b, loc, carryType(), tile::ReduceKind::Sum, only,
                                isAlongColumns ? tile::Axis::Columns : tile::Axis::Rows,
                                IntegerAttr());
}

void CumsumKernel::store(Value sums, Value first) {
  SmallVector<Value> others;
  for (auto [axis, index] : llvm::enumerate(indices))
    if (axis != axes.along && axis != axes.across)
      others.push_back(index);
  Value view = context.views.lookup(cumsum.getResult()), across = indices[axes.across];
  if (isAlongColumns)
    tile::StoreBlockOp::create(b, loc, sums, view, others, across, width, first, length,
                               axes.across, axes.along);
  else
    tile::StoreBlockOp::create(b, loc, sums, view, others, first, length, across, width, axes.along,
                               axes.across);
}

LogicalResult CumsumKernel::emit() {
  for (auto [axis, size] : {std::pair(axes.along, &length), std::pair(axes.across, &width)}) {
    *size = context.sizes.lookup(axes.type.getAxisName(axis));
    if (!*size)
      return emitError(loc, "no input says the size of the index space `")
             << axes.type.getAxisName(axis) << "`";
  }
  Value none = tile::FillOp::create(b, loc, carryType(), constant());
  auto loop =
      scf::ForOp::create(b, loc, context.i32(loc, 0), length, context.i32(loc, kEntries), none);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value first = loop.getInductionVar();
  Value scanned = tile::ScanOp::create(b, loc, blockType(), tile::ReduceKind::Sum, entries(first),
                                       isAlongColumns ? tile::Axis::Columns : tile::Axis::Rows,
                                       /*exclusive=*/false, /*reverse=*/false);
  Value sums = tilesAt(first).map(
      blockType(), {scanned, loop.getRegionIterArg(0)},
      [&](ValueRange a) { return add(a[1], a[0]); }, columnsAt(first));
  store(sums, first);
  scf::YieldOp::create(b, loc, carriedOn(sums, first));
  return success();
}

namespace {

class CumsumLowering : public NestLowering {
public:
  explicit CumsumLowering(attn::CumsumOp cumsum)
      : NestLowering(cumsum, CumsumAxes(cumsum).rows()), cumsum(cumsum) {}

  int64_t warps() override { return 1; }

private:
  LogicalResult emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) override {
    return CumsumKernel(evaluator.context, cumsum, point).emit();
  }

  attn::CumsumOp cumsum;
};

} // namespace

std::unique_ptr<StageLowering> attnc::lowerCumsum(Operation *op, const KernelPlan &) {
  return std::make_unique<CumsumLowering>(cast<attn::CumsumOp>(op));
}

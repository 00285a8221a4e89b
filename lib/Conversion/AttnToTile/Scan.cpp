// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.cumsum, and an attn.scan that adds or multiplies: a program has a tile of rows, goes along
// them block by block, and carries what they have come to so far.
//
//   before = 0
//   for each block along the rows:
//     sums = scan(block) + before                    in the order of the entries within a block
//     store sums
//     before = the last of sums
//
// Rows lie along either axis of a tile: the other axis is the last one of the tensor, or the one
// before it if the sums run along that, so that a block is contiguous in memory. A scan with no
// other axis, or in a step of a recurrence, is a formula by then (attn-expand-orders,
// attn-expand-scans).
#include "Lowerings.h"
#include "Nest.h"
#include "TileBuilder.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/Scans.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Rows of a program: one to a thread. Entries of a block: a thread has all of its row.
constexpr int64_t kRows = 32, kEntries = 32;
/// The same where there are known to be few entries, which are then one block: a block of threads
/// as the products around have, so that they can be one kernel.
constexpr int64_t kRowsOfFew = 64, kFewEntries = 64, kWarpsOfFew = 4;

/// What is scanned, by either op.
struct Scanned {
  explicit Scanned(Operation *op) : op(op), result(op->getResult(0)) {
    if (auto cumsum = dyn_cast<attn::CumsumOp>(op)) {
      tensor = cumsum.getTensor();
      space = cumsum.getSpace();
      kind = tile::ReduceKind::Sum;
      return;
    }
    auto scan = cast<attn::ScanOp>(op);
    tensor = scan.getTensors().front();
    space = scan.getSpace();
    kind = reductionOf(scan) == attn::Reduction::Prod ? tile::ReduceKind::Product
                                                      : tile::ReduceKind::Sum;
  }

  Operation *op;
  Value tensor, result;
  StringRef space;
  tile::ReduceKind kind;
};

/// The axes of the tensor, by their positions, and how they are taken.
struct ScanAxes {
  explicit ScanAxes(const Scanned &scanned, const Target &target)
      : type(cast<attn::AttnTensorType>(scanned.result.getType())) {
    for (unsigned axis = 0; axis < type.getRank(); ++axis)
      if (type.getAxisName(axis) == scanned.space)
        along = axis;
    across = along + 1 == type.getRank() ? along - 1 : type.getRank() - 1;
    auto variant = scanned.op->getParentOfType<attn::VariantOp>();
    std::optional<int64_t> length = fixedExtent(variant, scanned.space);
    if (!length || *length > kFewEntries)
      return;
    entries = llvm::PowerOf2Ceil(*length);
    rows = tileFor(variant, type, across, kRowsOfFew, target);
    warps = kWarpsOfFew;
  }

  /// A tensor with one element for each row; `across` is tiled.
  Nest nest() const {
    SmallVector<Attribute> names(type.getAxes());
    names.erase(names.begin() + along);
    TiledAxes tiled;
    tiled.rows = across < along ? across : across - 1;
    tiled.rowTile = rows;
    return Nest(attn::AttnTensorType::get(type.getContext(), names, type.getElementType()), tiled);
  }

  attn::AttnTensorType type;
  unsigned along = 0;  ///< which the scan runs along
  unsigned across = 0; ///< whose indices are the rows of a tile
  int64_t rows = kRows, entries = kEntries, warps = 1;
};

/// The kernel that is being emitted.
class ScanKernel {
public:
  ScanKernel(KernelContext &context, const Scanned &scanned, const ScanAxes &axes,
             const NestPoint &point)
      : context(context), b(context.builder), scanned(scanned), loc(scanned.op->getLoc()),
        axes(axes), isAlongColumns(axes.across < axes.along), element(axes.type.getElementType()) {
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
    return isAlongColumns ? type(axes.rows, axes.entries) : type(axes.entries, axes.rows);
  }
  /// One value for each row.
  tile::TileType carryType() const {
    return isAlongColumns
               ? tile::TileType::get(b.getContext(), {axes.rows}, element, tile::LinearLayoutAttr())
               : type(1, axes.rows);
  }
  /// Maps over blocks that start at `first`.
  TileBuilder tilesAt(Value first) {
    return {context, loc, isAlongColumns ? indices[axes.across] : first};
  }
  Value columnsAt(Value first) { return isAlongColumns ? first : indices[axes.across]; }
  Value neutral();
  Value combine(Value x, Value y);

  KernelContext &context;
  OpBuilder &b;
  const Scanned &scanned;
  Location loc;
  const ScanAxes &axes;
  bool isAlongColumns;
  Type element;
  SmallVector<Value> indices; ///< i32, of each axis; null for the one along
  Value length, width;        ///< i32: sizes along and across
};

} // namespace

/// What changes nothing when it is combined with an element.
Value ScanKernel::neutral() {
  int value = scanned.kind == tile::ReduceKind::Product ? 1 : 0;
  return isa<IntegerType>(element) ? context.i32(loc, value) : context.f32(loc, value);
}

Value ScanKernel::combine(Value x, Value y) {
  bool isProduct = scanned.kind == tile::ReduceKind::Product;
  if (isa<IntegerType>(element))
    return isProduct ? arith::MulIOp::create(b, loc, x, y).getResult()
                     : arith::AddIOp::create(b, loc, x, y).getResult();
  return isProduct ? arith::MulFOp::create(b, loc, x, y).getResult()
                   : arith::AddFOp::create(b, loc, x, y).getResult();
}

/// A block of the tensor; what changes nothing beyond the ends of the rows.
Value ScanKernel::entries(Value first) {
  Value lastAlong = arith::SubIOp::create(b, loc, length, context.i32(loc, 1));
  Value lastAcross = arith::SubIOp::create(b, loc, width, context.i32(loc, 1));
  TileBuilder tiles = tilesAt(first);
  return tiles.map(
      blockType(), {},
      [&](ValueRange a) -> Value {
        Value along = isAlongColumns ? a[1] : a[0], across = isAlongColumns ? a[0] : a[1];
        SmallVector<Value> at = context.leading.lookup(scanned.tensor);
        for (auto [axis, index] : llvm::enumerate(indices))
          at.push_back(
              axis == axes.along    ? arith::MinSIOp::create(b, loc, along, lastAlong).getResult()
              : axis == axes.across ? arith::MinSIOp::create(b, loc, across, lastAcross).getResult()
                                    : index);
        Value entry =
            tile::ElementOp::create(b, loc, element, context.views.lookup(scanned.tensor), at);
        Value isThere = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, along, length);
        return tiles.select(isThere, entry, neutral());
      },
      columnsAt(first));
}

/// The last of what each row has come to: combined with what changes nothing, nothing is rounded.
Value ScanKernel::carriedOn(Value sums, Value first) {
  TileBuilder tiles = tilesAt(first);
  Value last = arith::AddIOp::create(b, loc, first, context.i32(loc, axes.entries - 1));
  Value only = tiles.map(
      blockType(), sums,
      [&](ValueRange a) {
        Value isLast = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                             isAlongColumns ? a[2] : a[1], last);
        return tiles.select(isLast, a[0], neutral());
      },
      columnsAt(first));
  return tile::ReduceOp::create(b, loc, carryType(), scanned.kind, only,
                                isAlongColumns ? tile::Axis::Columns : tile::Axis::Rows,
                                IntegerAttr());
}

void ScanKernel::store(Value sums, Value first) {
  SmallVector<Value> others;
  for (auto [axis, index] : llvm::enumerate(indices))
    if (axis != axes.along && axis != axes.across)
      others.push_back(index);
  Value view = context.views.lookup(scanned.result), across = indices[axes.across];
  if (isAlongColumns)
    tile::StoreBlockOp::create(b, loc, sums, view, others, across, width, first, length,
                               axes.across, axes.along);
  else
    tile::StoreBlockOp::create(b, loc, sums, view, others, first, length, across, width, axes.along,
                               axes.across);
}

LogicalResult ScanKernel::emit() {
  for (auto [axis, size] : {std::pair(axes.along, &length), std::pair(axes.across, &width)}) {
    *size = context.sizes.lookup(axes.type.getAxisName(axis));
    if (!*size)
      return emitError(loc, "no input says the size of the index space `")
             << axes.type.getAxisName(axis) << "`";
  }
  Value none = tile::FillOp::create(b, loc, carryType(), neutral());
  auto loop =
      scf::ForOp::create(b, loc, context.i32(loc, 0), length, context.i32(loc, axes.entries), none);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value first = loop.getInductionVar();
  Value within =
      tile::ScanOp::create(b, loc, blockType(), scanned.kind, entries(first),
                           isAlongColumns ? tile::Axis::Columns : tile::Axis::Rows,
                           /*every=*/IntegerAttr(), /*exclusive=*/false, /*reverse=*/false);
  Value sums = tilesAt(first).map(
      blockType(), {within, loop.getRegionIterArg(0)},
      [&](ValueRange a) { return combine(a[1], a[0]); }, columnsAt(first));
  store(sums, first);
  scf::YieldOp::create(b, loc, carriedOn(sums, first));
  return success();
}

namespace {

class ScanLowering : public NestLowering {
public:
  ScanLowering(const Scanned &scanned, const ScanAxes &axes)
      : NestLowering(scanned.op, axes.nest()), scanned(scanned), axes(axes) {}

  int64_t warps() override { return axes.warps; }

private:
  LogicalResult emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) override {
    return ScanKernel(evaluator.context, scanned, axes, point).emit();
  }

  Scanned scanned;
  ScanAxes axes;
};

} // namespace

std::unique_ptr<StageLowering> attnc::lowerScan(Operation *op, const KernelPlan &plan) {
  Scanned scanned(op);
  return std::make_unique<ScanLowering>(scanned, ScanAxes(scanned, plan.target));
}

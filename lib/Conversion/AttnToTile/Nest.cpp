// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Nest.h explains.
#include "Nest.h"
#include "attnc/Analysis/Compilable.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

/// Rows are a multiple of 16 on a GPU, so that products have fragments.
constexpr int64_t kMostRows = 64, kMostCols = 64, kFewest = 16;

int64_t attnc::tileFor(attn::VariantOp variant, attn::AttnTensorType type, unsigned axis,
                       int64_t most, const Target &target) {
  StringRef space = type.getAxisName(axis);
  std::optional<int64_t> extent =
      space.empty() ? std::optional(type.getAxisSize(axis)) : fixedExtent(variant, space);
  if (!extent)
    return most;
  int64_t fewest = target.kind == Target::Kind::Host ? 1 : kFewest;
  return std::clamp<int64_t>(llvm::PowerOf2Ceil(*extent), fewest, most);
}

TiledAxes attnc::tiledAxesOf(attn::VariantOp variant, attn::AttnTensorType type,
                             const Target &target, ArrayRef<StringRef> singly) {
  SmallVector<unsigned> candidates;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (StringRef space = type.getAxisName(axis);
        !llvm::is_contained({"b", "h", "g"}, space) && !llvm::is_contained(singly, space))
      candidates.push_back(axis);
  TiledAxes tiled;
  if (candidates.empty())
    return tiled;
  if (candidates.size() > 1) {
    tiled.cols = candidates.pop_back_val();
    tiled.colTile = tileFor(variant, type, *tiled.cols, kMostCols, target);
  }
  tiled.rows = candidates.back();
  tiled.rowTile = tileFor(variant, type, *tiled.rows, kMostRows, target);
  return tiled;
}

int64_t attnc::warpsFor(const TiledAxes &tiled) {
  int64_t rows = tiled.cols && !tiled.rows ? kMostRows : tiled.rowTile; // of the reduced axis
  return std::max<int64_t>(1, rows / kFewest);
}

FailureOr<Value> Nest::sizeOf(KernelContext &context, Operation *op, unsigned axis) const {
  StringRef space = type.getAxisName(axis);
  if (space.empty())
    return context.i32(op->getLoc(), type.getAxisSize(axis));
  if (Value known = context.sizes.lookup(space))
    return known;
  return emitError(op->getLoc(), "no input says the size of the index space `") << space << "`";
}

int64_t Nest::tileOf(unsigned axis) const {
  return tiled.rows == axis ? tiled.rowTile : tiled.cols == axis ? tiled.colTile : 1;
}

SmallVector<IndependentAxis> Nest::independentAxes(attn::VariantOp variant) const {
  SmallVector<IndependentAxis> axes;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (StringRef space = type.getAxisName(axis); !space.empty() && !fixedExtent(variant, space))
      axes.push_back({space, tileOf(axis)});
  return axes;
}

/// How many of the indices along `axis` are to be computed (i32).
FailureOr<Value> Nest::countOf(KernelContext &context, Operation *op, unsigned axis) const {
  auto part = context.parts.find(type.getAxisName(axis));
  return part == context.parts.end() ? sizeOf(context, op, axis) : part->second.count;
}

FailureOr<Value> Nest::programs(KernelContext &context, Operation *op) const {
  OpBuilder &b = context.builder;
  Location loc = op->getLoc();
  Value count = context.i32(loc, 1);
  for (unsigned axis = 0; axis < type.getRank(); ++axis) {
    FailureOr<Value> size = countOf(context, op, axis);
    if (failed(size))
      return failure();
    Value tiles = *size;
    if (int64_t tile = tileOf(axis); tile != 1)
      tiles = arith::CeilDivSIOp::create(b, loc, tiles, context.i32(loc, tile));
    count = arith::MulIOp::create(b, loc, count, tiles);
  }
  return count;
}

/// Whether `size` is known to be no more than a tile.
static bool isOneTile(Value size, int64_t tile) {
  llvm::APInt known;
  return matchPattern(size, m_ConstantInt(&known)) && known.sgt(0) && known.sle(tile);
}

/// Neighbouring programs are neighbouring tiles of the last axis.
FailureOr<NestPoint> Nest::pointOf(KernelContext &context, Operation *op, Value id) const {
  OpBuilder &b = context.builder;
  Location loc = op->getLoc();
  NestPoint point;
  point.indices.resize(type.getRank());
  for (unsigned axis = type.getRank(); axis-- > 0;) {
    FailureOr<Value> size = countOf(context, op, axis);
    if (failed(size))
      return failure();
    int64_t tile = tileOf(axis);
    auto part = context.parts.find(type.getAxisName(axis));
    if (part == context.parts.end() && isOneTile(*size, tile)) {
      point.indices[axis] = context.i32(loc, 0);
      continue;
    }
    Value tiles = *size, index = id;
    if (tile != 1) {
      tiles = arith::AddIOp::create(b, loc, tiles, context.i32(loc, tile - 1));
      tiles = arith::DivUIOp::create(b, loc, tiles, context.i32(loc, tile));
    }
    if (axis != 0) {
      index = arith::RemUIOp::create(b, loc, id, tiles);
      id = arith::DivUIOp::create(b, loc, id, tiles);
    }
    if (tile != 1)
      index = arith::MulIOp::create(b, loc, index, context.i32(loc, tile));
    if (part != context.parts.end())
      index = arith::AddIOp::create(b, loc, part->second.first, index);
    point.indices[axis] = index;
  }
  return point;
}

FailureOr<Nest::Span> Nest::spanOf(KernelContext &context, Operation *op, unsigned axis) const {
  Location loc = op->getLoc();
  if (auto found = context.parts.find(type.getAxisName(axis)); found != context.parts.end()) {
    const IndexPart &part = found->second;
    bool isTile = part.most != 0 && part.most <= tileOf(axis);
    Value to =
        isTile ? Value() : arith::AddIOp::create(context.builder, loc, part.first, part.count);
    return Span{part.first, to, isTile};
  }
  FailureOr<Value> size = sizeOf(context, op, axis);
  if (failed(size))
    return failure();
  return Span{context.i32(loc, 0), *size, isOneTile(*size, tileOf(axis))};
}

LogicalResult Nest::loopOver(Evaluator &evaluator, Scope &scope, Operation *op, NestPoint &point,
                             Body body) const {
  unsigned axis = point.indices.size();
  if (axis == type.getRank())
    return body(scope, point);
  FailureOr<Span> span = spanOf(evaluator.context, op, axis);
  if (failed(span))
    return failure();
  auto inner = [&](Scope &inside, Value index, ValueRange) -> FailureOr<SmallVector<Value>> {
    point.indices.push_back(index);
    if (failed(loopOver(evaluator, inside, op, point, body)))
      return failure();
    point.indices.pop_back();
    return SmallVector<Value>();
  };
  if (span->isTile)
    return inner(scope, span->from, {});
  return evaluator.loop(scope, op->getLoc(), span->from, span->to, tileOf(axis), {}, inner);
}

LogicalResult Nest::forEachPoint(Evaluator &evaluator, Scope &scope, Operation *op,
                                 Body body) const {
  NestPoint point;
  return loopOver(evaluator, scope, op, point, body);
}

/// Whether the indices along `axis` are known to be so many tiles, and tiles so many vectors: then
/// no lane has an index that is not there.
static bool isWholeTiles(attn::VariantOp variant, attn::AttnTensorType type, unsigned axis,
                         int64_t tile) {
  constexpr int64_t kMostLanes = 16;
  StringRef space = type.getAxisName(axis);
  std::optional<int64_t> extent =
      space.empty() ? std::optional(type.getAxisSize(axis)) : fixedExtent(variant, space);
  return extent && tile % kMostLanes == 0 && *extent % tile == 0;
}

Frame Nest::bind(Evaluator &evaluator, Scope &scope, ValueRange arguments,
                 const NestPoint &point) const {
  Frame frame;
  for (unsigned axis = 0; axis < type.getRank(); ++axis) {
    Place place;
    place.space = type.getAxisName(axis);
    if (tiled.rows == axis || tiled.cols == axis) {
      place.axis = evaluator.axis(point.indices[axis], tileOf(axis));
      place.mayOverrun = !isWholeTiles(evaluator.context.variant, type, axis, tileOf(axis));
      (tiled.rows == axis ? frame.rows : frame.cols) = place.axis;
    } else {
      place.scalar = point.indices[axis];
    }
    scope.places[arguments[axis]] = place;
  }
  if (!frame.rows) // a vector of one element
    frame.rows = evaluator.axis(
        evaluator.context.i32(
            arguments.empty() ? evaluator.builder.getUnknownLoc() : arguments[0].getLoc(), 0),
        1);
  return frame;
}

LogicalResult Nest::store(KernelContext &context, Operation *op, Value tile, Value view,
                          ValueRange leading, const NestPoint &point) const {
  OpBuilder &b = context.builder;
  Location loc = op->getLoc();
  SmallVector<Value> indices(leading);
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (tiled.rows != axis && tiled.cols != axis)
      indices.push_back(point.indices[axis]);
  if (!tiled.rows && tiled.cols) { // a matrix of one row
    unsigned axis = *tiled.cols == 0 ? 1 : *tiled.cols - 1;
    assert(axis < type.getRank() && "a row that has a place");
    FailureOr<Value> cols = sizeOf(context, op, *tiled.cols);
    if (failed(cols))
      return failure();
    Value row = point.indices[axis];
    indices.erase(indices.begin() + leading.size() + axis - (axis > *tiled.cols ? 1 : 0));
    tile::StoreBlockOp::create(
        b, loc, tile, view, indices, row, arith::AddIOp::create(b, loc, row, context.i32(loc, 1)),
        point.indices[*tiled.cols], *cols, leading.size() + axis, leading.size() + *tiled.cols);
    return success();
  }
  if (!tiled.rows) {
    // The last index is the place of the one row.
    auto type = cast<tile::ViewType>(view.getType());
    Value row = indices.empty() ? context.i32(loc, 0) : indices.pop_back_val();
    Value limit = arith::AddIOp::create(b, loc, row, context.i32(loc, 1));
    tile::StoreOp::create(b, loc, tile, view, indices, row, limit,
                          std::max<int64_t>(0, type.getRank() - 1), /*valid_cols=*/1);
    return success();
  }
  FailureOr<Value> rows = sizeOf(context, op, *tiled.rows);
  if (failed(rows))
    return failure();
  int64_t rowDim = leading.size() + *tiled.rows;
  Value row = point.indices[*tiled.rows];
  if (!tiled.cols) {
    tile::StoreOp::create(b, loc, tile, view, indices, row, *rows, rowDim, /*valid_cols=*/1);
    return success();
  }
  FailureOr<Value> cols = sizeOf(context, op, *tiled.cols);
  if (failed(cols))
    return failure();
  tile::StoreBlockOp::create(b, loc, tile, view, indices, row, *rows, point.indices[*tiled.cols],
                             *cols, rowDim, leading.size() + *tiled.cols);
  return success();
}

//===-- Stages --------------------------------------------------------------------------------===//

FailureOr<StageLowering::Grid> NestLowering::grid(KernelContext &context) {
  FailureOr<Value> programs = nest.programs(context, stage);
  if (failed(programs))
    return failure();
  Value one = context.i32(stage->getLoc(), 1);
  return Grid{*programs, one, one};
}

SmallVector<IndependentAxis> NestLowering::independentAxes() {
  return nest.independentAxes(stage->getParentOfType<attn::VariantOp>());
}

LogicalResult NestLowering::emit(KernelContext &context) {
  Value id =
      tile::ProgramIdOp::create(context.builder, stage->getLoc(), context.builder.getI32Type(), 0);
  FailureOr<NestPoint> point = nest.pointOf(context, stage, id);
  if (failed(point))
    return failure();
  Evaluator evaluator(context);
  return emitAt(evaluator, evaluator.top(), *point);
}

LogicalResult NestLowering::emitParts(KernelContext &context) {
  Evaluator evaluator(context);
  return nest.forEachPoint(
      evaluator, evaluator.top(), stage,
      [&](Scope &scope, const NestPoint &point) { return emitAt(evaluator, scope, point); });
}

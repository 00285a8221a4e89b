// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.attend: Walk x Elements x Contract x OnlineSoftmax. A program computes a tile of queries of
// one head. It walks its key tiles in the FAST form of the softmax, and again in the EXACT one if
// what came out is in doubt (OnlineSoftmax.h):
//
//   m, l, o, M = walk key tiles: FAST           (PARTIAL, FULL and PARTIAL tiles: three loops)
//   m, l, o, excess = if any suspect: walk key tiles: EXACT    (one loop, every tile is PARTIAL)
//   out = o / l;  lse = m + ln l
//
// The rows of a tile are queries, or the heads that share keys and values: one query of them. The
// latter is for few queries: it reads keys and values once for all of the heads. On the host it is
// an alternative and reads them where they lie; on a GPU it has a part of the keys
// (attn-split-keys) and one warp, whose ring of key tiles waits for no other.
#include "Lowerings.h"
#include "OnlineSoftmax.h"
#include "WalkBounds.h"
#include "attnc/Analysis/Compilable.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include <cmath>

using namespace mlir;
using namespace attnc;
using tile::TileType;
using Form = OnlineSoftmax::Form;

namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.6931471805599453;

/// The EXACT form is seldom run. Narrow tiles keep its code short, and its registers and shared
/// memory below what the FAST loops need.
constexpr int64_t kExactKeys = 16;

/// Heads in a tile of the host whose rows are heads: so many rows are multiplied with keys and
/// values that are read where they lie.
constexpr int64_t kHeadsOnHost = 8;

/// Keys of a tile where one warp has a ring of its own.
constexpr int64_t kKeysOfWarp = 64;

/// What the rows of a tile are.
enum class Rows { Queries, Heads };

/// Where the scale goes.
struct Scaling {
  Value scale;            ///< multiplies dots before the score region; null if folded into `factor`
  double foldedScale = 1; ///< what a unit of a score is worth in natural units
  Value factor;           ///< c of the online softmax
};

class AttendLowering : public StageLowering {
public:
  AttendLowering(attn::AttendOp attend, const KernelPlan &plan, Rows rows)
      : attend(attend), plan(plan), rows(rows), ranges(computeKeyRanges(attend)),
        headTile(plan.target.kind == Target::Kind::Host ? kHeadsOnHost : kRowsOfHeads),
        usedHeads(maskLooksAtHead(attend) ? 1 : 0) {}

  FailureOr<Grid> grid(KernelContext &context) override;
  int64_t warps() override { return attend.getParts() ? 1 : plan.numWarps; }
  bool isOperand(Value tensor) override {
    return llvm::is_contained(
        {attend.getQuery(), attend.getKey(), attend.getValue(), attend.getOut()}, tensor);
  }
  SmallVector<Axis> gridAxes() override;
  std::unique_ptr<StageLowering> alternative() override;
  Value isBetter(KernelContext &context) override;
  StringRef suffix() override { return rows == Rows::Heads ? "_by_heads" : ""; }
  LogicalResult emit(KernelContext &context) override;

private:
  AxisMap axes();
  /// i32: heads whose programs take turns (Domain.h); null for none.
  Value headsAtOnce(KernelContext &context);
  /// i32: tiles of each group of heads.
  Value headTiles(KernelContext &context);

  attn::AttendOp attend;
  const KernelPlan &plan;
  Rows rows;
  KeyRanges ranges;
  int64_t headTile;  ///< rows of a tile of heads
  int64_t usedHeads; ///< that a program has; 0: all of the tile
};

/// The kernel that is being emitted.
class AttendKernel {
public:
  AttendKernel(KernelContext &context, attn::AttendOp attend, Rows rows, const KeyRanges &ranges)
      : context(context), builder(context.builder), attend(attend), rows(rows),
        loc(attend.getLoc()), ranges(ranges), elements(context),
        rowAxis(rows == Rows::Heads ? "h" : "q"), row0(context.domain.first(rowAxis)),
        tiles(context, loc, row0), contract(context, loc, precision()),
        rowTile(context.domain.typeOf(axisNames(attend.getLse().getType()), builder.getF32Type())),
        outTile(context.domain.typeOf(axisNames(attend.getOut().getType()), builder.getF32Type())) {
  }

  LogicalResult emit();

private:
  friend class AttendTiles;
  using Result = OnlineSoftmax::Result;
  /// What a walk came to, in whichever form; l and o are 2^excess too large.
  struct Outcome {
    Value m, l, o, excess;
  };

  LogicalResult hoist();
  LogicalResult chooseScaling();
  std::optional<KeyPart> part();
  FailureOr<std::optional<TileVisits>> visits();
  /// Finds `keysOfRows`, if a GPU's PARTIAL tiles can do with them.
  LogicalResult boundRows();
  /// 1 / l, or 0 for a row without keys.
  Value inverse(Value l);
  void storeRows(Value tile, Value tensor, int64_t columns);
  FailureOr<Value> sinks();
  /// The indices of a region at an element; at a key that may not be there if `isPartial`.
  SmallVector<Index> indicesAt(Value row, Value key, bool isPartial) const;
  /// The FAST result, or the EXACT one where that is in doubt.
  FailureOr<Outcome> walkAndCheck(const Walk &walk, Value sink);
  void store(const Outcome &result);

  tile::Precision precision() const {
    return context.plan.precision == "tf32" ? tile::Precision::TF32 : tile::Precision::F32;
  }

  KernelContext &context;
  OpBuilder &builder;
  attn::AttendOp attend;
  Rows rows;
  Location loc;
  const KeyRanges &ranges;
  Elements elements;
  StringRef rowAxis;
  Value row0;
  TileBuilder tiles;
  Contract contract;
  TileType rowTile, outTile;
  NamedTile query;
  Scaling scaling;
  /// What a row attends to, in place of its mask: i32 for each row of the tile (rank 1), or for all
  /// where they are heads. No `count`: the mask is computed.
  KeysOfRow keysOfRows;
};

/// The tiles of scores and values that one walk takes.
class AttendTiles : public Attention {
public:
  AttendTiles(AttendKernel &kernel, Domain domain, Value keyLimit)
      : kernel(kernel), domain(std::move(domain)), keyLimit(keyLimit) {}

  FailureOr<Value> scores(const WalkTile &tile) override;
  Value accumulate(Value weights, const WalkTile &tile, Value acc, Value scores) override;

private:
  FailureOr<Value> modified(Value dots, const WalkTile &tile);
  FailureOr<Value> modifiedElement(ValueRange args, const WalkTile &tile);
  Value isWithin(Value key, ValueRange bounds);
  Value visible(Value scores, Value key0);

  AttendKernel &kernel;
  Domain domain;
  Value keyLimit;
};

} // namespace

AxisMap AttendLowering::axes() {
  // Where later rows see more keys, start with the last tile: long programs first, short ones fill
  // the machine at the end. Parts are all as long.
  bool later = !attend.getParts() && llvm::any_of(ranges.ranges, [](const KeyRange &range) {
    return range.mayHi->hasRow && !range.mayLo->hasRow;
  });
  using Over = Axis::Over;
  int64_t d = plan.headDim, e = plan.vHeadDim;
  bool heads = rows == Rows::Heads;
  // One warp has fewer registers for keys than a block.
  int64_t keys = attend.getParts() ? std::min(plan.tileKV, kKeysOfWarp) : plan.tileKV;
  return llvm::cantFail(
      AxisMap::get({{"q", Over::Grid, heads ? 1 : plan.tileQ, 0, later},
                    {"h", Over::Grid, heads ? headTile : 1, 0, false, heads ? usedHeads : 0},
                    {"b", Over::Grid},
                    {"kv", Over::Loop, keys},
                    {"d", Over::Whole, static_cast<int64_t>(llvm::alignTo(d, 16)), d},
                    {"e", Over::Whole, static_cast<int64_t>(llvm::alignTo(e, 16)), e}}));
}

/// Not of a kernel whose tiles of heads are cut within groups: they are not one to a dimension.
SmallVector<Axis> AttendLowering::gridAxes() {
  AxisMap map = axes();
  if (rows == Rows::Heads)
    return {};
  return llvm::map_to_vector(map.gridAxes(), [](const Axis *axis) { return *axis; });
}

Value AttendLowering::headTiles(KernelContext &context) {
  Location loc = attend.getLoc();
  Value groups =
      arith::MaxSIOp::create(context.builder, loc, context.sizes.lookup("g"), context.i32(loc, 1));
  Value heads =
      arith::FloorDivSIOp::create(context.builder, loc, context.sizes.lookup("h"), groups);
  return arith::CeilDivSIOp::create(context.builder, loc, heads,
                                    context.i32(loc, usedHeads ? usedHeads : headTile));
}

FailureOr<StageLowering::Grid> AttendLowering::grid(KernelContext &context) {
  if (rows == Rows::Heads) {
    Value tiles = arith::MulIOp::create(context.builder, attend.getLoc(), context.sizes.lookup("g"),
                                        headTiles(context));
    Value queries = context.sizes.lookup("q");
    if (attn::PartsAttr parts = attend.getPartsAttr())
      queries = arith::MulIOp::create(context.builder, attend.getLoc(), queries,
                                      context.sizes.lookup(parts.getSpace().getValue()));
    return Grid{queries, tiles, context.sizes.lookup("b")};
  }
  Grid grid;
  for (auto [dimension, axis] : llvm::enumerate(gridAxes())) {
    grid[dimension] = context.sizes.lookup(axis.name);
    if (axis.tile != 1)
      grid[dimension] =
          arith::CeilDivSIOp::create(context.builder, attend.getLoc(), grid[dimension],
                                     context.i32(attend.getLoc(), axis.tile));
  }
  return grid;
}

/// A mask that looks at the head can have other keys for each: then a program has one of them.
std::unique_ptr<StageLowering> AttendLowering::alternative() {
  if (rows == Rows::Heads || plan.target.kind != Target::Kind::Host)
    return nullptr;
  return std::make_unique<AttendLowering>(attend, plan, Rows::Heads);
}

/// It reads the keys of a group once for each query and tile of heads. The other kernel does so for
/// each head, as long as the queries are one tile, and packs what it reads: that takes as long as
/// reading it four times (measured with 8,192 keys of 128 f32).
Value AttendLowering::isBetter(KernelContext &context) {
  OpBuilder &b = context.builder;
  Location loc = attend.getLoc();
  Value zero = context.i32(loc, 0), one = context.i32(loc, 1);
  Value groups = arith::MaxSIOp::create(b, loc, context.sizes.lookup("g"), one);
  Value heads = arith::FloorDivSIOp::create(b, loc, context.sizes.lookup("h"), groups);
  Value own = arith::MulIOp::create(b, loc, context.sizes.lookup("q"), headTiles(context));
  Value others = arith::MulIOp::create(b, loc, heads, context.i32(loc, 4));
  Value saved = arith::SubIOp::create(b, loc, others, own);
  return arith::MinSIOp::create(b, loc, arith::MaxSIOp::create(b, loc, saved, zero), one);
}

/// Where a head's later tiles take longer, its short ones would be at the end of the grid only for
/// the last head, and what is long before them: with 8 heads of 64 tiles on 132 multiprocessors the
/// whole takes 1.23 times as long as its parts. So all heads begin with their last tiles; but no
/// more than have their keys and values in a part of the L2 cache that every GPU has. A power of
/// two, so that it is likely that no few heads are left for the end.
Value AttendLowering::headsAtOnce(KernelContext &context) {
  constexpr int64_t kCacheBytes = 32 << 20;
  constexpr int64_t kMostGroups = 1024;
  const Axis *q = context.domain.axes().find("q");
  if (plan.target.kind == Target::Kind::Host || rows == Rows::Heads || !q->lastFirst)
    return {};
  OpBuilder &b = context.builder;
  Location loc = attend.getLoc();
  int64_t rowBytes = (plan.headDim + plan.vHeadDim) * plan.elementBytes();
  Value one = context.i32(loc, 1);
  Value keys = arith::MaxSIOp::create(b, loc, context.sizes.lookup("kv"), one);
  Value groups = arith::DivUIOp::create(b, loc, context.i32(loc, kCacheBytes / rowBytes), keys);
  groups = arith::MinSIOp::create(b, loc, arith::MaxSIOp::create(b, loc, groups, one),
                                  context.i32(loc, kMostGroups));
  Value zeros = math::CountLeadingZerosOp::create(b, loc, groups);
  groups = arith::ShLIOp::create(b, loc, one,
                                 arith::SubIOp::create(b, loc, context.i32(loc, 31), zeros));
  Value heads =
      arith::DivUIOp::create(b, loc, context.sizes.lookup("h"), context.sizes.lookup("g"));
  return arith::MulIOp::create(b, loc, groups, heads);
}

LogicalResult AttendLowering::emit(KernelContext &context) {
  context.domain = Domain(axes());
  context.domain.emitCoordinates(context.builder, context.variant.getLoc(), context.sizes,
                                 headsAtOnce(context));
  if (attn::PartsAttr parts = attend.getPartsAttr())
    context.domain.share(context.builder, attend.getLoc(), "q", parts.getSpace().getValue(),
                         context.sizes.lookup(parts.getSpace().getValue()));
  return AttendKernel(context, attend, rows, ranges).emit();
}

//===-- A tile --------------------------------------------------------------------------------===//

FailureOr<Value> AttendTiles::scores(const WalkTile &tile) {
  NamedTile key = kernel.contract.load(domain, kernel.attend.getKey(), {tile.first, keyLimit});
  StringRef rows = kernel.query.axes[0], keys = key.axes[0];
  TileType type = domain.typeOf({rows, keys}, kernel.builder.getF32Type());
  NamedTile zero{kernel.tiles.fill(type, 0.0), {rows, keys}};
  return modified(kernel.contract.dot(kernel.query, key, zero), tile);
}

/// Scale, score region and, in PARTIAL tiles, mask. Nothing to do is no op.
FailureOr<Value> AttendTiles::modified(Value dots, const WalkTile &tile) {
  bool isPartial = !tile.isFull;
  if (!kernel.scaling.scale && kernel.attend.getScore().empty() && !isPartial)
    return dots;
  SmallVector<Value> inputs{dots};
  if (isPartial)
    for (Value bound : {kernel.keysOfRows.first, kernel.keysOfRows.count})
      if (bound && isa<TileType>(bound.getType()))
        inputs.push_back(bound);
  FailureOr<Value> scores = kernel.tiles.tryMap(
      cast<TileType>(dots.getType()), inputs,
      [&](ValueRange args) { return modifiedElement(args, tile); }, tile.first);
  // m, l and o stay as they are where every score is hidden: a back end may skip the rest of such a
  // tile. Where the ranges are exact there is none, and no need to look.
  if (succeeded(scores) && isPartial && !kernel.ranges.exact)
    scores->getDefiningOp()->setAttr("tile.skip_hidden", kernel.builder.getUnitAttr());
  return scores;
}

/// `args`: the product, bounds of the row's keys, row and key.
FailureOr<Value> AttendTiles::modifiedElement(ValueRange args, const WalkTile &tile) {
  bool isPartial = !tile.isFull;
  TileBuilder &t = kernel.tiles;
  Value x = args.front(), key = args.back();
  SmallVector<Index> indices = kernel.indicesAt(args[args.size() - 2], key, isPartial);
  indices.back().tileFirst = tile.first;
  indices.back().tile = domain.tile("kv");
  if (kernel.scaling.scale)
    x = t.mul(x, kernel.scaling.scale);
  if (Region &score = kernel.attend.getScore(); !score.empty()) {
    FailureOr<Value> y = kernel.elements.at(score, x, indices);
    if (failed(y))
      return failure();
    x = *y;
  }
  if (!isPartial)
    return x;
  if (kernel.keysOfRows.count)
    return t.select(isWithin(key, args.drop_front().drop_back(2)), x, t.f32(-INFINITY));
  Value keep = arith::CmpIOp::create(kernel.builder, kernel.loc, arith::CmpIPredicate::slt, key,
                                     kernel.context.sizes["kv"]);
  if (Region &region = kernel.attend.getMask(); !region.empty()) {
    FailureOr<Value> mask = kernel.elements.at(region, {}, indices);
    if (failed(mask))
      return failure();
    keep = t.both(*mask, keep);
  }
  return t.select(keep, x, t.f32(-INFINITY));
}

/// Whether `key` is one of those of its row. `bounds`: those that are tiles, at the element.
Value AttendTiles::isWithin(Value key, ValueRange bounds) {
  TileBuilder &t = kernel.tiles;
  auto at = [&](Value bound) {
    if (!isa<TileType>(bound.getType()))
      return bound;
    Value own = bounds.front();
    bounds = bounds.drop_front();
    return own;
  };
  // One comparison: what comes before the first key is large as an unsigned number.
  if (Value first = kernel.keysOfRows.first)
    key = arith::SubIOp::create(t.builder, t.loc, key, at(first));
  return arith::CmpIOp::create(t.builder, t.loc, arith::CmpIPredicate::ult, key,
                               at(kernel.keysOfRows.count));
}

/// 1 where a score is not hidden, else 0 (i32).
Value AttendTiles::visible(Value scores, Value key0) {
  TileBuilder &t = kernel.tiles;
  Type i32 = t.builder.getI32Type();
  auto see = [&](ValueRange a) -> Value {
    Value some = t.compare(arith::CmpFPredicate::UNE, a[0], t.f32(-INFINITY));
    return arith::ExtUIOp::create(t.builder, t.loc, i32, some);
  };
  return t.map(t.type(cast<TileType>(scores.getType()).getShape(), i32), scores, see, key0);
}

/// The weights are rounded to the type of the values.
Value AttendTiles::accumulate(Value weights, const WalkTile &tile, Value acc, Value scores) {
  auto type = cast<TileType>(weights.getType());
  Type operand = kernel.attend.getValue().getType().getElementType();
  if (!operand.isF32())
    weights = tile::CastOp::create(kernel.builder, kernel.loc,
                                   kernel.tiles.type(type.getShape(), operand), weights);
  NamedTile value = kernel.contract.load(domain, kernel.attend.getValue(), {tile.first, keyLimit});
  Value mask = scores ? visible(scores, tile.first) : Value();
  StringRef rows = kernel.query.axes[0], keys = value.axes[0];
  Value product =
      kernel.contract.dot({weights, {rows, keys}}, value, {acc, {rows, value.axes[1]}}, mask);
  if (mask) // exp(-inf) is 0
    product.getDefiningOp<tile::DotOp>().setZeroOutside(true);
  return product;
}

//===-- The kernel ----------------------------------------------------------------------------===//

SmallVector<Index> AttendKernel::indicesAt(Value row, Value key, bool isPartial) const {
  const Domain &domain = context.domain;
  SmallVector<Index> indices;
  for (StringRef axis : {"b", "h", "q"}) {
    bool isRow = axis == rowAxis && domain.axes().find(axis)->used != 1;
    indices.push_back({axis, isRow ? row : domain.first(axis), /*isScalar=*/!isRow,
                       /*mayOverrun=*/isRow});
    if (isRow && rows == Rows::Queries) {
      indices.back().tileFirst = row0;
      indices.back().tile = domain.tile(axis);
    }
  }
  if (key)
    indices.push_back({"kv", key, /*isScalar=*/false, /*mayOverrun=*/isPartial});
  return indices;
}

LogicalResult AttendKernel::hoist() {
  SmallVector<Index> indices = indicesAt({}, {}, false), withKey = indices;
  withKey.push_back({"kv", Value(), /*isScalar=*/false});
  return success(succeeded(elements.hoist(attend.getScore(), withKey)) &&
                 succeeded(elements.hoist(attend.getMask(), withKey)) &&
                 succeeded(elements.hoist(attend.getSink(), indices)));
}

/// Folding the scale into the exponential's factor needs that nothing else looks at the scores and
/// that the scale is positive (a maximum commutes with positive factors only).
LogicalResult AttendKernel::chooseScaling() {
  double defaultScale = 1.0 / std::sqrt(static_cast<double>(context.plan.headDim));
  bool fold = !attend.getScale() && attend.getScore().empty() && attend.getSink().empty();
  if (attn::PartsAttr parts = attend.getPartsAttr()) // largest scores would have to be multiplied
    fold &=
        static_cast<float>(parts.getUnit().getValueAsDouble()) == static_cast<float>(defaultScale);
  if (fold) {
    scaling.foldedScale = defaultScale;
    scaling.factor = context.f32(loc, defaultScale * kLog2E);
    return success();
  }
  scaling.factor = context.f32(loc, kLog2E);
  if (!attend.getScale()) {
    scaling.scale = context.f32(loc, defaultScale);
    return success();
  }
  FailureOr<Value> given = elements.scalar(attend.getScale());
  if (failed(given))
    return failure();
  scaling.scale = *given;
  return success();
}

/// The sink of each row, a score; null without one.
FailureOr<Value> AttendKernel::sinks() {
  if (attend.getSink().empty())
    return Value();
  return tiles.tryMap(rowTile, {}, [&](ValueRange args) {
    return elements.at(attend.getSink(), {}, indicesAt(args.back(), {}, false));
  });
}

FailureOr<AttendKernel::Outcome> AttendKernel::walkAndCheck(const Walk &walk, Value sink) {
  OnlineSoftmax::Problem problem{rowTile, outTile, scaling.factor, sink,
                                 attend.getValue().getType().getElementType().isF32()};
  int64_t keys = context.domain.tile("kv"), exactKeys = std::min(keys, kExactKeys);
  AttendTiles fastTiles(*this, context.domain, walk.limit());
  AttendTiles exactTiles(*this, context.domain.withTile("kv", exactKeys), walk.limit());
  OnlineSoftmax fast(tiles, fastTiles, problem, Form::Fast);
  OnlineSoftmax exact(tiles, exactTiles, problem, Form::Exact);

  // One query of the host waits for memory, not for masks: one copy of the code.
  bool isShort = rows == Rows::Heads && context.plan.target.kind == Target::Kind::Host;
  FailureOr<Carry::State> state =
      walk.run(fast, keys, isShort ? Walk::Tiles::AllPartial : Walk::Tiles::Classified);
  if (failed(state))
    return failure();
  Result fastResult = OnlineSoftmax::resultOf(*state);
  Value some = tile::AnyOp::create(builder, loc, builder.getI1Type(), fast.suspects(fastResult));
  auto branch = scf::IfOp::create(builder, loc, TypeRange{rowTile, rowTile, outTile, rowTile}, some,
                                  /*withElseRegion=*/true);
  auto yield = [&](OnlineSoftmax &softmax, const Result &result) {
    Value own = softmax.excess(result);
    scf::YieldOp::create(builder, loc, ValueRange{result.m, result.l, result.o, own});
  };
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  state = walk.run(exact, exactKeys, Walk::Tiles::AllPartial);
  if (failed(state))
    return failure();
  yield(exact, OnlineSoftmax::resultOf(*state));
  builder.setInsertionPointToStart(branch.elseBlock());
  yield(fast, fastResult);
  return Outcome{branch.getResult(0), branch.getResult(1), branch.getResult(2),
                 branch.getResult(3)};
}

/// out = o / l (0 for a row without keys), lse = m + ln(l) in natural units (-inf without keys or
/// sink).
void AttendKernel::store(const Outcome &result) {
  Value r = inverse(result.l);
  Value out =
      tiles.map(outTile, {result.o, r}, [&](ValueRange a) { return tiles.mul(a[0], a[1]); });
  storeRows(out, attend.getOut(), context.plan.vHeadDim);
  attn::PartsAttr parts = attend.getPartsAttr();
  auto ofSome = [&](Value value, Value l) {
    Value some = tiles.compare(arith::CmpFPredicate::UNE, l, tiles.f32(0.0));
    return tiles.select(some, value, tiles.f32(-INFINITY));
  };
  if (context.views.lookup(attend.getLse())) {
    Value lse = tiles.map(rowTile, {result.m, result.l, result.excess}, [&](ValueRange a) {
      Value ln = tiles.mul(tiles.sub(tiles.log2(a[1]), a[2]), tiles.f32(kLn2));
      Value sum = parts ? ln : tiles.fma(a[0], tiles.f32(scaling.foldedScale), ln);
      return ofSome(sum, a[1]);
    });
    storeRows(lse, attend.getLse(), /*columns=*/1);
  }
  if (!parts || !context.views.lookup(attend.getLargest()))
    return;
  float units = static_cast<float>(scaling.foldedScale / parts.getUnit().getValueAsDouble());
  Value largest = tiles.map(rowTile, {result.m, result.l}, [&](ValueRange a) {
    return ofSome(units == 1 ? a[0] : tiles.mul(a[0], tiles.f32(units)), a[1]);
  });
  storeRows(largest, attend.getLargest(), /*columns=*/1);
}

Value AttendKernel::inverse(Value l) {
  return tiles.map(rowTile, l, [&](ValueRange a) {
    // Not equal, or unordered: a NaN must reach the output.
    Value some = tiles.compare(arith::CmpFPredicate::UNE, a[0], tiles.f32(0.0));
    return tiles.select(some, tiles.div(tiles.f32(1.0), a[0]), tiles.f32(0.0));
  });
}

/// Stores a tile of a result, over b, h, q, parts if there are some, and columns if they are more
/// than one.
void AttendKernel::storeRows(Value tile, Value tensor, int64_t columns) {
  bool heads = rows == Rows::Heads;
  SmallVector<Value> outer = {context.domain.first("b"), context.domain.first(heads ? "q" : "h")};
  if (attn::PartsAttr parts = attend.getPartsAttr())
    outer.push_back(context.domain.first(parts.getSpace().getValue()));
  tile::StoreOp::create(builder, loc, tile, context.views.lookup(tensor), outer, row0,
                        context.domain.limit(rowAxis), /*row_dim=*/heads ? 1 : 2, columns);
}

std::optional<KeyPart> AttendKernel::part() {
  attn::PartsAttr parts = attend.getPartsAttr();
  if (!parts)
    return std::nullopt;
  int64_t keys = parts.getKeys();
  Value part = context.domain.first(parts.getSpace().getValue());
  return KeyPart{arith::MulIOp::create(builder, loc, part, context.i32(loc, keys)), keys};
}

/// The list of the program's rows: all of them are in one block.
FailureOr<std::optional<TileVisits>> AttendKernel::visits() {
  if (!attend.getVisits())
    return std::optional<TileVisits>();
  attn::AttnTensorType type = attend.getVisits().getType();
  StringRef rowBlocks = type.getAxisName(type.getRank() - 2);
  int64_t rowTile = context.domain.tile("q"), keyTile = context.domain.tile("kv");
  IntegerAttr extent;
  matchPattern(attn::findSpace(attend, rowBlocks).getExtent(), m_Constant(&extent));
  if (!extent || extent.getInt() % rowTile != 0 || *attend.getVisitKeys() % keyTile != 0)
    return emitError(loc) << "has lists of tiles (`visits`) for blocks of other rows and keys than "
                             "the kernel takes at once: "
                          << rowTile << " and " << keyTile;
  TileVisits visits{
      context.views.lookup(attend.getVisits()), {}, static_cast<int64_t>(*attend.getVisitKeys())};
  SmallVector<StringRef> axes = axisNames(type);
  for (StringRef axis : ArrayRef(axes).drop_back(2))
    visits.row.push_back(context.domain.first(axis));
  visits.row.push_back(arith::DivUIOp::create(builder, loc, context.domain.first("q"),
                                              context.i32(loc, extent.getInt())));
  return std::optional(visits);
}

/// Bounds are computed once for each row; a mask, which may be long, at each score. On the host
/// they would be loaded for each vector.
LogicalResult AttendKernel::boundRows() {
  if (context.plan.target.kind == Target::Kind::Host || attend.getMask().empty() || !ranges.exact ||
      ranges.ranges.size() != 1 || !ranges.ranges.front().isUnconditional())
    return success();
  const KeyRange &range = ranges.ranges.front();
  if (rows == Rows::Heads) {
    FailureOr<KeysOfRow> keys =
        emitKeysOfRow(context, elements, loc, range, context.domain.first("q"));
    if (failed(keys))
      return failure();
    keysOfRows = *keys;
    return success();
  }
  TileType type = tiles.type(rowTile.getShape(), builder.getI32Type());
  auto boundOf = [&](Value KeysOfRow::*bound) {
    return tiles.tryMap(type, {}, [&](ValueRange args) -> FailureOr<Value> {
      FailureOr<KeysOfRow> keys = emitKeysOfRow(context, elements, loc, range, args.back());
      return failed(keys) ? FailureOr<Value>() : FailureOr<Value>((*keys).*bound);
    });
  };
  if (!range.mayLo->isConstant(0)) {
    FailureOr<Value> first = boundOf(&KeysOfRow::first);
    if (failed(first))
      return failure();
    keysOfRows.first = *first;
  }
  FailureOr<Value> count = boundOf(&KeysOfRow::count);
  if (failed(count))
    return failure();
  keysOfRows.count = *count;
  return success();
}

LogicalResult AttendKernel::emit() {
  if (failed(hoist()) || failed(chooseScaling()))
    return failure();
  FailureOr<std::optional<TileVisits>> listed = visits();
  if (failed(listed))
    return failure();
  FailureOr<Walk> walk = Walk::over(context, elements, loc, ranges, part(), *listed);
  if (failed(walk) || failed(boundRows()))
    return failure();
  query = contract.load(context.domain, attend.getQuery(), {row0, context.domain.limit(rowAxis)});
  FailureOr<Value> sink = sinks();
  if (failed(sink))
    return failure();
  FailureOr<Outcome> result = walkAndCheck(*walk, *sink);
  if (failed(result))
    return failure();
  store(*result);
  return success();
}

std::unique_ptr<StageLowering> attnc::lowerAttend(Operation *op, const KernelPlan &plan) {
  if (!hasFusedForm(cast<attn::AttendOp>(op)))
    return lowerAttendGeneral(op, plan);
  auto attend = cast<attn::AttendOp>(op);
  return std::make_unique<AttendLowering>(attend, plan,
                                          attend.getParts() ? Rows::Heads : Rows::Queries);
}

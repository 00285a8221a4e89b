// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-expand-tiled-attention: an attention whose result depends on its tiles of keys, as formulas.
// For scores x (-inf where hidden) of a row, keys j and tiles n:
//
//   top[n]  = max(x[j] for j in n)          run[n] = max(top[i] for i <= n)
//   skipped[n] = skip(top[n], max(top[i] for i < n)), of all rows of a block that have a key in n
//   w[j]    = rounded(exp(x[j] - run[n]))
//   m       = max(run[last], sink)
//   sum     = sum(exp(x[j] - m) for j if not skipped) + exp(sink - m)
//   out     = sum(w[j] * exp(run[n] - m) * V[j] for j if not skipped) / sum;   lse = m + ln(sum)
//
// Scores are stored: what a tile is skipped by, and what a weight is rounded by, are decisions of
// one number each. A kernel that carries the running maximum would not need them in memory.
#include "RoundToFormat.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Attn/AttendFormulas.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPANDTILEDATTENTION
#include "attnc/Transforms/Passes.h.inc"

namespace {

using arith::CmpFPredicate;
using attn::Reduction;

class TiledAttention {
public:
  explicit TiledAttention(attn::AttendOp attend)
      : attend(attend), b(attend), formulas(attend), keySpace(attend.getKeySpace()) {
    ArrayRef<Attribute> query = attend.getQuery().getType().getAxes();
    rowAxes.assign(query.begin(), query.end() - 1);
  }

  LogicalResult expand();

private:
  using Point = attn::AttendFormulas::Point;

  StringAttr declare(const llvm::Twine &base, StringAttr parent, Value extent);
  StringAttr blocksOfRows();
  Value groupsOfTile();
  Value groupOf(Value key);
  SmallVector<Attribute> axesWith(Attribute last) const;
  Point pointOf(ValueRange rowAndKey) const;
  Value tileOf(Value key) { return arith::FloorDivSIOp::create(b, key, attend.getTile()); }
  Value lowest() { return b.real(-INFINITY); }
  Value isKey(Value x) { return b.compare(CmpFPredicate::UNE, x, lowest()); }
  Value at(Value tensor, ValueRange row, Value last);
  Value maximumOfTiles(ValueRange row, Value end);

  LogicalResult writeScores();
  void writeMaxima();
  void writeSkipped();
  void writeGroupScales();
  void writeSums();
  Value weight(ValueRange row, Value key, Value x);
  Value isTaken(ValueRange row, Value key, Value x);
  Value sinkAt(ValueRange row);
  Value scaleFactor(ValueRange row, Value key);
  FailureOr<Value> out();
  Value lse();
  Value weights(Value logarithms);

  attn::AttendOp attend;
  FormulaBuilder b;
  attn::AttendFormulas formulas;
  StringRef keySpace;
  SmallVector<Attribute> rowAxes;                                  ///< outer axes and the row
  StringAttr tiles, groups;                                        ///< spaces
  Value perTile;                                                   ///< groups of a tile
  Value scores, tops, running, skipped, groupScales, maxima, sums; ///< tensors
};

} // namespace

/// A space called `base`, or by a name behind it that is not taken.
StringAttr TiledAttention::declare(const llvm::Twine &base, StringAttr parent, Value extent) {
  std::string name = base.str();
  while (attn::findSpace(attend, name))
    name += "_";
  attn::SpaceOp::create(b, b.getStringAttr(name), parent, extent, Value(), UnitAttr());
  return b.getStringAttr(name);
}

SmallVector<Attribute> TiledAttention::axesWith(Attribute last) const {
  SmallVector<Attribute> axes(rowAxes);
  axes.push_back(last);
  return axes;
}

TiledAttention::Point TiledAttention::pointOf(ValueRange rowAndKey) const {
  ValueRange row = rowAndKey.take_front(rowAxes.size());
  return {SmallVector<Value>(row.drop_back()), row.back(), rowAndKey.back()};
}

Value TiledAttention::at(Value tensor, ValueRange row, Value last) {
  SmallVector<Value> indices(row);
  indices.push_back(last);
  return b.read(tensor, indices);
}

LogicalResult TiledAttention::writeScores() {
  LogicalResult isWritten = success();
  scores = b.compute(axesWith(b.getStringAttr(keySpace)), b.getF32Type(), [&](ValueRange indices) {
    Point point = pointOf(indices);
    FailureOr<Value> score = formulas.score(b, point);
    FailureOr<Value> mask = formulas.mask(b, point);
    if (failed(score) || failed(mask)) {
      isWritten = failure();
      return lowest();
    }
    return *mask ? b.select(*mask, *score, lowest()) : *score;
  });
  return isWritten;
}

/// The largest score of the tiles below `end`.
Value TiledAttention::maximumOfTiles(ValueRange row, Value end) {
  return b.reduce(Reduction::Max, {tiles.getValue(), {}, {}, end},
                  [&](Value tile) -> Term { return {at(tops, row, tile), {}}; });
}

void TiledAttention::writeMaxima() {
  SmallVector<Attribute> axes = axesWith(tiles);
  tops = b.compute(axes, b.getF32Type(), [&](ValueRange indices) {
    ValueRange row = indices.drop_back();
    return b.reduce(Reduction::Max, {keySpace, tiles.getValue(), indices.back(), {}},
                    [&](Value key) -> Term { return {at(scores, row, key), {}}; });
  });
  running = b.compute(axes, b.getF32Type(), [&](ValueRange indices) {
    return maximumOfTiles(indices.drop_back(), b.add(indices.back(), b.integer(1)));
  });
  maxima = b.compute(rowAxes, b.getF32Type(), [&](ValueRange row) {
    Value top = maximumOfTiles(row, {}), sink = sinkAt(row);
    return sink ? arith::MaximumFOp::create(b, top, sink).getResult() : top;
  });
}

/// The blocks of rows that skip a tile together. Rows behind the last whole block are together too.
StringAttr TiledAttention::blocksOfRows() {
  attn::SpaceOp blocks = attn::findSpace(attend, *attend.getSkipRows());
  if (!blocks.getFull())
    return blocks.getNameAttr();
  return declare(blocks.getName() + "_all", cast<StringAttr>(rowAxes.back()), blocks.getExtent());
}

/// Which tiles take part, by the rule of each row and then of the rows that decide together.
void TiledAttention::writeSkipped() {
  if (attend.getSkip().empty())
    return;
  SmallVector<Attribute> axes = axesWith(tiles);
  Type i1 = b.getI1Type();
  Value byRow = b.compute(axes, i1, [&](ValueRange indices) {
    ValueRange row = indices.drop_back();
    Value top = at(tops, row, indices.back()), before = maximumOfTiles(row, indices.back());
    Value holds = attn::AttendFormulas::inlined(b, attend.getSkip(), {top, before});
    Value isEmpty = b.compare(CmpFPredicate::OEQ, top, lowest());
    return arith::OrIOp::create(b, holds, isEmpty).getResult();
  });
  if (!attend.getSkipRows()) {
    skipped = byRow;
    return;
  }
  StringAttr blocks = blocksOfRows();
  SmallVector<Attribute> blockAxes(axes);
  StringRef rowSpace = cast<StringAttr>(rowAxes.back()).getValue();
  blockAxes[rowAxes.size() - 1] = blocks;
  Value together = b.compute(blockAxes, i1, [&](ValueRange indices) {
    Value block = indices[rowAxes.size() - 1];
    return b.reduce(Reduction::All, {rowSpace, blocks, block, {}}, [&](Value row) -> Term {
      SmallVector<Value> own(indices);
      own[rowAxes.size() - 1] = row;
      return {b.read(byRow, own), {}};
    });
  });
  Value extent = attn::findSpace(attend, blocks).getExtent();
  skipped = b.compute(axes, i1, [&](ValueRange indices) {
    SmallVector<Value> own(indices);
    own[rowAxes.size() - 1] = arith::FloorDivSIOp::create(b, indices[rowAxes.size() - 1], extent);
    return b.read(together, own);
  });
}

/// exp(x - run) of a key that is seen, times what a format's numbers are scaled by before rounding.
static Value unrounded(FormulaBuilder &b, Value x, Value run, double factor) {
  return b.mul(math::ExpOp::create(b, b.sub(x, run)), b.real(factor));
}

static double factorOf(attn::AttendOp attend) {
  return attend.getWeightScale() ? attend.getWeightScale()->convertToDouble() : 1;
}

/// How many groups a tile has; they start anew in each.
Value TiledAttention::groupsOfTile() {
  Value most = b.sub(attend.getTile(), b.integer(1)); // at least 0
  Value others = arith::FloorDivSIOp::create(b, most, attend.getWeightGroup());
  return b.add(others, b.integer(1));
}

/// The group of `key`, counted over all tiles.
Value TiledAttention::groupOf(Value key) {
  Value tile = tileOf(key), first = b.mul(tile, attend.getTile());
  Value inTile = arith::FloorDivSIOp::create(b, b.sub(key, first), attend.getWeightGroup());
  return b.add(b.mul(tile, perTile), inTile);
}

void TiledAttention::writeGroupScales() {
  if (!attend.getWeightGroup())
    return;
  perTile = groupsOfTile();
  Value numTiles = attn::SizeOp::create(b, b.getI32Type(), tiles);
  Value extent = arith::MaxSIOp::create(b, b.mul(numTiles, perTile), b.integer(1));
  groups = declare(keySpace + "_group", StringAttr(), extent);
  attn::Format format = *attend.getWeightFormat();
  groupScales = b.compute(axesWith(groups), b.getF32Type(), [&](ValueRange indices) {
    ValueRange row = indices.drop_back();
    Value group = indices.back(), tile = arith::FloorDivSIOp::create(b, group, perTile);
    Value top = b.reduce(Reduction::Max, {keySpace, tiles.getValue(), tile, {}}, [&](Value key) {
      Value x = at(scores, row, key), run = at(running, row, tileOf(key));
      Value isMember = b.compare(arith::CmpIPredicate::eq, groupOf(key), group);
      return Term{unrounded(b, x, run, factorOf(attend)), b.both(isMember, isTaken(row, key, x))};
    });
    Value some = b.compare(CmpFPredicate::UNE, top, lowest());
    Value exact = b.div(top, b.real(attn::largestNumber(format)));
    return b.select(some, roundToFormat(b, exact, attn::Format::F8E4M3, attn::Rounding::HalfEven),
                    b.real(0));
  });
}

Value TiledAttention::isTaken(ValueRange row, Value key, Value x) {
  if (!skipped)
    return isKey(x);
  Value isSkipped = at(skipped, row, tileOf(key));
  Value isIn =
      arith::XOrIOp::create(b, isSkipped, arith::ConstantOp::create(b, b.getBoolAttr(true)));
  return b.both(isKey(x), isIn);
}

/// The key's weight relative to the running maximum, as the products take it.
Value TiledAttention::weight(ValueRange row, Value key, Value x) {
  Value run = at(running, row, tileOf(key));
  double factor = factorOf(attend);
  if (!attend.getWeightFormat())
    return unrounded(b, x, run, 1);
  Value scaled = unrounded(b, x, run, factor), scale;
  if (groupScales) {
    scale = at(groupScales, row, groupOf(key));
    Value some = b.compare(CmpFPredicate::UNE, scale, b.real(0));
    scaled = b.select(some, b.div(scaled, scale), b.real(0));
  }
  Value code = roundToFormat(b, scaled, *attend.getWeightFormat(), attn::Rounding::HalfEven);
  if (scale)
    code = b.mul(code, scale);
  return b.div(code, b.real(factor));
}

Value TiledAttention::sinkAt(ValueRange row) {
  Point point{SmallVector<Value>(row.drop_back()), row.back(), {}};
  return formulas.sink(b, point);
}

void TiledAttention::writeSums() {
  sums = b.compute(rowAxes, b.getF32Type(), [&](ValueRange row) {
    Value m = b.read(maxima, row);
    Value sum = b.reduce(Reduction::Sum, {keySpace, {}, {}, {}}, [&](Value key) -> Term {
      Value x = at(scores, row, key);
      return {math::ExpOp::create(b, b.sub(x, m)), isTaken(row, key, x)};
    });
    Value sink = sinkAt(row);
    if (!sink)
      return sum;
    Value own = math::ExpOp::create(b, b.sub(sink, m));
    own = b.select(b.compare(CmpFPredicate::OEQ, sink, m), b.real(1), own);
    own = b.select(b.compare(CmpFPredicate::OEQ, sink, lowest()), b.real(0), own);
    return b.add(sum, own);
  });
}

FailureOr<Value> TiledAttention::out() {
  LogicalResult isWritten = success();
  Value result = b.compute(attend.getOut().getType(), [&](ValueRange indices) {
    ValueRange row = indices.drop_back();
    Value total = b.reduce(Reduction::Sum, {keySpace, {}, {}, {}}, [&](Value key) -> Term {
      Value x = at(scores, row, key), m = b.read(maxima, row);
      Value run = at(running, row, tileOf(key));
      SmallVector<Value> rowAndKey(row);
      rowAndKey.push_back(key);
      FailureOr<Value> value = formulas.value(b, pointOf(rowAndKey), indices.back());
      if (failed(value)) {
        isWritten = failure();
        return {b.real(0), {}};
      }
      Value relative = b.mul(weight(row, key, x), math::ExpOp::create(b, b.sub(run, m)));
      return {b.mul(relative, *value), isTaken(row, key, x)};
    });
    Value sum = b.read(sums, row);
    Value isEmpty = b.compare(CmpFPredicate::OEQ, sum, b.real(0));
    return b.select(isEmpty, b.real(0), b.div(total, sum));
  });
  if (failed(isWritten))
    return failure();
  return result;
}

Value TiledAttention::lse() {
  return b.compute(attend.getLse().getType(), [&](ValueRange row) {
    Value sum = b.read(sums, row);
    Value isEmpty = b.compare(CmpFPredicate::OEQ, sum, b.real(0));
    Value total = b.add(b.read(maxima, row), math::LogOp::create(b, sum));
    return b.select(isEmpty, lowest(), total);
  });
}

/// exp(x - lse) of the keys that take part.
Value TiledAttention::weights(Value logarithms) {
  return b.compute(cast<attn::AttnTensorType>(attend.getWeights().getType()),
                   [&](ValueRange indices) {
                     ValueRange row = indices.drop_back();
                     Value x = at(scores, row, indices.back());
                     Value weight = math::ExpOp::create(b, b.sub(x, b.read(logarithms, row)));
                     return b.select(isTaken(row, indices.back(), x), weight, b.real(0));
                   });
}

LogicalResult TiledAttention::expand() {
  tiles = declare(keySpace + "_tile", b.getStringAttr(keySpace), attend.getTile());
  if (failed(writeScores()))
    return failure();
  writeMaxima();
  writeSkipped();
  writeGroupScales();
  writeSums();
  FailureOr<Value> result = out();
  if (failed(result))
    return failure();
  attend.getOut().replaceAllUsesWith(*result);
  Value logarithms = lse();
  attend.getLse().replaceAllUsesWith(logarithms);
  if (attend.getWeights() && !attend.getWeights().use_empty())
    attend.getWeights().replaceAllUsesWith(weights(logarithms));
  attend.erase();
  return success();
}

namespace {

struct AttnExpandTiledAttention : impl::AttnExpandTiledAttentionBase<AttnExpandTiledAttention> {
  using AttnExpandTiledAttentionBase::AttnExpandTiledAttentionBase;

  void runOnOperation() override {
    SmallVector<attn::AttendOp> attends;
    getOperation().walk([&](attn::AttendOp attend) {
      bool dependsOnTiles = attend.getWeightFormat() || !attend.getSkip().empty();
      if (dependsOnTiles)
        attends.push_back(attend);
    });
    for (attn::AttendOp attend : attends) {
      if (failed(TiledAttention(attend).expand()))
        return signalPassFailure();
      ++numExpanded;
    }
  }
};

} // namespace
} // namespace attnc

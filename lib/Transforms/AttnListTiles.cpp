// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-list-tiles: which blocks of keys a block of rows has to visit, where no ranges say so.
//
//   flag[r, c]     for each block of keys, whether all rows of block r see it whole; then, for each
//                  again, whether some row sees some of it, and not all see it whole
//   count[r, c]    cumsum of the flags
//   visits[r, s]   how many blocks are seen whole, how many are visited, and the blocks: that of
//   the
//                  flag with which the count reaches a number, found by halving
//
// Blocks are what the kernel of the attention takes at once. A set becomes part of the mask, which
// blocks that are not seen whole evaluate by element.
#include "MaskOverTiles.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/KeyRanges.h"
#include "attnc/Plan/Plan.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Attn/AttendFormulas.h"

using namespace mlir;
using Predicate = arith::CmpIPredicate;

namespace attnc {
#define GEN_PASS_DEF_ATTNLISTTILES
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// The count has at most 2^25 entries: MaskOverTiles.h knows nothing of more than 2^30 keys, whose
/// blocks are 64 at least.
constexpr int64_t kLargestStep = int64_t(1) << 24;

class TileList {
public:
  TileList(attn::AttendOp attend, const KernelPlan &plan) : attend(attend), plan(plan), b(attend) {}

  /// False, and nothing is changed, where lists would say no more than ranges do.
  bool run();

private:
  std::string declare(StringRef what, StringRef parent, Value extent);
  bool classify();
  Value visitsAt(ValueRange row, Value slot);
  SmallVector<Value> with(ValueRange row, Value last) {
    SmallVector<Value> indices(row);
    indices.push_back(last);
    return indices;
  }
  Value tensor(StringRef last, function_ref<Value(ValueRange)> formula) {
    SmallVector<Attribute> axes(rowAxes);
    axes.push_back(b.getStringAttr(last));
    Value result = b.compute(axes, b.getI32Type(), formula);
    result.getDefiningOp()->setLoc(NameLoc::get(b.getStringAttr("tiles"), b.getLoc()));
    return result;
  }
  Value flag(Value condition) { return b.select(condition, b.integer(1), b.integer(0)); }

  attn::AttendOp attend;
  const KernelPlan &plan;
  FormulaBuilder b;
  Value numBlocks;                ///< of keys; at least 1
  SmallVector<Attribute> rowAxes; ///< what lists differ along: some outer axes and blocks of rows
  SmallVector<unsigned> outer;    ///< which outer axes these are
  std::string blocks, halves, slots;
  Value flags, counts;
};

} // namespace

/// Declares a space whose name begins with that of `what`.
std::string TileList::declare(StringRef what, StringRef parent, Value extent) {
  std::string base = what.str(), name = base;
  for (unsigned i = 2; attn::findSpace(attend, name); ++i)
    name = base + std::to_string(i);
  attn::SpaceOp::create(b, b.getStringAttr(name),
                        parent.empty() ? StringAttr() : b.getStringAttr(parent), extent, Value());
  return name;
}

/// flag[outer, r, c], or nothing where no element of a tensor tells any.
bool TileList::classify() {
  attn::AttnTensorType query = attend.getQuery().getType();
  StringRef rows = query.getAxisName(attend.getNumOuter()), keys = attend.getKeySpace();
  bool isTold = false;
  flags = tensor(halves, [&](ValueRange indices) -> Value {
    MaskOverTiles::Tile tile;
    for (unsigned axis = 0, next = 0; axis < attend.getNumOuter(); ++axis)
      tile.outer.push_back(llvm::is_contained(outer, axis) ? indices[next++] : Value());
    Value end;
    auto block = [&](Value index, StringRef name, StringRef space, int64_t size) {
      Value first = b.mul(index, b.integer(size));
      Value members = attn::SizeOp::create(b, b.getI32Type(), space);
      end = b.add(first, b.integer(size));
      Value last = b.sub(arith::MinSIOp::create(b, end, members).getResult(), b.integer(1));
      return MaskOverTiles::Block{name, index, first, last, size};
    };
    StringRef rowBlocks = cast<StringAttr>(rowAxes.back()).getValue();
    tile.rows = block(indices[indices.size() - 2], rowBlocks, rows, plan.tileQ);
    Value isFirstHalf = b.compare(Predicate::slt, indices.back(), numBlocks);
    Value number = b.select(isFirstHalf, indices.back(), b.sub(indices.back(), numBlocks));
    tile.keys = block(number, blocks, keys, plan.tileKV);
    MaskOverTiles mask(b, attend);
    MaskOverTiles::Condition found = mask.evaluate(tile);
    isTold = mask.hasLookedUp() && (found.can || found.always);
    // Keys behind the last one are hidden, and where there are none the only tile is.
    Value size = attn::SizeOp::create(b, b.getI32Type(), keys);
    Value isWhole = arith::ConstantOp::create(b, b.getBoolAttr(false));
    if (found.always)
      isWhole = b.both(b.compare(Predicate::sle, end, size), found.always);
    Value whole = flag(isWhole), one = b.integer(1);
    Value exists = b.compare(Predicate::slt, tile.keys.first, size);
    Value some = flag(b.both(exists, found.can));
    Value partial = b.select(b.compare(Predicate::slt, whole, some), one, b.integer(0));
    return b.select(isFirstHalf, whole, partial);
  });
  return isTold;
}

Value TileList::visitsAt(ValueRange row, Value slot) {
  Value one = b.integer(1), numHalves = b.add(numBlocks, numBlocks);
  Value numWhole = b.read(counts, with(row, b.sub(numBlocks, one)));
  Value numVisited = b.read(counts, with(row, b.sub(numHalves, one)));
  // How many counts are at most n: the place of the entry that makes it n + 1.
  Value n = b.sub(slot, b.integer(2)), place = b.integer(0);
  for (int64_t step = kLargestStep; step > 0; step /= 2) {
    Value next = b.add(place, b.integer(step));
    Value exists = b.compare(Predicate::sle, next, numHalves);
    Value count = b.read(counts, with(row, b.sub(next, one)));
    Value isBelow = b.compare(Predicate::sle, count, n);
    place = b.select(b.both(exists, isBelow), next, place);
  }
  Value isWhole = b.compare(Predicate::slt, place, numBlocks);
  Value block = b.select(isWhole, place, b.sub(place, numBlocks));
  Value isFirst = b.compare(Predicate::eq, slot, b.integer(0));
  Value isSecond = b.compare(Predicate::eq, slot, one);
  return b.select(isFirst, numWhole, b.select(isSecond, numVisited, block));
}

bool TileList::run() {
  attn::AttnTensorType query = attend.getQuery().getType();
  StringRef keys = attend.getKeySpace();
  Operation *before = attend->getPrevNode();
  Value size = attn::SizeOp::create(b, b.getI32Type(), keys);
  Value found = arith::FloorDivSIOp::create(b, b.add(size, b.integer(plan.tileKV - 1)),
                                            b.integer(plan.tileKV));
  numBlocks = arith::MaxSIOp::create(b, found, b.integer(1)).getResult();
  Block &mask = attend.getMask().front();
  for (unsigned axis = 0; axis < attend.getNumOuter(); ++axis)
    if (!mask.getArgument(axis).use_empty()) {
      outer.push_back(axis);
      rowAxes.push_back(query.getAxes()[axis]);
    }
  StringRef rows = query.getAxisName(attend.getNumOuter());
  rowAxes.push_back(b.getStringAttr(declare((rows + "_tile").str(), rows, b.integer(plan.tileQ))));
  blocks = declare((keys + "_tile").str(), "", numBlocks);
  halves = declare((keys + "_tile_flag").str(), "", b.add(numBlocks, numBlocks));
  if (!classify()) {
    while (attend->getPrevNode() != before)
      attend->getPrevNode()->erase();
    return false;
  }
  slots = declare((keys + "_visit").str(), "", b.add(numBlocks, b.integer(2)));
  counts = attn::CumsumOp::create(b, flags.getType(), flags, b.getStringAttr(halves));
  Value visits = tensor(
      slots, [&](ValueRange indices) { return visitsAt(indices.drop_back(), indices.back()); });
  attend.getVisitsMutable().assign(visits);
  attend.setVisitKeys(plan.tileKV);
  return true;
}

/// Makes the set part of the mask where the attention has a form for it then.
static void foldSet(attn::AttendOp attend) {
  if (!attend.getSet())
    return;
  OpBuilder builder(attend);
  Location loc = attend.getLoc();
  attn::AttendOp folded = attend.clone();
  builder.insert(folded);
  folded.getMask().dropAllReferences();
  folded.getMask().getBlocks().clear();
  Block *body = builder.createBlock(&folded.getMask());
  attn::AttendFormulas::Point point;
  for (unsigned axis = 0; axis < attend.getNumOuter(); ++axis)
    point.outer.push_back(body->addArgument(builder.getI32Type(), loc));
  point.row = body->addArgument(builder.getI32Type(), loc);
  point.key = body->addArgument(builder.getI32Type(), loc);
  FailureOr<Value> mask = attn::AttendFormulas(attend).mask(builder, point);
  folded.getSetMutable().clear();
  if (succeeded(mask)) {
    attn::YieldOp::create(builder, loc, *mask);
    if (hasFusedForm(folded)) {
      attend.getMask().takeBody(folded.getMask());
      attend.getSetMutable().clear();
    }
  }
  folded.erase();
}

namespace {
struct AttnListTiles : impl::AttnListTilesBase<AttnListTiles> {
  void runOnOperation() override {
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>()) {
      llvm::Expected<KernelPlan> plan = planOf(variant);
      if (!plan) {
        variant.emitOpError() << llvm::toString(plan.takeError());
        return signalPassFailure();
      }
      for (auto attend : llvm::make_early_inc_range(variant.getBody().getOps<attn::AttendOp>())) {
        if (attend.getVisits() || attend.getPartsAttr())
          continue;
        foldSet(attend);
        if (hasFusedForm(attend) && !attend.getMask().empty() && !computeKeyRanges(attend).exact &&
            TileList(attend, *plan).run())
          ++numListed;
      }
    }
  }
};

} // namespace
} // namespace attnc

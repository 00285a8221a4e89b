// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A reduction that no product of matrices is goes index by index over a tile of rows and columns
// (Reductions.cpp). Where there are few columns, most lanes of a vector are idle then, and elements
// that are neighbours along the reduced axis are gathered. With rows alone, the lanes run along
// that axis. Where rows share nothing that is read, as in a sum of vectors for each row, a GPU
// takes one row at a time: the threads of a block are then shared out over the reduced axis.
//
// Products of 16-bit elements have tiles of twice as many columns there: what is computed for the
// left side serves more of them. So have rows of running products: a thread has one column.
#include "TileChoice.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/Factors.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Fewer columns than this leave lanes idle.
constexpr int64_t kFewestColumns = 16;

/// Of which of two indices a value knows.
class Knowledge {
public:
  Knowledge(Value row, Value column) : row(row), column(column) {}

  bool ofBoth(Value value) { return of(value) == (kRow | kColumn); }
  bool ofRow(Value value) { return of(value) & kRow; }
  bool ofColumn(Value value) { return of(value) & kColumn; }

private:
  enum : unsigned { kRow = 1, kColumn = 2 };

  unsigned of(Value value) {
    if (value == column)
      return kColumn;
    if (value == row)
      return kRow;
    if (isa<attn::AttnTensorType>(value.getType()))
      return 0;
    if (auto found = known.find(value); found != known.end())
      return found->second;
    // An index of a nested region knows what its bounds know.
    Operation *op = value.getDefiningOp();
    if (!op)
      op = cast<BlockArgument>(value).getOwner()->getParentOp();
    unsigned all = 0;
    if (!isa<attn::ComputeOp>(op)) {
      for (Value operand : op->getOperands())
        all |= of(operand);
      if (value.getDefiningOp())
        op->walk([&](Operation *inner) {
          if (inner->hasTrait<OpTrait::IsTerminator>() && inner->getParentOp() == op)
            for (Value operand : inner->getOperands())
              all |= of(operand);
        });
    }
    return known[value] = all;
  }

  Value row, column;
  llvm::DenseMap<Value, unsigned> known;
};

} // namespace

/// Whether some factor of what `reduce` adds up knows the row and the column.
static bool isInseparable(attn::ReduceOp reduce, Knowledge &knowledge) {
  auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
  SmallVector<Value> open{yield.getValues().front()};
  while (!open.empty()) {
    Value factor = open.pop_back_val();
    if (auto product = factor.getDefiningOp<arith::MulFOp>())
      open.append({product.getLhs(), product.getRhs()});
    else if (knowledge.ofBoth(factor))
      return true;
  }
  return false;
}

/// Whether more reads in `reduce` have its index as their last one than `column`: there, elements
/// are neighbours in memory.
static bool readsAlong(attn::ReduceOp reduce, Value column) {
  Value index = reduce.getBody().getArgument(0);
  int64_t votes = 0;
  reduce->walk([&](attn::ReadOp read) {
    if (!read.getIndices().empty())
      votes += (read.getIndices().back() == index) - (read.getIndices().back() == column);
  });
  return votes > 0;
}

/// Whether each reduction that knows `column` (and `row`, if there is one) has a read of elements
/// that these and its own index tell apart, neighbouring columns next to each other: tiles of rows
/// have no use for each other's.
static bool readEachOnce(attn::ComputeOp compute, Value row, Value column) {
  bool some = false, all = true;
  Knowledge knowledge(row, column);
  for (auto reduce : compute.getBody().getOps<attn::ReduceOp>()) {
    if (row ? !knowledge.ofBoth(reduce.getResult()) : !knowledge.ofColumn(reduce.getResult()))
      continue;
    Value index = reduce.getBody().getArgument(0);
    WalkResult walk = reduce->walk([&](attn::ReadOp read) {
      OperandRange indices = read.getIndices();
      bool isOwn = !indices.empty() && indices.back() == column &&
                   (!row || llvm::is_contained(indices, row)) && llvm::is_contained(indices, index);
      return isOwn ? WalkResult::interrupt() : WalkResult::advance();
    });
    some = true;
    all &= walk.wasInterrupted();
  }
  return some && all;
}

static std::optional<int64_t> extentOf(attn::ComputeOp compute, unsigned axis) {
  attn::AttnTensorType type = compute.getType();
  StringRef space = type.getAxisName(axis);
  return space.empty() ? std::optional(type.getAxisSize(axis))
                       : fixedExtent(compute->getParentOfType<attn::VariantOp>(), space);
}

/// Leaves the columns of `tiled` alone, along `axis`: more of them than of a square tile, unless
/// kernels cut the axis.
static void takeRowByRow(attn::ComputeOp compute, unsigned axis, TiledAxes &tiled) {
  constexpr int64_t kFewest = 16, kMost = 128;
  tiled.colTile = tiled.cols ? tiled.colTile : tiled.rowTile;
  if (std::optional<int64_t> extent = extentOf(compute, axis))
    tiled.colTile = std::clamp<int64_t>(llvm::PowerOf2Ceil(*extent), kFewest, kMost);
  tiled.cols = axis;
  tiled.rows.reset();
  tiled.rowTile = 1;
}

/// Where nothing is a product, rows that are fewer than those of a product's fragment get a tile of
/// their own height, and more columns.
static void fitFewRows(attn::ComputeOp compute, TiledAxes &tiled) {
  constexpr int64_t kMostColumns = 128;
  std::optional<int64_t> rows = extentOf(compute, *tiled.rows);
  bool mayBeProduct = false;
  compute.getBody().walk([&](attn::ReduceOp reduce) {
    mayBeProduct |=
        reduce.getKind() == attn::Reduction::Sum || reduce.getKind() == attn::Reduction::Mean;
  });
  if (!rows || mayBeProduct || llvm::PowerOf2Ceil(*rows) >= uint64_t(tiled.rowTile))
    return;
  tiled.rowTile = llvm::PowerOf2Ceil(*rows);
  if (std::optional<int64_t> columns = extentOf(compute, *tiled.cols))
    tiled.colTile = std::max<int64_t>(
        tiled.colTile, std::min<int64_t>(kMostColumns, llvm::PowerOf2Ceil(*columns)));
}

/// Where all sums are products of matrices whose right sides are 16-bit elements, tiles of 128
/// columns, if the columns are so many of them.
static void widenProducts(attn::ComputeOp compute, Value column, TiledAxes &tiled) {
  constexpr int64_t kColumns = 128;
  std::optional<int64_t> extent = extentOf(compute, *tiled.cols);
  if (!extent || *extent % kColumns != 0 || tiled.colTile >= kColumns)
    return;
  Knowledge knowledge({}, column);
  bool some = false;
  for (auto reduce : compute.getBody().getOps<attn::ReduceOp>()) {
    if (!knowledge.ofColumn(reduce.getResult()))
      continue;
    some = true;
    auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
    SmallVector<Value> factors = factorsOf(yield.getValues().front());
    bool isNarrow = llvm::all_of(
        factors, [&](Value factor) { return !knowledge.ofColumn(factor) || exactTypeOf(factor); });
    if (reduce.getKind() != attn::Reduction::Sum || factors.size() < 2 || !isNarrow ||
        yield.getValues().size() != 1)
      return;
  }
  if (some)
    tiled.colTile = kColumns;
}

/// Where something is combined up to, or from, the row, tiles of 128 columns, if the columns are so
/// many of them.
static void widenRunning(attn::ComputeOp compute, Value row, TiledAxes &tiled) {
  constexpr int64_t kColumns = 128;
  std::optional<int64_t> extent = extentOf(compute, *tiled.cols);
  if (!extent || *extent % kColumns != 0 || tiled.colTile >= kColumns)
    return;
  Knowledge knowledge(row, {});
  for (auto reduce : compute.getBody().getOps<attn::ReduceOp>())
    for (Value bound : {reduce.getLower(), reduce.getUpper()})
      if (bound && knowledge.ofRow(bound))
        tiled.colTile = kColumns;
}

TiledAxes attnc::chooseTiles(attn::ComputeOp compute, const Target &target,
                             ArrayRef<StringRef> singly) {
  auto variant = compute->getParentOfType<attn::VariantOp>();
  bool isGPU = target.kind == Target::Kind::NVPTX;
  bool hasRows = compute.getType().getRank() > 1; // else no matrix of one row can be stored
  TiledAxes tiled = tiledAxesOf(variant, compute.getType(), target, singly);
  Block::BlockArgListType indices = compute.getBody().getArguments();
  if (!tiled.cols) {
    if (isGPU && tiled.rows && hasRows && readEachOnce(compute, Value(), indices[*tiled.rows]))
      takeRowByRow(compute, *tiled.rows, tiled);
    return tiled;
  }
  Value row = indices[*tiled.rows], column = indices[*tiled.cols];
  std::optional<int64_t> extent = extentOf(compute, *tiled.cols);
  if (!extent || *extent >= kFewestColumns) {
    if (isGPU && readEachOnce(compute, row, column))
      takeRowByRow(compute, *tiled.cols, tiled);
    else if (isGPU) {
      fitFewRows(compute, tiled);
      widenProducts(compute, column, tiled);
      widenRunning(compute, row, tiled);
    }
    return tiled;
  }
  Knowledge knowledge(row, column);
  for (auto reduce : compute.getBody().getOps<attn::ReduceOp>())
    if (knowledge.ofBoth(reduce.getResult()) && isInseparable(reduce, knowledge) &&
        readsAlong(reduce, column)) {
      tiled.cols.reset();
      tiled.colTile = 1;
      break;
    }
  return tiled;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Rows that are not stored need not be computed: the last query tile of a length that is no
// multiple, and all but one row of a tile when a single query is decoded. Row ops and products work
// row by row, so a tile's rows beyond the limit of the stores influence nothing, unless the tile is
// the right operand of a product. The tiles from which stored ones are computed row by row are
// found once; their loops then stop at
//
//   min(limit - row, rows)
//
// Stores of a kernel may have several limits. A tile that is computed for more than one of them,
// that something looks at otherwise, or that is made before a limit is known, is computed as a
// whole, and so is what it is made from.
#include "RowBound.h"
#include "Memory.h"
#include "dialects/Tile/KernelFacts.h"
#include "mlir/IR/Dominance.h"

using namespace mlir;
using namespace attnc;

/// The row and the limit of a store, and what it stores; no row if it is none.
static StoredRows storedBy(Operation *op) {
  if (auto store = dyn_cast<tile::StoreOp>(op))
    return {store.getRow(), store.getLimit(), store.getValue().getType().getRows(), {}};
  if (auto store = dyn_cast<tile::StoreBlockOp>(op))
    return {store.getRow(), store.getRowLimit(), store.getValue().getType().getRows(), {}};
  return {};
}

/// Calls `fn` for each tile from which `v` is computed row by row; returns whether `v` is computed
/// so.
static bool forEachSource(Value v, llvm::function_ref<void(Value)> fn) {
  if (auto arg = dyn_cast<BlockArgument>(v)) {
    auto loop = dyn_cast<scf::ForOp>(arg.getOwner()->getParentOp());
    if (!loop || arg == loop.getInductionVar())
      return false;
    unsigned index = arg.getArgNumber() - loop.getNumInductionVars();
    fn(loop.getInitArgs()[index]);
    fn(loop.getYieldedValues()[index]);
    return true;
  }
  Operation *op = v.getDefiningOp();
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    fn(loop.getRegionIterArg(cast<OpResult>(v).getResultNumber()));
    return true;
  }
  if (auto branch = dyn_cast<scf::IfOp>(op)) {
    for (scf::YieldOp yield : {branch.thenYield(), branch.elseYield()})
      fn(yield.getOperand(cast<OpResult>(v).getResultNumber()));
    return true;
  }
  if (auto dot = dyn_cast<tile::DotOp>(op)) {
    fn(dot.getLhs());
    fn(dot.getAcc());
    if (dot.getMask())
      fn(dot.getMask());
    return true;
  }
  if (auto map = dyn_cast<tile::MapOp>(op)) {
    for (Value input : map.getInputs())
      if (cast<tile::TileType>(input.getType()).getRows() == map.getResult().getType().getRows())
        fn(input); // else a value for each column, computed as a whole
    return true;
  }
  if (auto reduce = dyn_cast<tile::ReduceOp>(op);
      isa<tile::CastOp>(op) || (reduce && reduce.getAxis() == tile::Axis::Columns)) {
    fn(op->getOperand(0));
    return true;
  }
  return false;
}

namespace {
/// Finds which tile is computed for which rows.
class RowFinder {
public:
  explicit RowFinder(KernelEmitter &ke) : ke(ke), dominance(ke.kernel) {}

  void run();

private:
  void addStore(Operation *store);
  void addFrom(Value v, unsigned bound);
  void addAny(tile::AnyOp any);
  bool isKnownAt(const StoredRows &bound, Value v);
  bool keepsRows(OpOperand &use, unsigned bound);
  bool hasBound(Value v, unsigned bound) {
    auto it = ke.storedRows.find(v);
    return it != ke.storedRows.end() && it->second == bound;
  }

  KernelEmitter &ke;
  DominanceInfo dominance;
  llvm::DenseMap<Operation *, unsigned> boundOfStore;
  llvm::DenseSet<Value> whole; ///< computed for several bounds, or before one is known
};
} // namespace

/// Whether row and limit are there where `v` is made.
bool RowFinder::isKnownAt(const StoredRows &bound, Value v) {
  Operation *where = v.getDefiningOp();
  if (!where)
    where = &v.getParentBlock()->front();
  return dominance.properlyDominates(bound.row, where) &&
         dominance.properlyDominates(bound.limit, where);
}

/// Lets `v`, and all that it is computed from row by row, have `bound`.
void RowFinder::addFrom(Value v, unsigned bound) {
  SmallVector<Value> worklist{v};
  while (!worklist.empty()) {
    v = worklist.pop_back_val();
    if (!isa<tile::TileType>(v.getType()) || hasBound(v, bound) || whole.contains(v))
      continue;
    SmallVector<Value> sources;
    if (!forEachSource(v, [&](Value source) { sources.push_back(source); }))
      continue;
    if (ke.storedRows.contains(v) || !isKnownAt(ke.rowBounds[bound], v)) {
      ke.storedRows.erase(v);
      whole.insert(v);
      continue;
    }
    ke.storedRows[v] = bound;
    worklist.append(sources);
  }
}

void RowFinder::addStore(Operation *store) {
  StoredRows stored = storedBy(store);
  if (!stored.row || tile::isKnownAtMost(stored.row, stored.rows, stored.limit))
    return;
  auto known = llvm::find_if(ke.rowBounds, [&](const StoredRows &other) {
    return other.row == stored.row && other.limit == stored.limit && other.rows == stored.rows;
  });
  unsigned bound = static_cast<unsigned>(known - ke.rowBounds.begin());
  if (known == ke.rowBounds.end())
    ke.rowBounds.push_back(stored);
  boundOfStore[store] = bound;
  addFrom(store->getOperand(0), bound);
}

/// `tile.any` looks at rows that are stored only, and at nothing else of what it is computed from.
void RowFinder::addAny(tile::AnyOp any) {
  llvm::SmallDenseSet<unsigned, 4> bounds;
  llvm::DenseSet<Value> seen;
  SmallVector<Value> worklist{any.getInput()};
  while (!worklist.empty()) {
    Value v = worklist.pop_back_val();
    if (!isa<tile::TileType>(v.getType()) || !seen.insert(v).second)
      continue;
    if (auto it = ke.storedRows.find(v); it != ke.storedRows.end())
      bounds.insert(it->second);
    else
      forEachSource(v, [&](Value source) { worklist.push_back(source); });
  }
  if (bounds.size() == 1)
    addFrom(any.getInput(), *bounds.begin());
}

/// Whether an address, or anything else but a number, depends on what `use` is to a map. Vectors
/// reach beyond the last row that matters, and what lies there must not be gone to.
static bool isGoneTo(OpOperand &use) {
  auto map = dyn_cast<tile::MapOp>(use.getOwner());
  if (!map || use.getOperandNumber() >= map.getInputs().size())
    return false;
  SmallVector<Value> worklist{map.getBlock()->getArgument(use.getOperandNumber())};
  llvm::DenseSet<Value> seen;
  while (!worklist.empty()) {
    Value v = worklist.pop_back_val();
    if (!seen.insert(v).second)
      continue;
    for (Operation *user : v.getUsers()) {
      if (isa<tile::YieldOp>(user))
        continue;
      if (!isa_and_nonnull<arith::ArithDialect, math::MathDialect>(user->getDialect()))
        return true;
      worklist.append(user->result_begin(), user->result_end());
    }
  }
  return false;
}

/// Whether the owner of `use` passes rows on to what has the same bound, each to the row of the
/// same number.
bool RowFinder::keepsRows(OpOperand &use, unsigned bound) {
  Operation *owner = use.getOwner();
  if (auto store = boundOfStore.find(owner); store != boundOfStore.end())
    return store->second == bound;
  if (isa<tile::AnyOp>(owner)) // it asks for the bound of its input
    return true;
  if (auto loop = dyn_cast<scf::ForOp>(owner)) {
    BlockArgument arg = loop.getTiedLoopRegionIterArg(&use);
    return arg && hasBound(arg, bound);
  }
  if (isa<scf::YieldOp>(owner)) {
    if (auto loop = dyn_cast<scf::ForOp>(owner->getParentOp()))
      return hasBound(loop.getRegionIterArg(use.getOperandNumber()), bound);
    auto branch = dyn_cast<scf::IfOp>(owner->getParentOp());
    return branch && hasBound(branch.getResult(use.getOperandNumber()), bound);
  }
  if (auto dot = dyn_cast<tile::DotOp>(owner); dot && &use == &dot.getRhsMutable())
    return false;
  bool isSource = false;
  return !isGoneTo(use) && owner->getNumResults() == 1 && hasBound(owner->getResult(0), bound) &&
         forEachSource(owner->getResult(0),
                       [&](Value source) { isSource |= source == use.get(); }) &&
         isSource;
}

void RowFinder::run() {
  ke.kernel.walk([&](Operation *op) { addStore(op); });
  ke.kernel.walk([&](tile::AnyOp any) { addAny(any); });
  // What is looked at otherwise is computed as a whole, from whole tiles.
  for (bool changed = true; changed;) {
    SmallVector<Value> dropped;
    for (auto [v, bound] : ke.storedRows) {
      bool keeps =
          llvm::all_of(v.getUses(), [&, b = bound](OpOperand &use) { return keepsRows(use, b); });
      // What a loop carries it also returns.
      if (auto arg = dyn_cast<BlockArgument>(v)) {
        Value result = cast<scf::ForOp>(arg.getOwner()->getParentOp()).getTiedLoopResult(arg);
        keeps &= result.use_empty() || hasBound(result, bound);
      }
      if (!keeps)
        dropped.push_back(v);
    }
    for (Value v : dropped)
      ke.storedRows.erase(v);
    changed = !dropped.empty();
  }
}

void attnc::findStoredRows(KernelEmitter &ke) { RowFinder(ke).run(); }

static Value emitBound(KernelEmitter &ke, const StoredRows &bound) {
  return validRows(ke, bound.row, bound.limit, bound.rows);
}

void attnc::emitRowBounds(KernelEmitter &ke) {
  Block *body = &ke.kernel.getBody().front();
  auto isKnown = [&](Value v) { return v.getParentBlock() == body && ke.scalars.contains(v); };
  for (StoredRows &bound : ke.rowBounds)
    if (!bound.count && isKnown(bound.row) && isKnown(bound.limit))
      bound.count = emitBound(ke, bound);
}

Value attnc::rowsOf(KernelEmitter &ke, Value tile) {
  auto it = ke.storedRows.find(tile);
  if (it == ke.storedRows.end())
    return ke.e.constI64(cast<tile::TileType>(tile.getType()).getRows());
  const StoredRows &bound = ke.rowBounds[it->second];
  if (bound.count)
    return bound.count;
  // Somebody may ask ahead of the tile (Skip.h).
  if (!ke.scalars.contains(bound.row) || !ke.scalars.contains(bound.limit))
    return ke.e.constI64(bound.rows);
  return emitBound(ke, bound);
}

bool attnc::haveSameRows(KernelEmitter &ke, Value tile, Value other) {
  auto boundOf = [&](Value v) {
    auto it = ke.storedRows.find(v);
    return it == ke.storedRows.end() ? -1 : static_cast<int64_t>(it->second);
  };
  return boundOf(tile) == boundOf(other);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Groups of row ops: maps, reductions, casts, and a store of a block at the end. A group is split
// into *row passes* of ops that can be computed vector by vector together, and runs over blocks of
// rows:
//
//   for each block of `lanes` rows:
//     pass 1, matrix:    for each row: x = map(s); mt = max(x)          (x in s's buffer)
//     pass 2, row value: m' = max(m, mt); alpha = exp2(m - m')          (a vector is `lanes` rows)
//     pass 3, matrix:    for each row: p = exp2(x - m'); lt = sum(p); cast p
//     pass 4, row value: l' = l * alpha + lt
//
// An op joins the first pass of its shape that comes after all reductions it needs, so the cast
// above runs with the map that makes p although the kernel names it after l'.
#include "RowGroup.h"
#include "Combine.h"
#include "RowBound.h"
#include "StoreBlock.h"

using namespace mlir;
using namespace attnc;

namespace {

/// One pass over a block of rows: row ops that are computed together, vector by vector.
struct RowPass {
  SmallVector<Operation *> ops;
  bool matrix = false; ///< rank 2; else lanes are rows
  int64_t rows = 0, cols = 0;
  /// Ops that run before ops that precede them in the kernel; they must not overwrite what those
  /// read.
  llvm::SmallPtrSet<Operation *, 4> early;

  bool contains(Operation *op) const { return llvm::is_contained(ops, op); }
};

} // namespace

/// A row of at most this many vectors is straight-line code; a longer one is a loop.
static constexpr int64_t kMaxUnrolled = 8;

/// The shape over which a row op iterates.
static tile::TileType iterationType(Operation *op) {
  if (auto reduce = dyn_cast<tile::ReduceOp>(op))
    return reduce.getInput().getType();
  if (auto store = dyn_cast<tile::StoreBlockOp>(op))
    return store.getValue().getType();
  return cast<tile::TileType>(op->getResult(0).getType());
}

/// The first pass in which `op` can run: not before the passes that compute its operands, and
/// after a pass that reduces to one of them.
static size_t earliestPass(Operation *op, ArrayRef<RowPass> passes,
                           llvm::function_ref<Value(Value)> resolve) {
  size_t earliest = 0;
  for (Value operand : op->getOperands()) {
    Operation *producer = resolve(operand).getDefiningOp();
    for (auto [i, pass] : llvm::enumerate(passes))
      if (producer && pass.contains(producer))
        earliest = std::max(earliest, i + (isa<tile::ReduceOp>(producer) ? 1 : 0));
  }
  return earliest;
}

static SmallVector<RowPass> splitGroup(KernelEmitter &ke) {
  SmallVector<RowPass> passes;
  for (Operation *op : ke.group) {
    tile::TileType type = iterationType(op);
    auto fits = [&](const RowPass &pass) {
      return pass.matrix == (type.getRank() == 2) && pass.cols == type.getCols();
    };
    size_t at = earliestPass(op, passes, [&](Value v) { return ke.tiles.resolve(v); });
    while (at < passes.size() && !fits(passes[at]))
      ++at;
    if (at == passes.size()) {
      passes.emplace_back();
      passes.back().matrix = type.getRank() == 2;
      passes.back().rows = type.getRows();
      passes.back().cols = type.getCols();
    } else if (at + 1 < passes.size()) {
      passes[at].early.insert(op);
    }
    passes[at].ops.push_back(op);
  }
  return passes;
}

/// Whether `op` alone needs the value of `v`.
static bool isOnlyFor(KernelEmitter &ke, Value v, Operation *op) {
  bool only = true;
  ke.tiles.forEachUser(ke.tiles.resolve(v), [&](Operation *user) { only &= user == op; });
  return only;
}

/// Results that are used outside of their pass need memory; a reduction's always do.
static LogicalResult assignBuffers(KernelEmitter &ke, ArrayRef<RowPass> passes) {
  for (const RowPass &pass : passes)
    for (Operation *op : pass.ops) {
      if (isa<tile::StoreBlockOp>(op))
        continue;
      Value result = op->getResult(0);
      bool needed = isa<tile::ReduceOp>(op);
      ke.tiles.forEachUser(result, [&](Operation *user) { needed |= !pass.contains(user); });
      if (!needed)
        continue;
      SmallVector<Value> candidates;
      for (Value operand : op->getOperands())
        if (isa<tile::TileType>(operand.getType()) &&
            (!pass.early.contains(op) || isOnlyFor(ke, operand, op)))
          candidates.push_back(operand);
      ke.tiles.buffers[result] = ke.tiles.resultBuffer(result, op, candidates);
    }
  return success();
}

//===----------------------------------------------------------------------===//
// Row passes
//===----------------------------------------------------------------------===//

static SmallVector<tile::ReduceOp> reductionsOf(ArrayRef<Operation *> ops) {
  SmallVector<tile::ReduceOp> reductions;
  for (Operation *op : ops)
    if (auto reduce = dyn_cast<tile::ReduceOp>(op))
      reductions.push_back(reduce);
  return reductions;
}

/// `count` vectors of a row from column `col` on.
static LogicalResult emitColumns(KernelEmitter &ke, const RowPass &pass, Value row, Value col,
                                 int64_t count, SmallVectorImpl<Value> &sums) {
  Emitter &e = ke.e;
  ke.inRegisters.clear();
  SmallVector<Value> cols;
  for (int64_t i = 0; i < count; ++i)
    cols.push_back(e.addc(col, i * e.lanes));
  unsigned next = 0;
  for (Operation *op : pass.ops) {
    e.loc = op->getLoc();
    if (auto reduce = dyn_cast<tile::ReduceOp>(op)) {
      Value &sum = sums[next++];
      for (Value at : cols) {
        Value x = e.asVector(readVector(ke, reduce.getInput(), row, at));
        if (pass.cols % e.lanes) { // the padding must not count
          Value column = arith::TruncIOp::create(e.b, e.loc, e.i32, at);
          Value inside = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt,
                                               e.add(e.splat(column), e.iota()),
                                               e.constInt(e.vi32, pass.cols));
          x = e.select(inside, x, neutralElement(e, reduce.getKind(), x.getType()));
        }
        sum = combineElements(e, reduce.getKind(), x, sum);
      }
      continue;
    }
    if (auto store = dyn_cast<tile::StoreBlockOp>(op)) {
      storeRow(ke, store, row, cols);
      continue;
    }
    Value result = op->getResult(0);
    for (Value at : cols) {
      Value value;
      if (auto cast = dyn_cast<tile::CastOp>(op)) {
        value = convertElement(ke, e.asVector(readVector(ke, cast.getInput(), row, at)),
                               cast.getInput().getType().getElementType(),
                               cast.getResult().getType().getElementType());
      } else {
        SmallVector<Value> operands;
        for (Value input : llvm::cast<tile::MapOp>(op).getInputs())
          operands.push_back(readVector(ke, input, row, at));
        value = mapVector(ke, llvm::cast<tile::MapOp>(op), operands, row, at);
        if (!value)
          return failure();
      }
      ke.inRegisters[{result, at}] = value;
      writeVector(ke, value, result, row, at);
    }
  }
  ke.inRegisters.clear();
  return success();
}

static LogicalResult emitMatrixPass(KernelEmitter &ke, const RowPass &pass, Value row) {
  Emitter &e = ke.e;
  SmallVector<tile::ReduceOp> reductions = reductionsOf(pass.ops);
  SmallVector<Value> sums;
  for (tile::ReduceOp reduce : reductions)
    sums.push_back(
        neutralElement(e, reduce.getKind(),
                       e.vec(ke.tiles.storageOf(reduce.getInput().getType().getElementType()))));
  int64_t vectors = llvm::divideCeil(pass.cols, e.lanes);
  bool ok = true;
  if (vectors <= kMaxUnrolled) {
    ok = succeeded(emitColumns(ke, pass, row, e.constI64(0), vectors, sums));
  } else {
    int64_t step = vectors % 4 == 0 ? 4 : vectors % 2 == 0 ? 2 : 1;
    sums = e.forLoop(e.constI64(0), e.constI64(vectors * e.lanes), step * e.lanes, sums,
                     [&](Value col, ValueRange carried) {
                       SmallVector<Value> next(carried);
                       ok &= succeeded(emitColumns(ke, pass, row, col, step, next));
                       return next;
                     });
  }
  for (auto [op, sum] : llvm::zip(reductions, sums)) {
    tile::ReduceOp reduce = op;
    e.loc = reduce.getLoc();
    Value scalar = e.reduceLanes(
        sum, [&](Value x, Value y) { return combineElements(e, reduce.getKind(), x, y); });
    const Buffer &buffer = ke.tiles.buffers.find(reduce.getResult())->second;
    e.store(scalar, ke.tiles.address(buffer, row, e.constI64(0)), byteSize(buffer.storage));
  }
  return success(ok);
}

static LogicalResult emitRowValuePass(KernelEmitter &ke, const RowPass &pass, Value row) {
  Emitter &e = ke.e;
  ke.inRegisters.clear();
  for (Operation *op : pass.ops) {
    e.loc = op->getLoc();
    Value result = op->getResult(0), value;
    if (auto cast = dyn_cast<tile::CastOp>(op)) {
      value = convertElement(ke, e.asVector(readVector(ke, cast.getInput(), row, Value())),
                             cast.getInput().getType().getElementType(),
                             cast.getResult().getType().getElementType());
    } else {
      auto map = llvm::cast<tile::MapOp>(op);
      SmallVector<Value> operands;
      for (Value input : map.getInputs())
        operands.push_back(readVector(ke, input, row, Value()));
      value = mapVector(ke, map, operands, row, Value());
      if (!value)
        return failure();
    }
    ke.inRegisters[{result, Value()}] = value;
    writeVector(ke, value, result, row, Value());
  }
  ke.inRegisters.clear();
  return success();
}

/// Whether nothing of the group is kept in memory but what its last op stores.
static bool isAllStored(KernelEmitter &ke) {
  return llvm::none_of(ke.group, [&](Operation *op) {
    return op->getNumResults() == 1 && ke.tiles.buffers.contains(op->getResult(0));
  });
}

LogicalResult attnc::flushGroup(KernelEmitter &ke) {
  Emitter &e = ke.e;
  if (ke.group.empty())
    return success();
  ++ke.numGroups;
  SmallVector<RowPass> passes = splitGroup(ke);
  if (failed(assignBuffers(ke, passes)))
    return failure();
  Value rows = e.constI64(passes.front().rows), first = ke.group.front()->getResult(0);
  if (llvm::all_of(ke.group, [&](Operation *op) {
        return op->getNumResults() == 0 || haveSameRows(ke, first, op->getResult(0));
      }))
    rows = rowsOf(ke, first);
  if (auto store = dyn_cast<tile::StoreBlockOp>(ke.group.back()); store && isAllStored(ke))
    rows = storedRows(ke, store);
  ke.group.clear();
  bool ok = true;
  e.forLoop(e.constI64(0), rows, e.lanes, [&](Value block) {
    for (const RowPass &pass : passes) {
      if (!pass.matrix) {
        ok &= succeeded(emitRowValuePass(ke, pass, block));
        continue;
      }
      Value end = e.min(e.addc(block, e.lanes), rows);
      e.forLoop(block, end, 1, [&](Value row) { ok &= succeeded(emitMatrixPass(ke, pass, row)); });
    }
  });
  return success(ok);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inverses of unit lower triangular matrices, by substitution: a thread has a column of the
// inverse, and takes 16 rows at a time.
//
//   for each block of rows i from that of the column on:
//     sum[r] = 1 where row and column are the same, else 0
//     for each block k from that of the column to before i:   sum[r] += N[r, k] X[k]
//     within the block, row by row:                           sum[r] += N[r, k] sum[k] for k < r
//     X[r] = sum[r]
//
// The matrix is in shared memory, where all threads read the same four elements at once, and so is
// what a thread has of its column: it is in registers only while its block is computed, so that the
// code does not grow with the matrix. Warps start at their first column's block.
#include "Elements.h"
#include "dialects/Tile/TileLayouts.h"

using namespace mlir;
using namespace attnc;
using tile::InvertOp;
using tile::TileType;

namespace {

constexpr int64_t kBlock = InvertOp::kBlock;

class InvertLowering {
public:
  InvertLowering(KernelLowering &kl, InvertOp invert)
      : kl(kl), b(kl.builder), invert(invert), loc(invert.getLoc()),
        type(invert.getInput().getType()), memory(type.getRows()),
        vector(VectorType::get({4}, b.getF32Type())) {}

  void run();

private:
  SmallVector<Value> addresses(int64_t base);
  void writeMatrix();
  void readInverse();
  void solveColumns();
  void clearAbove(Value firstRow);
  void solveBlock(Value firstRow, Value firstColumn);
  /// Adds what rows `known` on, 16 of them, of the column contribute to 16 rows from `firstRow` on.
  SmallVector<Value> addKnown(ValueRange sums, Value firstRow, Value known);

  Value shared(Value offset, int64_t constant = 0) {
    Value pointer = kl.offsetPointer(loc, kl.sharedBase, offset);
    return constant ? kl.offsetPointer(loc, pointer, kl.i32(loc, constant)) : pointer;
  }
  /// The address of an element in the matrix at `base`.
  Value elementAt(int64_t base, Value row, Value col) {
    Value offset =
        kl.add(loc, kl.mul(loc, row, kl.i32(loc, memory.pitch)), kl.mul(loc, col, kl.i32(loc, 4)));
    return kl.add(loc, offset, kl.i32(loc, *invert.getScratch() + base));
  }
  /// Four elements of a row of the matrix, `row` and `col` beyond what `corner` is the address of.
  SmallVector<Value> fourAt(Value corner, int64_t row, int64_t col) {
    Value four =
        LLVM::LoadOp::create(b, loc, vector, shared(corner, row * memory.pitch + 4 * col), 16);
    SmallVector<Value> elements;
    for (int64_t i = 0; i < 4; ++i)
      elements.push_back(LLVM::ExtractElementOp::create(b, loc, four, kl.i32(loc, i)));
    return elements;
  }
  Value fma(Value x, Value y, Value z) { return LLVM::FMAOp::create(b, loc, x, y, z); }
  /// A loop over blocks of so many rows or columns.
  void forBlocks(Value from, Value to, int64_t size, llvm::function_ref<void(Value)> body);

  KernelLowering &kl;
  OpBuilder &b;
  InvertOp invert;
  Location loc;
  TileType type;
  tile::InvertScratch memory;
  VectorType vector;
  Value column; ///< which the thread computes (i32)
};

} // namespace

void InvertLowering::forBlocks(Value from, Value to, int64_t size,
                               llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, loc, from, to, kl.i32(loc, size));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

/// Where a lane has its elements of the matrix at `base`.
SmallVector<Value> InvertLowering::addresses(int64_t base) {
  Value first = elementAt(base, kl.laneCoordinate(loc, type, /*row=*/true),
                          kl.laneCoordinate(loc, type, /*row=*/false));
  tile::LinearLayout layout(type.getLayout());
  return llvm::map_to_vector(KernelLowering::liveRegisters(type), [&](int64_t reg) {
    tile::Coord at = layout.apply(reg, 0, 0);
    return shared(first, at.row * memory.pitch + 4 * at.col);
  });
}

void InvertLowering::writeMatrix() {
  SmallVector<Value> elements = unpack(kl, loc, type, kl.fragments[invert.getInput()]);
  kl.barrier(loc);
  guarded(kl, loc, isFirstCopy(kl, loc, type), [&]() {
    for (auto [value, address] : llvm::zip(elements, addresses(0)))
      LLVM::StoreOp::create(b, loc, value, address, 4);
  });
  kl.barrier(loc);
}

void InvertLowering::readInverse() {
  kl.barrier(loc);
  SmallVector<Value> elements;
  for (Value address : addresses(memory.inverse))
    elements.push_back(LLVM::LoadOp::create(b, loc, b.getF32Type(), address, 4));
  kl.fragments[invert.getResult()] = pack(kl, loc, type, elements);
}

/// Rows of blocks before the column's.
void InvertLowering::clearAbove(Value firstRow) {
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f));
  Value at = elementAt(memory.inverse, firstRow, column);
  for (int64_t r = 0; r < kBlock; ++r)
    LLVM::StoreOp::create(b, loc, zero, shared(at, r * memory.pitch), 4);
}

SmallVector<Value> InvertLowering::addKnown(ValueRange sums, Value firstRow, Value known) {
  SmallVector<Value> next(sums);
  Value corner = elementAt(0, firstRow, known);
  Value unknowns = elementAt(memory.inverse, known, column);
  for (int64_t k = 0; k < kBlock; k += 4) {
    SmallVector<Value> x;
    for (int64_t i = 0; i < 4; ++i)
      x.push_back(LLVM::LoadOp::create(b, loc, b.getF32Type(),
                                       shared(unknowns, (k + i) * memory.pitch), 4));
    for (int64_t r = 0; r < kBlock; ++r)
      for (auto [factor, element] : llvm::zip(fourAt(corner, r, k), x))
        next[r] = fma(factor, element, next[r]);
  }
  return next;
}

void InvertLowering::solveBlock(Value firstRow, Value firstColumn) {
  Value one = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1.0f));
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f));
  SmallVector<Value> sums;
  for (int64_t r = 0; r < kBlock; ++r) {
    Value isDiagonal = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                             kl.add(loc, firstRow, kl.i32(loc, r)), column);
    sums.push_back(arith::SelectOp::create(b, loc, isDiagonal, one, zero));
  }
  auto loop = scf::ForOp::create(b, loc, firstColumn, firstRow, kl.i32(loc, kBlock), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(b, loc,
                         addKnown(loop.getRegionIterArgs(), firstRow, loop.getInductionVar()));
  }
  sums.assign(loop.getResults().begin(), loop.getResults().end());
  Value corner = elementAt(0, firstRow, firstRow);
  Value at = elementAt(memory.inverse, firstRow, column);
  for (int64_t r = 0; r < kBlock; ++r) {
    for (int64_t k = 0; k < r; k += 4) {
      SmallVector<Value> factors = fourAt(corner, r, k);
      for (int64_t i = 0; i < 4 && k + i < r; ++i)
        sums[r] = fma(factors[i], sums[k + i], sums[r]);
    }
    LLVM::StoreOp::create(b, loc, sums[r], shared(at, r * memory.pitch), 4);
  }
}

/// The columns of this thread: fewer threads than columns take several, one after another.
void InvertLowering::solveColumns() {
  int64_t rows = type.getRows();
  Value end = kl.i32(loc, rows);
  auto solve = [&](Value firstOfTurn) {
    column = kl.add(loc, kl.threadId, firstOfTurn);
    // What is before the first column of a warp is the same for all of its threads.
    Value first = kl.add(loc, kl.mul(loc, kl.warpId, kl.i32(loc, 32)), firstOfTurn);
    Value hasColumn = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, column, end);
    guarded(kl, loc, hasColumn, [&]() {
      forBlocks(kl.i32(loc, 0), first, kBlock, [&](Value firstRow) { clearAbove(firstRow); });
      forBlocks(first, end, kBlock, [&](Value firstRow) { solveBlock(firstRow, first); });
    });
  };
  if (kl.numThreads >= rows)
    solve(kl.i32(loc, 0));
  else
    forBlocks(kl.i32(loc, 0), end, kl.numThreads, solve);
}

void InvertLowering::run() {
  writeMatrix();
  solveColumns();
  readInverse();
}

static LogicalResult lowerInvert(KernelLowering &kl, InvertOp invert) {
  if (!invert.getScratch())
    return invert.emitOpError("has no shared memory to invert the matrix in");
  InvertLowering(kl, invert).run();
  return success();
}

void attnc::registerInvert(NVVMOpTable &table) { table.add(lowerInvert); }

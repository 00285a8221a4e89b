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
// Matrix and inverse are in shared memory, where all threads read the same four elements of the
// matrix at once: a column is in registers only while its block is computed, so that the code does
// not grow with the matrix. Warps start at their first column's block.
//
// Of an inverse that is `rounded` threads compute the blocks on the diagonal only, and warps the
// others, a column of blocks to a warp:
//
//   for each block i > j:   X[i, j] = X[i, i] (sum of N[i, k] X[k, j] for j <= k < i)
//
// These are products of matrices, on tf32 in three terms, which keep 22 bits of an operand. They
// are computed transposed: the accumulators of the sum are then the left operand of the product
// with X[i, i]. Nothing of a column of blocks is needed by another warp.
#include "Elements.h"
#include "Products.h"
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
  void solveRows(Value firstRow, Value firstColumn);
  /// 16 rows of the column from those of the unit matrix.
  SmallVector<Value> unitRows(Value firstRow);
  /// Adds what rows `known` on, 16 of them, of the column contribute to 16 rows from `firstRow` on.
  SmallVector<Value> addKnown(ValueRange sums, Value firstRow, Value known);
  /// Adds to 16 rows what those before them of the 16 contribute, and stores them.
  void solveDiagonal(Value firstRow, SmallVector<Value> sums);
  void solveBelow();
  void solveBlock(Value i, Value j);
  /// Adds the product of transposed blocks: `left(r, c)` are its rows by those that are summed.
  using LeftElement = llvm::function_ref<Value(int64_t half, int64_t depth, int64_t odd)>;
  SmallVector<Value> addProduct(ValueRange sums, LeftElement left, Value right);

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

SmallVector<Value> InvertLowering::unitRows(Value firstRow) {
  Value one = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1.0f));
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f));
  SmallVector<Value> sums;
  for (int64_t r = 0; r < kBlock; ++r) {
    Value isDiagonal = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                             kl.add(loc, firstRow, kl.i32(loc, r)), column);
    sums.push_back(arith::SelectOp::create(b, loc, isDiagonal, one, zero));
  }
  return sums;
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

void InvertLowering::solveDiagonal(Value firstRow, SmallVector<Value> sums) {
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

void InvertLowering::solveRows(Value firstRow, Value firstColumn) {
  auto loop =
      scf::ForOp::create(b, loc, firstColumn, firstRow, kl.i32(loc, kBlock), unitRows(firstRow));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    scf::YieldOp::create(b, loc,
                         addKnown(loop.getRegionIterArgs(), firstRow, loop.getInductionVar()));
  }
  solveDiagonal(firstRow, SmallVector<Value>(loop.getResults()));
}

/// `right` is the address of the block whose transpose is the right operand. Of mma.m16n8k8, lane
/// 4 g + t has rows g and g + 8 of the left operand and column g of the right one; its two indices
/// of the sum are taken to be neighbours (Products.cpp).
SmallVector<Value> InvertLowering::addProduct(ValueRange sums, LeftElement left, Value right) {
  Type f32 = b.getF32Type();
  VectorType pair = VectorType::get({2}, f32);
  SmallVector<Value> next(sums);
  for (int64_t depth = 0; depth < 2; ++depth) {
    SmallVector<Value> high, low;
    for (int64_t odd : {0, 1})
      for (int64_t half : {0, 1}) {
        SplitTF32 parts = splitTF32(b, loc, left(half, depth, odd), /*exact=*/true);
        high.push_back(parts.high);
        low.push_back(parts.low);
      }
    for (int64_t n = 0; n < 2; ++n) {
      Value both =
          LLVM::LoadOp::create(b, loc, pair, shared(right, 8 * n * memory.pitch + 32 * depth), 8);
      SmallVector<Value> rightHigh, rightLow;
      for (int64_t odd : {0, 1}) {
        Value x = LLVM::ExtractElementOp::create(b, loc, both, kl.i32(loc, odd));
        SplitTF32 parts = splitTF32(b, loc, x, /*exact=*/true);
        rightHigh.push_back(parts.high);
        rightLow.push_back(parts.low);
      }
      MutableArrayRef<Value> sum = MutableArrayRef(next).slice(4 * n, 4);
      multiply(b, loc, f32, low, rightHigh, sum);
      multiply(b, loc, f32, high, rightLow, sum);
      multiply(b, loc, f32, high, rightHigh, sum);
    }
  }
  return next;
}

/// `i` and `j` are the first row and the first column of the block.
void InvertLowering::solveBlock(Value i, Value j) {
  Value g = arith::ShRUIOp::create(b, loc, kl.laneId, kl.i32(loc, 2));
  Value t = arith::AndIOp::create(b, loc, kl.laneId, kl.i32(loc, 3));
  Value twice = kl.mul(loc, t, kl.i32(loc, 2));
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0f));
  SmallVector<Value> sums(8, zero); // of columns 8 n on: (g, 2t), (g, 2t + 1), (g + 8, the same)
  auto loop = scf::ForOp::create(b, loc, j, i, kl.i32(loc, kBlock), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value k = loop.getInductionVar();
    Value known = elementAt(memory.inverse, kl.add(loc, k, twice), kl.add(loc, j, g));
    auto left = [&](int64_t half, int64_t depth, int64_t odd) -> Value {
      return LLVM::LoadOp::create(b, loc, b.getF32Type(),
                                  shared(known, (8 * depth + odd) * memory.pitch + 32 * half), 4);
    };
    Value right = elementAt(0, kl.add(loc, i, g), kl.add(loc, k, twice));
    scf::YieldOp::create(b, loc, addProduct(loop.getRegionIterArgs(), left, right));
  }
  SmallVector<Value> inner(loop.getResults());
  auto left = [&](int64_t half, int64_t depth, int64_t odd) {
    return inner[4 * depth + 2 * half + odd];
  };
  Value diagonal = elementAt(memory.inverse, kl.add(loc, i, g), kl.add(loc, i, twice));
  SmallVector<Value> block = addProduct(sums, left, diagonal);
  Value at = elementAt(memory.inverse, kl.add(loc, i, twice), kl.add(loc, j, g));
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t half : {0, 1})
      for (int64_t odd : {0, 1})
        LLVM::StoreOp::create(b, loc, block[4 * n + 2 * half + odd],
                              shared(at, (8 * n + odd) * memory.pitch + 32 * half), 4);
  // Lanes read what others have written.
  NVVM::SyncWarpOp::create(b, loc, kl.i32(loc, -1));
}

void InvertLowering::solveBelow() {
  int64_t rows = type.getRows();
  if (rows == kBlock)
    return;
  kl.barrier(loc);
  Value end = kl.i32(loc, rows);
  Value first = kl.mul(loc, kl.warpId, kl.i32(loc, kBlock));
  forBlocks(first, kl.i32(loc, rows - kBlock), kBlock * (kl.numThreads / 32), [&](Value j) {
    forBlocks(kl.add(loc, j, kl.i32(loc, kBlock)), end, kBlock, [&](Value i) { solveBlock(i, j); });
  });
}

/// The columns of this thread: fewer threads than columns take several, one after another.
void InvertLowering::solveColumns() {
  int64_t rows = type.getRows();
  Value end = kl.i32(loc, rows);
  auto solve = [&](Value firstOfTurn) {
    column = kl.add(loc, kl.threadId, firstOfTurn);
    Value hasColumn = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, column, end);
    guarded(kl, loc, hasColumn, [&]() {
      Value first = invert.getRounded()
                        ? arith::AndIOp::create(b, loc, column, kl.i32(loc, -kBlock))
                        // What is before a warp's first column is the same for all of its threads.
                        : kl.add(loc, kl.mul(loc, kl.warpId, kl.i32(loc, 32)), firstOfTurn);
      forBlocks(kl.i32(loc, 0), first, kBlock, [&](Value firstRow) { clearAbove(firstRow); });
      if (invert.getRounded())
        solveDiagonal(first, unitRows(first));
      else
        forBlocks(first, end, kBlock, [&](Value firstRow) { solveRows(firstRow, first); });
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
  if (invert.getRounded())
    solveBelow();
  readInverse();
}

static LogicalResult lowerInvert(KernelLowering &kl, InvertOp invert) {
  if (!invert.getScratch())
    return invert.emitOpError("has no shared memory to invert the matrix in");
  InvertLowering(kl, invert).run();
  return success();
}

void attnc::registerInvert(NVVMOpTable &table) { table.add(lowerInvert); }

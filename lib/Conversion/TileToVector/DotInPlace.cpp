// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products of few rows, whose right operand is read where it lies. Packing it (Pack.cpp) pays where
// many rows read the packed copy; the one query that is decoded reads each key and each value once,
// and then packing them is most of the time.
//
//   rhs transposed   a few of its rows at once: sums over the depth stay in lanes, and are folded
//                    into one vector of results at the end
//   rhs straight     row after row: sum[i] += lhs[i][k] * rhs[k], a few vectors of columns at once
//
// All arithmetic is in f32, whatever the operands are.
#include "Dot.h"
#include "Memory.h"
#include "RowBound.h"

using namespace mlir;
using namespace attnc;

/// Rows of a transposed right operand that are read at once: as many streams of memory.
static constexpr int64_t kStreams = 4;

bool attnc::canReadInPlace(KernelEmitter &ke, tile::DotOp dot) {
  auto load = dot.getRhs().getDefiningOp<tile::LoadOp>();
  if (!load || !ke.tiles.isOnlyPacked(load))
    return false;
  return !dot.getTransposeRhs() || isZeroFill(dot.getAcc());
}

/// The sum of the lanes of each of `sums`, as one vector. Neighbours are added first, in vectors of
/// two sums each, then of four.
static Value foldLanes(Emitter &e, SmallVector<Value> sums) {
  auto addNeighbours = [&](Value x, Value y, int64_t count) {
    SmallVector<int32_t> even, odd;
    for (int64_t i = 0; i < count; ++i) {
      even.push_back(static_cast<int32_t>(2 * i));
      odd.push_back(static_cast<int32_t>(2 * i + 1));
    }
    return e.fadd(e.shuffle(x, y, even), e.shuffle(x, y, odd));
  };
  size_t count = sums.size();
  for (; sums.size() > 1; sums.truncate(sums.size() / 2))
    for (size_t i = 0; i < sums.size() / 2; ++i)
      sums[i] = addNeighbours(sums[2 * i], sums[2 * i + 1], e.lanes);
  for (int64_t lanes = e.lanes; lanes > static_cast<int64_t>(count); lanes /= 2)
    sums[0] = addNeighbours(sums[0], sums[0], lanes / 2);
  return sums[0];
}

namespace {
class InPlace {
public:
  InPlace(KernelEmitter &ke, tile::DotOp dot)
      : ke(ke), e(ke.e), dot(dot), load(dot.getRhs().getDefiningOp<tile::LoadOp>()),
        element(load.getView().getType().getElementType()), lhs(ke.tiles.bufferOf(dot.getLhs())),
        result(ke.tiles.bufferOf(dot.getResult())),
        valid(validRows(ke, load.getRow(), load.getLimit(), load.getResult().getType().getRows())),
        validCols(static_cast<int64_t>(load.getValidCols())) {}

  LogicalResult transposed();
  LogicalResult straight();

private:
  /// Rows of the left operand that are multiplied at once; what is left goes one by one. With those
  /// of kStreams they are sums: 16 of 32 registers, or 8 of 16.
  int64_t rowsAtOnce() const { return e.target.hasAVX512() ? 4 : 2; }
  /// Calls `body` with the first row and the number of rows of each block of rows that matter.
  void forEachRows(llvm::function_ref<void(Value, int64_t)> body);
  void dotRows(Value row, int64_t rows, ArrayRef<Value> pointers, Value col);
  bool addRows(Value row, int64_t rows, int64_t firstVector, int64_t vectors);
  /// The vector of the right operand's row at `pointer` from column `col` on, of which `count` are
  /// there.
  Value right(Value pointer, Value col, int64_t count) {
    return loadTensor(ke, e.offset(pointer, e.mulc(col, byteSize(element))), element, e.f32, count);
  }
  Value left(Value row, Value col) {
    return e.toF32(e.load(e.vec(lhs.storage), ke.tiles.address(lhs, row, col),
                          ke.tiles.vectorAlign(lhs.storage)));
  }

  KernelEmitter &ke;
  Emitter &e;
  tile::DotOp dot;
  tile::LoadOp load;
  Type element;
  Buffer lhs, result;
  Value valid; ///< rows of the right operand that are there
  int64_t validCols;
};
} // namespace

void InPlace::forEachRows(llvm::function_ref<void(Value, int64_t)> body) {
  Value rows = rowsOf(ke, dot.getResult());
  int64_t atOnce = rowsAtOnce();
  Value whole = arith::AndIOp::create(e.b, e.loc, rows, e.constI64(-atOnce));
  e.forLoop(e.constI64(0), whole, atOnce, [&](Value row) { body(row, atOnce); });
  e.forLoop(whole, rows, 1, [&](Value row) { body(row, 1); });
}

/// Results of `rows` rows from `row` and `kStreams` columns from `col`.
void InPlace::dotRows(Value row, int64_t rows, ArrayRef<Value> pointers, Value col) {
  SmallVector<Value> sums(rows * kStreams, e.zero(e.vf32));
  auto step = [&](Value depth, ValueRange carried, int64_t count) {
    SmallVector<Value> next(carried), keys;
    for (Value pointer : pointers)
      keys.push_back(right(pointer, depth, count));
    for (int64_t i = 0; i < rows; ++i) {
      Value x = left(e.addc(row, i), depth);
      if (count < e.lanes) // what lies behind the last column may be anything
        x = e.select(e.prefixMask(count), x, e.zero(e.vf32));
      for (int64_t j = 0; j < kStreams; ++j)
        next[i * kStreams + j] = e.fma(x, keys[j], next[i * kStreams + j]);
    }
    return next;
  };
  int64_t whole = validCols / e.lanes * e.lanes;
  sums = e.forLoop(e.constI64(0), e.constI64(whole), e.lanes, sums,
                   [&](Value depth, ValueRange carried) { return step(depth, carried, e.lanes); });
  if (whole < validCols)
    sums = step(e.constI64(whole), sums, validCols - whole);
  SmallVector<int64_t> offsets;
  for (int64_t j = 0; j < kStreams; ++j)
    offsets.push_back(j);
  for (int64_t i = 0; i < rows; ++i) {
    Value folded = foldLanes(e, SmallVector<Value>(ArrayRef(sums).slice(i * kStreams, kStreams)));
    // Columns whose row is missing are 0, as a tile that is loaded has them.
    Value columns =
        arith::AddIOp::create(e.b, e.loc, e.splatTo(col, kStreams), e.constVec(e.i64, offsets));
    Value there = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, columns,
                                        e.splatTo(valid, kStreams));
    folded = e.select(there, folded, e.zero(folded.getType()));
    e.store(folded, ke.tiles.address(result, e.addc(row, i), col), kStreams * 4);
  }
}

LogicalResult InPlace::transposed() {
  // Rows that are missing are not read: the last one that is there stands for them.
  Value last = e.addc(valid, -1), cols = e.constI64(result.pitch);
  Value end = arith::AndIOp::create(e.b, e.loc, e.addc(valid, kStreams - 1), e.constI64(-kStreams));
  e.forLoop(e.constI64(0), end, kStreams, [&](Value col) {
    SmallVector<Value> pointers;
    for (int64_t j = 0; j < kStreams; ++j)
      pointers.push_back(rowAddress(ke, load, e.min(e.addc(col, j), last)));
    forEachRows([&](Value row, int64_t rows) { dotRows(row, rows, pointers, col); });
  });
  Type part = VectorType::get({kStreams}, e.f32);
  e.forLoop(end, cols, kStreams, [&](Value col) {
    e.forLoop(e.constI64(0), rowsOf(ke, dot.getResult()), 1, [&](Value row) {
      e.store(e.zero(part), ke.tiles.address(result, row, col), kStreams * 4);
    });
  });
  return success();
}

/// Columns of `vectors` vectors from the `firstVector`th. Fails after an error.
bool InPlace::addRows(Value row, int64_t rows, int64_t firstVector, int64_t vectors) {
  SmallVector<Value> init(rows * vectors, e.zero(e.vf32));
  SmallVector<Value> sums =
      e.forLoop(e.constI64(0), valid, 1, init, [&](Value k, ValueRange carried) {
        SmallVector<Value> next(carried), values;
        Value pointer = rowAddress(ke, load, k);
        for (int64_t j = 0; j < vectors; ++j) {
          int64_t col = (firstVector + j) * e.lanes;
          values.push_back(right(pointer, e.constI64(col), validCols - col));
        }
        for (int64_t i = 0; i < rows; ++i) {
          Value x =
              e.load(lhs.storage, ke.tiles.address(lhs, e.addc(row, i), k), byteSize(lhs.storage));
          x = e.splat(e.toF32(x));
          for (int64_t j = 0; j < vectors; ++j)
            next[i * vectors + j] = e.fma(x, values[j], next[i * vectors + j]);
        }
        return next;
      });
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < vectors; ++j) {
      Value atRow = e.addc(row, i), atCol = e.constI64((firstVector + j) * e.lanes);
      Value start = accumulator(ke, dot, atRow, atCol);
      if (!start)
        return false;
      e.store(e.fadd(start, sums[i * vectors + j]), ke.tiles.address(result, atRow, atCol),
              ke.tiles.vectorAlign(result.storage));
    }
  return true;
}

LogicalResult InPlace::straight() {
  bool ok = true;
  int64_t vectors = llvm::divideCeil(dot.getResult().getType().getCols(), e.lanes);
  forEachRows([&](Value row, int64_t rows) {
    int64_t atOnce = rows == 1 ? 8 : 4;
    for (int64_t first = 0; first < vectors; first += atOnce)
      ok &= addRows(row, rows, first, std::min(atOnce, vectors - first));
  });
  return success(ok);
}

LogicalResult attnc::emitDotInPlace(KernelEmitter &ke, tile::DotOp dot) {
  InPlace product(ke, dot);
  return dot.getTransposeRhs() ? product.transposed() : product.straight();
}

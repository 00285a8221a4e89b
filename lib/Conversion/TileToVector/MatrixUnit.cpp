// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A panel of the packed right operand is what the unit takes as its right tile: rows of pairs of
// consecutive depth. Blocks of up to four tiles of sums stay in registers over the whole depth:
//
//   for k: for each 16 rows i, each 16 columns j: sums[i, j] += left[i, k] * right[k, j]
//
// The shapes of registers hold for a whole kernel, so that a depth that is an odd multiple of 16
// has registers of its own for its last half of a tile:
//
//   0 to 3: sums   4: left   5: half of left   6: right   7: half of right
//
// One register for each side is enough: the unit waits for none of the loads (measured, beside
// two: bench/results/2026-12-01-host-amx.md). Intel's "Architecture Instruction Set Extensions
// Programming Reference" has the instructions.
#include "MatrixUnit.h"
#include "RowBound.h"
#include <array>
#include <optional>

using namespace mlir;
using namespace attnc;

namespace {
constexpr int64_t kTile = 16;     ///< rows of a tile, words in its rows
constexpr int64_t kWordBytes = 4; ///< an f32, or a pair of bf16
constexpr int64_t kTileBytes = kTile * kWordBytes;
constexpr int64_t kMaxSums = 4;
/// Steps over the depth that are straight-line code.
constexpr int64_t kMaxUnrolled = 8;

enum Register : int64_t { Left = 4, LeftHalf = 5, Right = 6, RightHalf = 7, NumRegisters = 8 };

/// The unit's instructions.
class MatrixUnit {
public:
  explicit MatrixUnit(KernelEmitter &ke) : e(ke.e) {}

  void configure(Value memory);
  void release() { call("llvm.x86.tilerelease", {}); }
  void zero(int64_t reg) { call("llvm.x86.tilezero", {number(reg)}); }
  void load(int64_t reg, Value from, int64_t pitchBytes) {
    call("llvm.x86.tileloadd64", {number(reg), from, e.constI64(pitchBytes)});
  }
  void store(int64_t reg, Value to, int64_t pitchBytes) {
    call("llvm.x86.tilestored64", {number(reg), to, e.constI64(pitchBytes)});
  }
  void multiplyAdd(int64_t sums, int64_t left, int64_t right) {
    call("llvm.x86.tdpbf16ps", {number(sums), number(left), number(right)});
  }

private:
  Value number(int64_t reg) { return e.constInt(e.i8, reg); }
  void call(llvm::StringRef intrinsic, ValueRange operands) {
    LLVM::CallIntrinsicOp::create(e.b, e.loc, e.b.getStringAttr(intrinsic), operands);
  }

  Emitter &e;
};
} // namespace

/// The unit reads shapes from 64 bytes: a palette, 15 bytes of 0, the bytes of a row of each of up
/// to 16 registers in 16 bits, and their rows in a byte each.
void MatrixUnit::configure(Value memory) {
  std::array<uint8_t, 64> shapes{1};
  for (int64_t reg = 0; reg < NumRegisters; ++reg) {
    shapes[16 + 2 * reg] = reg == LeftHalf ? kTileBytes / 2 : kTileBytes;
    shapes[48 + reg] = reg == RightHalf ? kTile / 2 : kTile;
  }
  e.store(e.constVec(e.i8, SmallVector<int64_t>(shapes.begin(), shapes.end())), memory, 64);
  call("llvm.x86.ldtilecfg", {memory});
}

/// Whether `acc` is a number that all elements are, and no tile in memory.
static bool isFill(Value acc) {
  while (auto cast = acc.getDefiningOp<tile::CastOp>())
    acc = cast.getInput();
  return acc.getDefiningOp<tile::FillOp>() != nullptr;
}

bool attnc::usesMatrixUnit(const HostTarget &target, tile::DotOp dot) {
  tile::TileType lhs = dot.getLhs().getType(), rhs = dot.getRhs().getType();
  return target.hasMatrixUnit() && !dot.getMask() && lhs.getElementType().isBF16() &&
         rhs.getElementType().isBF16() && lhs.getRows() % kTile == 0 &&
         lhs.getCols() % kTile == 0 && (isZeroFill(dot.getAcc()) || !isFill(dot.getAcc()));
}

static bool hasMatrixUnitDots(KernelEmitter &ke) {
  return ke.kernel
      .walk([&](tile::DotOp dot) {
        return usesMatrixUnit(ke.e.target, dot) ? WalkResult::interrupt() : WalkResult::advance();
      })
      .wasInterrupted();
}

void attnc::emitMatrixUnitStart(KernelEmitter &ke) {
  if (hasMatrixUnitDots(ke))
    MatrixUnit(ke).configure(ke.e.offset(ke.tiles.scratch, ke.tiles.reserve(64)));
}

void attnc::emitMatrixUnitEnd(KernelEmitter &ke) {
  if (hasMatrixUnitDots(ke))
    MatrixUnit(ke).release();
}

namespace {
/// A product, block of sums by block of sums.
class MatrixUnitDot {
public:
  MatrixUnitDot(KernelEmitter &ke, tile::DotOp dot, const PackedOperand &packed)
      : ke(ke), e(ke.e), unit(ke), dot(dot), packed(packed), lhs(ke.tiles.bufferOf(dot.getLhs())),
        result(ke.tiles.bufferOf(dot.getResult())) {
    if (!isZeroFill(dot.getAcc()))
      start = ke.tiles.bufferOf(dot.getAcc());
  }

  void emit();

private:
  void emitRows(Value row, int64_t rowTiles, const PanelRun &run, Value panel, Value col);
  void emitStep(Value left, Value right, int64_t rowTiles, int64_t vectors, bool half);

  KernelEmitter &ke;
  Emitter &e;
  MatrixUnit unit;
  tile::DotOp dot;
  const PackedOperand &packed;
  Buffer lhs, result;
  std::optional<Buffer> start; ///< of the sums, where they do not start at 0
};
} // namespace

/// Sums of `rowTiles` by `vectors` tiles grow by a step over the depth. Every other row of tiles
/// goes backwards: it starts with the right tile that the one before ended with.
void MatrixUnitDot::emitStep(Value left, Value right, int64_t rowTiles, int64_t vectors,
                             bool half) {
  int64_t leftReg = half ? LeftHalf : Left, rightReg = half ? RightHalf : Right, loaded = -1;
  for (int64_t i = 0; i < rowTiles; ++i) {
    unit.load(leftReg, e.offset(left, i * kTile * lhs.rowBytes()), lhs.rowBytes());
    for (int64_t step = 0; step < vectors; ++step) {
      int64_t j = i % 2 ? vectors - 1 - step : step;
      if (j != loaded)
        unit.load(rightReg, e.offset(right, j * kTileBytes), vectors * kTileBytes);
      loaded = j;
      unit.multiplyAdd(i * vectors + j, leftReg, rightReg);
    }
  }
}

void MatrixUnitDot::emitRows(Value row, int64_t rowTiles, const PanelRun &run, Value panel,
                             Value col) {
  int64_t vectors = run.vectors;
  auto forEachSum = [&](const Buffer &buffer, llvm::function_ref<void(int64_t, Value)> body) {
    Value first = ke.tiles.address(buffer, row, col);
    for (int64_t i = 0; i < rowTiles; ++i)
      for (int64_t j = 0; j < vectors; ++j)
        body(i * vectors + j, e.offset(first, i * kTile * buffer.rowBytes() + j * kTileBytes));
  };
  if (start)
    forEachSum(*start, [&](int64_t reg, Value from) { unit.load(reg, from, start->rowBytes()); });
  else
    for (int64_t reg = 0; reg < rowTiles * vectors; ++reg)
      unit.zero(reg);
  Value left = ke.tiles.address(lhs, row, e.constI64(0));
  auto stepAt = [&](Value word, bool half) {
    emitStep(e.offset(left, e.mulc(word, kWordBytes)),
             e.offset(panel, e.mulc(word, vectors * kTileBytes)), rowTiles, vectors, half);
  };
  int64_t whole = packed.depth / kTile * kTile;
  if (whole <= kMaxUnrolled * kTile)
    for (int64_t word = 0; word < whole; word += kTile)
      stepAt(e.constI64(word), /*half=*/false);
  else
    e.forLoop(e.constI64(0), e.constI64(whole), kTile,
              [&](Value word) { stepAt(word, /*half=*/false); });
  if (whole < packed.depth)
    stepAt(e.constI64(whole), /*half=*/true);

  forEachSum(result, [&](int64_t reg, Value to) { unit.store(reg, to, result.rowBytes()); });
}

void MatrixUnitDot::emit() {
  tile::TileType type = dot.getResult().getType();
  for (const PanelRun &run : panelRuns(ke, type.getCols())) {
    int64_t rowTiles = std::max<int64_t>(kMaxSums / run.vectors, 1), step = rowTiles * kTile;
    e.forRange(0, run.count, 1, [&](Value index) {
      Value col = e.addc(e.mulc(index, run.vectors * e.lanes), run.first);
      Value panel = e.offset(e.offset(ke.tiles.scratch, packed.offset),
                             e.mulc(col, packed.depth * kWordBytes));
      int64_t whole = type.getRows() / step * step;
      // Whole blocks: the last one may go beyond the rows that matter.
      e.forLoop(e.constI64(0), e.min(rowsOf(ke, dot.getResult()), e.constI64(whole)), step,
                [&](Value row) { emitRows(row, rowTiles, run, panel, col); });
      if (whole < type.getRows())
        emitRows(e.constI64(whole), (type.getRows() - whole) / kTile, run, panel, col);
    });
  }
}

void attnc::emitMatrixUnitDot(KernelEmitter &ke, tile::DotOp dot, const PackedOperand &packed) {
  MatrixUnitDot(ke, dot, packed).emit();
}

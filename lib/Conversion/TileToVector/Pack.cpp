// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Packs the right operand of a product into panels of a few vectors of columns:
//
//   panel 0: word row 0 (columns 0..31), word row 1, ...   panel 1: word row 0 (columns 32..63),
//   ...
//
// so that the product reads it from front to back. A word is an f32, or a pair of bf16 of
// consecutive depth, which is what `vdpbf16ps` multiplies. A transposed operand (K, whose rows are
// the columns of the product) is packed by transposing square blocks of words in registers.
#include "Pack.h"
#include "Memory.h"

using namespace mlir;
using namespace attnc;

SmallVector<PanelRun> attnc::panelRuns(KernelEmitter &ke, int64_t cols) {
  Emitter &e = ke.e;
  int64_t vectors = llvm::divideCeil(cols, e.lanes);
  // Two vectors by eight rows use 16 of 32 registers for sums; three by eight use 24.
  int64_t width = e.target.hasAVX512() && vectors % 2 && vectors % 3 == 0 ? 3 : 2;
  SmallVector<PanelRun> runs;
  if (vectors >= width)
    runs.push_back({0, width, vectors / width});
  if (vectors % width)
    runs.push_back({vectors / width * width * e.lanes, vectors % width, 1});
  return runs;
}

/// Transposes `lanes` vectors of `lanes` words in log2(lanes) rounds: round s exchanges, between
/// rows i and i + s, the off-diagonal s-by-s blocks.
static void transpose(Emitter &e, SmallVectorImpl<Value> &rows) {
  int64_t n = rows.size();
  for (int64_t s = 1; s < n; s *= 2) {
    SmallVector<int32_t> low, high;
    for (int64_t lane = 0; lane < n; ++lane) {
      low.push_back(lane & s ? lane - s + n : lane);
      high.push_back(lane & s ? lane + n : lane + s);
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i & s)
        continue;
      Value x = rows[i], y = rows[i + s];
      rows[i] = e.shuffle(x, y, low);
      rows[i + s] = e.shuffle(x, y, high);
    }
  }
}

/// Packs `lanes` rows at `source` as vector `vector` of the panel's columns.
static void transposeBlock(KernelEmitter &ke, Value source, Value pitchBytes, Value panel,
                           int64_t panelVectors, Value vector, const PackedOperand &packed) {
  Emitter &e = ke.e;
  int64_t vectorBytes = e.lanes * 4, rowBytes = panelVectors * vectorBytes;
  Value target = e.offset(panel, e.mulc(vector, vectorBytes));
  auto block = [&](Value word, int64_t count) {
    SmallVector<Value> rows;
    Value pointer = e.offset(source, e.mulc(word, 4));
    for (int64_t i = 0; i < e.lanes; ++i) {
      rows.push_back(e.load(e.vf32, pointer, 2));
      pointer = e.offset(pointer, pitchBytes);
    }
    transpose(e, rows);
    Value out = e.offset(target, e.mulc(word, rowBytes));
    for (int64_t i = 0; i < count; ++i)
      e.store(rows[i], e.offset(out, i * rowBytes), vectorBytes);
  };
  int64_t whole = packed.depth / e.lanes * e.lanes;
  e.forRange(0, whole, e.lanes, [&](Value word) { block(word, e.lanes); });
  if (whole < packed.depth)
    block(e.constI64(whole), packed.depth - whole);
}

static void packTransposed(KernelEmitter &ke, tile::DotOp dot, tile::LoadOp load,
                           const PackedOperand &packed) {
  Emitter &e = ke.e;
  tile::TileType type = dot.getRhs().getType();
  Type storage = ke.tiles.storageOf(type.getElementType());
  int64_t rows = type.getRows(), wordElements = packed.pairs ? 2 : 1, size = byteSize(storage);
  // Rows are transposed where they lie if whole words of the right type can be read there;
  // otherwise, and where rows are missing, by way of `staging`.
  int64_t pitch = llvm::alignTo(type.getCols(), e.lanes * wordElements);
  int64_t staging = ke.tiles.reserve(e.lanes * pitch * size);
  bool direct = load ? storage == load.getView().getType().getElementType() &&
                           static_cast<int64_t>(load.getValidCols()) == pitch
                     : ke.tiles.bufferOf(dot.getRhs()).pitch == pitch;
  Value valid = load ? validRows(ke, load.getRow(), load.getLimit(), rows) : e.constI64(rows);
  Value stage = e.offset(ke.tiles.scratch, staging);
  Value stagePitch = e.constI64(pitch * size);

  auto copyToStage = [&](Value first) {
    Value end = e.addc(first, e.lanes);
    if (load)
      return copyRows(ke, load, first, end, valid, stage, pitch, storage);
    const Buffer &buffer = ke.tiles.bufferOf(dot.getRhs());
    Value last = e.min(end, valid);
    e.forLoop(first, end, 1, [&](Value row) {
      Value out = e.offset(stage, e.mulc(e.sub(row, first), pitch * size));
      Value inside = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, row, last);
      Value source = ke.tiles.address(buffer, e.min(row, e.addc(valid, -1)), e.constI64(0));
      for (int64_t col = 0; col < pitch; col += e.lanes) {
        Value value = e.zero(e.vec(storage));
        if (col < buffer.pitch)
          value = e.select(
              inside,
              e.load(e.vec(storage), e.offset(source, col * size), ke.tiles.vectorAlign(storage)),
              value);
        e.store(value, e.offset(out, col * size), ke.tiles.vectorAlign(storage));
      }
    });
  };
  for (const PanelRun &run : panelRuns(ke, rows)) {
    int64_t panelCols = run.vectors * e.lanes;
    e.forRange(0, run.count, 1, [&](Value index) {
      Value firstCol = e.addc(e.mulc(index, panelCols), run.first);
      Value panel =
          e.offset(e.offset(ke.tiles.scratch, packed.offset), e.mulc(firstCol, packed.depth * 4));
      e.forRange(0, run.vectors, 1, [&](Value vector) {
        Value first = e.add(firstCol, e.mulc(vector, e.lanes));
        if (!direct) {
          copyToStage(first);
          return transposeBlock(ke, stage, stagePitch, panel, run.vectors, vector, packed);
        }
        Value missing = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt,
                                              e.addc(first, e.lanes), valid);
        auto branch = scf::IfOp::create(e.b, e.loc, missing, /*withElseRegion=*/false);
        {
          OpBuilder::InsertionGuard guard(e.b);
          e.b.setInsertionPointToStart(branch.thenBlock());
          copyToStage(first);
        }
        Value source, sourcePitch;
        if (load) {
          source = rowAddress(ke, load, first);
          sourcePitch =
              e.mulc(ke.views.find(load.getView())->second.strides[load.getRowDim()], size);
        } else {
          source = ke.tiles.address(ke.tiles.bufferOf(dot.getRhs()), first, e.constI64(0));
          sourcePitch = e.constI64(ke.tiles.bufferOf(dot.getRhs()).rowBytes());
        }
        transposeBlock(ke, e.select(missing, stage, source),
                       e.select(missing, stagePitch, sourcePitch), panel, run.vectors, vector,
                       packed);
      });
    });
  }
}

static void packStraight(KernelEmitter &ke, tile::DotOp dot, tile::LoadOp load,
                         const PackedOperand &packed) {
  Emitter &e = ke.e;
  tile::TileType type = dot.getRhs().getType();
  Type element = type.getElementType(), storage = ke.tiles.storageOf(element);
  int64_t cols = type.getCols(), perWord = packed.pairs ? 2 : 1;
  Value valid = load ? validRows(ke, load.getRow(), load.getLimit(), type.getRows())
                     : e.constI64(type.getRows());
  auto rowPointer = [&](Value row) {
    return load ? rowAddress(ke, load, row)
                : ke.tiles.address(ke.tiles.bufferOf(dot.getRhs()), row, e.constI64(0));
  };
  auto read = [&](Value pointer, int64_t col) -> Value {
    if (load)
      return loadTensor(ke, e.offset(pointer, col * byteSize(element)), element, storage,
                        static_cast<int64_t>(load.getValidCols()) - col);
    return e.load(e.vec(storage), e.offset(pointer, col * byteSize(storage)),
                  ke.tiles.vectorAlign(storage));
  };
  auto widen = [&](Value x) -> Value {
    return arith::ExtUIOp::create(e.b, e.loc, e.vi32, e.bitcast(x, e.vec(e.i16)));
  };
  // Writes word row `k` from up to two tensor rows; null pointers stand for rows of zeros.
  auto writeRow = [&](Value k, Value low, Value high) {
    for (const PanelRun &run : panelRuns(ke, cols))
      for (int64_t p = 0; p < run.count; ++p) {
        int64_t panelCols = run.vectors * e.lanes, firstCol = run.first + p * panelCols;
        Value out = e.offset(ke.tiles.scratch, packed.offset + firstCol * packed.depth * 4);
        out = e.offset(out, e.mulc(k, panelCols * 4));
        for (int64_t v = 0; v < run.vectors; ++v) {
          int64_t col = firstCol + v * e.lanes;
          Value word = low ? read(low, col) : e.zero(packed.pairs ? e.vi32 : e.vf32);
          if (packed.pairs && low)
            word = widen(word);
          if (high)
            word = arith::OrIOp::create(
                e.b, e.loc, word,
                arith::ShLIOp::create(e.b, e.loc, widen(read(high, col)), e.constInt(e.vi32, 16)));
          e.store(word, e.offset(out, v * e.lanes * 4), e.lanes * 4);
        }
      }
  };
  Value whole = valid, started = valid;
  if (packed.pairs) {
    whole = arith::ShRSIOp::create(e.b, e.loc, valid, e.constI64(1));
    started = arith::ShRSIOp::create(e.b, e.loc, e.addc(valid, 1), e.constI64(1));
  }
  e.forLoop(e.constI64(0), whole, 1, [&](Value k) {
    Value row = e.mulc(k, perWord);
    writeRow(k, rowPointer(row), packed.pairs ? rowPointer(e.addc(row, 1)) : Value());
  });
  if (!load)
    return;
  if (packed.pairs)
    e.forLoop(whole, started, 1,
              [&](Value k) { writeRow(k, rowPointer(e.mulc(k, perWord)), Value()); });
  e.forLoop(started, e.constI64(packed.depth), 1, [&](Value k) { writeRow(k, Value(), Value()); });
}

PackedOperand attnc::pack(KernelEmitter &ke, tile::DotOp dot) {
  Emitter &e = ke.e;
  tile::TileType type = dot.getRhs().getType();
  int64_t depth = dot.getTransposeRhs() ? type.getCols() : type.getRows();
  int64_t cols = dot.getTransposeRhs() ? type.getRows() : type.getCols();
  PackedOperand packed;
  packed.pairs = ke.tiles.storageOf(type.getElementType()).isBF16();
  packed.depth = packed.pairs ? depth / 2 : depth;
  packed.offset = ke.tiles.reserve(packed.depth * llvm::alignTo(cols, e.lanes) * 4);
  auto load = dot.getRhs().getDefiningOp<tile::LoadOp>();
  if (load && !ke.tiles.isOnlyPacked(load))
    load = {};
  if (dot.getTransposeRhs())
    packTransposed(ke, dot, load, packed);
  else
    packStraight(ke, dot, load, packed);
  return packed;
}

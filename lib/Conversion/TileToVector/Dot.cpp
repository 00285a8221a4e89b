// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Matrix products. For each panel of the packed right operand and each few rows of the left one,
// sums stay in registers over the whole depth:
//
//   for k: b0, b1 = panel[k]; for each row i: a = broadcast(lhs[row + i][k]); sum[i][j] += a * b[j]
//
// which is one load for every multiply-add at most, and as many independent sums as hide the
// latency. The sums start at 0 and the accumulator is added at the end (read through a deferred
// map, if it has one): the terms of one product form a chain of their own, so that errors do not
// grow with the number of products.
#include "Dot.h"
#include "MatrixUnit.h"
#include "Pack.h"
#include "RowBound.h"
#include "RowElements.h"

using namespace mlir;
using namespace attnc;

/// Rows of the register tile for panels of `vectors` vectors and `chains` sums for each element.
static int64_t registerRows(const HostTarget &target, int64_t vectors, int64_t chains) {
  int64_t rows = target.hasAVX512() ? (vectors == 1 ? 16 : 8) : (vectors == 1 ? 8 : 4);
  return rows / chains;
}

/// Scores in f32 are summed in two chains, of even and of odd depth: an exponential turns the
/// absolute error of a score into a relative one, and two chains have 0.7 times the error of one.
static int64_t numChains(tile::DotOp dot, const PackedOperand &packed) {
  return dot.getTransposeRhs() && !packed.pairs && packed.depth % 4 == 0 ? 2 : 1;
}

bool attnc::isZeroFill(Value acc) {
  auto fill = acc.getDefiningOp<tile::FillOp>();
  return fill && matchPattern(fill.getValue(), m_AnyZeroFloat());
}

Value attnc::accumulator(KernelEmitter &ke, tile::DotOp dot, Value row, Value col) {
  Emitter &e = ke.e;
  auto map = dot.getAcc().getDefiningOp<tile::MapOp>();
  if (!map || ke.tiles.deferredTo(map) != dot)
    return e.asVector(readVector(ke, dot.getAcc(), row, col));
  SmallVector<Value> operands;
  for (Value input : map.getInputs())
    operands.push_back(readVector(ke, input, row, col));
  Value value = mapVector(ke, map, operands, row, col);
  return value ? e.asVector(value) : value;
}

Buffer attnc::productBuffer(KernelEmitter &ke, tile::DotOp dot) {
  auto map = dot.getAcc().getDefiningOp<tile::MapOp>();
  SmallVector<Value> candidates{dot.getAcc()};
  if (map && ke.tiles.deferredTo(map) == dot)
    candidates.assign(map.getInputs().begin(), map.getInputs().end());
  return ke.tiles.resultBuffer(dot.getResult(), dot, candidates);
}

static LogicalResult emitMicroKernel(KernelEmitter &ke, tile::DotOp dot,
                                     const PackedOperand &packed, Value panel, Value row, Value col,
                                     int64_t rows, int64_t vectors) {
  Emitter &e = ke.e;
  auto turned = dot.getLhs().getDefiningOp<tile::TransposeOp>();
  if (turned && !ke.tiles.isOnlyMultiplied(turned))
    turned = {};
  const Buffer lhs = ke.tiles.bufferOf(turned ? turned.getInput() : dot.getLhs());
  const Buffer result = ke.tiles.bufferOf(dot.getResult());
  // Bytes from an element of the left operand to the next row of it, and to the next depth.
  int64_t nextRow = turned ? 4 : lhs.rowBytes(), nextDepth = turned ? lhs.rowBytes() : 4;
  int64_t vectorBytes = e.lanes * 4, panelRow = vectors * vectorBytes;
  // Sums of chain c follow those of chain c - 1.
  int64_t chains = numChains(dot, packed), elements = rows * vectors;
  SmallVector<Value> init(chains * elements, e.zero(e.vf32));

  Value zero = e.constI64(0);
  Value left = turned ? ke.tiles.address(lhs, zero, row) : ke.tiles.address(lhs, row, zero);
  Type word = packed.pairs ? e.i32 : e.f32;
  auto multiplyAdd = [&](Value sum, Value a, Value b) -> Value {
    if (!packed.pairs)
      return e.fma(a, b, sum);
    Type pairs = VectorType::get({2 * e.lanes}, e.b.getBF16Type());
    return LLVM::CallIntrinsicOp::create(e.b, e.loc, e.vf32,
                                         e.b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                                         ValueRange{sum, e.bitcast(a, pairs), e.bitcast(b, pairs)})
        .getResult(0);
  };
  int64_t unroll = packed.depth % 4 == 0 ? 4 : packed.depth % 2 == 0 ? 2 : 1;
  SmallVector<Value> sums = e.forLoop(
      e.constI64(0), e.constI64(packed.depth), unroll, init, [&](Value k, ValueRange carried) {
        SmallVector<Value> next(carried);
        Value rightK = e.offset(panel, e.mulc(k, panelRow)),
              leftK = e.offset(left, e.mulc(k, nextDepth));
        for (int64_t u = 0; u < unroll; ++u) {
          SmallVector<Value> b;
          for (int64_t j = 0; j < vectors; ++j)
            b.push_back(e.load(packed.pairs ? e.vi32 : e.vf32,
                               e.offset(rightK, u * panelRow + j * vectorBytes), vectorBytes));
          for (int64_t i = 0; i < rows; ++i) {
            Value a = e.splat(e.load(word, e.offset(leftK, i * nextRow + u * nextDepth), 4));
            for (int64_t j = 0; j < vectors; ++j) {
              Value &sum = next[u % chains * elements + i * vectors + j];
              sum = multiplyAdd(sum, a, b[j]);
            }
          }
        }
        return next;
      });
  for (int64_t c = 1; c < chains; ++c)
    for (int64_t i = 0; i < elements; ++i)
      sums[i] = e.fadd(sums[i], sums[c * elements + i]);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < vectors; ++j) {
      Value atRow = e.addc(row, i), atCol = e.addc(col, j * e.lanes), sum = sums[i * vectors + j];
      if (!isZeroFill(dot.getAcc())) {
        Value start = accumulator(ke, dot, atRow, atCol);
        if (!start)
          return failure();
        sum = e.fadd(start, sum);
      }
      e.store(sum, ke.tiles.address(result, atRow, atCol), vectorBytes);
    }
  return success();
}

/// A product whose right operand is packed first.
static LogicalResult emitPackedDot(KernelEmitter &ke, tile::DotOp dot) {
  Emitter &e = ke.e;
  tile::TileType type = dot.getResult().getType();
  PackedOperand packed = pack(ke, dot);
  if (usesMatrixUnit(e.target, dot)) {
    emitMatrixUnitDot(ke, dot, packed);
    return success();
  }
  bool ok = true;
  for (const PanelRun &run : panelRuns(ke, type.getCols())) {
    int64_t step = registerRows(e.target, run.vectors, numChains(dot, packed));
    e.forRange(0, run.count, 1, [&](Value index) {
      Value col = e.addc(e.mulc(index, run.vectors * e.lanes), run.first);
      Value panel =
          e.offset(e.offset(ke.tiles.scratch, packed.offset), e.mulc(col, packed.depth * 4));
      auto kernelAt = [&](Value row, int64_t rows) {
        ok &= succeeded(emitMicroKernel(ke, dot, packed, panel, row, col, rows, run.vectors));
      };
      int64_t whole = type.getRows() / step * step;
      // Whole register tiles: the last one may go beyond the rows that matter.
      e.forLoop(e.constI64(0), e.min(rowsOf(ke, dot.getResult()), e.constI64(whole)), step,
                [&](Value row) { kernelAt(row, step); });
      if (whole < type.getRows())
        kernelAt(e.constI64(whole), type.getRows() - whole);
    });
  }
  return success(ok);
}

static LogicalResult emitDot(KernelEmitter &ke, tile::DotOp dot) {
  tile::TileType lhs = dot.getLhs().getType();
  if (ke.tiles.storageOf(lhs.getElementType()).isBF16() && lhs.getCols() % 2)
    return dot.emitOpError("expects an even depth for bf16 on the host, found ") << lhs.getCols();
  if (!isa<FloatType>(lhs.getElementType()))
    return dot.emitOpError("expects operands of f32, f16 or bf16 on the host, found ") << lhs;
  if (ke.tiles.fillOf(dot.getLhs()) || ke.tiles.fillOf(dot.getRhs()))
    return dot.emitOpError("expects operands that are not constant");

  if (dot.getMask())
    return emitMaskedDot(ke, dot);
  ke.tiles.buffers[dot.getResult()] = productBuffer(ke, dot);
  if (dot.getResult().getType().getRows() <= kFewRows && canReadInPlace(ke, dot))
    return emitDotInPlace(ke, dot);
  return emitPackedDot(ke, dot);
}

void attnc::registerDot(HostOpTable &table) { table.add(emitDot); }

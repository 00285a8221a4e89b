// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products that leave terms out: `tile.dot ... where %mask`. Rows of the right operand are read
// where they lie, a few vectors of columns at a time, and a term is selected before it counts: 0 *
// NaN never enters a sum.
#include "Dot.h"
#include "RowBound.h"

using namespace mlir;
using namespace attnc;

LogicalResult attnc::emitMaskedDot(KernelEmitter &ke, tile::DotOp dot) {
  Emitter &e = ke.e;
  if (ke.tiles.fillOf(dot.getLhs()) || ke.tiles.fillOf(dot.getRhs()) ||
      ke.tiles.fillOf(dot.getMask()))
    return dot.emitOpError("expects operands that are not constant");
  tile::TileType type = dot.getResult().getType();
  ke.tiles.buffers[dot.getResult()] = productBuffer(ke, dot);
  const Buffer lhs = ke.tiles.bufferOf(dot.getLhs()), mask = ke.tiles.bufferOf(dot.getMask());
  const Buffer rhs = ke.tiles.bufferOf(dot.getRhs()), result = ke.tiles.bufferOf(dot.getResult());
  auto element = [&](const Buffer &buffer, Value row, Value col) {
    return e.load(buffer.storage, ke.tiles.address(buffer, row, col), byteSize(buffer.storage));
  };

  bool ok = true;
  int64_t vectors = llvm::divideCeil(type.getCols(), e.lanes);
  int64_t atOnce = vectors % 4 == 0 ? 4 : vectors % 3 == 0 ? 3 : vectors % 2 == 0 ? 2 : 1;
  e.forLoop(e.constI64(0), rowsOf(ke, dot.getResult()), 1, [&](Value row) {
    e.forRange(0, vectors, atOnce, [&](Value first) {
      SmallVector<Value> cols;
      for (int64_t j = 0; j < atOnce; ++j)
        cols.push_back(e.mulc(e.addc(first, j), e.lanes));
      SmallVector<Value> sums =
          e.forLoop(e.constI64(0), e.constI64(lhs.cols), 1,
                    SmallVector<Value>(atOnce, e.zero(e.vf32)), [&](Value k, ValueRange carried) {
                      Value seen = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne,
                                                         element(mask, row, k), e.constI32(0));
                      Value weight = e.splat(e.toF32(element(lhs, row, k)));
                      SmallVector<Value> next;
                      for (auto [col, sum] : llvm::zip(cols, carried)) {
                        Value x = e.toF32(e.load(e.vec(rhs.storage), ke.tiles.address(rhs, k, col),
                                                 ke.tiles.vectorAlign(rhs.storage)));
                        next.push_back(e.select(seen, e.fma(weight, x, sum), sum));
                      }
                      return next;
                    });
      for (auto [col, sum] : llvm::zip(cols, sums)) {
        Value start = accumulator(ke, dot, row, col);
        ok &= start != nullptr;
        if (ok)
          e.store(e.fadd(start, sum), ke.tiles.address(result, row, col),
                  ke.tiles.vectorAlign(result.storage));
      }
    });
  });
  return success(ok);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inverses of unit lower triangular matrices, by substitution: a row of the inverse is the unit row
// and the rows before it, each times an element of the matrix. A row is several vectors of columns,
// whose sums are independent of each other; those beyond the row's own block are 0.
#include "RowElements.h"

using namespace mlir;
using namespace attnc;

static LogicalResult emitInvert(KernelEmitter &ke, tile::InvertOp invert) {
  Emitter &e = ke.e;
  tile::TileType type = invert.getInput().getType();
  if (ke.tiles.fillOf(invert.getInput()))
    return invert.emitOpError("expects a matrix that is not constant");
  const Buffer matrix = ke.tiles.bufferOf(invert.getInput());
  const Buffer inverse = ke.tiles.newBuffer(type);
  ke.tiles.buffers[invert.getResult()] = inverse;
  int64_t vectors = llvm::divideCeil(type.getCols(), e.lanes), align = e.lanes * 4;
  Value zero = e.zero(e.vf32), one = e.constF32(e.vf32, 1.0f);
  auto at = [&](Value row, int64_t vector) {
    return ke.tiles.address(inverse, row, e.constI64(vector * e.lanes));
  };
  e.forLoop(e.constI64(0), e.constI64(type.getRows()), 1, [&](Value row) {
    Value wanted = LLVM::TruncOp::create(e.b, e.loc, e.i32, row);
    SmallVector<Value> sums;
    for (int64_t v = 0; v < vectors; ++v) {
      Value columns = e.add(e.iota(), e.splat(e.constI32(v * e.lanes)));
      Value isDiagonal =
          arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, columns, e.splat(wanted));
      sums.push_back(e.select(isDiagonal, one, zero));
    }
    sums = e.forLoop(e.constI64(0), row, 1, sums, [&](Value before, ValueRange carried) {
      Value factor = e.splat(e.load(e.f32, ke.tiles.address(matrix, row, before), 4));
      SmallVector<Value> next;
      for (int64_t v = 0; v < vectors; ++v)
        next.push_back(e.fma(factor, e.load(e.vf32, at(before, v), align), carried[v]));
      return next;
    });
    for (int64_t v = 0; v < vectors; ++v)
      e.store(sums[v], at(row, v), align);
  });
  return success();
}

void attnc::registerInvert(HostOpTable &table) { table.add(emitInvert); }

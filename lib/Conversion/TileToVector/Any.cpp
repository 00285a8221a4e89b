// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `tile.any`: a vector of the elements seen so far, tested once at the end. Rows that nobody stores
// were not computed and do not count.
#include "RowBound.h"
#include "RowGroup.h"

using namespace mlir;
using namespace attnc;

static LogicalResult emitAny(KernelEmitter &ke, tile::AnyOp any) {
  Emitter &e = ke.e;
  tile::TileType type = any.getInput().getType();
  bool matrix = type.getRank() == 2;
  Value rows = rowsOf(ke, any.getInput());
  /// The elements of `x` whose index, `first` and up, is less than `count`; 0 for the others.
  auto before = [&](Value x, Value first, Value count) -> Value {
    auto narrow = [&](Value v) -> Value { return arith::TruncIOp::create(e.b, e.loc, e.i32, v); };
    Value index = e.add(e.splat(narrow(first)), e.iota());
    Value inside =
        arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, index, e.splat(narrow(count)));
    return e.select(inside, x, e.zero(x.getType()));
  };
  SmallVector<Value> seen =
      e.forLoop(e.constI64(0), rows, matrix ? 1 : e.lanes, e.zero(e.vi32),
                [&](Value row, ValueRange carried) {
                  Value now = carried[0];
                  for (int64_t col = 0; col < (matrix ? type.getCols() : 1); col += e.lanes) {
                    Value at = matrix ? e.constI64(col) : Value();
                    Value x = toStorage(ke, e.asVector(readVector(ke, any.getInput(), row, at)));
                    if (!matrix)
                      x = before(x, row, rows);
                    else if (col + e.lanes > type.getCols())
                      x = before(x, at, e.constI64(type.getCols()));
                    now = arith::OrIOp::create(e.b, e.loc, now, x);
                  }
                  return SmallVector<Value>{now};
                });
  Value some = e.reduceLanes(
      seen[0], [&](Value x, Value y) -> Value { return arith::OrIOp::create(e.b, e.loc, x, y); });
  ke.scalars.map(any.getResult(),
                 arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, some, e.constI32(0)));
  return success();
}

void attnc::registerAny(HostOpTable &table) { table.add(emitAny); }

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that combine elements along rows, or in an order, or by a combiner: they need whole tiles,
// not a row at a time, and so are no row ops. Vectors are of columns.
#include "Combine.h"
#include "RowElements.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

namespace {

/// The elements of all operands, or what stands for several of them; vectors or scalars.
using Tuple = SmallVector<Value>;

} // namespace

/// Calls `emit` for each vector of columns of a tile.
static void forEachVector(Emitter &e, int64_t cols, llvm::function_ref<void(Value)> emit) {
  e.forLoop(e.constI64(0), e.constI64(llvm::alignTo(cols, e.lanes)), e.lanes, emit);
}

static void storeVector(KernelEmitter &ke, Value value, const Buffer &buffer, Value row,
                        Value col) {
  ke.e.store(toStorage(ke, ke.e.asVector(value)), ke.tiles.address(buffer, row, col),
             ke.tiles.vectorAlign(buffer.storage));
}

static void storeScalar(KernelEmitter &ke, Value value, const Buffer &buffer, Value row,
                        Value col) {
  ke.e.store(toStorage(ke, value), ke.tiles.address(buffer, row, col), byteSize(buffer.storage));
}

/// An element as it is computed with.
static Value loadScalar(KernelEmitter &ke, Value tile, Value row, Value col) {
  Emitter &e = ke.e;
  Type element = cast<tile::TileType>(tile.getType()).getElementType();
  if (ke.tiles.fillOf(tile))
    return readVector(ke, tile, row, col);
  const Buffer &buffer = ke.tiles.bufferOf(tile);
  Value x = e.load(buffer.storage, ke.tiles.address(buffer, row, col), byteSize(buffer.storage));
  if (!element.isInteger(1))
    return x;
  return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, x, e.constI32(0));
}

/// Row ops take reductions along columns; here are those along rows.
static LogicalResult emitReduce(KernelEmitter &ke, tile::ReduceOp reduce) {
  Emitter &e = ke.e;
  tile::TileType type = reduce.getInput().getType();
  Buffer result = ke.tiles.newBuffer(reduce.getResult().getType());
  ke.tiles.buffers[reduce.getResult()] = result;
  Value init = neutralElement(e, reduce.getKind(), e.vec(type.getElementType()));
  forEachVector(e, type.getCols(), [&](Value col) {
    SmallVector<Value> all = e.forLoop(
        e.constI64(0), e.constI64(type.getRows()), 1, init, [&](Value row, ValueRange before) {
          Value x = e.asVector(readVector(ke, reduce.getInput(), row, col));
          return SmallVector<Value>{combineElements(e, reduce.getKind(), x, before[0])};
        });
    storeVector(ke, all[0], result, e.constI64(0), col);
  });
  return success();
}

static LogicalResult emitScan(KernelEmitter &ke, tile::ScanOp scan) {
  Emitter &e = ke.e;
  tile::TileType type = scan.getInput().getType();
  Buffer result = ke.tiles.newBuffer(scan.getResult().getType());
  ke.tiles.buffers[scan.getResult()] = result;
  bool alongRows = scan.getAxis() == tile::Axis::Rows;
  int64_t part = scan.getPart();
  /// Combines the elements of each part in order, each read by `load` and its result written by
  /// `store`.
  auto chain = [&](Value init, auto load, auto store) {
    e.forLoop(e.constI64(0), e.constI64(scan.getLength()), part, [&](Value first) {
      e.forLoop(e.constI64(0), e.constI64(part), 1, init, [&](Value k, ValueRange before) {
        Value place = e.add(first, scan.getReverse() ? e.sub(e.constI64(part - 1), k) : k);
        Value x = load(place);
        Value next = combineElements(e, scan.getKind(), x, before[0]);
        store(scan.getExclusive() ? Value(before[0]) : next, place);
        return SmallVector<Value>{next};
      });
    });
  };
  if (alongRows) {
    Value init = neutralElement(e, scan.getKind(), e.vec(type.getElementType()));
    forEachVector(e, type.getCols(), [&](Value col) {
      chain(
          init, [&](Value row) { return e.asVector(readVector(ke, scan.getInput(), row, col)); },
          [&](Value x, Value row) { storeVector(ke, x, result, row, col); });
    });
    return success();
  }
  Value init = neutralElement(e, scan.getKind(), type.getElementType());
  e.forLoop(e.constI64(0), e.constI64(type.getRows()), 1, [&](Value row) {
    chain(
        init, [&](Value col) { return loadScalar(ke, scan.getInput(), row, col); },
        [&](Value x, Value col) { storeScalar(ke, x, result, row, col); });
  });
  return success();
}

/// What stands for `x` and `y`, by the region of a fold.
static FailureOr<Tuple> combineTuples(KernelEmitter &ke, tile::FoldOp fold, ArrayRef<Value> x,
                                      ArrayRef<Value> y) {
  llvm::DenseMap<Value, Value> values;
  for (auto [formal, actual] :
       llvm::zip(fold.getBlock()->getArguments(), llvm::concat<const Value>(x, y)))
    values[formal] = actual;
  auto lookup = [&](Value v) {
    auto it = values.find(v);
    return it != values.end() ? it->second : ke.scalars.lookupOrDefault(v);
  };
  for (Operation &op : fold.getBlock()->without_terminator()) {
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(lookup(operand));
    Value value = emitElementwise(ke.e, &op, operands);
    if (!value)
      return op.emitOpError("has no vector form on the host"), failure();
    values[op.getResult(0)] = value;
  }
  Tuple result;
  for (Value value : fold.getBlock()->getTerminator()->getOperands())
    result.push_back(lookup(value));
  return result;
}

static LogicalResult emitFold(KernelEmitter &ke, tile::FoldOp fold) {
  Emitter &e = ke.e;
  tile::TileType type = fold.getInputType();
  SmallVector<Buffer> results;
  for (Value result : fold.getResults()) {
    results.push_back(ke.tiles.newBuffer(cast<tile::TileType>(result.getType())));
    ke.tiles.buffers[result] = results.back();
  }
  bool ok = true;
  auto combine = [&](ArrayRef<Value> x, ArrayRef<Value> y) {
    FailureOr<Tuple> both = combineTuples(ke, fold, x, y);
    ok &= succeeded(both);
    return ok ? *both : Tuple(x);
  };
  auto read = [&](auto load) {
    Tuple elements;
    for (Value input : fold.getInputs())
      elements.push_back(load(input));
    return elements;
  };
  /// The elements from the second on, combined with the first.
  auto chain = [&](int64_t length, auto elementsAt) {
    return e.forLoop(e.constI64(1), e.constI64(length), 1, elementsAt(e.constI64(0)),
                     [&](Value k, ValueRange before) {
                       return combine(SmallVector<Value>(before), elementsAt(k));
                     });
  };
  if (fold.getAxis() == tile::Axis::Rows) {
    forEachVector(e, type.getCols(), [&](Value col) {
      Tuple all = chain(type.getRows(), [&](Value row) {
        return read([&](Value input) { return e.asVector(readVector(ke, input, row, col)); });
      });
      for (auto [value, buffer] : llvm::zip(all, results))
        storeVector(ke, value, buffer, e.constI64(0), col);
    });
    return success(ok);
  }
  // Whole vectors are combined with each other, then their lanes; then what is left of the row.
  int64_t whole = type.getCols() / e.lanes;
  e.forLoop(e.constI64(0), e.constI64(type.getRows()), 1, [&](Value row) {
    Tuple all;
    auto scalarsAt = [&](Value col) {
      return read([&](Value input) { return loadScalar(ke, input, row, col); });
    };
    if (whole > 0) {
      Tuple vectors = chain(whole, [&](Value k) {
        return read([&](Value input) {
          return e.asVector(readVector(ke, input, row, e.mulc(k, e.lanes)));
        });
      });
      for (int64_t lane = 0; lane < e.lanes; ++lane) {
        Tuple scalars;
        for (Value vector : vectors)
          scalars.push_back(e.lane(vector, lane));
        all = lane == 0 ? scalars : combine(all, scalars);
      }
    }
    for (int64_t col = whole * e.lanes; col < type.getCols(); ++col) {
      Tuple scalars = scalarsAt(e.constI64(col));
      all = all.empty() ? scalars : combine(all, scalars);
    }
    for (auto [value, buffer] : llvm::zip(all, results))
      storeScalar(ke, value, buffer, row, e.constI64(0));
  });
  return success(ok);
}

/// Element by element; a vector that changes its rank only is copied likewise.
static LogicalResult emitTranspose(KernelEmitter &ke, tile::TransposeOp transpose) {
  if (ke.tiles.isOnlyMultiplied(transpose)) // the products read the input
    return success();
  Emitter &e = ke.e;
  tile::TileType type = transpose.getInput().getType();
  Buffer result = ke.tiles.newBuffer(transpose.getResult().getType());
  ke.tiles.buffers[transpose.getResult()] = result;
  e.forLoop(e.constI64(0), e.constI64(type.getRows()), 1, [&](Value row) {
    e.forLoop(e.constI64(0), e.constI64(type.getCols()), 1, [&](Value col) {
      storeScalar(ke, loadScalar(ke, transpose.getInput(), row, col), result, col, row);
    });
  });
  return success();
}

static LogicalResult emitScalar(KernelEmitter &ke, tile::ScalarOp scalar) {
  Emitter &e = ke.e;
  bool isMatrix = scalar.getInput().getType().getRank() == 2;
  Value zero = e.constI64(0);
  Value x = e.asVector(readVector(ke, scalar.getInput(), zero, isMatrix ? zero : Value()));
  ke.scalars.map(scalar.getResult(), e.lane(x, 0));
  return success();
}

void attnc::registerColumns(HostOpTable &table) {
  table.add(emitFold);
  table.add(emitReduce);
  table.add(emitScalar);
  table.add(emitScan);
  table.add(emitTranspose);
}

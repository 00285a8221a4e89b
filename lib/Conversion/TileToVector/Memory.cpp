// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads and stores between tensors and buffers. Nothing outside the valid rows and columns is
// touched: rows are bounded by loops, the last columns by constant masks.
#include "Memory.h"
#include "RowGroup.h"

using namespace mlir;
using namespace attnc;

Value attnc::rowAddress(KernelEmitter &ke, Value view, ValueRange indices, Value row0,
                        int64_t rowDim, Value row) {
  Emitter &e = ke.e;
  const ViewValue &value = ke.views.find(view)->second;
  auto type = cast<tile::ViewType>(view.getType());
  int64_t size = byteSize(type.getElementType());
  Value pointer = value.base;
  unsigned next = 0;
  for (int64_t dim = 0; dim < type.getRank() && next < indices.size(); ++dim) {
    if (dim == rowDim)
      continue;
    Value index = e.toI64(ke.scalars.lookupOrDefault(indices[next++]));
    pointer = e.offset(pointer, e.mulc(e.mul(index, value.strides[dim]), size));
  }
  if (value.strides.empty()) // one number
    return pointer;
  Value absolute = e.add(e.toI64(ke.scalars.lookupOrDefault(row0)), row);
  return e.offset(pointer, e.mulc(e.mul(absolute, value.strides[rowDim]), size));
}

Value attnc::rowAddress(KernelEmitter &ke, tile::LoadOp load, Value row) {
  return rowAddress(ke, load.getView(), load.getIndices(), load.getRow(), load.getRowDim(), row);
}

Value attnc::validRows(KernelEmitter &ke, Value row, Value limit, int64_t rows) {
  Emitter &e = ke.e;
  Value left =
      e.sub(e.toI64(ke.scalars.lookupOrDefault(limit)), e.toI64(ke.scalars.lookupOrDefault(row)));
  return e.max(e.min(left, e.constI64(rows)), e.constI64(0));
}

/// The type in which a possibly masked access of `element` is done: LLVM's masked accesses of
/// 16-bit floats are less well supported than those of 16-bit integers.
static Type accessType(Emitter &e, Type element) {
  return element.isF16() || element.isBF16() ? e.i16 : element.isInteger(1) ? e.i8 : element;
}

Value attnc::loadTensor(KernelEmitter &ke, Value address, Type element, Type storage,
                        int64_t count) {
  Emitter &e = ke.e;
  if (count <= 0)
    return e.zero(e.vec(storage));
  Type access = accessType(e, element);
  Value loaded;
  if (count >= e.lanes) {
    loaded = e.load(e.vec(access), address, byteSize(element), /*invariant=*/true);
  } else {
    loaded =
        LLVM::MaskedLoadOp::create(e.b, e.loc, e.vec(access), address, e.prefixMask(count),
                                   e.zero(e.vec(access)), e.b.getI32IntegerAttr(byteSize(element)));
  }
  if (element.isInteger(1)) {
    Value set = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, loaded,
                                      e.zero(loaded.getType()));
    return arith::ExtUIOp::create(e.b, e.loc, e.vec(storage), set);
  }
  loaded = e.bitcast(loaded, e.vec(element));
  return storage == element ? loaded : e.toF32(loaded);
}

static void storeTensor(KernelEmitter &ke, Value value, Value address, Type element,
                        int64_t count) {
  Emitter &e = ke.e;
  if (count <= 0)
    return;
  if (isa<FloatType>(element) && getElementTypeOrSelf(value.getType()) != element)
    value = e.fromF32(e.toF32(value), element);
  value = e.bitcast(e.asVector(value), e.vec(accessType(e, element)));
  if (count >= e.lanes)
    return e.store(value, address, byteSize(element));
  LLVM::MaskedStoreOp::create(e.b, e.loc, value, address, e.prefixMask(count),
                              e.b.getI32IntegerAttr(byteSize(element)));
}

void attnc::copyRows(KernelEmitter &ke, tile::LoadOp load, Value from, Value to, Value valid,
                     Value into, int64_t pitch, Type storage) {
  Emitter &e = ke.e;
  Type element = load.getView().getType().getElementType();
  int64_t align = ke.tiles.vectorAlign(storage), size = byteSize(storage);
  auto target = [&](Value row) { return e.offset(into, e.mulc(e.sub(row, from), pitch * size)); };
  Value last = e.max(e.min(valid, to), from);
  e.forLoop(from, last, 1, [&](Value row) {
    Value source = rowAddress(ke, load, row), out = target(row);
    for (int64_t col = 0; col < pitch; col += e.lanes) {
      Value value = loadTensor(ke, e.offset(source, col * byteSize(element)), element, storage,
                               static_cast<int64_t>(load.getValidCols()) - col);
      e.store(value, e.offset(out, col * size), align);
    }
  });
  e.forLoop(last, to, 1, [&](Value row) {
    Value out = target(row);
    for (int64_t col = 0; col < pitch; col += e.lanes)
      e.store(e.zero(e.vec(storage)), e.offset(out, col * size), align);
  });
}

/// Like a load, whose rows are where a tile says.
static LogicalResult emitGather(KernelEmitter &ke, tile::GatherOp gather) {
  Emitter &e = ke.e;
  Buffer buffer = ke.tiles.newBuffer(gather.getResult().getType());
  ke.tiles.buffers[gather.getResult()] = buffer;
  Type element = gather.getView().getType().getElementType();
  int64_t size = byteSize(buffer.storage);
  Value limit = e.toI64(ke.scalars.lookupOrDefault(gather.getLimit()));
  Value zero = e.constI32(0);
  e.forLoop(e.constI64(0), e.constI64(buffer.rows), 1, [&](Value row) {
    Value number = e.toI64(readVector(ke, gather.getRows(), row, e.constI64(0)));
    // As unsigned numbers, negative ones are beyond every limit.
    Value inside = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ult, number, limit);
    auto branch = scf::IfOp::create(e.b, e.loc, inside, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(e.b);
    for (Block *block : {branch.thenBlock(), branch.elseBlock()}) {
      e.b.setInsertionPointToStart(block);
      Value source = block == branch.thenBlock()
                         ? rowAddress(ke, gather.getView(), gather.getIndices(), zero,
                                      gather.getRowDim(), number)
                         : Value();
      for (int64_t col = 0; col < buffer.pitch; col += e.lanes) {
        int64_t count = static_cast<int64_t>(gather.getValidCols()) - col;
        Value value = source ? loadTensor(ke, e.offset(source, col * byteSize(element)), element,
                                          buffer.storage, count)
                             : e.zero(e.vec(buffer.storage));
        Value out = e.offset(ke.tiles.address(buffer, row, e.constI64(0)), col * size);
        e.store(value, out, ke.tiles.vectorAlign(buffer.storage));
      }
    }
  });
  return success();
}

static LogicalResult emitLoad(KernelEmitter &ke, tile::LoadOp load) {
  if (ke.tiles.isOnlyPacked(load)) // the product does it
    return success();
  Emitter &e = ke.e;
  Buffer buffer = ke.tiles.newBuffer(load.getResult().getType());
  ke.tiles.buffers[load.getResult()] = buffer;
  Value valid = validRows(ke, load.getRow(), load.getLimit(), buffer.rows);
  copyRows(ke, load, e.constI64(0), e.constI64(buffer.rows), valid,
           e.offset(ke.tiles.scratch, buffer.offset), buffer.pitch, buffer.storage);
  return success();
}

static LogicalResult emitStore(KernelEmitter &ke, tile::StoreOp store) {
  Emitter &e = ke.e;
  tile::TileType type = store.getValue().getType();
  Type element = store.getView().getType().getElementType();
  Value valid = validRows(ke, store.getRow(), store.getLimit(), type.getRows());
  int64_t validCols = store.getValidCols(), size = byteSize(element);
  e.forLoop(e.constI64(0), valid, 1, [&](Value row) {
    Value out =
        rowAddress(ke, store.getView(), store.getIndices(), store.getRow(), store.getRowDim(), row);
    if (type.getRank() == 2) {
      for (int64_t col = 0; col < validCols; col += e.lanes) {
        Value value = e.asVector(readVector(ke, store.getValue(), row, e.constI64(col)));
        if (element.isInteger(1))
          value = arith::ExtUIOp::create(e.b, e.loc, e.vec(e.i8), value);
        storeTensor(ke, value, e.offset(out, col * size), element, validCols - col);
      }
      return;
    }
    // In a matrix context a row value is the scalar of its row.
    Value value = readVector(ke, store.getValue(), row, e.constI64(0));
    if (element.isInteger(1))
      value = arith::ExtUIOp::create(e.b, e.loc, e.i8, value);
    else if (value.getType() != element)
      value = e.fromF32(e.toF32(value), element);
    e.store(value, out, size);
  });
  return success();
}

/// A fill has no buffer: who reads it takes the scalar.
static LogicalResult emitFill(KernelEmitter &, tile::FillOp) { return success(); }

void attnc::registerMemory(HostOpTable &table) {
  table.add(emitFill);
  table.add(emitGather);
  table.add(emitLoad);
  table.add(emitStore);
}

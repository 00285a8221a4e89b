// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads and stores between tensors and buffers. Nothing outside the valid rows and columns is
// touched: rows are bounded by loops, the last columns by constant masks.
#include "KernelEmitter.h"

using namespace mlir;
using namespace attnc;

Value KernelEmitter::rowAddress(Value view, ValueRange indices, Value row0, int64_t rowDim,
                                Value row) {
  const ViewValue &value = views.find(view)->second;
  auto type = cast<tile::ViewType>(view.getType());
  int64_t size = byteSize(type.getElementType());
  Value pointer = value.base;
  unsigned next = 0;
  for (int64_t dim = 0; dim < type.getRank() && next < indices.size(); ++dim) {
    if (dim == rowDim)
      continue;
    Value index = e.toI64(scalars.lookupOrDefault(indices[next++]));
    pointer = e.offset(pointer, e.mulc(e.mul(index, value.strides[dim]), size));
  }
  Value absolute = e.add(e.toI64(scalars.lookupOrDefault(row0)), row);
  return e.offset(pointer, e.mulc(e.mul(absolute, value.strides[rowDim]), size));
}

Value KernelEmitter::rowAddress(tile::LoadOp load, Value row) {
  return rowAddress(load.getView(), load.getIndices(), load.getRow(), load.getRowDim(), row);
}

Value KernelEmitter::validRows(Value row, Value limit, int64_t rows) {
  Value left =
      e.sub(e.toI64(scalars.lookupOrDefault(limit)), e.toI64(scalars.lookupOrDefault(row)));
  return e.max(e.min(left, e.constI64(rows)), e.constI64(0));
}

/// The type in which a possibly masked access of `element` is done: LLVM's masked accesses of
/// 16-bit floats are less well supported than those of 16-bit integers.
static Type accessType(Emitter &e, Type element) {
  return element.isF16() || element.isBF16() ? e.i16 : element;
}

Value KernelEmitter::loadTensor(Value address, Type element, Type storage, int64_t count) {
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
  loaded = e.bitcast(loaded, e.vec(element));
  return storage == element ? loaded : e.toF32(loaded);
}

void KernelEmitter::storeTensor(Value value, Value address, Type element, int64_t count) {
  if (count <= 0)
    return;
  if (getElementTypeOrSelf(value.getType()) != element)
    value = e.fromF32(e.toF32(value), element);
  value = e.bitcast(e.asVector(value), e.vec(accessType(e, element)));
  if (count >= e.lanes)
    return e.store(value, address, byteSize(element));
  LLVM::MaskedStoreOp::create(e.b, e.loc, value, address, e.prefixMask(count),
                              e.b.getI32IntegerAttr(byteSize(element)));
}

void KernelEmitter::copyRows(tile::LoadOp load, Value from, Value to, Value valid, Value into,
                             int64_t pitch, Type storage) {
  Type element = load.getView().getType().getElementType();
  int64_t align = vectorAlign(storage), size = byteSize(storage);
  auto target = [&](Value row) { return e.offset(into, e.mulc(e.sub(row, from), pitch * size)); };
  Value last = e.max(e.min(valid, to), from);
  e.forLoop(from, last, 1, [&](Value row) {
    Value source = rowAddress(load, row), out = target(row);
    for (int64_t col = 0; col < pitch; col += e.lanes) {
      Value value = loadTensor(e.offset(source, col * byteSize(element)), element, storage,
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

void KernelEmitter::emitLoad(tile::LoadOp load) {
  Buffer buffer = newBuffer(load.getResult().getType());
  buffers[load.getResult()] = buffer;
  Value valid = validRows(load.getRow(), load.getLimit(), buffer.rows);
  copyRows(load, e.constI64(0), e.constI64(buffer.rows), valid, e.offset(scratch, buffer.offset),
           buffer.pitch, buffer.storage);
}

LogicalResult KernelEmitter::emitStore(tile::StoreOp store) {
  tile::TileType type = store.getValue().getType();
  Type element = store.getView().getType().getElementType();
  bool integer = type.getElementType().isInteger(32);
  if (integer != element.isInteger(32) || element.isInteger(1))
    return store.emitOpError("expects floats stored as floats or i32 as i32 on the host, found ")
           << type << " into " << store.getView().getType();
  Value valid = validRows(store.getRow(), store.getLimit(), type.getRows());
  int64_t validCols = store.getValidCols(), size = byteSize(element);
  e.forLoop(e.constI64(0), valid, 1, [&](Value row) {
    Value out =
        rowAddress(store.getView(), store.getIndices(), store.getRow(), store.getRowDim(), row);
    if (type.getRank() == 2) {
      for (int64_t col = 0; col < validCols; col += e.lanes) {
        Value value = e.asVector(readVector(store.getValue(), row, e.constI64(col)));
        storeTensor(value, e.offset(out, col * size), element, validCols - col);
      }
      return;
    }
    // In a matrix context a row value is the scalar of its row.
    Value value = readVector(store.getValue(), row, e.constI64(0));
    if (value.getType() != element)
      value = e.fromF32(e.toF32(value), element);
    e.store(value, out, size);
  });
  return success();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ChunkDecay.h.
#include "ChunkDecay.h"

using namespace mlir;
using namespace attnc;

ChunkDecay::ChunkDecay(ChunkBuilder &builder, Expr factor, unsigned state)
    : b(builder), s(builder.spaces), factor(factor), state(state), batch(builder.batchOf(factor)) {
  SmallVector<unsigned> axes;
  for (auto [axis, index] : llvm::enumerate(builder.form.indices.of[state]))
    if (factor->dependsOn(index))
      axes.push_back(axis);
  along = builder.axesOf(state, axes);
}

ChunkBuilder::Axes ChunkDecay::axes(ArrayRef<Attribute> inner, bool isAlong) const {
  ChunkBuilder::Axes all = batch;
  all.push_back(s.chunks);
  all.append(inner.begin(), inner.end());
  if (isAlong)
    all.append(along.begin(), along.end());
  return all;
}

NamedIndices ChunkDecay::inParts(const NamedIndices &indices, Value row) {
  return indices.with(s.parts, b.quotient(row, s.part)).with(s.partRow, b.remainder(row, s.part));
}

/// The factors, by parts and their rows; 1 behind the last step.
Value ChunkDecay::factors() {
  if (table)
    return table;
  Value rows = b.rows(factor, state, 1.0);
  return table = b.tensor(axes({s.parts, s.partRow}), [&](const NamedIndices &at) {
    Value first = b.mul(at[s.parts], b.integer(s.part));
    return b.at(rows, at.with(s.row, b.add(first, at[s.partRow])));
  });
}

Value ChunkDecay::partProducts() {
  if (partTable)
    return partTable;
  Value each = factors();
  return partTable = b.tensor(axes({s.parts}), [&](const NamedIndices &at) {
    return b.product(s.partRow, {}, {}, at, [&](const NamedIndices &in) { return b.at(each, in); });
  });
}

/// The end of the factors that a row takes.
Value ChunkDecay::last(bool inclusive, Value row) {
  return inclusive ? b.add(row, b.integer(1)) : row;
}

Value ChunkDecay::beforeInPart(bool inclusive) {
  Value &known = beforePartTable[inclusive];
  if (known)
    return known;
  Value each = factors();
  return known = b.tensor(axes({s.parts, s.partRow}), [&](const NamedIndices &at) {
    return b.product(s.partRow, {}, last(inclusive, at[s.partRow]), at,
                     [&](const NamedIndices &in) { return b.at(each, in); });
  });
}

Value ChunkDecay::behindInPart() {
  if (behindPartTable)
    return behindPartTable;
  Value each = factors();
  return behindPartTable = b.tensor(axes({s.parts, s.partRow}), [&](const NamedIndices &at) {
    return b.product(s.partRow, b.add(at[s.partRow], b.integer(1)), {}, at,
                     [&](const NamedIndices &in) { return b.at(each, in); });
  });
}

Value ChunkDecay::productOfParts(Value from, Value end, const NamedIndices &indices) {
  Value parts = partProducts();
  return b.product(s.parts, from, end, indices,
                   [&](const NamedIndices &in) { return b.at(parts, in); });
}

Value ChunkDecay::partsBetween() {
  if (partsBetweenTable)
    return partsBetweenTable;
  partProducts();
  return partsBetweenTable = b.tensor(axes({s.parts, s.partsBefore}), [&](const NamedIndices &at) {
    return productOfParts(b.add(at[s.partsBefore], b.integer(1)), at[s.parts], at);
  });
}

Value ChunkDecay::before(bool inclusive) {
  Value &known = beforeTable[inclusive];
  if (known)
    return known;
  Value inPart = beforeInPart(inclusive);
  partProducts();
  return known = b.tensor(axes({s.row}), [&](const NamedIndices &at) {
    NamedIndices in = inParts(at, at[s.row]);
    return b.mul(b.at(inPart, in), productOfParts({}, in[s.parts], in));
  });
}

Value ChunkDecay::behind() {
  if (behindTable)
    return behindTable;
  Value inPart = behindInPart();
  partProducts();
  return behindTable = b.tensor(axes({s.row}), [&](const NamedIndices &at) {
    NamedIndices in = inParts(at, at[s.row]);
    Value next = b.add(in[s.parts], b.integer(1));
    return b.mul(b.at(inPart, in), productOfParts(next, {}, in));
  });
}

Value ChunkDecay::all() {
  if (allTable)
    return allTable;
  partProducts();
  return allTable =
             b.tensor(axes({}), [&](const NamedIndices &at) { return productOfParts({}, {}, at); });
}

Value ChunkDecay::near(Value row, Value column, bool inclusive, const NamedIndices &indices) {
  Value each = table;
  return b.product(s.partRow, b.add(column, b.integer(1)), last(inclusive, row), indices,
                   [&](const NamedIndices &in) { return b.at(each, in); });
}

Value ChunkDecay::between(bool inclusive) {
  Value &known = betweenTable[inclusive];
  if (known)
    return known;
  Value rowPart = beforeInPart(inclusive), columnPart = behindInPart(), parts = partsBetween();
  Value inPart = b.tensor(axes({s.parts, s.partRow, s.partColumn}), [&](const NamedIndices &at) {
    return near(at[s.partRow], at[s.partColumn], inclusive, at);
  });
  return known = b.tensor(axes({s.row, s.column}), [&](const NamedIndices &at) {
    NamedIndices row = inParts(at, at[s.row]), column = inParts(at, at[s.column]);
    Value same = b.at(inPart, row.with(s.partColumn, column[s.partRow]));
    Value across = b.at(parts, row.with(s.partsBefore, column[s.parts]));
    Value far = b.mul(b.mul(b.at(rowPart, row), across), b.at(columnPart, column));
    return b.select(b.isEqual(row[s.parts], column[s.parts]), same, far);
  });
}

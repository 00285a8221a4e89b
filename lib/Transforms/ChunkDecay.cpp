// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ChunkDecay.h.
#include "ChunkDecay.h"

using namespace mlir;
using namespace attnc;

ChunkDecay::ChunkDecay(ChunkBuilder &builder, Expr factor, unsigned state)
    : b(builder), level(builder.spaces.levels.front()), outer(builder.batchOf(factor)),
      rows(builder.rows(factor, state, 1.0)) {
  outer.push_back(builder.spaces.chunks);
  SmallVector<unsigned> axes;
  for (auto [axis, index] : llvm::enumerate(builder.form.indices.of[state]))
    if (factor->dependsOn(index))
      axes.push_back(axis);
  along = builder.axesOf(state, axes);
}

ChunkDecay::ChunkDecay(ChunkDecay &outside, size_t depth)
    : b(outside.b), depth(depth), level(outside.b.spaces.levels[depth]), outer(outside.outer),
      along(outside.along), rows(outside.factors()) {
  outer.push_back(outside.level.parts);
}

ChunkDecay *ChunkDecay::ofParts() {
  if (!inner && depth + 1 < b.spaces.levels.size())
    inner.reset(new ChunkDecay(*this, depth + 1));
  return inner.get();
}

ChunkBuilder::Axes ChunkDecay::axes(ArrayRef<Attribute> own) const {
  ChunkBuilder::Axes all = outer;
  all.append(own.begin(), own.end());
  all.append(along.begin(), along.end());
  return all;
}

NamedIndices ChunkDecay::inParts(const NamedIndices &indices, Value row) {
  return indices.with(level.parts, b.quotient(row, level.part))
      .with(level.partRow, b.remainder(row, level.part));
}

Value ChunkDecay::factors() {
  if (table)
    return table;
  return table = b.tensor(axes({level.parts, level.partRow}), [&](const NamedIndices &at) {
    Value first = b.mul(at[level.parts], b.integer(level.part));
    return b.at(rows, at.with(level.row, b.add(first, at[level.partRow])));
  });
}

Value ChunkDecay::partProducts() {
  if (partTable)
    return partTable;
  Value each = factors();
  return partTable = b.tensor(axes({level.parts}), [&](const NamedIndices &at) {
    return b.product(level.partRow, {}, {}, at,
                     [&](const NamedIndices &in) { return b.at(each, in); });
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
  return known = b.tensor(axes({level.parts, level.partRow}), [&](const NamedIndices &at) {
    return b.product(level.partRow, {}, last(inclusive, at[level.partRow]), at,
                     [&](const NamedIndices &in) { return b.at(each, in); });
  });
}

Value ChunkDecay::behindInPart() {
  if (behindPartTable)
    return behindPartTable;
  Value each = factors();
  return behindPartTable =
             b.tensor(axes({level.parts, level.partRow}), [&](const NamedIndices &at) {
               return b.product(level.partRow, b.add(at[level.partRow], b.integer(1)), {}, at,
                                [&](const NamedIndices &in) { return b.at(each, in); });
             });
}

Value ChunkDecay::productOfParts(Value from, Value end, const NamedIndices &indices) {
  Value parts = partProducts();
  return b.product(level.parts, from, end, indices,
                   [&](const NamedIndices &in) { return b.at(parts, in); });
}

Value ChunkDecay::partsBetween() {
  if (partsBetweenTable)
    return partsBetweenTable;
  partProducts();
  return partsBetweenTable =
             b.tensor(axes({level.parts, level.partsBefore}), [&](const NamedIndices &at) {
               return productOfParts(b.add(at[level.partsBefore], b.integer(1)), at[level.parts],
                                     at);
             });
}

/// Of a scalar factor, over rows and columns: the factors behind the column up to the row, in their
/// order; 1 on the diagonal and above.
Value ChunkDecay::running() {
  if (runningTable)
    return runningTable;
  Value steps = b.tensor(axes({level.row, level.column}), [&](const NamedIndices &at) {
    return b.select(b.isLess(at[level.column], at[level.row]), b.at(rows, at), b.real(1.0));
  });
  return runningTable = b.runningProduct(steps, level.row);
}

/// Of a scalar factor: those of the steps before `row`, and its own with `inclusive`.
Value ChunkDecay::runningBefore(bool inclusive, Value row, const NamedIndices &at) {
  Value first = b.integer(0);
  Value last = inclusive ? row : stepBefore(row);
  Value behindFirst = b.at(running(), at.with(level.row, last).with(level.column, first));
  Value product = b.mul(b.at(rows, at.with(level.row, first)), behindFirst);
  return inclusive ? product : b.select(b.isEqual(row, first), b.real(1.0), product);
}

/// The step before `row`; the first one for the first.
Value ChunkDecay::stepBefore(Value row) {
  return arith::MaxSIOp::create(b, b.sub(row, b.integer(1)), b.integer(0));
}

Value ChunkDecay::before(bool inclusive) {
  Value &known = beforeTable[inclusive];
  if (known)
    return known;
  if (isScalar() && !depth) {
    running();
    return known = b.tensor(axes({level.row}), [&](const NamedIndices &at) {
      return runningBefore(inclusive, at[level.row], at);
    });
  }
  Value inPart = beforeInPart(inclusive);
  partProducts();
  return known = b.tensor(axes({level.row}), [&](const NamedIndices &at) {
    NamedIndices in = inParts(at, at[level.row]);
    return b.mul(b.at(inPart, in), productOfParts({}, in[level.parts], in));
  });
}

Value ChunkDecay::behind() {
  if (behindTable)
    return behindTable;
  if (isScalar() && !depth) {
    running();
    return behindTable = b.tensor(axes({level.row}), [&](const NamedIndices &at) {
      return b.at(
          running(),
          at.with(level.column, at[level.row]).with(level.row, b.integer(b.spaces.chunk - 1)));
    });
  }
  Value inPart = behindInPart();
  partProducts();
  return behindTable = b.tensor(axes({level.row}), [&](const NamedIndices &at) {
    NamedIndices in = inParts(at, at[level.row]);
    Value next = b.add(in[level.parts], b.integer(1));
    return b.mul(b.at(inPart, in), productOfParts(next, {}, in));
  });
}

Value ChunkDecay::all() {
  if (allTable)
    return allTable;
  if (isScalar() && !depth) {
    running();
    return allTable = b.tensor(axes({}), [&](const NamedIndices &at) {
      return runningBefore(/*inclusive=*/true, b.integer(b.spaces.chunk - 1), at);
    });
  }
  partProducts();
  return allTable =
             b.tensor(axes({}), [&](const NamedIndices &at) { return productOfParts({}, {}, at); });
}

Value ChunkDecay::near(bool inclusive, const NamedIndices &indices) {
  Value from = b.add(indices[level.partColumn], b.integer(1));
  return b.product(level.partRow, from, last(inclusive, indices[level.partRow]), indices,
                   [&](const NamedIndices &in) { return b.at(table, in); });
}

/// Between steps of one part.
Value ChunkDecay::betweenInParts(bool inclusive) {
  if (ChunkDecay *parts = ofParts())
    return parts->between(inclusive);
  factors();
  return b.tensor(axes({level.parts, level.partRow, level.partColumn}),
                  [&](const NamedIndices &at) { return near(inclusive, at); });
}

Value ChunkDecay::between(bool inclusive) {
  Value &known = betweenTable[inclusive];
  if (known)
    return known;
  if (isScalar() && !depth) {
    if (inclusive)
      return known = running();
    running();
    return known = b.tensor(axes({level.row, level.column}), [&](const NamedIndices &at) {
      return b.at(running(), at.with(level.row, stepBefore(at[level.row])));
    });
  }
  Value rowPart = beforeInPart(inclusive), columnPart = behindInPart(), parts = partsBetween();
  Value inPart = betweenInParts(inclusive);
  return known = b.tensor(axes({level.row, level.column}), [&](const NamedIndices &at) {
    NamedIndices row = inParts(at, at[level.row]), column = inParts(at, at[level.column]);
    Value same = b.at(inPart, row.with(level.partColumn, column[level.partRow]));
    Value across = b.at(parts, row.with(level.partsBefore, column[level.parts]));
    Value far = b.mul(b.mul(b.at(rowPart, row), across), b.at(columnPart, column));
    return b.select(b.isEqual(row[level.parts], column[level.parts]), same, far);
  });
}

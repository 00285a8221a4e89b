// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ChunkDecay.h.
#include "ChunkDecay.h"

using namespace mlir;
using namespace attnc;

ChunkDecay::ChunkDecay(ChunkBuilder &builder, Expr factor, unsigned state)
    : b(builder), level(builder.spaces.areHalved() ? nullptr : &builder.spaces.levels.front()),
      outer(builder.batchOf(factor)), rows(builder.rows(factor, state, 1.0)) {
  outer.push_back(builder.spaces.chunks);
  SmallVector<unsigned> axes;
  for (auto [axis, index] : llvm::enumerate(builder.form.indices.of[state]))
    if (factor->dependsOn(index))
      axes.push_back(axis);
  along = builder.axesOf(state, axes);
}

ChunkDecay::ChunkDecay(ChunkDecay &outside, size_t depth)
    : b(outside.b), depth(depth), level(&outside.b.spaces.levels[depth]), outer(outside.outer),
      along(outside.along), rows(outside.factors()) {
  outer.push_back(outside.level->parts);
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
  return indices.with(level->parts, b.quotient(row, level->part))
      .with(level->partRow, b.remainder(row, level->part));
}

Value ChunkDecay::factors() {
  if (table)
    return table;
  return table = b.tensor(axes({level->parts, level->partRow}), [&](const NamedIndices &at) {
    Value first = b.mul(at[level->parts], b.integer(level->part));
    return b.at(rows, at.with(level->row, b.add(first, at[level->partRow])));
  });
}

Value ChunkDecay::partProducts() {
  if (partTable)
    return partTable;
  Value each = factors();
  return partTable = b.tensor(axes({level->parts}), [&](const NamedIndices &at) {
    return b.product(level->partRow, {}, {}, at,
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
  return known = b.tensor(axes({level->parts, level->partRow}), [&](const NamedIndices &at) {
    return b.product(level->partRow, {}, last(inclusive, at[level->partRow]), at,
                     [&](const NamedIndices &in) { return b.at(each, in); });
  });
}

Value ChunkDecay::behindInPart() {
  if (behindPartTable)
    return behindPartTable;
  Value each = factors();
  return behindPartTable =
             b.tensor(axes({level->parts, level->partRow}), [&](const NamedIndices &at) {
               return b.product(level->partRow, b.add(at[level->partRow], b.integer(1)), {}, at,
                                [&](const NamedIndices &in) { return b.at(each, in); });
             });
}

Value ChunkDecay::productOfParts(Value from, Value end, const NamedIndices &indices) {
  Value parts = partProducts();
  return b.product(level->parts, from, end, indices,
                   [&](const NamedIndices &in) { return b.at(parts, in); });
}

Value ChunkDecay::partsBetween() {
  if (partsBetweenTable)
    return partsBetweenTable;
  partProducts();
  return partsBetweenTable =
             b.tensor(axes({level->parts, level->partsBefore}), [&](const NamedIndices &at) {
               return productOfParts(b.add(at[level->partsBefore], b.integer(1)), at[level->parts],
                                     at);
             });
}

/// Of a scalar factor, over rows and columns: the factors behind the column up to the row, in their
/// order; 1 on the diagonal and above.
Value ChunkDecay::running() {
  if (runningTable)
    return runningTable;
  Value steps = b.tensor(axes({b.spaces.row, b.spaces.column}), [&](const NamedIndices &at) {
    return b.select(b.isLess(at[b.spaces.column], at[b.spaces.row]), b.at(rows, at), b.real(1.0));
  });
  return runningTable = b.runningProduct(steps, b.spaces.row);
}

/// Of a scalar factor: those of the steps before `row`, and its own with `inclusive`.
Value ChunkDecay::runningBefore(bool inclusive, Value row, const NamedIndices &at) {
  Value first = b.integer(0);
  Value last = inclusive ? row : stepBefore(row);
  Value behindFirst = b.at(running(), at.with(b.spaces.row, last).with(b.spaces.column, first));
  Value product = b.mul(b.at(rows, at.with(b.spaces.row, first)), behindFirst);
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
    return known = b.tensor(axes({b.spaces.row}), [&](const NamedIndices &at) {
      return runningBefore(inclusive, at[b.spaces.row], at);
    });
  }
  if (!level)
    return known = b.tensor(axes({b.spaces.row}), [&](const NamedIndices &at) {
      return productOfRows({}, last(inclusive, at[b.spaces.row]), at);
    });
  Value inPart = beforeInPart(inclusive);
  partProducts();
  return known = b.tensor(axes({b.spaces.row}), [&](const NamedIndices &at) {
    NamedIndices in = inParts(at, at[b.spaces.row]);
    return b.mul(b.at(inPart, in), productOfParts({}, in[level->parts], in));
  });
}

Value ChunkDecay::behind() {
  if (behindTable)
    return behindTable;
  if (isScalar() && !depth) {
    running();
    return behindTable = b.tensor(axes({b.spaces.row}), [&](const NamedIndices &at) {
      return b.at(running(), at.with(b.spaces.column, at[b.spaces.row])
                                 .with(b.spaces.row, b.integer(b.spaces.chunk - 1)));
    });
  }
  if (!level)
    return behindTable = b.tensor(axes({b.spaces.row}), [&](const NamedIndices &at) {
      return productOfRows(b.add(at[b.spaces.row], b.integer(1)), {}, at);
    });
  Value inPart = behindInPart();
  partProducts();
  return behindTable = b.tensor(axes({b.spaces.row}), [&](const NamedIndices &at) {
    NamedIndices in = inParts(at, at[b.spaces.row]);
    Value next = b.add(in[level->parts], b.integer(1));
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
  if (!level)
    return allTable = b.tensor(axes({}),
                               [&](const NamedIndices &at) { return productOfRows({}, {}, at); });
  partProducts();
  return allTable =
             b.tensor(axes({}), [&](const NamedIndices &at) { return productOfParts({}, {}, at); });
}

/// Of the factors of rows of the chunk.
Value ChunkDecay::productOfRows(Value from, Value end, const NamedIndices &indices) {
  return b.product(b.spaces.row, from, end, indices,
                   [&](const NamedIndices &in) { return b.at(rows, in); });
}

Value ChunkDecay::behindInHalf(int64_t half, const NamedIndices &indices) {
  Value row = indices[b.spaces.row], size = b.integer(half);
  if (half == 1)
    return b.real(1.0);
  Value end = b.add(b.mul(b.quotient(row, half), size), size);
  return productOfRows(b.add(row, b.integer(1)), end, indices);
}

Value ChunkDecay::beforeInHalf(int64_t half, bool inclusive, const NamedIndices &indices) {
  Value row = indices[b.spaces.row];
  if (half == 1)
    return inclusive ? b.at(rows, indices) : b.real(1.0);
  Value first = b.mul(b.quotient(row, half), b.integer(half));
  return productOfRows(first, last(inclusive, row), indices);
}

Value ChunkDecay::near(bool inclusive, const NamedIndices &indices) {
  Value from = b.add(indices[level->partColumn], b.integer(1));
  return b.product(level->partRow, from, last(inclusive, indices[level->partRow]), indices,
                   [&](const NamedIndices &in) { return b.at(table, in); });
}

Value ChunkDecay::between(bool inclusive) {
  assert(isScalar() && "others have no table of pairs");
  if (inclusive)
    return running();
  Value &known = betweenTable;
  if (known)
    return known;
  running();
  return known = b.tensor(axes({b.spaces.row, b.spaces.column}), [&](const NamedIndices &at) {
    return b.at(running(), at.with(b.spaces.row, stepBefore(at[b.spaces.row])));
  });
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A factor that is the same for all that is summed is a mask on the products. One that differs is
// in the products: between steps of different parts it divides into that of the row, up to its
// part, and that of the column and the parts between; a part is treated as the chunk is, and within
// the smallest ones factors are multiplied in for each pair of steps.
#include "ChunkScores.h"

using namespace mlir;
using namespace attnc;

using Axes = ChunkBuilder::Axes;

static Axes concat(ArrayRef<Attribute> first, ArrayRef<Attribute> second,
                   ArrayRef<Attribute> third = {}) {
  Axes all(first.begin(), first.end());
  all.append(second.begin(), second.end());
  all.append(third.begin(), third.end());
  return all;
}

/// Whether `column` is before `row`, or with `isNew` the same.
static Value isBefore(ChunkBuilder &b, Value column, Value row, bool isNew) {
  return b.isLess(column, isNew ? b.add(row, b.integer(1)) : row);
}

static Value maskedScores(ChunkBuilder &b, ChunkDecay *decay, ArrayRef<Attribute> summed,
                          Value weights, Value columns, bool isNew) {
  const ChunkSpaces &s = b.spaces;
  Value between = decay ? decay->between(isNew) : Value();
  return b.tensor(b.inChunks({s.row, s.column}), [&](const NamedIndices &at) {
    Value score = b.sum(summed, at, [&](const NamedIndices &in) {
      return b.mul(b.at(weights, in), b.at(columns, in.with(s.row, in[s.column])));
    });
    if (between)
      score = b.mul(score, b.at(between, at));
    return b.select(isBefore(b, at[s.column], at[s.row], isNew), score, b.real(0.0));
  });
}

namespace {

/// Scores with a factor that differs along what is summed, on one level. `weights` and `columns`
/// are over the rows of the chunk, which a level tells from its own rows and the parts around.
class DecayedScores {
public:
  DecayedScores(ChunkBuilder &b, ChunkDecay &decay, ArrayRef<Attribute> summed, Value weights,
                Value columns, bool isNew)
      : b(b), decay(decay), level(decay.getLevel()), outer(b.inChunks()), summed(summed),
        weights(weights), columns(columns), isNew(isNew) {}

  /// Over chunks, the parts around the level, its rows and its columns.
  Value build();

private:
  /// The level of the parts of `outside`.
  DecayedScores(DecayedScores &outside, ChunkDecay &decay)
      : DecayedScores(outside.b, decay, outside.summed, outside.weights, outside.columns,
                      outside.isNew) {
    outer = concat(outside.outer, outside.level.parts);
    around = &outside;
  }
  Value far();
  Value stepScores();
  NamedIndices inChunk(const NamedIndices &indices, Value row);
  NamedIndices inChunk(const NamedIndices &indices, StringAttr partStep);

  ChunkBuilder &b;
  ChunkDecay &decay;
  const ChunkLevel &level;
  Axes outer;
  ArrayRef<Attribute> summed;
  Value weights, columns;
  bool isNew;
  DecayedScores *around = nullptr;
};

} // namespace

/// `indices` with the row of the chunk that `row` of this level is.
NamedIndices DecayedScores::inChunk(const NamedIndices &indices, Value row) {
  if (!around)
    return indices.with(level.row, row);
  Value first = b.mul(indices[around->level.parts], b.integer(around->level.part));
  return around->inChunk(indices, b.add(first, row));
}

/// The same for a step of a part of this level.
NamedIndices DecayedScores::inChunk(const NamedIndices &indices, StringAttr partStep) {
  Value first = b.mul(indices[level.parts], b.integer(level.part));
  return inChunk(indices, b.add(first, indices[partStep]));
}

/// Of columns in parts before the row's, 0 for others: over parts, their rows, and columns.
Value DecayedScores::far() {
  Value beforeInPart = decay.beforeInPart(isNew), behindInPart = decay.behindInPart();
  Value between = decay.partsBetween();
  Value left =
      b.tensor(concat(outer, {level.parts, level.partRow}, summed), [&](const NamedIndices &at) {
        return b.mul(b.at(weights, inChunk(at, level.partRow)), b.at(beforeInPart, at));
      });
  Value right =
      b.tensor(concat(outer, {level.parts, level.column}, summed), [&](const NamedIndices &at) {
        NamedIndices own = decay.inParts(at, at[level.column]);
        Value column = b.at(columns, inChunk(at, at[level.column]));
        Value scaled = b.mul(b.mul(column, b.at(behindInPart, own)),
                             b.at(between, at.with(level.partsBefore, own[level.parts])));
        return b.select(b.isLess(own[level.parts], at[level.parts]), scaled, b.real(0.0));
      });
  return b.tensor(concat(outer, {level.parts, level.partRow, level.column}),
                  [&](const NamedIndices &at) {
                    return b.sum(summed, at, [&](const NamedIndices &in) {
                      return b.mul(b.at(left, in), b.at(right, in));
                    });
                  });
}

/// Of pairs of steps in the smallest parts: over all rows of the level, as these are few, and the
/// columns of a part.
Value DecayedScores::stepScores() {
  decay.factors();
  return b.tensor(concat(outer, {level.row, level.partColumn}), [&](const NamedIndices &at) {
    NamedIndices own = decay.inParts(at, at[level.row]);
    Value score = b.sum(summed, own, [&](const NamedIndices &in) {
      Value row = b.at(weights, inChunk(in, in[level.row]));
      Value column = b.at(columns, inChunk(in, level.partColumn));
      return b.mul(b.mul(row, column), decay.near(isNew, in));
    });
    Value isIn = isBefore(b, own[level.partColumn], own[level.partRow], isNew);
    return b.select(isIn, score, b.real(0.0));
  });
}

Value DecayedScores::build() {
  ChunkDecay *parts = decay.ofParts();
  Value near = parts ? DecayedScores(*this, *parts).build() : stepScores();
  Value far = level.numParts > 1 ? this->far() : Value();
  return b.tensor(concat(outer, {level.row, level.column}), [&](const NamedIndices &at) {
    NamedIndices row = decay.inParts(at, at[level.row]);
    NamedIndices column = decay.inParts(at, at[level.column]);
    Value same = b.at(near, row.with(level.partColumn, column[level.partRow]));
    if (!far)
      return same;
    return b.select(b.isEqual(row[level.parts], column[level.parts]), same, b.at(far, row));
  });
}

Value attnc::scoresOf(ChunkBuilder &b, ChunkDecay *decay, ArrayRef<Attribute> summed, Value weights,
                      Value columns, bool isNew) {
  if (!decay || decay->isScalar())
    return maskedScores(b, decay, summed, weights, columns, isNew);
  if (b.spaces.areHalved())
    return scoresByHalves(b, *decay, summed, weights, columns, isNew);
  return DecayedScores(b, *decay, summed, weights, columns, isNew).build();
}

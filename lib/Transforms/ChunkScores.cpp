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
/// Reads weights or columns of the step that `row` of a level is.
using Reader = std::function<Value(const NamedIndices &)>;

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

/// Scores with a factor that differs along what is summed, on one level.
class DecayedScores {
public:
  DecayedScores(ChunkBuilder &b, ChunkDecay &decay, ArrayRef<Attribute> outer,
                ArrayRef<Attribute> summed, Reader weights, Reader columns, bool isNew)
      : b(b), decay(decay), level(decay.getLevel()), outer(outer.begin(), outer.end()),
        summed(summed), weights(std::move(weights)), columns(std::move(columns)), isNew(isNew) {}

  /// Over the outer axes, rows and columns of the level.
  Value build();

private:
  Value far();
  Value near();
  Value stepScores();
  Reader ofParts(const Reader &reader, StringAttr partStep);

  ChunkBuilder &b;
  ChunkDecay &decay;
  const ChunkLevel &level;
  Axes outer;
  ArrayRef<Attribute> summed;
  Reader weights, columns;
  bool isNew;
};

} // namespace

/// The reader of a step of a part.
Reader DecayedScores::ofParts(const Reader &reader, StringAttr partStep) {
  return [this, &reader, partStep](const NamedIndices &in) {
    Value first = b.mul(in[level.parts], b.integer(level.part));
    return reader(in.with(level.row, b.add(first, in[partStep])));
  };
}

/// Of columns in parts before the row's, 0 for others: over parts, their rows, and columns.
Value DecayedScores::far() {
  Value beforeInPart = decay.beforeInPart(isNew), behindInPart = decay.behindInPart();
  Value between = decay.partsBetween();
  Reader row = ofParts(weights, level.partRow);
  Value left =
      b.tensor(concat(outer, {level.parts, level.partRow}, summed),
               [&](const NamedIndices &at) { return b.mul(row(at), b.at(beforeInPart, at)); });
  Value right =
      b.tensor(concat(outer, {level.parts, level.column}, summed), [&](const NamedIndices &at) {
        NamedIndices own = decay.inParts(at, at[level.column]);
        Value column = columns(at.with(level.row, at[level.column]));
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

/// Of pairs of steps in the smallest parts.
Value DecayedScores::stepScores() {
  decay.factors();
  Reader row = ofParts(weights, level.partRow), column = ofParts(columns, level.partColumn);
  return b.tensor(concat(outer, {level.parts, level.partRow, level.partColumn}),
                  [&](const NamedIndices &at) {
                    Value score = b.sum(summed, at, [&](const NamedIndices &in) {
                      return b.mul(b.mul(row(in), column(in)), decay.near(isNew, in));
                    });
                    Value isIn = isBefore(b, at[level.partColumn], at[level.partRow], isNew);
                    return b.select(isIn, score, b.real(0.0));
                  });
}

/// Of steps of the same part: over parts, their rows and their columns.
Value DecayedScores::near() {
  ChunkDecay *parts = decay.ofParts();
  if (!parts)
    return stepScores();
  Reader row = ofParts(weights, level.partRow), column = ofParts(columns, level.partRow);
  return DecayedScores(b, *parts, concat(outer, level.parts), summed, row, column, isNew).build();
}

Value DecayedScores::build() {
  Value near = this->near(), far = level.numParts > 1 ? this->far() : Value();
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
  Reader row = [&](const NamedIndices &in) { return b.at(weights, in); };
  Reader column = [&](const NamedIndices &in) { return b.at(columns, in); };
  return DecayedScores(b, *decay, b.inChunks(), summed, row, column, isNew).build();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Scores with a factor that differs along what is summed, all of them as products of matrices.
//
// Steps i > j lie in the second and the first half of one block of 2 h steps, for one h = 1, 2, 4,
// ... The factors between them are then those behind j in its half, and those up to i in its half:
//
//   X[h, i, d] = w[i, d] * prod(F[m, d] for m in the half of i if m <= i)    where i is in a second
//   X[h, j, d] = c[j, d] * prod(F[m, d] for m in the half of j if m > j)     where j is in a first
//   score(i, j) = sum(X[h, i, d] * X[h, j, d] for d)
//
// A step is in one of the halves for each h, so that X[h] is one tensor over the rows of the chunk.
// A product is computed for all pairs of rows, of which those are taken that h is the right one
// for; the others are products of numbers no larger than theirs.
#include "ChunkScores.h"

using namespace mlir;
using namespace attnc;

/// Over rows and what is summed: the row's side of the products for blocks of 2 `half` steps.
static Value sideOf(ChunkBuilder &b, ChunkDecay &decay, ArrayRef<Attribute> summed, Value weights,
                    Value columns, bool isNew, int64_t half) {
  ChunkBuilder::Axes axes{b.spaces.row};
  axes.append(summed.begin(), summed.end());
  return b.tensor(b.inChunks(axes), [&](const NamedIndices &at) {
    Value second = b.mul(b.at(weights, at), decay.beforeInHalf(half, isNew, at));
    Value first = b.mul(b.at(columns, at), decay.behindInHalf(half, at));
    Value number = b.remainder(b.quotient(at[b.spaces.row], half), 2);
    return b.select(b.isEqual(number, b.integer(1)), second, first);
  });
}

Value attnc::scoresByHalves(ChunkBuilder &b, ChunkDecay &decay, ArrayRef<Attribute> summed,
                            Value weights, Value columns, bool isNew) {
  const ChunkSpaces &s = b.spaces;
  SmallVector<std::pair<int64_t, Value>> sides;
  for (int64_t half = 1; half < s.chunk; half *= 2)
    sides.push_back({half, sideOf(b, decay, summed, weights, columns, isNew, half)});
  return b.tensor(b.inChunks({s.row, s.column}), [&](const NamedIndices &at) {
    auto product = [&](Value left, Value right) {
      return b.sum(summed, at, [&](const NamedIndices &in) {
        return b.mul(b.at(left, in), b.at(right, in.with(s.row, in[s.column])));
      });
    };
    // Between a step and itself there are no factors. What is chosen last is taken last, so that
    // products replace each other one by one.
    Value score = isNew ? product(weights, columns) : b.real(0.0);
    for (auto [half, side] : sides) {
      Value rowHalf = b.quotient(at[s.row], half), columnHalf = b.quotient(at[s.column], half);
      Value isOutside = b.compare(arith::CmpIPredicate::ne, rowHalf, columnHalf);
      score = b.select(isOutside, product(side, side), score);
    }
    Value end = isNew ? b.add(at[s.row], b.integer(1)) : at[s.row];
    return b.select(b.isLess(at[s.column], end), score, b.real(0.0));
  });
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an attention carries from key tile to key tile, and how a tile of scores changes it: the
// online softmax (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., 2205.14135), in two forms.
//
// For each row: m, the running maximum of the scores x; l, the sum of exp(x - m); o, the sum of
// exp(x - m) V. Exponentials are exp2 with a factor c, so that exp(score) = exp2(c x).
//
// FAST: what is subtracted is not c m but its rounding M, kept for the whole time that it is the
// maximum:
//
//   m' = max(m, rowmax x);  M' = round(c m');  p = exp2(c x - M');  alpha = exp2(M - M')
//   l' = l alpha + rowsum p;  o' = o alpha + p V
//
// A weight is one fused multiply-add, rounded once, and one exp2. M stands for the exact c m
// everywhere, so that its rounding error scales l and o alike and cancels: results are as good as
// those of exact differences x - m, while the largest p, 2^(c m - M), stays near 1: as long as |M|
// < 2^24. Beyond, it overflows. And a product adds 0 * NaN where a key is hidden and its V is not a
// number.
//
// EXACT: right for all scores and values, with one more operation for each weight and products that
// leave hidden keys out:
//
//   p = exp2((x - m') c);  alpha = exp2((m - m') c), 1 if m' is m;  o' = o alpha + (p V over the
//   keys that the row sees)
//
// Both, in f32: l is a sum of as many terms as there are key tiles, each addition rounds, and the
// whole row has its error. What the additions lose is carried along (Kahan, CACM 8(1), 1965): lost'
// = lost alpha + ((l alpha - l') + rowsum p).
//
// So a kernel runs FAST, looks once at what came out (`suspects`), and where a row of its tile is
// in doubt runs EXACT from the start. The loops pay an instruction or two a row for it. See
// docs/decisions/0007-fast-then-exact.md.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_ONLINESOFTMAX_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_ONLINESOFTMAX_H

#include "TileBuilder.h"

namespace attnc {

class OnlineSoftmax {
public:
  enum class Form { Fast, Exact };

  /// Tiles that are carried. `shift` is M in the FAST form and null in the EXACT one; `lost` is
  /// null where l is not compensated.
  struct State {
    mlir::Value m, l, o, shift, lost;
    llvm::SmallVector<mlir::Value> values() const;
    /// The tiles of `values`, of which there are those that this state has.
    State with(mlir::ValueRange values) const;
  };
  /// A tile's weights (f32), and what it makes of the state; `o` is the accumulator, rescaled.
  struct Step {
    State next;
    mlir::Value weights;
  };

  /// `rows` and `out` are the types of m and of o; `factor` is c > 0; `compensated` says whether l
  /// carries what it lost.
  OnlineSoftmax(TileBuilder &tiles, tile::TileType rows, tile::TileType out, mlir::Value factor,
                Form form, bool compensated)
      : t(tiles), rows(rows), out(out), factor(factor), form(form), compensated(compensated) {}

  /// The state before any key. `sink`, a score of each row (null: none), counts as a key without a
  /// value.
  mlir::FailureOr<State> begin(mlir::Value sink);
  /// Takes a tile of scores (f32, -inf where hidden) whose keys start at `key0`.
  mlir::FailureOr<Step> step(const State &state, mlir::Value scores, mlir::Value key0);
  /// Adds to l what it lost.
  mlir::FailureOr<State> finish(const State &state);
  /// FAST form: i32 for each element of o, not 0 if it may be wrong.
  mlir::FailureOr<mlir::Value> suspects(const State &state);
  /// c m - M for each row: by how much, in powers of two, l and o are too large.
  mlir::FailureOr<mlir::Value> excess(const State &state);
  /// 1 where a score is not hidden, else 0 (i32).
  mlir::FailureOr<mlir::Value> visible(mlir::Value scores, mlir::Value key0);

private:
  mlir::FailureOr<mlir::Value> shiftOf(mlir::Value m);

  TileBuilder &t;
  tile::TileType rows, out;
  mlir::Value factor;
  Form form;
  bool compensated;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_ONLINESOFTMAX_H

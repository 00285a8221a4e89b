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
// A sink is a further key without a value, and the last one, so that p is relative to the largest
// score of the keys alone.
//
// So a kernel runs FAST, looks once at what came out (`suspects`), and where a row of its tile is
// in doubt runs EXACT from the start. The loops pay an instruction or two a row for it. See
// docs/decisions/0007-fast-then-exact.md.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_ONLINESOFTMAX_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_ONLINESOFTMAX_H

#include "Parts.h"
#include "TileBuilder.h"

namespace attnc {

/// What an online softmax takes from the attention that it is of.
class Attention {
public:
  virtual ~Attention() = default;
  /// The scores of the keys of `tile`: f32, -inf where hidden.
  virtual mlir::FailureOr<mlir::Value> scores(const WalkTile &tile) = 0;
  /// `acc` and the weights' product with the values of `tile`. With `scores`, those of the tile,
  /// only keys that are not hidden take part; without (null) all do.
  virtual mlir::Value accumulate(mlir::Value weights, const WalkTile &tile, mlir::Value acc,
                                 mlir::Value scores) = 0;
};

class OnlineSoftmax : public Carry {
public:
  enum class Form { Fast, Exact };

  /// What it is of.
  struct Problem {
    tile::TileType rows, out; ///< of m and of o
    mlir::Value factor;       ///< c > 0
    mlir::Value sink; ///< a score of each row, which counts as a key without a value; null: none
    bool compensated; ///< l carries what it lost
  };
  /// What comes out; `shift` is M in the FAST form and null in the EXACT one.
  struct Result {
    mlir::Value m, l, o, shift;
  };

  OnlineSoftmax(TileBuilder &tiles, Attention &attention, const Problem &problem, Form form)
      : t(tiles), attention(attention), problem(problem), form(form) {}

  mlir::FailureOr<State> init() override;
  mlir::FailureOr<State> step(mlir::ValueRange state, const WalkTile &tile) override;
  /// The tiles of a Result, as `resultOf` reads them.
  mlir::FailureOr<State> finish(mlir::ValueRange state) override;

  static Result resultOf(mlir::ValueRange finished);
  /// FAST form: i32 for each element of o, not 0 if it may be wrong.
  mlir::Value suspects(const Result &result);
  /// c m - M for each row: by how much, in powers of two, l and o are too large.
  mlir::Value excess(const Result &result);

private:
  /// The tiles of a state. `shift` is M in the FAST form and null in the EXACT one; `lost` is null
  /// where l is not compensated.
  struct Tiles {
    mlir::Value m, l, o, shift, lost;
    State values() const;
  };
  Tiles tilesOf(mlir::ValueRange state) const;
  Tiles withSink(const Tiles &state);
  mlir::Value shiftOf(mlir::Value m);
  mlir::Value decay(const Tiles &state, const Tiles &next);
  mlir::Value weights(const Tiles &next, mlir::Value scores, mlir::Value key0);
  mlir::Value lost(const Tiles &state, const Tiles &next, mlir::Value alpha, mlir::Value mass);

  TileBuilder &t;
  Attention &attention;
  Problem problem;
  Form form;
};

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_ONLINESOFTMAX_H

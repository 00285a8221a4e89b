// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reference interpreter: the meaning of a variant, computed in float64 by the formula in the
// description of `attn.attend`. It shares the dialect with the back ends and nothing else.
#ifndef ATTNC_REFERENCE_REFERENCE_H
#define ATTNC_REFERENCE_REFERENCE_H

#include "attnc/Reference/Decisions.h"
#include "attnc/Support/Binding.h"
#include "dialects/Attn/Attn.h"
#include "llvm/Support/Error.h"

#include <map>
#include <string>
#include <vector>

namespace attnc::reference {

/// What a run is given. Tensors are read through their strides; parameters that are not bound have
/// their defaults.
struct Bindings {
  std::map<std::string, TensorView> inputs;
  std::map<std::string, double> params;
};

/// A dense row-major float64 tensor.
struct Tensor64 {
  std::vector<int64_t> shape;
  std::vector<double> data;
};

/// What `variant` takes and yields. Fails if it has an op or a type that the signature cannot say.
llvm::Expected<Signature> signatureOf(attn::VariantOp variant);

/// Computes every output of `variant`. Fails, with a message for the user, if the bindings do not
/// fit. Rows of heads are computed by up to `numThreads` threads (0: as many as the machine has
/// cores).
llvm::Expected<std::map<std::string, Tensor64>>
run(attn::VariantOp variant, const Bindings &bindings, unsigned numThreads = 0);

/// In what arithmetic a run computes reals. Ints and conditions are the same in all of them.
enum class Arithmetic {
  Float64,   ///< the meaning of a variant
  Float32,   ///< every operation and every partial sum rounded to f32
  Farther32, ///< the same, but to the farther one of the two f32 numbers next to it, or 0 where f32
             ///< has subnormal ones only; quotients and functions, which executors may round
             ///< otherwise, also where they are such numbers
  Perturbed, ///< float64 with the roundings of an executor drawn: see Roundoffs
};

/// Sizes of the relative errors that a perturbed run makes. Each result of an operation is changed
/// by `operation` up or down, a sum of n terms by sqrt(n) times that, the operands of an
/// attention's products by `operand` and its weights by `weight`. `factor` changes what a step of a
/// recurrence reads of tensors that have more axes than the batch and time, and are neither states
/// nor f32 tensors of the caller, and what it multiplies that is computed from such, at each place
/// in its own way: an executor may multiply it by others first, and round. Below the smallest
/// normal number of f32 it is at least `least`, or all of the number: 2^-149 where subnormal
/// numbers are kept, 2^-126 where they are flushed to 0. The direction is a hash of the value and
/// of the run's seed, so that a run is reproduced by its seed, on any number of threads.
struct Roundoffs {
  double operation = 0x1p-24, operand = 0, factor = 0, weight = 0;
  double least = 0x1p-149;
};

/// How `runWith` departs from `run`.
struct RunOptions {
  unsigned numThreads = 0;
  Arithmetic arithmetic = Arithmetic::Float64;
  Roundoffs roundoffs;
  uint64_t seed = 0;
  /// Taken instead of the run's own. An op that they do not name decides itself, and so does each
  /// place that is NaN.
  const Decisions *forced = nullptr;
  /// Receives the run's own decisions. With `forced` beside it they are what the run would decide
  /// at each place if all decisions before it were the forced ones, so that they differ where one
  /// is taken the other way and not behind it.
  Decisions *recorded = nullptr;
  /// Rows (indices of the space `q`, in rising order) at which outputs are wanted; empty: all. At
  /// other rows of an output, and of what only such rows need, is NaN.
  std::vector<int64_t> rows;
};

/// `run` in another arithmetic, or with decisions that another run has taken. Fails as `run` does,
/// and if the forced decisions are not those of this variant at these sizes.
llvm::Expected<std::map<std::string, Tensor64>>
runWith(attn::VariantOp variant, const Bindings &bindings, const RunOptions &options);

/// The mask of the variant's attention stage for one batch entry and query head: q x kv flags in
/// row-major order, 1 where the row attends to the key. All 1 without a mask.
llvm::Expected<std::vector<char>> evaluateMask(attn::VariantOp variant, const Bindings &bindings,
                                               int64_t b, int64_t h);

} // namespace attnc::reference

#endif // ATTNC_REFERENCE_REFERENCE_H

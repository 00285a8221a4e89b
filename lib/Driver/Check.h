// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc run --check: outputs of an executor against the float64 reference, and the bounds that they
// are held to. docs/Testing.md derives the bounds.
#ifndef ATTNC_LIB_DRIVER_CHECK_H
#define ATTNC_LIB_DRIVER_CHECK_H

#include "Replay.h"
#include "attnc/Reference/Judge.h"
#include "llvm/Support/JSON.h"
#include <cmath>

namespace attnc::driver {

/// How far an output is from the reference, and how far it may be.
struct OutputError {
  std::string name;
  double relativeFrobenius = 0, frobeniusBound = 0; ///< |x - r| / |r| over the whole tensor
  double maximum = 0, maximumBound = 0; ///< |x - r| and its bound where it exceeds it the most
  /// The larger of error / bound, of norms and of elements. 0 for no error, whatever the bound.
  double worst = 0;
  /// Written so that NaN fails, and that an error without a bound does.
  bool ok() const { return worst <= 1 && std::isfinite(frobeniusBound); }
};

struct CheckResult {
  std::vector<OutputError> outputs;
  std::vector<reference::DecisionVerdict> decisions; ///< of an executor that says which it took
  /// Names of decisions that the executor did not say, so that the reference took its own.
  std::vector<std::string> unsaid;
  /// Why none were asked for; empty if they were, or there are none.
  std::string notReplayed;
  bool ok() const;
};

/// What the outputs that are compared come from.
struct CheckRequest {
  /// From files, whoever computed them.
  bool isGiven = false;
  /// The inputs were drawn from a continuum, so that ties are rare: decisions may be taken
  /// otherwise in few rows only.
  bool isSampled = true;
  const Replay *replay = nullptr; ///< what the device decided; null if that is not known
  /// Indices of `q`, in rising order, at which outputs are compared and the reference computes
  /// them; empty: all.
  std::vector<int64_t> rows;
};

/// `count` of the rows of `bound`, with the first and the last one, drawn by `seed`; all of them as
/// an empty list if there are no more than that.
std::vector<int64_t> sampleRows(const BoundSpec &bound, int64_t count, uint64_t seed);

/// Compares `bound.outputs`, which `device` has computed, with the float64 reference. If it is
/// known what the device decided, the reference decides as the device has, and the decisions are
/// judged. On the reference itself, unless they are given, it compares the reference in f32
/// arithmetic, whose decisions are forced on the float64 one. Infinities must agree exactly; a NaN
/// must be a NaN in the reference too. Fails as `reference::run` does.
llvm::Expected<CheckResult> checkOutputs(Spec &spec, BoundSpec &bound, const Device &device,
                                         const CheckRequest &request);

void printCheck(const CheckResult &result);
llvm::json::Object checkAsJson(const CheckResult &result);
llvm::json::Object decisionsAsJson(const CheckResult &result);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_CHECK_H

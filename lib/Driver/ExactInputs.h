// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inputs under which decisions must be equal on every executor, because what they are taken from is
// exact in f32, and tie or nearly so.
#ifndef ATTNC_LIB_DRIVER_EXACTINPUTS_H
#define ATTNC_LIB_DRIVER_EXACTINPUTS_H

#include "attnc/Support/Binding.h"
#include <optional>
#include <string_view>

namespace attnc::driver {

enum class DrawnInputs : uint8_t {
  Sampled, ///< by the clause `sample`: see fillSample
  /// Quarters from -1 to 1; with a clause `sample`, what it draws rounded to quarters. Sums of
  /// products of up to 64 dimensions and means over powers of two of them are exact in f32.
  Exact,
  /// Around 1, within 8 units in the last place: a wrong digit of a comparison shows.
  Neighbours,
  /// Any finite bit pattern of the type: every digit and sign counts.
  Bits,
};

/// The name of an option's value: "sampled", "exact", "neighbours" or "bits".
std::optional<DrawnInputs> parseDrawnInputs(std::string_view name);

/// Fills a dense row-major tensor. Ints and conditions are those of fillSample; of reals, too, the
/// values depend on the seed, the tensor's name and its shape alone.
void fillInput(DrawnInputs kind, const TensorDecl &decl, const BoundSizes &sizes, uint64_t seed,
               TensorView tensor);

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_EXACTINPUTS_H

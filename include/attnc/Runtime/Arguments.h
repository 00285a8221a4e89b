// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From named tensors and parameters to the argument slots and the grid of a kernel: what is checked
// before any launch, on the host and on a GPU alike. No MLIR here.
#ifndef ATTNC_RUNTIME_ARGUMENTS_H
#define ATTNC_RUNTIME_ARGUMENTS_H

#include "attnc/Runtime/KernelABI.h"
#include <map>
#include <optional>
#include <string>

namespace attnc {

/// What a caller passes to a launch. Tensors are named as in the variant.
struct LaunchInputs {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, double> params;
};

/// A launch that has been checked.
struct PackedArguments {
  std::vector<uint64_t> slots;          ///< one for each KernelABI::args
  std::array<int64_t, 3> grid{0, 0, 0}; ///< points; a launch with a 0 has nothing to do
  std::map<std::string, int64_t> sizes; ///< of the index spaces
};

/// Checks `inputs` against `abi` and packs them. On failure returns no value and sets `error` to a
/// sentence that says what was expected, what was found and what to do.
std::optional<PackedArguments> packArguments(const KernelABI &abi, const LaunchInputs &inputs,
                                             std::string &error);

} // namespace attnc

#endif // ATTNC_RUNTIME_ARGUMENTS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From named tensors and parameters to the argument slots and grids of a program's launches: what
// is checked before any launch, on the host and on a GPU alike. No MLIR here.
#ifndef ATTNC_RUNTIME_ARGUMENTS_H
#define ATTNC_RUNTIME_ARGUMENTS_H

#include "attnc/Runtime/Workspace.h"
#include <map>

namespace attnc {

/// What a caller passes to a launch. Tensors are named as in the variant.
struct LaunchInputs {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, double> params;
};

/// One launch of a run.
struct PackedLaunch {
  size_t launch = 0;             ///< of the program
  std::array<int64_t, 3> grid{}; ///< points; one with a 0 has nothing to do
};

/// A run of a program that has been checked.
struct PackedArguments {
  /// Argument slots of all launches, one after another. Those of workspace pointers hold offsets.
  std::vector<uint64_t> slots;
  std::vector<PackedLaunch> launches; ///< in order; those of a loop once for each chunk
  int64_t workspaceBytes = 0;
};

/// Milliseconds that each launch of a program took in one run, those of a loop for all chunks.
using LaunchTimes = std::vector<double>;

/// Checks `inputs` against `program` and packs them. Parameters that are not given have their
/// defaults. The failure says what was expected, what was found and what to do.
Outcome<PackedArguments> packArguments(const Program &program, const LaunchInputs &inputs);

/// True if a launch has workspace among its arguments.
bool usesWorkspace(const KernelLaunch &launch);

/// Copies the slots of one launch to `out`, workspace pointers as addresses in the block at
/// `workspace`.
void bindWorkspace(const KernelLaunch &launch, const uint64_t *slots, uint64_t workspace,
                   uint64_t *out);

} // namespace attnc

#endif // ATTNC_RUNTIME_ARGUMENTS_H

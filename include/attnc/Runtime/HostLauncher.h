// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs a host kernel over its grid on kept threads. No MLIR here.
#ifndef ATTNC_RUNTIME_HOSTLAUNCHER_H
#define ATTNC_RUNTIME_HOSTLAUNCHER_H

#include "attnc/Runtime/Arguments.h"
#include <memory>

namespace attnc {

/// Threads and their scratch memory, kept between launches. The calling thread works too. Launches
/// on one launcher from several threads take turns.
class HostLauncher {
public:
  /// `threads` 0: the environment variable ATTNC_NUM_THREADS, else one for each CPU of this
  /// process.
  explicit HostLauncher(unsigned threads = 0);
  ~HostLauncher();

  unsigned numThreads() const;

  /// Checks and packs `inputs`, then runs every point of the grid and returns when all are done.
  /// Returns false and sets `error` if the inputs do not fit or memory is short; then no output was
  /// written.
  bool launch(const KernelABI &abi, HostKernelFn kernel, const LaunchInputs &inputs,
              std::string &error);
  /// The same for arguments that packArguments has checked.
  bool launch(const KernelABI &abi, HostKernelFn kernel, const PackedArguments &arguments,
              std::string &error);

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace attnc

#endif // ATTNC_RUNTIME_HOSTLAUNCHER_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Runs the kernels of a host program over their grids on kept threads. No MLIR here.
#ifndef ATTNC_RUNTIME_HOSTLAUNCHER_H
#define ATTNC_RUNTIME_HOSTLAUNCHER_H

#include "attnc/Runtime/Arguments.h"
#include "attnc/Support/Threads.h"
#include <atomic>

namespace attnc {

/// Threads of a caller: `run` calls body(argument, i) for i from 0 to count - 1, on any threads,
/// and returns when all calls have returned.
struct ParallelFor {
  void (*run)(void *context, int32_t count, void (*body)(void *argument, int32_t i),
              void *argument) = nullptr;
  void *context = nullptr;
  int32_t workers = 1; ///< how many calls are of use at once
};

/// Threads, their scratch memory and workspaces, kept between launches.
///
/// The calling thread always works on its own launch, and the kept threads help where points are
/// left, those of the launch with the fewest helpers first. So launches from several threads run at
/// once, and a short one never waits for a long one. In a forked child, where the threads of the
/// parent are not, new ones are started.
class HostLauncher {
public:
  /// Most threads that a launcher takes.
  static constexpr unsigned maxThreads = kMaxThreads;

  /// `threads` 0: the environment variable ATTNC_NUM_THREADS, else one for each CPU of this
  /// process. At most maxThreads. The threads are started by the first launch that has use for
  /// them.
  explicit HostLauncher(unsigned threads = 0);
  /// Has no threads of its own: launches run on the caller's, and on the thread that launches.
  explicit HostLauncher(ParallelFor parallel);
  ~HostLauncher();

  unsigned numThreads() const;

  /// Checks and packs `inputs`, then runs the program and returns when all is done. `kernels` has
  /// the code of each of its launches. Fails if the inputs do not fit or memory is short. If the
  /// inputs do not fit, no output was written.
  Failure launch(const Program &program, const std::vector<HostKernelFn> &kernels,
                 const LaunchInputs &inputs);
  /// The same for arguments that packArguments has checked: every point of each launch's grid, one
  /// launch after the other. `workspace` null: the launcher's own. `times` null: nothing is timed.
  Failure run(const Program &program, const std::vector<HostKernelFn> &kernels,
              const PackedArguments &arguments, WorkspaceBlock workspace,
              LaunchTimes *times = nullptr);

private:
  class Pool;
  Failure runKernel(const KernelLaunch &launch, HostKernelFn kernel, const uint64_t *slots,
                    const std::array<int64_t, 3> &grid);
  Pool &pool();
  const unsigned threads;
  const ParallelFor parallel; ///< with a null `run`: threads of our own
  /// The pool of this process. After a fork it is the parent's until the first launch.
  std::atomic<Pool *> current;
};

} // namespace attnc

#endif // ATTNC_RUNTIME_HOSTLAUNCHER_H

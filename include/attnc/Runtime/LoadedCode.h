// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiled code on a device, wherever it came from: what a process launches, with a compiler or
// without one.
#ifndef ATTNC_RUNTIME_LOADEDCODE_H
#define ATTNC_RUNTIME_LOADEDCODE_H

#include "attnc/Runtime/CUDA/LoadedProgram.h"
#include "attnc/Runtime/CodeFile.h"
#include "attnc/Runtime/HostImage.h"
#include "attnc/Runtime/HostLauncher.h"

namespace attnc {

/// Code that is ready to launch any number of times, from several threads.
class LoadedCode {
public:
  /// Native code of this process. Code that needs features of a CPU that this one lacks is a
  /// failure that names them.
  static Outcome<std::unique_ptr<LoadedCode>> loadHost(CompiledCode code,
                                                       std::shared_ptr<HostLauncher> launcher);
  /// PTX on a CUDA device (or the emulator).
  static Outcome<std::unique_ptr<LoadedCode>> loadCUDA(CompiledCode code,
                                                       std::shared_ptr<cuda::Device> device);

  /// Where launches on the host run from now on; none is in flight.
  void setLauncher(std::shared_ptr<HostLauncher> other) { launcher = std::move(other); }

  const Program &program() const { return description; }
  const std::string &target() const { return targetName; }

  /// Checks the inputs and packs them for `run`.
  Outcome<PackedArguments> prepare(const LaunchInputs &inputs) const;
  /// Launches what `prepare` of this code has made: a walk over arrays, without a look at a name.
  /// Memory is allocated by the first runs only (threads and their scratch memory, and workspace
  /// where the caller gives none). With `times` it waits for the device, and says how long each
  /// launch took.
  Failure run(const PackedArguments &arguments, cuda::Stream stream = nullptr,
              WorkspaceBlock workspace = {}, LaunchTimes *times = nullptr);

private:
  LoadedCode() = default;
  Program description;
  std::string targetName;
  // Of host code.
  std::unique_ptr<HostImage> image;
  std::vector<HostKernelFn> kernels; ///< of each launch
  std::shared_ptr<HostLauncher> launcher;
  // Of a device's.
  std::unique_ptr<cuda::LoadedProgram> loaded;
};

} // namespace attnc

#endif // ATTNC_RUNTIME_LOADEDCODE_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program of kernels on a CUDA device.
#ifndef ATTNC_RUNTIME_CUDA_LOADEDPROGRAM_H
#define ATTNC_RUNTIME_CUDA_LOADEDPROGRAM_H

#include "attnc/Runtime/Arguments.h"
#include "attnc/Runtime/CUDA/Driver.h"
#include "attnc/Support/InlineBuffer.h"
#include <memory>
#include <mutex>
#include <string_view>

namespace attnc::cuda {

class TensorMaps;

/// A program loaded on a device, ready to launch on any stream, from several threads.
class LoadedProgram {
public:
  /// Loads PTX (or a cubin) and finds the program's kernels; opts in to their shared memory. A
  /// rejected module's error carries the driver's log.
  static Outcome<std::unique_ptr<LoadedProgram>> load(std::shared_ptr<Device> device,
                                                      std::string_view image, Program program);
  ~LoadedProgram();

  /// Launches the kernels in order on `stream` with arguments that packArguments has checked, each
  /// as one grid, or in slices where a device has no grid that large. Does not synchronise, and
  /// allocates nothing if `workspace`, in memory of the device, is given or not needed. Without it
  /// the program has a block of its own for each stream, which is allocated by the first run there
  /// that needs one, or a larger one; while a stream is captured that is an error.
  ///
  /// With `times` it waits for the kernels and says how long each launch took. On an emulated
  /// device a millisecond stands for 10^6 instructions of warps.
  Failure launch(const PackedArguments &arguments, WorkspaceBlock workspace, Stream stream,
                 LaunchTimes *times = nullptr);

  const Program &program() const { return description; }

private:
  /// Workspace of one stream.
  struct StreamBlock {
    Stream stream;
    size_t thread; ///< the default stream of each thread is another one
    DevicePtr data;
    int64_t bytes;
  };

  /// Argument slots of one launch.
  using SlotBuffer = InlineBuffer<uint64_t, 128>;

  LoadedProgram();
  Failure findKernels();
  Failure launchAll(const PackedArguments &arguments, uint64_t workspace, Stream stream,
                    LaunchTimes *times);
  Failure launchKernel(size_t index, SlotBuffer &slots, const std::array<int64_t, 3> &grid,
                       Stream stream);
  Outcome<DevicePtr> ownWorkspace(int64_t bytes, Stream stream);

  std::shared_ptr<Device> device;
  Program description;
  void *module = nullptr;
  std::vector<void *> functions;                              ///< of each launch
  std::vector<std::vector<std::unique_ptr<TensorMaps>>> maps; ///< of each launch
  std::mutex mutex; ///< of `blocks`, and held while their kernels are launched
  std::vector<StreamBlock> blocks;
};

} // namespace attnc::cuda

#endif // ATTNC_RUNTIME_CUDA_LOADEDPROGRAM_H

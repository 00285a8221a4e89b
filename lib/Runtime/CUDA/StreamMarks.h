// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Points of a stream, and the times between them: how launches of one run are timed one by one.
#ifndef ATTNC_LIB_RUNTIME_CUDA_STREAMMARKS_H
#define ATTNC_LIB_RUNTIME_CUDA_STREAMMARKS_H

#include "attnc/Runtime/CUDA/Driver.h"
#include <vector>

namespace attnc::cuda {

/// Events of one stream in their order. Without any it costs nothing.
class StreamMarks {
public:
  explicit StreamMarks(std::shared_ptr<Device> device) : device(std::move(device)) {}
  StreamMarks(const StreamMarks &) = delete;
  ~StreamMarks();

  /// Marks the point of `stream` behind all that was given to it. The device's context is current.
  Failure add(Stream stream);
  /// Waits for the last mark. Milliseconds between each mark and the next one; on an emulated
  /// device a millisecond stands for 10^6 instructions of warps.
  Outcome<std::vector<double>> milliseconds() const;

private:
  std::shared_ptr<Device> device;
  std::vector<void *> events;
};

} // namespace attnc::cuda

#endif // ATTNC_LIB_RUNTIME_CUDA_STREAMMARKS_H

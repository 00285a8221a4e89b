// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The CUDA Driver API, opened at run time. attnc links against no CUDA library: the driver is
// `libcuda.so.1`, or the library that the environment variable ATTNC_CUDA_DRIVER names (the PTX
// emulator is one). Declarations of the few entry points we use are our own, so no CUDA toolkit is
// needed to build.
#ifndef ATTNC_RUNTIME_CUDA_DRIVER_H
#define ATTNC_RUNTIME_CUDA_DRIVER_H

#include "attnc/Support/Failure.h"
#include <cstdint>
#include <memory>
#include <string>

namespace attnc::cuda {

/// CUdeviceptr.
using DevicePtr = unsigned long long;
/// CUstream; null is the default stream.
using Stream = void *;

/// What a device says about itself.
struct DeviceInfo {
  std::string name;
  int major = 0, minor = 0; ///< compute capability
  int driverVersion = 0;    ///< 13000 for 13.0
  int multiprocessors = 0;
  int64_t memoryBytes = 0;
  int64_t sharedMemoryLimit = 0; ///< opt-in maximum for one thread block, bytes
  /// True for the PTX emulator: times are not times.
  bool emulated() const { return name.find("EMULATED") != std::string::npos; }
  /// The target to compile for: "sm_90a" for compute capability 9.0.
  std::string targetName() const;
};

/// One device with its primary context. All calls are safe from several threads; each makes the
/// context current on the calling thread.
class Device {
public:
  /// Opens the driver and device `ordinal`. Errors: no driver library, a library without a needed
  /// entry point, no device, or a driver error with its CUDA name and text.
  static Outcome<std::shared_ptr<Device>> open(int ordinal = 0);
  ~Device();

  const DeviceInfo &info() const;
  /// Path of the driver library.
  const std::string &driverPath() const;

  // Errors of all of these are the driver's, with CUDA's name and text for them. A kernel that went
  // wrong may be reported by any later call.

  /// Device memory of `bytes` bytes, contents arbitrary, for `free`. 0 bytes have an address too.
  Outcome<DevicePtr> allocate(size_t bytes);
  /// Gives back what `allocate` returned, which no work that is under way may use.
  Failure free(DevicePtr pointer);
  /// Copies `bytes` bytes from `source` in host memory, which may change as soon as it returns. The
  /// copy is work of the default stream.
  Failure copyToDevice(DevicePtr destination, const void *source, size_t bytes);
  /// Copies `bytes` bytes to `destination` in host memory, where they are when it returns. The copy
  /// is work of the default stream.
  Failure copyToHost(void *destination, DevicePtr source, size_t bytes);
  /// Waits for all work of this context, on all streams.
  Failure synchronize();

  struct Impl;
  Impl &impl() { return *state; }

private:
  explicit Device(std::unique_ptr<Impl> state);
  std::unique_ptr<Impl> state;
};

/// Milliseconds between two points of a stream, for benchmarks. Refuses an emulated device.
class Timer {
public:
  static Outcome<std::unique_ptr<Timer>> create(std::shared_ptr<Device> device);
  ~Timer();
  Failure start(Stream stream);
  Outcome<double> stop(Stream stream);

private:
  Timer() = default;
  std::shared_ptr<Device> device;
  void *begin = nullptr, *end = nullptr;
};

} // namespace attnc::cuda

#endif // ATTNC_RUNTIME_CUDA_DRIVER_H

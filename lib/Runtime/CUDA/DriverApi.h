// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The entry points of the CUDA Driver API that we use, and the state of a device: what the files of
// this folder share.
#ifndef ATTNC_LIB_RUNTIME_CUDA_DRIVERAPI_H
#define ATTNC_LIB_RUNTIME_CUDA_DRIVERAPI_H

#include "attnc/Runtime/CUDA/Driver.h"
#include "attnc/Support/Format.h"

namespace attnc::cuda {

using Result = int; // CUresult; 0 is success

// Values of the CUDA Driver API that we use (CUDA Driver API reference, data types).
enum : int {
  kAttrMultiprocessors = 16,
  kAttrComputeMajor = 75,
  kAttrComputeMinor = 76,
  kAttrSharedOptIn = 97,
  kFuncMaxDynamicShared = 8,
  kJitInfoLog = 3,
  kJitInfoLogSize = 4,
  kJitErrorLog = 5,
  kJitErrorLogSize = 6,
};

/// The entry points, by the name that libcuda exports.
struct Api {
  Result (*cuInit)(unsigned);
  Result (*cuDriverGetVersion)(int *);
  Result (*cuGetErrorName)(Result, const char **);
  Result (*cuGetErrorString)(Result, const char **);
  Result (*cuDeviceGetCount)(int *);
  Result (*cuDeviceGet)(int *, int);
  Result (*cuDeviceGetName)(char *, int, int);
  Result (*cuDeviceGetAttribute)(int *, int, int);
  Result (*cuDeviceTotalMem_v2)(size_t *, int);
  Result (*cuDevicePrimaryCtxRetain)(void **, int);
  Result (*cuDevicePrimaryCtxRelease_v2)(int);
  Result (*cuCtxSetCurrent)(void *);
  Result (*cuCtxSynchronize)();
  Result (*cuMemAlloc_v2)(DevicePtr *, size_t);
  Result (*cuMemFree_v2)(DevicePtr);
  Result (*cuMemcpyHtoD_v2)(DevicePtr, const void *, size_t);
  Result (*cuMemcpyDtoH_v2)(void *, DevicePtr, size_t);
  Result (*cuModuleLoadDataEx)(void **, const void *, unsigned, int *, void **);
  Result (*cuModuleUnload)(void *);
  Result (*cuModuleGetFunction)(void **, void *, const char *);
  Result (*cuFuncSetAttribute)(void *, int, int);
  Result (*cuStreamIsCapturing)(void *, int *);
  Result (*cuLaunchKernel)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                           unsigned, void *, void **, void **);
  /// Null in drivers before CUDA 12.
  Result (*cuTensorMapEncodeTiled)(void *, int, uint32_t, void *, const uint64_t *,
                                   const uint64_t *, const uint32_t *, const uint32_t *, int, int,
                                   int, int);
  Result (*cuEventCreate)(void **, unsigned);
  Result (*cuEventDestroy_v2)(void *);
  Result (*cuEventRecord)(void *, void *);
  Result (*cuEventSynchronize)(void *);
  Result (*cuEventElapsedTime)(float *, void *, void *);
};

struct Device::Impl {
  Api api{};
  void *library = nullptr;
  std::string path;
  int device = 0;
  void *context = nullptr;
  DeviceInfo info;

  Failure check(Result result, std::string_view call) const {
    if (result == 0)
      return Failure::success();
    const char *name = nullptr, *text = nullptr;
    api.cuGetErrorName(result, &name);
    api.cuGetErrorString(result, &text);
    return Failure(formatText("{0} failed: {1} ({2}): {3}", call,
                              name ? name : "unknown CUDA error", result,
                              text ? text : "no description"));
  }
  Failure makeCurrent() const { return check(api.cuCtxSetCurrent(context), "cuCtxSetCurrent"); }

  Failure load();
};

} // namespace attnc::cuda

#endif // ATTNC_LIB_RUNTIME_CUDA_DRIVERAPI_H

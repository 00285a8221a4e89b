// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loading the driver, and the thin layer over it. Every CUDA error becomes a Failure that
// carries the call, the error's name and its text.
#include "DriverApi.h"
#include "attnc/Support/Environment.h"
#include <cstdlib>
#include <dlfcn.h>

using namespace attnc;
using namespace attnc::cuda;

static std::string driverName() {
  const char *given = readVariable(Variable::CudaDriver);
  return given && *given ? given : "libcuda.so.1";
}

/// Opens the library and resolves every entry point, or says which is missing.
Failure Device::Impl::load() {
  path = driverName();
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *reason = dlerror();
    return Failure(formatText(
        "no CUDA driver: cannot open `{0}` ({1}). Install the NVIDIA driver, name a driver library "
        "in ATTNC_CUDA_DRIVER, or use --device=host",
        path, reason ? reason : "unknown reason"));
  }
  const char *missing = nullptr;
  auto resolve = [&](auto &slot, const char *name) {
    slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(dlsym(library, name));
    if (!slot && !missing)
      missing = name;
  };
  api.cuTensorMapEncodeTiled = reinterpret_cast<decltype(api.cuTensorMapEncodeTiled)>(
      dlsym(library, "cuTensorMapEncodeTiled"));
#define ATTNC_RESOLVE(name) resolve(api.name, #name)
  ATTNC_RESOLVE(cuInit);
  ATTNC_RESOLVE(cuDriverGetVersion);
  ATTNC_RESOLVE(cuGetErrorName);
  ATTNC_RESOLVE(cuGetErrorString);
  ATTNC_RESOLVE(cuDeviceGetCount);
  ATTNC_RESOLVE(cuDeviceGet);
  ATTNC_RESOLVE(cuDeviceGetName);
  ATTNC_RESOLVE(cuDeviceGetAttribute);
  ATTNC_RESOLVE(cuDeviceTotalMem_v2);
  ATTNC_RESOLVE(cuDevicePrimaryCtxRetain);
  ATTNC_RESOLVE(cuDevicePrimaryCtxRelease_v2);
  ATTNC_RESOLVE(cuCtxSetCurrent);
  ATTNC_RESOLVE(cuCtxSynchronize);
  ATTNC_RESOLVE(cuMemAlloc_v2);
  ATTNC_RESOLVE(cuMemFree_v2);
  ATTNC_RESOLVE(cuMemcpyHtoD_v2);
  ATTNC_RESOLVE(cuMemcpyDtoH_v2);
  ATTNC_RESOLVE(cuModuleLoadDataEx);
  ATTNC_RESOLVE(cuModuleUnload);
  ATTNC_RESOLVE(cuModuleGetFunction);
  ATTNC_RESOLVE(cuFuncSetAttribute);
  ATTNC_RESOLVE(cuStreamIsCapturing);
  ATTNC_RESOLVE(cuLaunchKernel);
  ATTNC_RESOLVE(cuEventCreate);
  ATTNC_RESOLVE(cuEventDestroy_v2);
  ATTNC_RESOLVE(cuEventRecord);
  ATTNC_RESOLVE(cuEventSynchronize);
  ATTNC_RESOLVE(cuEventElapsedTime);
#undef ATTNC_RESOLVE
  if (missing)
    return Failure(formatText("`{0}` is not a usable CUDA driver: it has no `{1}`", path, missing));
  return Failure::success();
}

//===----------------------------------------------------------------------===//
// Device
//===----------------------------------------------------------------------===//

std::string DeviceInfo::targetName() const {
  std::string target = formatText("sm_{0}{1}", major, minor);
  // Architecture-specific targets are a superset for the device they name.
  bool specific =
      (major == 9 && minor == 0) || (major == 10 && minor == 0) || (major == 12 && minor == 0);
  return specific ? target + "a" : target;
}

Device::Device(std::unique_ptr<Impl> state) : state(std::move(state)) {}

Device::~Device() {
  // The library stays loaded: unloading a driver that still has threads of its own is not safe.
  if (state && state->context)
    state->api.cuDevicePrimaryCtxRelease_v2(state->device);
}

Outcome<std::shared_ptr<Device>> Device::open(int ordinal) {
  auto impl = std::make_unique<Impl>();
  if (Failure error = impl->load())
    return error;
  Impl &d = *impl;
  int count = 0;
  if (Failure error = d.check(d.api.cuInit(0), "cuInit"))
    return error;
  if (Failure error = d.check(d.api.cuDeviceGetCount(&count), "cuDeviceGetCount"))
    return error;
  if (ordinal < 0 || ordinal >= count)
    return Failure(formatText("no CUDA device {0}: the driver reports {1}", ordinal, count));
  if (Failure error = d.check(d.api.cuDeviceGet(&d.device, ordinal), "cuDeviceGet"))
    return error;
  if (Failure error =
          d.check(d.api.cuDevicePrimaryCtxRetain(&d.context, d.device), "cuDevicePrimaryCtxRetain"))
    return error;

  char name[256] = {};
  size_t memory = 0;
  int optIn = 0;
  d.api.cuDeviceGetName(name, sizeof(name) - 1, d.device);
  d.api.cuDeviceGetAttribute(&d.info.major, kAttrComputeMajor, d.device);
  d.api.cuDeviceGetAttribute(&d.info.minor, kAttrComputeMinor, d.device);
  d.api.cuDeviceGetAttribute(&d.info.multiprocessors, kAttrMultiprocessors, d.device);
  d.api.cuDeviceGetAttribute(&optIn, kAttrSharedOptIn, d.device);
  d.api.cuDeviceTotalMem_v2(&memory, d.device);
  d.api.cuDriverGetVersion(&d.info.driverVersion);
  d.info.name = name;
  d.info.memoryBytes = memory;
  d.info.sharedMemoryLimit = optIn;
  return std::shared_ptr<Device>(new Device(std::move(impl)));
}

const DeviceInfo &Device::info() const { return state->info; }
const std::string &Device::driverPath() const { return state->path; }

Outcome<DevicePtr> Device::allocate(size_t bytes) {
  if (Failure error = state->makeCurrent())
    return error;
  DevicePtr pointer = 0;
  // The driver rejects 0 bytes, and a tensor without elements still needs an address.
  size_t size = bytes ? bytes : 1;
  if (Failure error = state->check(state->api.cuMemAlloc_v2(&pointer, size), "cuMemAlloc"))
    return error;
  return pointer;
}

Failure Device::free(DevicePtr pointer) {
  if (Failure error = state->makeCurrent())
    return error;
  return state->check(state->api.cuMemFree_v2(pointer), "cuMemFree");
}

Failure Device::copyToDevice(DevicePtr destination, const void *source, size_t bytes) {
  if (bytes == 0)
    return Failure::success();
  if (Failure error = state->makeCurrent())
    return error;
  return state->check(state->api.cuMemcpyHtoD_v2(destination, source, bytes), "cuMemcpyHtoD");
}

Failure Device::copyToHost(void *destination, DevicePtr source, size_t bytes) {
  if (bytes == 0)
    return Failure::success();
  if (Failure error = state->makeCurrent())
    return error;
  return state->check(state->api.cuMemcpyDtoH_v2(destination, source, bytes), "cuMemcpyDtoH");
}

Failure Device::synchronize() {
  if (Failure error = state->makeCurrent())
    return error;
  return state->check(state->api.cuCtxSynchronize(), "cuCtxSynchronize");
}

//===----------------------------------------------------------------------===//
// Timer
//===----------------------------------------------------------------------===//

Outcome<std::unique_ptr<Timer>> Timer::create(std::shared_ptr<Device> device) {
  if (device->info().emulated())
    return Failure(formatText("`{0}` emulates PTX: times on it mean nothing", device->info().name));
  Device::Impl &d = device->impl();
  if (Failure error = d.makeCurrent())
    return error;
  auto timer = std::unique_ptr<Timer>(new Timer());
  timer->device = device;
  if (Failure error = d.check(d.api.cuEventCreate(&timer->begin, 0), "cuEventCreate"))
    return error;
  if (Failure error = d.check(d.api.cuEventCreate(&timer->end, 0), "cuEventCreate"))
    return error;
  return timer;
}

Timer::~Timer() {
  Device::Impl &d = device->impl();
  for (void *event : {begin, end})
    if (event)
      d.api.cuEventDestroy_v2(event);
}

Failure Timer::start(Stream stream) {
  Device::Impl &d = device->impl();
  return d.check(d.api.cuEventRecord(begin, stream), "cuEventRecord");
}

Outcome<double> Timer::stop(Stream stream) {
  Device::Impl &d = device->impl();
  float milliseconds = 0;
  if (Failure error = d.check(d.api.cuEventRecord(end, stream), "cuEventRecord"))
    return error;
  if (Failure error = d.check(d.api.cuEventSynchronize(end), "cuEventSynchronize"))
    return error;
  if (Failure error =
          d.check(d.api.cuEventElapsedTime(&milliseconds, begin, end), "cuEventElapsedTime"))
    return error;
  return static_cast<double>(milliseconds);
}

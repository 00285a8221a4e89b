// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Initialisation, errors, the device and contexts of the emulated CUDA Driver API.
//
// `ATTNC_EMU_DEVICE` chooses the profile (sm_80 when unset). The device name always contains
// "EMULATED": whoever measures time must look at the name first and refuse.
#include "DriverState.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

using namespace attnc::emu;
using namespace attnc::emu::driver;

namespace attnc::emu::driver {

State &state() {
  static State *s = new State();
  return *s;
}

void *contextHandle() {
  static char context;
  return &context;
}

bool &contextIsCurrent() {
  thread_local bool current = false;
  return current;
}

void publishReport(State &s, const std::string &report) {
  s.lastReport = report;
  fputs(report.c_str(), stderr);
}

struct ErrorInfo {
  CUresult code;
  const char *name, *text;
};
static const ErrorInfo errors[] = {
    {success, "CUDA_SUCCESS", "no error"},
    {invalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {outOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {notInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {noDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {invalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {invalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {noBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {invalidPtx, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {invalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {notFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {illegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {launchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {illegalInstruction, "CUDA_ERROR_ILLEGAL_INSTRUCTION",
     "an illegal instruction was encountered"},
    {misalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {illegalState, "CUDA_ERROR_ILLEGAL_STATE",
     "the operation cannot be performed in the present state"},
    {captureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {launchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {notSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {invalidClusterSize, "CUDA_ERROR_INVALID_CLUSTER_SIZE", "cluster misconfiguration"},
};

void destroyContext(State &s) {
  for (ModuleHandle *m : s.modules)
    delete m;
  for (EventHandle *e : s.events)
    delete e;
  for (void *stream : s.streams)
    delete static_cast<char *>(stream);
  for (GraphHandle *graph : s.graphs)
    delete graph;
  s.graphs.clear();
  s.captures.clear();
  s.modules.clear();
  s.functions.clear();
  s.events.clear();
  s.streams.clear();
  s.machine = std::make_unique<Machine>(s.machine->profile(), s.machine->options());
  s.sticky = success;
}

} // namespace attnc::emu::driver

ATTNC_EMU_EXPORT CUresult cuInit(unsigned) {
  State &s = state();
  std::lock_guard<std::mutex> guard(s.lock);
  if (s.initialized)
    return success;
  const char *wish = std::getenv("ATTNC_EMU_DEVICE");
  try {
    Profile p = profileFor(wish && *wish ? wish : "sm_80");
    s.machine = std::make_unique<Machine>(p, optionsFromEnvironment());
    s.deviceName = "attnc EMULATED " + p.name + " (no GPU)";
  } catch (const std::exception &e) {
    publishReport(s, std::string("ptx emulator: ") + e.what() + "\n");
    return noDevice;
  }
  s.initialized = true;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDriverGetVersion(int *version) {
  if (!version)
    return invalidValue;
  *version = 13000;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuGetErrorName(CUresult error, const char **name) {
  if (!name)
    return invalidValue;
  *name = nullptr;
  for (const ErrorInfo &e : errors)
    if (e.code == error)
      *name = e.name;
  return *name ? success : invalidValue;
}

/// For errors that a launch or a module load reported, the text is followed by the emulator's
/// report.
ATTNC_EMU_EXPORT CUresult cuGetErrorString(CUresult error, const char **text) {
  if (!text)
    return invalidValue;
  *text = nullptr;
  for (const ErrorInfo &e : errors)
    if (e.code == error)
      *text = e.text;
  if (!*text)
    return invalidValue;
  bool fromKernel = error >= illegalAddress && error <= launchFailed;
  thread_local std::string whole;
  State &s = state();
  std::lock_guard<std::mutex> guard(s.lock);
  if (fromKernel && !s.lastReport.empty()) {
    whole = std::string(*text) + "\n" + s.lastReport;
    *text = whole.c_str();
  }
  return success;
}

/// The report of the last failed launch or module load; empty when there was none. Owned by the
/// emulator, valid until the calling thread asks again.
ATTNC_EMU_EXPORT const char *attnc_emu_last_report() {
  thread_local std::string copy;
  State &s = state();
  std::lock_guard<std::mutex> guard(s.lock);
  copy = s.lastReport;
  return copy.c_str();
}

/// Resolves any exported entry point; versioned names are tried first, as the real function does.
ATTNC_EMU_EXPORT CUresult cuGetProcAddress_v2(const char *symbol, void **pfn, int,
                                              unsigned long long, int *status) {
  if (!symbol || !pfn)
    return invalidValue;
  Dl_info self;
  void *library = dladdr(reinterpret_cast<void *>(&cuInit), &self)
                      ? dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD)
                      : nullptr;
  *pfn = nullptr;
  for (const char *suffix : {"_v2", ""})
    if (library && !*pfn)
      *pfn = dlsym(library, (std::string(symbol) + suffix).c_str());
  if (library)
    dlclose(library);
  if (status)
    *status = *pfn ? 0 : 1;
  return *pfn ? success : notFound;
}

ATTNC_EMU_EXPORT CUresult cuDeviceGetCount(int *count) {
  if (!count)
    return invalidValue;
  *count = 1;
  return state().initialized ? success : notInitialized;
}

ATTNC_EMU_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  if (!state().initialized)
    return notInitialized;
  if (!device || ordinal != 0)
    return ordinal ? invalidDevice : invalidValue;
  *device = 0;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  if (!state().initialized)
    return notInitialized;
  if (!name || length <= 0)
    return invalidValue;
  if (device)
    return invalidDevice;
  snprintf(name, static_cast<size_t>(length), "%s", state().deviceName.c_str());
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  if (!bytes || device)
    return device ? invalidDevice : invalidValue;
  *bytes = 16ull << 30;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
  State &s = state();
  if (!s.initialized)
    return notInitialized;
  if (!major || !minor || device)
    return invalidValue;
  *major = static_cast<int>(s.machine->profile().major);
  *minor = static_cast<int>(s.machine->profile().minor);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
  State &s = state();
  if (!s.initialized)
    return notInitialized;
  if (!value || device)
    return device ? invalidDevice : invalidValue;
  const Profile &p = s.machine->profile();
  static const std::map<int, int> fixed = {
      {1, 1024},  {2, 1024},  {3, 1024}, {4, 64},          {5, 0x7fffffff}, {6, 65535},
      {7, 65535}, {9, 65536}, {10, 32},  {11, 0x7fffffff}, {12, 65536},     {13, 1000},
      {15, 1},    {17, 0},    {18, 0},   {19, 1},          {20, 0},         {31, 0},
      {32, 1},    {33, 0},    {34, 0},   {36, 1000},       {37, 32},        {38, 1 << 20},
      {39, 2048}, {40, 0},    {41, 1},   {50, 0},          {82, 65536},     {83, 0},
      {89, 0},    {95, 0},    {106, 32}, {111, 1024},      {115, 1}};
  switch (attribute) {
  case 8:
    *value = static_cast<int>(p.sharedPerBlock);
    return success;
  case 16:
    *value = static_cast<int>(p.numSms);
    return success;
  case 75:
    *value = static_cast<int>(p.major);
    return success;
  case 76:
    *value = static_cast<int>(p.minor);
    return success;
  case 81:
    *value = static_cast<int>(p.sharedPerSm);
    return success;
  case 97:
    *value = static_cast<int>(p.sharedPerBlockOptin);
    return success;
  case 120:
    *value = p.major >= 9;
    return success;
  case 127:
    *value = p.major >= 9;
    return success;
  default:
    break;
  }
  auto it = fixed.find(attribute);
  if (it == fixed.end())
    return invalidValue;
  *value = it->second;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDevicePrimaryCtxRetain(void **context, CUdevice device) {
  State &s = state();
  std::lock_guard<std::mutex> guard(s.lock);
  if (!s.initialized)
    return notInitialized;
  if (!context || device)
    return invalidValue;
  ++s.primaryRetains;
  *context = contextHandle();
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  State &s = state();
  std::lock_guard<std::mutex> guard(s.lock);
  if (s.primaryRetains == 0)
    return invalidContext;
  if (--s.primaryRetains == 0)
    destroyContext(s);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  State &s = state();
  std::lock_guard<std::mutex> guard(s.lock);
  if (!s.initialized)
    return notInitialized;
  if (device)
    return invalidDevice;
  destroyContext(s);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuCtxCreate_v2(void **context, unsigned, CUdevice device) {
  CUresult r = cuDevicePrimaryCtxRetain(context, device);
  if (r == success)
    contextIsCurrent() = true;
  return r;
}
ATTNC_EMU_EXPORT CUresult cuCtxCreate_v4(void **context, void *, unsigned flags, CUdevice device) {
  return cuCtxCreate_v2(context, flags, device);
}
ATTNC_EMU_EXPORT CUresult cuCtxDestroy_v2(void *context) {
  if (context != contextHandle())
    return invalidContext;
  contextIsCurrent() = false;
  return cuDevicePrimaryCtxRelease_v2(0);
}

ATTNC_EMU_EXPORT CUresult cuCtxSetCurrent(void *context) {
  if (context && context != contextHandle())
    return invalidContext;
  contextIsCurrent() = context != nullptr;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuCtxGetCurrent(void **context) {
  if (!context)
    return invalidValue;
  *context = contextIsCurrent() ? contextHandle() : nullptr;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuCtxGetDevice(CUdevice *device) {
  if (!device)
    return invalidValue;
  *device = 0;
  return contextIsCurrent() ? success : invalidContext;
}

ATTNC_EMU_EXPORT CUresult cuCtxSynchronize() {
  ATTNC_EMU_ENTER(s);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuProfilerStart() { return success; }
ATTNC_EMU_EXPORT CUresult cuProfilerStop() { return success; }

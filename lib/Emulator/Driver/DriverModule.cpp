// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Modules, functions and launches of the emulated CUDA Driver API. Loading goes through the same
// JIT options as the real driver: a module that does not decode fails with CUDA_ERROR_INVALID_PTX
// and the error log holds line, column and the instruction.
//
// `ATTNC_EMU_COUNTERS=FILE` appends the counters of every launch to FILE as one JSON document each.
#include "DriverState.h"
#include "attnc/Emulator/TensorMap.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

using namespace attnc::emu;
using namespace attnc::emu::driver;

namespace {

/// The two log buffers among JIT options. Sizes travel in the value pointers and are written back.
struct JitLog {
  char *buffer = nullptr;
  size_t size = 0;
  void **sizeSlot = nullptr;
  void write(const std::string &text) {
    size_t n = buffer && size ? std::min(text.size(), size - 1) : 0;
    if (buffer && size) {
      memcpy(buffer, text.data(), n);
      buffer[n] = 0;
    }
    if (sizeSlot)
      *sizeSlot = reinterpret_cast<void *>(n);
  }
};

CUresult codeFor(const std::string &kind) {
  if (kind == "out-of-bounds")
    return illegalAddress;
  if (kind == "misaligned-address")
    return misalignedAddress;
  if (kind == "deadlock")
    return launchTimeout;
  if (kind == "invalid-launch")
    return invalidValue;
  if (kind == "invalid-cluster")
    return invalidClusterSize;
  return launchFailed;
}

bool looksLikeText(const char *image) {
  return static_cast<unsigned char>(image[0]) != 0x7f && // ELF
         memcmp(image, "\x50\xed\x55\xba", 4) != 0;      // fat binary
}

/// The PTX that ATTNC_EMU_PTX names, which is loaded in place of what the program passes: for
/// kernels edited by hand, or by test/Emulator/mutate.py. Empty when the variable is not set.
std::string substitute() {
  const char *path = std::getenv("ATTNC_EMU_PTX");
  if (!path || !*path)
    return "";
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (text.empty())
    throw std::runtime_error(std::string("cannot read '") + path + "', named by ATTNC_EMU_PTX");
  return text;
}

CUresult load(void **module, const void *image, JitLog &info, JitLog &error) {
  ATTNC_EMU_ENTER(s);
  if (!module || !image)
    return invalidValue;
  const char *text = static_cast<const char *>(image);
  if (!looksLikeText(text)) {
    error.write("the emulator executes PTX text; this image is a compiled binary");
    return noBinaryForGpu;
  }
  auto handle = std::make_unique<ModuleHandle>();
  try {
    std::string other = substitute();
    handle->loaded = s.machine->load(other.empty() ? text : other.c_str());
  } catch (const std::exception &e) {
    std::string message = std::string("ptx emulator: ") + e.what() + "\n";
    error.write(message);
    if (!error.buffer)
      publishReport(s, message);
    else
      s.lastReport = message;
    return invalidPtx;
  }
  info.write("loaded by the attnc PTX emulator");
  error.write("");
  s.modules.insert(handle.get());
  *module = handle.release();
  return success;
}

std::string kernelArguments(const Function &f, void **params, void **extra,
                            std::vector<char> &out) {
  out.assign(f.paramBytes, 0);
  if (params) {
    for (size_t i = 0; i < f.params.size(); ++i) {
      if (!params[i])
        return "argument " + std::to_string(i) + " is null";
      memcpy(out.data() + f.params[i].offset, params[i], f.params[i].size);
    }
    return "";
  }
  const void *buffer = nullptr;
  size_t size = 0;
  for (; extra && extra[0]; extra += 2) {
    if (extra[0] == reinterpret_cast<void *>(1)) // CU_LAUNCH_PARAM_BUFFER_POINTER
      buffer = extra[1];
    else if (extra[0] == reinterpret_cast<void *>(2)) // CU_LAUNCH_PARAM_BUFFER_SIZE
      size = *static_cast<size_t *>(extra[1]);
    else
      return "unknown entry in the extra options";
  }
  if (!buffer && f.paramBytes)
    return "the kernel takes arguments, none are given";
  if (size < f.paramBytes)
    return "the argument buffer is too small";
  if (f.paramBytes)
    memcpy(out.data(), buffer, f.paramBytes);
  return "";
}

void appendCounters(const Kernel &kernel, const Counters &counters) {
  const char *path = std::getenv("ATTNC_EMU_COUNTERS");
  if (!path || !*path)
    return;
  if (FILE *f = fopen(path, "a")) {
    std::string json = toJson(kernel, counters);
    fwrite(json.data(), 1, json.size(), f);
    fclose(f);
  } else {
    fprintf(stderr, "ptx emulator: cannot write counters to '%s'\n", path);
  }
}

/// Runs the kernel, or keeps it for the graph of a stream that is captured.
CUresult launch(FunctionHandle *f, LaunchConfig config, void **params, void **extra,
                CUstream stream) {
  ATTNC_EMU_ENTER(s);
  if (!s.functions.count(f))
    return invalidHandle;
  const int *cluster = &f->attributes[11]; // CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH and so on
  if (cluster[0] > 0) {
    Dim3 required = {static_cast<uint32_t>(cluster[0]),
                     static_cast<uint32_t>(std::max(1, cluster[1])),
                     static_cast<uint32_t>(std::max(1, cluster[2]))};
    if (!config.clusterGiven)
      config.cluster = required;
    else if (config.cluster.x != required.x || config.cluster.y != required.y ||
             config.cluster.z != required.z) {
      publishReport(s, "ptx emulator: the cluster of the launch is not the one that the function "
                       "requires\n");
      return invalidClusterSize;
    }
    config.clusterGiven = true;
  }
  config.nonPortableCluster = f->attributes[14] != 0;
  if (config.dynamicSharedBytes > static_cast<uint32_t>(f->maxDynamicShared)) {
    publishReport(s, "ptx emulator: launch asks for " + std::to_string(config.dynamicSharedBytes) +
                         " bytes of dynamic shared memory, the function allows " +
                         std::to_string(f->maxDynamicShared) +
                         "; raise CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES\n");
    return invalidValue;
  }
  PendingLaunch pending{f, config, {}};
  std::string why = kernelArguments(functionOf(*f->kernel), params, extra, pending.arguments);
  if (!why.empty()) {
    publishReport(s, "ptx emulator: invalid launch: " + why + "\n");
    return invalidValue;
  }
  auto capture = s.captures.find(stream);
  if (capture == s.captures.end())
    return runLaunch(s, pending);
  capture->second.launches.push_back(std::move(pending));
  return success;
}

} // namespace

CUresult attnc::emu::driver::runLaunch(State &s, const PendingLaunch &pending) {
  const Kernel &kernel = *pending.function->kernel;
  LaunchResult r =
      s.machine->launch(kernel, pending.config, pending.arguments.data(), pending.arguments.size());
  s.instructions += r.counters.warpInstructions;
  appendCounters(kernel, r.counters);
  if (r.ok)
    return success;
  publishReport(s, r.report);
  CUresult code = codeFor(r.kind);
  if (code >= illegalAddress && code <= launchFailed)
    s.sticky = code;
  return code;
}

ATTNC_EMU_EXPORT CUresult cuModuleLoadDataEx(void **module, const void *image, unsigned count,
                                             int *options, void **values) {
  JitLog info, error;
  for (unsigned i = 0; i < count; ++i) {
    switch (options[i]) {
    case 3:
      info.buffer = static_cast<char *>(values[i]);
      break;
    case 4:
      info.size = reinterpret_cast<size_t>(values[i]), info.sizeSlot = &values[i];
      break;
    case 5:
      error.buffer = static_cast<char *>(values[i]);
      break;
    case 6:
      error.size = reinterpret_cast<size_t>(values[i]), error.sizeSlot = &values[i];
      break;
    default:
      break; // optimisation level, register limit and the like change nothing here
    }
  }
  return load(module, image, info, error);
}

ATTNC_EMU_EXPORT CUresult cuModuleLoadData(void **module, const void *image) {
  JitLog info, error;
  return load(module, image, info, error);
}

ATTNC_EMU_EXPORT CUresult cuModuleUnload(void *module) {
  ATTNC_EMU_ENTER(s);
  ModuleHandle *m = static_cast<ModuleHandle *>(module);
  if (!s.modules.erase(m))
    return invalidHandle;
  for (auto &f : m->functions)
    s.functions.erase(f.second.get());
  delete m;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuModuleGetFunction(void **function, void *module, const char *name) {
  ATTNC_EMU_ENTER(s);
  ModuleHandle *m = static_cast<ModuleHandle *>(module);
  if (!function || !name || !s.modules.count(m))
    return s.modules.count(m) ? invalidValue : invalidHandle;
  const Kernel *k = m->loaded->kernel(name);
  if (!k)
    return notFound;
  auto &slot = m->functions[name];
  if (!slot) {
    slot = std::make_unique<FunctionHandle>();
    slot->kernel = k;
    for (int i = 0; i < 3; ++i)
      slot->attributes[11 + i] = static_cast<int>(functionOf(*k).reqCluster[i]);
    slot->maxDynamicShared =
        static_cast<int>(s.machine->profile().sharedPerBlock - staticSharedBytes(*k));
    s.functions.insert(slot.get());
  }
  *function = slot.get();
  return success;
}

ATTNC_EMU_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, void *module,
                                               const char *name) {
  ATTNC_EMU_ENTER(s);
  ModuleHandle *m = static_cast<ModuleHandle *>(module);
  if (!name || !s.modules.count(m))
    return invalidHandle;
  uint64_t a, n;
  if (!m->loaded->global(name, a, n))
    return notFound;
  if (address)
    *address = a;
  if (bytes)
    *bytes = n;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuFuncGetAttribute(int *value, int attribute, void *function) {
  ATTNC_EMU_ENTER(s);
  FunctionHandle *f = static_cast<FunctionHandle *>(function);
  if (!s.functions.count(f))
    return invalidHandle;
  if (!value || attribute < 0 || attribute > 15)
    return invalidValue;
  switch (attribute) {
  case 0:
    *value = 1024;
    break;
  case 1:
    *value = static_cast<int>(staticSharedBytes(*f->kernel));
    break;
  case 3:
    *value = static_cast<int>(localBytes(*f->kernel));
    break;
  case 4:
    *value = static_cast<int>(maxLiveRegisters(*f->kernel));
    break; // an estimate: ptxas decides
  case 5:
  case 6:
    *value = static_cast<int>(s.machine->profile().number());
    break;
  case 8:
    *value = f->maxDynamicShared;
    break;
  default:
    *value = f->attributes[attribute];
    break;
  }
  return success;
}

ATTNC_EMU_EXPORT CUresult cuFuncSetAttribute(void *function, int attribute, int value) {
  ATTNC_EMU_ENTER(s);
  FunctionHandle *f = static_cast<FunctionHandle *>(function);
  if (!s.functions.count(f))
    return invalidHandle;
  if (attribute < 8 || attribute > 15)
    return invalidValue;
  if (attribute >= 11 && attribute <= 13 && functionOf(*f->kernel).reqCluster[0])
    return invalidValue; // fixed by .reqnctapercluster
  if (attribute == 8) {
    int limit = static_cast<int>(s.machine->profile().sharedPerBlockOptin) -
                static_cast<int>(staticSharedBytes(*f->kernel));
    if (value < 0 || value > limit)
      return invalidValue;
    f->maxDynamicShared = value;
  }
  f->attributes[attribute] = value;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuFuncSetCacheConfig(void *, int) { return success; }

ATTNC_EMU_EXPORT CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz,
                                         unsigned bx, unsigned by, unsigned bz,
                                         unsigned sharedBytes, CUstream stream, void **params,
                                         void **extra) {
  LaunchConfig c;
  c.grid = {gx, gy, gz};
  c.block = {bx, by, bz};
  c.dynamicSharedBytes = sharedBytes;
  return launch(static_cast<FunctionHandle *>(function), c, params, extra, stream);
}

namespace {
/// CUlaunchAttribute and CUlaunchConfig: an id, padding to 8 bytes, a 64-byte value.
struct LaunchAttribute {
  int id;
  int pad;
  unsigned value[16];
};
struct DriverLaunchConfig {
  unsigned grid[3], block[3], sharedBytes;
  CUstream stream;
  LaunchAttribute *attributes;
  unsigned count;
};
} // namespace

ATTNC_EMU_EXPORT CUresult cuLaunchKernelEx(const DriverLaunchConfig *config, void *function,
                                           void **params, void **extra) {
  if (!config || (config->count && !config->attributes))
    return invalidValue;
  LaunchConfig c;
  c.grid = {config->grid[0], config->grid[1], config->grid[2]};
  c.block = {config->block[0], config->block[1], config->block[2]};
  c.dynamicSharedBytes = config->sharedBytes;
  for (unsigned i = 0; i < config->count; ++i) {
    const LaunchAttribute &a = config->attributes[i];
    if (a.id == 4) { // CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
      c.cluster = {a.value[0], a.value[1], a.value[2]};
      c.clusterGiven = true;
    } else if (a.id < 0 || a.id > 16 || a.id == 3) {
      return invalidValue; // unknown, or of streams only
    } // the others, such as programmatic stream serialization, say when and where, not what
  }
  return launch(static_cast<FunctionHandle *>(function), c, params, extra, config->stream);
}

/// The map is ours, not NVIDIA's encoding; by contract nobody looks inside.
ATTNC_EMU_EXPORT CUresult cuTensorMapEncodeTiled(void *map, int dataType, unsigned rank,
                                                 void *address, const uint64_t *dims,
                                                 const uint64_t *strides, const uint32_t *box,
                                                 const uint32_t *elementStrides, int interleave,
                                                 int swizzle, int promotion, int fill) {
  if (!map || !dims || !box || !elementStrides || (rank > 1 && !strides) ||
      reinterpret_cast<uintptr_t>(map) % 64 || promotion < 0 || promotion > 3)
    return invalidValue;
  uint64_t d[5] = {}, s[4] = {};
  for (unsigned i = 0; i < rank && i < 5; ++i) {
    d[i] = dims[i];
    if (i)
      s[i - 1] = strides[i - 1];
  }
  State &state0 = state();
  if (!state0.initialized)
    return notInitialized;
  TensorMap result;
  std::string why = encodeTiled(result, dataType, rank, reinterpret_cast<uint64_t>(address), d, s,
                                box, elementStrides, interleave, swizzle, fill);
  if (state0.machine->profile().major < 9)
    why = "the device needs compute capability 9.0";
  if (!why.empty()) {
    std::lock_guard<std::mutex> guard(state0.lock);
    publishReport(state0, "ptx emulator: cuTensorMapEncodeTiled: " + why + "\n");
    return invalidValue;
  }
  memcpy(map, &result, sizeof result);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuTensorMapReplaceAddress(void *map, void *address) {
  TensorMap *m = static_cast<TensorMap *>(map);
  if (!m || m->magic != TensorMap::magicValue || reinterpret_cast<uint64_t>(address) % 16)
    return invalidValue;
  m->address = reinterpret_cast<uint64_t>(address);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function,
                                                                      int threads,
                                                                      size_t dynamicShared) {
  ATTNC_EMU_ENTER(s);
  FunctionHandle *f = static_cast<FunctionHandle *>(function);
  if (!s.functions.count(f))
    return invalidHandle;
  if (!blocks || threads <= 0)
    return invalidValue;
  size_t shared = staticSharedBytes(*f->kernel) + dynamicShared + 1024;
  size_t bySharedMemory = s.machine->profile().sharedPerSm / shared,
         byThreads = 2048u / static_cast<unsigned>(threads);
  *blocks = static_cast<int>(std::min<size_t>({bySharedMemory, byThreads, 32}));
  return success;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A stand-in for the part of the CUDA runtime that compiled launch code calls, on top of the driver
// interface. The runtime itself asks the driver for undocumented tables, which the emulator does
// not offer.
//
// Kernels come from fat binaries that hold uncompressed PTX (nvcc --no-compress, code=compute_XX).
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

struct FatBinary {
  const char *data = nullptr;
  CUmodule module = nullptr;
};

struct Kernel {
  FatBinary *binary;
  std::string name;
  int dynamicShared = 0;
};

struct Configuration {
  dim3 grid, block;
  size_t shared;
};

std::map<const void *, Kernel> &kernels() {
  static std::map<const void *, Kernel> map;
  return map;
}

std::vector<Configuration> configurations;
cudaError_t lastError = cudaSuccess;
std::string lastKernel;

cudaError_t check(CUresult result) {
  if (result != CUDA_SUCCESS)
    lastError = static_cast<cudaError_t>(result); // the two enumerations agree where they overlap
  return static_cast<cudaError_t>(result);
}

template <typename T> T field(const char *at, size_t offset) {
  T value;
  std::memcpy(&value, at + offset, sizeof value);
  return value;
}

/// The first PTX of a fat binary: a header of 16 bytes (its size in bytes 6 and 7, that of the rest
/// in 8 to 15), and entries with their kind in bytes 0 and 1 (1 is PTX), the size of their header
/// in 4 to 7, of their body in 8 to 15.
std::string ptxOf(const char *data) {
  const char *at = data + field<uint16_t>(data, 6), *end = at + field<uint64_t>(data, 8);
  while (at < end) {
    const char *body = at + field<uint32_t>(at, 4);
    uint64_t size = field<uint64_t>(at, 8);
    if (field<uint16_t>(at, 0) == 1)
      return std::string(body, strnlen(body, size));
    at = body + size;
  }
  std::fprintf(stderr, "no PTX in the fat binary\n");
  std::abort();
}

CUresult function(const void *host, CUfunction *out) {
  auto found = kernels().find(host);
  if (found == kernels().end())
    return CUDA_ERROR_INVALID_HANDLE;
  Kernel &kernel = found->second;
  lastKernel = kernel.name;
  if (!kernel.binary->module) {
    std::string ptx = ptxOf(kernel.binary->data);
    if (const char *path = std::getenv("FLASH_ATTENTION_PTX")) {
      if (FILE *file = std::fopen(path, "w")) {
        std::fwrite(ptx.data(), 1, ptx.size(), file);
        std::fclose(file);
      }
    }
    if (CUresult result = cuModuleLoadData(&kernel.binary->module, ptx.c_str()))
      return result;
  }
  if (CUresult result = cuModuleGetFunction(out, kernel.binary->module, kernel.name.c_str()))
    return result;
  if (kernel.dynamicShared)
    return cuFuncSetAttribute(*out, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                              kernel.dynamicShared);
  return CUDA_SUCCESS;
}

} // namespace

extern "C" {

/// The mangled name of the kernel launched last, for messages.
const char *standinLastKernel() { return lastKernel.c_str(); }

void **__cudaRegisterFatBinary(void *wrapper) {
  // The wrapper holds a magic number and a version, then the address of the data.
  auto *binary = new FatBinary{field<const char *>(static_cast<const char *>(wrapper), 8)};
  return reinterpret_cast<void **>(binary);
}

void __cudaRegisterFatBinaryEnd(void **) {}

void __cudaUnregisterFatBinary(void **) {}

char __cudaInitModule(void **) { return 1; }

void __cudaRegisterFunction(void **binary, const char *host, char *, const char *name, int, uint3 *,
                            uint3 *, dim3 *, dim3 *, int *) {
  kernels()[host] = {reinterpret_cast<FatBinary *>(binary), name};
}

void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int) {}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, CUstream_st *) {
  configurations.push_back({grid, block, shared});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  Configuration top = configurations.back();
  configurations.pop_back();
  *grid = top.grid, *block = top.block, *shared = top.shared;
  *static_cast<cudaStream_t *>(stream) = nullptr;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host) {
  *kernel = static_cast<cudaKernel_t>(const_cast<void *>(host));
  return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *host,
                                void **arguments) {
  CUfunction handle;
  if (CUresult result = function(host, &handle))
    return check(result);
  CUlaunchConfig driver = {};
  driver.gridDimX = config->gridDim.x, driver.gridDimY = config->gridDim.y,
  driver.gridDimZ = config->gridDim.z;
  driver.blockDimX = config->blockDim.x, driver.blockDimY = config->blockDim.y,
  driver.blockDimZ = config->blockDim.z;
  driver.sharedMemBytes = static_cast<unsigned>(config->dynamicSmemBytes);
  driver.numAttrs = config->numAttrs;
  driver.attrs =
      reinterpret_cast<CUlaunchAttribute *>(config->attrs); // the runtime's are the driver's
  return check(cuLaunchKernelEx(&driver, handle, arguments, nullptr));
}

cudaError_t cudaLaunchKernel(const void *host, dim3 grid, dim3 block, void **arguments,
                             size_t shared, cudaStream_t) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = shared;
  return cudaLaunchKernelExC(&config, host, arguments);
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
                               size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

cudaError_t cudaFuncSetAttribute(const void *host, cudaFuncAttribute attribute, int value) {
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize)
    kernels().at(host).dynamicShared = value;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) { return check(cuDriverGetVersion(version)); }

cudaError_t cudaGetDevice(int *device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
  return check(cuDeviceGetAttribute(value, static_cast<CUdevice_attribute>(attribute), device));
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *, int,
                                                                   size_t, unsigned) {
  *blocks = 1;
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, const void *,
                                           const cudaLaunchConfig_t *) {
  *clusters = 1;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaDeviceSynchronize() { return check(cuCtxSynchronize()); }

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t) {
  return check(
      cuMemsetD8(reinterpret_cast<CUdeviceptr>(to), static_cast<unsigned char>(value), bytes));
}

cudaError_t cudaGetLastError() {
  cudaError_t error = lastError;
  lastError = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() { return lastError; }

const char *cudaGetErrorString(cudaError_t error) {
  const char *text = "error";
  cuGetErrorString(static_cast<CUresult>(error), &text);
  return text;
}

const char *cudaGetErrorName(cudaError_t error) {
  const char *text = "error";
  cuGetErrorName(static_cast<CUresult>(error), &text);
  return text;
}

} // extern "C"

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory of the emulated CUDA Driver API. A device pointer is the host address of the emulator's
// arena, but host code must not use it as such: red zones and initialisation are only tracked
// through these functions. Everything is synchronous, whatever stream it is given.
#include "DriverState.h"

#include <cstdlib>

using namespace attnc::emu;
using namespace attnc::emu::driver;

ATTNC_EMU_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) {
  ATTNC_EMU_ENTER(s);
  if (refusesToWait(s))
    return captureUnsupported;
  if (!pointer || !bytes)
    return invalidValue;
  *pointer = s.machine->memory().allocate(bytes);
  return *pointer ? success : outOfMemory;
}

ATTNC_EMU_EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer) {
  ATTNC_EMU_ENTER(s);
  return !pointer || s.machine->memory().free(pointer) ? success : invalidValue;
}

ATTNC_EMU_EXPORT CUresult cuMemAllocAsync(CUdeviceptr *pointer, size_t bytes, CUstream) {
  return cuMemAlloc_v2(pointer, bytes);
}
ATTNC_EMU_EXPORT CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream) {
  return cuMemFree_v2(pointer);
}

ATTNC_EMU_EXPORT CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  ATTNC_EMU_ENTER(s);
  if (!free || !total)
    return invalidValue;
  *total = 16ull << 30;
  size_t used = s.machine->memory().bytesInUse();
  *free = used < *total ? *total - used : 0;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuMemAllocHost_v2(void **pointer, size_t bytes) {
  ATTNC_EMU_ENTER(s);
  if (!pointer || !bytes)
    return invalidValue;
  *pointer = std::malloc(bytes);
  if (!*pointer)
    return outOfMemory;
  s.hostAllocations[*pointer] = bytes;
  return success;
}

ATTNC_EMU_EXPORT CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned) {
  return cuMemAllocHost_v2(pointer, bytes);
}

ATTNC_EMU_EXPORT CUresult cuMemFreeHost(void *pointer) {
  ATTNC_EMU_ENTER(s);
  if (!s.hostAllocations.erase(pointer))
    return invalidValue;
  std::free(pointer);
  return success;
}

ATTNC_EMU_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  ATTNC_EMU_ENTER(s);
  return s.machine->memory().write(to, from, bytes) ? success : invalidValue;
}
ATTNC_EMU_EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  ATTNC_EMU_ENTER(s);
  return s.machine->memory().read(from, to, bytes) ? success : invalidValue;
}
ATTNC_EMU_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  ATTNC_EMU_ENTER(s);
  return s.machine->memory().copy(to, from, bytes) ? success : invalidValue;
}
ATTNC_EMU_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes,
                                               CUstream) {
  return cuMemcpyHtoD_v2(to, from, bytes);
}
ATTNC_EMU_EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream) {
  return cuMemcpyDtoH_v2(to, from, bytes);
}
ATTNC_EMU_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                                               CUstream) {
  return cuMemcpyDtoD_v2(to, from, bytes);
}

static CUresult fill(CUdeviceptr to, const void *pattern, unsigned bytes, size_t count) {
  ATTNC_EMU_ENTER(s);
  if (to % bytes)
    return invalidValue;
  return s.machine->memory().fill(to, pattern, bytes, count) ? success : invalidValue;
}
ATTNC_EMU_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  return fill(to, &value, 1, count);
}
ATTNC_EMU_EXPORT CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) {
  return fill(to, &value, 2, count);
}
ATTNC_EMU_EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
  return fill(to, &value, 4, count);
}
ATTNC_EMU_EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count,
                                          CUstream) {
  return fill(to, &value, 1, count);
}
ATTNC_EMU_EXPORT CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count,
                                           CUstream) {
  return fill(to, &value, 2, count);
}
ATTNC_EMU_EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream) {
  return fill(to, &value, 4, count);
}

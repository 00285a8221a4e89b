// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Failures, the guard, and DLPack.
#include "Common.h"
#include "attnc/Support/Format.h"
#include "attnc/Support/Threads.h"
#include <algorithm>
#include <cstring>
#include <new>

using namespace attnc;
using namespace attnc::capi;

static thread_local std::string lastError;

attnc_status capi::fail(attnc_status status, const std::string &text) {
  lastError = text;
  return status;
}
attnc_status capi::fail(attnc_status status, const Failure &failure) {
  if (failure.kind() == Failure::Kind::InvalidArgument)
    status = ATTNC_INVALID_ARGUMENT;
  else if (failure.kind() == Failure::Kind::OutOfMemory)
    status = ATTNC_OUT_OF_MEMORY;
  return fail(status, failure.message());
}

const char *attnc_last_error(void) { return lastError.c_str(); }

attnc_status capi::failWithException() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc &) {
    lastError = "out of memory"; // short enough to need none
    return ATTNC_OUT_OF_MEMORY;
  } catch (const std::exception &exception) {
    try {
      return fail(ATTNC_INTERNAL_ERROR, std::string("internal error: ") + exception.what());
    } catch (...) {
    }
  } catch (...) {
  }
  lastError = "internal error";
  return ATTNC_INTERNAL_ERROR;
}

Failure capi::copyStructBytes(const void *given, size_t least, size_t known, const char *name,
                              void *copy) {
  size_t size;
  std::memcpy(&size, given, sizeof size);
  if (size < least)
    return Failure::invalidArgument(
        formatText("struct_size is {0}: set it to sizeof({1})", size, name));
  auto *bytes = static_cast<const char *>(given);
  if (size > known && std::any_of(bytes + known, bytes + size, [](char c) { return c != 0; }))
    return Failure::invalidArgument(formatText(
        "the {0} has members that this version of the library does not know, and they are not 0",
        name));
  std::memset(copy, 0, known);
  std::memcpy(copy, given, std::min(size, known));
  return Failure::success();
}

Failure capi::checkThreads(int64_t threads) {
  if (threads >= 0 && threads <= int64_t(kMaxThreads))
    return Failure::success();
  return Failure::invalidArgument(formatText(
      "num_threads is {0}: expected a number from 0, the default, to {1}", threads, kMaxThreads));
}

Outcome<TensorView> capi::toView(const attnc_tensor &named, DLDeviceType wanted) {
  const DLTensor &t = *named.tensor;
  // CUDA host and managed memory is readable from both sides.
  bool onHost = t.device.device_type == kDLCPU || t.device.device_type == kDLCUDAHost;
  bool onDevice = t.device.device_type == kDLCUDA || t.device.device_type == kDLCUDAManaged;
  if (wanted == kDLCPU ? !onHost : !onDevice)
    return Failure::invalidArgument(
        formatText("tensor `{0}` is on DLPack device {1}, the kernel on {2}", named.name,
                   static_cast<int>(t.device.device_type), static_cast<int>(wanted)));
  if (t.dtype.lanes != 1 || t.ndim < 0 || (t.ndim > 0 && !t.shape))
    return Failure::invalidArgument(
        formatText("tensor `{0}` is malformed: vector elements, or no shape", named.name));
  TensorView view;
  if (t.dtype.code == kDLFloat && t.dtype.bits == 32)
    view.dtype = DType::F32;
  else if (t.dtype.code == kDLFloat && t.dtype.bits == 16)
    view.dtype = DType::F16;
  else if (t.dtype.code == kDLBfloat && t.dtype.bits == 16)
    view.dtype = DType::BF16;
  else if (t.dtype.code == kDLInt && t.dtype.bits == 32)
    view.dtype = DType::I32;
  else if (t.dtype.bits == 8 &&
           (t.dtype.code == kDLUInt || t.dtype.code == 6 /* kDLBool, DLPack 1.0 */))
    view.dtype = DType::Bool;
  else
    return Failure::invalidArgument(formatText(
        "tensor `{0}` has DLPack type code {1} with {2} bits: expected float32, float16, bfloat16, "
        "int32 or an 8-bit bool",
        named.name, t.dtype.code, t.dtype.bits));
  // An offset does not make memory of a null pointer.
  view.data = t.data ? static_cast<char *>(t.data) + t.byte_offset : nullptr;
  view.shape.assign(t.shape, t.shape + t.ndim);
  if (t.strides)
    view.strides.assign(t.strides, t.strides + t.ndim);
  else
    view.strides = rowMajorStrides(view.shape);
  return view;
}

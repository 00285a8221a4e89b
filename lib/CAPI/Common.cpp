// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Failures, the guard, and DLPack.
#include "Common.h"
#include "attnc/Runtime/HostLauncher.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/FormatVariadic.h"
#include <new>

using namespace attnc;
using namespace attnc::capi;
using llvm::formatv;

static thread_local std::string lastError;

attnc_status capi::fail(attnc_status status, const llvm::Twine &text) {
  lastError = text.str();
  return status;
}
attnc_status capi::fail(attnc_status status, llvm::Error error) {
  std::string text;
  llvm::handleAllErrors(std::move(error), [&](const llvm::ErrorInfoBase &info) {
    std::error_code code = info.convertToErrorCode();
    if (code == std::errc::invalid_argument)
      status = ATTNC_INVALID_ARGUMENT;
    else if (code == std::errc::not_enough_memory)
      status = ATTNC_OUT_OF_MEMORY;
    text += (text.empty() ? "" : "\n") + info.message();
  });
  return fail(status, text);
}

const char *attnc_last_error(void) { return lastError.c_str(); }

attnc_status capi::guarded(llvm::function_ref<attnc_status()> body) noexcept {
  static const bool installed = [] {
    llvm::install_bad_alloc_error_handler(
        [](void *, const char *, bool) { throw std::bad_alloc(); });
    return true;
  }();
  (void)installed;
  try {
    return body();
  } catch (const std::bad_alloc &) {
    lastError = "out of memory"; // short enough to need none
    return ATTNC_OUT_OF_MEMORY;
  } catch (const std::exception &exception) {
    try {
      return fail(ATTNC_INTERNAL_ERROR, llvm::Twine("internal error: ") + exception.what());
    } catch (...) {
    }
  } catch (...) {
  }
  lastError = "internal error";
  return ATTNC_INTERNAL_ERROR;
}

attnc_status capi::checkThreads(int64_t threads) {
  if (threads >= 0 && threads <= HostLauncher::maxThreads)
    return ATTNC_OK;
  return fail(ATTNC_INVALID_ARGUMENT,
              formatv("num_threads is {0}: expected a number from 0, the default, to {1}", threads,
                      HostLauncher::maxThreads)
                  .str());
}

bool capi::toView(const attnc_tensor &named, DLDeviceType wanted, TensorView &view,
                  std::string &error) {
  const DLTensor &t = *named.tensor;
  // CUDA host and managed memory is readable from both sides.
  bool onHost = t.device.device_type == kDLCPU || t.device.device_type == kDLCUDAHost;
  bool onDevice = t.device.device_type == kDLCUDA || t.device.device_type == kDLCUDAManaged;
  if (wanted == kDLCPU ? !onHost : !onDevice) {
    error = formatv("tensor `{0}` is on DLPack device {1}, the kernel on {2}", named.name,
                    static_cast<int>(t.device.device_type), static_cast<int>(wanted));
    return false;
  }
  if (t.dtype.lanes != 1 || t.ndim < 0 || (t.ndim > 0 && !t.shape)) {
    error = formatv("tensor `{0}` is malformed: vector elements, or no shape", named.name);
    return false;
  }
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
  else {
    error = formatv(
        "tensor `{0}` has DLPack type code {1} with {2} bits: expected float32, float16, bfloat16, "
        "int32 or an 8-bit bool",
        named.name, t.dtype.code, t.dtype.bits);
    return false;
  }
  // An offset does not make memory of a null pointer.
  view.data = t.data ? static_cast<char *>(t.data) + t.byte_offset : nullptr;
  view.shape.assign(t.shape, t.shape + t.ndim);
  if (t.strides)
    view.strides.assign(t.strides, t.strides + t.ndim);
  else
    view.strides = rowMajorStrides(view.shape);
  return true;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A kernel of the C API. It is part of the runtime library, so there is no LLVM here.
#ifndef ATTNC_LIB_CAPI_KERNEL_H
#define ATTNC_LIB_CAPI_KERNEL_H

#include "Common.h"
#include "attnc/Runtime/LoadedCode.h"
#include <memory>

struct attnc_kernel {
  attnc::CompiledCode code;                  ///< to be saved
  std::shared_ptr<attnc::LoadedCode> loaded; ///< shared with its prepared launches
  DLDeviceType deviceType = kDLCPU;
  unsigned threads = 0; ///< of its own, on the host
};

namespace attnc::capi {

/// A parsed device name.
struct DeviceName {
  bool cuda = false;
  int ordinal = 0;
};

/// Parses "host", "cuda" or "cuda:1"; null and "" are the host.
Outcome<DeviceName> parseDevice(const char *text);

/// Loads code for the host, or on `device`.
Outcome<std::unique_ptr<attnc_kernel>>
loadCode(CompiledCode code, std::shared_ptr<cuda::Device> device, unsigned threads);

} // namespace attnc::capi

#endif // ATTNC_LIB_CAPI_KERNEL_H

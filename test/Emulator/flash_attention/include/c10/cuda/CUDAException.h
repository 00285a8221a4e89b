// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Stands in for PyTorch's header of this name: the checks of launch code, whose errors become
// exceptions.
#pragma once
#include <cuda_runtime_api.h>

#include <stdexcept>

#define C10_CUDA_CHECK(...)                                                                        \
  do {                                                                                             \
    if (cudaError_t error = (__VA_ARGS__))                                                         \
      throw std::runtime_error(cudaGetErrorString(error));                                         \
  } while (0)
#define C10_CUDA_KERNEL_LAUNCH_CHECK() C10_CUDA_CHECK(cudaGetLastError())

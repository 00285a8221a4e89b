// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Stands in for PyTorch's header of this name.
#pragma once
#include <ATen/cuda/PhiloxCudaState.h>

#include <tuple>

namespace at::cuda::philox {
__device__ __forceinline__ std::tuple<uint64_t, uint64_t> unpack(const PhiloxCudaState &state) {
  return {state.seed, state.offset};
}
} // namespace at::cuda::philox

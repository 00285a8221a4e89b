// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Stands in for PyTorch's header of this name: a seed and an offset.
#pragma once
#include <cstdint>

namespace at {
struct PhiloxCudaState {
  uint64_t seed = 0, offset = 0;
};
} // namespace at

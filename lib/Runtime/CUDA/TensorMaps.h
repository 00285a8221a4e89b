// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensor maps: how the copy engine of a GPU finds boxes of a tensor. The driver makes them, from
// what a launch passes.
#ifndef ATTNC_LIB_RUNTIME_CUDA_TENSORMAPS_H
#define ATTNC_LIB_RUNTIME_CUDA_TENSORMAPS_H

#include "attnc/Runtime/Program.h"
#include <array>
#include <cstddef>
#include <mutex>
#include <vector>

namespace attnc::cuda {

struct Api;

/// CUtensorMap.
struct alignas(64) TensorMap {
  std::array<uint64_t, 16> words{};
};

/// The maps of one argument of a launch: the last ones that were made are kept.
class TensorMaps {
public:
  /// `launch` has been checked (checkProgram), and its argument `arg` is a TensorMap.
  TensorMaps(const Program &program, const KernelLaunch &launch, size_t arg);

  size_t argument() const { return arg; }
  /// The map of the tensor that `slots` of the launch pass; false if there is none of such a
  /// tensor: strides that are no multiples of 16 bytes, or are 0, or no element, or a driver
  /// without maps. Several threads may call it.
  bool get(const Api &api, const uint64_t *slots, TensorMap &map);

private:
  /// Base address, strides (elements) and sizes.
  using Key = std::array<uint64_t, 11>;
  struct Made {
    Key key{};
    TensorMap map;
    bool isThere = false;
  };
  bool make(const Api &api, const Key &key, TensorMap &map) const;

  size_t arg, pointer;
  size_t rank;
  DType dtype;
  TensorBox box;
  bool isWanted;    ///< see ATTNC_TENSOR_MAPS
  std::mutex mutex; ///< of `kept`, `next`
  std::array<Made, 4> kept;
  size_t used = 0, next = 0;
};

} // namespace attnc::cuda

#endif // ATTNC_LIB_RUNTIME_CUDA_TENSORMAPS_H

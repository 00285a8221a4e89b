// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a compiled kernel expects: the contract between the compiler, which writes it, and the
// runtimes (host threads, CUDA driver, emulator), which pack arguments and size the grid from it.
// No MLIR here.
#ifndef ATTNC_RUNTIME_KERNELABI_H
#define ATTNC_RUNTIME_KERNELABI_H

#include "attnc/Runtime/Tensor.h"
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace attnc {

/// One argument in the order of the kernel's signature. Each is one 8-byte slot: a tile.view
/// argument becomes its base pointer followed by one stride (i64, in elements) for each dimension.
struct KernelArg {
  enum class Kind : uint8_t {
    Pointer,  ///< base address of tensor `name`
    Stride,   ///< stride of dimension `dim` of tensor `name`, i64
    Size,     ///< size of index space `name`, i32 in the low half of the slot
    ParamI32, ///< launch parameter `name`
    ParamF32, ///< launch parameter `name`, f32 bits in the low half of the slot
    /// First point of dimension `dim` of the grid, i32. A GPU takes at most 65535 thread blocks in
    /// dimensions 1 and 2, so larger grids are launched in slices, each with its first point.
    GridStart,
  };
  Kind kind;
  std::string name;
  int32_t dim = 0;
};

/// A tensor the kernel accesses: what is checked before a launch.
struct KernelTensor {
  std::string name;
  DType dtype;
  /// Index space of each dimension, or a decimal number for a fixed size.
  std::vector<std::string> axes;
  bool unitLastStride = false;
  bool isOutput = false;
  /// Every row (all dimensions but the last) must start at a multiple of this many bytes; 1 = any.
  int64_t rowAlignment = 1;
};

/// One kernel of a compiled variant.
struct KernelABI {
  std::string symbol;
  std::vector<KernelArg> args;
  std::vector<KernelTensor> tensors;
  /// Inputs of the spec that the kernel has no use for: a caller may pass them.
  std::vector<std::string> unusedInputs;
  /// Values of launch parameters that the caller does not bind.
  std::map<std::string, double> paramDefaults;
  /// Dimension i of the grid has ceil(size(gridSpaces[i]) / gridTiles[i]) points.
  std::array<std::string, 3> gridSpaces;
  std::array<int64_t, 3> gridTiles{1, 1, 1};
  int32_t numWarps = 4;     ///< GPU: warps of a thread block
  int64_t sharedBytes = 0;  ///< GPU: dynamic shared memory of a thread block
  int64_t scratchBytes = 0; ///< host: scratch memory of one program
};

/// A host kernel: argument slots, the point of the grid, and `scratchBytes` of 64-byte aligned
/// memory that belongs to the calling thread.
using HostKernelFn = void (*)(const uint64_t *slots, int32_t pid0, int32_t pid1, int32_t pid2,
                              void *scratch);

} // namespace attnc

#endif // ATTNC_RUNTIME_KERNELABI_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A program of kernels: what a compiled variant is, and the contract between the compiler, which
// writes it, and the runtimes (host threads, CUDA driver, emulator), which check tensors against
// it and launch its kernels in order. Kernels refer to tensors, sizes and parameters by index, so
// that a launch looks at no name. No MLIR here. docs/Programs.md describes programs as a whole.
#ifndef ATTNC_RUNTIME_PROGRAM_H
#define ATTNC_RUNTIME_PROGRAM_H

#include "attnc/Runtime/Tensor.h"
#include "attnc/Support/Binding.h"
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace attnc {

/// A tensor that lives for one run of a program, dense and row-major, in memory of the runtime or
/// the caller. Its contents are arbitrary until a kernel has written them.
struct WorkspaceTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<SizeFormula> axes;
  /// The index along each axis that the first element has; empty: 0. Of a tensor of a loop of
  /// chunks only those elements are there that a chunk has.
  std::vector<SizeFormula> first;
};

/// A part of a tensor that the copy engine of a GPU takes at once, and what follows from it for how
/// it lies in shared memory: rows one behind the other, in 16-byte chunks that are swizzled as wide
/// as a row is.
struct TensorBox {
  int32_t rowDim = 0;            ///< the dimension that rows run along; columns run along the last
  int32_t rows = 1, columns = 1; ///< rows of 32, 64 or 128 bytes
};

/// One argument of a kernel, in the order of its signature: a slot of 8 bytes. A tensor is its base
/// pointer followed by one stride (i64, in elements) for each dimension. A tensor map is the map,
/// which has no slot's size, whether it could be made, and one extent for each dimension.
struct KernelArg {
  enum class Kind : uint8_t {
    Pointer,          ///< base address of tensor `index`: inputs, then outputs of the signature
    Stride,           ///< stride of dimension `dim` of tensor `index`, i64
    WorkspacePointer, ///< base address of workspace tensor `index`
    WorkspaceStride,  ///< stride of dimension `dim` of workspace tensor `index`, i64
    Size,             ///< size `index` (see numSizes), i32 in the low half of the slot
    Param,            ///< parameter `index` of the signature: i32, or bits of an f32
    Scalar,           ///< scalar `index` of the program: i32, or bits of an f32
    /// First point of dimension `dim` of the grid, i32. A GPU takes at most 65535 thread blocks in
    /// dimensions 1 and 2, so larger grids are launched in slices, each with its first point.
    GridStart,
    TensorMap, ///< GPU: map of box `dim` of the launch in tensor `index`, 128 bytes
    HasMap,    ///< GPU: 1 if the map before it could be made of this launch's tensor, else 0, i32
    Extent,    ///< size of dimension `dim` of tensor `index`, i64
  };
  Kind kind = Kind::Pointer;
  int32_t index = 0;
  int32_t dim = 0;
};

/// One launch of a kernel.
struct KernelLaunch {
  std::string symbol; ///< of the kernel in the code
  std::vector<KernelArg> args;
  std::vector<TensorBox> boxes;    ///< GPU: of its tensor maps
  std::array<SizeFormula, 3> grid; ///< points of each dimension; a launch with a 0 does nothing
  int32_t numWarps = 4;            ///< GPU: warps of a thread block
  int64_t sharedBytes = 0;         ///< GPU: dynamic shared memory of a thread block
  int64_t scratchBytes = 0;        ///< host: scratch memory of one program
  /// The line of the spec whose statement it computes, "causal.attn:7"; empty where it is not
  /// known. Artefacts and caches do not keep it: what they hold is the same for specs that differ
  /// in it.
  std::string line;
};

/// One index space that a loop goes over in chunks.
struct ChunkAxis {
  SizeFormula size; ///< how many indices there are
  int64_t step = 1; ///< a chunk has a multiple of so many, but for the last one
};

/// Launches that run once for each combination of chunks of some spaces, in order, so that
/// workspace between them has to hold one chunk only. How long chunks are is chosen by the sizes of
/// a run (Chunks.h); what the launches compute must not depend on it.
struct ChunkLoop {
  int32_t firstLaunch = 0, numLaunches = 0;
  std::vector<ChunkAxis> axes; ///< the first one is cut first
};

/// What has to hold of sizes for a launch: a number of at least 1.
struct Requirement {
  SizeFormula number;
  std::string message; ///< what is wrong otherwise
};

/// Everything that runs for one variant. Every tensor of the signature has a dtype, and every
/// declared space an extent. Formulas and arguments refer to sizes: of the index spaces that
/// `signature.spaceNames` lists, which tensors tell or which are computed, and behind them, for
/// each axis of the loops, the first index of a chunk and the number of its indices.
struct Program {
  Signature signature;
  /// Inputs of the spec that no kernel has a use for: a caller may pass them.
  std::vector<std::string> unusedInputs;
  std::vector<WorkspaceTensor> workspaces;
  std::vector<SizeFormula> scalars; ///< computed when a launch is prepared
  std::vector<Requirement> requirements;
  std::vector<KernelLaunch> launches; ///< each sees what the ones before it have written
  std::vector<ChunkLoop> loops;       ///< of different launches, in their order

  size_t numTensors() const { return signature.inputs.size() + signature.outputs.size(); }
  /// The tensor that arguments call `index`.
  const TensorDecl &tensor(size_t index) const {
    size_t inputs = signature.inputs.size();
    return index < inputs ? signature.inputs[index] : signature.outputs[index - inputs];
  }
  bool isOutput(size_t index) const { return index >= signature.inputs.size(); }
  /// How many sizes formulas may refer to: those of the spaces, and two for each axis of a loop.
  size_t numSizes() const {
    size_t count = signature.spaceNames.size();
    for (const ChunkLoop &loop : loops)
      count += 2 * loop.axes.size();
    return count;
  }
};

/// Checks all that the parts of a program say about each other: names are unique, every index is of
/// something that is there, formulas are well formed, numbers are in range. What a launch does with
/// a program that passes is defined for any tensors. The failure says what is wrong.
Failure checkProgram(const Program &program);

/// A host kernel: argument slots, the point of the grid, and `scratchBytes` of 64-byte aligned
/// memory that belongs to the calling thread.
using HostKernelFn = void (*)(const uint64_t *slots, int32_t pid0, int32_t pid1, int32_t pid2,
                              void *scratch);

} // namespace attnc

#endif // ATTNC_RUNTIME_PROGRAM_H

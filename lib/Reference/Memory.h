// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tensors and numbers of a run. Every tensor is dense, row-major and float64; ints are whole
// numbers and conditions 0 or 1.
#ifndef ATTNC_LIB_REFERENCE_MEMORY_H
#define ATTNC_LIB_REFERENCE_MEMORY_H

#include "Arithmetic.h"
#include "DecisionLog.h"
#include "Demand.h"
#include "attnc/Reference/Reference.h"
#include "attnc/Support/Binding.h"
#include "dialects/Attn/Attn.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/ErrorHandling.h"
#include <algorithm>
#include <cmath>

namespace attnc::reference {

/// Numbers that are the same everywhere in a run: sizes and parameters.
struct Environment {
  BoundSizes sizes;
  std::map<std::string, double> params;
  unsigned numThreads = 1;
  RunOptions options;
  DecisionLog *decisions = nullptr; ///< null where nobody asks for them
  Demand demand;

  int64_t sizeOf(llvm::StringRef space) const {
    auto it = sizes.spaces.find(space.str());
    return it == sizes.spaces.end() ? 0 : it->second;
  }
  std::vector<int64_t> shapeOf(attn::AttnTensorType type) const {
    std::vector<int64_t> shape;
    for (unsigned i = 0; i < type.getRank(); ++i)
      shape.push_back(type.getAxisName(i).empty() ? type.getAxisSize(i)
                                                  : sizeOf(type.getAxisName(i)));
    return shape;
  }
};

inline int64_t elementsOf(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

/// Elements from one index of axis `axis` to the next, of a dense row-major tensor.
inline int64_t strideOf(const std::vector<int64_t> &shape, size_t axis) {
  int64_t stride = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i)
    stride *= shape[i];
  return stride;
}

/// Tensors and scalars by the value that stands for them. The memory of a recurrence's step lies
/// over that of the variant. Tensors do not move once they are allocated.
class Memory {
public:
  explicit Memory(const Memory *outer = nullptr) : outer(outer) {}

  /// The tensor of `value`: allocated on first use, kept afterwards.
  Tensor64 &allocate(mlir::Value value, std::vector<int64_t> shape) {
    std::unique_ptr<Tensor64> &tensor = tensors[value];
    if (!tensor)
      tensor = std::make_unique<Tensor64>();
    if (tensor->shape != shape || tensor->data.empty()) {
      tensor->data.assign(static_cast<size_t>(elementsOf(shape)), 0.0);
      tensor->shape = std::move(shape);
    }
    return *tensor;
  }
  /// The same for a result of `stage`; NaN if the stage leaves some of its rows out.
  Tensor64 &allocate(mlir::Value value, std::vector<int64_t> shape, const Demand &demand,
                     mlir::Operation *stage) {
    Tensor64 &tensor = allocate(value, std::move(shape));
    if (demand.isPartial(stage))
      std::fill(tensor.data.begin(), tensor.data.end(), std::nan(""));
    return tensor;
  }
  const Tensor64 &tensor(mlir::Value value) const {
    for (const Memory *memory = this; memory; memory = memory->outer)
      if (auto it = memory->tensors.find(value); it != memory->tensors.end())
        return *it->second;
    llvm_unreachable("a stage reads a tensor that no stage before it has computed");
  }
  void setScalar(mlir::Value value, double number) { scalars[value] = number; }
  double scalar(mlir::Value value) const {
    for (const Memory *memory = this; memory; memory = memory->outer)
      if (auto it = memory->scalars.find(value); it != memory->scalars.end())
        return it->second;
    return 0;
  }

private:
  const Memory *outer;
  llvm::DenseMap<mlir::Value, std::unique_ptr<Tensor64>> tensors;
  llvm::DenseMap<mlir::Value, double> scalars;
};

/// Calls `body` for ranges [first, last) that together are [0, count), on up to `numThreads`
/// threads.
void parallelFor(int64_t count, unsigned numThreads,
                 llvm::function_ref<void(int64_t first, int64_t last)> body);

} // namespace attnc::reference

#endif // ATTNC_LIB_REFERENCE_MEMORY_H

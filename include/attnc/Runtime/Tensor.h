// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tensor that somebody else owns: a pointer with dtype, shape and strides. What the reference,
// the host back end and the CUDA runtime all take. No MLIR and no ownership here.
#ifndef ATTNC_RUNTIME_TENSOR_H
#define ATTNC_RUNTIME_TENSOR_H

#include <cstdint>
#include <string>
#include <vector>

namespace attnc {

/// Element types of tensors. Bool is one byte, 0 or 1.
enum class DType : uint8_t { F32, F16, BF16, I32, Bool };

/// Bytes of one element.
constexpr int64_t dtypeSize(DType dtype) {
  switch (dtype) {
  case DType::F32:
  case DType::I32:
    return 4;
  case DType::F16:
  case DType::BF16:
    return 2;
  case DType::Bool:
    return 1;
  }
  return 0;
}

/// A view of memory. `strides` count elements, may be negative or 0, one for each dimension.
struct TensorView {
  void *data = nullptr;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;

  int64_t rank() const { return static_cast<int64_t>(shape.size()); }
  /// INT64_MAX if there are more than that.
  int64_t numElements() const {
    int64_t n = 1;
    for (int64_t size : shape)
      if (size == 0)
        return 0;
      else if (__builtin_mul_overflow(n, size, &n))
        n = INT64_MAX;
    return n;
  }
};

/// Strides of a dense row-major tensor. One that does not fit is INT64_MAX.
inline std::vector<int64_t> rowMajorStrides(const std::vector<int64_t> &shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    if (__builtin_mul_overflow(strides[i], shape[i], &strides[i - 1]))
      strides[i - 1] = INT64_MAX;
  return strides;
}

} // namespace attnc

#endif // ATTNC_RUNTIME_TENSOR_H

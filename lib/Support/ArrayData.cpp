// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements of tensor files.
#include "ArrayData.h"

#include <cstring>

using namespace attnc;

Outcome<uint64_t> attnc::countElements(const std::vector<int64_t> &shape) {
  int64_t extents = 1;
  bool isEmpty = false;
  for (int64_t extent : shape) {
    isEmpty |= extent == 0;
    if (extent != 0 && __builtin_mul_overflow(extents, extent, &extents))
      return Failure("its shape has more than 2^63 elements");
  }
  return isEmpty ? 0 : static_cast<uint64_t>(extents);
}

Outcome<NpyArray> attnc::arrayOf(DType dtype, size_t fileSize, std::vector<int64_t> shape,
                                 const uint8_t *data) {
  Outcome<uint64_t> counted = countElements(shape);
  if (!counted)
    return counted.takeError();
  uint64_t count = *counted;
  NpyArray array;
  array.storage.resize(static_cast<size_t>(count) * static_cast<size_t>(dtypeSize(dtype)));
  if (fileSize == 8) {
    for (uint64_t i = 0; i < count; ++i) {
      int64_t wide;
      std::memcpy(&wide, data + i * 8, 8);
      if (wide < INT32_MIN || wide > INT32_MAX)
        return Failure("its element " + std::to_string(i) + " is " + std::to_string(wide) +
                       ", which does not fit into i32");
      int32_t narrow = static_cast<int32_t>(wide);
      std::memcpy(array.storage.data() + i * 4, &narrow, 4);
    }
  } else if (count != 0) {
    std::memcpy(array.storage.data(), data, array.storage.size());
    if (dtype == DType::Bool)
      for (uint8_t &value : array.storage)
        value = value != 0;
  }
  array.view.data = array.storage.data();
  array.view.dtype = dtype;
  // The other extents beside a 0 may be anything; strides of an empty tensor are never used.
  array.view.strides = count == 0 ? std::vector<int64_t>(shape.size(), 0) : rowMajorStrides(shape);
  array.view.shape = std::move(shape);
  return array;
}

void attnc::appendElements(const TensorView &tensor, std::vector<uint8_t> &bytes) {
  size_t unit = static_cast<size_t>(dtypeSize(tensor.dtype));
  size_t out = bytes.size(), count = static_cast<size_t>(tensor.numElements());
  bytes.resize(out + count * unit);
  std::vector<int64_t> index(tensor.shape.size(), 0);
  for (size_t n = 0; n < count; ++n) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i)
      offset += index[i] * tensor.strides[i];
    std::memcpy(bytes.data() + out + n * unit,
                static_cast<const uint8_t *>(tensor.data) + offset * static_cast<int64_t>(unit),
                unit);
    for (size_t i = index.size(); i-- > 0;) {
      if (++index[i] < tensor.shape[i])
        break;
      index[i] = 0;
    }
  }
}

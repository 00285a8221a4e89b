// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From the bytes of a file to a tensor, and back: what formats of tensor files share.
#ifndef ATTNC_LIB_SUPPORT_ARRAYDATA_H
#define ATTNC_LIB_SUPPORT_ARRAYDATA_H

#include "attnc/Support/Npy.h"

namespace attnc {

/// Elements of a shape; the extents beside a 0 count too, as who counts elements multiplies them
/// without looking for a 0 first.
Outcome<uint64_t> countElements(const std::vector<int64_t> &shape);

/// The elements at `data` in row-major order, each of `fileSize` bytes: those of 8 are made i32,
/// and conditions are made 0 or 1.
Outcome<NpyArray> arrayOf(DType dtype, size_t fileSize, std::vector<int64_t> shape,
                          const uint8_t *data);

/// Appends the elements of a tensor of any strides in row-major order.
void appendElements(const TensorView &tensor, std::vector<uint8_t> &bytes);

} // namespace attnc

#endif // ATTNC_LIB_SUPPORT_ARRAYDATA_H

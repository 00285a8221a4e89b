// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NumPy's .npy files. A file is untrusted: its header may be truncated, lie about the size of the
// data or ask for more memory than there is, and every such case is an error with a message, never
// a crash.
#ifndef ATTNC_SUPPORT_NPY_H
#define ATTNC_SUPPORT_NPY_H

#include "attnc/Runtime/Tensor.h"
#include "attnc/Support/Failure.h"

#include <optional>
#include <string>
#include <vector>

namespace attnc {

/// A tensor with its memory.
struct NpyArray {
  NpyArray() = default;
  // The view of a copy would be of the other's memory.
  NpyArray(NpyArray &&) = default;
  NpyArray &operator=(NpyArray &&) = default;

  std::vector<uint8_t> storage;
  /// Points into `storage`; a Fortran-order file has column-major strides.
  TensorView view;
};

/// Decodes the `size` bytes of a .npy file (versions 1 to 3). Understands little-endian f2, f4, i4
/// and i8 (values must fit into i32), b1, and 2-byte V2 or u2 where `expected` is BF16. f8 is not
/// accepted: nothing here computes with it silently. If `expected` is given, the file must have
/// that dtype.
Outcome<NpyArray> decodeNpy(const uint8_t *bytes, size_t size, std::optional<DType> expected);

/// Reads a .npy file. The failure names the file.
Outcome<NpyArray> readNpy(const std::string &path, std::optional<DType> expected);

/// Encodes a tensor of any strides as a version 1.0 .npy file in C order; bf16 is written as V2.
std::vector<uint8_t> encodeNpy(const TensorView &tensor);

/// Writes a .npy file as writeFile does: whole or not at all. The failure names the file.
Failure writeNpy(const std::string &path, const TensorView &tensor);

/// The same for dense row-major float64, which is what the reference yields.
Failure writeNpy(const std::string &path, const std::vector<int64_t> &shape,
                 const std::vector<double> &values);

} // namespace attnc

#endif // ATTNC_SUPPORT_NPY_H

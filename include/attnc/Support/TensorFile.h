// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files of tensors, by their names: `.npy` holds one, `.safetensors` several with names. What is
// said of untrusted files in Npy.h holds here too.
#ifndef ATTNC_SUPPORT_TENSORFILE_H
#define ATTNC_SUPPORT_TENSORFILE_H

#include "attnc/Support/Npy.h"
#include <string_view>

namespace attnc {

/// Decodes the tensor `name` of the `size` bytes of a safetensors file: the length of a header, the
/// header, a JSON object of dtype, shape and place of each tensor, and the data, which the tensors
/// cover without a gap. Understands F32, F16, BF16, I32, I64 (values must fit into i32) and BOOL;
/// tensors of other types may lie beside it. If `expected` is given, the tensor must have that
/// dtype.
Outcome<NpyArray> decodeSafetensors(const uint8_t *bytes, size_t size, std::string_view name,
                                    std::optional<DType> expected);

/// Encodes one tensor of any strides as a safetensors file, under a name.
std::vector<uint8_t> encodeSafetensors(std::string_view name, const TensorView &tensor);

/// Reads a tensor: `FILE.safetensors` is the tensor `name` of that file, `FILE.safetensors:OTHER`
/// the tensor OTHER, and anything else a .npy file. Of a safetensors file the header and that
/// tensor are read, however large the rest is. The failure names the file.
Outcome<NpyArray> readTensor(const std::string &place, std::string_view name,
                             std::optional<DType> expected);

/// Writes a tensor to what readTensor reads it from, whole or not at all. A safetensors file that
/// is there already is replaced, other tensors in it included. The failure names the file.
Failure writeTensor(const std::string &place, std::string_view name, const TensorView &tensor);

} // namespace attnc

#endif // ATTNC_SUPPORT_TENSORFILE_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Just enough of NumPy's .npy format (versions 1 to 3, C order, little endian) to move arrays
// between files and device memory. Element types are kept as NumPy's descriptor strings; bf16,
// which NumPy does not have, travels as '<u2'. A file is untrusted: whatever it claims is held
// against the bytes that it has before anything is allocated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attnc::emu::tool {

struct Array {
  std::string descr; ///< for example "<f4"
  std::vector<uint64_t> shape;
  std::vector<char> bytes;
  /// Bytes of all elements. Throws std::runtime_error if they are more than an address space has.
  uint64_t byteCount() const;
};

/// The array in the bytes of a .npy file. Throws std::runtime_error that names the file `path`,
/// which is not looked at, and says what is wrong with it.
Array parseNpy(const std::string &path, std::string_view file);
/// The same for a file; also throws if it cannot be read.
Array readNpy(const std::string &path);

/// The bytes of a .npy file, which parseNpy reads.
std::string encodeNpy(const Array &array);
void writeNpy(const std::string &path, const Array &array);

/// The descriptor of f32, f16, bf16, i32, u8, ...; throws for unknown names.
std::string descrFor(const std::string &type);

} // namespace attnc::emu::tool

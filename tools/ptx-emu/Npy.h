// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Just enough of NumPy's .npy format (version 1 and 2, C order, little endian) to move arrays
// between files and device memory. Element types are kept as NumPy's descriptor strings; bf16,
// which NumPy does not have, travels as '<u2'.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnc::emu::tool {

struct Array {
  std::string descr; ///< for example "<f4"
  std::vector<uint64_t> shape;
  std::vector<char> bytes;
  uint64_t elementBytes() const;
  uint64_t count() const;
};

/// Throws std::runtime_error naming the file and what is wrong with it.
Array readNpy(const std::string &path);
void writeNpy(const std::string &path, const Array &array);

/// The descriptor of f32, f16, bf16, i32, u8, ...; throws for unknown names.
std::string descrFor(const std::string &type);

} // namespace attnc::emu::tool

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// SHA-256 (FIPS 180-4), which tells a damaged code file.
#ifndef ATTNC_SUPPORT_SHA256_H
#define ATTNC_SUPPORT_SHA256_H

#include <string>
#include <string_view>

namespace attnc {

/// The hash of the bytes, as 64 lower-case hexadecimal digits.
std::string sha256Hex(std::string_view bytes);

} // namespace attnc

#endif // ATTNC_SUPPORT_SHA256_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Random edits of good files, for tests that hold readers against any bytes.
#ifndef ATTNC_TEST_UNIT_SUPPORT_RANDOMEDITS_H
#define ATTNC_TEST_UNIT_SUPPORT_RANDOMEDITS_H

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace attnc {

/// `bytes` after one to three edits: cut off, a byte changed, one of `pieces` written over it or
/// put in.
template <size_t N>
std::vector<uint8_t> edited(std::vector<uint8_t> bytes, const std::string (&pieces)[N],
                            std::mt19937 &random) {
  for (unsigned edits = 1 + random() % 3; edits-- > 0 && !bytes.empty();) {
    size_t at = random() % bytes.size();
    const std::string &piece = pieces[random() % N];
    switch (random() % 4) {
    case 0:
      bytes.resize(at);
      break;
    case 1:
      bytes[at] = static_cast<uint8_t>(random());
      break;
    case 2: // in place, so that a header keeps its length
      std::memcpy(bytes.data() + at, piece.data(), std::min(piece.size(), bytes.size() - at));
      break;
    default:
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), piece.begin(), piece.end());
    }
  }
  return bytes;
}

} // namespace attnc

#endif // ATTNC_TEST_UNIT_SUPPORT_RANDOMEDITS_H

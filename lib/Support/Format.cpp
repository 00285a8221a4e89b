// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Values in the places that a pattern has for them.
#include "attnc/Support/Format.h"

std::string attnc::detail::fillIn(std::string_view pattern,
                                  const std::vector<std::string> &values) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    bool isPlace = i + 2 < pattern.size() && pattern[i] == '{' && pattern[i + 2] == '}' &&
                   pattern[i + 1] >= '0' && size_t(pattern[i + 1] - '0') < values.size();
    if (!isPlace) {
      text += pattern[i];
      continue;
    }
    text += values[size_t(pattern[i + 1] - '0')];
    i += 2;
  }
  return text;
}

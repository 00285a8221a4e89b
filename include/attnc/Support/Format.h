// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sentences with values in them, for the code that has no LLVM.
#ifndef ATTNC_SUPPORT_FORMAT_H
#define ATTNC_SUPPORT_FORMAT_H

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace attnc {

namespace detail {
template <typename T> std::string valueText(const T &value) {
  if constexpr (std::is_arithmetic_v<T>)
    return std::to_string(value);
  else
    return std::string(value);
}
std::string fillIn(std::string_view pattern, const std::vector<std::string> &values);
} // namespace detail

/// `pattern` with `{0}`, `{1}`, ... replaced by the values: texts and whole numbers. Other braces
/// stay as they are.
template <typename... T> std::string formatText(std::string_view pattern, const T &...values) {
  return detail::fillIn(pattern, {detail::valueText(values)...});
}

} // namespace attnc

#endif // ATTNC_SUPPORT_FORMAT_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Values and names that a caller passes.
#include "attnc/Support/Checks.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstdlib>

using namespace attnc;

std::string attnc::numberText(double value) {
  char text[32];
  for (int digits = 1; digits <= 17; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    if (std::strtod(text, nullptr) == value)
      break;
  }
  // Whole numbers of a size that people write out are not printed as 2.14748e+09.
  if (std::fabs(value) < 1e15 && value == std::floor(value))
    std::snprintf(text, sizeof text, "%.0f", value);
  return text;
}

Failure attnc::checkParamValue(const std::string &name, bool isInteger, double value) {
  if (isInteger) {
    // Written so that NaN fails.
    bool fits = value >= -2147483648.0 && value <= 2147483647.0 && value == std::floor(value);
    if (!fits)
      return Failure::invalidArgument("parameter `" + name + "` is an int of 32 bits, found " +
                                      numberText(value));
    return Failure::success();
  }
  if (std::isfinite(value) && std::fabs(value) > static_cast<double>(FLT_MAX))
    return Failure::invalidArgument("parameter `" + name + "` is an f32, at most " +
                                    numberText(FLT_MAX) + " in size, found " + numberText(value));
  return Failure::success();
}

/// Insertions, deletions and replacements of a character that make `b` of `a`.
static size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

static bool equalButForCase(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

std::string attnc::didYouMean(std::string_view name, const std::vector<std::string> &known) {
  const std::string *nearest = nullptr;
  // A third of a name may be wrong; a name of any length is not worth a table of its square.
  size_t most = name.size() > 64 ? 0 : name.size() / 3 + 1;
  for (const std::string &candidate : known) {
    if (equalButForCase(name, candidate))
      return "; did you mean `" + candidate + "`?";
    if (candidate.size() > 64 || name.size() < 3)
      continue;
    if (size_t distance = editDistance(name, candidate); distance < most) {
      most = distance;
      nearest = &candidate;
    }
  }
  return nearest ? "; did you mean `" + *nearest + "`?" : "";
}

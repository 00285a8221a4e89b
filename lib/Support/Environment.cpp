// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The registry of environment variables, and names that are close to one of it.
#include "attnc/Support/Environment.h"
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string_view>

using namespace attnc;

const std::vector<VariableInfo> &attnc::allVariables() {
  static const std::vector<VariableInfo> variables = {
#define ATTNC_VARIABLE(identifier, name, reader, meaning) {name, reader, meaning},
#include "attnc/Support/Environment.def"
#undef ATTNC_VARIABLE
  };
  return variables;
}

const char *attnc::readVariable(Variable variable) {
  return std::getenv(allVariables()[static_cast<size_t>(variable)].name);
}

/// The least number of characters to insert, remove or replace that makes `to` of `from`.
static size_t editDistance(std::string_view from, std::string_view to) {
  std::vector<size_t> row(to.size() + 1); // distances of a prefix of `from` to each prefix of `to`
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < from.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < to.size(); ++j) {
      size_t replaced = diagonal + (from[i] != to[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::vector<std::string> attnc::unknownVariables(const char *const *environment) {
  std::vector<std::string> lines;
  for (; *environment; ++environment) {
    std::string_view name = *environment;
    name = name.substr(0, name.find('='));
    if (name.substr(0, 6) != "ATTNC_")
      continue;
    std::string nearest;
    size_t distance = 4; // further away is no typing error
    for (const VariableInfo &known : allVariables())
      if (size_t d = editDistance(name, known.name); d < distance) {
        distance = d;
        nearest = known.name;
      }
    if (distance == 0)
      continue;
    lines.push_back("nothing reads the environment variable `" + std::string(name) + "`: " +
                    (nearest.empty() ? "`attnc --help` lists those that are read"
                                     : "did you mean `" + nearest + "`?"));
  }
  return lines;
}

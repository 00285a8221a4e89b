// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Environment variables of attnc: one registry, through which our libraries read them, so that a
// name that nobody reads can be told from one that somebody does.
#ifndef ATTNC_SUPPORT_ENVIRONMENT_H
#define ATTNC_SUPPORT_ENVIRONMENT_H

#include <string>
#include <vector>

namespace attnc {

/// A variable of the registry, Environment.def.
enum class Variable {
#define ATTNC_VARIABLE(identifier, name, reader, meaning) identifier,
#include "attnc/Support/Environment.def"
#undef ATTNC_VARIABLE
};

/// Its name, who reads it, and what it means.
struct VariableInfo {
  const char *name, *reader, *meaning;
};

/// All of them, indexed by Variable.
const std::vector<VariableInfo> &allVariables();

/// What the environment of this process has for `variable`, or null if it is not set.
const char *readVariable(Variable variable);

/// One line for each ATTNC_* of `environment` (`NAME=value` texts up to a null, as `environ`) that
/// is not in the registry, with the name that was probably meant.
std::vector<std::string> unknownVariables(const char *const *environment);

} // namespace attnc

#endif // ATTNC_SUPPORT_ENVIRONMENT_H

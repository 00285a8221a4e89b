// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What this CPU can run, asked of the CPU itself: compiled code says what it needs, and an
// instruction that a CPU lacks would end the process.
#ifndef ATTNC_RUNTIME_CPUFEATURES_H
#define ATTNC_RUNTIME_CPUFEATURES_H

#include <string>
#include <vector>

namespace attnc {

/// Those of `required`, by LLVM's names for features of x86-64, that this CPU or its operating
/// system lacks, or that are not known here.
std::vector<std::string> missingCpuFeatures(const std::vector<std::string> &required);

/// The names that are known, sorted.
const std::vector<std::string> &knownCpuFeatures();

} // namespace attnc

#endif // ATTNC_RUNTIME_CPUFEATURES_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which instructions host code may use: those of this CPU, of a level of x86-64 that many CPUs
// have, or either with some features more or less. The code needs what it may use; a CPU that lacks
// any of it does not load the code.
#ifndef ATTNC_TARGET_HOST_HOSTFEATURES_H
#define ATTNC_TARGET_HOST_HOSTFEATURES_H

#include "attnc/Conversion/TileToVector/HostTarget.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace attnc {

/// What `--host-features` says.
struct HostFeatures {
  /// What the lowering makes of the features: how wide its vectors are.
  HostISA isa = HostISA::Generic;
  /// CPU whose timings LLVM schedules for, and whose level it starts from: "sapphirerapids",
  /// "x86-64-v3".
  std::string cpu;
  /// What LLVM is told beside the CPU: "+avx512bf16", "-fma".
  std::vector<std::string> changes;
  /// Features that a CPU must have to run the code, by LLVM's names, sorted. Features that no CPU
  /// reports, as all have them, are left out.
  std::vector<std::string> required;

  /// This CPU's.
  static const HostFeatures &native();

  /// Parses a base and changes to it, separated by commas: `native`, `x86-64`, `x86-64-v2`,
  /// `x86-64-v3` or `x86-64-v4`, then `+NAME` and `-NAME`; without a base the changes are to
  /// `native`. A feature brings those that it needs, and takes away those that need it. The error
  /// names the part that is unknown.
  static llvm::Expected<HostFeatures> parse(llvm::StringRef text);
};

} // namespace attnc

#endif // ATTNC_TARGET_HOST_HOSTFEATURES_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// --timing of `run` and `bench`: how long each launch of a program takes.
#ifndef ATTNC_LIB_DRIVER_KERNELTIMES_H
#define ATTNC_LIB_DRIVER_KERNELTIMES_H

#include "attnc/Runtime/Arguments.h"
#include "llvm/Support/JSON.h"

namespace attnc::driver {

/// Times of each launch of a program over some runs. On an emulated device, which has no time, they
/// are instructions of warps.
class KernelTimes {
public:
  KernelTimes(const Program &program, bool isEmulated)
      : program(program), isEmulated(isEmulated), times(program.launches.size()) {}

  /// Adds a run.
  void add(const LaunchTimes &run);

  /// A list with the name, the line and the median of each launch: "median_ms", "min_ms" and
  /// "max_ms", or "warp_instructions".
  llvm::json::Array asJson() const;
  /// A line for each launch: its name and line of the spec, the median, and its share of their sum.
  void print() const;

private:
  double median(size_t launch) const;
  std::string text(double time) const;
  const Program &program;
  const bool isEmulated;
  std::vector<std::vector<double>> times; ///< of each launch, sorted
};

} // namespace attnc::driver

#endif // ATTNC_LIB_DRIVER_KERNELTIMES_H

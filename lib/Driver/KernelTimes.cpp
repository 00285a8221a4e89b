// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The table of launches. The median of each is its own: they need not be of one run, nor add up to
// the median of the program.
#include "KernelTimes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <algorithm>
#include <cmath>

using namespace attnc;
using namespace attnc::driver;
using llvm::formatv;

void KernelTimes::add(const LaunchTimes &run) {
  // An emulated device counts 10^6 instructions of warps as a millisecond.
  for (auto [all, time] : llvm::zip_equal(times, run)) {
    double counted = isEmulated ? std::round(time * 1e6) : time;
    all.insert(std::upper_bound(all.begin(), all.end(), counted), counted);
  }
}

double KernelTimes::median(size_t launch) const {
  return times[launch].empty() ? 0 : times[launch][times[launch].size() / 2];
}

llvm::json::Array KernelTimes::asJson() const {
  llvm::json::Array kernels;
  for (auto [i, launch] : llvm::enumerate(program.launches)) {
    llvm::json::Object kernel{{"name", launch.symbol}, {"line", launch.line}};
    if (isEmulated) {
      kernel["warp_instructions"] = static_cast<int64_t>(median(i));
    } else {
      kernel["median_ms"] = median(i);
      kernel["min_ms"] = times[i].empty() ? 0 : times[i].front();
      kernel["max_ms"] = times[i].empty() ? 0 : times[i].back();
    }
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

std::string KernelTimes::text(double time) const {
  return isEmulated ? formatv("{0,12} warp instructions", static_cast<int64_t>(time)).str()
                    : formatv("{0,10:F3} ms", time).str();
}

void KernelTimes::print() const {
  double sum = 0;
  size_t names = 0, lines = 0;
  for (auto [i, launch] : llvm::enumerate(program.launches)) {
    sum += median(i);
    names = std::max(names, launch.symbol.size());
    lines = std::max(lines, launch.line.size());
  }
  for (auto [i, launch] : llvm::enumerate(program.launches)) {
    std::string name = launch.symbol, line = launch.line;
    name.resize(names, ' ');
    line.resize(lines, ' ');
    llvm::outs() << formatv("  {0}  {1}  {2}  {3,5:F1} %\n", name, line, text(median(i)),
                            sum > 0 ? 100 * median(i) / sum : 0.0);
  }
}

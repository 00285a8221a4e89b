// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The number of threads that the environment asks for.
#include "attnc/Support/Threads.h"
#include "attnc/Support/Environment.h"
#include "llvm/Support/Threading.h"
#include <algorithm>
#include <cstdlib>

unsigned attnc::defaultThreads() {
  if (const char *text = readVariable(Variable::NumThreads)) {
    char *end = nullptr;
    long value = std::strtol(text, &end, 10);
    if (end != text && *end == 0 && value >= 1 && value <= long(kMaxThreads))
      return static_cast<unsigned>(value);
  }
  return std::max(1u, llvm::hardware_concurrency().compute_thread_count());
}

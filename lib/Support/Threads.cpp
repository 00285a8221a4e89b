// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The number of threads that the environment asks for.
#include "attnc/Support/Threads.h"
#include "attnc/Support/Environment.h"
#include <algorithm>
#include <cstdlib>
#include <sched.h>
#include <thread>

/// The CPUs that this process may run on.
static unsigned availableCPUs() {
  // A mask that is too small for the machine is refused, so it grows.
  for (int cpus = CPU_SETSIZE; cpus <= (1 << 20); cpus *= 2) {
    cpu_set_t *set = CPU_ALLOC(cpus);
    size_t bytes = CPU_ALLOC_SIZE(cpus);
    int count = set && sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0)
      return static_cast<unsigned>(count);
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

unsigned attnc::defaultThreads() {
  if (const char *text = readVariable(Variable::NumThreads)) {
    char *end = nullptr;
    long value = std::strtol(text, &end, 10);
    if (end != text && *end == 0 && value >= 1 && value <= long(kMaxThreads))
      return static_cast<unsigned>(value);
  }
  return std::min(availableCPUs(), kMaxThreads);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory that is left, from /proc/meminfo, control groups (version 2, and 1) and RLIMIT_AS.
#include "attnc/Support/MemoryLimit.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <sys/resource.h>
#include <unistd.h>

using namespace attnc;

static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

/// The number after `key` in a file of lines "key number", or `otherwise`.
static uint64_t field(const std::string &path, const std::string &key, uint64_t otherwise) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t value;
    if (words >> name >> value && name == key)
      return value;
  }
  return otherwise;
}

/// The number that a file holds, or `otherwise` ("max" among it).
static uint64_t number(const std::string &path, uint64_t otherwise) {
  std::ifstream file(path);
  uint64_t value;
  return file >> value ? value : otherwise;
}

static uint64_t freeOnMachine() {
  const char *path = "/proc/meminfo"; // in KiB
  uint64_t available = field(path, "MemAvailable:", kUnlimited);
  return available == kUnlimited ? kUnlimited : (available + field(path, "SwapFree:", 0)) * 1024;
}

/// What one group leaves; its page cache is given back when memory is asked for.
static uint64_t leftInGroup(uint64_t limit, uint64_t used, uint64_t cache) {
  if (limit >= kUnlimited / 4) // version 1 writes no limit as a large number
    return kUnlimited;
  used -= std::min(used, cache);
  return limit - std::min(limit, used);
}

static uint64_t freeInGroups() {
  uint64_t left = kUnlimited;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    bool isVersion2 = controllers.empty();
    if (!isVersion2 && controllers != "memory")
      continue;
    // A limit of a parent holds as well; in a container the root is the container's group.
    std::string root = isVersion2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    for (;; path.resize(path.rfind('/'))) {
      std::string folder = root + (path == "/" ? "" : path) + "/";
      left = std::min(
          left, isVersion2 ? leftInGroup(number(folder + "memory.max", kUnlimited),
                                         number(folder + "memory.current", 0),
                                         field(folder + "memory.stat", "inactive_file", 0))
                           : leftInGroup(number(folder + "memory.limit_in_bytes", kUnlimited),
                                         number(folder + "memory.usage_in_bytes", 0),
                                         field(folder + "memory.stat", "total_inactive_file", 0)));
      if (path.empty() || path.rfind('/') == std::string::npos)
        break;
    }
  }
  return left;
}

static uint64_t freeAddresses() {
  rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return kUnlimited;
  uint64_t used = number("/proc/self/statm", 0) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur - std::min<uint64_t>(limit.rlim_cur, used);
}

uint64_t attnc::availableMemory() {
  return std::min({freeOnMachine(), freeInGroups(), freeAddresses()});
}

std::string attnc::bytesText(long double bytes) {
  const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  size_t unit = 0;
  for (; bytes >= 1000 && unit + 1 < std::size(units); ++unit)
    bytes /= 1000;
  char text[48];
  std::snprintf(text, sizeof text,
                unit == 0      ? "%.0Lf %s"
                : bytes < 1e6L ? "%.1Lf %s"
                               : "%.2Le %s",
                bytes, units[unit]);
  return text;
}

long double attnc::bytesOf(const std::vector<int64_t> &shape, int64_t unit) {
  long double bytes = static_cast<long double>(unit);
  for (int64_t size : shape)
    bytes *= static_cast<long double>(size);
  return bytes;
}

Failure attnc::checkMemory(const std::string &what, long double bytes) {
  // Asking the system takes longer than small tensors do.
  if (bytes < 16e6L)
    return Failure::success();
  uint64_t left = availableMemory();
  if (bytes <= static_cast<long double>(left))
    return Failure::success();
  return Failure::outOfMemory(what + " needs " + bytesText(bytes) + ", but " +
                              bytesText(static_cast<long double>(left)) + " of memory are left");
}

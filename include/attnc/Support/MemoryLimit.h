// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How much memory a process may still take. What is computed from sizes that a user gives is
// checked against it before it is allocated: an allocation that the system grants and cannot serve
// ends the process, not the call.
#ifndef ATTNC_SUPPORT_MEMORYLIMIT_H
#define ATTNC_SUPPORT_MEMORYLIMIT_H

#include "attnc/Runtime/Tensor.h"
#include "attnc/Support/Failure.h"

#include <cstdint>
#include <string>
#include <vector>

namespace attnc {

/// Bytes that are left to this process: what the machine has free, without what control groups and
/// the limit of the address space (ulimit -v) forbid. What is not known is taken as without limit.
uint64_t availableMemory();

/// Bytes as a reader wants them: "12.8 GB".
std::string bytesText(long double bytes);

/// Elements of a shape times `unit` bytes, without overflow.
long double bytesOf(const std::vector<int64_t> &shape, int64_t unit);

/// Checks that `bytes` are left. The failure, an OutOfMemory, is "`what` needs 12.8 GB, but 3.9 GB
/// of memory are left".
Failure checkMemory(const std::string &what, long double bytes);

} // namespace attnc

#endif // ATTNC_SUPPORT_MEMORYLIMIT_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How many threads to work with.
#ifndef ATTNC_SUPPORT_THREADS_H
#define ATTNC_SUPPORT_THREADS_H

namespace attnc {

/// Most threads that anything here takes.
inline constexpr unsigned kMaxThreads = 4096;

/// The environment variable ATTNC_NUM_THREADS, where that is a number from 1 to kMaxThreads, else
/// one thread for each CPU of this process.
unsigned defaultThreads();

} // namespace attnc

#endif // ATTNC_SUPPORT_THREADS_H

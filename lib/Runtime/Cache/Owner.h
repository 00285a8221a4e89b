// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Whose a cache is: what is in it is executed.
#ifndef ATTNC_LIB_RUNTIME_CACHE_OWNER_H
#define ATTNC_LIB_RUNTIME_CACHE_OWNER_H

#include "llvm/ADT/StringRef.h"
#include <string>

namespace attnc {

/// Why what an open descriptor is of is not this user's alone; empty if it is.
std::string whyNotOurs(int descriptor, llvm::StringRef path);

} // namespace attnc

#endif // ATTNC_LIB_RUNTIME_CACHE_OWNER_H

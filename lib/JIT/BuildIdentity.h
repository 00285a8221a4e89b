// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which build of the compiler is running.
#ifndef ATTNC_LIB_JIT_BUILDIDENTITY_H
#define ATTNC_LIB_JIT_BUILDIDENTITY_H

#include <string>

namespace attnc {

/// Identifies the program or library that this code is part of by what is loaded and not by a path,
/// which need not lead to it: the linker's build-id in hexadecimal or, without one, a hash of the
/// code. Never empty; a rebuilt compiler has another one.
const std::string &buildIdentity();

} // namespace attnc

#endif // ATTNC_LIB_JIT_BUILDIDENTITY_H

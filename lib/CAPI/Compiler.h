// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the entries that compile share beyond Common.h: LLVM's errors, and its allocations.
#ifndef ATTNC_LIB_CAPI_COMPILER_H
#define ATTNC_LIB_CAPI_COMPILER_H

#include "Common.h"
#include "attnc/attnc.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

namespace attnc::capi {

/// An error that says which kind it is has its own status; the others have the given one.
attnc_status fail(attnc_status status, llvm::Error error);

/// Runs the body of an entry that uses LLVM, whose allocations throw then: it would end the process
/// otherwise.
attnc_status guardedCompiler(llvm::function_ref<attnc_status()> body) noexcept;

} // namespace attnc::capi

#endif // ATTNC_LIB_CAPI_COMPILER_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the entries of the C API share: statuses with their text, the guard against exceptions, and
// DLPack tensors as views.
#ifndef ATTNC_LIB_CAPI_COMMON_H
#define ATTNC_LIB_CAPI_COMMON_H

#include "attnc/Runtime/Tensor.h"
#include "attnc/attnc.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include <string>

namespace attnc::capi {

/// Keeps the text as the last failure of this thread; returns the status.
attnc_status fail(attnc_status status, const llvm::Twine &text);
/// An error that says which kind it is has its own status; the others have the given one.
attnc_status fail(attnc_status status, llvm::Error error);

/// Runs the body of an entry: no exception crosses the C API. LLVM's own allocations throw as well,
/// for it would end the process otherwise.
attnc_status guarded(llvm::function_ref<attnc_status()> body) noexcept;

/// Checks a number of threads: 0, the default, or one that a machine may have.
attnc_status checkThreads(int64_t threads);

/// A DLPack tensor as a view; false, with a message, for what we have no type for.
bool toView(const attnc_tensor &named, DLDeviceType wanted, TensorView &view, std::string &error);

} // namespace attnc::capi

#endif // ATTNC_LIB_CAPI_COMMON_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the entries of the C API share: statuses with their text, the guard against exceptions, and
// DLPack tensors as views. It is part of the runtime library, so there is no LLVM here.
#ifndef ATTNC_LIB_CAPI_COMMON_H
#define ATTNC_LIB_CAPI_COMMON_H

#include "attnc/Runtime/Tensor.h"
#include "attnc/Support/Failure.h"
#include "attnc/runtime.h"
#include <string>

namespace attnc::capi {

/// Keeps the text as the last failure of this thread; returns the status.
attnc_status fail(attnc_status status, const std::string &text);
/// A failure that says which kind it is has its own status; the others have the given one.
attnc_status fail(attnc_status status, const Failure &failure);

/// The status, and the text, of the exception that is being handled.
attnc_status failWithException() noexcept;

/// Runs the body of an entry: no exception crosses the C API.
template <typename Body> attnc_status guarded(Body body) noexcept {
  try {
    return body();
  } catch (...) {
    return failWithException();
  }
}

/// Copies a struct of a caller that may have been compiled with another version of it: what its
/// struct_size does not reach is zero. `least` is the size of the first version. Fails if the size
/// is none, or the caller has set what this version does not know.
Failure copyStructBytes(const void *given, size_t least, size_t known, const char *name,
                        void *copy);
template <typename T> Outcome<T> copyStruct(const T &given, size_t least, const char *name) {
  T copy;
  if (Failure failure = copyStructBytes(&given, least, sizeof(T), name, &copy))
    return failure;
  return copy;
}

/// Checks a number of threads: 0, the default, or one that a machine may have.
Failure checkThreads(int64_t threads);

/// A DLPack tensor as a view. Fails on another device than the wanted one, and for what we have no
/// type for.
Outcome<TensorView> toView(const attnc_tensor &named, DLDeviceType wanted);

} // namespace attnc::capi

#endif // ATTNC_LIB_CAPI_COMMON_H

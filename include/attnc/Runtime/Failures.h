// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Failures of the runtime as LLVM's errors, for the compiler and its tools.
#ifndef ATTNC_RUNTIME_FAILURES_H
#define ATTNC_RUNTIME_FAILURES_H

#include "attnc/Support/Failure.h"
#include "llvm/Support/Error.h"

namespace attnc {

/// The error's code is invalid_argument or not_enough_memory where the failure says so.
inline llvm::Error toError(Failure failure) {
  switch (failure.kind()) {
  case Failure::Kind::None:
    return llvm::Error::success();
  case Failure::Kind::InvalidArgument:
    return llvm::createStringError(std::make_error_code(std::errc::invalid_argument),
                                   failure.message());
  case Failure::Kind::OutOfMemory:
    return llvm::createStringError(std::make_error_code(std::errc::not_enough_memory),
                                   failure.message());
  case Failure::Kind::Other:
    break;
  }
  return llvm::createStringError(failure.message());
}

template <typename T> llvm::Expected<T> toExpected(Outcome<T> outcome) {
  if (outcome)
    return std::move(*outcome);
  return toError(outcome.takeError());
}

} // namespace attnc

#endif // ATTNC_RUNTIME_FAILURES_H

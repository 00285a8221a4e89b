// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How functions fail that have no LLVM, in Support, Runtime and CAPI: a sentence for the caller,
// and whose fault it is. The compiler turns them into llvm::Error (attnc/Runtime/Failures.h).
#ifndef ATTNC_SUPPORT_FAILURE_H
#define ATTNC_SUPPORT_FAILURE_H

#include <optional>
#include <string>
#include <utility>

namespace attnc {

/// Whether something failed, and why. True if it did.
class [[nodiscard]] Failure {
public:
  enum class Kind { None, Other, InvalidArgument, OutOfMemory };

  static Failure success() { return {}; }
  explicit Failure(std::string message, Kind kind = Kind::Other)
      : text(std::move(message)), reason(kind) {}
  static Failure invalidArgument(std::string message) {
    return Failure(std::move(message), Kind::InvalidArgument);
  }
  static Failure outOfMemory(std::string message) {
    return Failure(std::move(message), Kind::OutOfMemory);
  }

  explicit operator bool() const { return reason != Kind::None; }
  /// Empty if nothing failed.
  const std::string &message() const { return text; }
  Kind kind() const { return reason; }

private:
  Failure() = default;
  std::string text;
  Kind reason = Kind::None;
};

/// A value, or why there is none. True if there is one.
template <typename T> class [[nodiscard]] Outcome {
public:
  Outcome(T value) : result(std::move(value)), failure(Failure::success()) {}
  Outcome(Failure failure) : failure(std::move(failure)) {}

  explicit operator bool() const { return result.has_value(); }
  T &operator*() { return *result; }
  const T &operator*() const { return *result; }
  T *operator->() { return &*result; }
  const T *operator->() const { return &*result; }
  Failure takeError() { return std::move(failure); }
  /// Why there is no value; empty if there is one.
  const std::string &message() const { return failure.message(); }

private:
  std::optional<T> result;
  Failure failure;
};

} // namespace attnc

#endif // ATTNC_SUPPORT_FAILURE_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// JSON that is read where there is no LLVM: programs in code files. Names are those of llvm::json.
#ifndef ATTNC_SUPPORT_JSON_H
#define ATTNC_SUPPORT_JSON_H

#include "attnc/Support/Failure.h"
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace attnc::json {

class Value;
using Array = std::vector<Value>;

/// Members by name.
class Object : public std::map<std::string, Value, std::less<>> {
public:
  /// The member, or null.
  const Value *get(std::string_view name) const;
  // The member if it is of the type, else nothing.
  std::optional<std::string_view> getString(std::string_view name) const;
  std::optional<int64_t> getInteger(std::string_view name) const;
  std::optional<bool> getBoolean(std::string_view name) const;
  const Array *getArray(std::string_view name) const;
};

class Value {
public:
  Value() = default;
  template <typename T> explicit Value(T value) : data(std::move(value)) {}

  // What it is if it is of the type, else nothing. A whole number that int64 holds is an integer,
  // if it is written without a point and an exponent.
  std::optional<std::string_view> getAsString() const;
  std::optional<int64_t> getAsInteger() const;
  std::optional<bool> getAsBoolean() const;
  const Array *getAsArray() const { return std::get_if<Array>(&data); }
  const Object *getAsObject() const { return std::get_if<Object>(&data); }

private:
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object> data = nullptr;
};

/// Parses UTF-8 text. Malformed text, names that occur twice in an object, and values that nest
/// deeper than `maxDepth` are failures.
Outcome<Value> parse(std::string_view text, int maxDepth);

} // namespace attnc::json

#endif // ATTNC_SUPPORT_JSON_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A reader of JSON. The text comes from files that anybody may have written.
#include "attnc/Support/Json.h"
#include "attnc/Support/Format.h"
#include <charconv>

using namespace attnc;
using namespace attnc::json;

std::optional<std::string_view> Value::getAsString() const {
  auto *text = std::get_if<std::string>(&data);
  return text ? std::optional<std::string_view>(*text) : std::nullopt;
}
std::optional<int64_t> Value::getAsInteger() const {
  auto *number = std::get_if<int64_t>(&data);
  return number ? std::optional(*number) : std::nullopt;
}
std::optional<bool> Value::getAsBoolean() const {
  auto *truth = std::get_if<bool>(&data);
  return truth ? std::optional(*truth) : std::nullopt;
}

const Value *Object::get(std::string_view name) const {
  auto found = find(name);
  return found == end() ? nullptr : &found->second;
}
std::optional<std::string_view> Object::getString(std::string_view name) const {
  const Value *value = get(name);
  return value ? value->getAsString() : std::nullopt;
}
std::optional<int64_t> Object::getInteger(std::string_view name) const {
  const Value *value = get(name);
  return value ? value->getAsInteger() : std::nullopt;
}
std::optional<bool> Object::getBoolean(std::string_view name) const {
  const Value *value = get(name);
  return value ? value->getAsBoolean() : std::nullopt;
}
const Array *Object::getArray(std::string_view name) const {
  const Value *value = get(name);
  return value ? value->getAsArray() : nullptr;
}

namespace {
class Reader {
public:
  Reader(std::string_view text, int maxDepth) : text(text), maxDepth(maxDepth) {}

  Outcome<Value> readAll() {
    Value value;
    if (readValue(value, 0)) {
      skipSpace();
      if (at == text.size())
        return value;
      wrong("text behind the value");
    }
    return Failure(formatText("malformed JSON at byte {0}: {1}", at, problem));
  }

private:
  bool wrong(const char *what) {
    problem = problem ? problem : what;
    return false;
  }
  void skipSpace() {
    while (at < text.size() && std::string_view(" \t\n\r").find(text[at]) != text.npos)
      ++at;
  }
  /// Takes `word` if it comes next.
  bool take(std::string_view word) {
    bool isNext = text.substr(at, word.size()) == word;
    at += isNext ? word.size() : 0;
    return isNext;
  }
  bool takeMark(char mark) {
    skipSpace();
    return take(std::string_view(&mark, 1));
  }

  bool readValue(Value &value, int depth) {
    if (depth > maxDepth)
      return wrong("values nest too deep");
    skipSpace();
    if (take("null"))
      value = Value(nullptr);
    else if (take("true"))
      value = Value(true);
    else if (take("false"))
      value = Value(false);
    else if (take("["))
      return readArray(value, depth);
    else if (take("{"))
      return readObject(value, depth);
    else if (take("\"")) {
      std::string string;
      if (!readString(string))
        return false;
      value = Value(std::move(string));
    } else
      return readNumber(value);
    return true;
  }

  bool readArray(Value &value, int depth) {
    Array items;
    bool isEmpty = takeMark(']');
    while (!isEmpty) {
      if (!readValue(items.emplace_back(), depth + 1))
        return false;
      if (!takeMark(','))
        break;
    }
    if (!isEmpty && !takeMark(']'))
      return wrong("expected `,` or `]`");
    value = Value(std::move(items));
    return true;
  }

  bool readObject(Value &value, int depth) {
    Object members;
    bool isEmpty = takeMark('}');
    while (!isEmpty) {
      std::string name;
      if (!takeMark('"'))
        return wrong("expected a name");
      if (!readString(name))
        return false;
      auto [member, isNew] = members.try_emplace(std::move(name));
      if (!isNew)
        return wrong("a name that occurs twice");
      if (!takeMark(':'))
        return wrong("expected `:`");
      if (!readValue(member->second, depth + 1))
        return false;
      if (!takeMark(','))
        break;
    }
    if (!isEmpty && !takeMark('}'))
      return wrong("expected `,` or `}`");
    value = Value(std::move(members));
    return true;
  }

  bool readNumber(Value &value) {
    size_t start = at;
    auto digits = [&] {
      size_t first = at;
      while (at < text.size() && text[at] >= '0' && text[at] <= '9')
        ++at;
      return at > first;
    };
    take("-");
    size_t first = at;
    if (!digits() || (text[first] == '0' && at - first > 1))
      return wrong("expected a value");
    bool isReal = false;
    if (take(".")) {
      isReal = true;
      if (!digits())
        return wrong("expected digits");
    }
    if (take("e") || take("E")) {
      isReal = true;
      if (!take("+"))
        take("-");
      if (!digits())
        return wrong("expected digits");
    }
    const char *from = text.data() + start, *to = text.data() + at;
    int64_t whole = 0;
    if (!isReal && std::from_chars(from, to, whole).ec == std::errc()) {
      value = Value(whole);
      return true;
    }
    double real = 0;
    if (std::from_chars(from, to, real).ec != std::errc())
      return wrong("a number that is too large");
    value = Value(real);
    return true;
  }

  bool readString(std::string &out) {
    while (at < text.size()) {
      unsigned char c = static_cast<unsigned char>(text[at]);
      if (c == '"') {
        ++at;
        return true;
      }
      if (c < 0x20)
        return wrong("a control character in a string");
      if (c == '\\') {
        ++at;
        if (!readEscape(out))
          return false;
      } else if (c < 0x80) {
        out += text[at++];
      } else if (!copyMultibyte(out)) {
        return wrong("a string that is not UTF-8");
      }
    }
    return wrong("a string without an end");
  }

  /// Copies a code point of several bytes, in the only form that it has.
  bool copyMultibyte(std::string &out) {
    unsigned char lead = static_cast<unsigned char>(text[at]);
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - at < length)
      return false;
    uint32_t point = lead & (0x7f >> length);
    for (size_t i = 1; i < length; ++i) {
      unsigned char next = static_cast<unsigned char>(text[at + i]);
      if (next >> 6 != 2)
        return false;
      point = point << 6 | (next & 0x3f);
    }
    bool isSurrogate = point >= 0xd800 && point < 0xe000;
    if (isSurrogate || point > 0x10ffff || (length == 3 && point < 0x800) ||
        (length == 4 && point < 0x10000))
      return false;
    out += text.substr(at, length);
    at += length;
    return true;
  }

  bool readHex(uint32_t &unit) {
    std::string_view digits = text.substr(at, 4);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (digits.size() < 4 || error != std::errc() || end != digits.data() + 4)
      return wrong("expected four hexadecimal digits");
    at += 4;
    return true;
  }

  bool readEscape(std::string &out) {
    static constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (at < text.size() && names.find(text[at]) != names.npos) {
      out += meanings[names.find(text[at++])];
      return true;
    }
    uint32_t point = 0, low = 0;
    if (!take("u"))
      return wrong("an unknown escape in a string");
    if (!readHex(point))
      return false;
    if (point >= 0xd800 && point < 0xdc00) {
      if (!take("\\u") || !readHex(low) || low < 0xdc00 || low >= 0xe000)
        return wrong("half a surrogate pair");
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    } else if (point >= 0xdc00 && point < 0xe000) {
      return wrong("half a surrogate pair");
    }
    auto more = [&](int shift) { out += static_cast<char>(0x80 | (point >> shift & 0x3f)); };
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xc0 | point >> 6);
      more(0);
    } else if (point < 0x10000) {
      out += static_cast<char>(0xe0 | point >> 12);
      more(6), more(0);
    } else {
      out += static_cast<char>(0xf0 | point >> 18);
      more(12), more(6), more(0);
    }
    return true;
  }

  std::string_view text;
  int maxDepth;
  size_t at = 0;
  const char *problem = nullptr;
};
} // namespace

Outcome<Value> json::parse(std::string_view text, int maxDepth) {
  return Reader(text, maxDepth).readAll();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading and writing .npy files; see Npy.h for what is supported. The header is parsed as exactly
// the dictionary that the format has, nothing more. attnc has a reader of its own
// (attnc/Support/Npy.h); the emulator depends on nothing.
#include "Npy.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <stdexcept>

namespace attnc::emu::tool {

static constexpr std::string_view magic("\x93NUMPY", 6);
static constexpr size_t maxHeader = 1 << 20, maxRank = 32;
static constexpr uint64_t maxBytes = INT64_MAX;

/// "f4" of "<f4", or nothing if it is no type that is supported.
static std::string_view typeOf(std::string_view descr) {
  static constexpr std::string_view known = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8";
  bool isLittle = descr.size() == 3 && std::string_view("<|=").find(descr[0]) != descr.npos;
  std::string_view type = isLittle ? descr.substr(1) : std::string_view();
  // Every third character starts a name.
  size_t at = type.empty() ? known.npos : known.find(type);
  return at != known.npos && at % 3 == 0 ? type : std::string_view();
}

/// Elements times their bytes; false if that is too much. The extents beside a 0 count as well:
/// whoever multiplies them does not look for a 0 first.
static bool sizeOf(const Array &a, uint64_t &bytes) {
  bool isEmpty = false;
  std::string_view type = typeOf(a.descr);
  uint64_t product = type.empty() ? 1 : static_cast<uint64_t>(type[1] - '0');
  for (uint64_t extent : a.shape) {
    isEmpty |= extent == 0;
    if (extent != 0 && (__builtin_mul_overflow(product, extent, &product) || product > maxBytes))
      return false;
  }
  bytes = isEmpty ? 0 : product;
  return true;
}

uint64_t Array::byteCount() const {
  uint64_t bytes;
  if (!sizeOf(*this, bytes))
    throw std::runtime_error("an array of more than 2^63 bytes");
  return bytes;
}

std::string descrFor(const std::string &type) {
  static const std::map<std::string, std::string> table = {
      {"f64", "<f8"}, {"f32", "<f4"}, {"f16", "<f2"},  {"bf16", "<u2"}, {"i64", "<i8"},
      {"i32", "<i4"}, {"i16", "<i2"}, {"i8", "|i1"},   {"u64", "<u8"},  {"u32", "<u4"},
      {"u16", "<u2"}, {"u8", "|u1"},  {"e4m3", "|u1"}, {"e5m2", "|u1"}};
  auto it = table.find(type);
  if (it == table.end())
    throw std::runtime_error("unknown element type '" + type + "'");
  return it->second;
}

namespace {
/// The text of a file as a message can have it.
std::string printable(std::string_view text) {
  std::string result;
  for (char c : text.substr(0, 32))
    result += c >= 32 && c < 127 ? c : '?';
  return result;
}

/// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, keys in any order.
class Header {
public:
  Header(const std::string &path, std::string_view text) : path(path), rest(text) {}

  Array parse() {
    Array a;
    if (!take("{"))
      fail("header is not a dictionary");
    bool hasDescr = false, hasOrder = false, hasShape = false;
    while (!take("}")) {
      std::string_view key;
      if (!string(key) || !take(":"))
        fail("header is damaged");
      bool *seen = key == "descr"           ? &hasDescr
                   : key == "fortran_order" ? &hasOrder
                   : key == "shape"         ? &hasShape
                                            : nullptr;
      if (!seen)
        fail("header has the unknown key '" + printable(key) + "'");
      if (*seen)
        fail("header has the key " + std::string(key) + " twice");
      *seen = true;
      if (seen == &hasDescr)
        descr(a);
      else if (seen == &hasShape)
        shape(a);
      else
        order();
      if (!take(",")) {
        if (!take("}"))
          fail("header is damaged");
        break;
      }
    }
    if (!hasDescr || !hasOrder || !hasShape)
      fail(std::string("header has no ") + (!hasDescr   ? "descr"
                                            : !hasOrder ? "fortran_order"
                                                        : "shape"));
    skip();
    if (!rest.empty())
      fail("header has text behind the dictionary");
    return a;
  }

private:
  [[noreturn]] void fail(const std::string &what) const {
    throw std::runtime_error("'" + path + "': " + what);
  }
  void skip() { rest.remove_prefix(std::min(rest.find_first_not_of(" \n\t\r"), rest.size())); }
  /// Takes `word` if it comes next.
  bool take(std::string_view word) {
    skip();
    bool isNext = rest.substr(0, word.size()) == word;
    rest.remove_prefix(isNext ? word.size() : 0);
    return isNext;
  }
  bool string(std::string_view &text) {
    skip();
    if (rest.empty() || (rest[0] != '\'' && rest[0] != '"'))
      return false;
    size_t end = rest.find(rest[0], 1);
    if (end == rest.npos)
      return false;
    text = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    return true;
  }
  void descr(Array &a) {
    std::string_view text;
    if (!string(text))
      fail("header has no valid descr");
    if (typeOf(text).empty())
      fail("unsupported element type '" + printable(text) + "'");
    a.descr = text;
  }
  void order() {
    if (take("True"))
      fail("Fortran order is not supported");
    if (!take("False"))
      fail("header has no valid fortran_order");
  }
  void shape(Array &a) {
    if (!take("("))
      fail("header has no valid shape");
    while (!take(")")) {
      a.shape.push_back(extent());
      if (a.shape.size() > maxRank)
        fail("shape has more than " + std::to_string(maxRank) + " dimensions");
      if (take(","))
        continue;
      if (!take(")"))
        fail("header has no valid shape");
      break;
    }
  }
  uint64_t extent() {
    skip();
    size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    uint64_t value = 0;
    for (char digit : rest.substr(0, digits))
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, digit - '0', &value))
        fail("shape has a number of more than 64 bits");
    if (digits == 0)
      fail("header has no valid shape");
    rest.remove_prefix(digits);
    if (!rest.empty() && rest[0] == 'L') // written by Python 2
      rest.remove_prefix(1);
    return value;
  }

  const std::string &path;
  std::string_view rest;
};
} // namespace

Array parseNpy(const std::string &path, std::string_view file) {
  auto ends = [&](uint64_t expected, const char *what) {
    return std::runtime_error("'" + path + "' ends early: expected " + std::to_string(expected) +
                              " bytes of " + what);
  };
  if (file.size() < 8 || file.substr(0, magic.size()) != magic || file[6] < 1 || file[6] > 3)
    throw std::runtime_error("'" + path + "' is not a .npy file");
  size_t prefix = file[6] == 1 ? 2 : 4, length = 0;
  file.remove_prefix(8);
  if (file.size() < prefix)
    throw ends(prefix, "header length");
  for (size_t i = prefix; i-- > 0;)
    length = length << 8 | static_cast<unsigned char>(file[i]);
  file.remove_prefix(prefix);
  if (length > maxHeader)
    throw std::runtime_error("'" + path + "': header is too long");
  if (length > file.size())
    throw ends(length, "header");
  Array a = Header(path, file.substr(0, length)).parse();
  file.remove_prefix(length);
  uint64_t bytes;
  if (!sizeOf(a, bytes))
    throw std::runtime_error("'" + path + "': shape has more than 2^63 bytes");
  if (bytes > file.size())
    throw ends(bytes, "data");
  if (bytes < file.size())
    throw std::runtime_error("'" + path + "' has " + std::to_string(file.size() - bytes) +
                             " bytes behind its data");
  a.bytes.assign(file.begin(), file.end());
  return a;
}

Array readNpy(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw std::runtime_error("cannot open '" + path + "'");
  // Grows with what is there: nothing but the bytes says how many there are.
  std::string bytes;
  for (size_t used = 0; in;) {
    bytes.resize(std::max<size_t>(1 << 16, 2 * used));
    in.read(bytes.data() + used, static_cast<std::streamsize>(bytes.size() - used));
    used += static_cast<size_t>(in.gcount());
    bytes.resize(used);
    if (bytes.compare(0, magic.size(), magic) != 0)
      break; // what has no end may be no array either
  }
  return parseNpy(path, bytes);
}

std::string encodeNpy(const Array &a) {
  std::string shape;
  for (uint64_t d : a.shape)
    shape += std::to_string(d) + ",";
  std::string header =
      "{'descr': '" + a.descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 11, ' ');
  header += '\n';
  std::string bytes(magic);
  bytes += {1, 0, static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  bytes += header;
  bytes.append(a.bytes.data(), a.bytes.size());
  return bytes;
}

void writeNpy(const std::string &path, const Array &a) {
  if (a.shape.size() > maxRank)
    throw std::runtime_error("cannot write '" + path + "': more than " + std::to_string(maxRank) +
                             " dimensions");
  std::ofstream out(path, std::ios::binary);
  std::string bytes = encodeNpy(a);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.flush();
  if (!out)
    throw std::runtime_error("cannot write '" + path + "'");
}

} // namespace attnc::emu::tool

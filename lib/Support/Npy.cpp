// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The .npy format (NumPy enhancement proposal 1): magic, version, header length, a Python
// dictionary literal with `descr`, `fortran_order` and `shape`, and the data. The dictionary is
// parsed as exactly that, nothing more.
#include "attnc/Support/Npy.h"
#include "ArrayData.h"
#include "attnc/Support/Binding.h"
#include "attnc/Support/FileWriter.h"
#include "attnc/Support/MemoryLimit.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>

using namespace attnc;

static constexpr char kMagic[] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

namespace {
/// The three fields of a header.
struct Header {
  std::string descr;
  bool fortranOrder = false;
  std::vector<int64_t> shape;
};

/// A parser of `{'key': value, ...}` with string, bool and tuple-of-int values.
class HeaderParser {
public:
  HeaderParser(const char *begin, const char *end) : at(begin), end(end) {}

  Outcome<Header> parse() {
    if (!take('{'))
      return Failure("its header is not a dictionary");
    Header header;
    bool hasDescr = false, hasOrder = false, hasShape = false;
    while (!take('}')) {
      std::string key;
      if (!parseString(key) || !take(':'))
        return Failure("its header is damaged");
      bool *seen = key == "descr"           ? &hasDescr
                   : key == "fortran_order" ? &hasOrder
                   : key == "shape"         ? &hasShape
                                            : nullptr;
      if (!seen)
        return Failure("its header has the unknown key `" + printable(key) + "`");
      if (*seen)
        return Failure("its header has the key `" + key + "` twice");
      *seen = true;
      skip();
      if (key == "descr" && (at == end || (*at != '\'' && *at != '"')))
        return Failure("its elements are records, which are not supported");
      bool ok = key == "descr"   ? parseString(header.descr)
                : key == "shape" ? parseShape(header.shape)
                                 : parseBool(header.fortranOrder);
      if (!ok)
        return Failure("its header has no valid `" + key + "`");
      if (!take(',')) {
        if (!take('}'))
          return Failure("its header is damaged");
        break;
      }
    }
    if (!hasDescr || !hasOrder || !hasShape)
      return Failure(std::string("its header has no `") +
                     (!hasDescr   ? "descr"
                      : !hasOrder ? "fortran_order"
                                  : "shape") +
                     "`");
    skip();
    if (at != end)
      return Failure("its header has text behind the dictionary");
    return header;
  }

  static std::string printable(const std::string &text) {
    std::string result;
    for (char c : text.substr(0, 32))
      result += c >= 32 && c < 127 ? c : '?';
    return result;
  }

private:
  void skip() {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
      ++at;
  }
  bool take(char c) {
    skip();
    if (at == end || *at != c)
      return false;
    ++at;
    return true;
  }
  bool takeWord(const char *word) {
    size_t length = std::strlen(word);
    if (static_cast<size_t>(end - at) < length || std::memcmp(at, word, length) != 0)
      return false;
    at += length;
    return true;
  }
  bool parseString(std::string &text) {
    skip();
    if (at == end || (*at != '\'' && *at != '"'))
      return false;
    char quote = *at++;
    while (at != end && *at != quote)
      text += *at++;
    return at++ != end;
  }
  bool parseBool(bool &value) {
    skip();
    if (takeWord("True"))
      return value = true;
    value = false;
    return takeWord("False");
  }
  bool parseShape(std::vector<int64_t> &shape) {
    if (!take('('))
      return false;
    while (!take(')')) {
      skip();
      if (at == end || *at < '0' || *at > '9' || shape.size() == 32)
        return false;
      int64_t value = 0;
      while (at != end && *at >= '0' && *at <= '9') {
        int digit = *at++ - '0';
        if (value > (std::numeric_limits<int64_t>::max() - digit) / 10)
          return false;
        value = value * 10 + digit;
      }
      if (at != end && *at == 'L') // written by Python 2
        ++at;
      shape.push_back(value);
      if (!take(','))
        return take(')');
    }
    return true;
  }

  const char *at, *end;
};

/// How the elements of a file become elements of a tensor.
struct Element {
  DType dtype;
  size_t fileSize;
};

Outcome<Element> elementOf(const std::string &descr, std::optional<DType> expected) {
  char order = descr.empty() ? 0 : descr[0];
  std::string kind = descr.size() > 1 && std::strchr("<>=|", order) ? descr.substr(1) : descr;
  if (order == '>' && kind != "b1")
    return Failure("its elements are big-endian (`" + HeaderParser::printable(descr) +
                   "`), which is not supported");
  Element element;
  if (kind == "f4")
    element = {DType::F32, 4};
  else if (kind == "f2")
    element = {DType::F16, 2};
  else if (kind == "i4")
    element = {DType::I32, 4};
  else if (kind == "i8")
    element = {DType::I32, 8};
  else if (kind == "b1" || kind == "?")
    element = {DType::Bool, 1};
  else if (kind == "V2" || kind == "bfloat16" || (kind == "u2" && expected == DType::BF16))
    element = {DType::BF16, 2};
  else
    return Failure("its elements are `" + HeaderParser::printable(descr) +
                   "`; f2, f4, i4, i8 and b1 are supported, and V2 for bf16");
  if (expected && *expected != element.dtype)
    return Failure(std::string("its elements are ") + dtypeName(element.dtype) + ", expected " +
                   dtypeName(*expected));
  return element;
}
} // namespace

Outcome<NpyArray> attnc::decodeNpy(const uint8_t *bytes, size_t size,
                                   std::optional<DType> expected) {
  if (size < 10 || std::memcmp(bytes, kMagic, sizeof kMagic) != 0)
    return Failure("it is not a .npy file");
  unsigned major = bytes[6];
  if (major < 1 || major > 3)
    return Failure("its format version " + std::to_string(major) + " is not known");
  size_t prefix = major == 1 ? 10 : 12;
  if (size < prefix)
    return Failure("its header is truncated");
  size_t length = bytes[8] | static_cast<size_t>(bytes[9]) << 8;
  if (major > 1)
    length |= static_cast<size_t>(bytes[10]) << 16 | static_cast<size_t>(bytes[11]) << 24;
  if (length > size - prefix)
    return Failure("its header is truncated: it should have " + std::to_string(length) +
                   " bytes, found " + std::to_string(size - prefix));
  const char *text = reinterpret_cast<const char *>(bytes) + prefix;
  Outcome<Header> header = HeaderParser(text, text + length).parse();
  if (!header)
    return header.takeError();
  Outcome<Element> element = elementOf(header->descr, expected);
  if (!element)
    return element.takeError();

  // The data that is there bounds the number of elements, so nothing is allocated on the word of
  // the header.
  size_t available = size - prefix - length;
  Outcome<uint64_t> count = countElements(header->shape);
  if (!count)
    return count.takeError();
  uint64_t needed;
  if (__builtin_mul_overflow(*count, static_cast<uint64_t>(element->fileSize), &needed) ||
      needed > available)
    return Failure("its data is truncated: the header promises " + std::to_string(*count) +
                   " elements of " + std::to_string(element->fileSize) + " bytes, found " +
                   std::to_string(available) + " bytes");
  if (needed < available)
    return Failure("it has " + std::to_string(available - needed) + " bytes behind its data");

  Outcome<NpyArray> array =
      arrayOf(element->dtype, element->fileSize, header->shape, bytes + prefix + length);
  if (array && header->fortranOrder && *count != 0) {
    array->view.strides.assign(header->shape.size(), 1);
    for (size_t i = 1; i < header->shape.size(); ++i)
      array->view.strides[i] = array->view.strides[i - 1] * header->shape[i - 1];
  }
  return array;
}

Outcome<NpyArray> attnc::readNpy(const std::string &path, std::optional<DType> expected) {
  std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  auto fail = [&](const std::string &message) {
    return Failure("cannot read `" + path + "`: " + message);
  };
  if (!file)
    return fail(std::strerror(errno));
  std::vector<uint8_t> bytes;
  size_t used = 0;
  for (;;) {
    // Grows with what is read: the size of a pipe or of a damaged file system is not known before.
    size_t wanted = std::max<size_t>(1 << 16, used * 2);
    // The bytes and the elements that are made of them are in memory at once.
    if (Failure failure = checkMemory("reading on", 2.0L * static_cast<long double>(wanted)))
      return fail("it has more than " + bytesText(static_cast<long double>(used)) + ": " +
                  failure.message());
    bytes.resize(wanted);
    size_t got = std::fread(bytes.data() + used, 1, bytes.size() - used, file.get());
    used += got;
    if (used < bytes.size() || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
      break;
  }
  if (std::ferror(file.get()))
    return fail(std::strerror(errno));
  Outcome<NpyArray> array = decodeNpy(bytes.data(), used, expected);
  if (!array)
    return fail(array.message());
  return array;
}

/// Magic, version 1.0 and header; the data that follows starts at a multiple of 64.
static std::vector<uint8_t> encodeHeader(const char *descr, const std::vector<int64_t> &shape) {
  std::string header = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (";
  for (int64_t extent : shape)
    header += std::to_string(extent) + ", ";
  if (shape.size() > 1)
    header.resize(header.size() - 2);
  else if (shape.size() == 1)
    header.pop_back();
  header += "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::vector<uint8_t> bytes = {0x93,
                                'N',
                                'U',
                                'M',
                                'P',
                                'Y',
                                1,
                                0,
                                static_cast<uint8_t>(header.size() & 255),
                                static_cast<uint8_t>(header.size() >> 8)};
  bytes.insert(bytes.end(), header.begin(), header.end());
  return bytes;
}

std::vector<uint8_t> attnc::encodeNpy(const TensorView &tensor) {
  static const char *const descriptions[] = {"<f4", "<f2", "<V2", "<i4", "|b1"};
  std::vector<uint8_t> bytes =
      encodeHeader(descriptions[static_cast<unsigned>(tensor.dtype)], tensor.shape);
  appendElements(tensor, bytes);
  return bytes;
}

static std::string_view asText(const std::vector<uint8_t> &bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

Failure attnc::writeNpy(const std::string &path, const TensorView &tensor) {
  return writeFile(path, asText(encodeNpy(tensor)));
}

Failure attnc::writeNpy(const std::string &path, const std::vector<int64_t> &shape,
                        const std::vector<double> &values) {
  std::vector<uint8_t> bytes = encodeHeader("<f8", shape);
  size_t start = bytes.size();
  bytes.resize(start + values.size() * sizeof(double));
  if (!values.empty())
    std::memcpy(bytes.data() + start, values.data(), values.size() * sizeof(double));
  return writeFile(path, asText(bytes));
}

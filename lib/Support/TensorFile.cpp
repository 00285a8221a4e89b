// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The safetensors format: 8 bytes with the length of the header, the header, and data. A header is
// held against the rules of the format as a whole, as a file that breaks them somewhere may break
// them anywhere: sizes that agree with shapes, places that cover the data without a gap.
#include "attnc/Support/TensorFile.h"
#include "ArrayData.h"
#include "attnc/Support/Binding.h"
#include "attnc/Support/FileWriter.h"
#include "attnc/Support/Format.h"
#include "attnc/Support/Json.h"
#include "attnc/Support/MemoryLimit.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/stat.h>

using namespace attnc;

static constexpr std::string_view kSuffix = ".safetensors";
/// That of the format's own reader.
static constexpr uint64_t kMaxHeader = 100000000;

namespace {
/// A type of elements in a file, and what it is here, if anything.
struct FileType {
  std::string_view name;
  uint64_t size;
  std::optional<DType> dtype;
};
constexpr FileType kTypes[] = {
    {"F32", 4, DType::F32},      {"F16", 2, DType::F16},   {"BF16", 2, DType::BF16},
    {"I32", 4, DType::I32},      {"I64", 8, DType::I32},   {"BOOL", 1, DType::Bool},
    {"F64", 8, std::nullopt},    {"I16", 2, std::nullopt}, {"I8", 1, std::nullopt},
    {"U8", 1, std::nullopt},     {"U16", 2, std::nullopt}, {"U32", 4, std::nullopt},
    {"U64", 8, std::nullopt},    {"C64", 8, std::nullopt}, {"F8_E4M3", 1, std::nullopt},
    {"F8_E5M2", 1, std::nullopt}};

/// A tensor of a header: bytes [begin, end) of the data.
struct Entry {
  std::string_view name, type;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

/// A file whose path ends in .safetensors, and the tensor in it.
struct Place {
  std::string path, tensor;
};
} // namespace

static const FileType *findType(std::string_view name) {
  auto *found = std::find_if(std::begin(kTypes), std::end(kTypes),
                             [&](const FileType &type) { return type.name == name; });
  return found == std::end(kTypes) ? nullptr : found;
}

/// A name as messages show it: short, and what a terminal can print.
static std::string shown(std::string_view name) {
  std::string text;
  for (char c : name.substr(0, 64))
    text += c >= 32 && c < 127 ? c : '?';
  return text;
}

/// Whole numbers that are not negative; nothing if there is something else.
static std::optional<std::vector<int64_t>> readNumbers(const json::Array *array, size_t most) {
  if (!array || array->size() > most)
    return std::nullopt;
  std::vector<int64_t> numbers;
  for (const json::Value &value : *array) {
    std::optional<int64_t> number = value.getAsInteger();
    if (!number || *number < 0)
      return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

static Outcome<Entry> readEntry(std::string_view name, const json::Value &value) {
  const json::Object *object = value.getAsObject();
  auto wrong = [&](const std::string &what) {
    return Failure(formatText("its header: tensor `{0}` {1}", shown(name), what));
  };
  if (!object)
    return wrong("is no object");
  Entry entry;
  entry.name = name;
  std::optional<std::string_view> type = object->getString("dtype");
  auto shape = readNumbers(object->getArray("shape"), 32);
  auto places = readNumbers(object->getArray("data_offsets"), 2);
  if (!type)
    return wrong("has no `dtype`");
  if (!shape)
    return wrong("has no valid `shape`");
  if (!places || places->size() != 2 || (*places)[0] > (*places)[1])
    return wrong("has no valid `data_offsets`");
  if (object->size() != 3)
    return wrong("has unknown members");
  entry.type = *type;
  entry.shape = std::move(*shape);
  entry.begin = static_cast<uint64_t>((*places)[0]);
  entry.end = static_cast<uint64_t>((*places)[1]);
  const FileType *known = findType(entry.type);
  if (!known) // may be packed: how many bytes a shape has is not known
    return entry;
  Outcome<uint64_t> count = countElements(entry.shape);
  uint64_t bytes;
  if (!count)
    return wrong("has more than 2^63 elements");
  if (__builtin_mul_overflow(*count, known->size, &bytes) || bytes != entry.end - entry.begin)
    return wrong(formatText("has {0} elements of {1} bytes, but {2} bytes of data", *count,
                            known->size, entry.end - entry.begin));
  return entry;
}

/// The tensors of a header, whose text `root` keeps alive, in front of `available` bytes of data.
static Outcome<std::vector<Entry>> readHeader(const json::Object &root, uint64_t available) {
  std::vector<Entry> entries;
  for (const auto &[name, value] : root) {
    if (name == "__metadata__")
      continue;
    Outcome<Entry> entry = readEntry(name, value);
    if (!entry)
      return entry.takeError();
    entries.push_back(std::move(*entry));
  }
  std::vector<const Entry *> order;
  for (const Entry &entry : entries)
    order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry *a, const Entry *b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t at = 0;
  for (const Entry *entry : order) {
    if (entry->begin != at)
      return Failure(formatText("its header: tensor `{0}` begins at byte {1} of the data, expected "
                                "{2}: tensors lie one behind the other",
                                shown(entry->name), entry->begin, at));
    at = entry->end;
  }
  if (at > available)
    return Failure(formatText("its data is truncated: the header promises {0} bytes, found {1}", at,
                              available));
  if (at < available)
    return Failure(formatText("it has {0} bytes behind its data", available - at));
  return entries;
}

/// The length of the header, of a file of `size` bytes.
static Outcome<uint64_t> headerLength(const uint8_t *bytes, uint64_t size) {
  if (size < 8)
    return Failure("it is not a safetensors file: it has less than 8 bytes");
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | bytes[i];
  if (length > kMaxHeader)
    return Failure(formatText("it is not a safetensors file: its header would have {0} bytes, at "
                              "most {1} are allowed",
                              length, kMaxHeader));
  if (length > size - 8)
    return Failure(formatText("its header is truncated: it should have {0} bytes, found {1}",
                              length, size - 8));
  return length;
}

/// Finds the tensor `name` and passes it to `use`, with what its type is here.
template <typename Use>
static Outcome<NpyArray> withTensor(std::string_view header, uint64_t available,
                                    std::string_view name, std::optional<DType> expected, Use use) {
  if (header.empty() || header.front() != '{')
    return Failure("it is not a safetensors file: its header is no JSON object");
  // Parsed, it is larger than the text.
  if (Failure failure = checkMemory("its header", 16.0L * static_cast<long double>(header.size())))
    return failure;
  Outcome<json::Value> root = json::parse(header, /*maxDepth=*/4);
  if (!root)
    return Failure("its header: " + root.message());
  Outcome<std::vector<Entry>> entries = readHeader(*root->getAsObject(), available);
  if (!entries)
    return entries.takeError();
  std::string known;
  for (const Entry &entry : *entries) {
    if (entry.name != name) {
      if (known.size() < 200)
        known += (known.empty() ? "" : ", ") + shown(entry.name);
      continue;
    }
    const FileType *type = findType(entry.type);
    if (!type || !type->dtype)
      return Failure(formatText("the elements of `{0}` are {1}; F32, F16, BF16, I32, I64 and BOOL "
                                "are supported",
                                shown(name), shown(entry.type)));
    if (expected && *expected != *type->dtype)
      return Failure(formatText("the elements of `{0}` are {1}, expected {2}", shown(name),
                                dtypeName(*type->dtype), dtypeName(*expected)));
    return use(entry, *type);
  }
  return Failure(formatText("it has no tensor `{0}`; it has {1}", shown(name),
                            known.empty() ? "none" : known));
}

static std::string_view asText(const uint8_t *bytes, size_t size) {
  return {reinterpret_cast<const char *>(bytes), size};
}

Outcome<NpyArray> attnc::decodeSafetensors(const uint8_t *bytes, size_t size, std::string_view name,
                                           std::optional<DType> expected) {
  Outcome<uint64_t> length = headerLength(bytes, size);
  if (!length)
    return length.takeError();
  const uint8_t *data = bytes + 8 + *length;
  return withTensor(asText(bytes + 8, *length), size - 8 - *length, name, expected,
                    [&](const Entry &entry, const FileType &type) {
                      return arrayOf(*type.dtype, type.size, entry.shape, data + entry.begin);
                    });
}

/// Reads so many bytes at a place of a file.
static Outcome<std::vector<uint8_t>> readAt(FILE *file, uint64_t place, uint64_t size) {
  // The bytes and the elements that are made of them are in memory at once.
  if (Failure failure = checkMemory("reading it", 2.0L * static_cast<long double>(size)))
    return failure;
  std::vector<uint8_t> bytes(size);
  if (fseeko(file, static_cast<off_t>(place), SEEK_SET) != 0)
    return Failure(std::strerror(errno));
  if (std::fread(bytes.data(), 1, size, file) != size)
    return Failure(std::ferror(file) ? std::strerror(errno) : "it became shorter");
  return bytes;
}

static Outcome<NpyArray> readSafetensors(FILE *file, std::string_view name,
                                         std::optional<DType> expected) {
  struct stat status;
  if (fstat(fileno(file), &status) != 0)
    return Failure(std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    return Failure("it is no regular file, whose parts can be read");
  auto size = static_cast<uint64_t>(status.st_size);
  Outcome<std::vector<uint8_t>> prefix = readAt(file, 0, std::min<uint64_t>(size, 8));
  if (!prefix)
    return prefix.takeError();
  Outcome<uint64_t> length = headerLength(prefix->data(), size);
  if (!length)
    return length.takeError();
  Outcome<std::vector<uint8_t>> header = readAt(file, 8, *length);
  if (!header)
    return header.takeError();
  return withTensor(asText(header->data(), header->size()), size - 8 - *length, name, expected,
                    [&](const Entry &entry, const FileType &type) -> Outcome<NpyArray> {
                      Outcome<std::vector<uint8_t>> data =
                          readAt(file, 8 + *length + entry.begin, entry.end - entry.begin);
                      if (!data)
                        return data.takeError();
                      return arrayOf(*type.dtype, type.size, entry.shape, data->data());
                    });
}

/// Text between quotes in JSON.
static std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned char>(c));
    if (c == '"' || c == '\\')
      (result += '\\') += c;
    else if (static_cast<unsigned char>(c) < 32)
      result += escaped;
    else
      result += c;
  }
  return result + '"';
}

std::vector<uint8_t> attnc::encodeSafetensors(std::string_view name, const TensorView &tensor) {
  static const char *const types[] = {"F32", "F16", "BF16", "I32", "BOOL"};
  std::vector<uint8_t> data;
  appendElements(tensor, data);
  std::string shape;
  for (int64_t extent : tensor.shape)
    shape += (shape.empty() ? "" : ",") + std::to_string(extent);
  std::string header =
      formatText("{{0}:{\"dtype\":\"{1}\",\"shape\":[{2}],\"data_offsets\":[0,{3}]}}", quoted(name),
                 types[static_cast<unsigned>(tensor.dtype)], shape, data.size());
  header.append((8 - header.size() % 8) % 8, ' '); // the data is aligned
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 8; ++i)
    bytes.push_back(static_cast<uint8_t>(header.size() >> 8 * i));
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

/// The safetensors file that `place` names and the tensor in it; nothing if it is another file.
static std::optional<Place> placeOf(const std::string &place, std::string_view name) {
  std::string marked = std::string(kSuffix) + ":";
  if (size_t at = place.rfind(marked); at != std::string::npos && at + marked.size() < place.size())
    return Place{place.substr(0, at + kSuffix.size()), place.substr(at + marked.size())};
  if (place.size() > kSuffix.size() &&
      place.compare(place.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0)
    return Place{place, std::string(name)};
  return std::nullopt;
}

Outcome<NpyArray> attnc::readTensor(const std::string &place, std::string_view name,
                                    std::optional<DType> expected) {
  std::optional<Place> found = placeOf(place, name);
  if (!found)
    return readNpy(place, expected);
  auto fail = [&](const std::string &message) {
    return Failure("cannot read `" + found->path + "`: " + message);
  };
  std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(found->path.c_str(), "rb"), std::fclose);
  if (!file)
    return fail(std::strerror(errno));
  Outcome<NpyArray> array = readSafetensors(file.get(), found->tensor, expected);
  if (!array)
    return fail(array.message());
  return array;
}

Failure attnc::writeTensor(const std::string &place, std::string_view name,
                           const TensorView &tensor) {
  std::optional<Place> found = placeOf(place, name);
  if (!found)
    return writeNpy(place, tensor);
  std::vector<uint8_t> bytes = encodeSafetensors(found->tensor, tensor);
  return writeFile(found->path, asText(bytes.data(), bytes.size()));
}

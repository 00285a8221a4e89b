// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The code cache: entry format, atomic writes, and the JSON form of a kernel's ABI.
//
// Entry: "ATTNCC01", then for each of key, target, abi, code a 64-bit little-endian length and the
// bytes, then the SHA-256 of all that.
#include "attnc/Runtime/CodeCache.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include <cstdlib>

using namespace attnc;
namespace json = llvm::json;
namespace fs = llvm::sys::fs;

static constexpr llvm::StringLiteral kMagic = "ATTNCC01";

static std::string sha256(llvm::StringRef data) {
  llvm::SHA256 hash;
  hash.update(data);
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

static void appendPart(std::string &out, llvm::StringRef part) {
  char length[8];
  llvm::support::endian::write64le(length, part.size());
  out.append(length, 8);
  out.append(part.data(), part.size());
}

std::string attnc::cacheKey(llvm::ArrayRef<llvm::StringRef> parts) {
  std::string all;
  for (llvm::StringRef part : parts)
    appendPart(all, part);
  return sha256(all);
}

//===----------------------------------------------------------------------===//
// ABI as JSON
//===----------------------------------------------------------------------===//

static const char *const kKinds[] = {"pointer", "stride", "size", "i32", "f32"};
static const char *const kDTypes[] = {"f32", "f16", "bf16", "i32", "bool"};

std::string attnc::serializeABI(const KernelABI &abi) {
  json::Array args, tensors;
  for (const KernelArg &arg : abi.args)
    args.push_back(json::Object{
        {"kind", kKinds[static_cast<int>(arg.kind)]}, {"name", arg.name}, {"dim", arg.dim}});
  for (const KernelTensor &tensor : abi.tensors)
    tensors.push_back(json::Object{{"name", tensor.name},
                                   {"dtype", kDTypes[static_cast<int>(tensor.dtype)]},
                                   {"axes", json::Array(tensor.axes)},
                                   {"unit_last_stride", tensor.unitLastStride},
                                   {"output", tensor.isOutput},
                                   {"row_alignment", tensor.rowAlignment}});
  json::Object defaults;
  for (auto &[name, value] : abi.paramDefaults)
    defaults[name] = value;
  json::Object object{{"symbol", abi.symbol},
                      {"param_defaults", std::move(defaults)},
                      {"args", std::move(args)},
                      {"tensors", std::move(tensors)},
                      {"grid_spaces", json::Array(abi.gridSpaces)},
                      {"grid_tiles", json::Array(abi.gridTiles)},
                      {"num_warps", abi.numWarps},
                      {"shared_bytes", abi.sharedBytes},
                      {"scratch_bytes", abi.scratchBytes}};
  return llvm::formatv("{0}", json::Value(std::move(object)));
}

/// Position of `name` in `names`, or nothing.
template <size_t N>
static std::optional<int> indexOf(const char *const (&names)[N], llvm::StringRef name) {
  for (size_t i = 0; i < N; ++i)
    if (name == names[i])
      return static_cast<int>(i);
  return std::nullopt;
}

static bool parseArg(const json::Value &value, KernelArg &arg) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto name = object->getString("name"), kind = object->getString("kind");
  auto dim = object->getInteger("dim");
  std::optional<int> index = kind ? indexOf(kKinds, *kind) : std::nullopt;
  if (!name || !dim || !index)
    return false;
  arg = {static_cast<KernelArg::Kind>(*index), name->str(), static_cast<int32_t>(*dim)};
  return true;
}

static bool parseTensor(const json::Value &value, KernelTensor &tensor) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto name = object->getString("name"), dtype = object->getString("dtype");
  auto unit = object->getBoolean("unit_last_stride"), output = object->getBoolean("output");
  auto alignment = object->getInteger("row_alignment");
  const json::Array *axes = object->getArray("axes");
  std::optional<int> index = dtype ? indexOf(kDTypes, *dtype) : std::nullopt;
  if (!name || !unit || !output || !alignment || !axes || !index)
    return false;
  tensor.name = name->str();
  tensor.dtype = static_cast<DType>(*index);
  tensor.unitLastStride = *unit;
  tensor.isOutput = *output;
  tensor.rowAlignment = *alignment;
  for (const json::Value &axis : *axes) {
    auto text = axis.getAsString();
    if (!text)
      return false;
    tensor.axes.push_back(text->str());
  }
  return true;
}

llvm::Expected<KernelABI> attnc::parseABI(llvm::StringRef text) {
  auto malformed = [](llvm::StringRef what) {
    return llvm::createStringError(llvm::formatv("malformed kernel ABI: {0}", what));
  };
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value)
    return value.takeError();
  const json::Object *object = value->getAsObject();
  if (!object)
    return malformed("expected an object");
  KernelABI abi;
  auto symbol = object->getString("symbol");
  auto warps = object->getInteger("num_warps"), shared = object->getInteger("shared_bytes"),
       scratch = object->getInteger("scratch_bytes");
  const json::Array *args = object->getArray("args"), *tensors = object->getArray("tensors"),
                    *spaces = object->getArray("grid_spaces"),
                    *tiles = object->getArray("grid_tiles");
  const json::Object *defaults = object->getObject("param_defaults");
  if (!symbol || !warps || !shared || !scratch || !args || !tensors || !spaces || !tiles ||
      !defaults || spaces->size() != 3 || tiles->size() != 3)
    return malformed("a field is missing");
  abi.symbol = symbol->str();
  abi.numWarps = *warps;
  abi.sharedBytes = *shared;
  abi.scratchBytes = *scratch;
  for (size_t i = 0; i < 3; ++i) {
    auto space = (*spaces)[i].getAsString();
    auto tile = (*tiles)[i].getAsInteger();
    if (!space || !tile || *tile <= 0)
      return malformed("the grid");
    abi.gridSpaces[i] = space->str();
    abi.gridTiles[i] = *tile;
  }
  for (auto &[name, value] : *defaults) {
    auto number = value.getAsNumber();
    if (!number)
      return malformed("a parameter's default");
    abi.paramDefaults[name.str()] = *number;
  }
  for (const json::Value &arg : *args)
    if (!parseArg(arg, abi.args.emplace_back()))
      return malformed("an argument");
  for (const json::Value &tensor : *tensors)
    if (!parseTensor(tensor, abi.tensors.emplace_back()))
      return malformed("a tensor");
  return abi;
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

static std::string encodeEntry(llvm::StringRef key, const CompiledCode &code) {
  std::string bytes = kMagic.str();
  appendPart(bytes, key);
  appendPart(bytes, code.target);
  appendPart(bytes, serializeABI(code.abi));
  appendPart(bytes, code.code);
  return bytes + sha256(bytes);
}

static std::optional<CompiledCode> decodeEntry(llvm::StringRef bytes, llvm::StringRef key) {
  constexpr size_t kHashLength = 64;
  if (bytes.size() < kMagic.size() + kHashLength || !bytes.starts_with(kMagic))
    return std::nullopt;
  llvm::StringRef body = bytes.drop_back(kHashLength);
  if (sha256(body) != bytes.take_back(kHashLength))
    return std::nullopt;
  body = body.drop_front(kMagic.size());
  llvm::StringRef parts[4];
  for (llvm::StringRef &part : parts) {
    if (body.size() < 8)
      return std::nullopt;
    uint64_t length = llvm::support::endian::read64le(body.data());
    body = body.drop_front(8);
    if (length > body.size())
      return std::nullopt;
    part = body.take_front(length);
    body = body.drop_front(length);
  }
  if (!body.empty() || parts[0] != key)
    return std::nullopt;
  llvm::Expected<KernelABI> abi = parseABI(parts[2]);
  if (!abi) {
    llvm::consumeError(abi.takeError());
    return std::nullopt;
  }
  return CompiledCode{std::move(*abi), parts[1].str(), parts[3].str()};
}

llvm::Error attnc::writeCodeFile(llvm::StringRef path, llvm::StringRef key,
                                 const CompiledCode &code) {
  // In the same directory, so that the rename stays on one file system.
  llvm::Expected<fs::TempFile> file = fs::TempFile::create(path + ".%%%%%%%%.tmp");
  if (!file)
    return file.takeError();
  std::string bytes = encodeEntry(key, code);
  {
    llvm::raw_fd_ostream os(file->FD, /*shouldClose=*/false);
    os << bytes;
    os.flush();
    if (os.has_error()) {
      std::error_code error = os.error();
      os.clear_error();
      return llvm::joinErrors(llvm::errorCodeToError(error), file->discard());
    }
  }
  return file->keep(path);
}

llvm::Expected<CompiledCode> attnc::readCodeFile(llvm::StringRef path, llvm::StringRef key) {
  auto buffer =
      llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createStringError(
        llvm::formatv("cannot read `{0}`: {1}", path, buffer.getError().message()));
  std::optional<CompiledCode> code = decodeEntry((*buffer)->getBuffer(), key);
  if (!code)
    return llvm::createStringError(
        llvm::formatv("`{0}` is not compiled code, or is damaged", path));
  return std::move(*code);
}

//===----------------------------------------------------------------------===//
// CodeCache
//===----------------------------------------------------------------------===//

std::string CodeCache::defaultDirectory() {
  if (const char *given = std::getenv("ATTNC_CACHE_DIR"))
    return given;
  llvm::SmallString<128> path;
  if (const char *xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
    path = xdg;
  else if (const char *home = std::getenv("HOME"); home && *home) {
    path = home;
    llvm::sys::path::append(path, ".cache");
  } else {
    return {};
  }
  llvm::sys::path::append(path, "attnc");
  return std::string(path);
}

std::string CodeCache::pathOf(llvm::StringRef key) const {
  llvm::SmallString<128> path(directory);
  llvm::sys::path::append(path, key.take_front(2), key + ".attncc");
  return std::string(path);
}

void CodeCache::warn(const llvm::Twine &message) const {
  if (onWarning)
    onWarning(message.str());
}

std::optional<CompiledCode> CodeCache::lookup(llvm::StringRef key) {
  std::lock_guard<std::mutex> lock(mutex);
  if (auto found = memory.find(key.str()); found != memory.end())
    return found->second;
  if (directory.empty())
    return std::nullopt;
  std::string path = pathOf(key);
  auto buffer =
      llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer) {
    if (buffer.getError() != std::errc::no_such_file_or_directory)
      warn("cannot read cache entry " + path + ": " + buffer.getError().message());
    return std::nullopt;
  }
  std::optional<CompiledCode> code = decodeEntry((*buffer)->getBuffer(), key);
  if (!code) {
    warn("cache entry " + path + " is damaged and is compiled anew");
    return std::nullopt;
  }
  memory[key.str()] = *code;
  return code;
}

void CodeCache::store(llvm::StringRef key, const CompiledCode &code) {
  std::lock_guard<std::mutex> lock(mutex);
  memory[key.str()] = code;
  if (directory.empty())
    return;
  std::string path = pathOf(key);
  std::error_code created = fs::create_directories(llvm::sys::path::parent_path(path));
  llvm::Error error = created ? llvm::errorCodeToError(created) : writeCodeFile(path, key, code);
  if (error)
    warn("cannot write the code cache in " + directory + ": " + llvm::toString(std::move(error)) +
         " (set ATTNC_CACHE_DIR to a writable directory, or use --no-cache)");
}

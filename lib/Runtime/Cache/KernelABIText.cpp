// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The JSON form of a kernel's ABI. What is read comes from a file, so every number and name is
// checked here once; the launch relies on it.
#include "attnc/Runtime/CodeCache.h"
#include "attnc/Support/Checks.h"
#include "attnc/Support/Element.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"
#include <cstdlib>
#include <map>
#include <optional>

using namespace attnc;
namespace json = llvm::json;

static const char *const kKinds[] = {"pointer", "stride", "size", "i32", "f32", "grid_start"};

std::string attnc::serializeABI(const KernelABI &abi) {
  json::Array args, tensors;
  for (const KernelArg &arg : abi.args)
    args.push_back(json::Object{
        {"kind", kKinds[static_cast<int>(arg.kind)]}, {"name", arg.name}, {"dim", arg.dim}});
  for (const KernelTensor &tensor : abi.tensors)
    tensors.push_back(json::Object{{"name", tensor.name},
                                   {"dtype", dtypeName(tensor.dtype)},
                                   {"axes", json::Array(tensor.axes)},
                                   {"unit_last_stride", tensor.unitLastStride},
                                   {"output", tensor.isOutput},
                                   {"row_alignment", tensor.rowAlignment}});
  json::Object defaults;
  for (auto &[name, value] : abi.paramDefaults)
    defaults[name] = numberText(value); // JSON has no infinities
  json::Object object{{"symbol", abi.symbol},
                      {"param_defaults", std::move(defaults)},
                      {"args", std::move(args)},
                      {"tensors", std::move(tensors)},
                      {"unused_inputs", json::Array(abi.unusedInputs)},
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

/// More axes than any tensor has.
static constexpr int64_t kMaxRank = 32;

static bool parseArg(const json::Value &value, KernelArg &arg) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto name = object->getString("name"), kind = object->getString("kind");
  auto dim = object->getInteger("dim");
  std::optional<int> index = kind ? indexOf(kKinds, *kind) : std::nullopt;
  if (!name || !dim || !index || *dim < 0 || *dim > kMaxRank)
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
  std::optional<DType> known = dtype ? parseDType(*dtype) : std::nullopt;
  if (!name || !unit || !output || !alignment || !axes || !known || axes->size() > kMaxRank ||
      *alignment < 1 || *alignment > 4096 || !llvm::isPowerOf2_64(*alignment))
    return false;
  tensor.name = name->str();
  tensor.dtype = *known;
  tensor.unitLastStride = *unit;
  tensor.isOutput = *output;
  tensor.rowAlignment = *alignment;
  for (const json::Value &axis : *axes) {
    auto text = axis.getAsString();
    if (!text || text->empty())
      return false;
    tensor.axes.push_back(text->str());
  }
  return true;
}

/// True if brackets nest deeper than in an ABI: the parser would recurse as deep.
static bool nestsTooDeep(llvm::StringRef text) {
  int depth = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (inString && c == '\\')
      ++i;
    else if (c == '"')
      inString = !inString;
    else if (!inString && (c == '[' || c == '{') && ++depth > 16)
      return true;
    else if (!inString && (c == ']' || c == '}'))
      --depth;
  }
  return false;
}

/// What the fields say about each other: names are unique, and arguments are of tensors that are
/// described.
static bool isConsistent(const KernelABI &abi) {
  std::map<llvm::StringRef, size_t> ranks;
  for (const KernelTensor &tensor : abi.tensors)
    if (!ranks.emplace(tensor.name, tensor.axes.size()).second)
      return false;
  for (const KernelArg &arg : abi.args) {
    if (arg.kind == KernelArg::Kind::GridStart && arg.dim > 2)
      return false;
    if (arg.kind != KernelArg::Kind::Pointer && arg.kind != KernelArg::Kind::Stride)
      continue;
    auto rank = ranks.find(arg.name);
    if (rank == ranks.end() ||
        (arg.kind == KernelArg::Kind::Stride && static_cast<size_t>(arg.dim) >= rank->second))
      return false;
  }
  return true;
}

llvm::Expected<KernelABI> attnc::parseABI(llvm::StringRef text) {
  auto malformed = [](llvm::StringRef what) {
    return llvm::createStringError(llvm::formatv("malformed kernel ABI: {0}", what));
  };
  if (nestsTooDeep(text))
    return malformed("brackets that nest too deep");
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
                    *unused = object->getArray("unused_inputs"),
                    *spaces = object->getArray("grid_spaces"),
                    *tiles = object->getArray("grid_tiles");
  const json::Object *defaults = object->getObject("param_defaults");
  if (!symbol || !warps || !shared || !scratch || !args || !tensors || !unused || !spaces ||
      !tiles || !defaults || spaces->size() != 3 || tiles->size() != 3)
    return malformed("a field is missing");
  if (symbol->empty() || *warps < 1 || *warps > 32 || *shared < 0 || *shared > INT32_MAX ||
      *scratch < 0 || *scratch > int64_t(1) << 40)
    return malformed("a number is out of range");
  abi.symbol = symbol->str();
  abi.numWarps = *warps;
  abi.sharedBytes = *shared;
  abi.scratchBytes = *scratch;
  for (size_t i = 0; i < 3; ++i) {
    auto space = (*spaces)[i].getAsString();
    auto tile = (*tiles)[i].getAsInteger();
    if (!space || !tile || *tile <= 0 || *tile > INT32_MAX)
      return malformed("the grid");
    abi.gridSpaces[i] = space->str();
    abi.gridTiles[i] = *tile;
  }
  for (auto &[name, value] : *defaults) {
    auto text = value.getAsString();
    char *end = nullptr;
    std::string digits = text ? text->str() : "";
    double number = std::strtod(digits.c_str(), &end);
    if (digits.empty() || *end != 0)
      return malformed("a parameter's default");
    abi.paramDefaults[name.str()] = number;
  }
  for (const json::Value &arg : *args)
    if (!parseArg(arg, abi.args.emplace_back()))
      return malformed("an argument");
  for (const json::Value &tensor : *tensors)
    if (!parseTensor(tensor, abi.tensors.emplace_back()))
      return malformed("a tensor");
  for (const json::Value &name : *unused) {
    auto text = name.getAsString();
    if (!text)
      return malformed("an unused input");
    abi.unusedInputs.push_back(text->str());
  }
  if (!isConsistent(abi))
    return malformed("an argument of no tensor, or two tensors of one name");
  return abi;
}

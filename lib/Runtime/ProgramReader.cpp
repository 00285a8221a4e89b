// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The JSON form of a program, as it is read. It comes from a file, so the text is taken apart with
// care here, and what it says is held against checkProgram.
#include "attnc/Runtime/ProgramReader.h"
#include "attnc/Runtime/CodeFile.h"
#include "attnc/Support/Element.h"
#include <cstdlib>

using namespace attnc;

const char *const attnc::kernelArgNames[] = {
    "pointer", "stride",     "workspace_pointer", "workspace_stride", "size",  "param",
    "scalar",  "grid_start", "tensor_map",        "has_map",          "extent"};
const char *const attnc::sizeStepNames[] = {
    "number",  "real",     "size",       "param",       "add",        "sub",        "mul",
    "min",     "max",      "floordiv",   "ceildiv",     "min_number", "max_number", "div",
    "equal",   "less",     "less_equal", "and",         "or",         "xor",        "bit_and",
    "bit_or",  "bit_xor",  "shift_left", "shift_right", "select",     "floor",      "ceil",
    "to_real", "to_whole", "to_f32"};
static_assert(std::size(sizeStepNames) == static_cast<size_t>(SizeStep::Op::ToF32) + 1);
static_assert(std::size(kernelArgNames) == static_cast<size_t>(KernelArg::Kind::Extent) + 1);
const size_t attnc::numKernelArgNames = std::size(kernelArgNames);
const size_t attnc::numSizeStepNames = std::size(sizeStepNames);

/// Position of `name` in `names`, or nothing.
static std::optional<int> indexOf(const char *const *names, size_t count, std::string_view name) {
  for (size_t i = 0; i < count; ++i)
    if (name == names[i])
      return static_cast<int>(i);
  return std::nullopt;
}

static bool parse(const json::Value &value, std::string &text) {
  auto string = value.getAsString();
  if (string)
    text = *string;
  return string.has_value();
}

/// Reads what `numberText` writes.
static bool parseReal(const json::Value &value, double &real) {
  std::string digits;
  char *end = nullptr;
  if (!parse(value, digits) || digits.empty())
    return false;
  real = std::strtod(digits.c_str(), &end);
  return *end == 0;
}

static bool parse(const json::Value &value, SizeStep &step) {
  if (auto number = value.getAsInteger()) {
    step = {SizeStep::Op::Number, *number};
    return true;
  }
  if (const json::Object *object = value.getAsObject()) {
    auto size = object->getInteger("size"), param = object->getInteger("param");
    if (object->size() != 1)
      return false;
    if (const json::Value *real = object->get("real")) {
      step = {SizeStep::Op::Real};
      return parseReal(*real, step.real);
    }
    step = {size ? SizeStep::Op::Size : SizeStep::Op::Param, size ? *size : param.value_or(-1)};
    return size || param;
  }
  auto name = value.getAsString();
  std::optional<int> op = name ? indexOf(sizeStepNames, numSizeStepNames, *name) : std::nullopt;
  step = {static_cast<SizeStep::Op>(op.value_or(0))};
  return op && step.op > SizeStep::Op::Param;
}

/// Fills `items` from a list; false if there is none, or an item is malformed.
template <typename T> static bool parseList(const json::Array *array, std::vector<T> &items);

static bool parse(const json::Value &value, SizeFormula &formula) {
  return parseList(value.getAsArray(), formula);
}

static bool parse(const json::Value &value, AxisDecl &axis) {
  if (auto size = value.getAsInteger()) {
    axis = {"", *size};
    return true;
  }
  return parse(value, axis.space) && !axis.space.empty();
}

static bool parse(const json::Value &value, TensorDecl &tensor) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto name = object->getString("name"), dtype = object->getString("dtype"),
       alias = object->getString("may_alias");
  auto unit = object->getBoolean("unit_last_stride");
  auto alignment = object->getInteger("row_alignment");
  std::optional<DType> known = dtype ? parseDType(*dtype) : std::nullopt;
  if (!name || !known || !alias || !unit || !alignment)
    return false;
  tensor.name = *name;
  tensor.dtype = *known;
  tensor.unitLastStride = *unit;
  tensor.rowAlignment = *alignment;
  tensor.mayAlias = *alias;
  return parseList(object->getArray("axes"), tensor.axes);
}

static bool parse(const json::Value &value, ParamDecl &param) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto name = object->getString("name");
  auto integer = object->getBoolean("integer");
  if (!name || !integer)
    return false;
  param.name = *name;
  param.isInteger = *integer;
  param.hasDefault = object->get("default") != nullptr;
  return !param.hasDefault || parseReal(*object->get("default"), param.defaultValue);
}

static bool parse(const json::Value &value, SpaceDecl &space) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto name = object->getString("name"), parent = object->getString("parent");
  auto isFull = object->getBoolean("full"), isOptional = object->getBoolean("optional");
  if (!name || !parent || !isFull || !isOptional)
    return false;
  space.name = *name;
  space.parent = *parent;
  space.isFull = *isFull;
  space.isOptional = *isOptional;
  return parseList(object->getArray("extent"), space.extent) &&
         parseList(object->getArray("stride"), space.stride);
}

static bool parse(const json::Value &value, WorkspaceTensor &tensor) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto name = object->getString("name"), dtype = object->getString("dtype");
  std::optional<DType> known = dtype ? parseDType(*dtype) : std::nullopt;
  if (!name || !known)
    return false;
  tensor.name = *name;
  tensor.dtype = *known;
  return parseList(object->getArray("axes"), tensor.axes) &&
         parseList(object->getArray("first"), tensor.first);
}

static bool parse(const json::Value &value, ChunkAxis &axis) {
  const json::Object *object = value.getAsObject();
  auto step = object ? object->getInteger("step") : std::nullopt;
  axis.step = step.value_or(0);
  return step && parseList(object->getArray("size"), axis.size);
}

static bool parse(const json::Value &value, ChunkLoop &loop) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto first = object->getInteger("first_launch"), count = object->getInteger("num_launches");
  if (!first || !count || *first < 0 || *first > INT32_MAX || *count < 0 || *count > INT32_MAX)
    return false;
  loop.firstLaunch = static_cast<int32_t>(*first);
  loop.numLaunches = static_cast<int32_t>(*count);
  return parseList(object->getArray("axes"), loop.axes);
}

static bool parse(const json::Value &value, Requirement &requirement) {
  const json::Object *object = value.getAsObject();
  auto message = object ? object->getString("message") : std::nullopt;
  const json::Value *number = object ? object->get("number") : nullptr;
  if (!message || !number || !parse(*number, requirement.number))
    return false;
  requirement.message = *message;
  return true;
}

static bool parse(const json::Value &value, KernelArg &arg) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto kind = object->getString("kind");
  auto index = object->getInteger("index"), dim = object->getInteger("dim");
  std::optional<int> known =
      kind ? indexOf(kernelArgNames, numKernelArgNames, *kind) : std::nullopt;
  if (!known || !index || !dim || *index < 0 || *index > INT32_MAX || *dim < 0 || *dim > INT32_MAX)
    return false;
  arg = {static_cast<KernelArg::Kind>(*known), static_cast<int32_t>(*index),
         static_cast<int32_t>(*dim)};
  return true;
}

static bool parse(const json::Value &value, TensorBox &box) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto number = [&](const char *name, int32_t &field) {
    auto read = object->getInteger(name);
    if (!read || *read < 0 || *read > INT32_MAX)
      return false;
    field = static_cast<int32_t>(*read);
    return true;
  };
  return number("row_dim", box.rowDim) && number("rows", box.rows) &&
         number("columns", box.columns);
}

static bool parse(const json::Value &value, KernelLaunch &launch) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return false;
  auto symbol = object->getString("symbol");
  auto warps = object->getInteger("num_warps"), shared = object->getInteger("shared_bytes"),
       scratch = object->getInteger("scratch_bytes");
  std::vector<SizeFormula> grid;
  if (!symbol || !warps || *warps < 0 || *warps > INT32_MAX || !shared || !scratch ||
      !parseList(object->getArray("grid"), grid) || grid.size() != 3)
    return false;
  launch.symbol = *symbol;
  launch.numWarps = static_cast<int32_t>(*warps);
  launch.sharedBytes = *shared;
  launch.scratchBytes = *scratch;
  for (size_t i = 0; i < 3; ++i)
    launch.grid[i] = std::move(grid[i]);
  return parseList(object->getArray("args"), launch.args) &&
         parseList(object->getArray("boxes"), launch.boxes);
}

template <typename T> static bool parseList(const json::Array *array, std::vector<T> &items) {
  if (!array)
    return false;
  for (const json::Value &value : *array)
    if (!parse(value, items.emplace_back()))
      return false;
  return true;
}

static Failure malformed(std::string_view what) {
  return Failure("malformed program: " + std::string(what));
}

Outcome<Program> attnc::parseProgram(std::string_view text) {
  Outcome<json::Value> value = json::parse(text, maxProgramDepth);
  return value ? programOf(*value) : malformed(value.takeError().message());
}

Outcome<Program> attnc::programOf(const json::Value &value) {
  const json::Object *object = value.getAsObject();
  if (!object)
    return malformed("expected an object");
  Program program;
  auto name = object->getString("name");
  if (!name || !parseList(object->getArray("params"), program.signature.params) ||
      !parseList(object->getArray("inputs"), program.signature.inputs) ||
      !parseList(object->getArray("outputs"), program.signature.outputs) ||
      !parseList(object->getArray("unused_inputs"), program.unusedInputs) ||
      !parseList(object->getArray("spaces"), program.signature.spaceNames) ||
      !parseList(object->getArray("declared_spaces"), program.signature.spaces) ||
      !parseList(object->getArray("workspaces"), program.workspaces) ||
      !parseList(object->getArray("scalars"), program.scalars) ||
      !parseList(object->getArray("requirements"), program.requirements) ||
      !parseList(object->getArray("launches"), program.launches) ||
      !parseList(object->getArray("loops"), program.loops))
    return malformed("a field is missing, or of another form");
  program.signature.name = *name;
  if (Failure failure = checkProgram(program))
    return malformed(failure.message());
  return program;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks the tensors of a run against a program and packs its argument slots.
#include "attnc/Runtime/Arguments.h"
#include "attnc/Runtime/Chunks.h"
#include "attnc/Support/Binding.h"
#include "attnc/Support/Checks.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace attnc;

static std::string list(const std::vector<int64_t> &values) {
  std::string text = "(";
  for (size_t i = 0; i < values.size(); ++i)
    text += (i ? ", " : "") + std::to_string(values[i]);
  return text + ")";
}

static std::string list(const std::vector<std::string> &values) {
  std::string text = "(";
  for (size_t i = 0; i < values.size(); ++i)
    text += (i ? ", " : "") + values[i];
  return text + ")";
}

static std::vector<std::string> axisTexts(const TensorDecl &tensor) {
  std::vector<std::string> texts;
  for (const AxisDecl &axis : tensor.axes)
    texts.push_back(axis.space.empty() ? std::to_string(axis.size) : axis.space);
  return texts;
}

namespace {
class Packer {
public:
  Packer(const Program &program, const LaunchInputs &inputs, std::string &error)
      : program(program), inputs(inputs), error(error) {}

  std::optional<PackedArguments> run() {
    if (checkNames() && bindTensors(/*outputs=*/false) && bindParams() && checkHeads() &&
        findSizes() && bindTensors(/*outputs=*/true) && checkSharing() && collectSizes() &&
        checkRequirements() && placeWorkspace() && computeScalars() && packLaunches())
      return std::move(packed);
    return std::nullopt;
  }

private:
  bool fail(const std::string &message) {
    error = message;
    return false;
  }

  /// Outputs come after inputs and parameters, which tell the sizes of their axes.
  bool bindTensors(bool outputs) {
    memory.reserve(program.numTensors());
    for (size_t i = 0; i < program.numTensors(); ++i)
      if (program.isOutput(i) == outputs && !checkTensor(program.tensor(i), outputs))
        return false;
    return true;
  }

  bool checkSharing() {
    forgetAliases();
    std::string message = checkOverlaps(memory);
    return message.empty() || fail(message);
  }

  /// A name that the kernel does not know is a typing error, or a tensor that the caller believes
  /// to be read.
  bool checkNames() {
    std::vector<std::string> known;
    for (size_t i = 0; i < program.numTensors(); ++i)
      known.push_back(program.tensor(i).name);
    known.insert(known.end(), program.unusedInputs.begin(), program.unusedInputs.end());
    for (const auto &entry : inputs.tensors)
      if (std::find(known.begin(), known.end(), entry.first) == known.end())
        return fail("`" + entry.first + "` is not a tensor of `" + program.signature.name +
                    "`, which has " + list(known) + didYouMean(entry.first, known));
    return true;
  }

  /// Checks the parameters and leaves the value of each in `params`.
  bool bindParams() {
    std::vector<std::string> known;
    for (const ParamDecl &param : program.signature.params)
      known.push_back(param.name);
    for (const auto &entry : inputs.params)
      if (std::find(known.begin(), known.end(), entry.first) == known.end())
        return fail("`" + entry.first + "` is not a launch parameter of `" +
                    program.signature.name + "`" + didYouMean(entry.first, known));
    for (const ParamDecl &param : program.signature.params) {
      auto given = inputs.params.find(param.name);
      if (given == inputs.params.end() && !param.hasDefault)
        return fail("parameter '" + param.name + "' is missing: pass a value for it");
      double value = given == inputs.params.end() ? param.defaultValue : given->second;
      if (std::string message = checkParamValue(param.name, param.isInteger, value);
          !message.empty())
        return fail(message);
      params.push_back(param.isInteger ? value : static_cast<double>(static_cast<float>(value)));
    }
    sizes.params = valuesOfParams(program.signature, params);
    return true;
  }

  /// A number as a kernel gets it: i32, or the bits of an f32.
  static uint64_t slotOf(const SizeValue &value) {
    if (value.kind != NumberKind::Real)
      return static_cast<uint32_t>(static_cast<int32_t>(value.whole));
    float narrow = static_cast<float>(value.real);
    uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof bits);
    return bits;
  }

  bool checkTensor(const TensorDecl &tensor, bool isOutput) {
    auto found = inputs.tensors.find(tensor.name);
    if (found == inputs.tensors.end())
      return fail("tensor '" + tensor.name + "' is missing: pass one with axes " +
                  list(axisTexts(tensor)) + " and dtype " + dtypeName(*tensor.dtype));
    const TensorView &view = found->second;
    views.push_back(&view);
    std::string what = "tensor '" + tensor.name + "'";
    if (view.dtype != *tensor.dtype)
      return fail(what + ": expected dtype " + dtypeName(*tensor.dtype) + ", found " +
                  dtypeName(view.dtype) + "; convert it, or compile for that dtype");
    if (view.shape.size() != tensor.axes.size())
      return fail(what + ": expected " + std::to_string(tensor.axes.size()) + " dimensions " +
                  list(axisTexts(tensor)) + ", found shape " + list(view.shape));
    if (view.strides.size() != view.shape.size())
      return fail(what + ": expected one stride for each dimension of shape " + list(view.shape) +
                  ", found strides " + list(view.strides));
    for (size_t dim = 0; dim < tensor.axes.size(); ++dim)
      if (!checkAxis(tensor, view, dim))
        return false;
    bool empty = std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end();
    if (!view.data && !empty)
      return fail(what + ": the data pointer is null but the shape is " + list(view.shape));
    if (empty)
      return true;
    if (!fitsAddressSpace(view))
      return fail(what + ": strides " + list(view.strides) + " reach beyond the address space");
    if (tensor.unitLastStride && !view.shape.empty() && view.shape.back() > 1 &&
        view.strides.back() != 1)
      return fail(what + ": expected a last stride of 1, found " +
                  std::to_string(view.strides.back()) + "; make the rows contiguous");
    if (reinterpret_cast<uintptr_t>(view.data) % dtypeSize(view.dtype))
      return fail(what + ": the data pointer is not a multiple of the element size, " +
                  std::to_string(dtypeSize(view.dtype)) + " bytes");
    memory.push_back({tensor.name, reinterpret_cast<uintptr_t>(view.data), dtypeSize(view.dtype),
                      view.shape.data(), view.strides.data(), view.shape.size(), isOutput});
    if (isOutput)
      if (std::string message = checkSelfOverlap(memory.back()); !message.empty())
        return fail(message);
    return checkAlignment(tensor, view);
  }

  bool checkAxis(const TensorDecl &tensor, const TensorView &view, size_t dim) {
    const std::string &axis = tensor.axes[dim].space;
    int64_t size = view.shape[dim];
    std::string what = "tensor '" + tensor.name + "', dimension " + std::to_string(dim);
    if (size < 0)
      return fail(what + ": expected a size of at least 0, found " + std::to_string(size));
    if (axis.empty()) {
      if (size != tensor.axes[dim].size)
        return fail(what + ": expected size " + std::to_string(tensor.axes[dim].size) +
                    ", which the kernel is compiled for, found " + std::to_string(size));
      return true;
    }
    // Coordinates are i32 in a kernel, with room for a tile beyond the end.
    if (size > INT32_MAX - 65536)
      return fail(what + ": size " + std::to_string(size) +
                  " does not fit the kernel's 32-bit coordinates");
    auto [known, isNew] = bound.spaces.emplace(axis, size);
    if (known->second != size)
      return fail(what + ": expected size " + std::to_string(known->second) + " for index space '" +
                  axis + "'" +
                  (saidBy.count(axis) ? " as in tensor '" + saidBy[axis] + "'"
                                      : ", which follows from the inputs") +
                  ", found " + std::to_string(size));
    if (!isNew)
      return true;
    saidBy[axis] = tensor.name;
    // Kernels clamp indices to the tensor, so there must be one where rows and keys do not see to
    // it.
    const char *const mayBeEmpty[] = {"b", "h", "g", "q", "kv", "t"};
    if (size == 0 &&
        std::find(std::begin(mayBeEmpty), std::end(mayBeEmpty), axis) == std::end(mayBeEmpty))
      return fail(what + ": expected at least one index of the space '" + axis + "', found none");
    return true;
  }

  /// With room for the size of an element.
  static bool fitsAddressSpace(const TensorView &view) {
    long double span = 0;
    for (size_t dim = 0; dim < view.shape.size(); ++dim)
      span += static_cast<long double>(view.shape[dim]) *
              std::fabs(static_cast<long double>(view.strides[dim]));
    return span <= 1e18L;
  }

  bool checkAlignment(const TensorDecl &tensor, const TensorView &view) {
    if (tensor.rowAlignment <= 1)
      return true;
    bool aligned = reinterpret_cast<uintptr_t>(view.data) % tensor.rowAlignment == 0;
    for (size_t dim = 0; dim + 1 < view.shape.size(); ++dim)
      if (view.shape[dim] > 1)
        aligned &= view.strides[dim] * dtypeSize(view.dtype) % tensor.rowAlignment == 0;
    if (!aligned)
      return fail("tensor '" + tensor.name + "': expected every row to start at a multiple of " +
                  std::to_string(tensor.rowAlignment) + " bytes, found strides " +
                  list(view.strides) + " from an address that is " +
                  std::to_string(reinterpret_cast<uintptr_t>(view.data) % tensor.rowAlignment) +
                  " modulo " + std::to_string(tensor.rowAlignment) +
                  "; compile for a smaller alignment");
    return true;
  }

  /// An output that is declared to be an input may be exactly it: then it stands for both.
  void forgetAliases() {
    auto find = [&](const std::string &name) {
      return std::find_if(memory.begin(), memory.end(),
                          [&](const StridedMemory &m) { return m.name == name; });
    };
    for (const TensorDecl &output : program.signature.outputs) {
      auto written = find(output.name), read = find(output.mayAlias);
      if (written == memory.end() || read == memory.end() || read->isOutput)
        continue;
      bool isSame = read->address == written->address && read->rank == written->rank &&
                    std::equal(read->shape, read->shape + read->rank, written->shape) &&
                    std::equal(read->strides, read->strides + read->rank, written->strides);
      if (isSame)
        memory.erase(read);
    }
  }

  /// Computes the sizes of the declared spaces.
  bool findSizes() {
    std::string message = sizeDeclaredSpaces(program.signature, params, bound);
    return message.empty() || fail(message);
  }

  bool collectSizes() {
    for (const std::string &space : program.signature.spaceNames) {
      auto size = bound.spaces.find(space);
      if (size == bound.spaces.end())
        return fail("no tensor tells the size of index space '" + space + "'");
      sizes.spaces.push_back(size->second);
    }
    return true;
  }

  bool checkRequirements() {
    for (const Requirement &requirement : program.requirements) {
      std::optional<SizeValue> value = evaluateAny(requirement.number, sizes.spaces, sizes.params);
      if (!value || value->whole < 1)
        return fail(requirement.message);
    }
    return true;
  }

  bool computeScalars() {
    for (const SizeFormula &formula : program.scalars) {
      std::optional<SizeValue> value = evaluateAny(formula, sizes.spaces, sizes.params);
      if (!value ||
          (value->kind == NumberKind::Whole && value->whole != static_cast<int32_t>(value->whole)))
        return fail("a number that `" + program.signature.name +
                    "` computes from sizes and parameters does not fit 32 bits");
      scalars.push_back(*value);
    }
    return true;
  }

  bool placeWorkspace() {
    std::optional<WorkspaceLayout> placed = layoutWorkspace(program, sizes, error);
    if (!placed)
      return false;
    layout = std::move(*placed);
    sizes = layout.sizes;
    packed.workspaceBytes = layout.bytes;
    return true;
  }

  bool packLaunches() {
    return forEachLaunch(program, sizes, [&](size_t i) { return packLaunch(i); });
  }

  bool packLaunch(size_t index) {
    const KernelLaunch &launch = program.launches[index];
    for (const KernelArg &arg : launch.args)
      packed.slots.push_back(slotOf(arg));
    PackedLaunch &run = packed.launches.emplace_back();
    run.launch = index;
    for (int i = 0; i < 3; ++i) {
      std::optional<int64_t> points = evaluate(launch.grid[i], sizes.spaces, sizes.params);
      if (!points || *points < 0 || *points > INT32_MAX)
        return fail("the grid of kernel '" + launch.symbol + "' has " +
                    (points ? std::to_string(*points) : "too many") + " points in dimension " +
                    std::to_string(i) + " for these sizes");
      run.grid[i] = *points;
    }
    return true;
  }

  /// Where the element at index 0 along all axes would be, in bytes.
  uint64_t offsetOf(size_t index) const {
    const WorkspaceTensor &tensor = program.workspaces[index];
    auto offset = static_cast<uint64_t>(layout.offsets[index]);
    for (size_t dim = 0; dim < tensor.first.size(); ++dim) {
      std::optional<int64_t> first = evaluate(tensor.first[dim], sizes.spaces, sizes.params);
      offset -= static_cast<uint64_t>(first.value_or(0)) *
                static_cast<uint64_t>(layout.strides[index][dim] * dtypeSize(tensor.dtype));
    }
    return offset;
  }

  uint64_t slotOf(const KernelArg &arg) const {
    switch (arg.kind) {
    case KernelArg::Kind::Pointer:
      return reinterpret_cast<uintptr_t>(views[arg.index]->data);
    case KernelArg::Kind::Stride:
      return static_cast<uint64_t>(views[arg.index]->strides[arg.dim]);
    case KernelArg::Kind::WorkspacePointer:
      return offsetOf(arg.index);
    case KernelArg::Kind::WorkspaceStride:
      return static_cast<uint64_t>(layout.strides[arg.index][arg.dim]);
    case KernelArg::Kind::Size:
      return static_cast<uint32_t>(sizes.spaces[arg.index]);
    case KernelArg::Kind::Param:
      return slotOf(sizes.params[arg.index]);
    case KernelArg::Kind::Scalar:
      return slotOf(scalars[arg.index]);
    case KernelArg::Kind::GridStart:
      break; // the launch knows
    }
    return 0;
  }

  /// Kernels divide query heads by key heads.
  bool checkHeads() {
    auto h = bound.spaces.find("h"), g = bound.spaces.find("g");
    if (h == bound.spaces.end() || g == bound.spaces.end())
      return true;
    if (g->second == 0 ? h->second != 0 : h->second % g->second != 0)
      return fail("expected the number of query heads (h = " + std::to_string(h->second) +
                  ", tensor '" + saidBy["h"] +
                  "') to be a multiple of the number of key heads (g = " +
                  std::to_string(g->second) + ", tensor '" + saidBy["g"] + "')");
    return true;
  }

  const Program &program;
  const LaunchInputs &inputs;
  std::string &error;
  PackedArguments packed;
  std::vector<const TensorView *> views; ///< of the program's tensors
  std::vector<double> params;
  std::vector<SizeValue> scalars;
  ProgramSizes sizes;
  WorkspaceLayout layout;
  std::vector<StridedMemory> memory; ///< of the tensors that have elements
  BoundSizes bound;
  std::map<std::string, std::string> saidBy; ///< the tensor that told a size
};
} // namespace

std::optional<PackedArguments>
attnc::packArguments(const Program &program, const LaunchInputs &inputs, std::string &error) {
  return Packer(program, inputs, error).run();
}

static bool isWorkspace(const KernelArg &arg) {
  return arg.kind == KernelArg::Kind::WorkspacePointer;
}

bool attnc::usesWorkspace(const KernelLaunch &launch) {
  return std::any_of(launch.args.begin(), launch.args.end(), isWorkspace);
}

void attnc::bindWorkspace(const KernelLaunch &launch, const uint64_t *slots, uint64_t workspace,
                          uint64_t *out) {
  for (size_t i = 0; i < launch.args.size(); ++i)
    out[i] = slots[i] + (isWorkspace(launch.args[i]) ? workspace : 0);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks the tensors of a run against a program and packs its argument slots.
#include "attnc/Runtime/Arguments.h"
#include "attnc/Runtime/Chunks.h"
#include "attnc/Support/Binding.h"
#include <algorithm>
#include <cstring>

using namespace attnc;

namespace {
class Packer {
public:
  Packer(const Program &program, const LaunchInputs &inputs) : program(program), inputs(inputs) {}

  Outcome<PackedArguments> run() {
    using Step = Failure (Packer::*)();
    for (Step step : {&Packer::bind, &Packer::collectSizes, &Packer::checkRequirements,
                      &Packer::placeWorkspace, &Packer::computeScalars, &Packer::packLaunches})
      if (Failure failure = (this->*step)())
        return failure;
    return std::move(packed);
  }

private:
  /// Checks tensors and parameters.
  Failure bind() {
    const Signature &signature = program.signature;
    // Inputs and outputs have one set of names here. What no kernel reads may be passed.
    std::map<std::string, TensorView> read, written;
    std::vector<std::string> known;
    for (size_t i = 0; i < program.numTensors(); ++i) {
      const std::string &name = known.emplace_back(program.tensor(i).name);
      if (auto found = inputs.tensors.find(name); found != inputs.tensors.end()) {
        (program.isOutput(i) ? written : read).insert(*found);
        views.push_back(&found->second);
      }
    }
    known.insert(known.end(), program.unusedInputs.begin(), program.unusedInputs.end());
    for (const auto &entry : inputs.tensors)
      if (std::find(known.begin(), known.end(), entry.first) == known.end())
        return Failure::invalidArgument(
            unknownName(entry.first, "a tensor", signature.name, known));
    if (Failure failure =
            checkBindings(signature, read, written, bound, inputs.params, BoundTo::Code))
      return failure;
    Outcome<std::vector<double>> params = checkParams(signature, inputs.params, BoundTo::Code);
    if (!params)
      return params.takeError();
    sizes.params = valuesOfParams(signature, *params);
    return Failure::success();
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

  Failure collectSizes() {
    for (const std::string &space : program.signature.spaceNames) {
      auto size = bound.spaces.find(space);
      if (size == bound.spaces.end())
        return Failure::invalidArgument("no input says the size of the index space `" + space +
                                        "`");
      sizes.spaces.push_back(size->second);
    }
    return Failure::success();
  }

  Failure checkRequirements() {
    for (const Requirement &requirement : program.requirements) {
      std::optional<SizeValue> value = evaluateAny(requirement.number, sizes.spaces, sizes.params);
      if (!value || value->whole < 1)
        return Failure::invalidArgument(requirement.message);
    }
    return Failure::success();
  }

  Failure computeScalars() {
    for (const SizeFormula &formula : program.scalars) {
      std::optional<SizeValue> value = evaluateAny(formula, sizes.spaces, sizes.params);
      if (!value ||
          (value->kind == NumberKind::Whole && value->whole != static_cast<int32_t>(value->whole)))
        return Failure::invalidArgument(
            "a number that `" + program.signature.name +
            "` computes from sizes and parameters does not fit 32 bits");
      scalars.push_back(*value);
    }
    return Failure::success();
  }

  Failure placeWorkspace() {
    Outcome<WorkspaceLayout> placed = layoutWorkspace(program, sizes);
    if (!placed)
      return placed.takeError();
    layout = std::move(*placed);
    sizes = layout.sizes;
    packed.workspaceBytes = layout.bytes;
    return Failure::success();
  }

  Failure packLaunches() {
    return forEachLaunch(program, sizes, [&](size_t i) { return packLaunch(i); });
  }

  Failure packLaunch(size_t index) {
    const KernelLaunch &launch = program.launches[index];
    for (const KernelArg &arg : launch.args)
      packed.slots.push_back(slotOf(arg));
    PackedLaunch &run = packed.launches.emplace_back();
    run.launch = index;
    for (int i = 0; i < 3; ++i) {
      std::optional<int64_t> points = evaluate(launch.grid[i], sizes.spaces, sizes.params);
      if (!points || *points < 0 || *points > INT32_MAX)
        return Failure::invalidArgument("the grid of kernel '" + launch.symbol + "' has " +
                                        (points ? std::to_string(*points) : "too many") +
                                        " points in dimension " + std::to_string(i) +
                                        " for these sizes");
      run.grid[i] = *points;
    }
    return Failure::success();
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
    case KernelArg::Kind::Extent:
      return static_cast<uint64_t>(views[arg.index]->shape[arg.dim]);
    case KernelArg::Kind::GridStart:
    case KernelArg::Kind::TensorMap:
    case KernelArg::Kind::HasMap:
      break; // the launch knows
    }
    return 0;
  }

  const Program &program;
  const LaunchInputs &inputs;
  PackedArguments packed;
  std::vector<const TensorView *> views; ///< of the program's tensors
  std::vector<SizeValue> scalars;
  ProgramSizes sizes;
  WorkspaceLayout layout;
  BoundSizes bound;
};
} // namespace

Outcome<PackedArguments> attnc::packArguments(const Program &program, const LaunchInputs &inputs) {
  return Packer(program, inputs).run();
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

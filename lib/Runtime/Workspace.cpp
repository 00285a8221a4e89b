// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Placement of workspace tensors: the largest first, each at the lowest offset where it meets no
// tensor that lives at the same time.
#include "attnc/Runtime/Workspace.h"
#include "attnc/Runtime/Chunks.h"
#include <algorithm>
#include <numeric>
#include <set>

using namespace attnc;

namespace {
/// A workspace tensor while it is placed.
struct Placement {
  int64_t bytes = 0, offset = 0;
  size_t first = SIZE_MAX, last = 0; ///< launches; first > last: no launch has it
  bool isPlaced = false;

  bool livesWith(const Placement &other) const {
    return first <= other.last && other.first <= last;
  }
};
} // namespace

/// The launches that a whole tensor is needed in if launch `i` has it: a loop runs them again.
static std::pair<size_t, size_t> needing(const Program &program, size_t i) {
  for (const ChunkLoop &loop : program.loops) {
    size_t first = loop.firstLaunch, end = first + loop.numLaunches;
    if (first <= i && i < end)
      return {first, end - 1};
  }
  return {i, i};
}

static void findLifetimes(const Program &program, std::vector<Placement> &placements) {
  for (size_t i = 0; i < program.launches.size(); ++i)
    for (const KernelArg &arg : program.launches[i].args)
      if (arg.kind == KernelArg::Kind::WorkspacePointer) {
        bool isOfChunks = !program.workspaces[arg.index].first.empty();
        auto [first, last] = isOfChunks ? std::pair(i, i) : needing(program, i);
        Placement &placement = placements[arg.index];
        placement.first = std::min(placement.first, first);
        placement.last = std::max(placement.last, last);
      }
}

/// Bytes and strides of a tensor; false if they are out of range.
static bool measure(const WorkspaceTensor &tensor, const ProgramSizes &sizes, int64_t &bytes,
                    std::vector<int64_t> &strides) {
  std::vector<int64_t> shape;
  for (const SizeFormula &axis : tensor.axes) {
    std::optional<int64_t> size = evaluate(axis, sizes.spaces, sizes.params);
    if (!size || *size < 0)
      return false;
    shape.push_back(*size);
  }
  strides = rowMajorStrides(shape);
  bytes = dtypeSize(tensor.dtype);
  for (int64_t size : shape)
    if (size == 0) {
      bytes = 0;
      return true;
    }
  for (int64_t size : shape)
    if (__builtin_mul_overflow(bytes, size, &bytes) || bytes > maxWorkspaceBytes)
      return false;
  bytes = (bytes + workspaceAlignment - 1) / workspaceAlignment * workspaceAlignment;
  return true;
}

/// The lowest offset where `placement` shares no byte with a placed tensor that lives with it.
static int64_t lowestOffset(const Placement &placement, const std::vector<Placement> &all) {
  int64_t offset = 0;
  for (bool moved = true; moved;) {
    moved = false;
    for (const Placement &other : all)
      if (other.isPlaced && other.livesWith(placement) && offset < other.offset + other.bytes &&
          other.offset < offset + placement.bytes) {
        offset = other.offset + other.bytes;
        moved = true;
      }
  }
  return offset;
}

Outcome<WorkspaceLayout> attnc::layoutWorkspace(const Program &program, const ProgramSizes &sizes) {
  size_t count = program.workspaces.size();
  WorkspaceLayout layout;
  layout.sizes = sizes;
  if (Failure failure = chooseChunks(program, layout.sizes))
    return failure;
  layout.offsets.resize(count);
  layout.strides.resize(count);
  std::vector<Placement> placements(count);
  findLifetimes(program, placements);
  for (size_t i = 0; i < count; ++i)
    if (!measure(program.workspaces[i], layout.sizes, placements[i].bytes, layout.strides[i]))
      return Failure::invalidArgument("workspace tensor '" + program.workspaces[i].name + "' of `" +
                                      program.signature.name +
                                      "` is too large for these sizes, or has a negative one");
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(placements[b].bytes, a) < std::pair(placements[a].bytes, b);
  });
  for (size_t i : order) {
    Placement &placement = placements[i];
    if (placement.first > placement.last)
      continue; // no launch has it
    placement.offset = lowestOffset(placement, placements);
    placement.isPlaced = true;
    layout.offsets[i] = placement.offset;
    layout.bytes = std::max(layout.bytes, placement.offset + placement.bytes);
  }
  if (layout.bytes > maxWorkspaceBytes)
    return Failure::invalidArgument("the workspace of `" + program.signature.name +
                                    "` would have " + std::to_string(layout.bytes) +
                                    " bytes, more than there is memory");
  return layout;
}

namespace {
/// What the workspace of a program depends on.
class WorkspaceNeeds {
public:
  WorkspaceNeeds(const Program &program, const std::map<std::string, int64_t> &given)
      : signature(program.signature), given(given) {
    for (const WorkspaceTensor &tensor : program.workspaces)
      for (const SizeFormula &axis : tensor.axes)
        add(axis);
    for (const ChunkLoop &loop : program.loops)
      for (const ChunkAxis &axis : loop.axes)
        add(axis.size);
  }

  std::set<std::string> sizes;   ///< that a caller has to say
  std::set<int64_t> params;      ///< indices
  std::vector<SpaceDecl> spaces; ///< that are computed from them, in the order of declaration

private:
  void add(const SizeFormula &formula) {
    for (const SizeStep &step : formula)
      if (step.op == SizeStep::Op::Size) {
        if (static_cast<size_t>(step.value) < signature.spaceNames.size()) // else of a chunk
          addSpace(signature.spaceNames[step.value]);
      } else if (step.op == SizeStep::Op::Param)
        params.insert(step.value);
  }

  void addSpace(const std::string &name) {
    if (!seen.insert(name).second)
      return;
    for (const SpaceDecl &space : signature.spaces)
      if (space.name == name && !given.count(name)) {
        add(space.extent);
        add(space.stride);
        if (!space.parent.empty())
          addSpace(space.parent);
        spaces.push_back(space);
        return;
      }
    sizes.insert(name);
  }

  const Signature &signature;
  const std::map<std::string, int64_t> &given;
  std::set<std::string> seen;
};
} // namespace

Outcome<int64_t> attnc::workspaceBytes(const Program &program,
                                       const std::map<std::string, int64_t> &sizes,
                                       const std::map<std::string, double> &params) {
  const Signature &signature = program.signature;
  const std::string who = "the workspace of `" + signature.name + "` depends on ";
  WorkspaceNeeds needs(program, sizes);
  for (const std::string &name : needs.sizes)
    if (!sizes.count(name))
      return Failure::invalidArgument(who + "the size of index space '" + name + "': pass it");
  for (const auto &[name, size] : sizes)
    if (size < 0 || size > INT32_MAX)
      return Failure::invalidArgument("expected a size from 0 to 2147483647 for index space '" +
                                      name + "', found " + std::to_string(size));
  for (int64_t index : needs.params)
    if (const ParamDecl &param = signature.params[index];
        !param.hasDefault && !params.count(param.name))
      return Failure::invalidArgument(who + "the parameter '" + param.name +
                                      "': pass a value for it");
  BoundSizes bound;
  bound.spaces = sizes;
  Signature needed = signature;
  needed.spaces = needs.spaces;
  for (ParamDecl &param : needed.params)
    param.hasDefault = true; // those that it depends on are there
  Outcome<std::vector<double>> values = checkParams(needed, params, BoundTo::Code);
  if (!values)
    return values.takeError();
  if (Failure failure = sizeDeclaredSpaces(needed, *values, bound))
    return failure;
  ProgramSizes all{{}, valuesOfParams(signature, *values)};
  for (const std::string &name : signature.spaceNames)
    all.spaces.push_back(bound.spaces.count(name) ? bound.spaces[name] : 0);
  Outcome<WorkspaceLayout> layout = layoutWorkspace(program, all);
  if (!layout)
    return layout.takeError();
  return layout->bytes;
}

Failure attnc::checkWorkspace(const WorkspaceBlock &block, int64_t bytes) {
  if (!block.data)
    return Failure::success();
  if (block.bytes < bytes)
    return Failure::invalidArgument("expected a workspace of at least " + std::to_string(bytes) +
                                    " bytes, found " + std::to_string(block.bytes));
  if (uintptr_t rest = reinterpret_cast<uintptr_t>(block.data) % workspaceAlignment)
    return Failure::invalidArgument("expected a workspace at a multiple of " +
                                    std::to_string(workspaceAlignment) +
                                    " bytes, found an address that is " + std::to_string(rest) +
                                    " modulo " + std::to_string(workspaceAlignment));
  return Failure::success();
}

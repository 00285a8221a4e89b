// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What holds of every well formed program. A program may come from a file, so every number and
// index is checked here once; launches rely on it.
#include "attnc/Runtime/Program.h"
#include <cstdint>
#include <set>

using namespace attnc;
namespace {
Failure wrong(const char *what) { return Failure(what); }

/// Checks a program.
class ProgramChecker {
public:
  explicit ProgramChecker(const Program &program)
      : program(program), paramKinds(kindsOfParams(program.signature)) {}

  Failure run() {
    if (program.signature.name.empty())
      return wrong("it has no name");
    if (program.launches.empty())
      return wrong("it launches no kernel");
    if (!hasUniqueNames())
      return wrong("two tensors, parameters or index spaces of one name");
    for (size_t i = 0; i < program.numTensors(); ++i)
      if (Failure failure = checkTensor(i))
        return failure;
    for (const SpaceDecl &space : program.signature.spaces)
      if (!isWhole(space.extent) || (!space.stride.empty() && !isWhole(space.stride)))
        return wrong("the extent or stride of an index space");
    for (const WorkspaceTensor &tensor : program.workspaces) {
      if (tensor.axes.size() > maxRank)
        return wrong("a workspace tensor of too many axes");
      if (!tensor.first.empty() && tensor.first.size() != tensor.axes.size())
        return wrong("the first indices of a workspace tensor");
    }
    if (Failure failure = checkLoops())
      return failure;
    for (const SizeFormula &scalar : program.scalars)
      if (std::optional<NumberKind> kind = kindOf(scalar); !kind || *kind == NumberKind::Condition)
        return wrong("a scalar");
    for (const Requirement &requirement : program.requirements)
      if (!isWhole(requirement.number))
        return wrong("a requirement");
    for (size_t i = 0; i < program.launches.size(); ++i) {
      const ChunkLoop *loop = nullptr;
      SizeRange chunk = chunkSizesAt(i, &loop);
      if (Failure failure = checkLaunch(program.launches[i], chunk))
        return failure;
    }
    return checkWorkspaces();
  }

private:
  /// More axes than any tensor has.
  static constexpr size_t maxRank = 32;

  bool hasUniqueNames() const {
    std::set<std::string> tensors, params, spaces, declared;
    for (size_t i = 0; i < program.numTensors(); ++i)
      if (!tensors.insert(program.tensor(i).name).second)
        return false;
    for (const WorkspaceTensor &tensor : program.workspaces)
      if (!tensors.insert(tensor.name).second)
        return false;
    for (const ParamDecl &param : program.signature.params)
      if (!params.insert(param.name).second)
        return false;
    for (const std::string &space : program.signature.spaceNames)
      if (!spaces.insert(space).second)
        return false;
    for (const SpaceDecl &space : program.signature.spaces)
      if (!declared.insert(space.name).second)
        return false;
    return true;
  }

  Failure checkTensor(size_t index) const {
    const TensorDecl &tensor = program.tensor(index);
    int64_t alignment = tensor.rowAlignment;
    if (!tensor.dtype || tensor.axes.size() > maxRank)
      return wrong("a tensor without a dtype, or of too many axes");
    if (alignment < 1 || alignment > 4096 || (alignment & (alignment - 1)) != 0)
      return wrong("the row alignment of a tensor");
    for (const AxisDecl &axis : tensor.axes)
      if (axis.space.empty() && (axis.size < 0 || axis.size > INT32_MAX))
        return wrong("the size of an axis of a tensor");
    if (tensor.mayAlias.empty())
      return Failure::success();
    for (const TensorDecl &input : program.signature.inputs)
      if (program.isOutput(index) && input.name == tensor.mayAlias && input.dtype == tensor.dtype &&
          input.axes.size() == tensor.axes.size())
        return Failure::success();
    return wrong("an alias that is no input, or another type than its output");
  }

  /// Sizes behind those of the spaces: the numbers of a chunk.
  struct SizeRange {
    size_t begin = 0, end = 0;
    bool contains(size_t i) const { return begin <= i && i < end; }
  };

  std::optional<NumberKind> kindOf(const SizeFormula &formula) const {
    return attnc::kindOf(formula, program.signature.spaceNames.size(), paramKinds);
  }
  bool isWhole(const SizeFormula &formula) const { return kindOf(formula) == NumberKind::Whole; }
  /// The same where the numbers of a chunk are known.
  bool isWhole(const SizeFormula &formula, SizeRange chunk) const {
    for (const SizeStep &step : formula)
      if (step.op == SizeStep::Op::Size && (step.value < 0 || !isSize(step.value, chunk)))
        return false;
    return attnc::kindOf(formula, program.numSizes(), paramKinds) == NumberKind::Whole;
  }
  bool isSize(size_t index, SizeRange chunk) const {
    return index < program.signature.spaceNames.size() || chunk.contains(index);
  }

  /// What launch `index` may refer to, and in `loop` the loop that it is in.
  SizeRange chunkSizesAt(size_t index, const ChunkLoop **loop) const {
    size_t base = program.signature.spaceNames.size();
    for (const ChunkLoop &each : program.loops) {
      size_t first = each.firstLaunch, end = base + 2 * each.axes.size();
      if (first <= index && index < first + each.numLaunches) {
        *loop = &each;
        return {base, end};
      }
      base = end;
    }
    return {};
  }

  Failure checkLoops() const {
    size_t next = 0;
    for (const ChunkLoop &loop : program.loops) {
      size_t first = loop.firstLaunch;
      if (loop.firstLaunch < 0 || loop.numLaunches < 1 || first < next || loop.axes.empty() ||
          loop.axes.size() > maxRank)
        return wrong("a loop of chunks");
      next = first + loop.numLaunches;
      if (next > program.launches.size())
        return wrong("a loop of launches that are not there");
      for (const ChunkAxis &axis : loop.axes)
        if (!isWhole(axis.size) || axis.step < 1 || axis.step > INT32_MAX)
          return wrong("the axis of a loop of chunks");
    }
    return Failure::success();
  }

  /// A tensor that exists chunk by chunk is one loop's.
  Failure checkWorkspaces() const {
    std::vector<const ChunkLoop *> users(program.workspaces.size());
    std::vector<bool> isUsed(program.workspaces.size());
    for (size_t i = 0; i < program.launches.size(); ++i) {
      const ChunkLoop *loop = nullptr;
      SizeRange chunk = chunkSizesAt(i, &loop);
      for (const KernelArg &arg : program.launches[i].args) {
        if (arg.kind != KernelArg::Kind::WorkspacePointer)
          continue;
        const WorkspaceTensor &tensor = program.workspaces[arg.index];
        if (!tensor.first.empty() && (!loop || (isUsed[arg.index] && users[arg.index] != loop)))
          return wrong("a workspace tensor of a chunk that a launch outside of its loop has");
        users[arg.index] = loop;
        isUsed[arg.index] = true;
        SizeRange known = tensor.first.empty() ? SizeRange() : chunk;
        for (const std::vector<SizeFormula> *formulas : {&tensor.axes, &tensor.first})
          for (const SizeFormula &formula : *formulas)
            if (!isWhole(formula, known))
              return wrong("the size of a workspace tensor");
      }
    }
    for (size_t i = 0; i < program.workspaces.size(); ++i)
      if (!isUsed[i])
        for (const SizeFormula &axis : program.workspaces[i].axes)
          if (!isWhole(axis))
            return wrong("the size of a workspace tensor");
    return Failure::success();
  }

  bool isArgument(const KernelArg &arg, SizeRange chunk) const {
    using Kind = KernelArg::Kind;
    auto below = [](int32_t i, size_t count) { return i >= 0 && static_cast<size_t>(i) < count; };
    switch (arg.kind) {
    case Kind::Pointer:
      return below(arg.index, program.numTensors());
    case Kind::Stride:
      return below(arg.index, program.numTensors()) &&
             below(arg.dim, program.tensor(arg.index).axes.size());
    case Kind::WorkspacePointer:
      return below(arg.index, program.workspaces.size());
    case Kind::WorkspaceStride:
      return below(arg.index, program.workspaces.size()) &&
             below(arg.dim, program.workspaces[arg.index].axes.size());
    case Kind::Size:
      return arg.index >= 0 && isSize(arg.index, chunk);
    case Kind::Param:
      return below(arg.index, program.signature.params.size());
    case Kind::Scalar:
      return below(arg.index, program.scalars.size());
    case Kind::GridStart:
      return below(arg.dim, 3);
    case Kind::Extent:
      return below(arg.index, program.numTensors()) &&
             below(arg.dim, program.tensor(arg.index).axes.size());
    case Kind::TensorMap:
    case Kind::HasMap:
      return true; // see checkMaps
    }
    return false;
  }

  /// A map is of a tensor that the kernel has as well, and has behind it what it is made with.
  Failure checkMaps(const KernelLaunch &launch) const {
    using Kind = KernelArg::Kind;
    auto isAt = [&](size_t i, Kind kind, int32_t index, int32_t dim) {
      return i < launch.args.size() && launch.args[i].kind == kind &&
             launch.args[i].index == index && launch.args[i].dim == dim;
    };
    size_t maps = 0, flags = 0;
    for (size_t i = 0; i < launch.args.size(); ++i) {
      const KernelArg &arg = launch.args[i];
      flags += arg.kind == Kind::HasMap;
      if (arg.kind != Kind::TensorMap)
        continue;
      ++maps;
      if (arg.index < 0 || static_cast<size_t>(arg.index) >= program.numTensors() || arg.dim < 0 ||
          static_cast<size_t>(arg.dim) >= launch.boxes.size())
        return wrong("a tensor map of nothing that is there");
      auto rank = static_cast<int32_t>(program.tensor(arg.index).axes.size());
      const TensorBox &box = launch.boxes[arg.dim];
      if (rank < 2 || rank > 5 || box.rowDim < 0 || box.rowDim >= rank - 1 || box.rows < 1 ||
          box.rows > 256 || box.columns < 1 || box.columns > 256)
        return wrong("the box of a tensor map");
      bool isWhole = isAt(i + 1, Kind::HasMap, arg.index, arg.dim);
      for (int32_t dim = 0; dim < rank; ++dim)
        isWhole &= isAt(i + 2 + dim, Kind::Extent, arg.index, dim);
      bool hasView = false;
      for (size_t j = 0; j < launch.args.size(); ++j) {
        bool isView = isAt(j, Kind::Pointer, arg.index, 0);
        for (int32_t dim = 0; dim < rank; ++dim)
          isView = isView && isAt(j + 1 + dim, Kind::Stride, arg.index, dim);
        hasView |= isView;
      }
      if (!isWhole || !hasView)
        return wrong("a tensor map without what it is made from");
    }
    return maps == flags ? Failure::success() : wrong("a mark of no tensor map");
  }

  Failure checkLaunch(const KernelLaunch &launch, SizeRange chunk) const {
    if (launch.symbol.empty())
      return wrong("a kernel without a name");
    if (launch.numWarps < 1 || launch.numWarps > 32 || launch.sharedBytes < 0 ||
        launch.sharedBytes > INT32_MAX || launch.scratchBytes < 0 ||
        launch.scratchBytes > int64_t(1) << 60)
      return wrong("a number is out of range");
    for (const SizeFormula &points : launch.grid)
      if (!isWhole(points, chunk))
        return wrong("the grid");
    for (const KernelArg &arg : launch.args)
      if (!isArgument(arg, chunk))
        return wrong("an argument of nothing that is there");
    return checkMaps(launch);
  }

  const Program &program;
  std::vector<NumberKind> paramKinds;
};
} // namespace

Failure attnc::checkProgram(const Program &program) { return ProgramChecker(program).run(); }

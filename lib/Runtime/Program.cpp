// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Formulas over sizes, and what holds of every well formed program. A program may come from a file,
// so every number and index is checked here once; launches rely on it.
#include "attnc/Runtime/Program.h"
#include <algorithm>
#include <cstdint>
#include <set>

using namespace attnc;
using Op = SizeStep::Op;

/// Quotient rounded down, or up, of a by b >= 1.
static int64_t floorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static int64_t ceilDiv(int64_t a, int64_t b) { return a / b + (a % b > 0); }

/// Applies an operation of two operands; no value if the result is not defined.
static std::optional<int64_t> apply(Op op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
  case Op::Number:
  case Op::Size:
    return std::nullopt; // no operations
  case Op::Add:
    return __builtin_add_overflow(a, b, &r) ? std::nullopt : std::optional(r);
  case Op::Sub:
    return __builtin_sub_overflow(a, b, &r) ? std::nullopt : std::optional(r);
  case Op::Mul:
    return __builtin_mul_overflow(a, b, &r) ? std::nullopt : std::optional(r);
  case Op::FloorDiv:
    return b < 1 ? std::nullopt : std::optional(floorDiv(a, b));
  case Op::CeilDiv:
    return b < 1 ? std::nullopt : std::optional(ceilDiv(a, b));
  case Op::Min:
    return std::min(a, b);
  case Op::Max:
    return std::max(a, b);
  }
  return std::nullopt;
}

std::optional<int64_t> attnc::evaluate(const SizeFormula &formula,
                                       const std::vector<int64_t> &sizes) {
  std::array<int64_t, maxFormulaSteps> stack;
  size_t depth = 0;
  for (const SizeStep &step : formula) {
    if (step.op == Op::Number || step.op == Op::Size) {
      stack[depth++] = step.op == Op::Number ? step.value : sizes[step.value];
      continue;
    }
    std::optional<int64_t> result = apply(step.op, stack[depth - 2], stack[depth - 1]);
    if (!result)
      return std::nullopt;
    stack[--depth - 1] = *result;
  }
  return stack[0];
}

namespace {
/// Checks a program; every function returns an empty string, or what is wrong.
class ProgramChecker {
public:
  explicit ProgramChecker(const Program &program) : program(program) {}

  std::string run() {
    if (program.signature.name.empty())
      return "it has no name";
    if (program.launches.empty())
      return "it launches no kernel";
    if (!hasUniqueNames())
      return "two tensors, parameters or index spaces of one name";
    for (size_t i = 0; i < program.numTensors(); ++i)
      if (std::string wrong = checkTensor(i); !wrong.empty())
        return wrong;
    for (const WorkspaceTensor &tensor : program.workspaces) {
      if (tensor.axes.size() > maxRank)
        return "a workspace tensor of too many axes";
      for (const SizeFormula &axis : tensor.axes)
        if (!isFormula(axis))
          return "the size of a workspace tensor";
    }
    for (const KernelLaunch &launch : program.launches)
      if (std::string wrong = checkLaunch(launch); !wrong.empty())
        return wrong;
    return "";
  }

private:
  /// More axes than any tensor has.
  static constexpr size_t maxRank = 32;

  bool hasUniqueNames() const {
    std::set<std::string> tensors, params, spaces;
    for (size_t i = 0; i < program.numTensors(); ++i)
      if (!tensors.insert(program.tensor(i).name).second)
        return false;
    for (const WorkspaceTensor &tensor : program.workspaces)
      if (!tensors.insert(tensor.name).second)
        return false;
    for (const ParamDecl &param : program.signature.params)
      if (!params.insert(param.name).second)
        return false;
    for (const std::string &space : program.spaces)
      if (!spaces.insert(space).second)
        return false;
    return true;
  }

  std::string checkTensor(size_t index) const {
    const TensorDecl &tensor = program.tensor(index);
    int64_t alignment = tensor.rowAlignment;
    if (!tensor.dtype || tensor.axes.size() > maxRank)
      return "a tensor without a dtype, or of too many axes";
    if (alignment < 1 || alignment > 4096 || (alignment & (alignment - 1)) != 0)
      return "the row alignment of a tensor";
    for (const AxisDecl &axis : tensor.axes)
      if (axis.space.empty() && (axis.size < 0 || axis.size > INT32_MAX))
        return "the size of an axis of a tensor";
    if (tensor.mayAlias.empty())
      return "";
    for (const TensorDecl &input : program.signature.inputs)
      if (program.isOutput(index) && input.name == tensor.mayAlias && input.dtype == tensor.dtype &&
          input.axes.size() == tensor.axes.size())
        return "";
    return "an alias that is no input, or another type than its output";
  }

  bool isFormula(const SizeFormula &formula) const {
    size_t depth = 0;
    for (const SizeStep &step : formula) {
      bool isOperand = step.op == Op::Number || step.op == Op::Size;
      if (step.op == Op::Size &&
          (step.value < 0 || static_cast<size_t>(step.value) >= program.spaces.size()))
        return false;
      if (!isOperand && depth < 2)
        return false;
      depth += isOperand ? 1 : -1;
    }
    return depth == 1 && formula.size() <= maxFormulaSteps;
  }

  bool isArgument(const KernelArg &arg) const {
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
      return below(arg.index, program.spaces.size());
    case Kind::Param:
      return below(arg.index, program.signature.params.size());
    case Kind::GridStart:
      return below(arg.dim, 3);
    }
    return false;
  }

  std::string checkLaunch(const KernelLaunch &launch) const {
    if (launch.symbol.empty())
      return "a kernel without a name";
    if (launch.numWarps < 1 || launch.numWarps > 32 || launch.sharedBytes < 0 ||
        launch.sharedBytes > INT32_MAX || launch.scratchBytes < 0 ||
        launch.scratchBytes > int64_t(1) << 60)
      return "a number is out of range";
    for (const SizeFormula &points : launch.grid)
      if (!isFormula(points))
        return "the grid";
    for (const KernelArg &arg : launch.args)
      if (!isArgument(arg))
        return "an argument of nothing that is there";
    return "";
  }

  const Program &program;
};
} // namespace

std::string attnc::checkProgram(const Program &program) { return ProgramChecker(program).run(); }

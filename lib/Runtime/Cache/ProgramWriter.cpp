// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The JSON form of a program, as it is written. lib/Runtime/ProgramReader.cpp reads it.
#include "attnc/Runtime/CodeCache.h"
#include "attnc/Support/Checks.h"
#include "attnc/Support/Element.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace attnc;
namespace json = llvm::json;

/// Whole numbers as numbers, reals, sizes and parameters as {"size": index}, operations by name.
static json::Array textOf(const SizeFormula &formula) {
  json::Array steps;
  for (const SizeStep &step : formula) {
    const char *name = sizeStepNames[static_cast<int>(step.op)];
    if (step.op == SizeStep::Op::Number)
      steps.push_back(step.value);
    else if (step.op == SizeStep::Op::Real)
      steps.push_back(json::Object{{name, numberText(step.real)}}); // JSON has no infinities
    else if (step.op == SizeStep::Op::Size || step.op == SizeStep::Op::Param)
      steps.push_back(json::Object{{name, step.value}});
    else
      steps.push_back(name);
  }
  return steps;
}

static json::Object textOf(const SpaceDecl &space) {
  return json::Object{{"name", space.name},
                      {"parent", space.parent},
                      {"extent", textOf(space.extent)},
                      {"stride", textOf(space.stride)},
                      {"full", space.isFull},
                      {"optional", space.isOptional}};
}

static json::Object textOf(const TensorDecl &tensor) {
  json::Array axes;
  for (const AxisDecl &axis : tensor.axes)
    axes.push_back(axis.space.empty() ? json::Value(axis.size) : json::Value(axis.space));
  return json::Object{{"name", tensor.name},
                      {"dtype", dtypeName(*tensor.dtype)},
                      {"axes", std::move(axes)},
                      {"unit_last_stride", tensor.unitLastStride},
                      {"row_alignment", tensor.rowAlignment},
                      {"may_alias", tensor.mayAlias}};
}

static json::Object textOf(const ParamDecl &param) {
  json::Object object{{"name", param.name}, {"integer", param.isInteger}};
  if (param.hasDefault)
    object["default"] = numberText(param.defaultValue); // JSON has no infinities
  return object;
}

static json::Object textOf(const WorkspaceTensor &tensor) {
  json::Array axes, first;
  for (const SizeFormula &axis : tensor.axes)
    axes.push_back(textOf(axis));
  for (const SizeFormula &index : tensor.first)
    first.push_back(textOf(index));
  return json::Object{{"name", tensor.name},
                      {"dtype", dtypeName(tensor.dtype)},
                      {"axes", std::move(axes)},
                      {"first", std::move(first)}};
}

static json::Object textOf(const ChunkAxis &axis) {
  return json::Object{{"size", textOf(axis.size)}, {"step", axis.step}};
}

static json::Object textOf(const Requirement &requirement) {
  return json::Object{{"number", textOf(requirement.number)}, {"message", requirement.message}};
}

static json::Object textOf(const KernelLaunch &launch) {
  json::Array args, boxes, grid;
  for (const KernelArg &arg : launch.args)
    args.push_back(json::Object{{"kind", kernelArgNames[static_cast<int>(arg.kind)]},
                                {"index", arg.index},
                                {"dim", arg.dim}});
  for (const TensorBox &box : launch.boxes)
    boxes.push_back(
        json::Object{{"row_dim", box.rowDim}, {"rows", box.rows}, {"columns", box.columns}});
  for (const SizeFormula &points : launch.grid)
    grid.push_back(textOf(points));
  return json::Object{{"symbol", launch.symbol},
                      {"args", std::move(args)},
                      {"boxes", std::move(boxes)},
                      {"grid", std::move(grid)},
                      {"num_warps", launch.numWarps},
                      {"shared_bytes", launch.sharedBytes},
                      {"scratch_bytes", launch.scratchBytes}};
}

static json::Object textOf(const ChunkLoop &loop);

template <typename T> static json::Array listOf(const std::vector<T> &items) {
  json::Array array;
  for (const T &item : items)
    array.push_back(textOf(item));
  return array;
}

static json::Object textOf(const ChunkLoop &loop) {
  return json::Object{{"first_launch", loop.firstLaunch},
                      {"num_launches", loop.numLaunches},
                      {"axes", listOf(loop.axes)}};
}

std::string attnc::serializeProgram(const Program &program) {
  json::Object object{{"name", program.signature.name},
                      {"params", listOf(program.signature.params)},
                      {"inputs", listOf(program.signature.inputs)},
                      {"outputs", listOf(program.signature.outputs)},
                      {"unused_inputs", json::Array(program.unusedInputs)},
                      {"spaces", json::Array(program.signature.spaceNames)},
                      {"declared_spaces", listOf(program.signature.spaces)},
                      {"workspaces", listOf(program.workspaces)},
                      {"scalars", listOf(program.scalars)},
                      {"requirements", listOf(program.requirements)},
                      {"launches", listOf(program.launches)},
                      {"loops", listOf(program.loops)}};
  return llvm::formatv("{0}", json::Value(std::move(object)));
}

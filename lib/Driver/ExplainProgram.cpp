// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attnc explain: kernels in the order of their launches. The first kernel that has a result of a
// stage among its arguments computes it, and those behind it read it. Of kernels that are
// alternatives for one stage, all but one have a grid without programs and do nothing.
#include "ExplainProgram.h"
#include "attnc/Runtime/Failures.h"
#include "attnc/Runtime/Workspace.h"
#include "attnc/Support/MemoryLimit.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <set>

using namespace attnc;
using namespace attnc::driver;
using llvm::formatv;
namespace json = llvm::json;

namespace {
/// Tensors that a kernel takes, by the names of the spec.
struct Traffic {
  std::vector<std::string> reads, writes;
};
} // namespace

/// What each launch reads and writes; nothing, if it is not `launched`.
static std::vector<Traffic> trafficOf(const Program &program, llvm::ArrayRef<bool> launched) {
  std::vector<Traffic> all;
  std::set<std::string> written;
  for (auto [launch, runs] : llvm::zip_equal(program.launches, launched)) {
    Traffic &traffic = all.emplace_back();
    if (!runs)
      continue;
    for (const KernelArg &arg : launch.args) {
      bool isWorkspace = arg.kind == KernelArg::Kind::WorkspacePointer;
      if (!isWorkspace && arg.kind != KernelArg::Kind::Pointer)
        continue;
      const std::string &name =
          isWorkspace ? program.workspaces[arg.index].name : program.tensor(arg.index).name;
      bool isInput = !isWorkspace && !program.isOutput(arg.index);
      (isInput || written.count(name) ? traffic.reads : traffic.writes).push_back(name);
    }
    written.insert(traffic.writes.begin(), traffic.writes.end());
  }
  return all;
}

/// Sizes of the program's spaces and its parameters, as `bound` has them. Rewrites declare further
/// spaces, which follow from these.
static llvm::Expected<ProgramSizes> sizesOf(const Program &program, const BoundSpec &bound) {
  std::vector<double> params;
  for (const ParamDecl &param : program.signature.params) {
    auto found = bound.params.find(param.name);
    params.push_back(found == bound.params.end() ? 0 : found->second);
  }
  BoundSizes all = bound.sizes;
  if (Failure failure = sizeDeclaredSpaces(program.signature, params, all))
    return toError(std::move(failure));
  ProgramSizes sizes;
  for (const std::string &space : program.signature.spaceNames)
    sizes.spaces.push_back(all.spaces[space]);
  sizes.params = valuesOfParams(program.signature, params);
  return sizes;
}

/// What `size` is the size of, or a chunk of: an index space's name; empty if it is none's.
static std::string spaceOf(const Program &program, const SizeFormula &size) {
  if (size.size() != 1 || size[0].op != SizeStep::Op::Size)
    return "";
  auto index = static_cast<size_t>(size[0].value);
  size_t base = program.signature.spaceNames.size();
  if (index < base)
    return program.signature.spaceNames[index];
  for (const ChunkLoop &loop : program.loops) {
    if (index < base + 2 * loop.axes.size())
      return spaceOf(program, loop.axes[(index - base) / 2].size);
    base += 2 * loop.axes.size();
  }
  return "";
}

/// The tensors that have elements at these sizes.
static llvm::Expected<json::Array> describeWorkspace(const Program &program,
                                                     const ProgramSizes &sizes) {
  json::Array tensors;
  for (const WorkspaceTensor &tensor : program.workspaces) {
    json::Array axes, shape;
    int64_t bytes = dtypeSize(tensor.dtype);
    for (const SizeFormula &axis : tensor.axes) {
      std::optional<int64_t> size = evaluate(axis, sizes.spaces, sizes.params);
      if (!size || *size < 0 || __builtin_mul_overflow(bytes, *size, &bytes))
        return llvm::createStringError("workspace tensor `" + tensor.name +
                                       "` is too large for these sizes");
      std::string space = spaceOf(program, axis);
      axes.push_back(space.empty() ? std::to_string(*size) : space);
      shape.push_back(*size);
    }
    if (bytes != 0)
      tensors.push_back(json::Object{{"name", tensor.name},
                                     {"dtype", dtypeName(tensor.dtype)},
                                     {"axes", std::move(axes)},
                                     {"shape", std::move(shape)},
                                     {"bytes", bytes}});
  }
  return std::move(tensors);
}

/// The grid of each launch.
static llvm::Expected<std::vector<std::array<int64_t, 3>>> gridsOf(const Program &program,
                                                                   const ProgramSizes &sizes) {
  std::vector<std::array<int64_t, 3>> grids;
  for (const KernelLaunch &launch : program.launches) {
    std::array<int64_t, 3> &grid = grids.emplace_back();
    for (auto [points, count] : llvm::zip_equal(launch.grid, grid)) {
      std::optional<int64_t> value = evaluate(points, sizes.spaces, sizes.params);
      if (!value)
        return llvm::createStringError("the grid of kernel `" + launch.symbol +
                                       "` is too large for these sizes");
      count = *value;
    }
  }
  return grids;
}

static llvm::Expected<json::Array> describeKernels(const Program &program,
                                                   const ProgramSizes &sizes) {
  llvm::Expected<std::vector<std::array<int64_t, 3>>> grids = gridsOf(program, sizes);
  if (!grids)
    return grids.takeError();
  llvm::SmallVector<bool> launched;
  for (const std::array<int64_t, 3> &grid : *grids)
    launched.push_back(!llvm::is_contained(grid, 0));
  json::Array kernels;
  std::vector<Traffic> traffic = trafficOf(program, launched);
  for (auto [launch, tensors, grid, runs] :
       llvm::zip_equal(program.launches, traffic, *grids, launched))
    kernels.push_back(json::Object{{"name", launch.symbol},
                                   {"launched", runs},
                                   {"reads", json::Array(tensors.reads)},
                                   {"writes", json::Array(tensors.writes)},
                                   {"grid", json::Array(grid)},
                                   {"warps", launch.numWarps},
                                   {"shared_bytes", launch.sharedBytes}});
  return std::move(kernels);
}

/// The loops, with numbers of kernels from 1 on. `sizes` are those of a layout.
static json::Array describeLoops(const Program &program, const ProgramSizes &sizes) {
  json::Array loops;
  size_t base = program.signature.spaceNames.size();
  for (const ChunkLoop &loop : program.loops) {
    json::Array axes;
    for (auto [i, axis] : llvm::enumerate(loop.axes))
      axes.push_back(json::Object{{"space", spaceOf(program, axis.size)},
                                  {"size", evaluate(axis.size, sizes.spaces, sizes.params)},
                                  {"chunk", sizes.spaces[base + 2 * i + 1]}});
    base += 2 * loop.axes.size();
    loops.push_back(json::Object{{"first_kernel", loop.firstLaunch + 1},
                                 {"last_kernel", loop.firstLaunch + loop.numLaunches},
                                 {"axes", std::move(axes)}});
  }
  return loops;
}

/// Bytes of inputs and outputs.
static int64_t tensorBytes(const BoundSpec &bound) {
  int64_t bytes = 0;
  for (auto *decls : {&bound.signature.inputs, &bound.signature.outputs})
    for (const TensorDecl &decl : *decls)
      bytes += static_cast<int64_t>(bytesOf(
          shapeOf(decl, bound.sizes), dtypeSize(decl.dtype.value_or(bound.sizes.operandDType))));
  return bytes;
}

llvm::Expected<json::Object> driver::describeProgram(const Program &program,
                                                     const BoundSpec &bound) {
  llvm::Expected<ProgramSizes> sizes = sizesOf(program, bound);
  if (!sizes)
    return sizes.takeError();
  Outcome<WorkspaceLayout> layout = layoutWorkspace(program, *sizes);
  if (!layout)
    return toError(layout.takeError());
  *sizes = layout->sizes; // the first chunk of each loop
  llvm::Expected<json::Array> workspace = describeWorkspace(program, *sizes);
  if (!workspace)
    return workspace.takeError();
  llvm::Expected<json::Array> kernels = describeKernels(program, *sizes);
  if (!kernels)
    return kernels.takeError();
  return json::Object{{"kernels", std::move(*kernels)},
                      {"loops", describeLoops(program, layout->sizes)},
                      {"workspace", std::move(*workspace)},
                      {"workspace_bytes", layout->bytes},
                      {"tensor_bytes", tensorBytes(bound)}};
}

/// The items of a list of numbers or texts, with `separator` between.
static std::string joined(const json::Array &items, llvm::StringRef separator) {
  std::string text;
  for (const json::Value &item : items) {
    if (!text.empty())
      text += separator;
    if (std::optional<llvm::StringRef> name = item.getAsString())
      text += *name;
    else
      text += std::to_string(item.getAsInteger().value_or(0));
  }
  return text.empty() ? "nothing" : text;
}

llvm::Error driver::explainProgram(const Program &program, const BoundSpec &bound, bool isGPU) {
  llvm::Expected<json::Object> all = describeProgram(program, bound);
  if (!all)
    return all.takeError();
  auto line = [](llvm::StringRef where, llvm::StringRef what, const std::string &text) {
    llvm::outs() << formatv("{0,-9} {1,-11} {2}\n", where, what, text);
  };
  int number = 0;
  for (const json::Value &value : *all->getArray("kernels")) {
    const json::Object &kernel = *value.getAsObject();
    if (!*kernel.getBoolean("launched")) {
      line("kernel", std::to_string(++number),
           formatv("{0}: not launched at these sizes", *kernel.getString("name")));
      continue;
    }
    line("kernel", std::to_string(++number),
         formatv("{0}: reads {1}; writes {2}", *kernel.getString("name"),
                 joined(*kernel.getArray("reads"), ", "),
                 joined(*kernel.getArray("writes"), ", ")));
    std::string threads;
    if (isGPU)
      threads = formatv(", {0} warps, {1} bytes of shared memory", *kernel.getInteger("warps"),
                        *kernel.getInteger("shared_bytes"));
    line("", "", "grid " + joined(*kernel.getArray("grid"), " x ") + threads);
  }
  for (const json::Value &value : *all->getArray("loops")) {
    const json::Object &loop = *value.getAsObject();
    std::string chunk;
    for (const json::Value &each : *loop.getArray("axes")) {
      const json::Object &axis = *each.getAsObject();
      int64_t part = *axis.getInteger("chunk"), size = axis.getInteger("size").value_or(0);
      if (part < size)
        chunk += formatv("{0}{1} of {2} {3}", chunk.empty() ? "" : ", ", part, size,
                         *axis.getString("space"));
    }
    if (!chunk.empty())
      line("loop", "",
           formatv("kernels {0} to {1} run for {2} at a time, so that workspace holds no more",
                   *loop.getInteger("first_kernel"), *loop.getInteger("last_kernel"), chunk));
  }
  for (const json::Value &value : *all->getArray("workspace")) {
    const json::Object &tensor = *value.getAsObject();
    line("workspace", "",
         formatv("{0}[{1}] {2}: {3}, {4} bytes", *tensor.getString("name"),
                 joined(*tensor.getArray("axes"), ", "), *tensor.getString("dtype"),
                 joined(*tensor.getArray("shape"), " x "), *tensor.getInteger("bytes")));
  }
  if (!all->getArray("workspace")->empty())
    line("", "",
         formatv("{0} bytes in all: tensors that never live together share memory",
                 *all->getInteger("workspace_bytes")));
  return llvm::Error::success();
}

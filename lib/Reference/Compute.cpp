// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.compute: the region at each index of the result, a run of the longest axis at a time.
#include "Stage.h"

using namespace attnc;
using namespace attnc::reference;

namespace {
class ComputeStage : public Stage {
public:
  ComputeStage(attn::ComputeOp op, const Environment &environment)
      : op(op), environment(environment), shape(environment.shapeOf(op.getResult().getType())) {
    for (size_t i = 1; i < shape.size(); ++i)
      if (shape[i] > shape[laneAxis])
        laneAxis = i;
  }

  llvm::Error prepare() {
    llvm::SmallVector<unsigned> varying;
    if (!shape.empty())
      varying.push_back(laneAxis);
    llvm::Expected<Program> compiled = Program::compile(op.getBody(), environment, varying);
    if (!compiled)
      return compiled.takeError();
    program = std::move(*compiled);
    return llvm::Error::success();
  }

  void run(Memory &memory) const override {
    Tensor64 &result = memory.allocate(op.getResult(), shape, environment.demand, op);
    llvm::SmallVector<llvm::StringRef> names;
    for (unsigned axis = 0; axis < shape.size(); ++axis)
      names.push_back(op.getResult().getType().getAxisName(axis));
    std::optional<size_t> rowAxis = environment.demand.axisOf(op, names);
    const std::vector<int64_t> &wanted = environment.demand.rows();
    bool areSomeLanes = rowAxis == laneAxis;
    int64_t all = shape.empty() ? 1 : shape[laneAxis];
    int64_t length = areSomeLanes ? static_cast<int64_t>(wanted.size()) : all;
    auto indexOf = [&](int64_t lane) {
      return areSomeLanes ? wanted[static_cast<size_t>(lane)] : lane;
    };
    int64_t stride = shape.empty() ? 1 : strideOf(shape, laneAxis);
    int64_t rows = length == 0 ? 0 : elementsOf(shape) / all;
    parallelFor(rows, environment.numThreads, [&](int64_t first, int64_t last) {
      Program::Frame frame = program->makeFrame(
          memory, static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, length)));
      for (int64_t row = first; row < last; ++row) {
        int64_t rest = row, offset = 0;
        bool isWanted = true;
        for (size_t axis = shape.size(); axis-- > 0;) {
          if (axis == laneAxis)
            continue;
          isWanted &= axis != rowAxis || environment.demand.wants(op, rest % shape[axis]);
          *program->argument(frame, axis) = static_cast<double>(rest % shape[axis]);
          offset += rest % shape[axis] * strideOf(shape, axis);
          rest /= shape[axis];
        }
        for (int64_t start = 0; isWanted && start < length; start += Program::maxLanes) {
          unsigned lanes =
              static_cast<unsigned>(std::min<int64_t>(Program::maxLanes, length - start));
          for (unsigned lane = 0; !shape.empty() && lane < lanes; ++lane)
            program->argument(frame, laneAxis)[lane] = static_cast<double>(indexOf(start + lane));
          program->run(frame, lanes);
          const double *values = program->result(frame);
          for (unsigned lane = 0; lane < lanes; ++lane)
            result.data[static_cast<size_t>(offset + indexOf(start + lane) * stride)] =
                values[lane * program->resultStep()];
        }
      }
    });
  }

private:
  mutable attn::ComputeOp op; // a handle; accessors are not const
  const Environment &environment;
  std::vector<int64_t> shape;
  size_t laneAxis = 0;
  std::optional<Program> program;
};
} // namespace

StageResult attnc::reference::makeCompute(attn::ComputeOp op, const Environment &environment) {
  auto stage = std::make_unique<ComputeStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}

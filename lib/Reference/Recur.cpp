// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.recur: the body step by step, batch entries in parallel.
#include "Stage.h"

#include <algorithm>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

namespace {
class RecurStage : public Stage {
public:
  RecurStage(attn::RecurOp op, const Environment &environment)
      : op(op), environment(environment), inner(environment) {
    inner.numThreads = 1;
    for (auto space : op.getBatch().getAsValueRange<StringAttr>())
      batch.push_back(environment.sizeOf(space));
  }

  llvm::Error prepare() {
    auto made = makeStages(op.getBody().front(), inner);
    if (!made)
      return made.takeError();
    stages = std::move(*made);
    if (!op.getEvery())
      return llvm::Error::success();
    llvm::Expected<Program> compiled = Program::compile(op.getEvery(), environment);
    if (!compiled)
      return compiled.takeError();
    llvm::Expected<int64_t> count = compiled->count("every");
    if (!count)
      return count.takeError();
    groupSize = *count;
    return llvm::Error::success();
  }

  void run(Memory &memory) const override {
    for (Value result : op.getResults())
      memory.allocate(result, environment.shapeOf(cast<attn::AttnTensorType>(result.getType())),
                      environment.demand, op);
    parallelFor(elementsOf(batch), environment.numThreads, [&](int64_t first, int64_t last) {
      Memory step(&memory);
      for (int64_t entry = first; entry < last; ++entry)
        if (isWanted(entry))
          runEntry(memory, step, entry);
    });
  }

private:
  bool isWanted(int64_t entry) const {
    auto names = llvm::to_vector(op.getBatch().getAsValueRange<StringAttr>());
    std::optional<size_t> rowAxis = environment.demand.axisOf(op, names);
    return !rowAxis ||
           environment.demand.wants(op, entry / strideOf(batch, *rowAxis) % batch[*rowAxis]);
  }
  void runEntry(Memory &memory, Memory &step, int64_t entry) const {
    std::vector<int64_t> indices(batch.size());
    for (size_t axis = batch.size(), rest = static_cast<size_t>(entry); axis-- > 0;) {
      indices[axis] = static_cast<int64_t>(rest) % batch[axis];
      rest /= static_cast<size_t>(batch[axis]);
      step.setScalar(op.getBody().getArgument(static_cast<unsigned>(axis)),
                     static_cast<double>(indices[axis]));
    }
    auto states = op.getStates();
    for (auto [init, state] : llvm::zip_equal(op.getInit(), states))
      initialize(memory.tensor(init), cast<attn::AttnTensorType>(init.getType()), indices,
                 cast<attn::AttnTensorType>(state.getType()), tensorOf(step, state));
    auto yielded = cast<attn::YieldOp>(op.getBody().front().getTerminator()).getValues();
    int64_t steps = environment.sizeOf(op.getTime());
    Value time = op.getBody().getArgument(static_cast<unsigned>(batch.size()));
    for (int64_t t = 0; t < steps; ++t) {
      step.setScalar(time, static_cast<double>(t));
      if (op.getEvery() && t % groupSize == 0)
        for (auto [state, start] : llvm::zip_equal(states, op.getGroupStarts()))
          tensorOf(step, start).data = step.tensor(state).data;
      for (const auto &stage : stages)
        stage->run(step);
      for (unsigned i = 0; i < op.getNumOutputs(); ++i)
        copyTo(memory, op.getResult(i), entry * steps + t, step.tensor(yielded[i]));
      // A state may be yielded as another one's new value, so all are read before one is written.
      std::vector<std::vector<double>> next;
      for (unsigned i = 0; i < states.size(); ++i)
        next.push_back(step.tensor(yielded[op.getNumOutputs() + i]).data);
      for (auto [state, data] : llvm::zip_equal(states, next))
        std::copy(data.begin(), data.end(), tensorOf(step, state).data.begin());
    }
    for (auto [i, state] : llvm::enumerate(states))
      copyTo(memory, op.getResult(op.getNumOutputs() + static_cast<unsigned>(i)), entry,
             step.tensor(state));
  }

  Tensor64 &tensorOf(Memory &step, Value value) const {
    return step.allocate(value, environment.shapeOf(cast<attn::AttnTensorType>(value.getType())));
  }

  static void copyTo(Memory &memory, Value result, int64_t index, const Tensor64 &slice) {
    Tensor64 &whole = const_cast<Tensor64 &>(memory.tensor(result));
    std::copy(slice.data.begin(), slice.data.end(),
              whole.data.begin() + index * static_cast<int64_t>(slice.data.size()));
  }

  /// state[axes] = init at the batch indices and the state's own.
  void initialize(const Tensor64 &init, attn::AttnTensorType from,
                  const std::vector<int64_t> &indices, attn::AttnTensorType to,
                  Tensor64 &state) const {
    int64_t count = elementsOf(state.shape);
    for (int64_t i = 0; i < count; ++i) {
      int64_t offset = 0;
      for (unsigned axis = 0; axis < from.getRank(); ++axis) {
        int64_t index = 0;
        for (auto [b, space] : llvm::enumerate(op.getBatch().getAsValueRange<StringAttr>()))
          if (space == from.getAxisName(axis))
            index = indices[b];
        for (unsigned own = 0; own < to.getRank(); ++own)
          if (to.getAxisName(own) == from.getAxisName(axis))
            index = i / strideOf(state.shape, own) % state.shape[own];
        offset += index * strideOf(init.shape, axis);
      }
      state.data[static_cast<size_t>(i)] = init.data[static_cast<size_t>(offset)];
    }
  }

  mutable attn::RecurOp op; // a handle; accessors are not const
  const Environment &environment;
  Environment inner;
  std::vector<int64_t> batch;
  std::vector<std::unique_ptr<Stage>> stages;
  int64_t groupSize = 1;
};
} // namespace

StageResult attnc::reference::makeRecur(attn::RecurOp op, const Environment &environment) {
  auto stage = std::make_unique<RecurStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}

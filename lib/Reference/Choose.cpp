// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.choose: both tensors are there; the sizes say which one it is.
#include "Stage.h"

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

namespace {
class ChooseStage : public Stage {
public:
  ChooseStage(attn::ChooseOp op, const Environment &environment)
      : op(op), environment(environment) {}

  void run(Memory &memory) const override {
    Value chosen = environment.sizeOf(op.getSpace()) ? op.getSome() : op.getNone();
    const Tensor64 &from = memory.tensor(chosen);
    memory.allocate(op.getResult(), from.shape).data = from.data;
  }

private:
  mutable attn::ChooseOp op; // a handle; accessors are not const
  const Environment &environment;
};
} // namespace

StageResult attnc::reference::makeChoose(attn::ChooseOp op, const Environment &environment) {
  return std::make_unique<ChooseStage>(op, environment);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A linear scan over the stages of a step, as for registers.
#include "StepBuffers.h"

using namespace mlir;
using namespace attnc;

/// The last stage of `body` that reads a result of `op`; null if none does.
static Operation *lastReader(Operation &op, Block &body) {
  Operation *last = nullptr;
  for (Operation *user : op.getUsers()) {
    Operation *stage = body.findAncestorOpInBlock(*user);
    if (stage != body.getTerminator() && (!last || last->isBeforeInBlock(stage)))
      last = stage;
  }
  return last;
}

std::optional<unsigned> attnc::outputKeeping(attn::RecurOp recur, Value tensor) {
  Operation *yield = recur.getBody().front().getTerminator();
  for (unsigned number = 0; number < recur.getNumOutputs(); ++number) {
    Value result = recur.getResult(number);
    bool isInMemory = !result.use_empty() && llvm::none_of(result.getUsers(), [](Operation *user) {
      return isa<attn::ReturnOp>(user);
    });
    if (yield->getOperand(number) == tensor && isInMemory)
      return number;
  }
  return std::nullopt;
}

StepBuffers attnc::assignStepBuffers(attn::RecurOp recur, bool fromOutputs) {
  StepBuffers buffers;
  Block &body = recur.getBody().front();
  llvm::DenseMap<Type, SmallVector<unsigned>> free;
  llvm::DenseMap<Operation *, SmallVector<unsigned>> freedBehind;
  for (Operation &op : body.without_terminator()) {
    if (op.getNumResults() == 1)
      if (auto type = dyn_cast<attn::AttnTensorType>(op.getResult(0).getType()))
        if (Operation *last = lastReader(op, body);
            last && !(fromOutputs && outputKeeping(recur, op.getResult(0)))) {
          SmallVector<unsigned> &unused = free[type];
          if (unused.empty()) {
            unused.push_back(buffers.types.size());
            buffers.types.push_back(type);
          }
          freedBehind[last].push_back(buffers.of[&op] = unused.pop_back_val());
        }
    for (unsigned buffer : freedBehind.lookup(&op))
      free[buffers.types[buffer]].push_back(buffer);
  }
  return buffers;
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reuse.h explains.
#include "attnc/Analysis/Reuse.h"

using namespace mlir;
using namespace attnc;

/// The tensor that `tensor` is a copy of, element by element; itself if it is none.
static Value sourceOf(Value tensor) {
  auto copy = tensor.getDefiningOp<attn::ComputeOp>();
  if (!copy || !tensor.hasOneUse())
    return tensor;
  Block &body = copy.getBody().front();
  auto read = body.getTerminator()->getOperand(0).getDefiningOp<attn::ReadOp>();
  bool isCopy = read && read->getBlock() == &body && &body.front() == read &&
                read.getTensor().getType() == tensor.getType() &&
                llvm::equal(read.getIndices(), body.getArguments());
  return isCopy ? read.getTensor() : tensor;
}

/// Whether `output` is the last value of a state that begins as `input`, which nothing else reads.
/// They are of one type, so the state begins element by element.
static bool isStateInPlace(Value output, Value input) {
  auto recur = output.getDefiningOp<attn::RecurOp>();
  if (!recur || !input.hasOneUse())
    return false;
  unsigned number = cast<OpResult>(output).getResultNumber();
  return number >= recur.getNumOutputs() &&
         sourceOf(recur.getInit()[number - recur.getNumOutputs()]) == input;
}

/// Whether `output` is a copy that is made last, of what no caller passes.
static bool isCopiedLast(Value output) {
  auto copy = output.getDefiningOp<attn::ComputeOp>();
  if (!copy || !copy->hasAttr(lastAttr) || !output.hasOneUse())
    return false;
  return !copy.walk([](attn::ReadOp read) {
                return read.getTensor().getDefiningOp<attn::InputOp>() ? WalkResult::interrupt()
                                                                       : WalkResult::advance();
              })
              .wasInterrupted();
}

bool attnc::needsCopy(attn::ReturnOp end, unsigned number) {
  attn::InputOp input = end.getReused(number);
  Value output = end.getValues()[number];
  return input && !isStateInPlace(output, input.getResult()) && !isCopiedLast(output);
}

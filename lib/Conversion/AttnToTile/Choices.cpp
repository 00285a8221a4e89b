// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stages are looked at last first: what needs a stage is known by then.
#include "Choices.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace attnc;

Choices::Choices(attn::VariantOp variant) {
  Block &body = variant.getBody().front();
  for (Operation &op : llvm::reverse(body)) {
    if (isa<attn::ChooseOp>(op))
      continue;
    std::optional<Choice> common;
    bool isChosen = !op.use_empty();
    for (OpOperand &use : op.getUses()) {
      std::optional<Choice> choice;
      if (auto choose = dyn_cast<attn::ChooseOp>(use.getOwner()))
        choice = Choice{choose.getSpace(), use.get() == choose.getSome()};
      else
        choice = choiceOf(body.findAncestorOpInBlock(*use.getOwner()));
      isChosen &= choice && (!common || *common == *choice);
      common = choice;
    }
    if (isChosen)
      choices.insert({&op, *common});
  }
}

std::optional<Choice> Choices::choiceOf(Operation *stage) const {
  auto found = choices.find(stage);
  return found == choices.end() ? std::nullopt : std::optional(found->second);
}

Value Choices::memoryOf(Value tensor) const {
  if (tensor.hasOneUse())
    if (auto choose = dyn_cast<attn::ChooseOp>(*tensor.getUsers().begin()))
      return choose.getResult();
  return tensor;
}

SmallVector<Value, 3> Choices::tensorsIn(Value tensor) const {
  SmallVector<Value, 3> tensors{tensor};
  if (auto choose = tensor.getDefiningOp<attn::ChooseOp>())
    llvm::append_range(tensors, choose.getOperands());
  return tensors;
}

void attnc::forEachUser(Value tensor, llvm::function_ref<void(Operation *)> visit) {
  for (Operation *user : tensor.getUsers())
    if (auto choose = dyn_cast<attn::ChooseOp>(user))
      forEachUser(choose.getResult(), visit);
    else
      visit(user);
}

void attnc::forEachSource(Value tensor, llvm::function_ref<void(Operation *)> visit) {
  Operation *source = tensor.getDefiningOp();
  if (auto choose = dyn_cast_or_null<attn::ChooseOp>(source)) {
    for (Value way : choose.getOperands())
      forEachSource(way, visit);
  } else if (source) {
    visit(source);
  }
}

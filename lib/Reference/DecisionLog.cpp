// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names and places of decisions.
#include "DecisionLog.h"
#include "Stage.h"
#include "mlir/IR/Location.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

/// Appends the coordinates that `parent` gives to the ops of `block`.
static void appendCoordinates(Operation *parent, Block &block, const Environment &environment,
                              std::vector<Coordinate> &into) {
  auto append = [&](unsigned firstArgument, const std::vector<int64_t> &shape) {
    for (auto [i, size] : llvm::enumerate(shape))
      if (firstArgument + i < block.getNumArguments())
        into.push_back({block.getArgument(firstArgument + static_cast<unsigned>(i)), size});
  };
  llvm::TypeSwitch<Operation *>(parent)
      .Case<attn::ReduceOp>([&](auto op) { append(0, {environment.sizeOf(op.getSpace())}); })
      .Case<attn::ComputeOp>(
          [&](auto op) { append(0, environment.shapeOf(op.getResult().getType())); })
      .Case<attn::QuantizeOp>(
          [&](auto op) { append(0, environment.shapeOf(op.getTensor().getType())); })
      .Case<attn::AttendOp>([&](auto op) {
        std::vector<int64_t> shape = environment.shapeOf(op.getQuery().getType());
        shape.back() = environment.sizeOf(op.getKeySpace());
        append(block.getParent() == &op.getScore() ? 1 : 0, shape);
      })
      .Case<attn::RecurOp>([&](auto op) {
        std::vector<int64_t> shape;
        for (auto space : op.getBatch().template getAsValueRange<StringAttr>())
          shape.push_back(environment.sizeOf(space));
        shape.push_back(environment.sizeOf(op.getTime()));
        append(0, shape);
      });
}

/// Collects the region arguments that `value` follows from.
static void collectArguments(Value value, llvm::DenseSet<Value> &seen) {
  if (!seen.insert(value).second)
    return;
  // A tensor of a recurrence's step is another one in each step of each batch entry.
  auto recur = dyn_cast_or_null<attn::RecurOp>(value.getParentBlock()->getParentOp());
  if (recur && isa<attn::AttnTensorType>(value.getType()))
    for (BlockArgument argument : recur.getBody().getArguments())
      seen.insert(argument);
  if (Operation *op = value.getDefiningOp(); op && !isa<attn::AttnTensorType>(value.getType()))
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        collectArguments(operand, seen);
    });
}

std::vector<Coordinate> attnc::reference::coordinatesOf(Operation *op,
                                                        const Environment &environment) {
  llvm::DenseSet<Value> used;
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      collectArguments(operand, used);
  });
  std::vector<Coordinate> result;
  for (; op->getParentOp() && !isa<attn::VariantOp>(op->getParentOp()); op = op->getParentOp()) {
    std::vector<Coordinate> outer;
    appendCoordinates(op->getParentOp(), *op->getBlock(), environment, outer);
    llvm::erase_if(outer, [&](const Coordinate &c) { return !used.contains(c.index); });
    result.insert(result.begin(), outer.begin(), outer.end());
  }
  return result;
}

DecisionLog::DecisionLog(Operation *variant, const Decisions *forced, Decisions *recorded)
    : forced(forced), recorded(recorded), names(variant) {}

static int64_t lineOf(Operation *op) {
  auto location = op->getLoc()->findInstanceOf<FileLineColLoc>();
  return location ? location.getLine() : 0;
}

llvm::Expected<const DecisionSite *>
DecisionLog::site(Operation *op, const Environment &environment, std::vector<int64_t> shape,
                  llvm::StringRef part, llvm::ArrayRef<unsigned> rowAxes) {
  std::string name = names.of(op, part);
  std::unique_ptr<DecisionSite> &site = sites[name];
  if (site)
    return site.get();
  std::vector<int64_t> whole;
  for (const Coordinate &coordinate : coordinatesOf(op, environment))
    whole.push_back(coordinate.size);
  whole.insert(whole.end(), shape.begin(), shape.end());
  const std::vector<double> *given = nullptr;
  // Without a place there is nothing to force, whatever the other sizes are.
  const Decision *found = forced && elementsOf(whole) > 0 ? forced->find(name) : nullptr;
  if (found) {
    if (found->shape != whole)
      return llvm::createStringError("the decisions that are forced are not those of this variant "
                                     "at these sizes: expected `" +
                                     name + "`");
    given = &found->values;
  }
  Decision *taken = nullptr;
  if (recorded) {
    Decision &decision = recorded->byName[name];
    decision.op = op->getName().getStringRef().str();
    decision.part = part.str();
    decision.line = lineOf(op);
    decision.values.assign(static_cast<size_t>(elementsOf(whole)), std::nan(""));
    decision.keys = decision.values;
    if (isa<attn::ReduceOp>(op))
      decision.shortfalls.assign(decision.values.size(), 0);
    for (unsigned axis : rowAxes)
      decision.rowAxes.push_back(axis + static_cast<unsigned>(whole.size() - shape.size()));
    decision.shape = std::move(whole);
    taken = &decision;
  }
  site = std::make_unique<DecisionSite>(taken, given);
  return site.get();
}

llvm::Error TensorDecision::prepare(Operation *op, const Environment &environment,
                                    std::vector<int64_t> shape, llvm::StringRef part,
                                    llvm::ArrayRef<unsigned> rowAxes) {
  if (!environment.decisions)
    return llvm::Error::success();
  llvm::Expected<const DecisionSite *> found =
      environment.decisions->site(op, environment, shape, part, rowAxes);
  if (!found)
    return found.takeError();
  site = *found;
  around = coordinatesOf(op, environment);
  elements = elementsOf(shape);
  return llvm::Error::success();
}

int64_t TensorDecision::base(const Memory &memory) const {
  int64_t step = 0;
  for (const Coordinate &coordinate : around)
    step = step * coordinate.size + static_cast<int64_t>(memory.scalar(coordinate.index));
  return step * elements;
}

void TensorDecision::apply(const Memory &memory, const Tensor64 &keys, Tensor64 &tensor) const {
  if (!site)
    return;
  int64_t first = base(memory);
  for (auto [i, value] : llvm::enumerate(tensor.data))
    if (!std::isnan(value)) // not in a row that is left out
      value = site->decide(first + static_cast<int64_t>(i), value, keys.data[i]);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-export-decisions: what a variant decides, as further outputs, so that another executor can
// be made to decide alike. A selection is an output as it is. A scalar decision is computed once
// more, from what it is computed from, over the coordinates that it depends on: a stage is compiled
// the same way wherever it stands, and what is stored between stages is read, not computed again.
// In a step of a recurrence that is one more stage of the step, which it puts out.
#include "AttnRegions.h"
#include "FormulaBuilder.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Attn/DecidingOps.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPORTDECISIONS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// The indices among the arguments that `op` depends on, those of outer ops first; nothing if one
/// of the arguments is no index. This is the order in which the reference counts places.
std::optional<SmallVector<BlockArgument>> coordinatesOf(Operation *op, const BackwardSlice &slice) {
  SmallVector<BlockArgument> coordinates;
  for (Operation *inner = op; inner->getParentOp() && !isa<attn::VariantOp>(inner->getParentOp());
       inner = inner->getParentOp()) {
    SmallVector<BlockArgument> own;
    for (BlockArgument argument : inner->getBlock()->getArguments()) {
      if (!slice.arguments.contains(argument))
        continue;
      if (spaceOf(argument).empty())
        return std::nullopt;
      own.push_back(argument);
    }
    coordinates.insert(coordinates.begin(), own.begin(), own.end());
  }
  if (coordinates.size() != slice.arguments.size())
    return std::nullopt;
  return coordinates;
}

class Exporter {
public:
  explicit Exporter(attn::VariantOp variant)
      : variant(variant), names(variant),
        end(cast<attn::ReturnOp>(variant.getBody().front().getTerminator())) {}

  /// Returns the number of decisions that became outputs.
  unsigned run() {
    SmallVector<Operation *> scalars;
    SmallVector<attn::SelectOp> selections;
    variant.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (attn::decidesScalar(op))
        scalars.push_back(op);
      else if (auto select = dyn_cast<attn::SelectOp>(op); select && op->getParentOp() == variant)
        selections.push_back(select);
    });
    for (attn::SelectOp select : selections)
      outputs.emplace_back(names.outputOf(select), copyOf(select.getResult()));
    for (Operation *op : scalars)
      if (Value decided = recomputed(op))
        outputs.emplace_back(names.outputOf(op), decided);
    for (auto recur : llvm::make_early_inc_range(variant.getBody().getOps<attn::RecurOp>()))
      exportSteps(recur);
    if (outputs.empty())
      return 0;
    SmallVector<Attribute> allNames(end.getNames().begin(), end.getNames().end());
    SmallVector<Value> allValues(end.getValues());
    for (auto &[name, value] : outputs) {
      allNames.push_back(StringAttr::get(variant.getContext(), name));
      allValues.push_back(value);
    }
    OpBuilder b(end);
    attn::ReturnOp::create(b, end.getLoc(), b.getArrayAttr(allNames), allValues);
    end.erase();
    return static_cast<unsigned>(outputs.size());
  }

private:
  /// A tensor that may be an output already.
  Value copyOf(TypedValue<attn::AttnTensorType> tensor) {
    FormulaBuilder b(end);
    b.setLoc(tensor.getLoc());
    return b.compute(tensor.getType(), [&](ValueRange indices) { return b.read(tensor, indices); });
  }

  /// `op`, which decides a scalar in a stage, for all of its coordinates; null where it depends on
  /// what only that stage has: the product of an attention. Steps of recurrences are taken apart.
  Value recomputed(Operation *op) {
    Operation *stage = variant.getBody().front().findAncestorOpInBlock(*op);
    if (stage == op || isa<attn::RecurOp>(stage))
      return {};
    BackwardSlice slice = sliceOf(op, stage);
    std::optional<SmallVector<BlockArgument>> coordinates = coordinatesOf(op, slice);
    if (!coordinates)
      return {};
    FormulaBuilder b(end);
    b.setLoc(op->getLoc());
    SmallVector<Attribute> axes;
    for (BlockArgument coordinate : *coordinates)
      axes.push_back(axisFor(b, spaceOf(coordinate), axes));
    return b.compute(axes, op->getResult(0).getType(), [&](ValueRange indices) {
      return cloneAt(b, op, slice, *coordinates, indices);
    });
  }

  /// What a step of a recurrence decides.
  struct StepDecision {
    Operation *op;
    Value tensor;                ///< of the step: over the coordinates that stages of it have
    SmallVector<unsigned> outer; ///< which of the batch spaces and the time it depends on
  };

  /// Adds what the steps of `recur` decide to what it puts out.
  void exportSteps(attn::RecurOp recur) {
    SmallVector<StepDecision> decisions;
    SmallVector<Operation *> deciding;
    recur.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (attn::decidesScalar(op) || isa<attn::SelectOp>(op))
        deciding.push_back(op);
    });
    for (Operation *op : deciding)
      if (Value tensor = isa<attn::SelectOp>(op) ? op->getResult(0) : inStep(op, recur))
        decisions.push_back({op, tensor, outerOf(op, recur)});
    if (decisions.empty())
      return;
    unsigned numOutputs = recur.getNumOutputs();
    attn::RecurOp exporting = withOutputs(recur, decisions);
    for (auto [i, decision] : llvm::enumerate(decisions)) {
      auto tensor = cast<TypedValue<attn::AttnTensorType>>(
          exporting.getResult(numOutputs + static_cast<unsigned>(i)));
      outputs.emplace_back(names.outputOf(decision.op), atOuter(tensor, decision, exporting));
    }
  }

  /// `op`, in a stage of a step, once more as a stage of its own; null if it is in none.
  Value inStep(Operation *op, attn::RecurOp recur) {
    Operation *stage = recur.getBody().front().findAncestorOpInBlock(*op);
    if (stage == op)
      return {};
    BackwardSlice slice = sliceOf(op, stage);
    std::optional<SmallVector<BlockArgument>> coordinates = coordinatesOf(op, slice);
    if (!coordinates)
      return {};
    FormulaBuilder spaces(recur), b(stage);
    b.setLoc(op->getLoc());
    SmallVector<Attribute> taken(recur.getBatch().begin(), recur.getBatch().end());
    taken.push_back(recur.getTimeAttr());
    size_t numOuter = taken.size();
    for (BlockArgument coordinate : *coordinates)
      taken.push_back(axisFor(spaces, spaceOf(coordinate), taken));
    return b.compute(
        ArrayRef(taken).drop_front(numOuter), op->getResult(0).getType(),
        [&](ValueRange indices) { return cloneAt(b, op, slice, *coordinates, indices); });
  }

  /// The arguments of the body that the reference counts among the coordinates of `op`: all where
  /// it reads a tensor of the step, else those that it is computed from.
  static SmallVector<unsigned> outerOf(Operation *op, attn::RecurOp recur) {
    unsigned count = static_cast<unsigned>(recur.getBatch().size()) + 1;
    BackwardSlice slice = sliceOf(op, recur);
    bool readsStep = false;
    auto look = [&](Operation *each) {
      each->walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          readsStep |= isa<attn::AttnTensorType>(operand.getType()) &&
                       operand.getParentRegion() == &recur.getBody();
      });
    };
    look(op);
    for (Operation *each : slice.ops)
      look(each);
    SmallVector<unsigned> outer;
    for (unsigned i = 0; i < count; ++i)
      if (readsStep || slice.arguments.contains(recur.getBody().getArgument(i)))
        outer.push_back(i);
    return outer;
  }

  /// `recur` with `decisions` behind its outputs.
  static attn::RecurOp withOutputs(attn::RecurOp recur, ArrayRef<StepDecision> decisions) {
    Operation *yield = recur.getBody().front().getTerminator();
    unsigned numOutputs = recur.getNumOutputs();
    SmallVector<Value> yielded(yield->getOperands().take_front(numOutputs));
    SmallVector<Type> types(recur.getResults().take_front(numOutputs).getTypes());
    for (const StepDecision &decision : decisions) {
      auto type = cast<attn::AttnTensorType>(decision.tensor.getType());
      SmallVector<Attribute> axes(recur.getBatch().begin(), recur.getBatch().end());
      axes.push_back(recur.getTimeAttr());
      llvm::append_range(axes, type.getAxes());
      types.push_back(attn::AttnTensorType::get(recur.getContext(), axes, type.getElementType()));
      yielded.push_back(decision.tensor);
    }
    llvm::append_range(yielded, yield->getOperands().drop_front(numOutputs));
    llvm::append_range(types, recur.getResults().drop_front(numOutputs).getTypes());
    yield->setOperands(yielded);
    OpBuilder b(recur);
    auto exporting = attn::RecurOp::create(b, recur.getLoc(), types, recur.getTimeAttr(),
                                           recur.getBatch(), recur.getInit(), recur.getEvery());
    exporting->setDiscardableAttrs(recur->getDiscardableAttrDictionary());
    exporting.getBody().takeBody(recur.getBody());
    for (auto [number, result] : llvm::enumerate(recur.getResults())) {
      size_t shift = number < numOutputs ? 0 : decisions.size();
      result.replaceAllUsesWith(exporting.getResult(static_cast<unsigned>(number + shift)));
    }
    recur.erase();
    return exporting;
  }

  /// `tensor`, without the axes of a recurrence that `decision` does not depend on.
  Value atOuter(TypedValue<attn::AttnTensorType> tensor, const StepDecision &decision,
                attn::RecurOp recur) {
    unsigned count = static_cast<unsigned>(recur.getBatch().size()) + 1;
    FormulaBuilder b(end);
    b.setLoc(tensor.getLoc());
    SmallVector<Attribute> axes;
    ArrayRef<Attribute> all = tensor.getType().getAxes();
    for (unsigned axis : decision.outer)
      axes.push_back(all[axis]);
    llvm::append_range(axes, all.drop_front(count));
    return b.compute(axes, tensor.getType().getElementType(), [&](ValueRange indices) {
      SmallVector<Value> read;
      for (unsigned axis = 0; axis < count; ++axis) {
        auto known = llvm::find(decision.outer, axis);
        read.push_back(known == decision.outer.end() ? b.integer(0)
                                                     : indices[known - decision.outer.begin()]);
      }
      llvm::append_range(read, indices.drop_front(decision.outer.size()));
      return b.read(tensor, read);
    });
  }

  /// What `op` computes where the arguments `coordinates` are `indices`.
  static Value cloneAt(FormulaBuilder &b, Operation *op, const BackwardSlice &slice,
                       ArrayRef<BlockArgument> coordinates, ValueRange indices) {
    IRMapping mapping;
    for (auto [coordinate, index] : llvm::zip_equal(coordinates, indices))
      mapping.map(coordinate, index);
    for (Operation *needed : slice.ops)
      b.clone(*needed, mapping);
    return b.clone(*op, mapping)->getResult(0);
  }

  /// `space`, or, where it is among `taken`, another one of its size: a tensor has no axis twice.
  Attribute axisFor(FormulaBuilder &b, StringRef space, ArrayRef<Attribute> taken) {
    StringAttr name = b.getStringAttr(space);
    for (unsigned number = 2; llvm::is_contained(taken, name); ++number) {
      name = b.getStringAttr(space + "_again" + Twine(number));
      if (attn::isKnownSpace(variant, name))
        continue;
      Value size = attn::SizeOp::create(b, b.getI32Type(), space);
      Value extent = arith::MaxSIOp::create(b, size, b.integer(1)); // a space has some
      attn::SpaceOp::create(b, name, StringAttr(), extent, Value(), UnitAttr());
    }
    return name;
  }

  attn::VariantOp variant;
  attn::DecisionNames names;
  attn::ReturnOp end;
  std::vector<std::pair<std::string, Value>> outputs;
};

struct AttnExportDecisions : impl::AttnExportDecisionsBase<AttnExportDecisions> {
  using AttnExportDecisionsBase::AttnExportDecisionsBase;

  void runOnOperation() override {
    for (auto variant : getOperation().getOps<attn::VariantOp>())
      numExported += Exporter(variant).run();
  }
};

} // namespace
} // namespace attnc

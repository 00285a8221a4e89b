// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-export-decisions: what a variant decides, as further outputs, so that another executor can
// be made to decide alike. A selection is an output as it is. A scalar decision is computed once
// more, from what it is computed from, over the coordinates that it depends on: a stage is compiled
// the same way wherever it stands, and what is stored between stages is read, not computed again.
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
  /// what only that stage has: the product of an attention, a state.
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
      IRMapping mapping;
      for (auto [coordinate, index] : llvm::zip_equal(*coordinates, indices))
        mapping.map(coordinate, index);
      for (Operation *needed : slice.ops)
        b.clone(*needed, mapping);
      return b.clone(*op, mapping)->getResult(0);
    });
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

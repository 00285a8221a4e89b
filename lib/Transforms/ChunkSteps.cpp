// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ChunkSteps.h explains.
#include "ChunkSteps.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/IntIntervals.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

template <typename Op> static DividedIndex dividedBy(Value value) {
  auto op = value.getDefiningOp<Op>();
  llvm::APInt number;
  auto index = op ? dyn_cast<BlockArgument>(op.getLhs()) : BlockArgument();
  if (!index || spaceOf(index).empty() || !matchPattern(op.getRhs(), m_ConstantInt(&number)) ||
      !number.isStrictlyPositive())
    return {};
  return {index, number.getSExtValue()};
}

DividedIndex attnc::quotientOf(Value value) { return dividedBy<arith::FloorDivSIOp>(value); }
DividedIndex attnc::remainderOf(Value value) { return dividedBy<arith::RemSIOp>(value); }

/// The extent that a space is declared with: of slots their number, of blocks their size.
static std::optional<int64_t> declaredExtent(attn::SpaceOp space) {
  llvm::APInt number;
  if (!space || !space.getExtent() || !matchPattern(space.getExtent(), m_ConstantInt(&number)))
    return std::nullopt;
  return number.getSExtValue();
}

bool attnc::isStepInside(attn::VariantOp variant, Value value, attn::AttnTensorType type,
                         unsigned axis) {
  attn::SpaceOp space = attn::findSpace(variant, type.getAxisName(axis));
  if (DividedIndex remainder = remainderOf(value))
    return space && !space.getParent() && declaredExtent(space) == remainder.divisor;
  DividedIndex quotient = quotientOf(value);
  return quotient && space && space.getParent() && *space.getParent() == spaceOf(quotient.index) &&
         declaredExtent(space) == quotient.divisor;
}

/// The index that `sum` is, being the quotient times the divisor plus the remainder.
static Value stepOf(arith::AddIOp sum) {
  for (auto [first, second] :
       {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())}) {
    auto start = first.getDefiningOp<arith::MulIOp>();
    DividedIndex remainder = remainderOf(second);
    if (!start || !remainder)
      continue;
    llvm::APInt factor;
    for (auto [quotient, number] :
         {std::pair(start.getLhs(), start.getRhs()), std::pair(start.getRhs(), start.getLhs())})
      if (quotientOf(quotient) == remainder && matchPattern(number, m_ConstantInt(&factor)) &&
          factor.getSExtValue() == remainder.divisor)
        return remainder.index;
  }
  return {};
}

/// Whether `compare` says that an index is below the size of its space.
static bool isAlwaysTrue(arith::CmpIOp compare) {
  auto index = dyn_cast<BlockArgument>(compare.getLhs());
  auto size = compare.getRhs().getDefiningOp<attn::SizeOp>();
  return compare.getPredicate() == arith::CmpIPredicate::slt && index && size &&
         spaceOf(index) == size.getSpace();
}

void attnc::foldSteps(attn::ComputeOp stage) {
  stage.getBody().walk([](arith::AddIOp sum) {
    if (Value step = stepOf(sum))
      sum.getResult().replaceAllUsesWith(step);
  });
  stage.getBody().walk([](arith::SelectOp select) {
    auto compare = select.getCondition().getDefiningOp<arith::CmpIOp>();
    if (compare && isAlwaysTrue(compare))
      select.getResult().replaceAllUsesWith(select.getTrueValue());
  });
}

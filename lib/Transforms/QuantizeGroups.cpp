// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See QuantizeGroups.h.
#include "QuantizeGroups.h"
#include "AttnRegions.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

//===-- Sizes of blocks ---------------------------------------------------------------------===//

/// `value`, without the guard `value == 0 ? 1 : value` that the frontend puts before a division.
/// Blocks of size 0 are an error when a variant is bound.
static Value withoutGuard(Value value) {
  auto select = value.getDefiningOp<arith::SelectOp>();
  if (!select)
    return value;
  auto isZero = select.getCondition().getDefiningOp<arith::CmpIOp>();
  bool isGuard = isZero && isZero.getPredicate() == arith::CmpIPredicate::eq &&
                 isZero.getLhs() == select.getFalseValue() &&
                 matchPattern(isZero.getRhs(), m_Zero()) &&
                 matchPattern(select.getTrueValue(), m_One());
  return isGuard ? select.getFalseValue() : value;
}

/// Whether the extent of a space can be `value`: it is known before tensors are.
static bool canBeExtent(Value value) {
  Operation *op = withoutGuard(value).getDefiningOp();
  if (!op)
    return false;
  IntegerAttr constant;
  if (matchPattern(op, m_Constant(&constant)))
    return constant.getInt() >= 1;
  return isa<attn::SizeOp, attn::ParamOp>(op) ||
         (isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::FloorDivSIOp, arith::CeilDivSIOp,
              arith::MinSIOp, arith::MaxSIOp>(op) &&
          llvm::all_of(op->getOperands(), canBeExtent));
}

/// The extent `value` as a value of the body of the variant, computed in front of `before` unless
/// it is one already.
static Value inVariant(Value value, Operation *before) {
  Operation *op = withoutGuard(value).getDefiningOp();
  if (op->getBlock() == before->getBlock())
    return op->getResult(0);
  IRMapping mapping;
  for (Value operand : op->getOperands())
    mapping.map(operand, inVariant(operand, before));
  return OpBuilder(before).clone(*op, mapping)->getResult(0);
}

static bool areEqual(Value a, Value b) {
  IntegerAttr x, y;
  return a == b || (matchPattern(a, m_Constant(&x)) && matchPattern(b, m_Constant(&y)) &&
                    x.getInt() == y.getInt());
}

/// Blocks of `size` indices of `space`, declared before `stage`; a declaration that is there is
/// used, if none of `taken` has its name.
static attn::SpaceOp blocksOf(Operation *stage, StringRef space, Value size,
                              attn::AttnTensorType taken) {
  auto variant = stage->getParentOfType<attn::VariantOp>();
  Operation *before = variant.getBody().front().findAncestorOpInBlock(*stage);
  OpBuilder builder(before);
  Value extent = inVariant(size, before);
  for (auto known : variant.getBody().getOps<attn::SpaceOp>())
    if (known.getParent() == space && !known.getStride() && !known.getFull() &&
        known->isBeforeInBlock(before) && areEqual(known.getExtent(), extent) &&
        !llvm::is_contained(taken.getAxes(), known.getNameAttr()))
      return known;
  std::string name = (space + "_blocks").str();
  for (unsigned number = 2; attn::isKnownSpace(variant, name); ++number)
    name = (space + "_blocks" + Twine(number)).str();
  return attn::SpaceOp::create(builder, stage->getLoc(), builder.getStringAttr(name),
                               builder.getStringAttr(space), extent, /*stride=*/Value(),
                               /*full=*/false);
}

//===-- Groups ------------------------------------------------------------------------------===//

QuantizeGroups::QuantizeGroups(Operation *stage, Value tensor, Region &keys) : keys(keys) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    tensorAxes.emplace_back().space = type.getAxisName(axis);
  auto yielded = cast<attn::YieldOp>(keys.front().getTerminator()).getValues();
  for (Value key : yielded)
    if (auto index = dyn_cast<BlockArgument>(key); index && index.getOwner() == &keys.front())
      tensorAxes[index.getArgNumber()].isKept = true;
  for (Value key : yielded)
    addKey(stage, type, key);
  for (Axis &axis : tensorAxes) {
    if (axis.isKept || axis.isCompared)
      axis.groupAxis = StringAttr::get(stage->getContext(), axis.space);
    else if (!axis.blocks.empty())
      axis.groupAxis = StringAttr::get(stage->getContext(), axis.blocks);
    if (axis.groupAxis)
      axes.push_back(axis.groupAxis);
  }
}

void QuantizeGroups::addKey(Operation *stage, attn::AttnTensorType type, Value key) {
  Operation *op = key.getDefiningOp();
  if (!op || !keys.isAncestor(op->getParentRegion()))
    return;                 // an index, which is kept, or the same for all elements
  SmallVector<Axis *> open; // that it depends on beside those that are kept
  for (BlockArgument argument : sliceOf(op, stage).arguments)
    if (Axis &axis = tensorAxes[argument.getArgNumber()]; !axis.isKept)
      open.push_back(&axis);
  if (open.empty())
    return;
  if (auto division = dyn_cast<arith::FloorDivSIOp>(op)) {
    auto index = dyn_cast<BlockArgument>(division.getLhs());
    Axis *axis =
        index && index.getOwner() == &keys.front() ? &tensorAxes[index.getArgNumber()] : nullptr;
    if (axis && axis->blocks.empty() && canBeExtent(division.getRhs())) {
      attn::SpaceOp blocks = blocksOf(stage, axis->space, division.getRhs(), type);
      axis->blocks = blocks.getName();
      axis->blockSize = blocks.getExtent();
      return;
    }
  }
  compared.push_back(key);
  for (Axis *axis : open)
    axis->isCompared = true;
}

SmallVector<Value> QuantizeGroups::indicesOf(FormulaBuilder &b, ValueRange indices) const {
  SmallVector<Value> result;
  for (auto [axis, index] : llvm::zip_equal(tensorAxes, indices)) {
    if (!axis.groupAxis)
      continue;
    bool isIndex = axis.isKept || axis.isCompared;
    result.push_back(isIndex ? index
                             : arith::FloorDivSIOp::create(b, index, axis.blockSize).getResult());
  }
  return result;
}

SmallVector<Value> QuantizeGroups::comparedKeys(FormulaBuilder &b, ArrayRef<Value> indices) const {
  if (compared.empty())
    return {};
  llvm::SetVector<Operation *> needed;
  for (Value key : compared) {
    needed.insert_range(sliceOf(key.getDefiningOp(), keys.getParentOp()).ops);
    needed.insert(key.getDefiningOp());
  }
  IRMapping mapping;
  for (auto [argument, index] : llvm::zip_equal(keys.getArguments(), indices))
    if (index)
      mapping.map(argument, index);
  for (Operation &op : keys.front())
    if (needed.contains(&op))
      b.clone(op, mapping);
  return llvm::map_to_vector(compared, [&](Value key) { return mapping.lookup(key); });
}

/// What a reduction of nothing yields.
static Value identityOf(FormulaBuilder &b, attn::Reduction kind) {
  double infinity = std::numeric_limits<double>::infinity();
  return b.real(kind == attn::Reduction::Max   ? -infinity
                : kind == attn::Reduction::Min ? infinity
                                               : 0);
}

Value QuantizeGroups::reduce(FormulaBuilder &b, attn::Reduction kind, ValueRange groupIndices,
                             llvm::function_ref<Term(ValueRange)> term) const {
  // The indices of a member, those of its group so far; and the axes to go through for it.
  SmallVector<Value> own(tensorAxes.size());
  SmallVector<unsigned> open;
  SmallVector<IndexRange> ranges(tensorAxes.size());
  size_t next = 0;
  for (auto [number, axis] : llvm::enumerate(tensorAxes)) {
    Value groupIndex = axis.groupAxis ? groupIndices[next++] : Value();
    if (axis.isKept || axis.isCompared)
      own[number] = groupIndex;
    if (axis.isKept)
      continue;
    open.push_back(number);
    ranges[number].space = axis.space;
    if (axis.blocks.empty())
      continue;
    ranges[number].block = axis.blocks;
    ranges[number].at = axis.isCompared
                            ? arith::FloorDivSIOp::create(b, groupIndex, axis.blockSize).getResult()
                            : groupIndex;
  }
  SmallVector<Value> ownKeys = comparedKeys(b, own), indices = own;
  auto member = [&]() {
    Term result = term(indices);
    for (auto [x, y] : llvm::zip_equal(ownKeys, comparedKeys(b, indices)))
      result.condition = b.both(result.condition, b.compare(arith::CmpIPredicate::eq, x, y));
    return result;
  };
  if (open.empty()) { // every element is a group
    Term only = member();
    return only.condition ? b.select(only.condition, only.value, identityOf(b, kind)) : only.value;
  }
  std::function<Value(unsigned)> nest = [&](unsigned depth) {
    unsigned number = open[depth];
    return b.reduce(kind, ranges[number], [&](Value index) {
      indices[number] = index;
      return depth + 1 == open.size() ? member() : Term{nest(depth + 1), {}};
    });
  };
  return nest(0);
}

Value QuantizeGroups::count(FormulaBuilder &b, ValueRange groupIndices) const {
  if (!compared.empty())
    return reduce(b, attn::Reduction::Sum, groupIndices,
                  [&](ValueRange) { return Term{b.real(1), {}}; });
  Value count;
  size_t next = 0;
  for (const Axis &axis : tensorAxes) {
    Value groupIndex = axis.groupAxis ? groupIndices[next++] : Value();
    if (axis.isKept)
      continue;
    Value members = attn::SizeOp::create(b, b.getI32Type(), axis.space);
    if (groupIndex) { // the last block may have fewer
      Value rest = b.sub(members, b.mul(groupIndex, axis.blockSize));
      members = arith::MinSIOp::create(b, rest, axis.blockSize);
    }
    Value real = arith::SIToFPOp::create(b, b.getF32Type(), members);
    count = count ? b.mul(count, real) : real;
  }
  return count ? count : b.real(1);
}

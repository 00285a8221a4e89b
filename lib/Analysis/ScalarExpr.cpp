// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ScalarExpr.h.
#include "attnc/Analysis/ScalarExpr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace attnc;

using Kind = ScalarExpr::Kind;

bool ScalarExpr::dependsOn(Value argument) const {
  return std::binary_search(free.begin(), free.end(), argument, [](Value a, Value b) {
    return a.getAsOpaquePointer() < b.getAsOpaquePointer();
  });
}

bool ScalarExpr::dependsOnAny(ValueRange arguments) const {
  return llvm::any_of(arguments, [&](Value argument) { return dependsOn(argument); });
}

//===-- Uniquing ------------------------------------------------------------------------------===//

/// The arguments that a node depends on by its value and its operands.
static SmallVector<Value, 4> freeOf(const ScalarExpr &node) {
  SmallVector<Value, 4> free;
  for (auto [i, operand] : llvm::enumerate(node.operands))
    for (Value argument : operand->free)
      if (node.kind != Kind::Reduce || i >= node.numInside || argument != node.value)
        free.push_back(argument);
  if (node.kind == Kind::Leaf && isa<BlockArgument>(node.value))
    free.push_back(node.value);
  llvm::sort(free,
             [](Value a, Value b) { return a.getAsOpaquePointer() < b.getAsOpaquePointer(); });
  free.erase(llvm::unique(free), free.end());
  return free;
}

Expr ExprContext::unique(ScalarExpr node) {
  std::vector<const void *> key{
      reinterpret_cast<const void *>(static_cast<uintptr_t>(node.kind)),
      node.type.getAsOpaquePointer(),
      node.value.getAsOpaquePointer(),
      node.name.getAsOpaquePointer(),
      node.attributes.getAsOpaquePointer(),
      reinterpret_cast<const void *>(static_cast<uintptr_t>(node.numInside))};
  key.insert(key.end(), node.operands.begin(), node.operands.end());
  auto [it, isNew] = known.try_emplace(std::move(key), nullptr);
  if (!isNew)
    return it->second;
  node.number = static_cast<unsigned>(nodes.size());
  node.height = node.kind == Kind::Reduce;
  for (Expr operand : node.operands)
    node.height = std::max(node.height, operand->height + (node.kind == Kind::Reduce));
  node.free = freeOf(node);
  nodes.push_back(std::make_unique<ScalarExpr>(std::move(node)));
  return it->second = nodes.back().get();
}

Expr ExprContext::leaf(Value value) {
  if (auto constant = value.getDefiningOp<arith::ConstantOp>())
    return like(constant, {});
  ScalarExpr node{Kind::Leaf, 0, 0, value.getType(), value, {}, {}, {}, 0, {}};
  return unique(std::move(node));
}

Expr ExprContext::read(Value tensor, Type type, ArrayRef<Expr> indices) {
  ScalarExpr node{Kind::Read, 0, 0, type, tensor, {}, {}, SmallVector<Expr, 2>(indices), 0, {}};
  return unique(std::move(node));
}

Expr ExprContext::apply(StringRef name, Type type, ArrayRef<Expr> operands,
                        ArrayRef<NamedAttribute> attributes) {
  ScalarExpr node{Kind::Apply,
                  0,
                  0,
                  type,
                  {},
                  StringAttr::get(context, name),
                  DictionaryAttr::get(context, attributes),
                  SmallVector<Expr, 2>(operands),
                  0,
                  {}};
  return unique(std::move(node));
}

Expr ExprContext::like(Operation *op, ArrayRef<Expr> operands) {
  if (auto read = dyn_cast<attn::ReadOp>(op))
    return this->read(read.getTensor(), read.getType(), operands.drop_front());
  SmallVector<NamedAttribute> attributes(op->getAttrDictionary().getValue());
  // What is the default says nothing, and products that are made here do not say it.
  llvm::erase_if(attributes, [](NamedAttribute attribute) {
    auto flags = dyn_cast<arith::FastMathFlagsAttr>(attribute.getValue());
    auto overflow = dyn_cast<arith::IntegerOverflowFlagsAttr>(attribute.getValue());
    return (flags && flags.getValue() == arith::FastMathFlags::none) ||
           (overflow && overflow.getValue() == arith::IntegerOverflowFlags::none);
  });
  return apply(op->getName().getStringRef(), op->getResult(0).getType(), operands, attributes);
}

/// One index serves all reductions over `space` that have `height` - 1 others inside.
Value ExprContext::indexOf(StringRef space, unsigned height, Location loc) {
  Value &index = reduced[{space.str(), height}];
  if (!index)
    index = newIndex(loc);
  return index;
}

Expr ExprContext::reduce(DictionaryAttr attributes, StringRef space, Type type, Value index,
                         ArrayRef<Expr> inside, ArrayRef<Expr> outside) {
  unsigned height = 1;
  for (Expr expr : inside)
    height = std::max(height, expr->height + 1);
  Value own = indexOf(space, height, index.getLoc());
  SmallVector<Expr, 2> operands;
  for (Expr expr : inside)
    operands.push_back(substitute(expr, {{index, leaf(own)}}));
  operands.append(outside.begin(), outside.end());
  ScalarExpr node{Kind::Reduce,
                  0,
                  0,
                  type,
                  own,
                  StringAttr::get(context, attn::ReduceOp::getOperationName()),
                  attributes,
                  std::move(operands),
                  static_cast<unsigned>(inside.size()),
                  {}};
  return unique(std::move(node));
}

Expr ExprContext::like(attn::ReduceOp op, Value index, ArrayRef<Expr> inside,
                       ArrayRef<Expr> outside) {
  return reduce(op->getAttrDictionary(), op.getSpace(), op.getType(), index, inside, outside);
}

Expr ExprContext::sum(StringRef space, Value index, Expr value) {
  Builder b(context);
  SmallVector<NamedAttribute> attributes{
      b.getNamedAttr("kind", attn::ReductionAttr::get(context, attn::Reduction::Sum)),
      b.getNamedAttr("operandSegmentSizes", b.getDenseI32ArrayAttr({0, 0, 0})),
      b.getNamedAttr("space", b.getStringAttr(space))};
  return reduce(b.getDictionaryAttr(attributes), space, value->type, index, value, {});
}

//===-- Arithmetic ----------------------------------------------------------------------------===//

Expr ExprContext::real(double value) {
  Builder b(context);
  auto attribute = b.getF32FloatAttr(static_cast<float>(value));
  return apply(arith::ConstantOp::getOperationName(), b.getF32Type(), {},
               b.getNamedAttr("value", attribute));
}

std::optional<double> ExprContext::constant(Expr expr) const {
  if (expr->kind != Kind::Apply || !expr->operands.empty())
    return std::nullopt;
  auto value = dyn_cast_or_null<FloatAttr>(expr->attributes.get("value"));
  return value ? std::optional(value.getValueAsDouble()) : std::nullopt;
}

Expr ExprContext::multiply(Expr x, Expr y) {
  if (isOne(x) || isOne(y))
    return isOne(x) ? y : x;
  // Signs meet: other constants are left, as their product would be rounded to f32.
  if (constant(x) == -1.0 && constant(y))
    return real(-*constant(y));
  if (constant(y) == -1.0 && constant(x))
    return real(-*constant(x));
  if (x->number > y->number)
    std::swap(x, y);
  return apply(arith::MulFOp::getOperationName(), x->type, {x, y});
}

Expr ExprContext::add(Expr x, Expr y) {
  if (constant(x) == 0.0 || constant(y) == 0.0)
    return constant(x) == 0.0 ? y : x;
  return apply(arith::AddFOp::getOperationName(), x->type, {x, y});
}

Expr ExprContext::divide(Expr x, Expr y) {
  return apply(arith::DivFOp::getOperationName(), x->type, {x, y});
}

Expr ExprContext::select(Expr condition, Expr x, Expr y) {
  return apply(arith::SelectOp::getOperationName(), x->type, {condition, x, y});
}

Expr ExprContext::size(StringRef space) {
  Builder b(context);
  Expr size = apply(attn::SizeOp::getOperationName(), b.getI32Type(), {},
                    b.getNamedAttr("space", b.getStringAttr(space)));
  return apply(arith::SIToFPOp::getOperationName(), b.getF32Type(), size);
}

//===-- From the IR, and to other indices
//------------------------------------------------------===//

Expr ExprContext::translate(Value value, Region &region) {
  Operation *op = value.getDefiningOp();
  if (!op || !region.isAncestor(op->getParentRegion()))
    return leaf(value);
  if (Expr found = translated.lookup(value))
    return found;
  SmallVector<Expr> operands;
  for (Value operand : op->getOperands())
    operands.push_back(isa<attn::AttnTensorType>(operand.getType()) ? nullptr
                                                                    : translate(operand, region));
  Expr result;
  if (auto reduce = dyn_cast<attn::ReduceOp>(op)) {
    Block &body = reduce.getBody().front();
    SmallVector<Expr> inside;
    for (Value yielded : body.getTerminator()->getOperands())
      inside.push_back(translate(yielded, region));
    result = like(reduce, body.getArgument(0), inside, operands);
  } else {
    result = like(op, operands);
  }
  return translated[value] = result;
}

Expr ExprContext::inlined(attn::ComputeOp compute, ArrayRef<Expr> indices, Region &region) {
  Block &body = compute.getBody().front();
  Substitution leaves;
  for (auto [argument, index] : llvm::zip_equal(body.getArguments(), indices))
    leaves[argument] = index;
  return substitute(translate(body.getTerminator()->getOperand(0), region), leaves);
}

Expr ExprContext::substitute(Expr expr, const Substitution &leaves,
                             llvm::DenseMap<Expr, Expr> &known) {
  if (llvm::none_of(leaves, [&](auto &entry) { return expr->dependsOn(entry.first); }))
    return expr;
  if (expr->kind == Kind::Leaf)
    return leaves.lookup(expr->value);
  if (Expr found = known.lookup(expr))
    return found;
  // The index of a reduction hides what has the same one around it: no index is replaced by an
  // expression of another reduction's own index, as these are closed by then.
  ScalarExpr node = *expr;
  for (Expr &operand : node.operands)
    operand = substitute(operand, leaves, known);
  Expr result = unique(std::move(node));
  known[expr] = result;
  return result;
}

Expr ExprContext::substitute(Expr expr, const Substitution &leaves) {
  llvm::DenseMap<Expr, Expr> known;
  return substitute(expr, leaves, known);
}

Value ExprContext::newIndex(Location loc) {
  return scratch.addArgument(IntegerType::get(context, 32), loc);
}

Value ExprContext::newTensor(attn::AttnTensorType type, Location loc) {
  return scratch.addArgument(type, loc);
}

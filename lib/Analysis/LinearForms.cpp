// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See LinearForms.h.
#include "attnc/Analysis/LinearForms.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;

StateIndices::StateIndices(attn::RecurOp recur, ExprContext &context) {
  llvm::DenseMap<Attribute, Value> bySpace;
  for (BlockArgument state : recur.getStates()) {
    of.emplace_back();
    for (Attribute space : cast<attn::AttnTensorType>(state.getType()).getAxes()) {
      Value &index = bySpace[space];
      if (!index)
        index = context.newIndex(state.getLoc());
      of.back().push_back(index);
    }
  }
}

LinearForms::LinearForms(attn::RecurOp recur, ExprContext &context, const StateIndices &summed,
                         View view)
    : recur(recur), context(context), summed(summed), one(context.real(1.0)) {
  if (view == View::Outputs) {
    auto yielded = recur.getBody().front().getTerminator()->getOperands();
    for (auto [i, value] : llvm::enumerate(yielded.drop_front(recur.getNumOutputs())))
      if (value.getDefiningOp() && value.getParentRegion() == &recur.getBody())
        newStates.try_emplace(value, i);
  }
}

//===-- Products and sums ---------------------------------------------------------------------===//

/// Indices of the batch and the step are none: they are the same for the whole step.
bool LinearForms::isCoordinate(Value argument) {
  return cast<BlockArgument>(argument).getOwner() != &recur.getBody().front();
}

void LinearForms::addFactor(Product &product, Expr factor) {
  if (llvm::none_of(factor->free, [&](Value argument) { return isCoordinate(argument); })) {
    product.scalar = context.multiply(product.scalar, factor);
    return;
  }
  auto at = llvm::partition_point(product.factors,
                                  [&](Expr other) { return other->number < factor->number; });
  product.factors.insert(at, factor);
}

Product LinearForms::asProduct(Expr expr) {
  Product product{one, {}};
  SmallVector<Expr> open{expr};
  while (!open.empty()) {
    Expr factor = open.pop_back_val();
    StringRef name = factor->name ? factor->name.getValue() : "";
    if (name == arith::MulFOp::getOperationName()) {
      open.append(factor->operands.begin(), factor->operands.end());
    } else if (name == arith::NegFOp::getOperationName()) {
      product.scalar = context.multiply(product.scalar, context.real(-1.0));
      open.push_back(factor->operands[0]);
    } else if (name == arith::DivFOp::getOperationName() && !context.isOne(factor->operands[0])) {
      open.push_back(factor->operands[0]);
      open.push_back(context.divide(one, factor->operands[1]));
    } else {
      addFactor(product, factor);
    }
  }
  return product;
}

Product LinearForms::times(const Product &x, const Product &y) {
  Product product = x;
  product.scalar = context.multiply(x.scalar, y.scalar);
  for (Expr factor : y.factors)
    addFactor(product, factor);
  return product;
}

Expr LinearForms::asExpr(const Product &product) {
  Expr all = product.scalar;
  for (Expr factor : product.factors)
    all = context.multiply(all, factor);
  return all;
}

Expr LinearForms::asExpr(ArrayRef<Product> sum) {
  Expr all = context.real(0.0);
  for (const Product &product : sum)
    all = context.add(all, asExpr(product));
  return all;
}

void LinearForms::add(SmallVectorImpl<Product> &sum, const Product &product) {
  if (context.constant(product.scalar) == 0.0)
    return;
  for (Product &other : sum)
    if (other.factors == product.factors) {
      other.scalar = context.add(other.scalar, product.scalar);
      return;
    }
  sum.push_back(product);
}

void LinearForms::addTerm(SmallVectorImpl<StateTerm> &terms, const StateTerm &term) {
  for (StateTerm &other : terms)
    if (other.state == term.state && other.isNew == term.isNew && other.indices == term.indices &&
        other.product.factors == term.product.factors) {
      other.product.scalar = context.add(other.product.scalar, term.product.scalar);
      return;
    }
  terms.push_back(term);
}

//===-- Scalars -------------------------------------------------------------------------------===//

StepValue LinearForms::data(Value scalar) {
  StepValue value;
  if (scalar.getType().isF32())
    value.form.rest.push_back(asProduct(context.translate(scalar, recur.getBody())));
  return value;
}

StepValue LinearForms::nonlinear(Operation *op) {
  StepValue value;
  value.dependsOnState = true;
  value.nonlinear = op;
  return value;
}

const StepValue &LinearForms::of(Value scalar) {
  if (auto it = values.find(scalar); it != values.end())
    return *it->second;
  Operation *op = scalar.getDefiningOp();
  bool isInside = op && recur.getBody().isAncestor(op->getParentRegion());
  StepValue value = isInside ? evaluate(op) : data(scalar);
  auto &slot = values[scalar];
  slot = std::make_unique<StepValue>(std::move(value));
  return *slot;
}

StepValue LinearForms::evaluate(Operation *op) {
  if (auto read = dyn_cast<attn::ReadOp>(op))
    return this->read(read);
  if (auto reduce = dyn_cast<attn::ReduceOp>(op))
    return this->reduce(reduce);
  SmallVector<const StepValue *> operands;
  for (Value operand : op->getOperands())
    operands.push_back(&of(operand));
  auto depends = [](const StepValue *value) { return value->dependsOnState; };
  if (llvm::none_of(operands, depends))
    return data(op->getResult(0));
  for (const StepValue *operand : operands)
    if (operand->nonlinear)
      return nonlinear(operand->nonlinear);
  return llvm::TypeSwitch<Operation *, StepValue>(op)
      .Case<arith::AddFOp, arith::SubFOp>([&](Operation *) {
        return sum(*operands[0], *operands[1], /*subtracts=*/isa<arith::SubFOp>(op));
      })
      .Case<arith::NegFOp>(
          [&](auto) { return scaled(*operands[0], Product{context.real(-1.0), {}}); })
      .Case<arith::MulFOp>([&](auto) {
        unsigned state = operands[1]->dependsOnState;
        if (operands[1 - state]->dependsOnState)
          return nonlinear(op);
        Expr factor = context.translate(op->getOperand(1 - state), recur.getBody());
        return scaled(*operands[state], asProduct(factor));
      })
      .Case<arith::DivFOp>([&](auto) {
        if (operands[1]->dependsOnState)
          return nonlinear(op);
        Expr divisor = context.translate(op->getOperand(1), recur.getBody());
        return scaled(*operands[0], asProduct(context.divide(one, divisor)));
      })
      .Case<arith::SelectOp>([&](arith::SelectOp choice) {
        return operands[0]->dependsOnState
                   ? nonlinear(op)
                   : select(choice.getCondition(), *operands[1], *operands[2]);
      })
      .Default([&](Operation *) { return nonlinear(op); });
}

StepValue LinearForms::sum(const StepValue &x, const StepValue &y, bool subtracts) {
  StepValue result = x;
  StepValue other = subtracts ? scaled(y, Product{context.real(-1.0), {}}) : y;
  result.dependsOnState |= other.dependsOnState;
  for (const StateTerm &term : other.form.terms)
    addTerm(result.form.terms, term);
  for (const Product &product : other.form.rest)
    add(result.form.rest, product);
  return result;
}

StepValue LinearForms::scaled(StepValue value, const Product &factor) {
  for (StateTerm &term : value.form.terms)
    term.product = times(term.product, factor);
  for (Product &product : value.form.rest)
    product = times(product, factor);
  return value;
}

/// Terms are multiplied by 1 or 0; what holds no state is chosen, so that nothing that is not a
/// number comes in by a product with 0.
StepValue LinearForms::select(Value condition, const StepValue &x, const StepValue &y) {
  Expr where = context.translate(condition, recur.getBody()), zero = context.real(0.0);
  StepValue result;
  result.dependsOnState = true;
  for (auto [side, holds] : {std::pair(&x, true), std::pair(&y, false)}) {
    auto chosen = [&, holds = holds](Expr value) {
      return context.select(where, holds ? value : zero, holds ? zero : value);
    };
    for (StateTerm term : side->form.terms) {
      addFactor(term.product, chosen(one));
      addTerm(result.form.terms, term);
    }
    if (!side->form.rest.empty()) {
      Product product{one, {}};
      addFactor(product, chosen(asExpr(side->form.rest)));
      add(result.form.rest, product);
    }
  }
  return result;
}

//===-- Reads and sums ------------------------------------------------------------------------===//

StepValue LinearForms::read(attn::ReadOp op) {
  if (!dependsOnState(op.getTensor())) {
    for (Value index : op.getIndices())
      if (of(index).dependsOnState)
        return nonlinear(op);
    return data(op);
  }
  SmallVector<Expr> indices;
  for (Value index : op.getIndices()) {
    if (of(index).dependsOnState)
      return nonlinear(op);
    indices.push_back(context.translate(index, recur.getBody()));
  }
  return at(op.getTensor(), indices);
}

StepValue LinearForms::at(Value tensor, ArrayRef<Expr> indices) {
  const TensorForm &form = formOf(tensor);
  StepValue value = form.element;
  if (value.nonlinear)
    return value;
  ExprContext::Substitution leaves;
  for (auto [coordinate, index] : llvm::zip_equal(form.coordinates, indices))
    leaves[coordinate] = index;
  auto move = [&](const Product &product) {
    Product moved{context.substitute(product.scalar, leaves), {}};
    for (Expr factor : product.factors)
      addFactor(moved, context.substitute(factor, leaves));
    return moved;
  };
  LinearForm moved;
  for (StateTerm term : value.form.terms) {
    term.product = move(term.product);
    for (Expr &index : term.indices)
      index = context.substitute(index, leaves);
    addTerm(moved.terms, term);
  }
  for (const Product &product : value.form.rest)
    add(moved.rest, move(product));
  value.form = std::move(moved);
  return value;
}

StepValue LinearForms::reduce(attn::ReduceOp op) {
  auto yield = cast<attn::YieldOp>(op.getBody().front().getTerminator());
  SmallVector<Value> outer(op->getOperands());
  llvm::append_range(outer, yield.getValues().drop_front());
  for (Value value : outer)
    if (of(value).dependsOnState)
      return nonlinear(op);
  StepValue value = of(yield.getValue());
  if (!value.dependsOnState)
    return data(op);
  if (value.nonlinear)
    return value;
  bool isMean = op.getKind() == attn::Reduction::Mean;
  bool isWhole = op->getNumOperands() == 0;
  if ((!isMean && op.getKind() != attn::Reduction::Sum) || !isWhole ||
      (isMean && yield.getValues().size() == 2))
    return nonlinear(op);
  if (yield.getValues().size() == 2) {
    StepValue none;
    none.form.rest.clear();
    value = select(yield.getValues().back(), value, none);
  }
  value = sumOver(op, std::move(value));
  if (isMean && !value.nonlinear)
    value = scaled(std::move(value), asProduct(context.divide(one, context.size(op.getSpace()))));
  return value;
}

/// sum(value for the index of `op`): factors that do not depend on the index come out of the sum;
/// the others are summed, or, where the index is a state's, stay and get that state's own index.
StepValue LinearForms::sumOver(attn::ReduceOp op, StepValue value) {
  Value index = op.getBody().getArgument(0);
  auto total = [&](const Product &product) {
    Product outside{product.scalar, {}}, inside{one, {}};
    for (Expr factor : product.factors)
      (factor->dependsOn(index) ? inside : outside).factors.push_back(factor);
    Expr sum = inside.factors.empty() ? context.size(op.getSpace())
                                      : context.sum(op.getSpace(), index, asExpr(inside));
    addFactor(outside, sum);
    return outside;
  };
  LinearForm result;
  for (const Product &product : value.form.rest)
    add(result.rest, total(product));
  for (StateTerm term : value.form.terms) {
    auto *axis = llvm::find(term.indices, context.leaf(index));
    auto rest = llvm::count_if(term.indices, [&](Expr at) { return at->dependsOn(index); });
    if (rest > 1 || (rest == 1 && axis == term.indices.end()))
      return nonlinear(op);
    if (!rest) {
      term.product = total(term.product);
    } else {
      Expr own = context.leaf(this->summed.of[term.state][axis - term.indices.begin()]);
      *axis = own;
      Product moved{term.product.scalar, {}};
      for (Expr factor : term.product.factors)
        addFactor(moved, context.substitute(factor, {{index, own}}));
      term.product = std::move(moved);
    }
    addTerm(result.terms, term);
  }
  value.form = std::move(result);
  return value;
}

//===-- Tensors -------------------------------------------------------------------------------===//

bool LinearForms::isSummed(const StateTerm &term, unsigned axis) const {
  Expr index = term.indices[axis];
  return index->kind == ScalarExpr::Kind::Leaf && index->value == summed.of[term.state][axis];
}

bool LinearForms::holdsReads(Value tensor) {
  if (!dependsOnState(tensor))
    return false;
  const StepValue &value = formOf(tensor).element;
  return value.nonlinear || llvm::all_of(value.form.terms, [&](const StateTerm &term) {
           return llvm::any_of(llvm::seq<unsigned>(0, term.indices.size()),
                               [&](unsigned axis) { return isSummed(term, axis); });
         });
}

bool LinearForms::dependsOnState(Value tensor) {
  bool isInside = recur.getBody().isAncestor(tensor.getParentRegion());
  return isInside && formOf(tensor).element.dependsOnState;
}

const LinearForms::TensorForm &LinearForms::formOf(Value tensor) {
  if (auto it = tensors.find(tensor); it != tensors.end())
    return *it->second;
  TensorForm form = computeForm(tensor);
  auto &slot = tensors[tensor];
  slot = std::make_unique<TensorForm>(std::move(form));
  return *slot;
}

LinearForms::TensorForm LinearForms::computeForm(Value tensor) {
  TensorForm form;
  auto isNew = newStates.find(tensor);
  auto isOld = llvm::find(recur.getStates(), tensor);
  if (isNew != newStates.end() || isOld != recur.getStates().end()) {
    bool isStart = isNew == newStates.end();
    unsigned state = isStart ? isOld - recur.getStates().begin() : isNew->second;
    StateTerm term{state, !isStart, {}, {one, {}}};
    for (unsigned axis = 0; axis < summed.of[state].size(); ++axis) {
      form.coordinates.push_back(context.newIndex(tensor.getLoc()));
      term.indices.push_back(context.leaf(form.coordinates.back()));
    }
    form.element.dependsOnState = true;
    form.element.form.terms.push_back(std::move(term));
    return form;
  }
  Operation *op = tensor.getDefiningOp();
  if (auto compute = dyn_cast_or_null<attn::ComputeOp>(op)) {
    Block &body = compute.getBody().front();
    form.coordinates.assign(body.getArguments().begin(), body.getArguments().end());
    form.element = of(body.getTerminator()->getOperand(0));
    return form;
  }
  // A function of rows, or what else there is: nonlinear where it depends on a state. A state as it
  // was at the start of a group is one, too.
  if (!op || llvm::any_of(op->getOperands(), [&](Value operand) {
        return isa<attn::AttnTensorType>(operand.getType()) && dependsOnState(operand);
      }))
    form.element = nonlinear(op);
  return form;
}

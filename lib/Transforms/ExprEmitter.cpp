// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ExprEmitter.h.
#include "ExprEmitter.h"

using namespace mlir;
using namespace attnc;

using Kind = ScalarExpr::Kind;

static Value emitReduction(FormulaBuilder &b, Expr expr, ArrayRef<Value> outside,
                           const ExprBindings &bindings, TensorPlaces places) {
  OperationState state(b.getLoc(), expr->name.getValue(), outside, expr->type,
                       expr->attributes.getValue());
  state.addRegion();
  Operation *op = b.create(state);
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&op->getRegion(0));
  ExprBindings inside;
  inside.leaves = bindings.leaves;
  // The same index may be that of a reduction around: what is written of that one is another value.
  for (const auto &entry : bindings.written)
    if (!entry.first->dependsOn(expr->value))
      inside.written.insert(entry);
  inside.leaves[expr->value] = body->addArgument(b.getI32Type(), b.getLoc());
  SmallVector<Value> yielded;
  for (Expr operand : ArrayRef(expr->operands).take_front(expr->numInside))
    yielded.push_back(emitExpr(b, operand, inside, places));
  attn::YieldOp::create(b, yielded);
  return op->getResult(0);
}

Value attnc::emitExpr(FormulaBuilder &b, Expr expr, ExprBindings &bindings, TensorPlaces places) {
  if (expr->kind == Kind::Leaf) {
    Value bound = bindings.leaves.lookup(expr->value);
    return bound ? bound : expr->value;
  }
  if (Value written = bindings.written.lookup(expr))
    return written;
  SmallVector<Value> operands;
  if (expr->kind == Kind::Read) {
    TensorPlace place = places(expr->value, bindings);
    operands = place.leading;
    for (Expr index : expr->operands)
      operands.push_back(emitExpr(b, index, bindings, places));
    return bindings.written[expr] = b.read(place.tensor, operands);
  }
  for (Expr operand : ArrayRef(expr->operands).drop_front(expr->numInside))
    operands.push_back(emitExpr(b, operand, bindings, places));
  Value result;
  if (expr->kind == Kind::Reduce) {
    result = emitReduction(b, expr, operands, bindings, places);
  } else {
    OperationState state(b.getLoc(), expr->name.getValue(), operands, expr->type,
                         expr->attributes.getValue());
    result = b.create(state)->getResult(0);
  }
  return bindings.written[expr] = result;
}

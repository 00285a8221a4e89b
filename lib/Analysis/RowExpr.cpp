// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Expressions over the rows of a query tile: construction with simplification, evaluation,
// printing.
#include "attnc/Analysis/KeyRanges.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace attnc;
using Kind = RowExpr::Kind;
using Ref = RowExpr::Ref;

static int64_t floorDiv(int64_t a, int64_t b) {
  if (b == 0)
    return 0; // the mask divides by zero too; any bound is as good
  int64_t quotient = a / b;
  return quotient - ((a % b != 0) && ((a < 0) != (b < 0)));
}

static int64_t apply(Kind kind, int64_t a, int64_t b) {
  switch (kind) {
  case Kind::Add:
    return a + b;
  case Kind::Sub:
    return a - b;
  case Kind::Mul:
    return a * b;
  case Kind::FloorDiv:
    return floorDiv(a, b);
  case Kind::Min:
    return std::min(a, b);
  case Kind::Max:
    return std::max(a, b);
  default:
    return 0;
  }
}

Ref RowExpr::makeConstant(int64_t value) {
  auto node = std::make_shared<RowExpr>();
  node->kind = Kind::Constant;
  node->constant = value;
  return node;
}

Ref RowExpr::makeLeaf(Kind kind) {
  auto node = std::make_shared<RowExpr>();
  node->kind = kind;
  return node;
}

Ref RowExpr::makeUniform(mlir::Value value) {
  auto node = std::make_shared<RowExpr>();
  node->kind = Kind::Uniform;
  node->uniform = value;
  return node;
}

Ref RowExpr::make(Kind kind, Ref lhs, Ref rhs) {
  if (lhs->kind == Kind::Constant && rhs->kind == Kind::Constant)
    return makeConstant(apply(kind, lhs->constant, rhs->constant));
  if (kind == Kind::Add && lhs->isConstant(0))
    return rhs;
  if ((kind == Kind::Add || kind == Kind::Sub) && rhs->isConstant(0))
    return lhs;
  if ((kind == Kind::Mul || kind == Kind::FloorDiv) && rhs->isConstant(1))
    return lhs;
  if (kind == Kind::Mul && lhs->isConstant(1))
    return rhs;
  // a - (b * -1) = a + b and a + (b * -1) = a - b: peeling works with negated terms.
  bool negated = rhs->kind == Kind::Mul && rhs->rhs->isConstant(-1);
  if (kind == Kind::Sub && negated)
    return make(Kind::Add, lhs, rhs->lhs);
  if (kind == Kind::Add && negated)
    return make(Kind::Sub, lhs, rhs->lhs);
  // a - (b - c) = (a - b) + c for a constant a.
  if (kind == Kind::Sub && lhs->kind == Kind::Constant && rhs->kind == Kind::Sub)
    return make(Kind::Add, make(Kind::Sub, rhs->rhs, rhs->lhs), lhs);
  if (kind == Kind::Sub && lhs->kind == Kind::Constant && rhs->kind == Kind::Add &&
      rhs->rhs->kind == Kind::Constant)
    return make(Kind::Sub, makeConstant(lhs->constant - rhs->rhs->constant), rhs->lhs);
  // (x + c1) + c2 and friends, so that printed bounds are short.
  if (kind == Kind::Sub && rhs->kind == Kind::Constant)
    return make(Kind::Add, lhs, makeConstant(-rhs->constant));
  if (kind == Kind::Add && rhs->kind == Kind::Constant && lhs->kind == Kind::Add &&
      lhs->rhs->kind == Kind::Constant)
    return make(Kind::Add, lhs->lhs, makeConstant(lhs->rhs->constant + rhs->constant));
  if ((kind == Kind::Min || kind == Kind::Max) && lhs == rhs)
    return lhs;
  auto node = std::make_shared<RowExpr>();
  node->kind = kind;
  node->lhs = std::move(lhs);
  node->rhs = std::move(rhs);
  return node;
}

Ref RowExpr::makeSelect(mlir::Value condition, Ref thenValue, Ref elseValue) {
  auto node = std::make_shared<RowExpr>();
  node->kind = Kind::Select;
  node->uniform = condition;
  node->lhs = std::move(thenValue);
  node->rhs = std::move(elseValue);
  return node;
}

Ref RowExpr::makeIfPositive(Ref condition, Ref thenValue, Ref elseValue) {
  if (condition->kind == Kind::Constant)
    return condition->constant > 0 ? thenValue : elseValue;
  bool sameLeaf = thenValue->kind == elseValue->kind &&
                  thenValue->constant == elseValue->constant &&
                  (thenValue->kind == Kind::Constant || thenValue->kind == Kind::KeyCount);
  if (sameLeaf)
    return thenValue;
  auto node = std::make_shared<RowExpr>();
  node->kind = Kind::IfPositive;
  node->condition = std::move(condition);
  node->lhs = std::move(thenValue);
  node->rhs = std::move(elseValue);
  return node;
}

int64_t RowExpr::evaluate(int64_t firstRow, int64_t lastRow, int64_t queryCount, int64_t keyCount,
                          llvm::function_ref<int64_t(mlir::Value)> uniformValue) const {
  auto recurse = [&](const Ref &e) {
    return e->evaluate(firstRow, lastRow, queryCount, keyCount, uniformValue);
  };
  switch (kind) {
  case Kind::Constant:
    return constant;
  case Kind::Uniform:
    return uniformValue(uniform);
  case Kind::FirstRow:
    return firstRow;
  case Kind::LastRow:
    return lastRow;
  case Kind::KeyCount:
    return keyCount;
  case Kind::QueryCount:
    return queryCount;
  case Kind::Select:
    return uniformValue(uniform) ? recurse(lhs) : recurse(rhs);
  case Kind::IfPositive:
    return recurse(condition) > 0 ? recurse(lhs) : recurse(rhs);
  default:
    return apply(kind, recurse(lhs), recurse(rhs));
  }
}

/// What a person calls a uniform value: the expression of the spec that it comes from.
static std::string nameOf(mlir::Value value) {
  using namespace mlir;
  if (auto arg = dyn_cast<BlockArgument>(value))
    return arg.getArgNumber() == 0 ? "b" : "h";
  Operation *op = value.getDefiningOp();
  IntegerAttr number;
  if (matchPattern(value, m_Constant(&number)))
    return std::to_string(number.getInt());
  auto binary = [&](const char *text) {
    return "(" + nameOf(op->getOperand(0)) + text + nameOf(op->getOperand(1)) + ")";
  };
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case<attn::ParamOp>([](attn::ParamOp param) { return param.getName().str(); })
      .Case<attn::SizeOp>([](attn::SizeOp size) { return "size(" + size.getSpace().str() + ")"; })
      .Case<attn::ReadOp>([](attn::ReadOp read) {
        std::string text = "tensor[";
        if (auto input = read.getTensor().getDefiningOp<attn::InputOp>())
          text = input.getName().str() + "[";
        for (auto [i, index] : llvm::enumerate(read.getIndices()))
          text += (i ? ", " : "") + nameOf(index);
        return text + "]";
      })
      .Case<arith::AddIOp>([&](auto) { return binary(" + "); })
      .Case<arith::SubIOp>([&](auto) { return binary(" - "); })
      .Case<arith::MulIOp>([&](auto) { return binary(" * "); })
      .Case<arith::FloorDivSIOp>([&](auto) { return binary(" / "); })
      .Case<arith::SelectOp>([](arith::SelectOp select) {
        // A divisor that is guarded against zero reads as the divisor.
        return nameOf(select.getFalseValue());
      })
      .Default([](Operation *other) { return "<" + other->getName().getStringRef().str() + ">"; });
}

std::string RowExpr::str() const {
  auto binary = [&](const char *op) { return "(" + lhs->str() + op + rhs->str() + ")"; };
  switch (kind) {
  case Kind::Constant:
    return std::to_string(constant);
  case Kind::Uniform:
    return nameOf(uniform);
  case Kind::FirstRow:
    return "first";
  case Kind::LastRow:
    return "last";
  case Kind::KeyCount:
    return "size(kv)";
  case Kind::QueryCount:
    return "size(q)";
  case Kind::Add:
    if (rhs->kind == Kind::Constant && rhs->constant < 0)
      return "(" + lhs->str() + " - " + std::to_string(-rhs->constant) + ")";
    return binary(" + ");
  case Kind::Sub:
    return binary(" - ");
  case Kind::Mul:
    return binary(" * ");
  case Kind::FloorDiv:
    return binary(" / ");
  case Kind::Min:
    return "min(" + lhs->str() + ", " + rhs->str() + ")";
  case Kind::Max:
    return "max(" + lhs->str() + ", " + rhs->str() + ")";
  case Kind::IfPositive:
    return "(if " + condition->str() + " > 0 then " + lhs->str() + " else " + rhs->str() + ")";
  case Kind::Select:
    return "(if " + nameOf(uniform) + " then " + lhs->str() + " else " + rhs->str() + ")";
  }
  return "?";
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A reverse sweep over the ops of a block: each op hands its adjoint to its operands by the rule of
// its function.
#include "ScalarDerivative.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace {
class Sweep {
public:
  Sweep(OpBuilder &builder, const IRMapping &mapping) : b(builder), mapping(mapping) {}

  FailureOr<Value> run(Value value, Value target) {
    loc = value.getLoc();
    markDependents(target, target.getParentBlock());
    if (!depends.contains(value))
      return constant(0.0);
    adjoints[value] = constant(1.0);
    if (value == target)
      return adjoints[value];
    for (Operation &op : llvm::reverse(*target.getParentBlock())) {
      if (op.getNumResults() != 1 || !adjoints.count(op.getResult(0)) || op.getResult(0) == target)
        continue;
      if (failed(propagate(&op, adjoints[op.getResult(0)])))
        return failure();
    }
    auto it = adjoints.find(target);
    return it == adjoints.end() ? constant(0.0) : it->second;
  }

private:
  void markDependents(Value target, Block *block) {
    depends.insert(target);
    for (Operation &op : *block)
      if (op.getNumRegions() == 0 &&
          llvm::any_of(op.getOperands(), [&](Value v) { return depends.contains(v); }))
        depends.insert(op.getResults().begin(), op.getResults().end());
  }

  Value at(Value original) { return mapping.lookupOrDefault(original); }
  Value constant(double v) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(static_cast<float>(v)));
  }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
  Value neg(Value x) { return arith::NegFOp::create(b, loc, x); }
  Value select(Value c, Value x, Value y) { return arith::SelectOp::create(b, loc, c, x, y); }
  Value compare(arith::CmpFPredicate p, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, p, x, y);
  }

  void give(Value operand, Value adjoint) {
    if (!depends.contains(operand))
      return;
    Value &total = adjoints[operand];
    total = total ? arith::AddFOp::create(b, loc, total, adjoint).getResult() : adjoint;
  }

  LogicalResult propagate(Operation *op, Value a) {
    loc = op->getLoc();
    Value x = op->getNumOperands() ? op->getOperand(0) : Value(),
          y = op->getNumOperands() > 1 ? op->getOperand(1) : Value();
    Value r = at(op->getResult(0));
    // The function's factor for its one operand.
    auto unary = [&](Value factor) { give(x, mul(a, factor)); };
    llvm::TypeSwitch<Operation *, void>(op)
        .Case<arith::AddFOp>([&](auto) { give(x, a), give(y, a); })
        .Case<arith::SubFOp>([&](auto) { give(x, a), give(y, neg(a)); })
        .Case<arith::MulFOp>([&](auto) { give(x, mul(a, at(y))), give(y, mul(a, at(x))); })
        .Case<arith::DivFOp>(
            [&](auto) { give(x, div(a, at(y))), give(y, neg(div(mul(a, r), at(y)))); })
        .Case<arith::NegFOp>([&](auto) { give(x, neg(a)); })
        .Case<arith::MaximumFOp, arith::MaxNumFOp>(
            [&](auto) { giveLarger(x, y, a, arith::CmpFPredicate::OGE); })
        .Case<arith::MinimumFOp, arith::MinNumFOp>(
            [&](auto) { giveLarger(x, y, a, arith::CmpFPredicate::OLE); })
        .Case<arith::SelectOp>([&](arith::SelectOp s) {
          Value zero = constant(0.0), c = at(s.getCondition());
          give(s.getTrueValue(), select(c, a, zero));
          give(s.getFalseValue(), select(c, zero, a));
        })
        .Case<math::ExpOp>([&](auto) { unary(r); })
        .Case<math::Exp2Op>([&](auto) { unary(mul(r, constant(0.6931471805599453))); })
        .Case<math::LogOp>([&](auto) { give(x, div(a, at(x))); })
        .Case<math::Log2Op>(
            [&](auto) { give(x, div(a, mul(at(x), constant(0.6931471805599453)))); })
        .Case<math::SqrtOp>([&](auto) { give(x, div(mul(a, constant(0.5)), r)); })
        .Case<math::RsqrtOp>([&](auto) { give(x, mul(mul(a, constant(-0.5)), div(r, at(x)))); })
        .Case<math::TanhOp>(
            [&](auto) { unary(arith::SubFOp::create(b, loc, constant(1.0), mul(r, r))); })
        .Case<math::SinOp>([&](auto) { unary(math::CosOp::create(b, loc, at(x))); })
        .Case<math::CosOp>([&](auto) { unary(neg(math::SinOp::create(b, loc, at(x)))); })
        .Case<math::ErfOp>([&](auto) {
          // d erf(x) / dx = 2 / sqrt(pi) * exp(-x^2)
          unary(mul(constant(2 / std::sqrt(M_PI)),
                    math::ExpOp::create(b, loc, neg(mul(at(x), at(x))))));
        })
        .Case<math::AbsFOp>([&](auto) {
          Value zero = constant(0.0);
          Value below =
              select(compare(arith::CmpFPredicate::OLT, at(x), zero), constant(-1.0), zero);
          unary(select(compare(arith::CmpFPredicate::OGT, at(x), zero), constant(1.0), below));
        })
        .Case<math::PowFOp>([&](auto) {
          Value lowered = math::PowFOp::create(b, loc, at(x),
                                               arith::SubFOp::create(b, loc, at(y), constant(1.0)));
          give(x, mul(a, mul(at(y), lowered)));
          if (depends.contains(y))
            give(y, mul(a, mul(r, math::LogOp::create(b, loc, at(x)))));
        })
        .Case<math::FloorOp, math::CeilOp, math::RoundEvenOp, arith::UIToFPOp, arith::SIToFPOp>(
            [&](auto) {})
        .Default([&](Operation *) { hasRule = false; });
    return success(hasRule);
  }

  void giveLarger(Value x, Value y, Value a, arith::CmpFPredicate predicate) {
    Value zero = constant(0.0), first = compare(predicate, at(x), at(y));
    give(x, select(first, a, zero));
    give(y, select(first, zero, a));
  }

  OpBuilder &b;
  const IRMapping &mapping;
  Location loc = UnknownLoc::get(b.getContext());
  llvm::DenseSet<Value> depends;
  llvm::DenseMap<Value, Value> adjoints;
  bool hasRule = true;
};
} // namespace

FailureOr<Value> attnc::deriveScalar(OpBuilder &builder, Value value, Value target,
                                     const IRMapping &mapping) {
  return Sweep(builder, mapping).run(value, target);
}

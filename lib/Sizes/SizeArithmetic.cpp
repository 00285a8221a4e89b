// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Walks the definitions of a scalar and writes them down in postfix order. What is used twice is
// written twice: extents are short.
#include "attnc/Sizes/SizeArithmetic.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace attnc;
using namespace mlir;
using Step = SizeStep::Op;

namespace {
class FormulaWriter {
public:
  FormulaWriter(ArithmeticOf owner, llvm::function_ref<std::optional<SizeStep>(Value)> leaf,
                SizeFormula &formula)
      : owner(owner), leaf(leaf), formula(formula) {}

  FormulaProblem write(Value value) {
    if (depth >= maxFormulaSteps)
      return FormulaProblem::TooLong;
    ++depth;
    FormulaProblem problem = writeSteps(value);
    --depth;
    return problem;
  }

private:
  FormulaProblem writeSteps(Value value) {
    if (std::optional<SizeStep> step = leaf(value))
      return push(*step);
    Operation *op = value.getDefiningOp();
    if (!op)
      return FormulaProblem::NoArithmetic;
    return llvm::TypeSwitch<Operation *, FormulaProblem>(op)
        .Case([&](arith::ConstantOp constant) { return writeConstant(constant.getValue()); })
        .Case([&](arith::CmpIOp compare) { return writeComparison(compare); })
        .Case([&](arith::CmpFOp compare) { return writeComparison(compare); })
        .Case([&](arith::NegFOp negation) {
          FormulaProblem problem = push({Step::Real, 0, -0.0});
          return problem != FormulaProblem::None ? problem : writeOp(op, Step::Sub);
        })
        .Case(
            [&](arith::ExtUIOp) { return writeAsNumber(op, {Step::Number, 1}, {Step::Number, 0}); })
        .Case([&](arith::UIToFPOp) {
          return writeAsNumber(op, {Step::Real, 0, 1}, {Step::Real, 0, 0});
        })
        .Case<arith::ExtFOp, arith::ExtSIOp>([&](auto) { return write(op->getOperand(0)); })
        .Case([&](arith::TruncIOp) {
          FormulaProblem problem = write(op->getOperand(0));
          return problem != FormulaProblem::None ? problem : wrap();
        })
        .Default([&](Operation *) {
          std::optional<Step> step = stepOf(op);
          return step ? writeOp(op, *step) : FormulaProblem::NoArithmetic;
        });
  }

  FormulaProblem push(SizeStep step) {
    formula.push_back(step);
    return formula.size() <= maxFormulaSteps ? FormulaProblem::None : FormulaProblem::TooLong;
  }

  /// The operation of the steps that is `op`, of the same operands.
  static std::optional<Step> stepOf(Operation *op) {
    bool isCondition = op->getResult(0).getType().isInteger(1);
    return llvm::TypeSwitch<Operation *, std::optional<Step>>(op)
        .Case<arith::AddIOp, arith::AddFOp>([](auto) { return Step::Add; })
        .Case<arith::SubIOp, arith::SubFOp>([](auto) { return Step::Sub; })
        .Case<arith::MulIOp, arith::MulFOp>([](auto) { return Step::Mul; })
        .Case<arith::MinSIOp, arith::MinimumFOp>([](auto) { return Step::Min; })
        .Case<arith::MaxSIOp, arith::MaximumFOp>([](auto) { return Step::Max; })
        .Case([](arith::MinNumFOp) { return Step::MinNumber; })
        .Case([](arith::MaxNumFOp) { return Step::MaxNumber; })
        .Case([](arith::FloorDivSIOp) { return Step::FloorDiv; })
        .Case([](arith::CeilDivSIOp) { return Step::CeilDiv; })
        .Case([](arith::DivFOp) { return Step::Div; })
        .Case([](arith::SelectOp) { return Step::Select; })
        .Case([](math::FloorOp) { return Step::Floor; })
        .Case([](math::CeilOp) { return Step::Ceil; })
        .Case([](arith::SIToFPOp) { return Step::ToReal; })
        .Case([](arith::FPToSIOp) { return Step::ToWhole; })
        .Case([](arith::TruncFOp) { return Step::ToF32; })
        .Case([&](arith::AndIOp) { return isCondition ? Step::And : Step::BitAnd; })
        .Case([&](arith::OrIOp) { return isCondition ? Step::Or : Step::BitOr; })
        .Case([&](arith::XOrIOp) { return isCondition ? Step::Xor : Step::BitXor; })
        .Case([](arith::ShLIOp) { return Step::ShiftLeft; })
        .Case([](arith::ShRSIOp) { return Step::ShiftRight; })
        .Default([](Operation *) { return std::nullopt; });
  }

  FormulaProblem writeConstant(Attribute value) {
    if (auto real = dyn_cast<FloatAttr>(value))
      return push({Step::Real, 0, real.getValueAsDouble()});
    auto whole = dyn_cast<IntegerAttr>(value);
    if (!whole)
      return FormulaProblem::NoArithmetic;
    bool isCondition = whole.getType().isInteger(1);
    int64_t number =
        isCondition ? whole.getValue().getZExtValue() : whole.getValue().getSExtValue();
    FormulaProblem problem = push({Step::Number, number});
    return problem == FormulaProblem::None && isCondition
               ? pushAll({{Step::Number, 1}, {Step::Equal}})
               : problem;
  }

  FormulaProblem pushAll(std::initializer_list<SizeStep> steps) {
    for (const SizeStep &step : steps)
      if (FormulaProblem problem = push(step); problem != FormulaProblem::None)
        return problem;
    return FormulaProblem::None;
  }

  FormulaProblem writeAll(std::initializer_list<Value> values) {
    for (Value value : values)
      if (FormulaProblem problem = write(value); problem != FormulaProblem::None)
        return problem;
    return FormulaProblem::None;
  }

  FormulaProblem writeOp(Operation *op, Step step) {
    for (Value operand : op->getOperands())
      if (FormulaProblem problem = write(operand); problem != FormulaProblem::None)
        return problem;
    if (FormulaProblem problem = push({step}); problem != FormulaProblem::None)
      return problem;
    bool isRounded = op->getResult(0).getType().isF32() && owner == ArithmeticOf::Program &&
                     step != Step::ToF32 && step != Step::Select;
    if (isRounded)
      return push({Step::ToF32});
    return owner == ArithmeticOf::Spec && canLeaveInt32(op) ? wrap() : FormulaProblem::None;
  }

  /// The low 32 bits of a whole number, which has 64: (x + 2^31) mod 2^32 - 2^31. What is computed
  /// of 32 bits by one operation is far from the ends of 64.
  FormulaProblem wrap() {
    constexpr int64_t half = int64_t(1) << 31;
    return pushAll({{Step::Number, half},
                    {Step::Add},
                    {Step::Number, 2 * half - 1},
                    {Step::BitAnd},
                    {Step::Number, half},
                    {Step::Sub}});
  }

  /// A condition as the number `yes` or `no`.
  FormulaProblem writeAsNumber(Operation *op, SizeStep yes, SizeStep no) {
    if (!op->getOperand(0).getType().isInteger(1))
      return FormulaProblem::NoArithmetic;
    FormulaProblem problem = write(op->getOperand(0));
    return problem == FormulaProblem::None ? pushAll({yes, no, {Step::Select}}) : problem;
  }

  FormulaProblem writeComparison(arith::CmpIOp op) {
    using Predicate = arith::CmpIPredicate;
    if (op.getLhs().getType().isInteger(1))
      return FormulaProblem::NoArithmetic;
    switch (op.getPredicate()) {
    case Predicate::eq:
    case Predicate::ne:
      return compare(op.getLhs(), op.getRhs(), Step::Equal, op.getPredicate() == Predicate::ne);
    case Predicate::slt:
      return compare(op.getLhs(), op.getRhs(), Step::Less, false);
    case Predicate::sle:
      return compare(op.getLhs(), op.getRhs(), Step::LessEqual, false);
    case Predicate::sgt:
      return compare(op.getRhs(), op.getLhs(), Step::Less, false);
    case Predicate::sge:
      return compare(op.getRhs(), op.getLhs(), Step::LessEqual, false);
    default:
      return FormulaProblem::NoArithmetic;
    }
  }

  /// The comparisons that the language has: those with NaN are false, and `!=` is true.
  FormulaProblem writeComparison(arith::CmpFOp op) {
    using Predicate = arith::CmpFPredicate;
    switch (op.getPredicate()) {
    case Predicate::OEQ:
    case Predicate::UNE:
      return compare(op.getLhs(), op.getRhs(), Step::Equal, op.getPredicate() == Predicate::UNE);
    case Predicate::OLT:
      return compare(op.getLhs(), op.getRhs(), Step::Less, false);
    case Predicate::OLE:
      return compare(op.getLhs(), op.getRhs(), Step::LessEqual, false);
    case Predicate::OGT:
      return compare(op.getRhs(), op.getLhs(), Step::Less, false);
    case Predicate::OGE:
      return compare(op.getRhs(), op.getLhs(), Step::LessEqual, false);
    default:
      return FormulaProblem::NoArithmetic;
    }
  }

  FormulaProblem compare(Value lhs, Value rhs, Step step, bool isNegated) {
    FormulaProblem problem = writeAll({lhs, rhs});
    if (problem == FormulaProblem::None)
      problem = push({step});
    return problem == FormulaProblem::None && isNegated
               ? pushAll({{Step::Number, 1}, {Step::Number, 1}, {Step::Equal}, {Step::Xor}})
               : problem;
  }

  ArithmeticOf owner;
  llvm::function_ref<std::optional<SizeStep>(Value)> leaf;
  SizeFormula &formula;
  size_t depth = 0; ///< of operations in operands
};
} // namespace

bool attnc::canLeaveInt32(Operation *op) {
  if (!op->getResult(0).getType().isInteger(32))
    return false;
  if (isa<arith::FloorDivSIOp, arith::CeilDivSIOp>(op)) { // the least number by -1 does
    APInt dividend, divisor;
    bool isOther = matchPattern(op->getOperand(1), m_ConstantInt(&divisor)) && !divisor.isAllOnes();
    bool isMore =
        matchPattern(op->getOperand(0), m_ConstantInt(&dividend)) && !dividend.isMinSignedValue();
    return !isOther && !isMore;
  }
  return isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::ShLIOp>(op);
}

FormulaProblem attnc::appendFormula(Value value, ArithmeticOf owner,
                                    llvm::function_ref<std::optional<SizeStep>(Value)> leaf,
                                    SizeFormula &formula) {
  return FormulaWriter(owner, leaf, formula).write(value);
}

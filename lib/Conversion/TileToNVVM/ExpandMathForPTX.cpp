// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// expand-math-for-ptx: functions that PTX has no instruction for, in terms of those it has.
//
// PTX offers ex2, lg2, rcp, rsqrt, sin and cos as approximations of 1 to 2 ulp (PTX ISA, "Floating
// Point Instructions"); NVPTX would otherwise call a library that is not linked. Errors, for f32:
//
//   exp(x)  = ex2(x log2 e)                  2 ulp, plus |x| 2^-24 from the product
//   tanh    a quotient of polynomials         relative error below 5e-7
//   a / b   = (a * rcp(b s)) s, s = 1/4 for |b| > 2^126, else 1   2 ulp
//             a * rcp(b) where |a| <= 1 is a constant, or |b| is known to be at most 2^126
//             a subnormal a, b or quotient counts as 0, as everywhere in PTX
//   sin, cos  after a reduction by 2 pi in three parts; absolute error below 1e-6 for |x| < 1e6
//   pow(x, y) = ex2(y log2 |x|), both in two f32 numbers each   3 ulp; for x < 0 the sign follows
//   an
//             integral y, else NaN
#include "attnc/Conversion/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_EXPANDMATHFORPTX
#include "attnc/Conversion/Passes.h.inc"

namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kLn2 = 0.6931471805599453;

class Expander {
public:
  explicit Expander(Operation *op) : b(op), loc(op->getLoc()) {}

  /// The replacement of `op`'s result, or null if it has an instruction.
  Value expand(Operation *op) {
    return llvm::TypeSwitch<Operation *, Value>(op)
        .Case<math::ExpOp>([&](auto o) { return exp(o.getOperand()); })
        .Case<math::LogOp>([&](auto o) { return mul(log2(o.getOperand()), constant(kLn2)); })
        .Case<math::Log2Op>([&](auto o) { return log2(o.getOperand()); })
        .Case<math::TanhOp>([&](auto o) { return tanh(o.getOperand()); })
        .Case<math::RsqrtOp>(
            [&](auto o) { return intrinsic("llvm.nvvm.rsqrt.approx.ftz.f", o.getOperand()); })
        .Case<math::SinOp>(
            [&](auto o) { return intrinsic("llvm.nvvm.sin.approx.ftz.f", reduce(o.getOperand())); })
        .Case<math::CosOp>(
            [&](auto o) { return intrinsic("llvm.nvvm.cos.approx.ftz.f", reduce(o.getOperand())); })
        .Case<math::PowFOp>([&](auto o) { return pow(o.getLhs(), o.getRhs()); })
        .Case<arith::DivFOp>([&](auto o) { return divide(o.getLhs(), o.getRhs()); })
        .Case<arith::FloorDivSIOp>([&](auto o) { return floorDiv(o.getLhs(), o.getRhs()); })
        .Default([](auto) { return Value(); });
  }

private:
  Value constant(double v) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(v)); }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value fma(Value x, Value y, Value z) { return math::FmaOp::create(b, loc, x, y, z); }
  /// x / y where 1 / y is neither 0 nor an infinity of `rcp`.
  Value quotient(Value x, Value y) { return mul(x, rcp(y)); }
  /// `rcp` flushes the inverse of what is beyond 2^126 to 0, as `div.approx` does; of a quarter of
  /// it, it does not. The inverse and the scale stay factors of their own, which leave loops and
  /// are shared where divisors are the same: `div.full`, which is right as well, would be neither.
  /// Where the quotient of all such divisors is flushed itself, as where rows are normalized,
  /// nothing is lost without.
  Value divide(Value x, Value y) {
    FloatAttr known;
    if (matchPattern(x, m_Constant(&known)) && std::abs(known.getValueAsDouble()) <= 1)
      return quotient(x, y);
    if (matchPattern(y, m_Constant(&known)) && std::abs(known.getValueAsDouble()) <= 0x1p126)
      return quotient(x, y);
    if (y.getDefiningOp<arith::SIToFPOp>() || y.getDefiningOp<arith::UIToFPOp>())
      return quotient(x, y);
    Value magnitude = math::AbsFOp::create(b, loc, y);
    Value isLarge = compare(arith::CmpFPredicate::OGT, magnitude, constant(0x1p126));
    Value scale = select(isLarge, constant(0.25), constant(1.0));
    return mul(quotient(x, mul(y, scale)), scale);
  }
  Value exp2(Value x) { return math::Exp2Op::create(b, loc, x); }
  Value compare(arith::CmpFPredicate p, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, p, x, y);
  }
  Value select(Value c, Value x, Value y) { return arith::SelectOp::create(b, loc, c, x, y); }
  Value intrinsic(llvm::StringRef name, Value x) {
    return LLVM::CallIntrinsicOp::create(b, loc, x.getType(), b.getStringAttr(name), ValueRange(x))
        .getResult(0);
  }
  Value rcp(Value x) { return intrinsic("llvm.nvvm.rcp.approx.ftz.f", x); }
  Value log2(Value x) { return intrinsic("llvm.nvvm.lg2.approx.ftz.f", x); }
  Value exp(Value x) { return exp2(mul(x, constant(kLog2E))); }
  /// x P(z) / Q(z) with z = min(x^2, 9.02^2), cut off at -1 and 1; NaN stays NaN. Of relative
  /// accuracy, where 1 - 2 / (e^2x + 1) has lost all digits near 0, and with one function of the
  /// slow kind in place of two. The coefficients minimize the largest relative error on [0, 9.02]
  /// for these degrees, 6.5e-8 before rounding.
  Value tanh(Value x) {
    constexpr double p[] = {1.8763369330487834e-11, -1.301422880573e-08, 9.357831913803238e-06,
                            0.0029318039305508137,  0.129300057888031,   1.0};
    constexpr double q[] = {0.00022955553140491247, 0.02380983904004097, 0.46263331174850464, 1.0};
    Value z = arith::MinNumFOp::create(b, loc, mul(x, x), constant(81.3604));
    auto polynomial = [&](ArrayRef<double> highestFirst) {
      Value sum = constant(highestFirst.front());
      for (double c : highestFirst.drop_front())
        sum = fma(sum, z, constant(c));
      return sum;
    };
    Value ratio = quotient(mul(x, polynomial(p)), polynomial(q)); // Q lies between 1 and 500
    Value above = arith::MaximumFOp::create(b, loc, ratio, constant(-1.0));
    return arith::MinimumFOp::create(b, loc, above, constant(1.0));
  }
  Value reduce(Value x) {
    Value turns = math::RoundEvenOp::create(b, loc, mul(x, constant(0.15915494309189535)));
    // 2 pi in three parts: the first has 8 bits, the second is the f32 next to what is left.
    Value r = fma(turns, constant(-6.28125), x);
    r = fma(turns, constant(-0.0019353071693331003), r);
    return fma(turns, constant(-1.0253376489868793e-11), r);
  }
  /// A number as the sum of two, the second of which is at most half a unit in the last place of
  /// the first: 48 bits.
  struct Pair {
    Value high, low;
  };
  /// x + y, where |x| >= |y| or x is 0.
  Pair sum(Value x, Value y) {
    Value high = add(x, y);
    return {high, sub(y, sub(high, x))};
  }
  /// log2 x of a normal x > 0, with an absolute error of 1e-9 of |log2 x|. x is 2^e m with m
  /// between the roots of 1/2 and 2, and ln m = 2 atanh q with q = (m - 1) / (m + 1), q and its
  /// powers as pairs. The coefficients are those of atanh, the last one made up for the terms left
  /// out.
  Pair exactLog2(Value x) {
    Type i32 = b.getI32Type(), f32 = b.getF32Type();
    auto integer = [&](int32_t v) -> Value {
      return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
    };
    Value bits = arith::BitcastOp::create(b, loc, i32, x);
    Value above = arith::SubIOp::create(b, loc, bits, integer(0x3f3504f3)); // of the root of 1/2
    Value shifted = arith::AndIOp::create(b, loc, above, integer(int32_t(0xff800000)));
    Value m = arith::BitcastOp::create(b, loc, f32, arith::SubIOp::create(b, loc, bits, shifted));
    Value e = mul(arith::SIToFPOp::create(b, loc, f32, shifted), constant(0x1p-23));
    Value r = rcp(add(m, constant(1.0)));
    m = sub(m, constant(1.0));
    Value q = mul(r, m);
    Value negated = negate(q);
    Value qLow = mul(r, fma(negated, m, fma(q, constant(-2.0), m)));
    Value square = mul(q, q);
    Value squareLow = fma(q, add(qLow, qLow), fma(q, q, negate(square)));
    Value cube = mul(square, q);
    Value cubeLow = fma(square, qLow, fma(squareLow, q, fma(square, q, negate(cube))));
    Value series = constant(0.1293334961);
    for (double c : {0.1419928074, 0.2000148296, 0.3333332539})
      series = fma(series, square, constant(c));
    Value tail = fma(series, cube, fma(series, cubeLow, qLow));
    // Twice that, times log2 e, which is the sum of two numbers too.
    Value log2E = constant(kLog2E), twice = add(q, q);
    Value high = mul(twice, log2E);
    Value low = fma(twice, log2E, negate(high));
    low = fma(twice, constant(kLog2E - static_cast<double>(static_cast<float>(kLog2E))), low);
    low = fma(add(tail, tail), log2E, low);
    Pair fraction = sum(high, low), all = sum(e, fraction.high);
    return {all.high, add(all.low, fraction.low)};
  }
  Value negate(Value x) { return arith::NegFOp::create(b, loc, x); }
  /// The product y log2 |x| has to be known to 2^-24, however large it is: its rounding, and that
  /// of the logarithm, are what a product of two f32 numbers would lose.
  Value pow(Value x, Value y) {
    Value zero = constant(0.0), one = constant(1.0);
    Value infinity = constant(std::numeric_limits<double>::infinity());
    Value magnitude = math::AbsFOp::create(b, loc, x);
    Pair log = exactLog2(magnitude);
    // Of 0, and of what counts as 0, infinity and NaN.
    Value isFinite = compare(arith::CmpFPredicate::OLT, magnitude, infinity);
    Value isZero = compare(arith::CmpFPredicate::OLT, magnitude, constant(0x1p-126));
    Value logarithm = select(isFinite, select(isZero, negate(infinity), log.high), magnitude);
    Value high = mul(logarithm, y);
    Value low = fma(log.low, y, fma(logarithm, y, negate(high)));
    Value result = exp2(high);
    Value isInside =
        compare(arith::CmpFPredicate::OLT, math::AbsFOp::create(b, loc, high), constant(128.0));
    result = select(isInside, fma(result, mul(low, constant(kLn2)), result), result);
    result = select(compare(arith::CmpFPredicate::OEQ, magnitude, one), one, result);
    Value half = mul(y, constant(0.5));
    Value even = compare(arith::CmpFPredicate::OEQ, math::FloorOp::create(b, loc, half), half);
    Value whole = compare(arith::CmpFPredicate::OEQ, math::FloorOp::create(b, loc, y), y);
    Value odd = select(even, result, negate(result));
    Value nan = constant(std::numeric_limits<double>::quiet_NaN());
    Value negative = select(whole, odd, select(isFinite, nan, result));
    result = select(compare(arith::CmpFPredicate::OLT, x, zero), negative, result);
    Value isOne = arith::OrIOp::create(b, loc, compare(arith::CmpFPredicate::OEQ, y, zero),
                                       compare(arith::CmpFPredicate::OEQ, x, one));
    return select(isOne, one, result);
  }
  Value floorDiv(Value x, Value y) {
    Type type = x.getType();
    auto integer = [&](int64_t v) -> Value {
      return arith::ConstantOp::create(b, loc, IntegerAttr::get(type, v));
    };
    IntegerAttr known;
    if (matchPattern(y, m_Constant(&known)) && known.getValue().isStrictlyPositive() &&
        known.getValue().isPowerOf2())
      return arith::ShRSIOp::create(b, loc, x, integer(known.getValue().logBase2()));
    // Divisors that the op leaves undefined have a value here: x / 0 is 0, and x / -1 wraps around.
    // Both divide by 1 instead and multiply the result.
    Value factor;
    if (!matchPattern(y, m_Constant(&known)) || known.getValue().isZero() ||
        known.getValue().isAllOnes()) {
      auto equals = [&](int64_t value) -> Value {
        return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, y, integer(value));
      };
      Value isZero = equals(0), isNegation = equals(-1);
      factor = select(isZero, integer(0), select(isNegation, integer(-1), integer(1)));
      y = select(arith::OrIOp::create(b, loc, isZero, isNegation), integer(1), y);
    }
    Value quotient = arith::DivSIOp::create(b, loc, x, y);
    Value rest = arith::SubIOp::create(b, loc, x, arith::MulIOp::create(b, loc, quotient, y));
    Value inexact = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, rest, integer(0));
    Value signs = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                        arith::XOrIOp::create(b, loc, rest, y), integer(0));
    Value down = arith::AndIOp::create(b, loc, inexact, signs);
    quotient = arith::SubIOp::create(b, loc, quotient, arith::ExtUIOp::create(b, loc, type, down));
    return factor ? arith::MulIOp::create(b, loc, quotient, factor).getResult() : quotient;
  }

  OpBuilder b;
  Location loc;
};

struct ExpandMathForPTX : impl::ExpandMathForPTXBase<ExpandMathForPTX> {
  using ExpandMathForPTXBase::ExpandMathForPTXBase;

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (op->getNumResults() == 1 && isa<arith::ArithDialect, math::MathDialect>(op->getDialect()))
        ops.push_back(op);
    });
    for (Operation *op : ops)
      if (Value replacement = Expander(op).expand(op)) {
        op->getResult(0).replaceAllUsesWith(replacement);
        op->erase();
      }
  }
};

} // namespace
} // namespace attnc

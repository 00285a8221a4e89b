// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sine and cosine. x is reduced to r in [-pi/4, pi/4] and a number of quarter turns in f64: a
// rotary embedding takes the sine of a position, and positions are large. Beyond 2^40, where two
// doubles of pi/2 no longer do, the C library takes over for the whole vector. What r makes is
// computed in f32: relative error below 3e-7.
#include "MathExpansion.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Arithmetic in f64, on as many lanes as `like` has.
class Wide {
public:
  Wide(Emitter &e, Value like) : e(e), type(e.b.getF64Type()) {
    if (auto vector = dyn_cast<VectorType>(like.getType()))
      type = VectorType::get(vector.getShape(), type);
  }
  Value constant(double value) {
    auto scalar = e.b.getF64FloatAttr(value);
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(e.b, e.loc,
                                       DenseElementsAttr::get(vector, Attribute(scalar)));
    return arith::ConstantOp::create(e.b, e.loc, scalar);
  }
  Value extend(Value x) { return arith::ExtFOp::create(e.b, e.loc, type, x); }
  /// x * y + z, rounded once.
  Value fma(Value x, double y, Value z) {
    return math::FmaOp::create(e.b, e.loc, x, constant(y), z);
  }
  Value scale(Value x, double y) { return arith::MulFOp::create(e.b, e.loc, x, constant(y)); }
  /// The nearest integer, for |x| < 2^51: adding 1.5 * 2^52 leaves no places for a fraction.
  Value round(Value x) {
    Value shifted = arith::AddFOp::create(e.b, e.loc, x, constant(0x1.8p52));
    return arith::SubFOp::create(e.b, e.loc, shifted, constant(0x1.8p52));
  }

private:
  Emitter &e;
  Type type;
};

} // namespace

/// The sine of `x`, or its cosine, which is the sine a quarter turn later; |x| <= 2^40.
static Value sineOf(Emitter &e, Value x, bool cosine) {
  Wide wide(e, x);
  Type f32 = x.getType();
  Value exact = wide.extend(x);
  Value turns = wide.round(wide.scale(exact, 0.63661977236758134)); // 2 / pi
  Value rest = wide.fma(turns, -1.5707963267948966, exact);
  rest = wide.fma(turns, -6.123233995736766e-17, rest); // the next 53 bits of pi / 2
  Value r = arith::TruncFOp::create(e.b, e.loc, f32, rest);
  // Quarter turns modulo 4, an exact f32: 0, 1, 2 or 3; NaN for what is not finite.
  Value whole = wide.round(wide.fma(turns, 0.25, wide.constant(-0.375))); // rounded down
  Value quarter = arith::TruncFOp::create(e.b, e.loc, f32, wide.fma(whole, -4.0, turns));

  // Coefficients of the Cephes library's sinf and cosf.
  auto constant = [&](float value) { return e.constF32(f32, value); };
  Value z = e.fmul(r, r);
  Value s = e.fma(z, constant(-1.9515295891e-4f), constant(8.3321608736e-3f));
  s = e.fma(z, s, constant(-1.6666654611e-1f));
  s = e.fma(e.fmul(s, z), r, r);
  Value c = e.fma(z, constant(2.443315711809948e-5f), constant(-1.388731625493765e-3f));
  c = e.fma(z, c, constant(4.166664568298827e-2f));
  c = e.fma(e.fmul(z, z), c, e.fma(z, constant(-0.5f), constant(1.0f)));

  auto is = [&](float value) -> Value {
    return arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, quarter, constant(value));
  };
  auto either = [&](Value a, Value b) -> Value { return arith::OrIOp::create(e.b, e.loc, a, b); };
  Value odd = either(is(1), is(3));
  Value value = cosine ? e.select(odd, s, c) : e.select(odd, c, s);
  Value negative = cosine ? either(is(1), is(2)) : either(is(2), is(3));
  return e.select(negative, arith::NegFOp::create(e.b, e.loc, value), value);
}

Value attnc::emitSine(Emitter &e, Operation *op, Value x) {
  bool cosine = isa<math::CosOp>(op);
  Type f32 = x.getType();
  Value magnitude = math::AbsFOp::create(e.b, e.loc, x);
  auto compare = [&](arith::CmpFPredicate predicate, float value) -> Value {
    return arith::CmpFOp::create(e.b, e.loc, predicate, magnitude, e.constF32(f32, value));
  };
  Value large =
      arith::AndIOp::create(e.b, e.loc, compare(arith::CmpFPredicate::OGT, 1.09951163e12f),
                            compare(arith::CmpFPredicate::OLT, INFINITY));
  Value any = large;
  if (isa<VectorType>(f32))
    any = e.reduceLanes(
        large, [&](Value a, Value b) -> Value { return arith::OrIOp::create(e.b, e.loc, a, b); });
  auto branch = scf::IfOp::create(e.b, e.loc, TypeRange(f32), any, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(branch.thenBlock());
  Value called = cosine ? Value(math::CosOp::create(e.b, e.loc, x))
                        : Value(math::SinOp::create(e.b, e.loc, x));
  scf::YieldOp::create(e.b, e.loc, called);
  e.b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(e.b, e.loc, sineOf(e, x, cosine));
  return branch.getResult(0);
}

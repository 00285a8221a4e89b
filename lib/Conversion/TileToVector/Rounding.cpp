// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Numbers rounded to integers. CPUs without SSE4.1 have no instruction for it, where LLVM would
// call the C library: there, numbers below 2^23 go through i32 or lose their fraction in a sum, and
// all others are integers already.
#include "MathExpansion.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace attnc;

/// The first number from which on there are no fractions.
static constexpr float kIntegers = 0x1p23f;

/// `rounded` where |x| < 2^23, with the sign of x also if it is 0; else x, NaN included.
static Value whereFractions(Emitter &e, Value x, Value rounded) {
  Value magnitude = math::AbsFOp::create(e.b, e.loc, x);
  Value isSmall = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, magnitude,
                                        e.constF32(x.getType(), kIntegers));
  return e.select(isSmall, math::CopySignOp::create(e.b, e.loc, rounded, x), x);
}

/// x rounded to 0, and then by `step` (1 or -1) where that is on the wrong side of x.
static Value roundToSide(Emitter &e, Value x, float step) {
  Type type = x.getType(), ints = e.i32;
  if (auto vector = dyn_cast<VectorType>(type))
    ints = VectorType::get(vector.getShape(), e.i32);
  Value whole =
      arith::SIToFPOp::create(e.b, e.loc, type, arith::FPToSIOp::create(e.b, e.loc, ints, x));
  auto wrong = step < 0 ? arith::CmpFPredicate::OGT : arith::CmpFPredicate::OLT;
  Value isWrong = arith::CmpFOp::create(e.b, e.loc, wrong, whole, x);
  return whereFractions(e, x, e.select(isWrong, e.fadd(whole, e.constF32(type, step)), whole));
}

Value attnc::emitFloor(Emitter &e, Value x) {
  if (e.target.isa != HostISA::Generic)
    return math::FloorOp::create(e.b, e.loc, x);
  return roundToSide(e, x, -1);
}

Value attnc::emitCeil(Emitter &e, Value x) {
  if (e.target.isa != HostISA::Generic)
    return math::CeilOp::create(e.b, e.loc, x);
  return roundToSide(e, x, 1);
}

Value attnc::emitRoundEven(Emitter &e, Value x) {
  if (e.target.isa != HostISA::Generic)
    return math::RoundEvenOp::create(e.b, e.loc, x);
  Value magnitude = math::AbsFOp::create(e.b, e.loc, x), shift = e.constF32(x.getType(), kIntegers);
  return whereFractions(e, x, e.fsub(e.fadd(magnitude, shift), shift));
}

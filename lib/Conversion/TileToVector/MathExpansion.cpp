// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// exp2, exp, log, log2 and tanh as polynomials. LLVM would call the C library once for each lane;
// docs/MathFunctions.md lists them all.
//
// The exponential reduces x to an integer n and a fraction f in [-1/2, 1/2], takes a minimax
// polynomial for 2^f (relative error 1.6e-8 before rounding), and scales it by 2^n: with AVX-512 by
// `vscalefps`, elsewhere by adding to exponents in two steps, so that denormal results are right.
#include "MathExpansion.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;

static Value horner(Emitter &e, Value x, ArrayRef<uint32_t> highestFirst) {
  Value p = e.constF32Bits(x.getType(), highestFirst.front());
  for (uint32_t bits : highestFirst.drop_front())
    p = e.fma(p, x, e.constF32Bits(x.getType(), bits));
  return p;
}

static Value hornerF(Emitter &e, Value x, ArrayRef<float> highestFirst) {
  Value p = e.constF32(x.getType(), highestFirst.front());
  for (float c : highestFirst.drop_front())
    p = e.fma(p, x, e.constF32(x.getType(), c));
  return p;
}

/// x rounded to an integer, for |x| < 2^22: adding 1.5 * 2^23 leaves no places for a fraction.
static Value roundSmall(Emitter &e, Value x) {
  Value magic = e.constF32(x.getType(), 12582912.0f);
  return e.fsub(e.fadd(x, magic), magic);
}

static Value intrinsic(Emitter &e, llvm::StringRef name, Type type, ValueRange args) {
  return LLVM::CallIntrinsicOp::create(e.b, e.loc, type, e.b.getStringAttr(name), args)
      .getResult(0);
}

static bool isFullVector(Emitter &e, Value x) { return x.getType() == e.vf32; }

/// p * 2^n for an integral n in [-300, 300].
static Value scaleByPowerOf2(Emitter &e, Value p, Value n) {
  if (e.target.hasAVX512() && isFullVector(e, p))
    return intrinsic(e, "llvm.x86.avx512.mask.scalef.ps.512", e.vf32,
                     {p, n, e.zero(e.vf32), e.constInt(e.i16, -1), e.constI32(4)});
  Type ints = e.i32;
  if (auto vector = dyn_cast<VectorType>(p.getType()))
    ints = VectorType::get(vector.getShape(), e.i32);
  Value whole = arith::FPToSIOp::create(e.b, e.loc, ints, n);
  Value first = arith::ShRSIOp::create(e.b, e.loc, whole, e.constInt(ints, 1));
  auto powerOf2 = [&](Value exponent) {
    Value biased = e.add(exponent, e.constInt(ints, 127));
    return e.bitcast(arith::ShLIOp::create(e.b, e.loc, biased, e.constInt(ints, 23)), p.getType());
  };
  return e.fmul(e.fmul(p, powerOf2(first)), powerOf2(e.sub(whole, first)));
}

/// x within [low, high]; NaN stays NaN.
static Value clamp(Emitter &e, Value x, float low, float high) {
  Value lower = e.maxOrSecond(e.constF32(x.getType(), low), x);
  return e.minOrSecond(e.constF32(x.getType(), high), lower);
}

// 2^f = 1 + f * q(f) on [-1/2, 1/2].
static const uint32_t kExp2[] = {0x3920fdde, 0x3aaf9f2a, 0x3c1d96a6, 0x3d635774,
                                 0x3e75fdee, 0x3f317218, 0x3f800000};

Value attnc::emitExp2OfParts(Emitter &e, Value whole, Value fraction) {
  return scaleByPowerOf2(e, horner(e, fraction, kExp2), whole);
}

Value attnc::emitExp2(Emitter &e, Value x) {
  if (e.target.hasAVX512() && isFullVector(e, x)) {
    // vreduceps gives x - round(x), and 0 for an infinity, which vscalefps then turns into 0 or
    // inf.
    Value f = intrinsic(e, "llvm.x86.avx512.mask.reduce.ps.512", e.vf32,
                        {x, e.constI32(0), e.zero(e.vf32), e.constInt(e.i16, -1), e.constI32(4)});
    return scaleByPowerOf2(e, horner(e, f, kExp2), e.fsub(x, f));
  }
  Value bounded = clamp(e, x, -152.0f, 130.0f);
  Value n = roundSmall(e, bounded);
  return emitExp2OfParts(e, n, e.fsub(bounded, n));
}

Value attnc::emitExp(Emitter &e, Value x) {
  Type type = x.getType();
  Value bounded = clamp(e, x, -106.0f, 90.0f);
  Value n = roundSmall(e, e.fmul(bounded, e.constF32(type, 1.44269504f)));
  // ln 2 in two parts: n times the first is exact.
  Value r = e.fma(n, e.constF32(type, -0.693359375f), bounded);
  r = e.fma(n, e.constF32(type, 2.12194440e-4f), r);
  static const float taylor[] = {1.98412698e-4f, 1.38888889e-3f, 8.33333333e-3f, 4.16666667e-2f,
                                 1.66666667e-1f, 0.5f,           1.0f,           1.0f};
  return scaleByPowerOf2(e, hornerF(e, r, taylor), n);
}

PowerOf2AndRest attnc::splitPowerOf2(Emitter &e, Value x) {
  Type type = x.getType(), ints = e.i32;
  if (auto vector = dyn_cast<VectorType>(type))
    ints = VectorType::get(vector.getShape(), e.i32);
  Value denormal = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, x,
                                         e.constF32(type, 1.17549435e-38f));
  Value normal = e.select(denormal, e.fmul(x, e.constF32(type, 8388608.0f)), x);
  Value bits = e.bitcast(normal, ints);
  // Subtracting the bits of sqrt(1/2) puts the exponent's step where m wraps around.
  Value shifted = e.sub(bits, e.constInt(ints, 0x3f3504f3));
  Value k = arith::ShRSIOp::create(e.b, e.loc, shifted, e.constInt(ints, 23));
  Value m =
      e.bitcast(e.sub(bits, arith::ShLIOp::create(e.b, e.loc, k, e.constInt(ints, 23))), type);
  Value exponent = arith::SIToFPOp::create(e.b, e.loc, type, k);
  exponent = e.fsub(exponent, e.select(denormal, e.constF32(type, 23.0f), e.zero(type)));
  return {exponent, m};
}

// ln m = 2 atanh(s), s = (m - 1) / (m + 1).
Value attnc::emitLog2(Emitter &e, Value x, float factor) {
  Type type = x.getType();
  auto compare = [&](arith::CmpFPredicate predicate, Value lhs, float rhs) -> Value {
    return arith::CmpFOp::create(e.b, e.loc, predicate, lhs, e.constF32(type, rhs));
  };
  auto [exponent, m] = splitPowerOf2(e, x);
  Value one = e.constF32(type, 1.0f);
  Value s = e.fdiv(e.fsub(m, one), e.fadd(m, one));
  Value z = e.fmul(s, s);
  static const float series[] = {2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3};
  Value tail = e.fmul(e.fmul(hornerF(e, z, series), z), s);
  Value natural = e.fadd(e.fadd(s, s), tail);
  const float log2e = 1.44269504f;
  Value result =
      e.fma(natural, e.constF32(type, log2e * factor), e.fmul(exponent, e.constF32(type, factor)));
  result =
      e.select(compare(arith::CmpFPredicate::OEQ, x, 0.0f), e.constF32(type, -INFINITY), result);
  result = e.select(compare(arith::CmpFPredicate::OEQ, x, INFINITY), x, result);
  return e.select(compare(arith::CmpFPredicate::OGE, x, 0.0f), result, e.constF32(type, NAN));
}

// Near 0 an odd polynomial, elsewhere 1 - 2 / (e^(2|x|) + 1) with the sign of x.
Value attnc::emitTanh(Emitter &e, Value x) {
  Type type = x.getType();
  Value magnitude = math::AbsFOp::create(e.b, e.loc, x);
  Value one = e.constF32(type, 1.0f);
  Value power = emitExp(e, e.fadd(magnitude, magnitude));
  Value far = e.fsub(one, e.fdiv(e.constF32(type, 2.0f), e.fadd(power, one)));
  Value farSigned = math::CopySignOp::create(e.b, e.loc, far, x);
  Value z = e.fmul(x, x);
  // Coefficients of the Cephes library's tanhf.
  static const float near[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                               1.33314422036e-1f, -3.33332819422e-1f};
  Value nearValue = e.fma(e.fmul(hornerF(e, z, near), z), x, x);
  Value isNear = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OLT, magnitude,
                                       e.constF32(type, 0.625f));
  return e.select(isNear, nearValue, farSigned);
}

// There is no vector division of integers, and the scalar one traps on a 0 that a user passes.
// Quotients of 32-bit integers are exact in f64: a/b is an integer or at least 1/|b| away from one,
// which is more than 2^-32 of it. Divisors that the ops leave undefined have a value here: a / 0 is
// 0, and a / -1 wraps around. Both divide by 1 instead and multiply the result, by a factor that
// seldom varies within a loop.
Value attnc::emitDivision(Emitter &e, Value lhs, Value rhs, bool floor) {
  Type wide = e.b.getF64Type();
  if (auto vector = dyn_cast<VectorType>(lhs.getType()))
    wide = VectorType::get(vector.getShape(), wide);
  auto toWide = [&](Value x) { return arith::SIToFPOp::create(e.b, e.loc, wide, x); };
  Type type = rhs.getType();
  auto equals = [&](int64_t value) -> Value {
    return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, rhs,
                                 e.constInt(type, value));
  };
  Value isZero = equals(0), isNegation = equals(-1), one = e.constInt(type, 1);
  Value factor = e.select(isZero, e.zero(type), e.select(isNegation, rhs, one));
  Value divisor = e.select(arith::OrIOp::create(e.b, e.loc, isZero, isNegation), one, rhs);
  Value exact = e.fdiv(toWide(lhs), toWide(divisor));
  Value quotient = arith::FPToSIOp::create(e.b, e.loc, lhs.getType(), exact);
  if (floor) {
    Value above =
        arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, toWide(quotient), exact);
    quotient = e.sub(quotient, arith::ExtUIOp::create(e.b, e.loc, lhs.getType(), above));
  }
  return e.mul(quotient, factor);
}

Value attnc::expandOp(Emitter &e, Operation *op, ArrayRef<Value> args) {
  Type element = getElementTypeOrSelf(args.front().getType());
  if (element.isInteger(32))
    return llvm::TypeSwitch<Operation *, Value>(op)
        .Case<arith::DivSIOp>([&](auto) { return emitDivision(e, args[0], args[1], false); })
        .Case<arith::FloorDivSIOp>([&](auto) { return emitDivision(e, args[0], args[1], true); })
        .Case<arith::RemSIOp>([&](auto) {
          return e.sub(args[0], e.mul(emitDivision(e, args[0], args[1], false), args[1]));
        })
        .Default([](Operation *) { return Value(); });
  if (!element.isF32())
    return {};
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<math::Exp2Op>([&](auto) { return emitExp2(e, args[0]); })
      .Case<math::ExpOp>([&](auto) { return emitExp(e, args[0]); })
      .Case<math::Log2Op>([&](auto) { return emitLog2(e, args[0], 1.0f); })
      .Case<math::LogOp>([&](auto) { return emitLog2(e, args[0], 0.693147181f); })
      .Case<math::TanhOp>([&](auto) { return emitTanh(e, args[0]); })
      .Case<math::SinOp>([&](auto) { return emitSine(e, args[0], /*cosine=*/false); })
      .Case<math::CosOp>([&](auto) { return emitSine(e, args[0], /*cosine=*/true); })
      .Case<math::PowFOp>([&](auto) { return emitPower(e, args[0], args[1]); })
      .Case<math::FloorOp>([&](auto) { return emitFloor(e, args[0]); })
      .Case<math::CeilOp>([&](auto) { return emitCeil(e, args[0]); })
      .Case<math::RoundEvenOp>([&](auto) { return emitRoundEven(e, args[0]); })
      .Case<math::FmaOp>([&](auto) { return e.fma(args[0], args[1], args[2]); })
      .Default([](Operation *) { return Value(); });
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// f64 and i64 on vectors of an f32 vector's lanes: LLVM splits them into registers.
#include "WideArithmetic.h"

using namespace mlir;
using namespace attnc;

WideArithmetic::WideArithmetic(Emitter &e, Value like) : f64(e.b.getF64Type()), i64(e.i64), e(e) {
  if (auto vector = dyn_cast<VectorType>(like.getType())) {
    f64 = VectorType::get(vector.getShape(), f64);
    i64 = VectorType::get(vector.getShape(), i64);
  }
}

Value WideArithmetic::constant(double value) {
  auto scalar = e.b.getF64FloatAttr(value);
  if (auto vector = dyn_cast<VectorType>(f64))
    return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(vector, Attribute(scalar)));
  return arith::ConstantOp::create(e.b, e.loc, scalar);
}

Value WideArithmetic::extend(Value x) { return arith::ExtFOp::create(e.b, e.loc, f64, x); }

Value WideArithmetic::truncate(Value x) {
  Type type = e.f32;
  if (auto vector = dyn_cast<VectorType>(f64))
    type = VectorType::get(vector.getShape(), type);
  return arith::TruncFOp::create(e.b, e.loc, type, x);
}

Value WideArithmetic::add(Value x, Value y) { return arith::AddFOp::create(e.b, e.loc, x, y); }
Value WideArithmetic::sub(Value x, Value y) { return arith::SubFOp::create(e.b, e.loc, x, y); }
Value WideArithmetic::mul(Value x, Value y) { return arith::MulFOp::create(e.b, e.loc, x, y); }
Value WideArithmetic::div(Value x, Value y) { return arith::DivFOp::create(e.b, e.loc, x, y); }

Value WideArithmetic::fma(Value x, Value y, Value z) {
  if (e.target.hasFMA())
    return LLVM::FMAOp::create(e.b, e.loc, f64, x, y, z);
  return add(mul(x, y), z);
}

Value WideArithmetic::round(Value x) {
  Value shift = constant(0x1.8p52);
  return sub(add(x, shift), shift);
}

Value WideArithmetic::clamp(Value x, double low, double high) {
  return e.minOrSecond(constant(high), e.maxOrSecond(constant(low), x));
}

Value WideArithmetic::bits(uint64_t value) { return e.constInt(i64, static_cast<int64_t>(value)); }

Value WideArithmetic::extendBits(Value x) { return arith::ExtUIOp::create(e.b, e.loc, i64, x); }
Value WideArithmetic::fromInt(Value x) { return arith::SIToFPOp::create(e.b, e.loc, f64, x); }

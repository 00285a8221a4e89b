// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Decoding of the opcodes that exist for integers and floats alike (add, mul, min, ...) and of the
// float-only ones. The type decides: after it is known, integer forms go to DecodeAlu.cpp.
#include "Decode.h"

namespace attnc::emu {
namespace {

void takeFloatFlags(Decoder &d, AluKey &k) {
  k.rnd = takeRounding(d);
  k.ftz = d.mods->take("ftz");
  k.sat = d.mods->take("sat");
  k.relu = d.mods->take("relu");
  k.oob = d.mods->take("oob");
  if (k.oob)
    d.fail("'.oob' is not supported");
}

/// add, sub: float forms have rounding and flags, integer forms saturation and carry.
template <bool Add> void addSub(Decoder &d) {
  bool carry = d.mods->take("cc");
  Type type = needType(d);
  if (!isFloatType(type))
    return integerAddSub(d, Add, type, carry);
  AluKey k;
  k.op = Add ? Alu::Add : Alu::Sub;
  k.type = type;
  takeFloatFlags(d, k);
  emitUniform(d, k, 2);
}

void mul(Decoder &d) {
  Type type = needType(d);
  if (!isFloatType(type))
    return integerMul(d, false, type);
  AluKey k;
  k.op = Alu::Mul;
  k.type = type;
  takeFloatFlags(d, k);
  emitUniform(d, k, 2);
}

void mad(Decoder &d) {
  Type type = needType(d);
  if (!isFloatType(type))
    return integerMul(d, true, type);
  AluKey k;
  k.op = Alu::Fma; // mad of floats is fma on every supported target
  k.type = type;
  takeFloatFlags(d, k);
  emitUniform(d, k, 3);
}

void fma(Decoder &d) {
  AluKey k;
  k.op = Alu::Fma;
  k.type = needType(d);
  takeFloatFlags(d, k);
  if (k.rnd == Rnd::None)
    d.fail("expects a rounding modifier");
  emitUniform(d, k, 3);
}

void div(Decoder &d) {
  AluKey k;
  k.op = Alu::Div;
  k.type = needType(d);
  if (isFloatType(k.type)) {
    takeFloatFlags(d, k);
    if (k.rnd == Rnd::None)
      d.fail("expects .approx, .full or a rounding modifier");
  }
  emitUniform(d, k, 2);
}

template <Alu Op> void minMax(Decoder &d) {
  AluKey k;
  k.op = Op;
  k.type = needType(d);
  k.ftz = d.mods->take("ftz");
  k.nan = d.mods->take("NaN");
  k.relu = d.mods->take("relu");
  bool xorsign = d.mods->take("xorsign"), abs = d.mods->take("abs");
  if (xorsign != abs)
    d.fail("expects .xorsign.abs together");
  k.xorsignAbs = xorsign;
  if (k.relu)
    needPacked16(d);
  emitUniform(d, k, 2);
}

template <Alu Op> void signOp(Decoder &d) {
  AluKey k;
  k.op = Op;
  k.type = needType(d);
  k.ftz = d.mods->take("ftz");
  emitUniform(d, k, Op == Alu::Copysign ? 2 : 1);
}

/// ex2, lg2, sin, cos, tanh: approximate only. rcp, rsqrt, sqrt: approximate or rounded.
template <Alu Op, bool ApproxOnly> void elementary(Decoder &d) {
  AluKey k;
  k.op = Op;
  k.type = needType(d);
  k.rnd = takeRounding(d);
  k.ftz = d.mods->take("ftz");
  if (k.rnd == Rnd::None || (ApproxOnly && k.rnd != Rnd::Approx))
    d.fail(ApproxOnly ? "expects .approx" : "expects .approx or a rounding modifier");
  emitUniform(d, k, 1);
}

void testp(Decoder &d) {
  int what =
      d.mods->takeOneOf({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  if (what < 0)
    d.fail("expects a property to test");
  AluKey k;
  k.op = Alu::Testp;
  k.type = needType(d);
  d.expectOperands(2, 2);
  uint32_t a = d.use(d.operand(1), k.type), p = d.defPredicate(d.operand(0));
  Rec &r = d.emitAlu(k);
  r.o[0] = p, r.o[1] = a;
  r.imm = static_cast<uint64_t>(what);
}

} // namespace

void addFloatOpcodes(std::unordered_map<std::string, DecodeFn> &t) {
  t["add"] = addSub<true>;
  t["sub"] = addSub<false>;
  t["mul"] = mul;
  t["mad"] = mad;
  t["fma"] = fma;
  t["div"] = div;
  t["min"] = minMax<Alu::Min>;
  t["max"] = minMax<Alu::Max>;
  t["neg"] = signOp<Alu::Neg>;
  t["abs"] = signOp<Alu::Abs>;
  t["copysign"] = signOp<Alu::Copysign>;
  t["ex2"] = elementary<Alu::Ex2, true>;
  t["lg2"] = elementary<Alu::Lg2, true>;
  t["sin"] = elementary<Alu::Sin, true>;
  t["cos"] = elementary<Alu::Cos, true>;
  t["tanh"] = elementary<Alu::Tanh, true>;
  t["rcp"] = elementary<Alu::Rcp, false>;
  t["sqrt"] = elementary<Alu::Sqrt, false>;
  t["rsqrt"] = elementary<Alu::Rsqrt, false>;
  t["testp"] = testp;
}

} // namespace attnc::emu

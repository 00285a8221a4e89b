// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The vector code builder: constants, arithmetic, lanes, memory, loops.
#include "Emitter.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/bit.h"

using namespace mlir;
using namespace attnc;

EmitterBase::EmitterBase(OpBuilder &builder, Location loc, const HostTarget &target)
    : b(builder), loc(loc), target(target), lanes(target.lanes()), f32(builder.getF32Type()),
      i1(builder.getI1Type()), i8(builder.getI8Type()), i16(builder.getI16Type()),
      i32(builder.getI32Type()), i64(builder.getI64Type()),
      ptr(LLVM::LLVMPointerType::get(builder.getContext())), vf32(VectorType::get({lanes}, f32)),
      vi32(VectorType::get({lanes}, i32)) {}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

Value ConstantEmitter::constI64(int64_t value) { return constInt(i64, value); }
Value ConstantEmitter::constI32(int64_t value) { return constInt(i32, value); }

Value ConstantEmitter::constInt(Type type, int64_t value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr attr = b.getIntegerAttr(element, value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value ConstantEmitter::constF32(Type type, float value) {
  return constF32Bits(type, llvm::bit_cast<uint32_t>(value));
}

Value ConstantEmitter::constF32Bits(Type type, uint32_t bits) {
  TypedAttr attr =
      b.getFloatAttr(f32, llvm::APFloat(llvm::APFloat::IEEEsingle(), llvm::APInt(32, bits)));
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, loc, attr);
}

Value ConstantEmitter::constVec(Type element, ArrayRef<int64_t> values) {
  SmallVector<Attribute> attrs;
  for (int64_t value : values)
    attrs.push_back(b.getIntegerAttr(element, value));
  auto type = VectorType::get({static_cast<int64_t>(values.size())}, element);
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, attrs));
}

Value ConstantEmitter::zero(Type type) {
  return arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static std::optional<int64_t> constantOf(Value x) {
  llvm::APInt value;
  if (matchPattern(x, m_ConstantInt(&value)))
    return value.getSExtValue();
  return std::nullopt;
}

Value ArithmeticEmitter::add(Value x, Value y) {
  auto cx = constantOf(x), cy = constantOf(y);
  if (cx && cy)
    return constInt(x.getType(), *cx + *cy);
  if (cy && *cy == 0)
    return x;
  if (cx && *cx == 0)
    return y;
  return arith::AddIOp::create(b, loc, x, y);
}

Value ArithmeticEmitter::sub(Value x, Value y) {
  auto cx = constantOf(x), cy = constantOf(y);
  if (cx && cy)
    return constInt(x.getType(), *cx - *cy);
  if (cy && *cy == 0)
    return x;
  return arith::SubIOp::create(b, loc, x, y);
}

Value ArithmeticEmitter::mul(Value x, Value y) {
  auto cx = constantOf(x), cy = constantOf(y);
  if (cx && cy)
    return constInt(x.getType(), *cx * *cy);
  if (cy && *cy == 1)
    return x;
  if (cx && *cx == 1)
    return y;
  return arith::MulIOp::create(b, loc, x, y);
}

Value ArithmeticEmitter::min(Value x, Value y) { return arith::MinSIOp::create(b, loc, x, y); }
Value ArithmeticEmitter::max(Value x, Value y) { return arith::MaxSIOp::create(b, loc, x, y); }

Value ArithmeticEmitter::toI64(Value x) {
  if (x.getType() == i64)
    return x;
  if (auto c = constantOf(x))
    return constI64(*c);
  return arith::ExtSIOp::create(b, loc, likeShape(x, i64), x);
}

Value ArithmeticEmitter::fadd(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
Value ArithmeticEmitter::fsub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
Value ArithmeticEmitter::fmul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
Value ArithmeticEmitter::fdiv(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }

Value ArithmeticEmitter::fma(Value x, Value y, Value z) {
  if (target.hasFMA())
    return LLVM::FMAOp::create(b, loc, x.getType(), x, y, z);
  return fadd(fmul(x, y), z);
}

Value ArithmeticEmitter::maxOrSecond(Value x, Value y) {
  return select(arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, x, y), x, y);
}

Value ArithmeticEmitter::minOrSecond(Value x, Value y) {
  return select(arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, y), x, y);
}

Value ArithmeticEmitter::select(Value cond, Value x, Value y) {
  return arith::SelectOp::create(b, loc, cond, x, y);
}

Value ArithmeticEmitter::bitcast(Value x, Type type) {
  return x.getType() == type ? x : LLVM::BitcastOp::create(b, loc, type, x);
}

//===----------------------------------------------------------------------===//
// Lanes
//===----------------------------------------------------------------------===//

Value LaneEmitter::splat(Value scalar) { return splatTo(scalar, lanes); }

Value LaneEmitter::splatTo(Value scalar, int64_t count) {
  auto type = VectorType::get({count}, scalar.getType());
  Attribute constant;
  if (matchPattern(scalar, m_Constant(&constant)))
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, constant));
  Value poison = LLVM::PoisonOp::create(b, loc, type);
  Value first = LLVM::InsertElementOp::create(b, loc, poison, scalar, constI32(0));
  SmallVector<int32_t> mask(count, 0);
  return LLVM::ShuffleVectorOp::create(b, loc, first, poison, mask);
}

Value LaneEmitter::asVector(Value x) { return isa<VectorType>(x.getType()) ? x : splat(x); }

Value LaneEmitter::iota() { return constVec(i32, llvm::to_vector(llvm::seq<int64_t>(0, lanes))); }

Value LaneEmitter::shuffle(Value x, Value y, ArrayRef<int32_t> mask) {
  return LLVM::ShuffleVectorOp::create(b, loc, x, y, mask);
}

Value LaneEmitter::lane(Value vector, int64_t index) {
  return LLVM::ExtractElementOp::create(b, loc, vector, constI32(index));
}

Value LaneEmitter::reduceLanes(Value vector, llvm::function_ref<Value(Value, Value)> combine) {
  for (int64_t n = cast<VectorType>(vector.getType()).getDimSize(0); n > 1; n /= 2) {
    SmallVector<int32_t> low, high;
    for (int32_t i = 0; i < n / 2; ++i) {
      low.push_back(i);
      high.push_back(i + n / 2);
    }
    vector = combine(shuffle(vector, vector, low), shuffle(vector, vector, high));
  }
  return lane(vector, 0);
}

Value LaneEmitter::prefixMask(int64_t count) {
  SmallVector<bool> bits(lanes, false);
  std::fill(bits.begin(), bits.begin() + std::min(count, lanes), true);
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vec(i1), bits));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value Emitter::offset(Value pointer, Value bytes) {
  if (auto c = constantOf(bytes))
    return offset(pointer, *c);
  return LLVM::GEPOp::create(b, loc, ptr, i8, pointer, ArrayRef<LLVM::GEPArg>{bytes},
                             LLVM::GEPNoWrapFlags::inbounds);
}

Value Emitter::offset(Value pointer, int64_t bytes) {
  if (bytes == 0)
    return pointer;
  return LLVM::GEPOp::create(b, loc, ptr, i8, pointer,
                             ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(constI64(bytes))},
                             LLVM::GEPNoWrapFlags::inbounds);
}

Value Emitter::load(Type type, Value pointer, int64_t align, bool invariant) {
  return LLVM::LoadOp::create(b, loc, type, pointer, static_cast<unsigned>(align),
                              /*isVolatile=*/false, /*isNonTemporal=*/false, invariant);
}

void Emitter::store(Value value, Value pointer, int64_t align) {
  LLVM::StoreOp::create(b, loc, value, pointer, static_cast<unsigned>(align));
}

//===----------------------------------------------------------------------===//
// Element conversions
//===----------------------------------------------------------------------===//

Type ConstantEmitter::likeShape(Value x, Type element) {
  if (auto vector = dyn_cast<VectorType>(x.getType()))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value LaneEmitter::toF32(Value x) {
  Type element = getElementTypeOrSelf(x.getType());
  if (element.isF32())
    return x;
  if (element.isBF16()) {
    Value bits = arith::ExtUIOp::create(b, loc, likeShape(x, i32), bitcast(x, likeShape(x, i16)));
    Value high = arith::ShLIOp::create(b, loc, bits, constInt(bits.getType(), 16));
    return bitcast(high, likeShape(x, f32));
  }
  if (target.hasF16Convert())
    return LLVM::FPExtOp::create(b, loc, likeShape(x, f32), x);
  return f16BitsToF32(x);
}

Value LaneEmitter::fromF32(Value x, Type element) {
  if (element.isF32())
    return x;
  if (element.isBF16()) {
    if (target.hasBF16Dot())
      return LLVM::FPTruncOp::create(b, loc, likeShape(x, element), x);
    return bitcast(f32ToBF16Bits(x), likeShape(x, element));
  }
  if (target.hasF16Convert())
    return LLVM::FPTruncOp::create(b, loc, likeShape(x, element), x);
  return bitcast(f32ToF16Bits(x), likeShape(x, element));
}

// Rounds to nearest even by adding half of the last kept place, less one if that place is even.
Value LaneEmitter::f32ToBF16Bits(Value x) {
  Type type = likeShape(x, i32);
  Value bits = bitcast(x, type);
  auto c = [&](int64_t value) { return constInt(type, value); };
  Value odd = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, bits, c(16)), c(1));
  Value rounded = arith::ShRUIOp::create(b, loc, add(add(bits, c(0x7fff)), odd), c(16));
  Value quiet = arith::OrIOp::create(b, loc, arith::ShRUIOp::create(b, loc, bits, c(16)), c(0x40));
  Value isNaN = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, x, x);
  return arith::TruncIOp::create(b, loc, likeShape(x, i16), select(isNaN, quiet, rounded));
}

// Moves exponent and mantissa into place and multiplies by 2^112, which also makes denormals right.
Value LaneEmitter::f16BitsToF32(Value x) {
  Type type = likeShape(x, i32);
  auto c = [&](int64_t value) { return constInt(type, value); };
  Value bits = arith::ExtUIOp::create(b, loc, type, bitcast(x, likeShape(x, i16)));
  Value magnitude =
      arith::ShLIOp::create(b, loc, arith::AndIOp::create(b, loc, bits, c(0x7fff)), c(13));
  Value sign = arith::ShLIOp::create(b, loc, arith::AndIOp::create(b, loc, bits, c(0x8000)), c(16));
  Type floatType = likeShape(x, f32);
  Value finite =
      bitcast(fmul(bitcast(magnitude, floatType), constF32Bits(floatType, 0x77800000)), type);
  Value special = arith::OrIOp::create(b, loc, magnitude, c(0x7f800000));
  Value isSpecial =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, magnitude, c(0x0f800000));
  return bitcast(arith::OrIOp::create(b, loc, select(isSpecial, special, finite), sign), floatType);
}

// Normal results round like bf16 above after rebiasing; denormal results come from adding 0.5,
// whose last place is that of an f16 denormal; beyond 65520 the result is infinity.
Value LaneEmitter::f32ToF16Bits(Value x) {
  Type type = likeShape(x, i32), floatType = likeShape(x, f32);
  auto c = [&](int64_t value) { return constInt(type, value); };
  Value bits = bitcast(x, type);
  Value sign =
      arith::ShRUIOp::create(b, loc, arith::AndIOp::create(b, loc, bits, c(0x80000000)), c(16));
  Value magnitude = arith::AndIOp::create(b, loc, bits, c(0x7fffffff));
  Value odd = arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, magnitude, c(13)), c(1));
  Value rebiased = add(add(magnitude, c(-0x38000000 + 0xfff)), odd);
  Value normal = arith::ShRUIOp::create(b, loc, rebiased, c(13));
  Value half = constF32(floatType, 0.5f);
  Value denormal = sub(bitcast(fadd(bitcast(magnitude, floatType), half), type), c(0x3f000000));
  auto below = [&](int64_t bound) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, magnitude, c(bound));
  };
  Value finite = select(below(0x38800000), denormal, normal);
  Value special =
      select(arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, x, x), c(0x7e00), c(0x7c00));
  Value result = select(below(0x477ff000), finite, special);
  return arith::TruncIOp::create(b, loc, likeShape(x, i16),
                                 arith::OrIOp::create(b, loc, result, sign));
}

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

SmallVector<Value> Emitter::forLoop(Value from, Value to, int64_t step, ValueRange init,
                                    LoopBody body) {
  auto loop = scf::ForOp::create(b, loc, from, to, constInt(from.getType(), step), init,
                                 [&](OpBuilder &, Location, Value iv, ValueRange carried) {
                                   // The callback's builder is `b`, already inside the loop.
                                   scf::YieldOp::create(b, loc, body(iv, carried));
                                 });
  return SmallVector<Value>(loop.getResults());
}

void Emitter::forLoop(Value from, Value to, int64_t step, llvm::function_ref<void(Value)> body) {
  forLoop(from, to, step, ValueRange(), [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

void Emitter::forRange(int64_t from, int64_t to, int64_t step,
                       llvm::function_ref<void(Value)> body) {
  if (to - from <= 0)
    return;
  if (to - from <= step)
    return body(constI64(from));
  forLoop(constI64(from), constI64(to), step, body);
}

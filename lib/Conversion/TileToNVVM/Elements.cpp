// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Elements.h explains.
#include "Elements.h"

using namespace mlir;
using namespace attnc;
using tile::Coord;
using tile::LinearLayout;
using tile::TileType;

SmallVector<Value> attnc::unpack(KernelLowering &kl, Location loc, TileType type,
                                 ArrayRef<Value> fragment) {
  if (!KernelLowering::isPacked(type))
    return SmallVector<Value>(fragment);
  SmallVector<Value> elements;
  for (Value pair : fragment)
    for (int64_t i : {0, 1})
      elements.push_back(LLVM::ExtractElementOp::create(kl.builder, loc, pair, kl.i32(loc, i)));
  return elements;
}

Fragment attnc::pack(KernelLowering &kl, Location loc, TileType type, ArrayRef<Value> elements) {
  if (!KernelLowering::isPacked(type))
    return Fragment(elements);
  Fragment fragment;
  Type pairType = VectorType::get({2}, type.getElementType());
  for (size_t i = 0; i < elements.size(); i += 2) {
    Value pair = LLVM::UndefOp::create(kl.builder, loc, pairType);
    for (int64_t half : {0, 1})
      pair = LLVM::InsertElementOp::create(kl.builder, loc, pair, elements[i + half],
                                           kl.i32(loc, half));
    fragment.push_back(pair);
  }
  return fragment;
}

SmallVector<Position> attnc::positions(KernelLowering &kl, Location loc, TileType type) {
  LinearLayout layout(type.getLayout());
  Value row = kl.laneCoordinate(loc, type, /*row=*/true);
  Value col = kl.laneCoordinate(loc, type, /*row=*/false);
  SmallVector<Position> result;
  for (int64_t reg : KernelLowering::liveRegisters(type)) {
    Coord at = layout.apply(reg, 0, 0);
    result.push_back({at.row ? kl.add(loc, row, kl.i32(loc, at.row)) : row,
                      at.col ? kl.add(loc, col, kl.i32(loc, at.col)) : col});
  }
  return result;
}

Value attnc::isFirstCopy(KernelLowering &kl, Location loc, TileType type) {
  LinearLayout layout(type.getLayout());
  int64_t lanes = layout.replicatedLanes(), warps = layout.replicatedWarps();
  Value bits;
  auto add = [&](Value id, int64_t mask) {
    if (!mask)
      return;
    Value own = arith::AndIOp::create(kl.builder, loc, id, kl.i32(loc, mask));
    bits = bits ? Value(arith::OrIOp::create(kl.builder, loc, bits, own)) : own;
  };
  add(kl.laneId, lanes);
  add(kl.warpId, warps);
  if (!bits)
    return bits;
  return arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::eq, bits, kl.i32(loc, 0));
}

Type attnc::memoryType(OpBuilder &builder, Type element, bool shared) {
  if (!element.isInteger(1))
    return element;
  return shared ? Type(builder.getI32Type()) : builder.getI8Type();
}

Value attnc::toMemory(OpBuilder &builder, Location loc, Value value, Type memory) {
  return value.getType().isInteger(1) ? Value(arith::ExtUIOp::create(builder, loc, memory, value))
                                      : value;
}

Value attnc::fromMemory(OpBuilder &builder, Location loc, Value value, Type element) {
  if (!element.isInteger(1))
    return value;
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(value.getType()));
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, value, zero);
}

void attnc::guarded(KernelLowering &kl, Location loc, Value condition,
                    llvm::function_ref<void()> emit) {
  if (!condition)
    return emit();
  auto branch = scf::IfOp::create(kl.builder, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(kl.builder);
  kl.builder.setInsertionPointToStart(branch.thenBlock());
  emit();
}

static Value intrinsic(OpBuilder &builder, Location loc, llvm::StringRef name, Type type,
                       ValueRange args) {
  return LLVM::CallIntrinsicOp::create(builder, loc, type, builder.getStringAttr(name), args)
      .getResult(0);
}

Value attnc::narrowed(OpBuilder &builder, Location loc, Type type, Value x) {
  if (type.isBF16())
    return intrinsic(builder, loc, "llvm.nvvm.f2bf16.rn", type, x);
  Value bits = intrinsic(builder, loc, "llvm.convert.to.fp16.f32", builder.getI16Type(), x);
  return LLVM::BitcastOp::create(builder, loc, type, bits);
}

Value attnc::narrowedPair(OpBuilder &builder, Location loc, Type type, Value low, Value high) {
  llvm::StringRef name = type.isBF16() ? "llvm.nvvm.ff2bf16x2.rn" : "llvm.nvvm.ff2f16x2.rn";
  return intrinsic(builder, loc, name, VectorType::get({2}, type), {high, low});
}

Value attnc::extended(OpBuilder &builder, Location loc, Type type, Value x) {
  Type f32 = builder.getF32Type();
  Value bits = x.getType().isInteger()
                   ? x
                   : LLVM::BitcastOp::create(builder, loc, builder.getI16Type(), x).getResult();
  if (type.isF16())
    return intrinsic(builder, loc, "llvm.convert.from.fp16.f32", f32, bits);
  Value wide = LLVM::ZExtOp::create(builder, loc, builder.getI32Type(), bits);
  Value sixteen = LLVM::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(16));
  Value high = LLVM::ShlOp::create(builder, loc, wide, sixteen);
  return LLVM::BitcastOp::create(builder, loc, f32, high);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See TileBuilder.h.
#include "TileBuilder.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace attnc;

Value TileBuilder::map(tile::TileType type, ValueRange inputs, Element element, Value col0) {
  auto infallible = [&](ValueRange a) -> FailureOr<Value> { return element(a); };
  return *tryMap(type, inputs, infallible, col0);
}

FailureOr<Value> TileBuilder::tryMap(tile::TileType type, ValueRange inputs,
                                     FallibleElement element, Value col0) {
  auto op =
      tile::MapOp::create(builder, loc, type, inputs, row0, col0 ? col0 : context.i32(loc, 0));
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&op.getBody());
  for (Value input : inputs)
    block->addArgument(cast<tile::TileType>(input.getType()).getElementType(), loc);
  for (unsigned i = 0; i < type.getRank(); ++i)
    block->addArgument(builder.getI32Type(), loc);
  SmallVector<Value> args(block->args_begin(), block->args_end());
  FailureOr<Value> value = element(args);
  if (failed(value))
    return failure();
  tile::YieldOp::create(builder, loc, *value);
  return op.getResult();
}

Value TileBuilder::add(Value x, Value y) { return arith::AddFOp::create(builder, loc, x, y); }
Value TileBuilder::sub(Value x, Value y) { return arith::SubFOp::create(builder, loc, x, y); }
Value TileBuilder::mul(Value x, Value y) { return arith::MulFOp::create(builder, loc, x, y); }
Value TileBuilder::div(Value x, Value y) { return arith::DivFOp::create(builder, loc, x, y); }
Value TileBuilder::neg(Value x) { return arith::NegFOp::create(builder, loc, x); }
Value TileBuilder::abs(Value x) { return math::AbsFOp::create(builder, loc, x); }
Value TileBuilder::fma(Value x, Value y, Value z) {
  return math::FmaOp::create(builder, loc, x, y, z);
}
Value TileBuilder::exp2(Value x) { return math::Exp2Op::create(builder, loc, x); }
Value TileBuilder::log2(Value x) { return math::Log2Op::create(builder, loc, x); }
Value TileBuilder::max(Value x, Value y) { return arith::MaxNumFOp::create(builder, loc, x, y); }
Value TileBuilder::compare(arith::CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(builder, loc, predicate, x, y);
}
Value TileBuilder::both(Value x, Value y) { return arith::AndIOp::create(builder, loc, x, y); }
Value TileBuilder::either(Value x, Value y) { return arith::OrIOp::create(builder, loc, x, y); }
Value TileBuilder::select(Value condition, Value yes, Value no) {
  return arith::SelectOp::create(builder, loc, condition, yes, no);
}

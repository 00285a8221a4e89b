// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AttendFormulas.h explains.
#include "dialects/Attn/AttendFormulas.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace attnc;
using namespace attnc::attn;

Value AttendFormulas::i32(OpBuilder &b, int64_t value) {
  return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(static_cast<int32_t>(value)));
}

Value AttendFormulas::sizeOf(OpBuilder &b, StringRef space) {
  return SizeOp::create(b, loc, b.getI32Type(), b.getStringAttr(space));
}

/// The index on axis `space` of another tensor: the query's own, or that of the block which holds
/// it.
FailureOr<Value> AttendFormulas::indexOn(OpBuilder &b, const Point &point, StringRef space) {
  for (unsigned axis = 0; axis < attend.getNumOuter(); ++axis)
    if (query.getAxisName(axis) == space)
      return point.outer[axis];
  if (query.getAxisName(attend.getNumOuter()) == space)
    return point.row;
  StringRef parent = blockParent(attend, space);
  SpaceOp declared = findSpace(attend, space);
  if (parent.empty() || (declared && declared.getStride()))
    return emitError(loc, "the index on `") << space << "` does not follow from the query's";
  FailureOr<Value> member = indexOn(b, point, parent);
  if (failed(member))
    return failure();
  Value extent = declared ? declared.getExtent() : Value();
  if (!extent) // heads of a group
    extent = arith::FloorDivSIOp::create(b, loc, sizeOf(b, parent), sizeOf(b, space));
  return arith::FloorDivSIOp::create(b, loc, *member, extent).getResult();
}

/// An element of `tensor`, whose last indices are `last`.
FailureOr<Value> AttendFormulas::read(OpBuilder &b, const Point &point, Value tensor,
                                      ArrayRef<Value> last) {
  auto type = cast<AttnTensorType>(tensor.getType());
  SmallVector<Value> indices;
  for (unsigned axis = 0; axis + last.size() < type.getRank(); ++axis) {
    FailureOr<Value> index = indexOn(b, point, type.getAxisName(axis));
    if (failed(index))
      return failure();
    indices.push_back(*index);
  }
  indices.append(last.begin(), last.end());
  Type element = type.getElementType();
  return ReadOp::create(b, loc, isa<IntegerType>(element) ? element : b.getF32Type(), tensor,
                        indices)
      .getResult();
}

/// sum(query * key for d).
FailureOr<Value> AttendFormulas::product(OpBuilder &b, const Point &point) {
  auto reduce = ReduceOp::create(b, loc, b.getF32Type(), Reduction::Sum,
                                 b.getStringAttr(query.getAxisName(query.getRank() - 1)),
                                 StringAttr(), Value());
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&reduce.getBody());
  Value d = body->addArgument(b.getI32Type(), loc);
  FailureOr<Value> q = read(b, point, attend.getQuery(), {point.row, d});
  FailureOr<Value> k = read(b, point, attend.getKey(), {point.key, d});
  if (failed(q) || failed(k))
    return failure();
  Value term = arith::MulFOp::create(b, loc, *q, *k);
  YieldOp::create(b, loc, term);
  return reduce.getResult();
}

Value AttendFormulas::scaled(OpBuilder &b, Value product) {
  Value scale = attend.getScale();
  if (!scale) {
    Value size = sizeOf(b, query.getAxisName(query.getRank() - 1));
    Value real = arith::SIToFPOp::create(b, loc, b.getF32Type(), size);
    Value one = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(1));
    Value root = math::SqrtOp::create(b, loc, real);
    scale = arith::DivFOp::create(b, loc, one, root);
  }
  return arith::MulFOp::create(b, loc, product, scale);
}

Value AttendFormulas::inlined(OpBuilder &b, Region &region, ValueRange arguments) {
  IRMapping mapping;
  mapping.map(region.getArguments(), arguments);
  for (Operation &op : region.front().without_terminator())
    b.clone(op, mapping);
  return mapping.lookupOrDefault(region.front().getTerminator()->getOperand(0));
}

/// Whether a block over `space` that has `member` `holds`.
FailureOr<Value> AttendFormulas::isInBlock(OpBuilder &b, StringRef space, Value member,
                                           const Membership &holds) {
  SpaceOp blocks = findSpace(attend, space);
  Value extent = blocks.getExtent(), stride = blocks.getStride();
  if (!stride) {
    Value block = arith::FloorDivSIOp::create(b, loc, member, extent);
    FailureOr<Value> held = holds(b, block);
    if (!blocks.getFull() || failed(held))
      return held;
    // Members behind the last whole block are in none.
    Value exists =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, block, sizeOf(b, space));
    return arith::AndIOp::create(b, loc, *held, exists).getResult();
  }
  // Blocks overlap, or leave gaps: those from the first to the last one that could have it.
  auto blockOf = [&](Value index) -> Value {
    Value block = arith::FloorDivSIOp::create(b, loc, index, stride);
    return arith::AddIOp::create(b, loc, block, i32(b, 1));
  };
  Value lower = blockOf(arith::SubIOp::create(b, loc, member, extent)), upper = blockOf(member);
  auto reduce = ReduceOp::create(b, loc, b.getI1Type(), Reduction::Any, b.getStringAttr(space),
                                 StringAttr(), Value(), lower, upper);
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&reduce.getBody());
  Value block = body->addArgument(b.getI32Type(), loc);
  FailureOr<Value> held = holds(b, block);
  if (failed(held))
    return failure();
  YieldOp::create(b, loc, *held);
  return reduce.getResult();
}

FailureOr<Value> AttendFormulas::isInSet(OpBuilder &b, const Point &point) {
  AttnTensorType type = attend.getSet().getType();
  SmallVector<StringRef> chain; // from blocks of blocks to blocks of keys
  for (StringRef space = type.getAxisName(type.getRank() - 1); space != attend.getKeySpace();
       space = blockParent(attend, space))
    chain.push_back(space);
  Membership holds = [&](OpBuilder &at, Value index) {
    return read(at, point, attend.getSet(), index);
  };
  for (StringRef space : chain)
    holds = [this, space, inner = holds](OpBuilder &at, Value index) {
      return isInBlock(at, space, index, inner);
    };
  return holds(b, point.key);
}

FailureOr<Value> AttendFormulas::score(OpBuilder &b, const Point &point) {
  FailureOr<Value> dot = product(b, point);
  if (failed(dot))
    return failure();
  Value x = scaled(b, *dot);
  if (attend.getScore().empty())
    return x;
  SmallVector<Value> arguments{x};
  arguments.append(point.outer);
  arguments.append({point.row, point.key});
  return inlined(b, attend.getScore(), arguments);
}

FailureOr<Value> AttendFormulas::mask(OpBuilder &b, const Point &point) {
  Value keep;
  if (!attend.getMask().empty()) {
    SmallVector<Value> arguments(point.outer);
    arguments.append({point.row, point.key});
    keep = inlined(b, attend.getMask(), arguments);
  }
  if (!attend.getSet())
    return keep;
  FailureOr<Value> held = isInSet(b, point);
  if (failed(held) || !keep)
    return held;
  return arith::AndIOp::create(b, loc, keep, *held).getResult();
}

FailureOr<Value> AttendFormulas::value(OpBuilder &b, const Point &point, Value column) {
  return read(b, point, attend.getValue(), {point.key, column});
}

Value AttendFormulas::sink(OpBuilder &b, const Point &point) {
  if (attend.getSink().empty())
    return {};
  SmallVector<Value> arguments(point.outer);
  arguments.push_back(point.row);
  return inlined(b, attend.getSink(), arguments);
}

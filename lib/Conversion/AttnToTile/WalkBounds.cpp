// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Emits the key ranges of a query tile as scalar code at the head of a kernel: bounds are computed
// in 64 bits (a window of 2^31 - 1 must not wrap), clamped to the keys there are, and rounded to
// key tiles. Several ranges are sorted and clipped against each other, so that no tile is visited
// twice.
#include "WalkBounds.h"

using namespace mlir;
using namespace attnc;

namespace {

class Emitter {
public:
  Emitter(KernelContext &context, Elements &elements, Location loc, std::optional<KeyPart> part)
      : elements(elements), builder(context.builder), loc(loc), tile(context.domain.tile("kv")) {
    queries = widen(context.sizes["q"]);
    keys = widen(context.sizes["kv"]);
    first = widen(context.domain.first("q"));
    Value end = arith::AddIOp::create(builder, loc, first, i64(context.domain.tile("q")));
    last = arith::SubIOp::create(builder, loc, arith::MinSIOp::create(builder, loc, end, queries),
                                 i64(1));
    if (part) {
      partFirst = widen(part->first);
      partEnd = arith::AddIOp::create(builder, loc, partFirst, i64(part->count));
    }
  }

  /// For one row.
  Emitter(KernelContext &context, Elements &elements, Location loc, Value row)
      : elements(elements), builder(context.builder), loc(loc), tile(1) {
    queries = widen(context.sizes["q"]);
    keys = widen(context.sizes["kv"]);
    first = last = widen(row);
  }

  FailureOr<KeysOfRow> keysOf(const KeyRange &range) {
    auto cut = [&](Value value) -> Value {
      return arith::TruncIOp::create(builder, loc, builder.getI32Type(), value);
    };
    FailureOr<Value> hi = emit(range.mayHi);
    if (failed(hi))
      return failure();
    Value end = clamp(*hi);
    if (range.mayLo->isConstant(0))
      return KeysOfRow{Value(), cut(end)};
    FailureOr<Value> lo = emit(range.mayLo);
    if (failed(lo))
      return failure();
    Value first = clamp(*lo);
    Value count = arith::SubIOp::create(builder, loc, end, first);
    return KeysOfRow{cut(first), cut(arith::MaxSIOp::create(builder, loc, count, i64(0)))};
  }

  /// Each node is emitted once. None of this arithmetic overflows or traps (RowExpr.h).
  FailureOr<Value> emit(RowExpr::Ref e) {
    if (Value known = emitted.lookup(e))
      return known;
    FailureOr<Value> value = emitNew(*e);
    if (succeeded(value))
      emitted[e] = *value;
    return value;
  }

  FailureOr<WalkRange> emit(const KeyRange &range) {
    FailureOr<Value> mayLo = emit(range.mayLo), mayHi = emit(range.mayHi);
    if (failed(mayLo) || failed(mayHi))
      return failure();
    Value lo = clamp(*mayLo), hi = clamp(*mayHi);
    limit = limit ? Value(arith::MaxSIOp::create(builder, loc, limit, hi)) : hi;
    WalkRange result;
    result.start = roundDown(lo);
    Value nonEmpty = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, lo, hi);
    result.end = arith::SelectOp::create(builder, loc, nonEmpty, roundUp(hi), result.start);
    if (partFirst)
      for (Value *bound : {&result.start, &result.end})
        *bound = within(*bound, partFirst, partEnd);
    if (!range.hasMust()) {
      result.fullStart = result.fullEnd = result.end;
      return narrow(result);
    }
    FailureOr<Value> mustLo = emit(range.mustLo), mustHi = emit(range.mustHi);
    if (failed(mustLo) || failed(mustHi))
      return failure();
    result.fullStart = within(roundUp(clamp(*mustLo)), result.start, result.end);
    result.fullEnd = within(roundDown(clamp(*mustHi)), result.fullStart, result.end);
    return narrow(result);
  }

  /// Orders the ranges by their start and removes from each what earlier ones cover.
  void sortAndClip(SmallVector<WalkRange> &ranges) {
    for (size_t pass = 0; pass + 1 < ranges.size(); ++pass)
      for (size_t i = 0; i + 1 < ranges.size() - pass; ++i)
        compareExchange(ranges[i], ranges[i + 1]);
    Value cursor = ranges.front().end;
    for (WalkRange &range : llvm::drop_begin(ranges)) {
      range.start = arith::MaxSIOp::create(builder, loc, range.start, cursor);
      range.end = arith::MaxSIOp::create(builder, loc, range.end, range.start);
      range.fullStart = within(range.fullStart, range.start, range.end);
      range.fullEnd = within(range.fullEnd, range.fullStart, range.end);
      cursor = arith::MaxSIOp::create(builder, loc, cursor, range.end);
    }
  }

  /// The first key, i32, from which on no range that was emitted has any.
  Value keyLimit() { return arith::TruncIOp::create(builder, loc, builder.getI32Type(), limit); }

private:
  FailureOr<Value> emitNew(const RowExpr &e) {
    switch (e.kind) {
    case RowExpr::Kind::Constant:
      return i64(e.constant);
    case RowExpr::Kind::FirstRow:
      return first;
    case RowExpr::Kind::LastRow:
      return last;
    case RowExpr::Kind::KeyCount:
      return keys;
    case RowExpr::Kind::QueryCount:
      return queries;
    case RowExpr::Kind::Uniform: {
      FailureOr<Value> value = elements.scalar(e.uniform);
      return failed(value) ? value : FailureOr<Value>(widen(*value));
    }
    case RowExpr::Kind::Key:
    case RowExpr::Kind::Atom:
      llvm_unreachable("bounds are in terms of rows");
    default:
      break;
    }
    FailureOr<Value> lhs = emit(e.lhs), rhs = emit(e.rhs);
    if (failed(lhs) || failed(rhs))
      return failure();
    switch (e.kind) {
    case RowExpr::Kind::Add:
      return arith::AddIOp::create(builder, loc, *lhs, *rhs).getResult();
    case RowExpr::Kind::Sub:
      return arith::SubIOp::create(builder, loc, *lhs, *rhs).getResult();
    case RowExpr::Kind::Mul:
      return arith::MulIOp::create(builder, loc, *lhs, *rhs).getResult();
    case RowExpr::Kind::FloorDiv: {
      Value divisor = *rhs;
      if (e.rhs->low < 1)
        divisor = arith::MaxSIOp::create(builder, loc, divisor, i64(1));
      return arith::FloorDivSIOp::create(builder, loc, *lhs, divisor).getResult();
    }
    case RowExpr::Kind::Min:
      return arith::MinSIOp::create(builder, loc, *lhs, *rhs).getResult();
    case RowExpr::Kind::Max:
      return arith::MaxSIOp::create(builder, loc, *lhs, *rhs).getResult();
    case RowExpr::Kind::IfNonNegative: {
      FailureOr<Value> condition = emit(e.condition);
      if (failed(condition))
        return failure();
      Value holds =
          arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::sge, *condition, i64(0));
      return arith::SelectOp::create(builder, loc, holds, *lhs, *rhs).getResult();
    }
    default: {
      FailureOr<Value> condition = elements.scalar(e.uniform);
      if (failed(condition))
        return failure();
      return arith::SelectOp::create(builder, loc, *condition, *lhs, *rhs).getResult();
    }
    }
  }

  Value i64(int64_t value) {
    return arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(value));
  }
  Value widen(Value value) {
    return arith::ExtSIOp::create(builder, loc, builder.getI64Type(), value);
  }
  Value within(Value value, Value lo, Value hi) {
    return arith::MinSIOp::create(builder, loc, arith::MaxSIOp::create(builder, loc, value, lo),
                                  hi);
  }
  Value clamp(Value value) {
    if (value == keys || matchPattern(value, m_Zero())) // there are no fewer than 0 keys
      return value;
    return within(value, i64(0), keys);
  }
  Value roundDown(Value value) {
    Value tiles = arith::DivUIOp::create(builder, loc, value, i64(tile));
    return arith::MulIOp::create(builder, loc, tiles, i64(tile));
  }
  Value roundUp(Value value) {
    return roundDown(arith::AddIOp::create(builder, loc, value, i64(tile - 1)));
  }
  WalkRange narrow(const WalkRange &r) {
    auto cut = [&](Value v) -> Value {
      return arith::TruncIOp::create(builder, loc, builder.getI32Type(), v);
    };
    return {cut(r.start), cut(r.fullStart), cut(r.fullEnd), cut(r.end)};
  }
  void compareExchange(WalkRange &a, WalkRange &b) {
    Value swap = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, b.start, a.start);
    auto exchange = [&](Value &x, Value &y) {
      Value lower = arith::SelectOp::create(builder, loc, swap, y, x);
      y = arith::SelectOp::create(builder, loc, swap, x, y);
      x = lower;
    };
    exchange(a.start, b.start);
    exchange(a.fullStart, b.fullStart);
    exchange(a.fullEnd, b.fullEnd);
    exchange(a.end, b.end);
  }

  Elements &elements;
  OpBuilder &builder;
  Location loc;
  int64_t tile;
  Value first, last, queries, keys, limit;
  Value partFirst, partEnd; ///< of a part of the keys; null: of all
  llvm::DenseMap<RowExpr::Ref, Value> emitted;
};

} // namespace

FailureOr<WalkBounds> attnc::emitWalkBounds(KernelContext &context, Elements &elements,
                                            Location loc, const KeyRanges &ranges,
                                            std::optional<KeyPart> part) {
  Emitter emitter(context, elements, loc, part);
  WalkBounds result;
  result.hasFull = llvm::any_of(ranges.ranges, [](const KeyRange &r) { return r.hasMust(); });
  // A part begins where a tile does.
  result.hasLeadingPartial = llvm::any_of(
      ranges.ranges, [](const KeyRange &r) { return !r.hasMust() || !r.mustLo->isConstant(0); });
  for (const KeyRange &range : ranges.ranges) {
    FailureOr<WalkRange> emitted = emitter.emit(range);
    if (failed(emitted))
      return failure();
    result.ranges.push_back(*emitted);
  }
  result.limit = emitter.keyLimit();
  if (result.ranges.size() > 1) {
    result.hasLeadingPartial = true; // clipping can leave a full range that starts late
    emitter.sortAndClip(result.ranges);
  }
  return result;
}

FailureOr<KeysOfRow> attnc::emitKeysOfRow(KernelContext &context, Elements &elements, Location loc,
                                          const KeyRange &range, Value row) {
  return Emitter(context, elements, loc, row).keysOf(range);
}

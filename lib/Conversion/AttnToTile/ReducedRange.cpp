// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The indices of a reduction: a whole space, the members of a block, or what bounds leave of them.
// Where each element has bounds of its own, the loop's count must still be one number for all: that
// of a block's members, or else of the whole space.
#include "Reductions.h"
#include "attnc/Analysis/IntIntervals.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

bool ReducedRange::isWholeTiles(int64_t tile) const {
  llvm::APInt number;
  return isUniform() && matchPattern(count, m_ConstantInt(&number)) && number.sgt(0) &&
         number.getSExtValue() % tile == 0;
}

namespace {

/// i32 arithmetic on what is evaluated, in the smallest shape.
class Arithmetic {
public:
  Arithmetic(Evaluator &evaluator, Scope &scope, Location loc, Frame frame)
      : evaluator(evaluator), scope(scope), loc(loc), frame(frame) {}

  using Function = llvm::function_ref<Value(ValueRange)>;
  FailureOr<Evaluated> apply(ArrayRef<Evaluated> operands, Function function) {
    AxisSet axes;
    for (const Evaluated &operand : operands)
      axes.add(operand.frame.axes());
    Frame own = frame.restrictedTo(axes);
    FailureOr<Value> value =
        evaluator.map(scope, loc, own, evaluator.builder.getI32Type(), {}, operands,
                      [&](ValueRange, ValueRange elements) { return function(elements); });
    if (failed(value))
      return failure();
    return Evaluated{*value, own};
  }
  template <class Op> FailureOr<Evaluated> binary(const Evaluated &x, const Evaluated &y) {
    return apply({x, y}, [&](ValueRange v) -> Value {
      return Op::create(evaluator.builder, loc, v[0], v[1]);
    });
  }
  Evaluated constant(int64_t value) { return {evaluator.context.i32(loc, value), {}}; }

private:
  Evaluator &evaluator;
  Scope &scope;
  Location loc;
  Frame frame;
};

/// Extent and stride of the members of a block.
struct Members {
  Value extent, stride; ///< i32
  std::optional<int64_t> mostMembers;
};

FailureOr<Members> membersOf(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce) {
  StringRef block = *reduce.getBlock();
  Location loc = reduce.getLoc();
  attn::VariantOp variant = evaluator.context.variant;
  attn::SpaceOp space = attn::findSpace(variant, block);
  if (!space) { // heads of a group
    FailureOr<Value> h = evaluator.size(reduce, reduce.getSpace());
    FailureOr<Value> g = evaluator.size(reduce, block);
    if (failed(h) || failed(g))
      return failure();
    Value heads = arith::DivUIOp::create(evaluator.builder, loc, *h, *g);
    return Members{heads, heads, std::nullopt};
  }
  FailureOr<Value> extent = evaluator.scalar(scope, space.getExtent());
  if (failed(extent))
    return failure();
  FailureOr<Value> stride = extent;
  if (space.getStride())
    stride = evaluator.scalar(scope, space.getStride());
  if (failed(stride))
    return failure();
  IntegerAttr number;
  std::optional<int64_t> most;
  if (matchPattern(space.getExtent(), m_Constant(&number)))
    most = number.getInt();
  return Members{*extent, *stride, most};
}

} // namespace

/// Cuts `range` to what the bounds of `reduce` leave.
static LogicalResult bound(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce, Frame frame,
                           Arithmetic &arithmetic, ReducedRange &range) {
  FailureOr<Evaluated> lower = range.first, upper = range.end;
  if (Value given = reduce.getLower()) {
    FailureOr<Evaluated> own = evaluator.evaluate(scope, given, frame);
    if (failed(own))
      return failure();
    lower = arithmetic.binary<arith::MaxSIOp>(range.first, *own);
  }
  if (Value given = reduce.getUpper()) {
    FailureOr<Evaluated> own = evaluator.evaluate(scope, given, frame);
    if (failed(own))
      return failure();
    upper = arithmetic.binary<arith::MinSIOp>(range.end, *own);
  }
  if (failed(lower) || failed(upper))
    return failure();
  // Where elements end at different indices, all go to the end of before; where they start at
  // different ones, the count of before holds for all of them.
  Evaluated last = upper->frame.isScalar() ? *upper : range.end;
  range.first = *lower;
  range.end = *upper;
  OpBuilder &b = evaluator.builder;
  Location loc = reduce.getLoc();
  if (range.first.frame.isScalar() && last.frame.isScalar()) {
    Value length = arith::SubIOp::create(b, loc, last.value, range.first.value);
    range.count = arith::MaxSIOp::create(b, loc, length, evaluator.context.i32(loc, 0));
    return success();
  }
  if (!reduce.getLower() || !reduce.getUpper())
    return success();
  if (std::optional<int64_t> most = mostDifference(reduce.getUpper(), reduce.getLower());
      most && (!range.mostCount || *most < *range.mostCount)) {
    range.mostCount = std::max<int64_t>(*most, 0);
    range.count =
        arith::MinSIOp::create(b, loc, range.count, evaluator.context.i32(loc, *range.mostCount));
  }
  return success();
}

FailureOr<ReducedRange> attnc::rangeOf(Evaluator &evaluator, Scope &scope, attn::ReduceOp reduce,
                                       Frame frame) {
  Location loc = reduce.getLoc();
  Arithmetic arithmetic(evaluator, scope, loc, frame);
  FailureOr<Value> size = evaluator.size(reduce, reduce.getSpace());
  if (failed(size))
    return failure();
  ReducedRange range{arithmetic.constant(0), {*size, {}}, *size, std::nullopt};
  IntegerAttr number;
  if (matchPattern(*size, m_Constant(&number)))
    range.mostCount = number.getInt();
  if (reduce.getBlock()) {
    FailureOr<Members> members = membersOf(evaluator, scope, reduce);
    FailureOr<Value> blocks = evaluator.size(reduce, *reduce.getBlock());
    FailureOr<Evaluated> index = evaluator.evaluate(scope, reduce.getIndex(), frame);
    if (failed(members) || failed(blocks) || failed(index))
      return failure();
    OpBuilder &b = evaluator.builder;
    FailureOr<Evaluated> first = arithmetic.binary<arith::MulIOp>(*index, {members->stride, {}});
    if (failed(first))
      return failure();
    // A block that does not exist ends before it starts.
    FailureOr<Evaluated> end =
        arithmetic.apply({*first, {members->extent, {}}, {*size, {}}, *index, {*blocks, {}}},
                         [&](ValueRange v) -> Value {
                           Value last = arith::AddIOp::create(b, loc, v[0], v[1]);
                           last = arith::MinSIOp::create(b, loc, last, v[2]);
                           Value exists =
                               arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, v[3], v[4]);
                           return arith::SelectOp::create(b, loc, exists, last, v[0]);
                         });
    if (failed(end))
      return failure();
    range = {*first, *end, members->extent, members->mostMembers};
    if (range.isUniform()) {
      Value length = arith::SubIOp::create(b, loc, end->value, first->value);
      range.count = arith::MaxSIOp::create(b, loc, length, evaluator.context.i32(loc, 0));
    }
  }
  if (reduce.isBounded() && failed(bound(evaluator, scope, reduce, frame, arithmetic, range)))
    return failure();
  return range;
}

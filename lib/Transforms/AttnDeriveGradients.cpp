// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-derive-gradients: reverse-mode differentiation of the stages of a recurrence's step.
//
// A stage computes out[I] = f(I), where f reads tensors, partly under reductions. With the adjoint
// A of out, a read X[J] under reductions over R adds to the adjoint of X
//
//     X'[j] += sum(A[I] * (df / d read)(I, R) for I for R if J(I, R) == j)
//
// and where an index of the read is a coordinate itself, j takes its place and its sum goes away.
// Forward values are computed again where they are needed; simplification joins what is equal.
#include "ScalarDerivative.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNDERIVEGRADIENTS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// The adjoints of the tensors of one recurrence's step, for one loss.
class Reverse {
public:
  Reverse(attn::GradOp op) : op(op), builder(op) {}

  FailureOr<Value> run() {
    Block *block = op->getBlock();
    findDependents(*block);
    if (dependents.contains(op.getLoss()))
      adjoints[op.getLoss()] = constantTensor(op.getLoss().getType(), 1.0);
    // In reverse, so that the adjoint of a result is complete when its stage is reached.
    for (Operation &stage : llvm::reverse(*block)) {
      if (!stage.isBeforeInBlock(op) || stage.getNumResults() != 1 ||
          !adjoints.count(stage.getResult(0)))
        continue;
      auto compute = dyn_cast<attn::ComputeOp>(stage);
      if (!compute) {
        InFlightDiagnostic diagnostic = emitError(op.getLoc(), "this gradient goes through `")
                                        << stage.getName() << "`, which has no derivative here";
        diagnostic.attachNote(stage.getLoc()) << "the loss depends on the state through this stage";
        return failure();
      }
      if (failed(differentiate(compute)))
        return failure();
    }
    if (!adjoints.count(op.getState())) {
      InFlightDiagnostic diagnostic = emitError(
          op.getLoc(), "this gradient is 0: what is differentiated does not read the state");
      diagnostic.attachNote(op.getLoc())
          << "`start(W)` is the state at the start of the group; `W` is its current value";
      return failure();
    }
    return adjoints[op.getState()];
  }

private:
  /// Tensors that depend on the state.
  void findDependents(Block &block) {
    dependents.insert(op.getState());
    for (Operation &stage : block) {
      bool depends = false;
      stage.walk([&](Operation *inner) {
        depends |=
            llvm::any_of(inner->getOperands(), [&](Value v) { return dependents.contains(v); });
      });
      if (depends)
        dependents.insert(stage.getResults().begin(), stage.getResults().end());
    }
  }

  Value constantTensor(attn::AttnTensorType type, double value) {
    auto compute = attn::ComputeOp::create(builder, op.getLoc(), type);
    OpBuilder::InsertionGuard guard(builder);
    openBody(compute);
    Value c = arith::ConstantOp::create(builder, op.getLoc(),
                                        builder.getF32FloatAttr(static_cast<float>(value)));
    attn::YieldOp::create(builder, op.getLoc(), c);
    return compute.getResult();
  }

  void openBody(attn::ComputeOp compute) {
    SmallVector<Type> types(compute.getResult().getType().getRank(), builder.getI32Type());
    SmallVector<Location> locs(types.size(), op.getLoc());
    builder.createBlock(&compute.getBody(), {}, types, locs);
  }

  LogicalResult differentiate(attn::ComputeOp compute) {
    WalkResult bounded = compute.walk([&](attn::ReduceOp reduce) {
      return reduce.isBounded()
                 ? (reduce.emitOpError("with `from` or `to` has no derivative here: "
                                       "derive gradients before attn-solve-conditions"),
                    WalkResult::interrupt())
                 : WalkResult::advance();
    });
    if (bounded.wasInterrupted())
      return failure();
    SmallVector<attn::ReadOp> reads;
    compute.walk([&](attn::ReadOp read) {
      if (dependents.contains(read.getTensor()))
        reads.push_back(read);
    });
    for (attn::ReadOp read : reads) {
      FailureOr<Value> part = contribution(compute, read);
      if (failed(part))
        return failure();
      Value &total = adjoints[read.getTensor()];
      total = total ? add(total, *part) : *part;
    }
    return success();
  }

  Value add(Value a, Value b) {
    auto type = cast<attn::AttnTensorType>(a.getType());
    auto compute = attn::ComputeOp::create(builder, op.getLoc(), type);
    OpBuilder::InsertionGuard guard(builder);
    openBody(compute);
    auto indices = compute.getBody().getArguments();
    Value sum;
    for (Value tensor : {a, b}) {
      Value x = attn::ReadOp::create(builder, op.getLoc(), builder.getF32Type(), tensor,
                                     ValueRange(indices));
      sum = sum ? arith::AddFOp::create(builder, op.getLoc(), sum, x).getResult() : x;
    }
    attn::YieldOp::create(builder, op.getLoc(), sum);
    return compute.getResult();
  }

  /// What one read adds to the adjoint of its tensor.
  FailureOr<Value> contribution(attn::ComputeOp compute, attn::ReadOp read) {
    auto type = cast<attn::AttnTensorType>(read.getTensor().getType());
    auto result = attn::ComputeOp::create(
        builder, read.getLoc(),
        attn::AttnTensorType::get(builder.getContext(), type.getAxes(), builder.getF32Type()));
    OpBuilder::InsertionGuard guard(builder);
    openBody(result);
    // From the outermost reduction around the read to the innermost.
    SmallVector<attn::ReduceOp> path;
    for (Operation *parent = read->getParentOp(); parent != compute; parent = parent->getParentOp())
      path.insert(path.begin(), cast<attn::ReduceOp>(parent));

    IRMapping mapping;
    fixed.clear();
    SmallVector<std::pair<Value, Value>> conditions; // index of the read, index of the adjoint
    for (auto [axis, index] : llvm::enumerate(read.getIndices())) {
      Value argument = result.getBody().getArgument(static_cast<unsigned>(axis));
      bool isFree = spaceOf(index, compute, path) == type.getAxisName(static_cast<unsigned>(axis));
      if (!isFree || !fixed.try_emplace(index, argument).second)
        conditions.emplace_back(index, argument);
    }
    auto outType = compute.getResult().getType();
    SmallVector<std::pair<BlockArgument, StringRef>> loops;
    for (auto [i, argument] : llvm::enumerate(compute.getBody().getArguments())) {
      if (Value index = fixed.lookup(argument))
        mapping.map(argument, index);
      else
        loops.emplace_back(argument, outType.getAxisName(static_cast<unsigned>(i)));
    }
    FailureOr<Value> sum =
        sumOver(loops, mapping, [&] { return inner(compute, path, 0, read, conditions, mapping); });
    if (failed(sum))
      return failure();
    attn::YieldOp::create(builder, read.getLoc(), *sum);
    return result.getResult();
  }

  /// The space that `index` runs over as a coordinate of the stage, or of a reduction over a whole
  /// space on the path to the read; else empty.
  static StringRef spaceOf(Value index, attn::ComputeOp compute, ArrayRef<attn::ReduceOp> path) {
    auto argument = dyn_cast<BlockArgument>(index);
    if (!argument)
      return {};
    Operation *owner = argument.getOwner()->getParentOp();
    if (owner == compute)
      return compute.getResult().getType().getAxisName(argument.getArgNumber());
    auto reduce = dyn_cast<attn::ReduceOp>(owner);
    return reduce && llvm::is_contained(path, reduce) && !reduce.getBlock() ? reduce.getSpace()
                                                                            : StringRef();
  }

  /// Clones an op of a body. Arguments of its own regions stay out of `mapping`: it may be cloned
  /// again.
  void cloneInto(Operation &op, IRMapping &mapping) {
    IRMapping local(mapping);
    Operation *copy = builder.clone(op, local);
    mapping.map(op.getResults(), copy->getResults());
  }

  using Emit = llvm::function_ref<FailureOr<Value>()>;

  /// Sums what `emit` yields over `loops`, whose arguments are mapped to the new ones.
  FailureOr<Value> sumOver(ArrayRef<std::pair<BlockArgument, StringRef>> loops, IRMapping &mapping,
                           Emit emit, StringAttr block = {}, Value blockIndex = {}) {
    if (loops.empty())
      return emit();
    Location loc = op.getLoc();
    auto reduce =
        attn::ReduceOp::create(builder, loc, builder.getF32Type(), attn::Reduction::Sum,
                               builder.getStringAttr(loops.front().second), block, blockIndex);
    OpBuilder::InsertionGuard guard(builder);
    Block *body = builder.createBlock(&reduce.getBody(), {}, builder.getI32Type(), loc);
    mapping.map(loops.front().first, body->getArgument(0));
    FailureOr<Value> value = sumOver(loops.drop_front(), mapping, emit);
    if (failed(value))
      return failure();
    attn::YieldOp::create(builder, loc, *value);
    return reduce.getResult();
  }

  /// Within the loops over the stage's coordinates (depth 0) or over the first `depth` reductions
  /// of the path: the derivative of what the region yields, down to the read.
  FailureOr<Value> inner(attn::ComputeOp compute, ArrayRef<attn::ReduceOp> path, unsigned depth,
                         attn::ReadOp read, ArrayRef<std::pair<Value, Value>> conditions,
                         IRMapping &mapping) {
    Region &region = depth ? attn::ReduceOp(path[depth - 1]).getBody() : compute.getBody();
    Block &body = region.front();
    for (Operation &inner : body.without_terminator())
      cloneInto(inner, mapping);
    auto yield = cast<attn::YieldOp>(body.getTerminator());
    bool isLast = depth == path.size();
    Value target = isLast ? read.getResult() : attn::ReduceOp(path[depth]).getResult();
    FailureOr<Value> derivative = deriveScalar(builder, yield.getValues()[0], target, mapping);
    if (failed(derivative)) {
      emitError(op.getLoc(), "this gradient goes through arithmetic that has no derivative here");
      return failure();
    }
    Location loc = op.getLoc();
    Value value = *derivative;
    auto times = [&](Value factor) { value = arith::MulFOp::create(builder, loc, value, factor); };
    Value zero = arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0.0f));
    if (depth == 0) {
      SmallVector<Value> indices;
      for (Value argument : compute.getBody().getArguments())
        indices.push_back(mapping.lookup(argument));
      times(attn::ReadOp::create(builder, loc, builder.getF32Type(), adjoints[compute.getResult()],
                                 indices));
    } else if (yield.getValues().size() == 2) {
      Value condition = mapping.lookupOrDefault(yield.getValues()[1]);
      value = arith::SelectOp::create(builder, loc, condition, value, zero);
    }
    if (isLast) {
      for (auto [index, argument] : conditions) {
        // A read outside of an axis is one of its last element.
        auto type = cast<attn::AttnTensorType>(read.getTensor().getType());
        StringRef axis = type.getAxisName(cast<BlockArgument>(argument).getArgNumber());
        Value zeroIndex = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(0));
        Value one = arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(1));
        Value size = attn::SizeOp::create(builder, loc, builder.getI32Type(), axis);
        Value last = arith::SubIOp::create(builder, loc, size, one);
        Value clamped =
            arith::MaxSIOp::create(builder, loc, mapping.lookupOrDefault(index), zeroIndex);
        clamped = arith::MinSIOp::create(builder, loc, clamped, last);
        Value same =
            arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, clamped, argument);
        value = arith::SelectOp::create(builder, loc, same, value, zero);
      }
      return value;
    }
    attn::ReduceOp next = path[depth];
    if (next.getKind() != attn::Reduction::Sum && next.getKind() != attn::Reduction::Mean) {
      InFlightDiagnostic diagnostic =
          emitError(op.getLoc(), "this gradient goes through a reduction that is neither sum "
                                 "nor mean");
      diagnostic.attachNote(next.getLoc())
          << "`" << attn::stringifyReduction(next.getKind()) << "` is used here";
      return failure();
    }
    if (next.getKind() == attn::Reduction::Mean) {
      FailureOr<Value> share = shareOfMean(next, mapping);
      if (failed(share))
        return failure();
      times(*share);
    }
    SmallVector<std::pair<BlockArgument, StringRef>> loops;
    BlockArgument index = next.getBody().getArgument(0);
    // The index is mapped only where its reduction is entered: clones of the whole reduction keep
    // their own.
    if (Value known = fixed.lookup(index))
      mapping.map(index, known);
    else
      loops.emplace_back(index, next.getSpace());
    Value outer = value;
    FailureOr<Value> sum = sumOver(
        loops, mapping,
        [&]() -> FailureOr<Value> {
          FailureOr<Value> rest = inner(compute, path, depth + 1, read, conditions, mapping);
          if (failed(rest))
            return failure();
          return arith::MulFOp::create(builder, loc, outer, *rest).getResult();
        },
        next.getBlockAttr(), next.getIndex() ? mapping.lookupOrDefault(next.getIndex()) : Value());
    return sum;
  }

  /// One over the number of values that a mean is of.
  FailureOr<Value> shareOfMean(attn::ReduceOp mean, IRMapping &mapping) {
    Location loc = op.getLoc();
    auto count = attn::ReduceOp::create(
        builder, loc, builder.getF32Type(), attn::Reduction::Sum, mean.getSpaceAttr(),
        mean.getBlockAttr(), mean.getIndex() ? mapping.lookupOrDefault(mean.getIndex()) : Value());
    IRMapping local(mapping);
    OpBuilder::InsertionGuard guard(builder);
    Block *body = builder.createBlock(&count.getBody(), {}, builder.getI32Type(), loc);
    local.map(mean.getBody().getArgument(0), body->getArgument(0));
    auto yield = cast<attn::YieldOp>(mean.getBody().front().getTerminator());
    SmallVector<Value> yielded;
    if (yield.getValues().size() == 2)
      for (Operation &inner : mean.getBody().front().without_terminator())
        cloneInto(inner, local);
    yielded.push_back(arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(1.0f)));
    if (yield.getValues().size() == 2)
      yielded.push_back(local.lookupOrDefault(yield.getValues()[1]));
    attn::YieldOp::create(builder, loc, yielded);
    builder.setInsertionPointAfter(count);
    Value one = arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(1.0f));
    return arith::DivFOp::create(builder, loc, one, count.getResult()).getResult();
  }

  attn::GradOp op;
  OpBuilder builder;
  llvm::DenseSet<Value> dependents;
  llvm::DenseMap<Value, Value> adjoints;
  /// Of the contribution that is being emitted: coordinates that an index of the adjoint takes the
  /// place of.
  llvm::DenseMap<Value, Value> fixed;
};

struct AttnDeriveGradients : impl::AttnDeriveGradientsBase<AttnDeriveGradients> {
  void runOnOperation() override {
    SmallVector<attn::GradOp> gradients;
    getOperation()->walk([&](attn::GradOp op) { gradients.push_back(op); });
    for (attn::GradOp op : gradients) {
      FailureOr<Value> gradient = Reverse(op).run();
      if (failed(gradient))
        return signalPassFailure();
      op.getResult().replaceAllUsesWith(*gradient);
      op.erase();
    }
  }
};

} // namespace
} // namespace attnc

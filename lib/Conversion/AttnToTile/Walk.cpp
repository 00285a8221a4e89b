// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The loops of a walk. WalkBounds.cpp emits what they run between.
#include "WalkBounds.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

struct Walk::Loop {
  Carry &carry;
  int64_t step; ///< indices at a time
  Tiles tiles;
};

FailureOr<Walk> Walk::over(KernelContext &context, Elements &elements, Location loc,
                           const KeyRanges &ranges, std::optional<KeyPart> part,
                           std::optional<TileVisits> visits) {
  FailureOr<WalkBounds> bounds = emitWalkBounds(context, elements, loc, ranges, part);
  if (failed(bounds))
    return failure();
  Walk walk(context, loc, std::move(*bounds));
  if (visits) {
    walk.visits = std::move(visits);
    walk.numFull = walk.entry(context.i32(loc, 0));
    walk.numVisits = walk.entry(context.i32(loc, 1));
  }
  return walk;
}

Value Walk::entry(Value slot) const {
  SmallVector<Value> indices(visits->row);
  indices.push_back(slot);
  return tile::ElementOp::create(context.builder, loc, context.builder.getI32Type(), visits->view,
                                 indices);
}

/// Tiles `from` to `to` of the list. A block of several steps is a loop of its own.
FailureOr<Walk::State> Walk::emitVisits(const Loop &loop, const State &state, Value from, Value to,
                                        bool isFull) const {
  OpBuilder &builder = context.builder;
  auto forOp = scf::ForOp::create(builder, loc, from, to, context.i32(loc, 1), state);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forOp.getBody());
  Value slot = arith::AddIOp::create(builder, loc, forOp.getInductionVar(), context.i32(loc, 2));
  Value block = context.i32(loc, visits->block);
  Value first = arith::MulIOp::create(builder, loc, entry(slot), block);
  State carried(forOp.getRegionIterArgs());
  FailureOr<State> next = failure();
  if (loop.step == visits->block)
    next = loop.carry.step(carried, WalkTile{first, isFull});
  else
    next =
        emitLoop(loop, carried, first, arith::AddIOp::create(builder, loc, first, block), isFull);
  if (failed(next))
    return failure();
  scf::YieldOp::create(builder, loc, *next);
  return State(forOp.getResults());
}

FailureOr<Walk::State> Walk::emitVisits(const Loop &loop, const State &state) const {
  Value zero = context.i32(loc, 0);
  if (loop.tiles == Tiles::AllPartial)
    return emitVisits(loop, state, zero, numVisits, /*isFull=*/false);
  FailureOr<State> full = emitVisits(loop, state, zero, numFull, /*isFull=*/true);
  return failed(full) ? full : emitVisits(loop, *full, numFull, numVisits, /*isFull=*/false);
}

FailureOr<Walk::State> Walk::run(Carry &carry, int64_t step, Tiles tiles) const {
  FailureOr<State> state = carry.init();
  if (succeeded(state))
    state = visits ? emitVisits({carry, step, tiles}, *state)
                   : emitRanges({carry, step, tiles}, *state);
  return failed(state) ? state : carry.finish(*state);
}

FailureOr<Walk::State> Walk::emitLoop(const Loop &loop, const State &state, Value from, Value to,
                                      bool isFull) const {
  OpBuilder &builder = context.builder;
  auto forOp = scf::ForOp::create(builder, loc, from, to, context.i32(loc, loop.step), state);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forOp.getBody());
  FailureOr<State> next =
      loop.carry.step(forOp.getRegionIterArgs(), WalkTile{forOp.getInductionVar(), isFull});
  if (failed(next))
    return failure();
  scf::YieldOp::create(builder, loc, *next);
  return State(forOp.getResults());
}

FailureOr<Walk::State> Walk::emitRange(const Loop &loop, const State &state,
                                       const WalkRange &range) const {
  if (!bounds.hasFull || loop.tiles == Tiles::AllPartial)
    return emitLoop(loop, state, range.start, range.end, /*isFull=*/false);
  FailureOr<State> current = state;
  Value from = range.start;
  if (bounds.hasLeadingPartial) {
    current = emitLoop(loop, *current, from, range.fullStart, /*isFull=*/false);
    from = range.fullStart;
  }
  if (succeeded(current))
    current = emitLoop(loop, *current, from, range.fullEnd, /*isFull=*/true);
  if (succeeded(current))
    current = emitLoop(loop, *current, range.fullEnd, range.end, /*isFull=*/false);
  return current;
}

/// Several ranges share one copy of the code: an outer loop picks the bounds of each.
FailureOr<Walk::State> Walk::emitRanges(const Loop &loop, const State &state) const {
  if (bounds.ranges.size() == 1)
    return emitRange(loop, state, bounds.ranges.front());
  OpBuilder &builder = context.builder;
  Value zero = context.i32(loc, 0), one = context.i32(loc, 1);
  Value count = context.i32(loc, bounds.ranges.size());
  auto forOp = scf::ForOp::create(builder, loc, zero, count, one, state);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forOp.getBody());
  WalkRange picked = bounds.ranges.front();
  for (auto [i, range] : llvm::enumerate(llvm::drop_begin(bounds.ranges))) {
    Value here = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                       forOp.getInductionVar(), context.i32(loc, i + 1));
    auto pick = [&, here = here](Value candidate, Value current) -> Value {
      return arith::SelectOp::create(builder, loc, here, candidate, current);
    };
    picked = {pick(range.start, picked.start), pick(range.fullStart, picked.fullStart),
              pick(range.fullEnd, picked.fullEnd), pick(range.end, picked.end)};
  }
  FailureOr<State> next = emitRange(loop, State(forOp.getRegionIterArgs()), picked);
  if (failed(next))
    return failure();
  scf::YieldOp::create(builder, loc, *next);
  return State(forOp.getResults());
}

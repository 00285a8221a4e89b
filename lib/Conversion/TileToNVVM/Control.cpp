// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Control flow in NVVM: loops and branches whose tiles are fragments, carried as scalars, and the
// condition that all threads of a block agree on.
#include "KernelLowering.h"
#include "dialects/Tile/TileLayouts.h"

using namespace mlir;
using namespace attnc;

/// The row maxima of scores that a mask may have hidden entirely.
static bool decidesSkip(Operation &op) {
  auto reduce = dyn_cast<tile::ReduceOp>(op);
  if (!reduce || reduce.getKind() != tile::ReduceKind::Max)
    return false;
  auto map = reduce.getInput().getDefiningOp<tile::MapOp>();
  return map && map->hasAttr("tile.skip_hidden");
}

/// Lowers the body and returns what it yields. Where scores may all be hidden, the rest of the body
/// is in a branch that a warp takes only if one of its rows sees a key: rows belong to warps, and
/// barriers are at the head of the body, so that warps may differ. What the branch would compute
/// then stays as carried.
static FailureOr<SmallVector<Value>> lowerLoopBody(KernelLowering &kl, scf::ForOp loop) {
  Block &body = *loop.getBody();
  auto yielded = body.getTerminator()->getOperands();
  auto flatten = [&]() {
    SmallVector<Value> values;
    for (Value value : yielded)
      llvm::append_range(values, kl.valuesOf(value));
    return values;
  };
  auto op = body.begin();
  for (; !op->hasTrait<OpTrait::IsTerminator>(); ++op) {
    if (failed(kl.lower(&*op)))
      return failure();
    if (decidesSkip(*op))
      break;
  }
  bool whole = false; // all threads of a block are needed behind the branch
  for (auto rest = op; !rest->hasTrait<OpTrait::IsTerminator>(); ++rest)
    whole |= rest != op && tile::needsWholeBlock(&*rest);
  if (whole)
    for (++op; !op->hasTrait<OpTrait::IsTerminator>(); ++op)
      if (failed(kl.lower(&*op)))
        return failure();
  if (op->hasTrait<OpTrait::IsTerminator>())
    return flatten();

  Location loc = op->getLoc();
  Value some; // one of this thread's rows sees a key; a NaN is seen
  Value hidden = arith::ConstantOp::create(kl.builder, loc, kl.builder.getF32FloatAttr(-INFINITY));
  for (Value maximum : kl.fragments[op->getResult(0)]) {
    Value seen = arith::CmpFOp::create(kl.builder, loc, arith::CmpFPredicate::UNE, maximum, hidden);
    some = some ? Value(arith::OrIOp::create(kl.builder, loc, some, seen)) : seen;
  }
  Value warpSees = NVVM::VoteSyncOp::create(kl.builder, loc, kl.builder.getI1Type(),
                                            kl.i32(loc, -1), some, NVVM::VoteSyncKind::any);
  // Values yielded from behind the branch; for the rest there is nothing to choose.
  SmallVector<unsigned> chosen;
  SmallVector<Type> types;
  SmallVector<Value> kept;
  for (auto [i, value] : llvm::enumerate(yielded)) {
    Operation *producer = value.getDefiningOp();
    if (!producer || producer->getBlock() != &body || !op->isBeforeInBlock(producer))
      continue;
    chosen.push_back(i);
    llvm::append_range(types, kl.flatten(value.getType()));
    llvm::append_range(kept, kl.valuesOf(loop.getRegionIterArgs()[i]));
  }
  auto branch = scf::IfOp::create(kl.builder, loc, types, warpSees, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(kl.builder);
    kl.builder.setInsertionPointToStart(branch.thenBlock());
    for (++op; !op->hasTrait<OpTrait::IsTerminator>(); ++op)
      if (failed(kl.lower(&*op)))
        return failure();
    SmallVector<Value> computed;
    for (unsigned i : chosen)
      llvm::append_range(computed, kl.valuesOf(yielded[i]));
    scf::YieldOp::create(kl.builder, loc, computed);
    kl.builder.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(kl.builder, loc, kept);
  }
  ValueRange results = branch.getResults();
  for (unsigned i : chosen) {
    size_t count = kl.flatten(yielded[i].getType()).size();
    kl.fragments[yielded[i]] = Fragment(results.take_front(count));
    results = results.drop_front(count);
  }
  return flatten();
}

static LogicalResult lowerFor(KernelLowering &kl, scf::ForOp loop) {
  Location loc = loop.getLoc();
  SmallVector<Value> inits;
  for (Value init : loop.getInitArgs())
    llvm::append_range(inits, kl.valuesOf(init));
  auto next = scf::ForOp::create(kl.builder, loc, kl.scalars.lookup(loop.getLowerBound()),
                                 kl.scalars.lookup(loop.getUpperBound()),
                                 kl.scalars.lookup(loop.getStep()), inits);
  kl.scalars.map(loop.getInductionVar(), next.getInductionVar());
  kl.distribute(loop.getRegionIterArgs(), next.getRegionIterArgs());
  {
    OpBuilder::InsertionGuard guard(kl.builder);
    Block *body = next.getBody();
    if (!body->empty())
      body->back().erase();
    kl.builder.setInsertionPointToEnd(body);
    FailureOr<SmallVector<Value>> yielded = lowerLoopBody(kl, loop);
    if (failed(yielded))
      return failure();
    scf::YieldOp::create(kl.builder, loc, *yielded);
  }
  kl.distribute(loop.getResults(), next.getResults());
  return success();
}

/// Both sides see the fragments from before the branch.
static LogicalResult lowerIf(KernelLowering &kl, scf::IfOp branch) {
  Location loc = branch.getLoc();
  SmallVector<Type> types;
  for (Type type : branch.getResultTypes())
    llvm::append_range(types, kl.flatten(type));
  auto lowered = scf::IfOp::create(kl.builder, loc, types, kl.scalars.lookup(branch.getCondition()),
                                   branch.elseBlock() != nullptr);
  for (auto [from, to] : {std::pair(branch.thenBlock(), lowered.thenBlock()),
                          std::pair(branch.elseBlock(), lowered.elseBlock())}) {
    if (!from)
      continue;
    OpBuilder::InsertionGuard guard(kl.builder);
    if (!to->empty())
      to->back().erase();
    kl.builder.setInsertionPointToEnd(to);
    if (failed(kl.lowerBlock(*from, /*withTerminator=*/false)))
      return failure();
    SmallVector<Value> values;
    for (Value value : from->getTerminator()->getOperands())
      llvm::append_range(values, kl.valuesOf(value));
    scf::YieldOp::create(kl.builder, loc, values);
  }
  kl.distribute(branch.getResults(), lowered.getResults());
  return success();
}

static LogicalResult lowerWhile(KernelLowering &kl, scf::WhileOp loop) {
  Location loc = loop.getLoc();
  OpBuilder &b = kl.builder;
  SmallVector<Value> inits;
  for (Value init : loop.getInits())
    llvm::append_range(inits, kl.valuesOf(init));
  SmallVector<Type> types;
  for (Type type : loop.getResultTypes())
    llvm::append_range(types, kl.flatten(type));
  auto lowered = scf::WhileOp::create(b, loc, types, inits);
  /// Lowers a region of the loop into one of the new loop, and ends it by `terminate`.
  auto region = [&](Block &from, Region &to, auto terminate) -> LogicalResult {
    SmallVector<Type> arguments;
    for (Type type : from.getArgumentTypes())
      llvm::append_range(arguments, kl.flatten(type));
    OpBuilder::InsertionGuard guard(b);
    Block *body = b.createBlock(&to, {}, arguments, SmallVector<Location>(arguments.size(), loc));
    kl.distribute(from.getArguments(), body->getArguments());
    if (failed(kl.lowerBlock(from, /*withTerminator=*/false)))
      return failure();
    terminate();
    return success();
  };
  auto flat = [&](ValueRange values) {
    SmallVector<Value> result;
    for (Value value : values)
      llvm::append_range(result, kl.valuesOf(value));
    return result;
  };
  if (failed(region(*loop.getBeforeBody(), lowered.getBefore(),
                    [&]() {
                      scf::ConditionOp condition = loop.getConditionOp();
                      scf::ConditionOp::create(b, loc, kl.scalars.lookup(condition.getCondition()),
                                               flat(condition.getArgs()));
                    })) ||
      failed(region(*loop.getAfterBody(), lowered.getAfter(), [&]() {
        scf::YieldOp::create(b, loc, flat(loop.getYieldOp()->getOperands()));
      })))
    return failure();
  kl.distribute(loop.getResults(), lowered.getResults());
  return success();
}

static LogicalResult lowerAny(KernelLowering &kl, tile::AnyOp any) {
  Location loc = any.getLoc();
  Value some;
  for (Value value : kl.fragments[any.getInput()])
    some = some ? Value(arith::OrIOp::create(kl.builder, loc, some, value)) : value;
  Value here = some;
  if (!some.getType().isInteger(1))
    here = arith::CmpIOp::create(kl.builder, loc, arith::CmpIPredicate::ne, some, kl.i32(loc, 0));
  kl.scalars.map(any.getResult(), kl.barrierOr(loc, here));
  return success();
}

void attnc::registerControl(NVVMOpTable &table) {
  table.add(lowerFor);
  table.add(lowerIf);
  table.add(lowerWhile);
  table.add(lowerAny);
}

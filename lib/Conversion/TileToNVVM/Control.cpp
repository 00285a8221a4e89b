// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Control flow in NVVM: loops and branches whose tiles are fragments, carried as scalars, and the
// condition that all threads of a block agree on.
#include "KernelLowering.h"

using namespace mlir;
using namespace attnc;
using tile::TileType;

void KernelLowering::distribute(ValueRange originals, ValueRange flat) {
  for (Value original : originals) {
    size_t count = flatten(original.getType()).size();
    if (isa<TileType, tile::TokenType, tile::SlotType>(original.getType()))
      fragments[original] = Fragment(flat.take_front(count));
    else
      scalars.map(original, flat.front());
    flat = flat.drop_front(count);
  }
}

SmallVector<Value> KernelLowering::valuesOf(Value value) {
  auto it = fragments.find(value);
  return it != fragments.end() ? it->second : Fragment{scalars.lookup(value)};
}

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
FailureOr<SmallVector<Value>> KernelLowering::lowerLoopBody(scf::ForOp loop) {
  Block &body = *loop.getBody();
  auto yielded = body.getTerminator()->getOperands();
  auto flatten = [&]() {
    SmallVector<Value> values;
    for (Value value : yielded)
      llvm::append_range(values, valuesOf(value));
    return values;
  };
  auto op = body.begin();
  for (; !op->hasTrait<OpTrait::IsTerminator>(); ++op) {
    if (failed(lowerOp(&*op)))
      return failure();
    if (decidesSkip(*op))
      break;
  }
  if (op->hasTrait<OpTrait::IsTerminator>())
    return flatten();

  Location loc = op->getLoc();
  Value some; // one of this thread's rows sees a key; a NaN is seen
  Value hidden = arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(-INFINITY));
  for (Value maximum : fragments[op->getResult(0)]) {
    Value seen = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNE, maximum, hidden);
    some = some ? Value(arith::OrIOp::create(builder, loc, some, seen)) : seen;
  }
  Value warpSees = NVVM::VoteSyncOp::create(builder, loc, builder.getI1Type(), i32(loc, -1), some,
                                            NVVM::VoteSyncKind::any);
  // Values yielded from behind the branch; for the rest there is nothing to choose.
  SmallVector<unsigned> chosen;
  SmallVector<Type> types;
  SmallVector<Value> kept;
  for (auto [i, value] : llvm::enumerate(yielded)) {
    Operation *producer = value.getDefiningOp();
    if (!producer || producer->getBlock() != &body || !op->isBeforeInBlock(producer))
      continue;
    chosen.push_back(i);
    llvm::append_range(types, this->flatten(value.getType()));
    llvm::append_range(kept, valuesOf(loop.getRegionIterArgs()[i]));
  }
  auto branch = scf::IfOp::create(builder, loc, types, warpSees, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(branch.thenBlock());
    for (++op; !op->hasTrait<OpTrait::IsTerminator>(); ++op)
      if (failed(lowerOp(&*op)))
        return failure();
    SmallVector<Value> computed;
    for (unsigned i : chosen)
      llvm::append_range(computed, valuesOf(yielded[i]));
    scf::YieldOp::create(builder, loc, computed);
    builder.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(builder, loc, kept);
  }
  ValueRange results = branch.getResults();
  for (unsigned i : chosen) {
    size_t count = this->flatten(yielded[i].getType()).size();
    fragments[yielded[i]] = Fragment(results.take_front(count));
    results = results.drop_front(count);
  }
  return flatten();
}

LogicalResult KernelLowering::lowerFor(scf::ForOp loop) {
  Location loc = loop.getLoc();
  SmallVector<Value> inits;
  for (Value init : loop.getInitArgs())
    llvm::append_range(inits, valuesOf(init));
  auto next = scf::ForOp::create(builder, loc, scalars.lookup(loop.getLowerBound()),
                                 scalars.lookup(loop.getUpperBound()),
                                 scalars.lookup(loop.getStep()), inits);
  scalars.map(loop.getInductionVar(), next.getInductionVar());
  distribute(loop.getRegionIterArgs(), next.getRegionIterArgs());
  {
    OpBuilder::InsertionGuard guard(builder);
    Block *body = next.getBody();
    if (!body->empty())
      body->back().erase();
    builder.setInsertionPointToEnd(body);
    FailureOr<SmallVector<Value>> yielded = lowerLoopBody(loop);
    if (failed(yielded))
      return failure();
    scf::YieldOp::create(builder, loc, *yielded);
  }
  distribute(loop.getResults(), next.getResults());
  return success();
}

/// Both sides see the fragments from before the branch.
LogicalResult KernelLowering::lowerIf(scf::IfOp branch) {
  Location loc = branch.getLoc();
  SmallVector<Type> types;
  for (Type type : branch.getResultTypes())
    llvm::append_range(types, flatten(type));
  auto lowered = scf::IfOp::create(builder, loc, types, scalars.lookup(branch.getCondition()),
                                   branch.elseBlock() != nullptr);
  for (auto [from, to] : {std::pair(branch.thenBlock(), lowered.thenBlock()),
                          std::pair(branch.elseBlock(), lowered.elseBlock())}) {
    if (!from)
      continue;
    OpBuilder::InsertionGuard guard(builder);
    if (!to->empty())
      to->back().erase();
    builder.setInsertionPointToEnd(to);
    for (Operation &op : from->without_terminator())
      if (failed(lowerOp(&op)))
        return failure();
    SmallVector<Value> values;
    for (Value value : from->getTerminator()->getOperands())
      llvm::append_range(values, valuesOf(value));
    scf::YieldOp::create(builder, loc, values);
  }
  distribute(branch.getResults(), lowered.getResults());
  return success();
}

void KernelLowering::lowerAny(tile::AnyOp any) {
  Location loc = any.getLoc();
  Value some;
  for (Value value : fragments[any.getInput()])
    some = some ? Value(arith::OrIOp::create(builder, loc, some, value)) : value;
  Value here = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, some, i32(loc, 0));
  here = arith::ExtUIOp::create(builder, loc, builder.getI32Type(), here);
  auto reduction =
      NVVM::BarrierReductionAttr::get(builder.getContext(), NVVM::BarrierReduction::OR);
  Value anywhere = NVVM::BarrierOp::create(builder, loc, TypeRange{builder.getI32Type()}, Value(),
                                           Value(), reduction, here)
                       .getResult(0);
  scalars.map(any.getResult(),
              arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne, anywhere, i32(loc, 0)));
}

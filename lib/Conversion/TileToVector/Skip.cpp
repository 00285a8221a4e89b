// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Skips iterations in which a mask hides everything. The producer of a kernel marks the map that
// hides scores with `tile.skip_hidden`: a promise that an iteration of the loop around it changes
// no carried tile if the map yields -inf everywhere. If what the mask decides does not depend on
// the scores, it is evaluated before anything else of the iteration,
//
//   %x = tile.map(%s) at(%row0, %kv0) {
//   ^bb0(%e: f32, %i: i32, %j: i32):
//     ...                                            // keep = f(i, j)
//     %y = arith.select %keep, %e, %neg_inf : f32
//     tile.yield %y : f32
//   } {tile.skip_hidden} : ...
//
// which costs about a hundredth of the products that it may save. This is what makes masks that
// read tensors (documents) sparse: their loop bounds are not known in closed form.
#include "Skip.h"
#include "RowBound.h"
#include "RowGroup.h"

using namespace mlir;
using namespace attnc;

/// The condition under which `map` keeps a score, if it yields `select(keep, score, -inf)` and
/// `keep` needs only coordinates and values from outside of `loop`.
static Value keepCondition(tile::MapOp map, scf::ForOp loop) {
  auto yield = cast<tile::YieldOp>(map.getBlock()->getTerminator());
  auto select = yield.getValue().getDefiningOp<arith::SelectOp>();
  llvm::APFloat hidden(0.0f);
  if (!select || !matchPattern(select.getFalseValue(), m_ConstantFloat(&hidden)) ||
      !hidden.isInfinity() || !hidden.isNegative())
    return {};
  auto known = [&](Value v) {
    return v == loop.getInductionVar() || !loop.getRegion().isAncestor(v.getParentRegion());
  };
  if (!known(map.getRow0()) || !known(map.getCol0()))
    return {};
  Value keep = select.getCondition();
  for (Value v : neededFor(map, keep)) {
    if (auto arg = dyn_cast<BlockArgument>(v))
      if (arg.getArgNumber() < map.getInputs().size())
        return {};
    if (Operation *op = v.getDefiningOp())
      for (Value operand : op->getOperands())
        if (operand.getParentBlock() != map.getBlock() && !known(operand))
          return {};
  }
  return keep;
}

FailureOr<Value> attnc::iterationIsVisible(KernelEmitter &ke, scf::ForOp loop) {
  Emitter &e = ke.e;
  tile::MapOp map;
  for (auto candidate : loop.getBody()->getOps<tile::MapOp>())
    if (candidate->hasAttr("tile.skip_hidden"))
      map = candidate;
  bool onlyTiles = llvm::all_of(loop.getResultTypes(), llvm::IsaPred<tile::TileType>);
  if (!map || !onlyTiles || map.getResult().getType().getRank() != 2)
    return Value();
  Value keep = keepCondition(map, loop);
  if (!keep)
    return Value();
  e.loc = map.getLoc();
  tile::TileType type = map.getResult().getType();
  SmallVector<Value> noElements(map.getInputs().size());
  bool ok = true;
  Value seen = e.zero(e.vi32), all = e.constInt(e.vi32, -1);
  SmallVector<Value> result = e.forLoop(
      e.constI64(0), rowsOf(ke, map.getResult()), 1, seen, [&](Value row, ValueRange carried) {
        Value now = carried[0];
        for (int64_t col = 0; ok && col < type.getCols(); col += e.lanes) {
          Value kept = mapVector(ke, map, noElements, row, e.constI64(col), keep);
          ok &= kept != nullptr;
          if (ok)
            now = e.select(e.asVector(kept), all, now);
        }
        return SmallVector<Value>{now};
      });
  if (!ok)
    return failure();
  Value any = e.reduceLanes(
      result[0], [&](Value x, Value y) -> Value { return arith::OrIOp::create(e.b, e.loc, x, y); });
  return Value(arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, any, e.constI32(0)));
}

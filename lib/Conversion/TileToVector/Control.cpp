// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops and branches. Tiles that a loop carries, or a branch yields, keep one buffer.
#include "RowGroup.h"
#include "Skip.h"

using namespace mlir;
using namespace attnc;

/// Elements of a buffer, padding included.
static int64_t sizeOf(const Buffer &buffer, int64_t lanes) {
  return buffer.pitch == 1 ? llvm::alignTo(buffer.rows, lanes) : buffer.rows * buffer.pitch;
}

static void copyBuffer(KernelEmitter &ke, const Buffer &from, const Buffer &to) {
  Emitter &e = ke.e;
  int64_t size = byteSize(to.storage), align = ke.tiles.vectorAlign(to.storage);
  e.forRange(0, sizeOf(to, e.lanes), e.lanes, [&](Value i) {
    Value bytes = e.mulc(i, size);
    Value value =
        e.load(e.vec(to.storage), e.offset(e.offset(ke.tiles.scratch, from.offset), bytes), align);
    e.store(value, e.offset(e.offset(ke.tiles.scratch, to.offset), bytes), align);
  });
}

static void fillBuffer(KernelEmitter &ke, Value scalar, const Buffer &buffer) {
  Emitter &e = ke.e;
  Value value = toStorage(ke, e.asVector(scalar));
  e.forRange(0, sizeOf(buffer, e.lanes), e.lanes, [&](Value i) {
    Value at =
        e.offset(e.offset(ke.tiles.scratch, buffer.offset), e.mulc(i, byteSize(buffer.storage)));
    e.store(value, at, ke.tiles.vectorAlign(buffer.storage));
  });
}

/// Copies tiles to buffers as if all at once.
static void moveTiles(KernelEmitter &ke, ValueRange from, ArrayRef<Buffer> to) {
  // A source that lies in the target of another move is first put aside.
  SmallVector<Buffer> sources(from.size());
  for (auto [i, value] : llvm::enumerate(from)) {
    if (ke.tiles.fillOf(value))
      continue;
    sources[i] = ke.tiles.bufferOf(value);
    bool overwritten = false;
    for (auto [j, target] : llvm::enumerate(to))
      overwritten |= j != i && target.offset == sources[i].offset;
    if (!overwritten)
      continue;
    Buffer aside = ke.tiles.newBuffer(cast<tile::TileType>(value.getType()));
    copyBuffer(ke, sources[i], aside);
    sources[i] = aside;
  }
  for (auto [i, value] : llvm::enumerate(from)) {
    if (ke.tiles.fillOf(value))
      fillBuffer(ke, readVector(ke, value, Value(), Value()), to[i]);
    else if (sources[i].offset != to[i].offset)
      copyBuffer(ke, sources[i], to[i]);
  }
}

static LogicalResult emitFor(KernelEmitter &ke, scf::ForOp loop) {
  Emitter &e = ke.e;
  SmallVector<Value> scalarInits, tileInits;
  SmallVector<Buffer> carried;
  for (Value init : loop.getInitArgs()) {
    if (!isa<tile::TileType>(init.getType())) {
      scalarInits.push_back(ke.scalars.lookupOrDefault(init));
      continue;
    }
    // Take over the initial value's buffer if nobody else needs it.
    Value v = ke.tiles.resolve(init);
    bool takeOver =
        ke.tiles.buffers.count(v) && ke.tiles.diesAt(v, loop) && !llvm::is_contained(tileInits, v);
    ke.tiles.forEachUser(v, [&](Operation *user) { takeOver &= !loop->isProperAncestor(user); });
    carried.push_back(takeOver ? ke.tiles.buffers[v]
                               : ke.tiles.newBuffer(cast<tile::TileType>(init.getType())));
    tileInits.push_back(v);
  }
  moveTiles(ke, tileInits, carried);

  bool ok = true;
  int64_t mark = ke.tiles.used;
  auto body = [&](OpBuilder &, Location, Value iv, ValueRange args) {
    ke.scalars.map(loop.getInductionVar(), iv);
    unsigned nextTile = 0, nextScalar = 0;
    for (BlockArgument arg : loop.getRegionIterArgs()) {
      if (isa<tile::TileType>(arg.getType()))
        ke.tiles.buffers[arg] = carried[nextTile++];
      else
        ke.scalars.map(arg, args[nextScalar++]);
    }
    OpBuilder::InsertionGuard guard(e.b);
    FailureOr<Value> visible = iterationIsVisible(ke, loop);
    ok = succeeded(visible);
    if (ok && *visible) {
      // Carried tiles are updated in place, so skipping the body keeps them; there are no other
      // values.
      auto branch = scf::IfOp::create(e.b, loop.getLoc(), *visible, /*withElseRegion=*/false);
      scf::YieldOp::create(e.b, loop.getLoc());
      e.b.setInsertionPointToStart(branch.thenBlock());
    }
    ok = ok && succeeded(ke.emitBlock(*loop.getBody()));
    SmallVector<Value> scalarYields, tileYields;
    for (Value v : loop.getBody()->getTerminator()->getOperands()) {
      if (isa<tile::TileType>(v.getType()))
        tileYields.push_back(v);
      else
        scalarYields.push_back(ke.scalars.lookupOrDefault(v));
    }
    if (ok)
      moveTiles(ke, tileYields, carried);
    if (!ok || !*visible)
      scf::YieldOp::create(e.b, loop.getLoc(), scalarYields);
  };
  auto lowered =
      scf::ForOp::create(e.b, loop.getLoc(), ke.scalars.lookupOrDefault(loop.getLowerBound()),
                         ke.scalars.lookupOrDefault(loop.getUpperBound()),
                         ke.scalars.lookupOrDefault(loop.getStep()), scalarInits, body);
  ke.tiles.used = mark;
  unsigned nextTile = 0, nextScalar = 0;
  for (Value result : loop.getResults()) {
    if (isa<tile::TileType>(result.getType()))
      ke.tiles.buffers[result] = carried[nextTile++];
    else
      ke.scalars.map(result, lowered.getResult(nextScalar++));
  }
  return success(ok);
}

static LogicalResult emitIf(KernelEmitter &ke, scf::IfOp branch) {
  Emitter &e = ke.e;
  SmallVector<Buffer> targets;
  SmallVector<Value> taken;
  SmallVector<Type> scalarTypes;
  for (OpResult result : branch.getResults()) {
    auto type = dyn_cast<tile::TileType>(result.getType());
    if (!type) {
      scalarTypes.push_back(result.getType());
      continue;
    }
    // Where one side yields what was there before, and nobody else needs it, the result takes over
    // its buffer.
    Value kept = ke.tiles.resolve(branch.elseYield().getOperand(result.getResultNumber()));
    bool takeOver = ke.tiles.buffers.count(kept) && ke.tiles.diesAt(kept, branch) &&
                    !llvm::is_contained(taken, kept);
    ke.tiles.forEachUser(kept, [&](Operation *user) {
      takeOver &= !branch.getThenRegion().isAncestor(user->getParentRegion());
    });
    taken.push_back(takeOver ? kept : Value());
    targets.push_back(takeOver ? ke.tiles.bufferOf(kept) : ke.tiles.newBuffer(type));
    ke.tiles.buffers[result] = targets.back();
  }
  auto lowered = scf::IfOp::create(e.b, branch.getLoc(), scalarTypes,
                                   ke.scalars.lookupOrDefault(branch.getCondition()),
                                   branch.elseBlock() != nullptr);
  for (auto [from, to] : {std::pair(branch.thenBlock(), lowered.thenBlock()),
                          std::pair(branch.elseBlock(), lowered.elseBlock())}) {
    if (!from)
      continue;
    OpBuilder::InsertionGuard guard(e.b);
    if (!to->empty())
      to->getTerminator()->erase();
    e.b.setInsertionPointToEnd(to);
    int64_t mark = ke.tiles.used;
    if (failed(ke.emitBlock(*from)))
      return failure();
    SmallVector<Value> scalarYields, tileYields;
    for (Value v : from->getTerminator()->getOperands()) {
      if (isa<tile::TileType>(v.getType()))
        tileYields.push_back(v);
      else
        scalarYields.push_back(ke.scalars.lookupOrDefault(v));
    }
    moveTiles(ke, tileYields, targets);
    scf::YieldOp::create(e.b, branch.getLoc(), scalarYields);
    ke.tiles.used = mark;
  }
  unsigned nextScalar = 0;
  for (Value result : branch.getResults())
    if (!isa<tile::TileType>(result.getType()))
      ke.scalars.map(result, lowered.getResult(nextScalar++));
  return success();
}

/// What the first region passes on, tiles and scalars, goes to places of its own: the second region
/// and the results have it there.
static LogicalResult emitWhile(KernelEmitter &ke, scf::WhileOp loop) {
  Emitter &e = ke.e;
  SmallVector<Value> scalarInits, tileInits;
  SmallVector<Buffer> carried, passed;
  auto separate = [&](ValueRange values, SmallVector<Value> &scalars, SmallVector<Value> &tiles) {
    for (Value value : values) {
      if (isa<tile::TileType>(value.getType()))
        tiles.push_back(value);
      else
        scalars.push_back(ke.scalars.lookupOrDefault(value));
    }
  };
  separate(loop.getInits(), scalarInits, tileInits);
  for (Value tile : tileInits)
    carried.push_back(ke.tiles.newBuffer(cast<tile::TileType>(tile.getType())));
  moveTiles(ke, tileInits, carried);
  SmallVector<Type> scalarTypes;
  for (Type type : loop.getResultTypes()) {
    if (auto tile = dyn_cast<tile::TileType>(type))
      passed.push_back(ke.tiles.newBuffer(tile));
    else
      scalarTypes.push_back(type);
  }
  /// Lets values of the new loop, and buffers, stand for `originals`.
  auto bind = [&](ValueRange originals, ValueRange scalars, ArrayRef<Buffer> buffers) {
    unsigned nextScalar = 0, nextTile = 0;
    for (Value original : originals) {
      if (isa<tile::TileType>(original.getType()))
        ke.tiles.buffers[original] = buffers[nextTile++];
      else
        ke.scalars.map(original, scalars[nextScalar++]);
    }
  };
  auto lowered = scf::WhileOp::create(e.b, loop.getLoc(), scalarTypes, scalarInits);
  auto region = [&](Block &from, Region &to, ArrayRef<Buffer> in, ValueRange out,
                    ArrayRef<Buffer> target, auto terminate) -> LogicalResult {
    SmallVector<Type> types;
    for (Type type : from.getArgumentTypes())
      if (!isa<tile::TileType>(type))
        types.push_back(type);
    OpBuilder::InsertionGuard guard(e.b);
    Block *body = e.b.createBlock(&to, {}, types, SmallVector<Location>(types.size(), e.loc));
    bind(from.getArguments(), body->getArguments(), in);
    int64_t mark = ke.tiles.used;
    if (failed(ke.emitBlock(from)))
      return failure();
    SmallVector<Value> scalars, tiles;
    separate(out, scalars, tiles);
    moveTiles(ke, tiles, target);
    terminate(scalars);
    ke.tiles.used = mark;
    return success();
  };
  scf::ConditionOp condition = loop.getConditionOp();
  if (failed(
          region(*loop.getBeforeBody(), lowered.getBefore(), carried, condition.getArgs(), passed,
                 [&](ValueRange scalars) {
                   scf::ConditionOp::create(
                       e.b, e.loc, ke.scalars.lookupOrDefault(condition.getCondition()), scalars);
                 })) ||
      failed(region(*loop.getAfterBody(), lowered.getAfter(), passed,
                    loop.getYieldOp()->getOperands(), carried,
                    [&](ValueRange scalars) { scf::YieldOp::create(e.b, e.loc, scalars); })))
    return failure();
  bind(loop.getResults(), lowered.getResults(), passed);
  return success();
}

void attnc::registerControl(HostOpTable &table) {
  table.add(emitFor);
  table.add(emitIf);
  table.add(emitWhile);
}

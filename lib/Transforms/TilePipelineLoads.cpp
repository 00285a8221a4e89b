// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-pipeline-loads: from "load, then compute" to a multi-stage pipeline of asynchronous copies.
//
//   for kv in [a, b): k = load K[kv]; v = load V[kv]; ...        (and a second loop over [b, c))
// becomes, with two stages,
//   t = copy K[a], V[a] -> stage 0
//   t, s = for kv in [a, b) iter(t, 1): ready = wait t; t' = copy K[kv+T], V[kv+T] -> stage s; ...
//   t, s = for kv in [b, c) iter(t, s): the same
//   wait t
// A row that follows from the induction variable, as from a list of tiles, is computed ahead too.
// The token is the only way to the data, so the order wait-then-read cannot be broken later. The
// easy mistake would be a barrier too few: the one at the wait of tile i orders all reads of tile
// i-1 before the copy that overwrites its stage, because that copy is issued after it.
#include "LoopChains.h"
#include "SharedLayouts.h"
#include "SharedLifetimes.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEPIPELINELOADS
#include "attnc/Transforms/Passes.h.inc"

namespace {

using tile::BufferType;
using tile::SharedLayoutAttr;

struct TilePipelineLoads : impl::TilePipelineLoadsBase<TilePipelineLoads> {
  using TilePipelineLoadsBase::TilePipelineLoadsBase;

  void runOnOperation() override {
    kernel = getOperation();
    chainBuffers.clear(); // one instance runs on several kernels
    schedule = kernel->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
    if (!schedule) {
      kernel.emitOpError("has no schedule: expected `tile.schedule`");
      return signalPassFailure();
    }
    if (schedule.getStages() < 2) { // of the host
      kernel.emitOpError("expects at least 2 pipeline stages, found ") << schedule.getStages();
      return signalPassFailure();
    }
    SmallVector<LoopChain> chains = findLoopChains(kernel);
    for (auto [i, chain] : llvm::enumerate(chains))
      if (failed(pipeline(chain, /*last=*/i + 1 == chains.size())))
        return signalPassFailure();
    SmallVector<tile::LoadOp> rest;
    kernel.walk([&](tile::LoadOp load) {
      if (feedsProduct(load))
        rest.push_back(load);
    });
    for (tile::LoadOp load : rest)
      stageOnce(load);
    assignOffsets();
  }

private:
  /// The ops of `loop` that the row of `load` follows from, in order; none where it is the
  /// induction variable. Nothing if it follows from what the loop carries.
  static std::optional<SmallVector<Operation *>> rowSlice(scf::ForOp loop, tile::LoadOp load) {
    llvm::SetVector<Value> open;
    SmallVector<Operation *> slice;
    open.insert(load.getRow());
    for (size_t next = 0; next < open.size(); ++next) {
      Value value = open[next];
      if (value == loop.getInductionVar() || !loop.getRegion().isAncestor(value.getParentRegion()))
        continue;
      Operation *op = value.getDefiningOp();
      if (!op || op->getNumRegions() != 0)
        return std::nullopt;
      slice.push_back(op);
      open.insert(op->operand_begin(), op->operand_end());
    }
    if (!open.contains(loop.getInductionVar()))
      return std::nullopt;
    llvm::sort(slice, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    return slice;
  }

  /// Whether two loops load the same rows at the same value of their induction variables.
  static bool haveSameRows(scf::ForOp first, tile::LoadOp a, scf::ForOp second, tile::LoadOp b) {
    auto x = rowSlice(first, a), y = rowSlice(second, b);
    if (!x || !y || x->size() != y->size())
      return false;
    IRMapping same;
    same.map(first.getInductionVar(), second.getInductionVar());
    for (auto [left, right] : llvm::zip(*x, *y)) {
      if (left->getName() != right->getName() ||
          left->getAttrDictionary() != right->getAttrDictionary() ||
          left->getNumOperands() != right->getNumOperands())
        return false;
      for (auto [from, to] : llvm::zip(left->getOperands(), right->getOperands()))
        if (same.lookupOrDefault(from) != to)
          return false;
      same.map(left->getResults(), right->getResults());
    }
    return same.lookupOrDefault(a.getRow()) == b.getRow();
  }

  /// Loads of a loop must be the same as those of its chain's first loop, at rows that follow from
  /// the induction variable in the same way.
  LogicalResult check(const LoopChain &chain) {
    SmallVector<tile::LoadOp> first = productLoads(chain.front());
    for (scf::ForOp loop : chain) {
      SmallVector<tile::LoadOp> loads = productLoads(loop);
      if (loads.size() != first.size())
        return loop.emitOpError("expects the loads of its chain's first loop");
      for (auto [a, b] : llvm::zip(first, loads))
        if (a.getView() != b.getView() || a.getIndices() != b.getIndices() ||
            a.getLimit() != b.getLimit() || !haveSameRows(chain.front(), a, loop, b))
          return b.emitOpError("expects a row that follows from the loop's induction variable, and "
                               "a load that agrees with the first loop of its chain");
    }
    return success();
  }

  Value createBuffer(tile::LoadOp load, int64_t stages) {
    OpBuilder b = OpBuilder::atBlockBegin(&kernel.getBody().front());
    BufferType buffer = bufferFor(load.getResult(), stages);
    return tile::AllocOp::create(b, load.getLoc(), buffer, IntegerAttr());
  }

  Value issue(OpBuilder &b, tile::LoadOp load, Value buffer, Value stage, Value row, Value limit) {
    auto type = tile::TokenType::get(b.getContext(), cast<BufferType>(buffer.getType()));
    return tile::AsyncCopyOp::create(b, load.getLoc(), type, load.getView(), load.getIndices(), row,
                                     limit, load.getRowDim(), load.getValidCols(),
                                     schedule.getVectorBytes(), buffer, stage);
  }

  /// The rows that a load takes at a position of its loop, and the limit there.
  struct Rows {
    Value first, limit;
  };
  /// Those of `loads` at `position`: nothing is taken at or beyond `end`. `limits` are the loads',
  /// or `end` if that is less and the row is the position itself.
  static SmallVector<Rows> rowsAt(OpBuilder &b, scf::ForOp loop, ArrayRef<tile::LoadOp> loads,
                                  Value position, Value end, ArrayRef<Value> limits) {
    SmallVector<Rows> result;
    Location loc = loop.getLoc();
    auto constant = [&](int64_t v) -> Value {
      return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
    };
    Value inside, exists;
    tile::LoadOp previous;
    for (auto [number, each] : llvm::enumerate(loads)) {
      tile::LoadOp load = each;
      if (load.getRow() == loop.getInductionVar()) {
        result.push_back({position, limits[number]});
        continue;
      }
      if (previous && previous.getRow() == load.getRow() && limits[number - 1] == limits[number]) {
        result.push_back(result.back());
        continue;
      }
      previous = load;
      if (!inside) {
        // Where there is no such position, the row is that of the last one, or of 0 if there is
        // none: a list is read within its bounds.
        exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, position, end);
        Value last = arith::SubIOp::create(b, loc, end, constant(1));
        Value before = arith::MinSIOp::create(b, loc, position, last);
        inside = arith::MaxSIOp::create(b, loc, before, constant(0));
      }
      IRMapping mapping;
      mapping.map(loop.getInductionVar(), inside);
      std::optional<SmallVector<Operation *>> slice = rowSlice(loop, load);
      for (Operation *op : *slice)
        b.clone(*op, mapping);
      Value limit = arith::SelectOp::create(b, loc, exists, limits[number], constant(0));
      result.push_back({mapping.lookup(load.getRow()), limit});
    }
    return result;
  }

  static SmallVector<Type> slotTypes(ValueRange tokens) {
    SmallVector<Type> types;
    for (Value token : tokens)
      types.push_back(tile::SlotType::get(token.getContext(),
                                          cast<tile::TokenType>(token.getType()).getBuffer()));
    return types;
  }

  /// Whether all threads meet between `op` and the next loop or branch behind it, so that a barrier
  /// at `op` would be one too many.
  static bool meetsBefore(Block::iterator op) {
    for (Block *block = op->getBlock(); op != block->end(); ++op) {
      if (isa<tile::AnyOp, tile::BarrierOp>(*op))
        return true;
      if (op->getNumRegions() != 0 && !isa<tile::MapOp>(*op))
        return false;
    }
    return false;
  }

  LogicalResult pipeline(const LoopChain &chain, bool last) {
    if (failed(check(chain)))
      return failure();
    SmallVector<tile::LoadOp> loads = productLoads(chain.front());
    scf::ForOp first = chain.front();
    Location loc = first.getLoc();
    OpBuilder b(first);
    auto constant = [&](int64_t v) -> Value {
      return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
    };
    SmallVector<Value> buffers;
    for (tile::LoadOp load : loads)
      buffers.push_back(createBuffer(load, schedule.getStages() + isHeld(load)));
    chainBuffers.push_back(buffers);
    // Rows at or beyond the chain's end are not needed: they are limited away. The end is known
    // only after the loops' bounds are computed, which is before the first loop.
    scf::ForOp lastLoop = chain.back();
    Value end = lastLoop.getUpperBound();
    SmallVector<Value> limits;
    for (tile::LoadOp load : loads)
      limits.push_back(load.getRow() == first.getInductionVar()
                           ? arith::MinSIOp::create(b, loc, load.getLimit(), end).getResult()
                           : Value(load.getLimit()));
    SmallVector<Value> carried; // tokens, oldest first, then the next stage to fill of each ring
    for (int64_t stage = 0; stage + 1 < schedule.getStages(); ++stage) {
      Value ahead = arith::MulIOp::create(b, loc, first.getStep(), constant(stage));
      Value row = arith::AddIOp::create(b, loc, first.getLowerBound(), ahead);
      SmallVector<Rows> rows = rowsAt(b, first, loads, row, end, limits);
      for (auto [load, buffer, at] : llvm::zip(loads, buffers, rows))
        carried.push_back(issue(b, load, buffer, constant(stage), at.first, at.limit));
      tile::CommitOp::create(b, loc);
    }
    SmallVector<int64_t> rings = ringsOf(buffers);
    carried.append(rings.size(), constant(schedule.getStages() - 1));
    numPipelined += loads.size();

    for (scf::ForOp loop : chain)
      carried = rewriteLoop(loop, end, buffers, limits, carried);

    // Nothing may be in flight when the buffers are filled anew or the block exits.
    b.setInsertionPointAfterValue(carried.back());
    carried.pop_back_n(rings.size());
    Operation *parent = carried.front().getParentBlock()->getParentOp();
    bool repeats = isa<scf::ForOp>(parent) || parent->getParentOfType<scf::ForOp>();
    bool barrier = repeats || (!last && !meetsBefore(b.getInsertionPoint()));
    tile::WaitOp::create(b, loc, slotTypes(carried), carried, 0, barrier);
    return success();
  }

  /// Replaces `loop` by one that also carries tokens; returns the carried values after it.
  /// `end` is where its chain ends.
  SmallVector<Value> rewriteLoop(scf::ForOp loop, Value end, ArrayRef<Value> buffers,
                                 ArrayRef<Value> limits, ArrayRef<Value> carried) {
    Location loc = loop.getLoc();
    OpBuilder b(loop);
    size_t own = loop.getInitArgs().size(), count = buffers.size();
    SmallVector<Value> inits(loop.getInitArgs());
    llvm::append_range(inits, carried);
    auto next = scf::ForOp::create(b, loc, loop.getLowerBound(), loop.getUpperBound(),
                                   loop.getStep(), inits);
    Block *body = next.getBody();
    if (!body->empty())
      body->back().erase(); // a terminator that the builder made for a loop without results
    SmallVector<tile::LoadOp> loads = productLoads(loop);
    Operation *oldYield = loop.getBody()->getTerminator();
    SmallVector<Value> args = {next.getInductionVar()};
    llvm::append_range(args, next.getRegionIterArgs().take_front(own));
    for (auto [from, to] : llvm::zip(loop.getBody()->getArguments(), args))
      from.replaceAllUsesWith(to);
    body->getOperations().splice(body->end(), loop.getBody()->getOperations());

    b.setInsertionPointToStart(body);
    SmallVector<Value> state(next.getRegionIterArgs().drop_front(own));
    SmallVector<Value> oldest(state.begin(), state.begin() + count);
    auto wait = tile::WaitOp::create(b, loc, slotTypes(oldest), oldest, schedule.getStages() - 2,
                                     /*barrier=*/true);
    Value ahead = arith::MulIOp::create(
        b, loc, next.getStep(),
        arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(schedule.getStages() - 1)));
    Value row = arith::AddIOp::create(b, loc, next.getInductionVar(), ahead);
    SmallVector<int64_t> rings = ringsOf(buffers);
    ArrayRef<Value> stages = ArrayRef(state).take_back(rings.size());
    SmallVector<Value> yielded(state.begin() + count, state.end() - rings.size());
    SmallVector<Rows> rows = rowsAt(b, next, loads, row, end, limits);
    for (auto [load, buffer, at] : llvm::zip(loads, buffers, rows)) {
      Value stage = stages[llvm::find(rings, stagesOf(buffer)) - rings.begin()];
      yielded.push_back(issue(b, load, buffer, stage, at.first, at.limit));
    }
    tile::CommitOp::create(b, loc);
    for (auto [ring, stage] : llvm::zip(rings, stages))
      yielded.push_back(nextStage(b, loc, stage, ring));

    for (auto [load, slot] : llvm::zip(loads, wait.getSlots())) {
      b.setInsertionPoint(load);
      Value read = tile::ReadOp::create(b, load.getLoc(), load.getResult().getType(), slot);
      load.getResult().replaceAllUsesWith(read);
      load.erase();
    }
    SmallVector<Value> results(oldYield->getOperands());
    llvm::append_range(results, yielded);
    b.setInsertionPoint(oldYield);
    scf::YieldOp::create(b, loc, results);
    oldYield->erase();
    for (auto [from, to] : llvm::zip(loop.getResults(), next.getResults()))
      from.replaceAllUsesWith(to);
    loop.erase();
    return SmallVector<Value>(next.getResults().drop_front(own));
  }

  /// Whether the product of a load is delayed: its tile is read in the next iteration as well.
  static bool isHeld(tile::LoadOp load) {
    return llvm::any_of(load.getResult().getUsers(), [](Operation *user) {
      auto dot = dyn_cast<tile::DotOp>(user);
      return dot && dot.getDelayed();
    });
  }

  static int64_t stagesOf(Value buffer) { return cast<BufferType>(buffer.getType()).getStages(); }

  /// The different numbers of stages of `buffers`.
  static SmallVector<int64_t> ringsOf(ArrayRef<Value> buffers) {
    llvm::SmallSetVector<int64_t, 2> rings;
    for (Value buffer : buffers)
      rings.insert(stagesOf(buffer));
    return rings.takeVector();
  }

  Value nextStage(OpBuilder &b, Location loc, Value stage, int64_t stages) {
    auto constant = [&](int64_t v) -> Value {
      return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v));
    };
    if (stages == 2)
      return arith::SubIOp::create(b, loc, constant(1), stage);
    Value sum = arith::AddIOp::create(b, loc, stage, constant(1));
    return arith::RemUIOp::create(b, loc, sum, constant(stages));
  }

  /// The first pipelined loop after `load` in its block, if the load is not needed before it.
  Operation *loopBeforeUse(tile::LoadOp load) {
    Operation *loop = nullptr;
    for (Operation *op = load->getNextNode(); op && !loop; op = op->getNextNode())
      if (isa<scf::ForOp>(op) &&
          llvm::any_of(op->getOperandTypes(), llvm::IsaPred<tile::TokenType>))
        loop = op;
    if (!loop)
      return nullptr;
    for (Operation *user : load->getUsers()) {
      Operation *ancestor = load->getBlock()->findAncestorOpInBlock(*user);
      if (!ancestor || ancestor->isBeforeInBlock(loop))
        return nullptr;
    }
    return loop;
  }

  /// A load outside the pipelines: copy, wait, read. Where a pipeline starts before the tile is
  /// needed, the wait comes after the first key tiles have been asked for, so that their latencies
  /// overlap.
  void stageOnce(tile::LoadOp load) {
    OpBuilder b(load);
    Location loc = load.getLoc();
    Value buffer = createBuffer(load, 1);
    Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
    Value token = issue(b, load, buffer, zero, load.getRow(), load.getLimit());
    tile::CommitOp::create(b, loc);
    int32_t younger = 0;
    if (Operation *loop = loopBeforeUse(load)) {
      for (Operation *op = load->getNextNode(); op != loop; op = op->getNextNode())
        younger += isa<tile::CommitOp>(op);
      b.setInsertionPoint(loop);
    }
    auto wait = tile::WaitOp::create(b, loc, slotTypes(token), ValueRange(token), younger,
                                     /*barrier=*/true);
    Value read = tile::ReadOp::create(b, loc, load.getResult().getType(), wait.getSlots()[0]);
    load.getResult().replaceAllUsesWith(read);
    load.erase();
  }

  /// Chains run one after another, each leaving its buffers behind a barrier: they share one place.
  /// What is written between barriers takes the first place that nothing has which is needed at
  /// once.
  void assignOffsets() {
    int64_t end = 0;
    SmallVector<tile::AllocOp> shared;
    auto place = [](tile::AllocOp alloc, int64_t &offset) {
      BufferType type = alloc.getBuffer().getType();
      offset = llvm::alignTo(offset, type.getAlignment());
      alloc.setOffset(offset);
      offset += llvm::alignTo(type.getStages() * type.getStageBytes(), 128);
    };
    kernel.walk([&](tile::AllocOp alloc) {
      if (llvm::none_of(chainBuffers, [&](auto &chain) {
            return llvm::is_contained(chain, alloc.getBuffer());
          })) {
        if (isWrittenBehindBarriers(alloc))
          shared.push_back(alloc);
        else
          place(alloc, end);
      }
    });
    int64_t behind = end;
    for (auto [number, alloc] : llvm::enumerate(shared)) {
      BufferType type = alloc.getBuffer().getType();
      int64_t bytes = llvm::alignTo(type.getStages() * type.getStageBytes(), 128);
      int64_t offset = llvm::alignTo(behind, type.getAlignment());
      SmallVector<std::pair<int64_t, int64_t>> taken; // from, to
      for (tile::AllocOp other : ArrayRef(shared).take_front(number))
        if (BufferType own = other.getBuffer().getType(); !areApart(alloc, other))
          taken.push_back(
              {*other.getOffset(), *other.getOffset() + own.getStages() * own.getStageBytes()});
      llvm::sort(taken);
      for (auto [from, to] : taken)
        if (from < offset + bytes)
          offset = std::max<int64_t>(offset, llvm::alignTo(to, type.getAlignment()));
      alloc.setOffset(offset);
      end = std::max(end, offset + bytes);
    }
    int64_t start = end;
    for (ArrayRef<Value> chain : chainBuffers) {
      int64_t offset = start;
      for (Value buffer : chain)
        place(buffer.getDefiningOp<tile::AllocOp>(), offset);
      end = std::max(end, offset);
    }
    Builder b(&getContext());
    kernel->setAttr("tile.shared_bytes", b.getI64IntegerAttr(end));
  }

  tile::KernelOp kernel;
  tile::ScheduleAttr schedule;
  SmallVector<SmallVector<Value>> chainBuffers; ///< of each chain
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-specialize-warps: warps that only copy, and warps that only compute.
//
//   for kv: wait k, v; copy K[kv + T], V[kv + T]; s = q k; o = p v; ...
// becomes
//   producers: for kv: fill K, V; signal K, V
//   consumers: for kv: wait k; s = q k; release k; wait v; o = p v; release v; ...
//
// Those that compute neither wait for all others once an iteration nor compute addresses, so that
// their warpgroups drift apart, and one multiplies while another has its softmax.
//
// A role is the kernel's program without what the other one does. Tokens and slots become numbers
// of fills, which both roles count alike: in a program without data-dependent copies both come by
// the same ones. Why they never wait for each other in a circle: a fill waits for what consumers do
// before it in the program as it was, and is signalled where that program waits next.
#include "RingPlan.h"
#include "attnc/Plan/Plan.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILESPECIALIZEWARPS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Builds the program of one role.
class Role {
public:
  Role(OpBuilder builder, const RingPlan &plan, ArrayRef<Value> rings)
      : b(builder), plan(plan), rings(rings) {
    Location loc = rings.front().getLoc();
    Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
    next.assign(rings.size(), zero);
  }
  virtual ~Role() = default;

  void add(Operation &op) { visit(&op); }
  void finish() { leave(); }

protected:
  /// Adds what this role does of `op`.
  virtual void visit(Operation *op) = 0;
  /// Whether a loop carries this value for the role.
  virtual bool carries(Value carried) const = 0;
  /// What has to be done before the program goes on to another block.
  virtual void leave() {}

  /// The number of a fill, which `copy` stands for, in its ring.
  Value countFill(tile::AsyncCopyOp copy) {
    unsigned ring = plan.ringOf.lookup(copy.getToken());
    Value number = next[ring];
    Value one = arith::ConstantOp::create(b, copy.getLoc(), b.getI32IntegerAttr(1));
    next[ring] = arith::AddIOp::create(b, copy.getLoc(), number, one);
    return number;
  }

  void addBlock(Block &block) {
    for (Operation &op : block.without_terminator())
      visit(&op);
    leave();
  }

  void addLoop(scf::ForOp loop) {
    leave();
    SmallVector<unsigned> carried, filled = plan.filledIn(loop);
    SmallVector<Value> inits;
    for (auto [i, init] : llvm::enumerate(loop.getInitArgs()))
      if (carries(loop.getRegionIterArg(i))) {
        carried.push_back(i);
        inits.push_back(mapping.lookupOrDefault(init));
      }
    for (unsigned ring : filled)
      inits.push_back(next[ring]);
    auto mapped = [&](Value value) { return mapping.lookupOrDefault(value); };
    auto copy = scf::ForOp::create(b, loop.getLoc(), mapped(loop.getLowerBound()),
                                   mapped(loop.getUpperBound()), mapped(loop.getStep()), inits);
    mapping.map(loop.getInductionVar(), copy.getInductionVar());
    for (auto [at, i] : llvm::enumerate(carried))
      mapping.map(loop.getRegionIterArg(i), copy.getRegionIterArg(at));
    for (auto [at, ring] : llvm::enumerate(filled))
      next[ring] = copy.getRegionIterArg(carried.size() + at);
    {
      OpBuilder::InsertionGuard guard(b);
      Block *body = copy.getBody();
      if (!body->empty())
        body->back().erase();
      b.setInsertionPointToEnd(body);
      addBlock(*loop.getBody());
      SmallVector<Value> yielded;
      for (unsigned i : carried)
        yielded.push_back(mapped(loop.getBody()->getTerminator()->getOperand(i)));
      for (unsigned ring : filled)
        yielded.push_back(next[ring]);
      scf::YieldOp::create(b, loop.getLoc(), yielded);
    }
    for (auto [at, i] : llvm::enumerate(carried))
      mapping.map(loop.getResult(i), copy.getResult(at));
    for (auto [at, ring] : llvm::enumerate(filled))
      next[ring] = copy.getResult(carried.size() + at);
  }

  void addBranch(scf::IfOp branch) {
    leave();
    SmallVector<unsigned> carried, filled = plan.filledIn(branch);
    SmallVector<Type> types;
    for (Value result : branch.getResults())
      if (carries(result)) {
        carried.push_back(cast<OpResult>(result).getResultNumber());
        types.push_back(result.getType());
      }
    types.append(filled.size(), b.getI32Type());
    bool hasElse = branch.elseBlock() || !types.empty();
    auto copy = scf::IfOp::create(b, branch.getLoc(), types,
                                  mapping.lookupOrDefault(branch.getCondition()), hasElse);
    SmallVector<Value> before = next;
    for (auto [from, to] : {std::pair(branch.thenBlock(), copy.thenBlock()),
                            std::pair(branch.elseBlock(), copy.elseBlock())}) {
      if (!to)
        continue;
      OpBuilder::InsertionGuard guard(b);
      if (!to->empty())
        to->back().erase();
      b.setInsertionPointToEnd(to);
      next = before;
      SmallVector<Value> yielded;
      if (from) {
        addBlock(*from);
        for (unsigned i : carried)
          yielded.push_back(mapping.lookupOrDefault(from->getTerminator()->getOperand(i)));
      }
      for (unsigned ring : filled)
        yielded.push_back(next[ring]);
      scf::YieldOp::create(b, branch.getLoc(), yielded);
    }
    next = before;
    for (auto [at, i] : llvm::enumerate(carried))
      mapping.map(branch.getResult(i), copy.getResult(at));
    for (auto [at, ring] : llvm::enumerate(filled))
      next[ring] = copy.getResult(carried.size() + at);
  }

  OpBuilder b;
  const RingPlan &plan;
  ArrayRef<Value> rings;
  IRMapping mapping;       ///< tokens and slots of rings are numbers of fills
  SmallVector<Value> next; ///< the number of the next fill of each ring
};

class Producer : public Role {
public:
  using Role::Role;

private:
  void visit(Operation *op) override {
    if (plan.isFill(op)) {
      fill(cast<tile::AsyncCopyOp>(op));
      return;
    }
    if (isa<tile::WaitOp>(op))
      leave();
    bool isNeeded =
        llvm::any_of(op->getResults(), [&](Value r) { return plan.needed.contains(r); });
    if (!isNeeded && plan.filledIn(op).empty())
      return;
    if (auto loop = dyn_cast<scf::ForOp>(op))
      addLoop(loop);
    else if (auto branch = dyn_cast<scf::IfOp>(op))
      addBranch(branch);
    else
      b.clone(*op, mapping);
  }

  bool carries(Value carried) const override { return plan.needed.contains(carried); }

  void fill(tile::AsyncCopyOp copy) {
    Value ring = rings[plan.ringOf.lookup(copy.getToken())], number = countFill(copy);
    SmallVector<Value> indices;
    for (Value index : copy.getIndices())
      indices.push_back(mapping.lookupOrDefault(index));
    tile::RingFillOp::create(b, copy.getLoc(), copy.getView(), indices,
                             mapping.lookupOrDefault(copy.getRow()),
                             mapping.lookupOrDefault(copy.getLimit()), copy.getRowDim(),
                             copy.getValidCols(), copy.getVectorBytes(), ring, number,
                             /*map=*/Value());
    begun.push_back({ring, number});
  }

  /// Signals what has been begun, oldest first.
  void leave() override {
    for (auto [i, fill] : llvm::enumerate(begun))
      tile::RingSignalOp::create(b, fill.first.getLoc(), fill.first, fill.second,
                                 static_cast<int32_t>(begun.size() - 1 - i));
    begun.clear();
  }

  SmallVector<std::pair<Value, Value>> begun; ///< ring, number
};

class Consumer : public Role {
public:
  using Role::Role;

private:
  void visit(Operation *op) override {
    addWork(op);
    auto done = plan.released.find(op);
    if (done == plan.released.end())
      return;
    for (Value slot : done->second)
      tile::RingReleaseOp::create(b, op->getLoc(), ringOf(slot), mapping.lookup(slot));
  }

  void addWork(Operation *op) {
    if (auto copy = dyn_cast<tile::AsyncCopyOp>(op); copy && plan.isFill(op)) {
      Value number = countFill(copy);
      mapping.map(copy.getToken(), number);
    } else if (isa<tile::CommitOp>(op) && llvm::any_of(*op->getBlock(), [&](Operation &other) {
                 return plan.isFill(&other);
               })) {
      return; // their groups
    } else if (auto wait = dyn_cast<tile::WaitOp>(op);
               wait &&
               llvm::any_of(wait.getTokens(), [&](Value t) { return plan.ringOf.count(t); })) {
      addWait(wait);
    } else if (auto read = dyn_cast<tile::ReadOp>(op); read && plan.ringOf.count(read.getSlot())) {
      Value slot = waitFor(op->getLoc(), read.getSlot());
      mapping.map(read.getResult(),
                  tile::ReadOp::create(b, op->getLoc(), read.getResult().getType(), slot));
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      addLoop(loop);
    } else if (auto branch = dyn_cast<scf::IfOp>(op)) {
      addBranch(branch);
    } else if (op->getNumResults() == 0 || op->getNumRegions() != 0 || !isMemoryEffectFree(op) ||
               !llvm::all_of(op->getResults(),
                             [&](Value result) { return plan.servesFillsOnly(result); })) {
      b.clone(*op, mapping);
    }
  }

  bool carries(Value carried) const override {
    return plan.ringOf.count(carried) || !plan.servesFillsOnly(carried);
  }

  Value ringOf(Value slot) const { return rings[plan.ringOf.lookup(slot)]; }

  Value waitFor(Location loc, Value slot) {
    Value ring = ringOf(slot);
    auto type =
        tile::SlotType::get(b.getContext(), cast<tile::RingType>(ring.getType()).getBuffer());
    return tile::RingWaitOp::create(b, loc, type, ring, mapping.lookup(slot));
  }

  /// What is read is waited for where it is read; what is not, here, and by all threads if memory
  /// is used anew behind it.
  void addWait(tile::WaitOp wait) {
    bool isRead = false;
    for (auto [token, slot] : llvm::zip(wait.getTokens(), wait.getSlots())) {
      Value number = mapping.lookup(token);
      mapping.map(slot, number);
      if (slot.use_empty())
        waitFor(wait.getLoc(), slot);
      isRead |= !slot.use_empty();
    }
    if (wait.getBarrier() && !isRead)
      tile::BarrierOp::create(b, wait.getLoc());
  }
};

struct TileSpecializeWarps : impl::TileSpecializeWarpsBase<TileSpecializeWarps> {
  using TileSpecializeWarpsBase::TileSpecializeWarpsBase;

  void runOnOperation() override {
    tile::KernelOp kernel = getOperation();
    if (!canSpecialize(kernel))
      return;
    std::optional<RingPlan> plan = planRings(kernel);
    if (!plan)
      return;
    Block &body = kernel.getBody().front();
    Operation *end = body.getTerminator();
    Operation *start = &body.front();
    while (start != end && isShared(start))
      start = start->getNextNode();
    OpBuilder b(end);
    SmallVector<Value> rings = createRings(b, kernel, *plan);
    auto roles = tile::SpecializeOp::create(b, kernel.getLoc(), kProducers, kProducerRegisters,
                                            kConsumerRegisters);
    Producer producer(OpBuilder::atBlockEnd(&roles.getProducer().emplaceBlock()), *plan, rings);
    Consumer consumer(OpBuilder::atBlockEnd(&roles.getConsumer().emplaceBlock()), *plan, rings);
    SmallVector<Operation *> old;
    for (Operation *op = start; op != rings.front().getDefiningOp(); op = op->getNextNode()) {
      producer.add(*op);
      consumer.add(*op);
      old.push_back(op);
    }
    producer.finish();
    consumer.finish();
    for (Operation *op : llvm::reverse(old)) {
      op->dropAllUses();
      op->erase();
    }
    ++numSpecialized;
  }

private:
  // A multiprocessor has 512 registers for each lane of a warp of its four parts, and such a block
  // three warps in each: one that copies and two that compute.
  static constexpr int32_t kConsumers = 8, kProducers = 4;
  static constexpr int32_t kProducerRegisters = 56, kConsumerRegisters = 224;

  static bool canSpecialize(tile::KernelOp kernel) {
    auto schedule = kernel->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
    if (!schedule || kernel.getNumWarps() != kConsumers)
      return false;
    llvm::Expected<Target> target = Target::parse(schedule.getTarget());
    if (!target) {
      llvm::consumeError(target.takeError());
      return false;
    }
    return target->hasWarpgroupProducts();
  }

  /// Whether an op at the head of a kernel is for both roles: scalars, and places.
  static bool isShared(Operation *op) {
    return isa<tile::AllocOp>(op) ||
           (op->getNumRegions() == 0 && isMemoryEffectFree(op) &&
            llvm::none_of(op->getResultTypes(), llvm::IsaPred<tile::TileType>));
  }

  /// A ring for each buffer, whose barriers lie behind all that is in shared memory.
  static SmallVector<Value> createRings(OpBuilder &b, tile::KernelOp kernel, const RingPlan &plan) {
    SmallVector<Value> rings;
    auto total = kernel->getAttrOfType<IntegerAttr>("tile.shared_bytes");
    int64_t offset = llvm::alignTo(total.getInt(), 8);
    for (tile::AllocOp alloc : plan.buffers) {
      tile::BufferType buffer = alloc.getBuffer().getType();
      rings.push_back(tile::RingOp::create(b, alloc.getLoc(),
                                           tile::RingType::get(b.getContext(), buffer),
                                           alloc.getBuffer(), offset, kProducers, kConsumers));
      offset += 16 * buffer.getStages();
    }
    kernel->setAttr("tile.shared_bytes", b.getI64IntegerAttr(offset));
    return rings;
  }
};

} // namespace
} // namespace attnc

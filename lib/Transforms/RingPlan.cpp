// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RingPlan.h explains.
#include "RingPlan.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

static bool isScalarOp(Operation *op) {
  return op->getNumRegions() == 0 &&
         (isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) ||
          isa<tile::ElementOp, tile::ProgramIdOp>(op));
}

//===-- What copies follow from ---------------------------------------------------------------===//

namespace {
/// The scalars that some copies follow from.
class Closure {
public:
  /// Whether the copy, and what it is in, follows from scalars alone.
  bool add(tile::AsyncCopyOp copy) {
    for (Value operand : copy.getIndices())
      want(operand);
    want(copy.getRow());
    want(copy.getLimit());
    if (!wantContext(copy))
      return false;
    for (; next < values.size(); ++next)
      if (!follow(values[next]))
        return false;
    return true;
  }

  llvm::SetVector<Value> values;

private:
  void want(Value value) { values.insert(value); }

  bool wantContext(Operation *op) {
    for (Operation *parent = op->getParentOp(); !isa<tile::KernelOp>(parent);
         parent = parent->getParentOp()) {
      if (auto loop = dyn_cast<scf::ForOp>(parent)) {
        want(loop.getLowerBound());
        want(loop.getUpperBound());
        want(loop.getStep());
      } else if (auto branch = dyn_cast<scf::IfOp>(parent)) {
        want(branch.getCondition());
      } else {
        return false;
      }
    }
    return true;
  }

  /// Result `number` of a loop, or what it carries for it.
  bool followCarried(scf::ForOp loop, unsigned number) {
    if (!loop.getResult(number).getType().isIntOrIndexOrFloat())
      return false;
    want(loop.getInitArgs()[number]);
    want(loop.getRegionIterArg(number));
    want(loop.getBody()->getTerminator()->getOperand(number));
    want(loop.getLowerBound());
    want(loop.getUpperBound());
    want(loop.getStep());
    return wantContext(loop);
  }

  bool follow(Value value) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      Operation *parent = argument.getOwner()->getParentOp();
      if (isa<tile::KernelOp>(parent))
        return true;
      auto loop = dyn_cast<scf::ForOp>(parent);
      if (!loop)
        return false;
      return argument == loop.getInductionVar() || followCarried(loop, argument.getArgNumber() - 1);
    }
    auto result = cast<OpResult>(value);
    if (auto loop = dyn_cast<scf::ForOp>(result.getOwner()))
      return followCarried(loop, result.getResultNumber());
    if (auto branch = dyn_cast<scf::IfOp>(result.getOwner())) {
      want(branch.getCondition());
      for (Block *block : {branch.thenBlock(), branch.elseBlock()})
        want(block->getTerminator()->getOperand(result.getResultNumber()));
      return value.getType().isIntOrIndexOrFloat() && wantContext(branch);
    }
    if (!isScalarOp(result.getOwner()))
      return false;
    values.insert(result.getOwner()->operand_begin(), result.getOwner()->operand_end());
    return wantContext(result.getOwner());
  }

  size_t next = 0;
};
} // namespace

//===-- Tokens and slots ----------------------------------------------------------------------===//

namespace {
class Planner {
public:
  explicit Planner(tile::KernelOp kernel) : kernel(kernel) {}

  std::optional<RingPlan> run() {
    chooseBuffers();
    if (!hasLoopOfFills() || mixesCopies() || !areApart())
      return std::nullopt;
    for (auto [number, alloc] : llvm::enumerate(plan.buffers))
      for (Operation *copy : alloc.getBuffer().getUsers())
        if (!trace(cast<tile::AsyncCopyOp>(copy).getToken(), number))
          return std::nullopt;
    for (auto [value, ring] : plan.ringOf)
      if (!isWhole(value, ring) || !release(value))
        return std::nullopt;
    return std::move(plan);
  }

private:
  void chooseBuffers() {
    kernel.walk([&](tile::AllocOp alloc) {
      auto users = alloc.getBuffer().getUsers();
      Closure closure;
      if (users.empty() || !llvm::all_of(users, [&](Operation *user) {
            auto copy = dyn_cast<tile::AsyncCopyOp>(user);
            return copy && !copy.getCol() && closure.add(copy);
          }))
        return;
      plan.buffers.push_back(alloc);
      plan.needed.insert(closure.values.begin(), closure.values.end());
    });
  }

  /// Whether what warpgroups multiply is copied again and again.
  bool hasLoopOfFills() {
    return llvm::any_of(plan.buffers, [&](tile::AllocOp alloc) {
      return alloc.getBuffer().getType().getLayout().getPanelBytes() != 0 &&
             llvm::any_of(alloc.getBuffer().getUsers(), [](Operation *copy) {
               return copy->getParentOfType<scf::ForOp>() != nullptr;
             });
    });
  }

  /// Whether a block has copies of both kinds: they would share groups.
  bool mixesCopies() {
    llvm::SmallPtrSet<Block *, 4> fills, others;
    kernel.walk([&](tile::AsyncCopyOp copy) {
      (plan.isFill(copy) ? fills : others).insert(copy->getBlock());
    });
    return llvm::any_of(fills, [&](Block *block) { return others.contains(block); });
  }

  Operation *outermost(Operation *op) {
    return kernel.getBody().front().findAncestorOpInBlock(*op);
  }

  /// Whether no ring has memory of a buffer that is used while it is filled. What uses such a
  /// buffer comes behind all that the ring is for; they meet there, in `tile.any` or another
  /// barrier.
  bool areApart() {
    auto end = [](tile::AllocOp alloc) {
      tile::BufferType type = alloc.getBuffer().getType();
      return static_cast<int64_t>(*alloc.getOffset()) + type.getStages() * type.getStageBytes();
    };
    bool apart = true;
    kernel.walk([&](tile::AllocOp other) {
      for (tile::AllocOp alloc : plan.buffers) {
        if (other == alloc || end(alloc) <= static_cast<int64_t>(*other.getOffset()) ||
            end(other) <= static_cast<int64_t>(*alloc.getOffset()))
          continue;
        for (Operation *copy : alloc.getBuffer().getUsers())
          for (Operation *user : other.getBuffer().getUsers())
            apart &= !llvm::is_contained(plan.buffers, other) &&
                     outermost(copy)->isBeforeInBlock(outermost(user));
      }
    });
    return apart;
  }

  /// Follows a token or slot of a ring to where it is carried.
  bool trace(Value value, unsigned ring) {
    auto [known, isNew] = plan.ringOf.insert({value, ring});
    if (!isNew)
      return known->second == ring;
    for (OpOperand &use : value.getUses()) {
      Operation *user = use.getOwner();
      if (auto wait = dyn_cast<tile::WaitOp>(user)) {
        if (!trace(wait.getSlots()[use.getOperandNumber()], ring))
          return false;
      } else if (auto loop = dyn_cast<scf::ForOp>(user)) {
        unsigned number = use.getOperandNumber() - loop.getNumControlOperands();
        if (!trace(loop.getRegionIterArg(number), ring) || !trace(loop.getResult(number), ring))
          return false;
      } else if (isa<scf::YieldOp>(user)) {
        auto loop = dyn_cast<scf::ForOp>(user->getParentOp());
        if (!loop || !trace(loop.getRegionIterArg(use.getOperandNumber()), ring) ||
            !trace(loop.getResult(use.getOperandNumber()), ring))
          return false;
      } else if (!isa<tile::ReadOp>(user)) {
        return false;
      }
    }
    return true;
  }

  /// Whether all that `value` may be is of its ring, and all tokens of a wait are of rings.
  bool isWhole(Value value, unsigned ring) {
    auto isOfRing = [&](Value other) {
      auto known = plan.ringOf.find(other);
      return known != plan.ringOf.end() && known->second == ring;
    };
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto loop = cast<scf::ForOp>(argument.getOwner()->getParentOp());
      unsigned number = argument.getArgNumber() - 1;
      return isOfRing(loop.getInitArgs()[number]) &&
             isOfRing(loop.getBody()->getTerminator()->getOperand(number));
    }
    auto wait = value.getDefiningOp<tile::WaitOp>();
    return !wait || llvm::all_of(wait.getTokens(), [&](Value t) { return plan.ringOf.count(t); });
  }

  /// Where the last of the products that read `slot` has ended, in the block of its definition;
  /// nothing if that is not known.
  std::optional<Operation *> lastReader(Value slot) {
    Operation *last = slot.getDefiningOp();
    Block *block = slot.getParentBlock();
    auto note = [&](Operation *op) {
      Operation *here = block->findAncestorOpInBlock(*op);
      if (here && (!last || last->isBeforeInBlock(here)))
        last = here;
      return here != nullptr;
    };
    for (Operation *user : slot.getUsers()) {
      auto read = dyn_cast<tile::ReadOp>(user);
      if (!read || !note(read))
        return std::nullopt;
      for (Operation *reader : read.getResult().getUsers()) {
        auto start = dyn_cast<tile::DotStartOp>(reader);
        if (!start) {
          if (!note(reader))
            return std::nullopt;
          continue;
        }
        for (Operation *end : start.getProduct().getUsers())
          if (!isa<tile::DotWaitOp>(end) || !note(end))
            return std::nullopt;
      }
    }
    return last;
  }

  /// Notes where `value` is released. What is carried on is so by who gets it.
  bool release(Value value) {
    unsigned carried = 0, waits = 0;
    for (Operation *user : value.getUsers()) {
      carried += isa<scf::ForOp, scf::YieldOp>(user);
      waits += isa<tile::WaitOp>(user);
    }
    if (isa<tile::TokenType>(value.getType()))
      return carried + waits == 1;
    if (carried == 1)
      return true;
    std::optional<Operation *> last = carried ? std::nullopt : lastReader(value);
    if (!last || !*last)
      return false;
    plan.released[*last].push_back(value);
    return true;
  }

  tile::KernelOp kernel;
  RingPlan plan;
};
} // namespace

bool RingPlan::isFill(Operation *op) const {
  auto copy = dyn_cast<tile::AsyncCopyOp>(op);
  return copy && llvm::is_contained(buffers, copy.getBuffer().getDefiningOp<tile::AllocOp>());
}

SmallVector<unsigned> RingPlan::filledIn(Operation *op) const {
  SmallVector<unsigned> filled;
  for (auto [number, each] : llvm::enumerate(buffers))
    if (tile::AllocOp alloc = each;
        llvm::any_of(alloc.getBuffer().getUsers(),
                     [&](Operation *copy) { return op->isProperAncestor(copy); }))
      filled.push_back(number);
  return filled;
}

bool RingPlan::servesFillsOnly(Value scalar) const {
  llvm::SetVector<Value> values;
  values.insert(scalar);
  if (auto argument = dyn_cast<BlockArgument>(scalar))
    if (auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
        loop && argument != loop.getInductionVar())
      values.insert(loop.getResult(argument.getArgNumber() - 1));
  for (size_t next = 0; next < values.size(); ++next)
    for (OpOperand &use : values[next].getUses()) {
      Operation *user = use.getOwner();
      if (isFill(user))
        continue;
      if (auto loop = dyn_cast<scf::ForOp>(user);
          loop && use.getOperandNumber() >= loop.getNumControlOperands()) {
        unsigned number = use.getOperandNumber() - loop.getNumControlOperands();
        values.insert(loop.getRegionIterArg(number));
        values.insert(loop.getResult(number));
      } else if (auto loop = dyn_cast<scf::ForOp>(user->getParentOp());
                 loop && isa<scf::YieldOp>(user)) {
        values.insert(loop.getRegionIterArg(use.getOperandNumber()));
        values.insert(loop.getResult(use.getOperandNumber()));
      } else if (isScalarOp(user)) {
        values.insert(user->result_begin(), user->result_end());
      } else {
        return false;
      }
    }
  return true;
}

std::optional<RingPlan> attnc::planRings(tile::KernelOp kernel) { return Planner(kernel).run(); }

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tile that stays in shared memory is read where a product takes it, not at its `tile.read`.
#include "SharedLifetimes.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace attnc;

/// Whether a copy stands behind a barrier, with nothing between that reads shared memory, and is
/// waited for in the same block.
static bool isBetweenBarriers(tile::AsyncCopyOp copy) {
  auto wait = copy.getToken().hasOneUse() ? dyn_cast<tile::WaitOp>(*copy.getToken().user_begin())
                                          : tile::WaitOp();
  if (!wait || wait->getBlock() != copy->getBlock() || !wait.getBarrier() || wait.getPending() != 0)
    return false;
  for (Operation *op = copy->getPrevNode(); op; op = op->getPrevNode()) {
    if (isa<tile::BarrierOp>(op))
      return true;
    bool isOfElements = isa<tile::AsyncCopyOp, tile::MapOp, tile::ElementOp>(op) ||
                        (op->getNumRegions() == 0 && isPure(op));
    if (!isOfElements || isa<tile::DotOp>(op))
      return false;
  }
  return false;
}

bool attnc::isWrittenBehindBarriers(tile::AllocOp buffer) {
  return llvm::all_of(buffer.getBuffer().getUsers(), [](Operation *user) {
    auto copy = dyn_cast<tile::AsyncCopyOp>(user);
    return copy ? isBetweenBarriers(copy) : isa<tile::ShareOp>(user);
  });
}

/// The ops that write or read the buffer.
static SmallVector<Operation *> usersOf(tile::AllocOp buffer) {
  SmallVector<Operation *> users;
  for (Operation *writer : buffer.getBuffer().getUsers()) {
    users.push_back(writer);
    Value slot;
    if (auto copy = dyn_cast<tile::AsyncCopyOp>(writer)) {
      auto wait = cast<tile::WaitOp>(*copy.getToken().user_begin());
      unsigned number = copy.getToken().use_begin()->getOperandNumber();
      users.push_back(wait);
      slot = wait.getSlots()[number];
    } else {
      slot = cast<tile::ShareOp>(writer).getSlot();
    }
    for (Operation *reader : slot.getUsers()) {
      users.push_back(reader);
      for (Value tile : reader->getResults())
        llvm::append_range(users, tile.getUsers());
    }
  }
  return users;
}

/// The innermost block that all ops are in.
static Block *commonBlock(ArrayRef<Operation *> ops) {
  for (Block *block = ops.front()->getBlock(); block;) {
    if (llvm::all_of(ops, [&](Operation *op) { return block->findAncestorOpInBlock(*op); }))
      return block;
    Operation *parent = block->getParentOp();
    block = parent ? parent->getBlock() : nullptr;
  }
  return nullptr;
}

bool attnc::areApart(tile::AllocOp a, tile::AllocOp b) {
  SmallVector<Operation *> first = usersOf(a), second = usersOf(b), all(first);
  all.append(second);
  if (first.empty() || second.empty())
    return true;
  Block *block = commonBlock(all);
  if (!block)
    return false;
  auto isBefore = [&](ArrayRef<Operation *> xs, ArrayRef<Operation *> ys) {
    return llvm::all_of(xs, [&](Operation *x) {
      return llvm::all_of(ys, [&](Operation *y) {
        return block->findAncestorOpInBlock(*x)->isBeforeInBlock(block->findAncestorOpInBlock(*y));
      });
    });
  };
  return isBefore(first, second) || isBefore(second, first);
}

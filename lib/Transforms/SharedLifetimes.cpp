// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tile that stays in shared memory is read where a product takes it, not at its `tile.read`.
#include "SharedLifetimes.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace attnc;

bool attnc::isWrittenBehindBarriers(tile::AllocOp buffer) {
  return llvm::all_of(buffer.getBuffer().getUsers(), llvm::IsaPred<tile::ShareOp>);
}

/// The ops that write or read the buffer.
static SmallVector<Operation *> usersOf(tile::AllocOp buffer) {
  SmallVector<Operation *> users;
  for (Operation *share : buffer.getBuffer().getUsers()) {
    users.push_back(share);
    for (Operation *reader : cast<tile::ShareOp>(share).getSlot().getUsers()) {
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

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where a kernel is in its grid, where its buffers are, and what threads wait for.
#include "KernelLowering.h"
#include "Products.h"

using namespace mlir;
using namespace attnc;

static LogicalResult lowerReturn(KernelLowering &kl, tile::ReturnOp op) {
  LLVM::ReturnOp::create(kl.builder, op.getLoc(), ValueRange());
  return success();
}

static LogicalResult lowerProgramId(KernelLowering &kl, tile::ProgramIdOp id) {
  Location loc = id.getLoc();
  Type type = kl.builder.getI32Type();
  Value value = id.getDim() == 0   ? Value(NVVM::BlockIdXOp::create(kl.builder, loc, type))
                : id.getDim() == 1 ? Value(NVVM::BlockIdYOp::create(kl.builder, loc, type))
                                   : Value(NVVM::BlockIdZOp::create(kl.builder, loc, type));
  if (id.getDim() > 0) // the grid may be a slice of the kernel's
    value = kl.add(loc, value, kl.gridStarts[id.getDim() - 1]);
  kl.scalars.map(id.getResult(), value);
  return success();
}

static LogicalResult lowerAlloc(KernelLowering &kl, tile::AllocOp alloc) {
  if (!alloc.getOffset())
    return alloc.emitOpError("has no offset in shared memory");
  kl.buffers[alloc.getBuffer()] = kl.i32(alloc.getLoc(), *alloc.getOffset());
  return success();
}

static LogicalResult lowerCommit(KernelLowering &kl, tile::CommitOp commit) {
  NVVM::CpAsyncCommitGroupOp::create(kl.builder, commit.getLoc());
  return success();
}

static LogicalResult lowerWait(KernelLowering &kl, tile::WaitOp wait) {
  NVVM::CpAsyncWaitGroupOp::create(kl.builder, wait.getLoc(), wait.getPending());
  // What nobody reads has only to arrive.
  if (llvm::any_of(wait.getSlots(), [](Value slot) {
        return !slot.use_empty() &&
               cast<tile::SlotType>(slot.getType()).getBuffer().getLayout().getPanelBytes() != 0;
      }))
    fenceForWarpgroups(kl, wait.getLoc());
  if (wait.getBarrier())
    kl.barrier(wait.getLoc());
  for (auto [token, slot] : llvm::zip(wait.getTokens(), wait.getSlots())) {
    Fragment stage = kl.fragments[token]; // a copy: the next line may move the map's entries
    kl.fragments[slot] = stage;
  }
  return success();
}

static LogicalResult lowerBarrier(KernelLowering &kl, tile::BarrierOp barrier) {
  kl.barrier(barrier.getLoc());
  return success();
}

void attnc::registerStructure(NVVMOpTable &table) {
  table.add(lowerReturn);
  table.add(lowerProgramId);
  table.add(lowerAlloc);
  table.add(lowerCommit);
  table.add(lowerWait);
  table.add(lowerBarrier);
}

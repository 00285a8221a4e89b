// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-verify-tiled: the contract of phase `tile`, which host and GPU share. What it forbids is
// what one of the two could not read: ops of other dialects, and decisions that only one of them
// makes.
#include "VerifyPhase.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILEVERIFYTILED
#include "attnc/Transforms/Passes.h.inc"

namespace {

LogicalResult verifyTiled(Operation *op) {
  if (isOf<attn::AttnDialect>(op)) // T1
    return op->emitOpError("remains in phase `tile`: convert-attn-to-tile has no lowering for it");
  bool control = isa<scf::ForOp, scf::IfOp, scf::WhileOp, scf::ConditionOp, scf::YieldOp>(op);
  if (!control && !isOf<tile::TileDialect>(op) && !isOf<arith::ArithDialect>(op) &&
      !isOf<math::MathDialect>(op)) // T2
    return op->emitOpError("is no op of a kernel in phase `tile`: expected tile, arith and math, "
                           "and scf.for, scf.if or scf.while");
  if (isa<tile::AllocOp, tile::AsyncCopyOp, tile::CommitOp, tile::WaitOp, tile::ReadOp>(op)) // T3
    return op->emitOpError("is of phase `scheduled`: in phase `tile` memory is read by tile.load");
  return verifyDefinitions(op, [](Value value, Operation *op) -> LogicalResult {
    auto type = dyn_cast<tile::TileType>(value.getType());
    if (type && type.getLayout()) // T4
      return op->emitOpError("has a layout, which tile-assign-layouts chooses: expected none in "
                             "phase `tile`, found ")
             << type;
    return success();
  });
}

struct TileVerifyTiled : impl::TileVerifyTiledBase<TileVerifyTiled> {
  using TileVerifyTiledBase::TileVerifyTiledBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    if (failed(verifyEach(getOperation(), verifyTiled)))
      signalPassFailure();
  }
};

} // namespace
} // namespace attnc

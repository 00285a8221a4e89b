// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// tile-take-turns: warpgroups that multiply one after the other.
//
// Two warpgroups that wait for the same tiles would start their products at once, share the matrix
// units, and then leave them to nobody while both compute. If one starts its products when the
// other has started its own, that one computes while this one multiplies.
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/Tile.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_TILETAKETURNS
#include "attnc/Transforms/Passes.h.inc"

namespace {

struct TileTakeTurns : impl::TileTakeTurnsBase<TileTakeTurns> {
  using TileTakeTurnsBase::TileTakeTurnsBase;

  void runOnOperation() override {
    tile::KernelOp kernel = getOperation();
    if (kernel.getNumWarps() <= 4)
      return;
    for (auto roles : kernel.getBody().getOps<tile::SpecializeOp>())
      roles.getConsumer().walk([&](scf::ForOp loop) { takeTurns(loop); });
  }

private:
  /// Beyond so many columns of a product, what is computed of it takes less time than it does by
  /// the model of bench/hopper_sass.py, and the matrix units have work without turns. Not measured.
  static constexpr int64_t kMostColumns = 128;

  /// Products of an iteration that are started before any of them is waited for are a turn.
  void takeTurns(scf::ForOp loop) {
    SmallVector<tile::DotStartOp> started;
    bool fromRing = false;
    for (Operation &op : *loop.getBody()) {
      if (isa<tile::DotWaitOp>(op))
        break;
      fromRing |= isa<tile::RingWaitOp>(op);
      if (auto start = dyn_cast<tile::DotStartOp>(op))
        started.push_back(start);
    }
    if (started.empty() || !fromRing || llvm::any_of(started, [](tile::DotStartOp start) {
          return start.getAcc().getType().getCols() > kMostColumns;
        }))
      return;
    OpBuilder b(started.front());
    tile::BeginTurnOp::create(b, started.front().getLoc());
    b.setInsertionPointAfter(started.back());
    tile::EndTurnOp::create(b, started.back().getLoc());
    ++numTurns;
  }
};

} // namespace
} // namespace attnc

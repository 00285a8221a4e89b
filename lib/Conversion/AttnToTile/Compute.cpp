// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.compute: a tile of the result for each program, whatever its region says.
#include "Lowerings.h"
#include "Nest.h"
#include "Quotients.h"
#include "StageTensors.h"
#include "TileChoice.h"

using namespace mlir;
using namespace attnc;

FailureOr<Value> attnc::emitCompute(Evaluator &evaluator, Scope &scope, attn::ComputeOp compute,
                                    const Nest &nest, const NestPoint &point,
                                    ArrayRef<Destination> destinations, Bound bound) {
  Frame frame = nest.bind(evaluator, scope, compute.getBody().getArguments(), point);
  if (bound)
    bound(scope, frame);
  setUniformQuotients(evaluator, scope, compute);
  auto yield = cast<attn::YieldOp>(compute.getBody().front().getTerminator());
  FailureOr<Value> tile =
      evaluator.map(scope, compute.getLoc(), frame, yield.getValue().getType(), yield.getValue(),
                    {}, [](ValueRange roots, ValueRange) { return roots[0]; });
  if (failed(tile))
    return failure();
  for (const Destination &to : destinations)
    if (failed(nest.store(evaluator.context, compute, *tile, to.view, to.leading, point)))
      return failure();
  return tile;
}

namespace {

class ComputeLowering : public NestLowering {
public:
  ComputeLowering(attn::ComputeOp compute, const Target &target)
      : NestLowering(compute, Nest(compute.getType(), {})), compute(compute), target(target) {
    tile();
  }

  int64_t warps() override { return numWarps; }
  SmallVector<IndependentAxis> independentAxes() override {
    SmallVector<IndependentAxis> axes = NestLowering::independentAxes();
    for (IndependentAxis &axis : axes)
      axis.canBeSingle = true;
    return axes;
  }
  void takeSingly(StringRef space) override {
    singly.push_back(space);
    tile();
  }

private:
  void tile() {
    TiledAxes tiled = chooseTiles(compute, target, singly);
    nest = Nest(compute.getType(), tiled);
    numWarps = warpsFor(tiled);
  }
  LogicalResult emitAt(Evaluator &evaluator, Scope &scope, const NestPoint &point) override {
    return LogicalResult(
        emitCompute(evaluator, scope, compute, nest, point,
                    Destination{evaluator.context.views.lookup(compute.getResult()), {}}));
  }

  attn::ComputeOp compute;
  const Target &target;
  SmallVector<StringRef> singly; ///< axes that are not tiled
  int64_t numWarps = 1;
};

} // namespace

std::unique_ptr<StageLowering> attnc::lowerCompute(Operation *op, const KernelPlan &plan) {
  return std::make_unique<ComputeLowering>(cast<attn::ComputeOp>(op), plan.target);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.compute: a tile of the result for each program, whatever its region says.
#include "Lowerings.h"
#include "Nest.h"
#include "StageTensors.h"

using namespace mlir;
using namespace attnc;

LogicalResult attnc::emitCompute(Evaluator &evaluator, Scope &scope, attn::ComputeOp compute,
                                 const Nest &nest, const NestPoint &point,
                                 ArrayRef<Destination> destinations) {
  Frame frame = nest.bind(evaluator, scope, compute.getBody().getArguments(), point);
  auto yield = cast<attn::YieldOp>(compute.getBody().front().getTerminator());
  FailureOr<Value> tile =
      evaluator.map(scope, compute.getLoc(), frame, yield.getValue().getType(), yield.getValue(),
                    {}, [](ValueRange roots, ValueRange) { return roots[0]; });
  if (failed(tile))
    return failure();
  for (const Destination &to : destinations)
    if (failed(nest.store(evaluator.context, compute, *tile, to.view, to.leading, point)))
      return failure();
  return success();
}

namespace {

class ComputeLowering : public StageLowering {
public:
  ComputeLowering(attn::ComputeOp compute, const KernelPlan &plan)
      : compute(compute), tiled(tiledAxesOf(compute->getParentOfType<attn::VariantOp>(),
                                            compute.getType(), plan.target)),
        nest(compute.getType(), tiled) {}

  FailureOr<Grid> grid(KernelContext &context) override {
    FailureOr<Value> programs = nest.programs(context, compute);
    if (failed(programs))
      return failure();
    Value one = context.i32(compute.getLoc(), 1);
    return Grid{*programs, one, one};
  }
  int64_t warps() override { return warpsFor(tiled); }
  SmallVector<IndependentAxis> independentAxes() override {
    return nest.independentAxes(compute->getParentOfType<attn::VariantOp>());
  }
  bool isOperand(Value) override { return false; }
  LogicalResult emit(KernelContext &context) override {
    Value id = tile::ProgramIdOp::create(context.builder, compute.getLoc(),
                                         context.builder.getI32Type(), 0);
    FailureOr<NestPoint> point = nest.pointOf(context, compute, id);
    if (failed(point))
      return failure();
    Evaluator evaluator(context);
    return emitCompute(evaluator, evaluator.top(), compute, nest, *point,
                       Destination{context.views.lookup(compute.getResult()), {}});
  }

private:
  attn::ComputeOp compute;
  TiledAxes tiled;
  Nest nest;
};

} // namespace

std::unique_ptr<StageLowering> attnc::lowerCompute(Operation *op, const KernelPlan &plan) {
  return std::make_unique<ComputeLowering>(cast<attn::ComputeOp>(op), plan);
}

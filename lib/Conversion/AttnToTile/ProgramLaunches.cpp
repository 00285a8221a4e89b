// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The launches of a program: each kernel once, those of a loop (ChunkLoops.h) for each of its
// chunks, with the workspace that they share.
#include "KernelParts.h"
#include "ProgramFrame.h"

using namespace mlir;
using namespace attnc;

/// Workspace of `type`; along axes of which `context` has a part, of that part.
FailureOr<Value> ProgramFrame::emitWorkspace(KernelContext &context, Location loc, StringRef name,
                                             attn::AttnTensorType type) {
  SmallVector<Value> sizes, first;
  for (unsigned axis = 0; axis < type.getRank(); ++axis) {
    StringRef space = type.getAxisName(axis);
    Value size =
        space.empty() ? context.i32(loc, type.getAxisSize(axis)) : context.sizes.lookup(space);
    if (!size)
      return emitError(loc, "no input says the size of the index space `") << space << "`";
    auto part = context.parts.find(space);
    bool isPart = part != context.parts.end();
    sizes.push_back(isPart ? part->second.count : size);
    if (!context.parts.empty())
      first.push_back(isPart ? part->second.first : context.i32(loc, 0));
  }
  return tile::WorkspaceOp::create(builder, loc, workspaceType(type), name, sizes, first)
      .getResult();
}

/// A kernel that is not chosen has a grid without programs.
FailureOr<StageLowering::Grid> ProgramFrame::gridOf(KernelContext &context, Kernel &kernel) {
  FailureOr<StageLowering::Grid> grid = ownGridOf(context, kernel);
  if (failed(grid) || !kernel.choice)
    return grid;
  Location loc = kernel.loc();
  Value one = context.i32(loc, 1);
  Value runs =
      arith::MinSIOp::create(builder, loc, context.sizes.lookup(kernel.choice->space), one);
  if (!kernel.choice->hasElements)
    runs = arith::SubIOp::create(builder, loc, one, runs);
  (*grid)[0] = arith::MulIOp::create(builder, loc, (*grid)[0], runs);
  return grid;
}

/// Of two alternatives, one has a grid without programs.
FailureOr<StageLowering::Grid> ProgramFrame::ownGridOf(KernelContext &context, Kernel &kernel) {
  Location loc = kernel.loc();
  if (kernel.stages.size() > 1) {
    FailureOr<Value> programs = countParts(context, loc, kernel.axes);
    if (failed(programs))
      return failure();
    Value one = context.i32(loc, 1);
    return StageLowering::Grid{*programs, one, one};
  }
  FailureOr<StageLowering::Grid> grid = kernel.stages[0]->lowering->grid(context);
  if (failed(grid) || !kernel.other)
    return grid;
  Kernel &alternative = kernel.isAlternative ? kernel : *kernel.other;
  Value launched = alternative.stages[0]->lowering->isBetter(context);
  if (!kernel.isAlternative)
    launched = arith::SubIOp::create(builder, loc, context.i32(loc, 1), launched);
  (*grid)[0] = arith::MulIOp::create(builder, loc, (*grid)[0], launched);
  return grid;
}

/// What a kernel of `programs` (i32) programs reads has to be there.
void ProgramFrame::requireNonEmpty(KernelContext &context, Location loc, Value programs,
                                   const llvm::MapVector<StringRef, Value> &reads) {
  for (auto [space, tensor] : reads) {
    Value size = context.sizes.lookup(space);
    if (!size || isa_and_nonnull<arith::ConstantOp>(size.getDefiningOp()))
      continue;
    Value none = arith::SubIOp::create(builder, loc, context.i32(loc, 1), programs);
    Value number = arith::MaxSIOp::create(builder, loc, size, none);
    std::string name = names.lookup(tensor);
    std::string what = name.empty() ? "a tensor" : "`" + name + "`";
    tile::RequireOp::create(builder, loc, number,
                            what + " is read at an index of `" + space.str() +
                                "`, which has none: the kernels of this spec need at least one");
  }
}

LogicalResult ProgramFrame::emitRequirements(KernelContext &context, Kernel &kernel) {
  if (kernel.readAnywhere.empty() && kernel.readInSteps.empty())
    return success();
  FailureOr<StageLowering::Grid> grid = gridOf(context, kernel);
  if (failed(grid))
    return failure();
  Location loc = kernel.loc();
  requireNonEmpty(context, loc, (*grid)[0], kernel.readAnywhere);
  if (kernel.readInSteps.empty())
    return success();
  Value steps =
      arith::MulIOp::create(builder, loc, (*grid)[0], context.sizes.lookup(kernel.walked));
  requireNonEmpty(context, loc, steps, kernel.readInSteps);
  return success();
}

/// The workspace tensors of `group`: those that exist chunk by chunk, or the others.
LogicalResult ProgramFrame::emitWorkspaces(KernelContext &context, const StageGroup &group,
                                           bool parts) {
  for (unsigned number : group.kernels) {
    for (Value tensor : kernels[number].tensors) {
      Value &view = context.views[tensor];
      if (view || group.parts.contains(tensor) != parts)
        continue;
      FailureOr<Value> workspace = emitWorkspace(context, tensor.getLoc(), names.lookup(tensor),
                                                 cast<attn::AttnTensorType>(tensor.getType()));
      if (failed(workspace))
        return failure();
      view = *workspace;
    }
    for (Stage *stage : kernels[number].stages) {
      stage->scratchViews.resize(stage->scratch.size());
      for (auto [own, view] : llvm::zip(stage->scratch, stage->scratchViews)) {
        if (view || group.isInParts(own.type) != parts)
          continue;
        FailureOr<Value> workspace =
            emitWorkspace(context, stage->op->getLoc(), own.name, own.type);
        if (failed(workspace))
          return failure();
        view = *workspace;
      }
    }
  }
  return success();
}

LogicalResult ProgramFrame::emitLaunch(KernelContext &context, Kernel &kernel) {
  SmallVector<Value> arguments;
  for (Value tensor : kernel.tensors)
    arguments.push_back(context.views.lookup(tensor));
  for (Stage *stage : kernel.stages)
    llvm::append_range(arguments, stage->scratchViews);
  for (const std::string &space : launchSizes())
    arguments.push_back(context.sizes.lookup(space));
  for (const std::string &space : computedSizes)
    arguments.push_back(context.sizes.lookup(space));
  for (attn::ParamOp param : params)
    arguments.push_back(context.params.lookup(param.getResult()));
  for (const IndependentAxis &axis : kernel.group->axes) {
    const IndexPart &part = context.parts[axis.space];
    arguments.append({part.first, part.count});
  }
  FailureOr<StageLowering::Grid> grid = gridOf(context, kernel);
  if (failed(grid))
    return failure();
  tile::LaunchOp::create(builder, kernel.loc(), kernel.op.getSymName(), arguments, (*grid)[0],
                         (*grid)[1], (*grid)[2]);
  return success();
}

/// The launches of a group, in a loop if it is one.
LogicalResult ProgramFrame::emitLoop(KernelContext &context, const StageGroup &group) {
  if (failed(emitWorkspaces(context, group, /*parts=*/false)))
    return failure();
  for (unsigned number : group.kernels)
    if (failed(emitRequirements(context, kernels[number])))
      return failure();
  OpBuilder::InsertionGuard guard(builder);
  if (group.isLoop()) {
    SmallVector<Value> sizes;
    SmallVector<int64_t> steps;
    for (const IndependentAxis &axis : group.axes) {
      sizes.push_back(context.sizes.lookup(axis.space));
      if (!sizes.back())
        return emitError(variant.getLoc(), "no input says the size of the index space `")
               << axis.space << "`";
      steps.push_back(axis.tile);
    }
    auto chunks = tile::ChunksOp::create(builder, variant.getLoc(), sizes, steps);
    Block *body = builder.createBlock(&chunks.getBody());
    for (const IndependentAxis &axis : group.axes) {
      Value first = body->addArgument(builder.getI32Type(), variant.getLoc());
      Value count = body->addArgument(builder.getI32Type(), variant.getLoc());
      context.parts[axis.space] = {first, count};
    }
    if (failed(emitWorkspaces(context, group, /*parts=*/true)))
      return failure();
  }
  for (unsigned number : group.kernels)
    if (failed(emitLaunch(context, kernels[number])))
      return failure();
  context.parts.clear();
  return success();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The launches of a program: each stage once, those of a loop (ChunkLoops.h) for each of its
// chunks, with the workspace that they share.
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

/// Of two alternatives, one has a grid without programs.
FailureOr<StageLowering::Grid> ProgramFrame::gridOf(KernelContext &context, Stage &stage) {
  FailureOr<StageLowering::Grid> grid = stage.lowering->grid(context);
  if (failed(grid) || !stage.other)
    return grid;
  Location loc = stage.op->getLoc();
  Value launched = (stage.isAlternative ? stage : *stage.other).lowering->isBetter(context);
  if (!stage.isAlternative)
    launched = arith::SubIOp::create(builder, loc, context.i32(loc, 1), launched);
  (*grid)[0] = arith::MulIOp::create(builder, loc, (*grid)[0], launched);
  return grid;
}

/// A kernel that runs has to find what it reads.
LogicalResult ProgramFrame::emitRequirements(KernelContext &context, Stage &stage) {
  if (stage.readAnywhere.empty())
    return success();
  FailureOr<StageLowering::Grid> grid = gridOf(context, stage);
  if (failed(grid))
    return failure();
  Location loc = stage.op->getLoc();
  for (auto [space, tensor] : stage.readAnywhere) {
    Value size = context.sizes.lookup(space);
    if (!size || isa_and_nonnull<arith::ConstantOp>(size.getDefiningOp()))
      continue;
    Value none = arith::SubIOp::create(builder, loc, context.i32(loc, 1), (*grid)[0]);
    Value number = arith::MaxSIOp::create(builder, loc, size, none);
    std::string name = names.lookup(tensor);
    std::string what = name.empty() ? "a tensor" : "`" + name + "`";
    tile::RequireOp::create(builder, loc, number,
                            what + " is read at an index of `" + space.str() +
                                "`, which has none: the kernels of this spec need at least one");
  }
  return success();
}

/// The workspace tensors of `group`: those that exist chunk by chunk, or the others.
LogicalResult ProgramFrame::emitWorkspaces(KernelContext &context, const StageGroup &group,
                                           bool parts) {
  for (unsigned number : group.stages) {
    Stage &stage = stages[number];
    for (Value tensor : stage.tensors) {
      Value &view = context.views[tensor];
      if (view || group.parts.contains(tensor) != parts)
        continue;
      FailureOr<Value> workspace = emitWorkspace(context, tensor.getLoc(), names.lookup(tensor),
                                                 cast<attn::AttnTensorType>(tensor.getType()));
      if (failed(workspace))
        return failure();
      view = *workspace;
    }
    stage.scratchViews.resize(stage.scratch.size());
    for (auto [own, view] : llvm::zip(stage.scratch, stage.scratchViews)) {
      if (view || group.isInParts(own.type) != parts)
        continue;
      FailureOr<Value> workspace = emitWorkspace(context, stage.op->getLoc(), own.name, own.type);
      if (failed(workspace))
        return failure();
      view = *workspace;
    }
  }
  return success();
}

LogicalResult ProgramFrame::emitLaunch(KernelContext &context, Stage &stage) {
  SmallVector<Value> arguments;
  for (Value tensor : stage.tensors)
    arguments.push_back(context.views.lookup(tensor));
  llvm::append_range(arguments, stage.scratchViews);
  for (const std::string &space : launchSizes())
    arguments.push_back(context.sizes.lookup(space));
  for (const std::string &space : computedSizes)
    arguments.push_back(context.sizes.lookup(space));
  for (attn::ParamOp param : params)
    arguments.push_back(context.params.lookup(param.getResult()));
  for (const IndependentAxis &axis : stage.group->axes) {
    const IndexPart &part = context.parts[axis.space];
    arguments.append({part.first, part.count});
  }
  FailureOr<StageLowering::Grid> grid = gridOf(context, stage);
  if (failed(grid))
    return failure();
  tile::LaunchOp::create(builder, stage.op->getLoc(), stage.kernel.getSymName(), arguments,
                         (*grid)[0], (*grid)[1], (*grid)[2]);
  return success();
}

/// The launches of a group, in a loop if it is one.
LogicalResult ProgramFrame::emitLoop(KernelContext &context, const StageGroup &group) {
  if (failed(emitWorkspaces(context, group, /*parts=*/false)))
    return failure();
  for (unsigned number : group.stages)
    if (failed(emitRequirements(context, stages[number])))
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
  for (unsigned number : group.stages)
    if (failed(emitLaunch(context, stages[number])))
      return failure();
  context.parts.clear();
  return success();
}

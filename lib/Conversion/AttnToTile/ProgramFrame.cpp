// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ProgramFrame.h explains. Kernels and the program have scalars for the sizes of spaces: those that
// inputs tell are arguments of the program; those that follow from others are computed there, and
// passed to kernels like sizes.
#include "ProgramFrame.h"
#include "KernelParts.h"
#include "ProgramScalars.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/Reuse.h"
#include "attnc/Analysis/Starts.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include <numeric>

using namespace mlir;
using namespace attnc;

/// What a stage is called in a spec.
static std::string stageName(Operation *op) {
  std::string name;
  op->getLoc()->walk([&](Location loc) {
    if (auto named = dyn_cast<NameLoc>(loc); named && name.empty())
      name = named.getName().str();
    return WalkResult::advance();
  });
  auto attend = dyn_cast<attn::AttendOp>(op);
  return name.empty() && attend && attend.getParts() ? "parts" : name;
}

/// Ops of a variant that are no stages: declarations and scalars.
static bool isDeclaration(Operation *op) {
  return isa<attn::InputOp, attn::ParamOp, attn::SpaceOp, attn::ReturnOp>(op) ||
         llvm::none_of(op->getResultTypes(), llvm::IsaPred<attn::AttnTensorType>);
}

/// Removes what nobody reads, last first: a stage may be all that reads another one.
static void eraseUnused(attn::VariantOp variant) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(variant.getBody().front())))
    if (!isDeclaration(&op) && op.use_empty())
      op.erase();
}

namespace {
/// The arguments of a kernel or a program, with what each is bound to.
struct ArgumentList {
  OpBuilder &builder;
  SmallVector<Type> types;
  SmallVector<Attribute> attrs;

  void add(Type type, DictionaryAttr attributes) {
    types.push_back(type);
    attrs.push_back(attributes);
  }
  void addBound(const llvm::Twine &binding, Type type) {
    add(type, builder.getDictionaryAttr(
                  builder.getNamedAttr("tile.binding", builder.getStringAttr(binding))));
  }
};
} // namespace

/// Adds a stage to `kernel`, or to a new one.
ProgramFrame::Kernel &ProgramFrame::addStage(Operation *op, std::unique_ptr<StageLowering> lowering,
                                             Kernel *kernel) {
  Stage &stage = stages.emplace_back();
  stage.op = op;
  stage.lowering = std::move(lowering);
  stage.scratch = stage.lowering->scratch();
  stage.kernel = kernel ? kernel : &kernels.emplace_back();
  stage.kernel->choice = choices.choiceOf(op);
  stage.kernel->stages.push_back(&stage);
  return *stage.kernel;
}

/// The outputs that may be in the memory of an input; none of them may overwrite what is read yet.
LogicalResult ProgramFrame::findReuses() {
  auto end = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
  for (auto [number, output] : llvm::enumerate(end.getValues())) {
    attn::InputOp input = end.getReused(number);
    if (!input)
      continue;
    if (needsCopy(end, number))
      return emitError(output.getLoc(), "output ")
             << end.getNames()[number] << " would overwrite `" << input.getName()
             << "` while stages read it: run attn-copy-reused";
    reused[output] = input.getResult();
    reused[input.getResult()] = output;
  }
  return success();
}

LogicalResult ProgramFrame::findStages() {
  eraseUnused(variant);
  if (failed(findReuses()))
    return failure();
  llvm::DenseMap<int64_t, Kernel *> shared;
  for (Operation &op : variant.getBody().front()) {
    if (isDeclaration(&op) || isa<attn::ChooseOp>(op) || constantStart(&op))
      continue;
    StageLoweringFactory factory = findStageLowering(&op);
    if (!factory) {
      std::optional<Uncompilable> found = asUncompilable(op);
      return emitError(op.getLoc(), found ? found->reason : "code is not generated for this yet");
    }
    auto number = op.getAttrOfType<IntegerAttr>(kernelAttr);
    Kernel *together = number ? shared.lookup(number.getInt()) : nullptr;
    Kernel &kernel = addStage(&op, factory(&op, plan), together);
    if (number)
      shared[number.getInt()] = &kernel;
    StageLowering &lowering = *kernel.stages.back()->lowering;
    if (together &&
        llvm::any_of(kernel.stages, [](Stage *stage) { return stage->op->hasAttr(lastAttr); }))
      return emitError(op.getLoc(), "a stage with `")
             << lastAttr << "` is a kernel of its own: give it another number as `" << kernelAttr
             << "`";
    bool runTogether = !together || choices.choiceOf(kernel.stages[0]->op) == choices.choiceOf(&op);
    if (!runTogether ||
        (together && !(lowering.canShareKernel() && kernel.stages[0]->lowering->canShareKernel())))
      return emitError(op.getLoc(), "cannot be in one kernel with other stages: give it a number "
                                    "of its own as `")
             << kernelAttr << "`";
    if (std::unique_ptr<StageLowering> alternative = lowering.alternative()) {
      Kernel &other = addStage(&op, std::move(alternative), nullptr);
      other.isAlternative = true;
      kernel.other = &other;
      other.other = &kernel;
    }
  }
  for (auto param : variant.getBody().getOps<attn::ParamOp>())
    if (!param.getIsConst())
      params.push_back(param);
  for (auto space : variant.getBody().getOps<attn::SpaceOp>())
    if (space.getExtent() && !fixedExtent(variant, space.getName()))
      computedSizes.push_back(space.getName().str());
  return success();
}

/// Decides what kernels of several stages are over, and which kernels are launched together.
LogicalResult ProgramFrame::formLoops() {
  SmallVector<ChunkableStage> chunkable;
  llvm::DenseMap<Kernel *, unsigned> numbers;
  for (auto [number, kernel] : llvm::enumerate(kernels))
    numbers[&kernel] = number;
  for (Stage &stage : stages) {
    // A loop would come back to what reads the tensor that a last stage replaces.
    SmallVector<IndependentAxis> axes;
    if (!stage.op->hasAttr(lastAttr))
      axes = stage.lowering->independentAxes();
    chunkable.push_back({stage.op, axes, stage.scratch, numbers.lookup(stage.kernel)});
  }
  for (auto [number, kernel] : llvm::enumerate(kernels)) {
    SmallVector<const ChunkableStage *> members;
    for (const ChunkableStage &stage : chunkable)
      if (stage.kernel == number)
        members.push_back(&stage);
    if (members.size() == 1)
      continue;
    kernel.axes = commonAxes(members, /*inOneKernel=*/true);
    if (plan.target.kind == Target::Kind::Host)
      kernel.walked = walkedSpace(members);
    for (Stage *stage : kernel.stages) {
      for (const IndependentAxis &axis : kernel.axes)
        if (axis.tile == 1)
          stage->lowering->takeSingly(axis.space);
      if (!kernel.walked.empty())
        stage->lowering->takeSingly(kernel.walked);
    }
    findLocals(kernel);
  }
  auto found = formChunkLoops(chunkable, [&](Value tensor) {
    return isOwn(tensor) && llvm::none_of(kernels, [&](const Kernel &kernel) {
             return llvm::is_contained(kernel.locals, tensor);
           });
  });
  if (!found)
    return emitError(variant.getLoc(), "two kernels wait for each other: other numbers are needed "
                                       "as `")
           << kernelAttr << "`";
  groups = std::move(*found);
  for (const StageGroup &group : groups)
    for (unsigned number : group.kernels)
      kernels[number].group = &group;
  return success();
}

/// A thread of the host has memory of its own, which stays in its cache.
void ProgramFrame::findLocals(Kernel &kernel) {
  if (plan.target.kind != Target::Kind::Host)
    return;
  SmallVector<Operation *> members;
  for (Stage *stage : kernel.stages)
    members.push_back(stage->op);
  SmallVector<IndependentAxis> axes(kernel.axes);
  if (!kernel.walked.empty())
    axes.push_back({kernel.walked, 1});
  kernel.locals =
      findLocalTensors(variant, members, axes, [&](Value tensor) { return isOwn(tensor); });
}

/// `name`, or with a number behind it where that is taken.
std::string ProgramFrame::uniqueName(std::string name) {
  if (name.empty())
    name = "stage";
  std::string unique = name;
  for (unsigned i = 2; !taken.insert(unique).second; ++i)
    unique = name + "_" + std::to_string(i);
  return unique;
}

/// Inputs, then results in the order of the ops that yield them, however they are returned.
void ProgramFrame::nameTensors() {
  auto ret = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
  for (auto [name, value] : llvm::zip(ret.getNames(), ret.getValues())) {
    outputs.insert({value, cast<StringAttr>(name).getValue()});
    taken.insert(cast<StringAttr>(name).getValue());
  }
  for (auto input : variant.getBody().getOps<attn::InputOp>()) {
    signature.push_back(input.getResult());
    names[input.getResult()] = input.getName().str();
    taken.insert(input.getName());
  }
  for (Stage &stage : stages)
    for (Value result : stage.op->getResults()) {
      Value tensor = choices.memoryOf(result);
      if (stage.kernel->isAlternative || names.contains(tensor))
        continue;
      if (outputs.contains(tensor)) {
        signature.push_back(tensor);
        names[tensor] = outputs.lookup(tensor).str();
        continue;
      }
      names[tensor] = uniqueName(stageName(stage.op));
    }
}

std::string ProgramFrame::axisText(attn::AttnTensorType type, unsigned axis) {
  StringRef name = type.getAxisName(axis);
  if (name.empty())
    return std::to_string(type.getAxisSize(axis));
  std::optional<int64_t> extent = fixedExtent(variant, name);
  return extent ? std::to_string(*extent) : name.str();
}

/// A divisor of the bytes of a row of a dense tensor.
int64_t ProgramFrame::rowBytes(attn::AttnTensorType type) {
  int64_t bytes = std::max<int64_t>(1, type.getElementType().getIntOrFloatBitWidth() / 8);
  if (type.getRank() == 0)
    return bytes;
  StringRef name = type.getAxisName(type.getRank() - 1);
  std::optional<int64_t> extent = name.empty() ? std::optional(type.getAxisSize(type.getRank() - 1))
                                               : fixedExtent(variant, name);
  return extent && *extent > 0 ? *extent * bytes : bytes;
}

tile::ViewType ProgramFrame::workspaceType(attn::AttnTensorType type) {
  return tile::ViewType::get(type.getContext(), type.getRank(), type.getElementType(),
                             /*unitStride=*/true);
}

/// Workspace is dense; what callers pass has contiguous rows where a stage needs that.
tile::ViewType ProgramFrame::viewType(Value tensor) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  bool isWorkspace = !llvm::is_contained(signature, tensor);
  SmallVector<Value> sharing(choices.tensorsIn(tensor));
  if (Value other = reused.lookup(tensor))
    llvm::append_range(sharing, choices.tensorsIn(other));
  bool isOperand = llvm::any_of(stages, [&](const Stage &stage) {
    return llvm::any_of(sharing, [&](Value each) { return stage.lowering->isOperand(each); });
  });
  return tile::ViewType::get(variant.getContext(), type.getRank(), type.getElementType(),
                             isWorkspace || isOperand);
}

/// What kernels are told of a tensor called `name`. Workspace is as its axes say.
SmallVector<NamedAttribute> ProgramFrame::memoryAttrs(StringRef name, attn::AttnTensorType type,
                                                      bool isWorkspace, bool hasUnitStride) {
  Builder b(variant.getContext());
  SmallVector<Attribute> axes;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    axes.push_back(b.getStringAttr(axisText(type, axis)));
  SmallVector<NamedAttribute> attrs = {
      b.getNamedAttr("tile.binding", b.getStringAttr("tensor:" + name)),
      b.getNamedAttr("tile.axes", b.getArrayAttr(axes))};
  if (isWorkspace)
    attrs.push_back(b.getNamedAttr("tile.dense", b.getUnitAttr()));
  if (plan.target.kind == Target::Kind::NVPTX && hasUnitStride) {
    int64_t alignment = isWorkspace ? std::gcd<int64_t>(plan.vectorBytes, rowBytes(type))
                                    : static_cast<int64_t>(plan.vectorBytes);
    attrs.push_back(b.getNamedAttr("tile.row_alignment", b.getI64IntegerAttr(alignment)));
  }
  return attrs;
}

/// `alias` says what else the tensor may be, if that is something: a name, or that it is.
DictionaryAttr ProgramFrame::tensorAttrs(Value tensor, Attribute alias) {
  Builder b(variant.getContext());
  SmallVector<NamedAttribute> attrs =
      memoryAttrs(names.lookup(tensor), cast<attn::AttnTensorType>(tensor.getType()),
                  !llvm::is_contained(signature, tensor), viewType(tensor).getUnitStride());
  if (outputs.contains(tensor))
    attrs.push_back(b.getNamedAttr("tile.output", b.getUnitAttr()));
  if (alias)
    attrs.push_back(b.getNamedAttr("tile.may_alias", alias));
  return b.getDictionaryAttr(attrs);
}

/// Calls `visit` with the tensors that `stage`, ops in it and the scalars that it uses read.
static void forEachRead(Operation *stage, Region &body, llvm::function_ref<void(Value)> visit) {
  llvm::SmallPtrSet<Operation *, 8> seen; // scalars
  SmallVector<Operation *> open{stage};
  while (!open.empty())
    open.pop_back_val()->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands()) {
        if (operand.getParentRegion() != &body)
          continue;
        if (constantStart(operand.getDefiningOp()))
          continue;
        if (isa<attn::AttnTensorType>(operand.getType()))
          visit(operand);
        else if (Operation *scalar = operand.getDefiningOp(); seen.insert(scalar).second)
          open.push_back(scalar);
      }
    });
}

/// Tensors of the variant that stages of `kernel` read, and their results that somebody wants.
SmallVector<Value> ProgramFrame::tensorsOf(const Kernel &kernel) {
  llvm::SetVector<Value> used;
  for (const Stage *stage : kernel.stages) {
    forEachRead(stage->op, variant.getBody(), [&](Value tensor) { used.insert(tensor); });
    for (Value result : stage->op->getResults())
      if (!result.use_empty())
        used.insert(choices.memoryOf(result));
  }
  SmallVector<Value> tensors;
  llvm::copy_if(used, std::back_inserter(tensors),
                [&](Value tensor) { return !llvm::is_contained(kernel.locals, tensor); });
  // In the order of the signature, so that a variant of one stage takes what a caller passes.
  auto place = [&](Value tensor) { return llvm::find(signature, tensor) - signature.begin(); };
  llvm::stable_sort(tensors, [&](Value x, Value y) { return place(x) < place(y); });
  return tensors;
}

/// Spaces whose sizes are arguments of the program: those that tensors are over, and that follow
/// from no others.
SmallVector<std::string> ProgramFrame::launchSizes() {
  SmallVector<std::string> found;
  auto add = [&](StringRef name) {
    if (!name.empty() && !llvm::is_contained(found, name) && !fixedExtent(variant, name) &&
        !llvm::is_contained(computedSizes, name))
      found.push_back(name.str());
  };
  auto isUsed = [&](StringRef name) {
    return llvm::any_of(variant.getBody().getOps<attn::InputOp>(), [&](attn::InputOp input) {
      return llvm::is_contained(axisNames(input.getResult().getType()), name);
    });
  };
  for (StringRef name : {"b", "h", "g", "q", "kv"})
    if (isUsed(name))
      add(name);
  for (auto input : variant.getBody().getOps<attn::InputOp>())
    for (StringRef name : axisNames(input.getResult().getType()))
      add(name);
  return found;
}

void ProgramFrame::bindSizes(KernelContext &context, llvm::function_ref<Value()> next) {
  for (const std::string &space : launchSizes())
    context.sizes[space] = next();
  for (auto space : variant.getBody().getOps<attn::SpaceOp>())
    if (std::optional<int64_t> extent = fixedExtent(variant, space.getName()))
      context.sizes[space.getName()] = context.i32(variant.getLoc(), *extent);
}

//===-- Kernels -------------------------------------------------------------------------------===//

/// A variant of one stage has a kernel of its own name; of several stages, the last one tells.
std::string ProgramFrame::nameOf(const Kernel &kernel, unsigned number) {
  const Stage &last = *kernel.stages.back();
  std::string name = variant.getSymName().str();
  auto isAside = [](const Kernel &each) { return each.choice && each.choice->hasElements; };
  bool isWhole = !isAside(kernel) && llvm::all_of(kernels, [&](const Kernel &each) {
    return &each == &kernel || &each == kernel.other || isAside(each);
  });
  if (!isWhole)
    name += "_" + std::to_string(number) + "_" + nameInMemory(last);
  return name + last.lowering->suffix().str();
}

LogicalResult ProgramFrame::emitKernel(Kernel &kernel, unsigned number) {
  MLIRContext *context = builder.getContext();
  kernel.tensors = tensorsOf(kernel);
  ArgumentList arguments{builder, {}, {}};
  for (Value tensor : kernel.tensors) {
    bool hasBoth = llvm::is_contained(kernel.tensors, reused.lookup(tensor));
    arguments.add(viewType(tensor),
                  tensorAttrs(tensor, hasBoth ? builder.getUnitAttr() : UnitAttr()));
  }
  for (Stage *stage : kernel.stages)
    for (Scratch &own : stage->scratch) {
      own.name = uniqueName(nameInMemory(*stage) + "." + own.name);
      arguments.add(workspaceType(own.type),
                    builder.getDictionaryAttr(memoryAttrs(own.name, own.type, /*isWorkspace=*/true,
                                                          /*hasUnitStride=*/true)));
    }
  for (const std::string &space : launchSizes())
    arguments.addBound("size:" + space, builder.getI32Type());
  for (const std::string &space : computedSizes)
    arguments.addBound("size:" + space, builder.getI32Type());
  for (attn::ParamOp param : params)
    arguments.addBound("param:" + param.getName(), param.getType());
  for (const IndependentAxis &axis : kernel.group->axes)
    for (const char *number : {".first", ".count"})
      arguments.addBound("part:" + axis.space + number, builder.getI32Type());

  ArrayAttr spaces;
  DenseI64ArrayAttr tiles;
  StageLowering &first = *kernel.stages[0]->lowering;
  if (SmallVector<Axis> axes = first.gridAxes(); !axes.empty()) {
    spaces = builder.getStrArrayAttr(
        llvm::map_to_vector(axes, [](const Axis &axis) { return StringRef(axis.name); }));
    tiles = builder.getDenseI64ArrayAttr(
        llvm::map_to_vector(axes, [](const Axis &axis) { return axis.tile; }));
  }
  int64_t warps = 1;
  for (Stage *stage : kernel.stages)
    warps = std::max(warps, stage->lowering->warps());
  std::string name = nameOf(kernel, number);
  bool isWhole = name == (variant.getSymName() + first.suffix()).str();
  kernel.op = tile::KernelOp::create(
      builder, isWhole ? variant.getLoc() : kernel.loc(), builder.getStringAttr(name),
      TypeAttr::get(builder.getFunctionType(arguments.types, {})), spaces, tiles,
      builder.getI32IntegerAttr(static_cast<int32_t>(warps)), builder.getArrayAttr(arguments.attrs),
      ArrayAttr());
  kernel.op->setDiscardableAttr(tile::ScheduleAttr::attrName, plan.schedule(context));
  OpBuilder::InsertionGuard guard(builder);
  Block *entry = builder.createBlock(&kernel.op.getBody());
  for (Type type : arguments.types)
    entry->addArgument(type, variant.getLoc());
  builder.setInsertionPointToStart(entry);

  KernelContext inside(builder, variant, plan);
  unsigned next = 0;
  auto take = [&]() -> Value { return entry->getArgument(next++); };
  for (Value tensor : kernel.tensors) {
    Value view = take();
    for (Value each : choices.tensorsIn(tensor))
      inside.views[each] = view;
  }
  SmallVector<Value> scratch;
  for (Stage *stage : kernel.stages)
    for (size_t i = 0; i < stage->scratch.size(); ++i)
      scratch.push_back(take());
  bindSizes(inside, take);
  for (const std::string &space : computedSizes)
    inside.sizes[space] = take();
  for (attn::ParamOp param : params)
    inside.params.map(param.getResult(), take());
  for (const IndependentAxis &axis : kernel.group->axes) {
    Value start = take(), count = take();
    inside.parts[axis.space] = {start, count};
  }
  if (failed(emitBody(kernel, inside, scratch)))
    return failure();
  tile::ReturnOp::create(builder, variant.getLoc());
  kernel.readAnywhere = std::move(inside.readAnywhere);
  return success();
}

/// The stages one after the other. What one leaves in memory, threads of others read behind a
/// barrier.
LogicalResult ProgramFrame::emitStages(Kernel &kernel, KernelContext &context, Emit emit) {
  for (const LocalTensor &local : kernel.locals)
    context.views[local.tensor] = local.emit(context);
  llvm::SmallPtrSet<Operation *, 8> unseen; // stages whose results are not there for all threads
  for (Stage *stage : kernel.stages) {
    bool reads = false;
    stage->op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        reads |= unseen.contains(operand.getDefiningOp());
    });
    if (reads) {
      tile::BarrierOp::create(builder, stage->op->getLoc());
      unseen.clear();
    }
    unseen.insert(stage->op);
    if (failed(emit(*stage)))
      return failure();
  }
  return success();
}

/// All stages for each index of the space that the kernel walks along, between what its recurrences
/// do before and behind their steps.
LogicalResult ProgramFrame::emitWalk(Kernel &kernel, KernelContext &context,
                                     llvm::function_ref<void(const Stage &)> bindScratch) {
  Location loc = kernel.loc();
  Value size = context.sizes.lookup(kernel.walked);
  if (!size)
    return emitError(loc, "no input says the size of the index space `") << kernel.walked << "`";
  auto forEachRecurrence = [&](auto emit) -> LogicalResult {
    for (Stage *stage : kernel.stages) {
      bindScratch(*stage);
      if (hasStepsOf(stage->op, kernel.walked) && failed(emit(*stage->lowering)))
        return failure();
    }
    return success();
  };
  if (failed(forEachRecurrence(
          [&](StageLowering &lowering) { return lowering.emitBeforeSteps(context); })))
    return failure();
  auto walk = scf::ForOp::create(builder, loc, context.i32(loc, 0), size, context.i32(loc, 1));
  {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(walk.getBody());
    Value index = walk.getInductionVar();
    context.parts[kernel.walked] = {index, context.i32(loc, 1), 1};
    auto emit = [&](Stage &stage) {
      bindScratch(stage);
      return hasStepsOf(stage.op, kernel.walked) ? stage.lowering->emitStep(context, index)
                                                 : stage.lowering->emitParts(context);
    };
    auto readBefore = context.readAnywhere;
    if (failed(emitStages(kernel, context, emit)))
      return failure();
    context.parts.erase(kernel.walked);
    kernel.readInSteps = std::exchange(context.readAnywhere, readBefore);
    kernel.readInSteps.remove_if(
        [&](const auto &read) { return context.readAnywhere.contains(read.first); });
  }
  return forEachRecurrence(
      [&](StageLowering &lowering) { return lowering.emitBehindSteps(context); });
}

/// A kernel of several stages computes each for the program's part of the common axes.
LogicalResult ProgramFrame::emitBody(Kernel &kernel, KernelContext &context,
                                     ArrayRef<Value> scratch) {
  llvm::DenseMap<const Stage *, ArrayRef<Value>> own;
  for (const Stage *stage : kernel.stages) {
    own[stage] = scratch.take_front(stage->scratch.size());
    scratch = scratch.drop_front(stage->scratch.size());
  }
  auto bindScratch = [&](const Stage &stage) { context.scratch.assign(own.lookup(&stage)); };
  bindScratch(*kernel.stages[0]);
  if (kernel.stages.size() == 1)
    return kernel.stages[0]->lowering->emit(context);
  Value id = tile::ProgramIdOp::create(builder, kernel.loc(), builder.getI32Type(), 0);
  if (failed(bindParts(context, kernel.loc(), kernel.axes, id)))
    return failure();
  if (!kernel.walked.empty())
    return emitWalk(kernel, context, bindScratch);
  return emitStages(kernel, context, [&](Stage &stage) {
    bindScratch(stage);
    return stage.lowering->emitParts(context);
  });
}

//===-- The program ---------------------------------------------------------------------------===//

LogicalResult ProgramFrame::emitProgram() {
  ArgumentList arguments{builder, {}, {}};
  for (Value tensor : signature) {
    Value other = outputs.contains(tensor) ? reused.lookup(tensor) : Value();
    arguments.add(viewType(tensor),
                  tensorAttrs(tensor, other ? builder.getStringAttr(names[other]) : StringAttr()));
  }
  for (const std::string &space : launchSizes())
    arguments.addBound("size:" + space, builder.getI32Type());
  for (attn::ParamOp param : params)
    arguments.addBound("param:" + param.getName(), param.getType());
  Location loc = variant.getLoc();
  auto program = tile::ProgramOp::create(builder, loc, variant.getSymName(),
                                         builder.getArrayAttr(arguments.attrs));
  Block *body = builder.createBlock(&program.getBody());
  for (Type type : arguments.types)
    body->addArgument(type, loc);
  KernelContext context(builder, variant, plan);
  unsigned next = 0;
  auto take = [&]() -> Value { return body->getArgument(next++); };
  for (Value tensor : signature)
    context.views[tensor] = take();
  bindSizes(context, take);
  for (attn::ParamOp param : params)
    context.params.map(param.getResult(), take());
  ProgramScalars scalars(builder, variant, program);
  if (failed(scalars.declareSpaces()))
    return failure();
  for (const std::string &space : computedSizes)
    context.sizes[space] = scalars.sizeOf(space);
  for (const StageGroup &group : groups)
    if (failed(emitLoop(context, group)))
      return failure();
  return success();
}

LogicalResult ProgramFrame::run() {
  if (failed(findStages()))
    return failure();
  nameTensors();
  if (failed(formLoops()))
    return failure();
  bool isEmitted = true;
  unsigned number = 0;
  for (const StageGroup &group : groups)
    for (unsigned each : group.kernels) {
      Kernel &kernel = kernels[each];
      isEmitted =
          isEmitted && succeeded(emitKernel(kernel, kernel.isAlternative ? number - 1 : number++));
    }
  if (!isEmitted || failed(emitProgram())) {
    for (Kernel &kernel : kernels)
      if (kernel.op)
        kernel.op.erase();
    return failure();
  }
  variant.erase();
  return success();
}

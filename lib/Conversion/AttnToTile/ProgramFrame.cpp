// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ProgramFrame.h explains. Kernels and the program have scalars for the sizes of spaces: those that
// inputs tell are arguments of the program; those that follow from others are computed there, and
// passed to kernels like sizes.
#include "ProgramFrame.h"
#include "ProgramScalars.h"
#include "attnc/Analysis/Compilable.h"
#include "mlir/IR/Matchers.h"

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
  return name;
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

ProgramFrame::Stage &ProgramFrame::addStage(Operation *op,
                                            std::unique_ptr<StageLowering> lowering) {
  Stage &stage = stages.emplace_back();
  stage.op = op;
  stage.lowering = std::move(lowering);
  stage.scratch = stage.lowering->scratch();
  return stage;
}

LogicalResult ProgramFrame::findStages() {
  eraseUnused(variant);
  for (Operation &op : variant.getBody().front()) {
    if (isDeclaration(&op))
      continue;
    StageLoweringFactory factory = findStageLowering(&op);
    if (!factory) {
      std::optional<Uncompilable> found = asUncompilable(op);
      return emitError(op.getLoc(), found ? found->reason : "code is not generated for this yet");
    }
    Stage &stage = addStage(&op, factory(&op, plan));
    if (std::unique_ptr<StageLowering> alternative = stage.lowering->alternative()) {
      Stage &other = addStage(&op, std::move(alternative));
      other.isAlternative = true;
      stage.other = &other;
      other.other = &stage;
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

/// Decides which stages are launched together.
void ProgramFrame::formLoops() {
  SmallVector<ChunkableStage> chunkable;
  for (Stage &stage : stages)
    chunkable.push_back({stage.op, stage.lowering->independentAxes(), stage.scratch});
  groups = formChunkLoops(chunkable, [&](Value tensor) { return !outputs.contains(tensor); });
  for (const StageGroup &group : groups)
    for (unsigned number : group.stages)
      stages[number].group = &group;
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
      if (stage.isAlternative)
        continue;
      if (outputs.contains(result)) {
        signature.push_back(result);
        names[result] = outputs.lookup(result).str();
        continue;
      }
      names[result] = uniqueName(stageName(stage.op));
    }
}

std::string ProgramFrame::axisText(attn::AttnTensorType type, unsigned axis) {
  StringRef name = type.getAxisName(axis);
  if (name.empty())
    return std::to_string(type.getAxisSize(axis));
  std::optional<int64_t> extent = fixedExtent(variant, name);
  return extent ? std::to_string(*extent) : name.str();
}

tile::ViewType ProgramFrame::workspaceType(attn::AttnTensorType type) {
  return tile::ViewType::get(type.getContext(), type.getRank(), type.getElementType(),
                             /*unitStride=*/true);
}

/// Workspace is dense; what callers pass has contiguous rows where a stage needs that.
tile::ViewType ProgramFrame::viewType(Value tensor) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  bool isWorkspace = !llvm::is_contained(signature, tensor);
  bool isOperand =
      llvm::any_of(stages, [&](const Stage &stage) { return stage.lowering->isOperand(tensor); });
  return tile::ViewType::get(variant.getContext(), type.getRank(), type.getElementType(),
                             isWorkspace || isOperand);
}

DictionaryAttr ProgramFrame::tensorAttrs(Value tensor) {
  Builder b(variant.getContext());
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  SmallVector<Attribute> axes;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    axes.push_back(b.getStringAttr(axisText(type, axis)));
  SmallVector<NamedAttribute> attrs = {
      b.getNamedAttr("tile.binding", b.getStringAttr("tensor:" + names.lookup(tensor))),
      b.getNamedAttr("tile.axes", b.getArrayAttr(axes))};
  if (outputs.contains(tensor))
    attrs.push_back(b.getNamedAttr("tile.output", b.getUnitAttr()));
  if (plan.target.kind == Target::Kind::NVPTX && viewType(tensor).getUnitStride())
    attrs.push_back(b.getNamedAttr("tile.row_alignment", b.getI64IntegerAttr(plan.vectorBytes)));
  return b.getDictionaryAttr(attrs);
}

/// Tensors of the variant that `op` or an op in it reads, and its results that somebody wants.
SmallVector<Value> ProgramFrame::tensorsOf(Operation *op) {
  llvm::SetVector<Value> used;
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (isa<attn::AttnTensorType>(operand.getType()) &&
          operand.getParentRegion() == &variant.getBody())
        used.insert(operand);
  });
  for (Value result : op->getResults())
    if (!result.use_empty())
      used.insert(result);
  SmallVector<Value> tensors(used.begin(), used.end());
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

LogicalResult ProgramFrame::emitKernel(Stage &stage, unsigned number) {
  MLIRContext *context = builder.getContext();
  stage.tensors = tensorsOf(stage.op);
  ArgumentList arguments{builder, {}, {}};
  for (Value tensor : stage.tensors)
    arguments.add(viewType(tensor), tensorAttrs(tensor));
  for (Scratch &own : stage.scratch) {
    own.name = uniqueName(names.lookup(stage.op->getResult(0)) + "." + own.name);
    arguments.addBound("tensor:" + own.name, workspaceType(own.type));
  }
  for (const std::string &space : launchSizes())
    arguments.addBound("size:" + space, builder.getI32Type());
  for (const std::string &space : computedSizes)
    arguments.addBound("size:" + space, builder.getI32Type());
  for (attn::ParamOp param : params)
    arguments.addBound("param:" + param.getName(), param.getType());
  for (const IndependentAxis &axis : stage.group->axes)
    for (const char *number : {".first", ".count"})
      arguments.addBound("part:" + axis.space + number, builder.getI32Type());

  ArrayAttr spaces;
  DenseI64ArrayAttr tiles;
  if (SmallVector<Axis> axes = stage.lowering->gridAxes(); !axes.empty()) {
    spaces = builder.getStrArrayAttr(
        llvm::map_to_vector(axes, [](const Axis &axis) { return StringRef(axis.name); }));
    tiles = builder.getDenseI64ArrayAttr(
        llvm::map_to_vector(axes, [](const Axis &axis) { return axis.tile; }));
  }
  std::string name = variant.getSymName().str();
  bool isOnlyOp = llvm::all_of(stages, [&](const Stage &each) { return each.op == stage.op; });
  if (!isOnlyOp)
    name += "_" + std::to_string(number) + "_" + names.lookup(stage.op->getResult(0));
  name += stage.lowering->suffix();
  stage.kernel = tile::KernelOp::create(
      builder, isOnlyOp ? variant.getLoc() : stage.op->getLoc(), builder.getStringAttr(name),
      TypeAttr::get(builder.getFunctionType(arguments.types, {})), spaces, tiles,
      builder.getI32IntegerAttr(static_cast<int32_t>(stage.lowering->warps())),
      builder.getArrayAttr(arguments.attrs), ArrayAttr());
  stage.kernel->setDiscardableAttr(tile::ScheduleAttr::attrName, plan.schedule(context));
  OpBuilder::InsertionGuard guard(builder);
  Block *entry = builder.createBlock(&stage.kernel.getBody());
  for (Type type : arguments.types)
    entry->addArgument(type, variant.getLoc());
  builder.setInsertionPointToStart(entry);

  KernelContext kernel(builder, variant, plan);
  unsigned next = 0;
  auto take = [&]() -> Value { return entry->getArgument(next++); };
  for (Value tensor : stage.tensors)
    kernel.views[tensor] = take();
  for (size_t i = 0; i < stage.scratch.size(); ++i)
    kernel.scratch.push_back(take());
  bindSizes(kernel, take);
  for (const std::string &space : computedSizes)
    kernel.sizes[space] = take();
  for (attn::ParamOp param : params)
    kernel.params.map(param.getResult(), take());
  for (const IndependentAxis &axis : stage.group->axes) {
    Value first = take(), count = take();
    kernel.parts[axis.space] = {first, count};
  }
  if (failed(stage.lowering->emit(kernel)))
    return failure();
  tile::ReturnOp::create(builder, variant.getLoc());
  stage.readAnywhere = std::move(kernel.readAnywhere);
  return success();
}

//===-- The program ---------------------------------------------------------------------------===//

LogicalResult ProgramFrame::emitProgram() {
  ArgumentList arguments{builder, {}, {}};
  for (Value tensor : signature)
    arguments.add(viewType(tensor), tensorAttrs(tensor));
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
  formLoops();
  bool isEmitted = true;
  unsigned number = 0;
  for (Stage &stage : stages)
    isEmitted =
        isEmitted && succeeded(emitKernel(stage, stage.isAlternative ? number - 1 : number++));
  if (!isEmitted || failed(emitProgram())) {
    for (Stage &stage : stages)
      if (stage.kernel)
        stage.kernel.erase();
    return failure();
  }
  variant.erase();
  return success();
}

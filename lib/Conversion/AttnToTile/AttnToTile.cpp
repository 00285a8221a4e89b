// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// convert-attn-to-tile: a planned variant becomes a kernel. This file makes the kernel's frame
// (arguments, grid, program coordinates); the lowering of its stage (Lowerings.h) fills it.
#include "Lowerings.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Conversion/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_CONVERTATTNTOTILE
#include "attnc/Conversion/Passes.h.inc"

namespace {

/// Collects the arguments of a kernel with what they bind.
class Signature {
public:
  Signature(Builder &builder, attn::VariantOp variant, const KernelPlan &plan)
      : builder(builder), variant(variant), plan(plan) {}

  void addTensor(llvm::StringRef name, attn::AttnTensorType type, bool isOperand, bool isOutput) {
    SmallVector<Attribute> axes;
    for (unsigned i = 0; i < type.getRank(); ++i)
      axes.push_back(builder.getStringAttr(axisText(type, i)));
    SmallVector<NamedAttribute> attrs = {
        builder.getNamedAttr("tile.binding", builder.getStringAttr("tensor:" + name)),
        builder.getNamedAttr("tile.axes", builder.getArrayAttr(axes))};
    if (isOutput)
      attrs.push_back(builder.getNamedAttr("tile.output", builder.getUnitAttr()));
    if (isOperand && plan.target.kind == Target::Kind::NVPTX) // the host loads at any alignment
      attrs.push_back(
          builder.getNamedAttr("tile.row_alignment", builder.getI64IntegerAttr(plan.vectorBytes)));
    add(tile::ViewType::get(builder.getContext(), type.getRank(), type.getElementType(), isOperand),
        attrs);
  }
  void addScalar(const llvm::Twine &binding, Type type) {
    add(type, {builder.getNamedAttr("tile.binding", builder.getStringAttr(binding))});
  }

  SmallVector<Type> types;
  SmallVector<Attribute> attrs;

private:
  void add(Type type, ArrayRef<NamedAttribute> named) {
    types.push_back(type);
    attrs.push_back(builder.getDictionaryAttr(named));
  }
  /// The size of an axis whose space has a fixed extent, d and e among them; else its name.
  std::string axisText(attn::AttnTensorType type, unsigned i) const {
    llvm::StringRef name = type.getAxisName(i);
    if (name.empty())
      return std::to_string(type.getAxisSize(i));
    std::optional<int64_t> extent = fixedExtent(variant, name);
    return extent ? std::to_string(*extent) : name.str();
  }
  Builder &builder;
  attn::VariantOp variant;
  const KernelPlan &plan;
};

class VariantLowering {
public:
  VariantLowering(attn::VariantOp variant, const KernelPlan &plan, StageLowering &stage)
      : builder(variant), variant(variant), plan(plan), stage(stage) {}

  LogicalResult run() {
    Domain domain(stage.axes());
    tile::KernelOp kernel = createKernel(domain.axes());
    builder.setInsertionPointToStart(&kernel.getBody().front());
    KernelContext context(builder, variant, plan, std::move(domain));
    bindArguments(context, kernel);
    context.domain.emitCoordinates(builder, variant.getLoc(), context.sizes);
    if (failed(stage.emit(context))) {
      kernel.erase();
      return failure();
    }
    tile::ReturnOp::create(builder, variant.getLoc());
    createProgram(kernel);
    variant.erase();
    return success();
  }

private:
  tile::KernelOp createKernel(const AxisMap &axes) {
    Signature signature(builder, variant, plan);
    auto add = [&](StringRef name, Value tensor, bool isOutput) {
      signature.addTensor(name, cast<attn::AttnTensorType>(tensor.getType()),
                          stage.isOperand(tensor), isOutput);
      tensors.push_back(tensor);
    };
    for (auto input : variant.getBody().getOps<attn::InputOp>())
      add(input.getName(), input.getResult(), /*isOutput=*/false);
    addOutputs(add);
    for (StringRef space : spaces())
      signature.addScalar("size:" + space, builder.getI32Type());
    for (auto param : variant.getBody().getOps<attn::ParamOp>())
      if (!param.getIsConst()) {
        params.push_back(param);
        signature.addScalar("param:" + param.getName(), param.getType());
      }
    auto type = builder.getFunctionType(signature.types, {});
    SmallVector<StringRef> gridSpaces;
    SmallVector<int64_t> gridTiles;
    for (const Axis *axis : axes.gridAxes()) {
      gridSpaces.push_back(axis->name);
      gridTiles.push_back(axis->tile);
    }
    auto kernel = tile::KernelOp::create(builder, variant.getLoc(), variant.getSymNameAttr(),
                                         TypeAttr::get(type), builder.getStrArrayAttr(gridSpaces),
                                         builder.getDenseI64ArrayAttr(gridTiles),
                                         builder.getI32IntegerAttr(plan.numWarps),
                                         builder.getArrayAttr(signature.attrs), ArrayAttr());
    kernel->setDiscardableAttr(tile::ScheduleAttr::attrName, plan.schedule(builder.getContext()));
    Block *entry = builder.createBlock(&kernel.getBody());
    for (Type t : signature.types)
      entry->addArgument(t, variant.getLoc());
    return kernel;
  }

  /// Results in the order of the op that yields them, however they are returned.
  void addOutputs(llvm::function_ref<void(StringRef, Value, bool)> add) {
    auto ret = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
    llvm::DenseMap<Value, StringRef> names;
    for (auto [name, value] : llvm::zip(ret.getNames(), ret.getValues()))
      names[value] = cast<StringAttr>(name).getValue();
    for (Operation &op : variant.getBody().front())
      for (Value result : op.getResults())
        if (StringRef name = names.lookup(result); !name.empty())
          add(name, result, /*isOutput=*/true);
  }

  /// The program that launches `kernel` once, over the grid that it names, with arguments of the
  /// same names.
  void createProgram(tile::KernelOp kernel) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointAfter(kernel);
    Location loc = variant.getLoc();
    auto program =
        tile::ProgramOp::create(builder, loc, variant.getSymName(), kernel.getArgAttrsAttr());
    Block *body = builder.createBlock(&program.getBody());
    for (Type type : kernel.getArgumentTypes())
      body->addArgument(type, loc);
    SmallVector<Value> grid;
    for (auto [space, tile] : llvm::zip(kernel.getGridSpaces(), kernel.getGridTiles())) {
      std::string binding = ("size:" + cast<StringAttr>(space).getValue()).str();
      for (BlockArgument argument : body->getArguments())
        if (program.getBinding(argument.getArgNumber()) == binding)
          grid.push_back(argument);
      if (tile != 1) {
        auto rows = arith::ConstantOp::create(
            builder, loc, builder.getI32IntegerAttr(static_cast<int32_t>(tile)));
        grid.back() = arith::CeilDivSIOp::create(builder, loc, grid.back(), rows);
      }
    }
    tile::LaunchOp::create(builder, loc, kernel.getSymName(), body->getArguments(), grid[0],
                           grid[1], grid[2]);
  }

  /// Index spaces whose sizes are arguments: those of an attention, and others that inputs are
  /// over.
  SmallVector<StringRef> spaces() {
    SmallVector<StringRef> names = {"b", "h", "g", "q", "kv"};
    for (auto input : variant.getBody().getOps<attn::InputOp>())
      for (StringRef name : axisNames(input.getResult().getType()))
        if (!name.empty() && !llvm::is_contained(names, name) && isSizedAtLaunch(variant, name) &&
            !fixedExtent(variant, name))
          names.push_back(name);
    return names;
  }

  void bindArguments(KernelContext &context, tile::KernelOp kernel) {
    unsigned next = 0;
    auto take = [&]() -> Value { return kernel.getBody().front().getArgument(next++); };
    for (Value tensor : tensors)
      context.views[tensor] = take();
    for (StringRef space : spaces())
      context.sizes[space] = take();
    for (attn::ParamOp param : params)
      context.params.map(param.getResult(), take());
    for (auto space : variant.getBody().getOps<attn::SpaceOp>())
      if (std::optional<int64_t> extent = fixedExtent(variant, space.getName()))
        context.sizes[space.getName()] = context.i32(variant.getLoc(), *extent);
  }

  OpBuilder builder;
  attn::VariantOp variant;
  const KernelPlan &plan;
  StageLowering &stage;
  SmallVector<Value> tensors; ///< inputs, then outputs
  SmallVector<attn::ParamOp> params;
};

/// The stage of a variant that is made a kernel of. Fails at an op that has no lowering.
FailureOr<Operation *> findStage(attn::VariantOp variant) {
  Operation *stage = nullptr;
  for (Operation &op : variant.getBody().front())
    if (findStageLowering(&op))
      stage = &op;
    else if (std::optional<Uncompilable> found = asUncompilable(op))
      return emitError(found->op->getLoc(), found->reason);
  if (std::optional<Uncompilable> found = findUncompilable(variant))
    return emitError(found->op->getLoc(), found->reason);
  return stage;
}

struct ConvertAttnToTile : impl::ConvertAttnToTileBase<ConvertAttnToTile> {
  using ConvertAttnToTileBase::ConvertAttnToTileBase;

  void runOnOperation() override {
    for (auto variant :
         llvm::make_early_inc_range(getOperation().getBody()->getOps<attn::VariantOp>())) {
      FailureOr<Operation *> stage = findStage(variant);
      if (failed(stage))
        return signalPassFailure();
      llvm::Expected<KernelPlan> plan = planOf(variant);
      if (!plan) {
        variant.emitOpError() << llvm::toString(plan.takeError());
        return signalPassFailure();
      }
      std::unique_ptr<StageLowering> lowering = findStageLowering(*stage)(*stage, *plan);
      if (failed(VariantLowering(variant, *plan, *lowering).run()))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// convert-attn-to-tile: a planned variant becomes a kernel over a grid of (query tile, query head,
// batch). This file makes the kernel's frame (arguments, grid, program coordinates);
// SoftmaxStage.cpp fills it.
#include "KernelContext.h"
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
  VariantLowering(attn::VariantOp variant, KernelPlan plan)
      : builder(variant), variant(variant), plan(std::move(plan)) {}

  LogicalResult run() {
    findStage();
    tile::KernelOp kernel = createKernel();
    builder.setInsertionPointToStart(&kernel.getBody().front());
    KernelContext context(builder, variant, plan);
    bindArguments(context, kernel);
    KeyRanges ranges = computeKeyRanges(attend);
    emitProgramCoordinates(context, ranges);
    if (failed(emitSoftmaxStage(context, attend, ranges, context.outputViews.lookup(outName),
                                context.outputViews.lookup(lseName)))) {
      kernel.erase();
      return failure();
    }
    tile::ReturnOp::create(builder, variant.getLoc());
    variant.erase();
    return success();
  }

private:
  /// The one attend that there is, whose results are returned: see findUncompilable.
  void findStage() {
    attend = *variant.getBody().getOps<attn::AttendOp>().begin();
    auto ret = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
    for (auto [name, value] : llvm::zip(ret.getNames(), ret.getValues())) {
      llvm::StringRef text = cast<StringAttr>(name).getValue();
      (value == attend.getOut() ? outName : lseName) = text;
    }
  }

  tile::KernelOp createKernel() {
    Signature signature(builder, variant, plan);
    for (auto input : variant.getBody().getOps<attn::InputOp>()) {
      inputs.push_back(input);
      Value value = input.getResult();
      bool operand =
          value == attend.getQuery() || value == attend.getKey() || value == attend.getValue();
      signature.addTensor(input.getName(), input.getType(), operand, /*isOutput=*/false);
    }
    signature.addTensor(outName, attend.getOut().getType(), /*isOperand=*/true, /*isOutput=*/true);
    if (!lseName.empty())
      signature.addTensor(lseName, attend.getLse().getType(), /*isOperand=*/false,
                          /*isOutput=*/true);
    for (llvm::StringRef space : spaces())
      signature.addScalar("size:" + space, builder.getI32Type());
    for (auto param : variant.getBody().getOps<attn::ParamOp>())
      if (!param.getIsConst()) {
        params.push_back(param);
        signature.addScalar("param:" + param.getName(), param.getType());
      }
    auto type = builder.getFunctionType(signature.types, {});
    auto kernel = tile::KernelOp::create(
        builder, variant.getLoc(), variant.getSymNameAttr(), TypeAttr::get(type),
        builder.getStrArrayAttr({"q", "h", "b"}), builder.getDenseI64ArrayAttr({plan.tileQ, 1, 1}),
        builder.getI32IntegerAttr(plan.numWarps), builder.getArrayAttr(signature.attrs),
        ArrayAttr());
    kernel->setDiscardableAttr(tile::ScheduleAttr::attrName, plan.schedule(builder.getContext()));
    Block *entry = builder.createBlock(&kernel.getBody());
    for (Type t : signature.types)
      entry->addArgument(t, variant.getLoc());
    return kernel;
  }

  /// Index spaces whose sizes are arguments: those of an attention, and others that inputs are
  /// over.
  SmallVector<llvm::StringRef> spaces() {
    SmallVector<llvm::StringRef> names = {"b", "h", "g", "q", "kv"};
    for (attn::InputOp input : inputs) {
      attn::AttnTensorType type = input.getResult().getType();
      for (unsigned i = 0; i < type.getRank(); ++i) {
        llvm::StringRef name = type.getAxisName(i);
        if (!name.empty() && !llvm::is_contained(names, name) && isSizedAtLaunch(variant, name) &&
            !fixedExtent(variant, name))
          names.push_back(name);
      }
    }
    return names;
  }

  void bindArguments(KernelContext &context, tile::KernelOp kernel) {
    unsigned next = 0;
    auto take = [&]() -> Value { return kernel.getBody().front().getArgument(next++); };
    for (attn::InputOp input : inputs)
      context.inputViews[input.getResult()] = take();
    context.outputViews[outName] = take();
    if (!lseName.empty())
      context.outputViews[lseName] = take();
    for (llvm::StringRef space : spaces())
      context.sizes[space] = take();
    for (attn::ParamOp param : params)
      context.globals.map(param.getResult(), take());
    for (auto space : variant.getBody().getOps<attn::SpaceOp>())
      if (std::optional<int64_t> extent = fixedExtent(variant, space.getName()))
        context.sizes[space.getName()] = context.i32(variant.getLoc(), *extent);
  }

  void emitProgramCoordinates(KernelContext &context, const KeyRanges &ranges) {
    Location loc = variant.getLoc();
    Value queryTile = tile::ProgramIdOp::create(builder, loc, builder.getI32Type(), 0);
    context.h = tile::ProgramIdOp::create(builder, loc, builder.getI32Type(), 1);
    context.b = tile::ProgramIdOp::create(builder, loc, builder.getI32Type(), 2);
    // Where later rows see more keys, start with the last tile: long programs first, short ones
    // fill the machine at the end.
    bool later = llvm::any_of(
        ranges.ranges, [](const KeyRange &r) { return r.mayHi->hasRow && !r.mayLo->hasRow; });
    if (later) {
      Value round =
          arith::AddIOp::create(builder, loc, context.sizes["q"], context.i32(loc, plan.tileQ - 1));
      Value tiles = arith::DivUIOp::create(builder, loc, round, context.i32(loc, plan.tileQ));
      Value last = arith::SubIOp::create(builder, loc, tiles, context.i32(loc, 1));
      queryTile = arith::SubIOp::create(builder, loc, last, queryTile);
    }
    context.row0 = arith::MulIOp::create(builder, loc, queryTile, context.i32(loc, plan.tileQ));
    Value group = arith::DivUIOp::create(builder, loc, context.sizes["h"], context.sizes["g"]);
    context.g = arith::DivUIOp::create(builder, loc, context.h, group);
  }

  OpBuilder builder;
  attn::VariantOp variant;
  KernelPlan plan;
  attn::AttendOp attend;
  llvm::StringRef outName, lseName;
  SmallVector<attn::InputOp> inputs;
  SmallVector<attn::ParamOp> params;
};

struct ConvertAttnToTile : impl::ConvertAttnToTileBase<ConvertAttnToTile> {
  using ConvertAttnToTileBase::ConvertAttnToTileBase;

  void runOnOperation() override {
    for (auto variant :
         llvm::make_early_inc_range(getOperation().getBody()->getOps<attn::VariantOp>())) {
      if (std::optional<Uncompilable> found = findUncompilable(variant)) {
        emitError(found->op->getLoc(), found->reason);
        return signalPassFailure();
      }
      llvm::Expected<KernelPlan> plan = planOf(variant);
      if (!plan) {
        variant.emitOpError() << llvm::toString(plan.takeError());
        return signalPassFailure();
      }
      if (failed(VariantLowering(variant, *plan).run()))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-specialize: what is known when a variant is compiled goes into its ops and types, so that
// nothing below asks anybody for it.
#include "FormulaBuilder.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/AttrTypeSubElements.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNSPECIALIZE
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// What a const parameter is worth: what is bound to it, or its default.
TypedAttr valueOf(attn::ParamOp param, const std::map<std::string, double> &bound) {
  auto given = bound.find(param.getName().str());
  if (given == bound.end())
    return param.getDefaultValue();
  Builder builder(param.getContext());
  if (param.getType().isF32())
    return builder.getF32FloatAttr(given->second);
  return builder.getI32IntegerAttr(static_cast<int64_t>(given->second));
}

/// Constants in place of const parameters.
void bindParams(attn::VariantOp variant, const std::map<std::string, double> &bound) {
  for (auto param : llvm::make_early_inc_range(variant.getBody().getOps<attn::ParamOp>())) {
    if (!param.getIsConst())
      continue;
    OpBuilder builder(param);
    param.replaceAllUsesWith(
        arith::ConstantOp::create(builder, param.getLoc(), valueOf(param, bound)).getResult());
    param.erase();
  }
}

/// Declares d and e with their sizes, and puts these in place of `attn.size`. Axes keep their
/// names: they say which dimensions are contracted with which.
void bindDims(attn::VariantOp variant, int64_t headDim, int64_t vHeadDim) {
  for (auto [name, size] : {std::pair("d", headDim), {"e", vHeadDim}}) {
    if (attn::findSpace(variant, name))
      continue; // it was specialised before
    // At the head, which may be an op that is erased below.
    OpBuilder builder = OpBuilder::atBlockBegin(&variant.getBody().front());
    Value extent =
        arith::ConstantOp::create(builder, variant.getLoc(), builder.getI32IntegerAttr(size));
    attn::SpaceOp::create(builder, variant.getLoc(), builder.getStringAttr(name), StringAttr(),
                          extent, Value(), UnitAttr());
    variant.walk([&, name = name](attn::SizeOp op) {
      if (op.getSpace() != name)
        return;
      op.replaceAllUsesWith(extent);
      op.erase();
    });
  }
}

/// A copy of `tensor` with the elements of `type`, in front of `end`.
Value copyOf(Value tensor, attn::AttnTensorType type, attn::ReturnOp end) {
  FormulaBuilder b(end);
  b.setLoc(tensor.getLoc());
  return b.compute(type, [&](ValueRange indices) { return b.read(tensor, indices); });
}

/// Copies in place of outputs that are an input or another output: each output is memory of its
/// own, which one stage writes.
void separateOutputs(attn::VariantOp variant) {
  auto end = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
  llvm::SmallPtrSet<Value, 8> returned;
  for (OpOperand &output : end.getValuesMutable()) {
    Value value = output.get();
    if (returned.insert(value).second && !value.getDefiningOp<attn::InputOp>())
      continue;
    output.set(copyOf(value, cast<attn::AttnTensorType>(value.getType()), end));
  }
}

/// What stages read of each other is f32: only what is returned is rounded to `element`, the
/// operand dtype, and a copy of it where a stage reads it too.
void keepIntermediates(attn::VariantOp variant, Type element) {
  auto end = cast<attn::ReturnOp>(variant.getBody().front().getTerminator());
  SmallVector<Value> read;
  variant.walk([&](Operation *op) {
    if (isa<attn::InputOp>(op))
      return;
    for (Value result : op->getResults()) {
      auto type = dyn_cast<attn::AttnTensorType>(result.getType());
      bool isOutput = llvm::is_contained(result.getUsers(), end);
      if (type && type.hasOperandElementType() && (!isOutput || !result.hasOneUse()))
        read.push_back(result);
    }
  });
  for (Value result : read) {
    auto type = cast<attn::AttnTensorType>(result.getType());
    Type f32 = Float32Type::get(variant.getContext());
    result.setType(attn::AttnTensorType::get(type.getContext(), type.getAxes(), f32));
    for (OpOperand &output : end.getValuesMutable())
      if (output.get() == result && !element.isF32())
        output.set(copyOf(result, type, end));
  }
}

/// `element` in place of "the operand dtype" in all types.
void bindDType(attn::VariantOp variant, Type element) {
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](attn::AttnTensorType type) -> Type {
    return type.hasOperandElementType()
               ? attn::AttnTensorType::get(type.getContext(), type.getAxes(), element)
               : type;
  });
  replacer.recursivelyReplaceElementsIn(variant, /*replaceAttrs=*/false, /*replaceLocs=*/false,
                                        /*replaceTypes=*/true);
}

struct AttnSpecialize : impl::AttnSpecializeBase<AttnSpecialize> {
  using AttnSpecializeBase::AttnSpecializeBase;
  explicit AttnSpecialize(const CompileOptions &options) : given(options) {}

  void runOnOperation() override {
    llvm::Expected<CompileOptions> options = effectiveOptions();
    if (!options) {
      getOperation().emitError() << llvm::toString(options.takeError());
      return signalPassFailure();
    }
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>())
      if (failed(specialize(variant, *options)))
        return signalPassFailure();
  }

  LogicalResult specialize(attn::VariantOp variant, const CompileOptions &options) {
    if (std::optional<Uncompilable> found = findTooDeep(variant))
      return emitError(found->op->getLoc(), found->reason);
    llvm::Expected<Problem> problem = problemOf(variant, options);
    if (!problem)
      return emitError(variant.getLoc()) << llvm::toString(problem.takeError());
    bindParams(variant, options.constParams);
    bindDims(variant, problem->headDim, problem->vHeadDim);
    separateOutputs(variant);
    Type element = problem->elementType(&getContext());
    keepIntermediates(variant, element);
    bindDType(variant, element);
    variant->setAttr(operandDTypeAttr, TypeAttr::get(element));
    return success();
  }

  llvm::Expected<CompileOptions> effectiveOptions() {
    if (given)
      return *given;
    CompileOptions options;
    options.dtype = dtype;
    options.headDim = headDim;
    options.vHeadDim = vHeadDim;
    for (llvm::StringRef text : params) {
      auto [name, value] = text.split('=');
      if (value.getAsDouble(options.constParams[name.str()]))
        return llvm::createStringError(
            llvm::formatv("expected name=number for a parameter, found `{0}`", text));
    }
    return options;
  }

  std::optional<CompileOptions> given;
};

} // namespace

std::unique_ptr<Pass> createAttnSpecialize(const CompileOptions &options) {
  return std::make_unique<AttnSpecialize>(options);
}

} // namespace attnc

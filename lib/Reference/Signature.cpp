// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The signature of a variant: its parameters, inputs and outputs without MLIR.
#include "attnc/Reference/Reference.h"
#include "attnc/Sizes/SizeArithmetic.h"

using namespace attnc;
using namespace mlir;

static llvm::Expected<TensorDecl> declOf(llvm::StringRef name, attn::AttnTensorType type) {
  TensorDecl decl;
  decl.name = name.str();
  Type element = type.getElementType();
  if (!type.hasOperandElementType()) {
    if (element.isF32())
      decl.dtype = DType::F32;
    else if (element.isF16())
      decl.dtype = DType::F16;
    else if (element.isBF16())
      decl.dtype = DType::BF16;
    else if (element.isInteger(32))
      decl.dtype = DType::I32;
    else if (element.isInteger(1))
      decl.dtype = DType::Bool;
    else
      return llvm::createStringError("`" + name + "` has an element type that tensors cannot have");
  }
  for (unsigned i = 0; i < type.getRank(); ++i)
    decl.axes.push_back({type.getAxisName(i).str(), type.getAxisSize(i)});
  return decl;
}

static SampleDecl sampleOf(attn::SampleAttr attr) {
  SampleDecl sample;
  sample.distribution = static_cast<SampleDecl::Distribution>(attr.getDistribution());
  for (Attribute arg : attr.getArgs()) {
    if (auto space = dyn_cast<StringAttr>(arg))
      sample.args.push_back({0, space.str()});
    else
      sample.args.push_back({cast<FloatAttr>(arg).getValueAsDouble(), ""});
  }
  return sample;
}
static_assert(static_cast<int>(attn::Distribution::Geometric) == SampleDecl::Geometric,
              "the dialect and SampleDecl list the distributions in the same order");

/// Position of the item called `name`, which is added where it is not there yet.
static int64_t indexOf(std::vector<std::string> &names, llvm::StringRef name) {
  auto found = llvm::find(names, name);
  if (found == names.end())
    found = names.insert(found, name.str());
  return found - names.begin();
}

/// Appends `value`, scalar arithmetic in the body of a variant, to `formula`.
static llvm::Error appendSize(Value value, Signature &signature, SizeFormula &formula) {
  auto leaf = [&](Value scalar) -> std::optional<SizeStep> {
    if (auto size = scalar.getDefiningOp<attn::SizeOp>())
      return SizeStep{SizeStep::Op::Size, indexOf(signature.spaceNames, size.getSpace())};
    auto param = scalar.getDefiningOp<attn::ParamOp>();
    for (size_t i = 0; param && i < signature.params.size(); ++i)
      if (signature.params[i].name == param.getName())
        return SizeStep{SizeStep::Op::Param, static_cast<int64_t>(i)};
    return std::nullopt;
  };
  switch (appendFormula(value, ArithmeticOf::Spec, leaf, formula)) {
  case FormulaProblem::None:
    return llvm::Error::success();
  case FormulaProblem::TooLong:
    return llvm::createStringError("the size of an index space is computed in more than " +
                                   llvm::Twine(maxFormulaSteps) + " steps");
  case FormulaProblem::NoArithmetic:
    break;
  }
  return llvm::createStringError(
      "the size of an index space is arithmetic on sizes and parameters: `+ - * /`, min, max, "
      "comparisons, conditions, floor, ceil and casts");
}

llvm::Expected<Signature> attnc::reference::signatureOf(attn::VariantOp variant) {
  Signature signature;
  signature.name = variant.getSymName().str();
  Block &body = variant.getBody().front();
  for (auto param : body.getOps<attn::ParamOp>()) {
    Attribute value = param.getDefaultValue();
    auto integer = dyn_cast<IntegerAttr>(value);
    signature.params.push_back({param.getName().str(), bool(integer), param.getIsConst(),
                                integer ? static_cast<double>(integer.getInt())
                                        : cast<FloatAttr>(value).getValueAsDouble()});
  }
  for (auto space : body.getOps<attn::SpaceOp>()) {
    SpaceDecl decl;
    decl.name = space.getName().str();
    decl.parent = space.getParent().value_or("").str();
    decl.isFull = space.getFull();
    decl.isOptional = space.getOptional();
    if (space.getExtent())
      if (llvm::Error error = appendSize(space.getExtent(), signature, decl.extent))
        return std::move(error);
    if (space.getStride())
      if (llvm::Error error = appendSize(space.getStride(), signature, decl.stride))
        return std::move(error);
    signature.spaces.push_back(std::move(decl));
  }
  for (auto input : body.getOps<attn::InputOp>()) {
    auto decl = declOf(input.getName(), input.getType());
    if (!decl)
      return decl.takeError();
    if (input.getSampleAttr())
      decl->sample = sampleOf(input.getSampleAttr());
    signature.inputs.push_back(std::move(*decl));
  }
  auto ret = dyn_cast<attn::ReturnOp>(body.getTerminator());
  if (!ret)
    return llvm::createStringError("`" + variant.getSymName() + "` has no outputs");
  for (auto [name, value] : llvm::zip_equal(ret.getNames(), ret.getValues())) {
    auto decl =
        declOf(cast<StringAttr>(name).getValue(), cast<attn::AttnTensorType>(value.getType()));
    if (!decl)
      return decl.takeError();
    if (attn::InputOp reused = ret.getReused(signature.outputs.size()))
      decl->mayAlias = reused.getName().str();
    signature.outputs.push_back(std::move(*decl));
  }
  for (auto recur : body.getOps<attn::RecurOp>())
    if (!llvm::is_contained(signature.steps, recur.getTime()))
      signature.steps.push_back(recur.getTime().str());
  return signature;
}

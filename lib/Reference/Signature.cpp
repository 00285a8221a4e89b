// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The signature of a variant: its parameters, inputs and outputs without MLIR.
#include "attnc/Reference/Reference.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

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

/// Appends `value`, scalar arithmetic in the body of a variant, to `expr`.
static llvm::Error appendSize(Value value, std::vector<SizeExpr> &expr) {
  Operation *op = value.getDefiningOp();
  if (auto constant = dyn_cast_or_null<arith::ConstantOp>(op)) {
    auto integer = dyn_cast<IntegerAttr>(constant.getValue());
    auto real = dyn_cast<FloatAttr>(constant.getValue());
    if (integer || real) {
      expr.push_back({SizeExpr::Number,
                      integer ? static_cast<double>(integer.getInt()) : real.getValueAsDouble(),
                      ""});
      return llvm::Error::success();
    }
  }
  if (auto param = dyn_cast_or_null<attn::ParamOp>(op)) {
    expr.push_back({SizeExpr::Param, 0, param.getName().str()});
    return llvm::Error::success();
  }
  if (auto size = dyn_cast_or_null<attn::SizeOp>(op)) {
    expr.push_back({SizeExpr::Size, 0, size.getSpace().str()});
    return llvm::Error::success();
  }
  auto apply = [&](SizeExpr::Op code) -> llvm::Error {
    for (Value operand : op->getOperands())
      if (llvm::Error error = appendSize(operand, expr))
        return error;
    expr.push_back({code, 0, ""});
    return llvm::Error::success();
  };
  if (op) {
    if (isa<arith::AddIOp, arith::AddFOp>(op))
      return apply(SizeExpr::Add);
    if (isa<arith::SubIOp, arith::SubFOp>(op))
      return apply(SizeExpr::Sub);
    if (isa<arith::MulIOp, arith::MulFOp>(op))
      return apply(SizeExpr::Mul);
    if (isa<arith::DivFOp>(op))
      return apply(SizeExpr::Div);
    if (isa<arith::FloorDivSIOp>(op))
      return apply(SizeExpr::FloorDiv);
    if (isa<arith::CeilDivSIOp>(op))
      return apply(SizeExpr::CeilDiv);
    if (isa<arith::MinSIOp, arith::MinNumFOp, arith::MinimumFOp>(op))
      return apply(SizeExpr::Min);
    if (isa<arith::MaxSIOp, arith::MaxNumFOp, arith::MaximumFOp>(op))
      return apply(SizeExpr::Max);
    if (isa<arith::FPToSIOp>(op))
      return apply(SizeExpr::Trunc);
    if (isa<arith::SIToFPOp>(op))
      return appendSize(op->getOperand(0), expr);
    // The guard of a division, `y == 0 ? 1 : y`: evaluation treats a divisor of 0 as 1 itself.
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      auto zero = select.getCondition().getDefiningOp<arith::CmpIOp>();
      bool isGuard = zero && zero.getPredicate() == arith::CmpIPredicate::eq &&
                     zero.getLhs() == select.getFalseValue() &&
                     matchPattern(zero.getRhs(), m_Zero()) &&
                     matchPattern(select.getTrueValue(), m_One());
      if (isGuard)
        return appendSize(select.getFalseValue(), expr);
    }
  }
  return llvm::createStringError(
      "the size of an index space is arithmetic on sizes and parameters: `+ - * /`, min, max "
      "and casts");
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
    if (space.getExtent())
      if (llvm::Error error = appendSize(space.getExtent(), decl.extent))
        return std::move(error);
    if (space.getStride())
      if (llvm::Error error = appendSize(space.getStride(), decl.stride))
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
    signature.outputs.push_back(std::move(*decl));
  }
  return signature;
}

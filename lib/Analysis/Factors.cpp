// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attnc/Analysis/Factors.h"
#include "dialects/Attn/Attn.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

llvm::SmallVector<Value> attnc::factorsOf(Value value) {
  SmallVector<Value> factors, open{value};
  while (!open.empty()) {
    Value factor = open.pop_back_val();
    if (auto product = factor.getDefiningOp<arith::MulFOp>())
      open.append({product.getRhs(), product.getLhs()});
    else
      factors.push_back(factor);
  }
  return factors;
}

static bool is16BitFloat(Type type) { return type.isF16() || type.isBF16(); }

Value attnc::roundedFrom(Value factor) {
  auto extension = factor.getDefiningOp<arith::ExtFOp>();
  auto round = extension ? extension.getIn().getDefiningOp<arith::TruncFOp>() : arith::TruncFOp();
  return round && is16BitFloat(round.getType()) ? round.getIn() : Value();
}

Value attnc::roundedTwiceFrom(Value factor) {
  auto sum = factor.getDefiningOp<arith::AddFOp>();
  Value before = sum ? roundedFrom(sum.getLhs()) : Value();
  Value rest = sum ? roundedFrom(sum.getRhs()) : Value();
  auto difference = rest ? rest.getDefiningOp<arith::SubFOp>() : arith::SubFOp();
  bool isRest =
      before && difference && difference.getLhs() == before && difference.getRhs() == sum.getLhs();
  return isRest ? before : Value();
}

Type attnc::exactTypeOf(Value factor) {
  if (roundedFrom(factor))
    return factor.getDefiningOp<arith::ExtFOp>().getIn().getType();
  if (auto select = factor.getDefiningOp<arith::SelectOp>()) {
    if (!matchPattern(select.getFalseValue(), m_AnyZeroFloat()))
      return {};
    factor = select.getTrueValue();
  }
  auto read = factor.getDefiningOp<attn::ReadOp>();
  Type element = read ? read.getTensor().getType().getElementType() : Type();
  return element && is16BitFloat(element) ? element : Type();
}

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

Type attnc::exactTypeOf(Value factor) {
  if (auto select = factor.getDefiningOp<arith::SelectOp>()) {
    if (!matchPattern(select.getFalseValue(), m_AnyZeroFloat()))
      return {};
    factor = select.getTrueValue();
  }
  auto read = factor.getDefiningOp<attn::ReadOp>();
  Type element = read ? read.getTensor().getType().getElementType() : Type();
  return element && (element.isF16() || element.isBF16()) ? element : Type();
}

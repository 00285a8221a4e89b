// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See WriteSplit.h.
#include "WriteSplit.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace attnc;

namespace {

class Splitter {
public:
  Splitter(ArrayRef<Value> coordinates, ArrayRef<unsigned> axes, ExprContext &context,
           LinearForms &forms, attn::RecurOp recur)
      : context(context), forms(forms), recur(recur) {
    for (auto [axis, coordinate] : llvm::enumerate(coordinates))
      (llvm::is_contained(axes, axis) ? summed : kept).push_back(coordinate);
  }

  bool isMixed(Expr factor) const {
    return factor->dependsOnAny(summed) && factor->dependsOnAny(kept);
  }
  bool isSummed(Expr factor) const { return factor->dependsOnAny(summed); }

  /// `expr` as a sum of products none of whose factors is mixed.
  std::optional<SmallVector<Product>> expand(Expr expr);

private:
  std::optional<SmallVector<Product>> expandProduct(ArrayRef<Expr> factors);

  ExprContext &context;
  LinearForms &forms;
  attn::RecurOp recur;
  SmallVector<Value> summed, kept;
};

} // namespace

/// The products of all summands of each factor.
std::optional<SmallVector<Product>> Splitter::expandProduct(ArrayRef<Expr> factors) {
  SmallVector<Product> all{forms.asProduct(context.real(1.0))};
  for (Expr factor : factors) {
    std::optional<SmallVector<Product>> summands = expand(factor);
    if (!summands)
      return std::nullopt;
    SmallVector<Product> next;
    for (const Product &product : all)
      for (const Product &summand : *summands)
        forms.add(next, forms.times(product, summand));
    all = std::move(next);
  }
  return all;
}

std::optional<SmallVector<Product>> Splitter::expand(Expr expr) {
  if (!isMixed(expr))
    return SmallVector<Product>{forms.asProduct(expr)};
  StringRef op = expr->kind == ScalarExpr::Kind::Apply ? expr->name.getValue() : "";
  if (op == arith::AddFOp::getOperationName() || op == arith::SubFOp::getOperationName()) {
    auto left = expand(expr->operands[0]), right = expand(expr->operands[1]);
    if (!left || !right)
      return std::nullopt;
    for (Product &product : *right) {
      if (op == arith::SubFOp::getOperationName())
        product.scalar = context.multiply(product.scalar, context.real(-1.0));
      forms.add(*left, product);
    }
    return left;
  }
  if (op == arith::MulFOp::getOperationName())
    return expandProduct(expr->operands);
  if (op == arith::NegFOp::getOperationName())
    return expandProduct({context.real(-1.0), expr->operands[0]});
  if (op == arith::DivFOp::getOperationName() && !isMixed(expr->operands[1]))
    return expandProduct({expr->operands[0], context.divide(context.real(1.0), expr->operands[1])});
  // A tensor of the step that depends on no state.
  if (expr->kind == ScalarExpr::Kind::Read)
    if (auto compute = expr->value.getDefiningOp<attn::ComputeOp>();
        compute && compute->getParentOp() == recur)
      return expand(context.inlined(compute, expr->operands, recur.getBody()));
  return std::nullopt;
}

std::optional<SmallVector<OuterProduct>>
attnc::splitProduct(const Product &product, ArrayRef<Value> coordinates, ArrayRef<unsigned> summed,
                    ExprContext &context, LinearForms &forms, attn::RecurOp recur) {
  Splitter splitter(coordinates, summed, context, forms, recur);
  std::optional<SmallVector<Product>> products = splitter.expand(forms.asExpr(product));
  if (!products)
    return std::nullopt;
  SmallVector<OuterProduct> parts;
  for (const Product &each : *products) {
    Product column{context.real(1.0), {}}, row{each.scalar, {}};
    for (Expr factor : each.factors)
      (splitter.isSummed(factor) ? column : row).factors.push_back(factor);
    parts.push_back({forms.asExpr(column), std::move(row)});
  }
  return parts;
}

StateWrite &attnc::writeOf(SmallVectorImpl<StateWrite> &writes, Expr column) {
  for (StateWrite &write : writes)
    if (write.column == column)
      return write;
  writes.push_back({column, nullptr, {}});
  return writes.back();
}

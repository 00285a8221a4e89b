// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Expressions: equal ones are one object, whatever index their sums run over, and what is put in
// place of a leaf is not caught by the index of a sum.
#include "attnc/Analysis/ScalarExpr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace attnc;
using namespace mlir;

namespace {

class ScalarExprTest : public ::testing::Test {
protected:
  ScalarExprTest() : exprs(&context) {
    context.loadDialect<attn::AttnDialect, arith::ArithDialect>();
    Builder b(&context);
    SmallVector<Attribute> axes{b.getStringAttr("d"), b.getStringAttr("e")};
    tensor = exprs.newTensor(attn::AttnTensorType::get(&context, axes, b.getF32Type()), here());
  }
  Location here() { return UnknownLoc::get(&context); }
  Value index() { return exprs.newIndex(here()); }
  Expr read(Value i, Value j) {
    return exprs.read(tensor, Float32Type::get(&context), {exprs.leaf(i), exprs.leaf(j)});
  }

  MLIRContext context;
  ExprContext exprs;
  Value tensor;
};

TEST_F(ScalarExprTest, EqualOnesAreOneObject) {
  Value i = index(), j = index();
  Expr x = read(i, j), y = read(j, i);
  EXPECT_NE(x, y);
  EXPECT_EQ(x, read(i, j));
  EXPECT_EQ(exprs.multiply(x, y), exprs.multiply(y, x)) << "products have no order";
  EXPECT_NE(exprs.divide(x, y), exprs.divide(y, x));
  EXPECT_EQ(exprs.multiply(exprs.real(1.0), x), x);
  EXPECT_EQ(exprs.multiply(exprs.real(-1.0), exprs.real(-1.0)), exprs.real(1.0));
  EXPECT_EQ(exprs.add(exprs.real(0.0), x), x);
}

TEST_F(ScalarExprTest, SumsOverDifferentIndicesAreEqual) {
  Value i = index(), j = index(), k = index();
  Expr first = exprs.sum("d", i, read(i, k)), second = exprs.sum("d", j, read(j, k));
  EXPECT_EQ(first, second);
  EXPECT_NE(first, exprs.sum("e", i, read(i, k)));
  EXPECT_TRUE(first->dependsOn(k));
  EXPECT_FALSE(first->dependsOn(i));
  EXPECT_EQ(first->free.size(), 1u);
}

TEST_F(ScalarExprTest, SubstitutionReachesIntoSums) {
  Value i = index(), j = index(), k = index();
  Expr sum = exprs.sum("d", i, read(i, j));
  EXPECT_EQ(exprs.substitute(sum, {{j, exprs.leaf(k)}}), exprs.sum("d", i, read(i, k)));
  EXPECT_EQ(exprs.substitute(sum, {{i, exprs.leaf(k)}}), sum)
      << "its own index is none of its leaves";
}

TEST_F(ScalarExprTest, SumsWithinSumsKeepTheirIndices) {
  // sum(x[i, j] * sum(x[k, j] for k) for i): the inner sum is over the same space.
  Value i = index(), j = index(), k = index();
  Expr inner = exprs.sum("d", k, read(k, j));
  Expr outer = exprs.sum("d", i, exprs.multiply(read(i, j), inner));
  EXPECT_EQ(outer->height, 2u);
  ASSERT_EQ(outer->free.size(), 1u);
  EXPECT_EQ(outer->free.front(), j);
  // The index of the outer one is not that of the inner one, which would hide it.
  EXPECT_NE(outer->value, inner->value);
}

TEST_F(ScalarExprTest, SharedPartsAreNotMultiplied) {
  // x -> x * x + x, forty times: a tree would have more nodes than there is memory.
  Expr x = read(index(), index());
  for (int i = 0; i < 40; ++i)
    x = exprs.add(exprs.multiply(x, x), x);
  EXPECT_LT(x->number, 200u);
}

} // namespace

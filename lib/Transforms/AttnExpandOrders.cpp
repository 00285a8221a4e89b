// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-expand-orders: ranks, orders and cumulative sums as formulas.
//
//   rank[r, i]   = sum(1 for j if x[r, j] comes before x[r, i])
//   order[r, i]  = sum(j for j if rank[r, j] == i)                 one j
//   cumsum[r, i] = sum(x[r, j] for j if j <= i)
//
// Each costs n steps for an element, n^2 for a row of n. That is what counting costs; it decides
// nothing twice, needs no sort, and is right at ties. For a cumulative sum it is too much, so that
// only one stays a formula that has no kernel of its own (Cumsum.cpp): in a step of a recurrence,
// and along the only axis of a tensor.
#include "FormulaBuilder.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPANDORDERS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// Whether `y`, at index `j`, comes before `x`, at index `i`, in the order of ranks: the larger
/// first, of equal ones that of the smaller index, and NaN last.
Value comesBefore(FormulaBuilder &b, Value y, Value j, Value x, Value i) {
  Value isEarlier = b.compare(arith::CmpIPredicate::slt, j, i);
  if (x.getType().isInteger()) {
    Value isLarger = b.compare(arith::CmpIPredicate::sgt, y, x);
    Value isEqual = b.compare(arith::CmpIPredicate::eq, y, x);
    return arith::OrIOp::create(b, isLarger, b.both(isEqual, isEarlier));
  }
  // With a NaN on one side both comparisons hold, with NaN on both of them too: only NaN is equal
  // to NaN, and nothing but a number larger than anything.
  Value isNumber = b.compare(arith::CmpFPredicate::ORD, y, y);
  Value otherIsNumber = b.compare(arith::CmpFPredicate::ORD, x, x);
  Value isLarger = b.both(isNumber, b.compare(arith::CmpFPredicate::UGT, y, x));
  Value areAlike = b.compare(arith::CmpIPredicate::eq, isNumber, otherIsNumber);
  Value isEqual = b.both(areAlike, b.compare(arith::CmpFPredicate::UEQ, y, x));
  return arith::OrIOp::create(b, isLarger, b.both(isEqual, isEarlier));
}

Value expandRank(FormulaBuilder &b, Value tensor, StringRef space, attn::AttnTensorType type) {
  RowView rows(tensor, space);
  return b.compute(type, [&](ValueRange indices) {
    SmallVector<Value> row = rows.rowOf(indices);
    Value i = rows.alongOf(indices), x = b.read(tensor, indices), one = b.integer(1);
    return b.reduce(attn::Reduction::Sum, {space}, [&](Value j) {
      return Term{one, comesBefore(b, rows.read(b, row, j), j, x, i)};
    });
  });
}

Value expand(attn::RankOp rank) {
  FormulaBuilder b(rank);
  return expandRank(b, rank.getTensor(), rank.getSpace(), rank.getResult().getType());
}

Value expand(attn::OrderOp order) {
  FormulaBuilder b(order);
  attn::AttnTensorType type = order.getResult().getType();
  Value ranks = expandRank(b, order.getTensor(), order.getSpace(), type);
  RowView rows(ranks, order.getSpace());
  return b.compute(type, [&](ValueRange indices) {
    SmallVector<Value> row = rows.rowOf(indices);
    return b.reduce(attn::Reduction::Sum, {order.getSpace()}, [&](Value j) {
      Value rank = rows.read(b, row, j);
      return Term{j, b.compare(arith::CmpIPredicate::eq, rank, rows.alongOf(indices))};
    });
  });
}

Value expand(attn::CumsumOp cumsum) {
  FormulaBuilder b(cumsum);
  RowView rows(cumsum.getTensor(), cumsum.getSpace());
  return b.compute(cumsum.getResult().getType(), [&](ValueRange indices) {
    SmallVector<Value> row = rows.rowOf(indices);
    IndexRange upTo{cumsum.getSpace()};
    upTo.end = b.add(rows.alongOf(indices), b.integer(1));
    return b.reduce(attn::Reduction::Sum, upTo,
                    [&](Value j) { return Term{rows.read(b, row, j), {}}; });
  });
}

/// Whether the op stays, because a kernel is made for it.
bool hasKernel(Operation *op) {
  auto cumsum = dyn_cast<attn::CumsumOp>(op);
  return cumsum && isa<attn::VariantOp>(op->getParentOp()) &&
         cumsum.getResult().getType().getRank() > 1;
}

struct AttnExpandOrders : impl::AttnExpandOrdersBase<AttnExpandOrders> {
  using AttnExpandOrdersBase::AttnExpandOrdersBase;

  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      llvm::TypeSwitch<Operation *>(op).Case<attn::RankOp, attn::OrderOp, attn::CumsumOp>(
          [&](auto rows) {
            if (!isOverSpaces(rows.getResult().getType()) || hasKernel(op))
              return;
            rows.getResult().replaceAllUsesWith(expand(rows));
            rows.erase();
            ++numExpanded;
          });
    });
  }
};

} // namespace
} // namespace attnc

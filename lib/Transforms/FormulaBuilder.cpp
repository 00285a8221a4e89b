// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See FormulaBuilder.h.
#include "FormulaBuilder.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;
using namespace attnc;

bool attnc::isOverSpaces(attn::AttnTensorType type) {
  llvm::SmallPtrSet<Attribute, 8> seen;
  return llvm::all_of(type.getAxes(), [&](Attribute axis) {
    return isa<StringAttr>(axis) && seen.insert(axis).second;
  });
}

Value FormulaBuilder::compute(attn::AttnTensorType type, function_ref<Value(ValueRange)> formula) {
  auto compute = attn::ComputeOp::create(*this, type);
  OpBuilder::InsertionGuard guard(*this);
  Block *body = createBlock(&compute.getBody());
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    body->addArgument(getI32Type(), getLoc());
  Value element = formula(ValueRange(body->getArguments()));
  attn::YieldOp::create(*this, element);
  return compute.getResult();
}

Value FormulaBuilder::compute(ArrayRef<Attribute> axes, Type element,
                              function_ref<Value(ValueRange)> formula) {
  return compute(attn::AttnTensorType::get(getContext(), axes, element), formula);
}

Value FormulaBuilder::reduce(attn::Reduction kind, const IndexRange &range,
                             function_ref<Term(Value)> term) {
  OperationState state(getLoc(), attn::ReduceOp::getOperationName());
  StringAttr block = range.block.empty() ? StringAttr() : getStringAttr(range.block);
  // The type is that of the value, which is known once the body is there.
  attn::ReduceOp::build(*this, state, getF32Type(), kind, getStringAttr(range.space), block,
                        range.at, range.from, range.end);
  auto reduce = cast<attn::ReduceOp>(create(state));
  OpBuilder::InsertionGuard guard(*this);
  Block *body = createBlock(&reduce.getBody());
  Term yielded = term(body->addArgument(getI32Type(), getLoc()));
  SmallVector<Value> values{yielded.value};
  if (yielded.condition)
    values.push_back(yielded.condition);
  attn::YieldOp::create(*this, values);
  reduce.getResult().setType(yielded.value.getType());
  return reduce.getResult();
}

Value FormulaBuilder::read(Value tensor, ValueRange indices) {
  Type element = cast<attn::AttnTensorType>(tensor.getType()).getElementType();
  Type scalar = isa<IntegerType>(element) ? element : Type(getF32Type());
  return attn::ReadOp::create(*this, scalar, tensor, indices);
}

attn::RecurOp FormulaBuilder::recur(StringRef time, ArrayRef<Attribute> rows, ValueRange inits,
                                    Step step) {
  Region region;
  Block &body = region.emplaceBlock();
  for (size_t i = 0; i <= rows.size(); ++i)
    body.addArgument(getI32Type(), getLoc());
  for (Value init : inits)
    body.addArgument(init.getType(), getLoc());
  SmallVector<Value> outs, next;
  {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPointToEnd(&body);
    step(body.getArguments().take_front(rows.size() + 1),
         body.getArguments().drop_front(rows.size() + 1), outs, next);
    SmallVector<Value> yielded(outs);
    yielded.append(next);
    attn::YieldOp::create(*this, yielded);
  }
  SmallVector<Type> results;
  for (auto [i, value] : llvm::enumerate(llvm::concat<Value>(outs, next))) {
    SmallVector<Attribute> axes(rows);
    if (i < outs.size())
      axes.push_back(getStringAttr(time));
    llvm::append_range(axes, cast<attn::AttnTensorType>(value.getType()).getAxes());
    results.push_back(attn::AttnTensorType::get(getContext(), axes, getF32Type()));
  }
  auto op = attn::RecurOp::create(*this, results, getStringAttr(time), getArrayAttr(rows), inits,
                                  /*every=*/Value());
  op.getBody().takeBody(region);
  return op;
}

Value FormulaBuilder::real(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(static_cast<float>(value)));
}

Value FormulaBuilder::integer(int64_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(static_cast<int32_t>(value)));
}

Value FormulaBuilder::add(Value x, Value y) {
  if (x.getType().isInteger())
    return arith::AddIOp::create(*this, x, y);
  return arith::AddFOp::create(*this, x, y);
}

Value FormulaBuilder::sub(Value x, Value y) {
  if (x.getType().isInteger())
    return arith::SubIOp::create(*this, x, y);
  return arith::SubFOp::create(*this, x, y);
}

Value FormulaBuilder::mul(Value x, Value y) {
  if (x.getType().isInteger())
    return arith::MulIOp::create(*this, x, y);
  return arith::MulFOp::create(*this, x, y);
}

Value FormulaBuilder::div(Value x, Value y) { return arith::DivFOp::create(*this, x, y); }

Value FormulaBuilder::compare(arith::CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(*this, predicate, x, y);
}

Value FormulaBuilder::isNaN(Value x) { return compare(arith::CmpFPredicate::UNO, x, x); }

Value FormulaBuilder::compare(arith::CmpIPredicate predicate, Value x, Value y) {
  return arith::CmpIOp::create(*this, predicate, x, y);
}

Value FormulaBuilder::select(Value condition, Value x, Value y) {
  return arith::SelectOp::create(*this, condition, x, y);
}

Value FormulaBuilder::both(Value x, Value y) {
  if (!x || !y)
    return x ? x : y;
  return arith::AndIOp::create(*this, x, y);
}

RowView::RowView(Value tensor, StringRef space) : tensor(tensor), space(space) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  for (auto [number, name] : llvm::enumerate(type.getAxes()))
    if (type.getAxisName(number) == space)
      axis = number;
    else
      outer.push_back(name);
}

SmallVector<Value> RowView::rowOf(ValueRange indices) const {
  SmallVector<Value> row(indices);
  row.erase(row.begin() + axis);
  return row;
}

Value RowView::read(FormulaBuilder &builder, ValueRange row, Value index) const {
  SmallVector<Value> indices(row);
  indices.insert(indices.begin() + axis, index);
  return builder.read(tensor, indices);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See ChunkBuilder.h.
#include "ChunkBuilder.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace attnc;

//===-- Spaces --------------------------------------------------------------------------------===//

/// Steps of a part: first a tile of rows of a matrix product, then few enough for products of
/// factors for each pair of steps.
static constexpr int64_t kParts[] = {16, 4};

ChunkSpaces ChunkSpaces::declare(attn::RecurOp recur, int64_t chunk, bool byHalves) {
  FormulaBuilder b(recur);
  std::string prefix = recur.getTime().str() + "_";
  auto declared = [&](StringRef name, int64_t extent, StringAttr parent = {}) {
    return declareSpace(b, recur, prefix + name.str(), extent, parent);
  };
  StringAttr time = recur.getTimeAttr();
  ChunkSpaces spaces{chunk,
                     time,
                     declared("chunk", chunk, time),
                     declared("row", chunk),
                     declared("column", chunk),
                     {}};
  if (byHalves)
    return spaces;
  StringAttr row = spaces.row, column = spaces.column;
  int64_t steps = chunk;
  for (int64_t part : kParts) {
    part = std::min(part, steps);
    if (steps % part != 0 || (part == steps && !spaces.levels.empty()))
      break;
    std::string name = spaces.levels.empty() ? "part" : "subpart";
    ChunkLevel level{row,
                     column,
                     part,
                     steps / part,
                     declared(name, steps / part),
                     declared(name + "_before", steps / part),
                     declared(name + "_row", part),
                     declared(name + "_column", part)};
    spaces.levels.push_back(level);
    row = level.partRow;
    column = level.partColumn;
    steps = part;
  }
  return spaces;
}

//===-- Stages --------------------------------------------------------------------------------===//

ChunkBuilder::ChunkBuilder(attn::RecurOp recur, ExprContext &context, const ChunkForm &form,
                           const ChunkSpaces &spaces)
    : FormulaBuilder(recur), recur(recur), context(context), form(form), spaces(spaces),
      batch(recur.getBatch().begin(), recur.getBatch().end()) {}

Value ChunkBuilder::tensor(ArrayRef<Attribute> axes, Formula formula) {
  return compute(axes, getF32Type(),
                 [&](ValueRange indices) { return formula(NamedIndices(axes, indices)); });
}

Value ChunkBuilder::sum(ArrayRef<Attribute> axes, const NamedIndices &indices, Formula term) {
  if (axes.empty())
    return term(indices);
  return reduce(attn::Reduction::Sum, {cast<StringAttr>(axes.front()).getValue()},
                [&](Value index) {
                  return Term{sum(axes.drop_front(), indices.with(axes.front(), index), term), {}};
                });
}

Value ChunkBuilder::runningProduct(Value tensor, StringAttr axis) {
  auto scan = attn::ScanOp::create(*this, TypeRange{tensor.getType()}, axis, /*reverse=*/false,
                                   /*exclusive=*/false, ValueRange{tensor}, ValueRange{real(1.0)});
  OpBuilder::InsertionGuard guard(*this);
  Type f32 = getF32Type();
  Block *body = createBlock(&scan.getBody(), {}, {f32, f32}, {getLoc(), getLoc()});
  attn::YieldOp::create(*this, mul(body->getArgument(0), body->getArgument(1)));
  return scan.getResult(0);
}

Value ChunkBuilder::product(StringAttr axis, Value from, Value end, const NamedIndices &indices,
                            Formula term) {
  IndexRange range{axis.getValue()};
  range.from = from;
  range.end = end;
  return reduce(attn::Reduction::Prod, range,
                [&](Value index) { return Term{term(indices.with(axis, index)), {}}; });
}

Value ChunkBuilder::quotient(Value x, int64_t divisor) {
  return arith::FloorDivSIOp::create(*this, x, integer(divisor));
}

Value ChunkBuilder::remainder(Value x, int64_t divisor) {
  return arith::RemSIOp::create(*this, x, integer(divisor));
}

ChunkBuilder::Axes ChunkBuilder::inChunks(ArrayRef<Attribute> axes) const {
  Axes all(batch.begin(), batch.end());
  all.push_back(spaces.chunks);
  all.append(axes.begin(), axes.end());
  return all;
}

ChunkBuilder::Axes ChunkBuilder::axesOf(unsigned state, ArrayRef<unsigned> axes) const {
  attn::RecurOp op = recur;
  auto type = cast<attn::AttnTensorType>(op.getStates()[state].getType());
  Axes names;
  for (unsigned axis : axes)
    names.push_back(type.getAxes()[axis]);
  return names;
}

//===-- Data of the step ----------------------------------------------------------------------===//

/// Arguments of the step are the indices of the batch and `time`; indices of states' axes are those
/// of their names.
ExprBindings ChunkBuilder::bindingsAt(const NamedIndices &indices, Value time) {
  ExprBindings bindings;
  Block &body = recur.getBody().front();
  for (auto [number, space] : llvm::enumerate(batch))
    if (Value index = indices[space])
      bindings.leaves[body.getArgument(number)] = index;
  bindings.leaves[body.getArgument(batch.size())] = time;
  for (auto [state, argument] : llvm::enumerate(recur.getStates()))
    for (auto [axis, space] :
         llvm::enumerate(cast<attn::AttnTensorType>(argument.getType()).getAxes()))
      if (Value index = indices[space])
        bindings.leaves[form.indices.of[state][axis]] = index;
  return bindings;
}

TensorPlace ChunkBuilder::placeOf(Value tensor, ExprBindings &bindings) {
  Block &body = recur.getBody().front();
  SmallVector<Value> leading;
  for (unsigned i = 0; i < batch.size(); ++i)
    leading.push_back(bindings.leaves.lookup(body.getArgument(i)));
  Value time = bindings.leaves.lookup(body.getArgument(batch.size()));
  if (Value rows = reads.lookup(tensor)) {
    leading.push_back(quotient(time, spaces.chunk));
    leading.push_back(remainder(time, spaces.chunk));
    return {rows, leading};
  }
  if (!recur.getBody().isAncestor(tensor.getParentRegion()))
    return {tensor, {}};
  leading.push_back(time);
  return {lifted(tensor), leading};
}

Value ChunkBuilder::emit(Expr expr, ExprBindings &bindings) {
  return emitExpr(*this, expr, bindings,
                  [&](Value tensor, ExprBindings &bindings) { return placeOf(tensor, bindings); });
}

Value ChunkBuilder::rows(Expr data, unsigned state, double fill) {
  Value &rows = known[{data, fill}];
  if (rows)
    return rows;
  Axes axes = batchOf(data);
  axes.append({spaces.chunks, spaces.row});
  auto type = cast<attn::AttnTensorType>(recur.getStates()[state].getType());
  for (auto [axis, index] : llvm::enumerate(form.indices.of[state]))
    if (data->dependsOn(index))
      axes.push_back(type.getAxes()[axis]);
  for (Value tensor : stepTensorsOf(data))
    lifted(tensor); // stands before the stage that reads it
  return rows = tensor(axes, [&](const NamedIndices &indices) {
           Value first = mul(indices[spaces.chunks], integer(spaces.chunk));
           Value time = add(first, indices[spaces.row]);
           ExprBindings bindings = bindingsAt(indices, time);
           Value isStep =
               isLess(time, attn::SizeOp::create(*this, getI32Type(), spaces.time.getValue()));
           return select(isStep, emit(data, bindings), real(fill));
         });
}

SmallVector<Value> ChunkBuilder::stepTensorsOf(Expr expr) {
  SmallVector<Value> tensors;
  SmallVector<Expr> open{expr};
  llvm::DenseSet<Expr> seen;
  while (!open.empty()) {
    Expr next = open.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    open.append(next->operands.begin(), next->operands.end());
    Value tensor = next->value;
    bool isRead = next->kind == ScalarExpr::Kind::Read && !reads.count(tensor);
    if (isRead && recur.getBody().isAncestor(tensor.getParentRegion()))
      tensors.push_back(tensor);
  }
  return tensors;
}

ChunkBuilder::Axes ChunkBuilder::batchOf(Expr data) {
  bool readsStep = !stepTensorsOf(data).empty(); // which may depend on anything
  Axes spaces;
  for (auto [number, space] : llvm::enumerate(batch))
    if (readsStep || data->dependsOn(recur.getBody().getArgument(number)))
      spaces.push_back(space);
  return spaces;
}

Value ChunkBuilder::lifted(Value tensor) {
  if (Value known = liftedTensors.lookup(tensor))
    return known;
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  Operation *stage = tensor.getDefiningOp();
  bool isInside = stage && stage->getParentOp() == recur;
  Value result;
  if (isInside && !isa<attn::ComputeOp>(stage)) {
    result = liftedRows(stage);
  } else {
    Axes axes(batch.begin(), batch.end());
    axes.push_back(spaces.time);
    axes.append(type.getAxes().begin(), type.getAxes().end());
    Expr formula = nullptr;
    if (isInside) {
      auto found = form.formulas.find(stage);
      Operation *yield = cast<attn::ComputeOp>(stage).getBody().front().getTerminator();
      formula = found != form.formulas.end()
                    ? found->second
                    : context.translate(yield->getOperand(0), recur.getBody());
      for (Value read : stepTensorsOf(formula))
        lifted(read);
    }
    Type element =
        isa<IntegerType>(type.getElementType()) ? type.getElementType() : Type(getF32Type());
    result = compute(axes, element, [&](ValueRange indices) {
      ValueRange own = indices.drop_front(batch.size() + 1);
      if (!formula)
        return read(tensor, own);
      ExprBindings bindings =
          bindingsAt(NamedIndices(batch, indices.take_front(batch.size())), indices[batch.size()]);
      for (auto [argument, index] : llvm::zip_equal(stage->getRegion(0).getArguments(), own))
        bindings.leaves[argument] = index;
      return emit(formula, bindings);
    });
  }
  return liftedTensors[tensor] = result;
}

/// A function of rows: of the rows of all steps.
Value ChunkBuilder::liftedRows(Operation *op) {
  Value operand = lifted(op->getOperand(0));
  auto type = cast<attn::AttnTensorType>(operand.getType());
  Type element = cast<attn::AttnTensorType>(op->getResult(0).getType()).getElementType();
  OperationState state(op->getLoc(), op->getName(), operand,
                       attn::AttnTensorType::get(getContext(), type.getAxes(), element),
                       op->getAttrs());
  return create(state)->getResult(0);
}

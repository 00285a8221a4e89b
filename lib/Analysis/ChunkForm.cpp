// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Derives the normal form: which axes reads sum over, then the update of each state from its linear
// form, then the outputs, with the reads in them replaced.
#include "attnc/Analysis/ChunkForm.h"
#include "WriteSplit.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace attnc;

namespace {

using Axes = llvm::SmallBitVector;

class Derivation {
public:
  /// With `isWide`, reads sum over as many axes as there are nested sums for, else over as few.
  Derivation(attn::RecurOp recur, ExprContext &context, bool isWide, ChunkRefusal &refusal)
      : recur(recur), context(context), isWide(isWide), refusal(refusal), form(recur, context),
        updates(recur, context, form.indices, LinearForms::View::Update),
        outputs(recur, context, form.indices, LinearForms::View::Outputs) {}

  std::optional<ChunkForm> derive();

private:
  // Each returns false where it refuses.
  bool checkStep();
  bool findAxes();
  bool findUpdateAxes(SmallVectorImpl<std::optional<Axes>> &summed);
  void findOutputAxes(Operation *stage, SmallVectorImpl<std::optional<Axes>> &summed);
  void chooseAxes(unsigned state, std::optional<Axes> summed);
  bool deriveUpdate(unsigned state);
  bool addFactor(unsigned state, const StateTerm &term, SmallVectorImpl<Product> &factor);
  bool addCorrection(unsigned state, const StateTerm &term);
  bool findOutputStages();
  bool deriveOutput(Operation *stage);

  Expr formulaOf(Value scalar);
  Expr formulaOf(Operation *op);
  /// `value` with reads in place of states, or null if it is no sum of reads.
  Expr named(const StepValue &value);
  /// The number of the read that `term` is, whose other factors are put into `rest`.
  std::optional<unsigned> readOf(const StateTerm &term, Product &rest);

  Axes summedBy(const StateTerm &term) const;
  Axes summedAxes(unsigned state) const;
  SmallVector<Value> indicesOf(unsigned state, ArrayRef<unsigned> axes) const;
  Value yieldedState(unsigned state) {
    return recur.getBody().front().getTerminator()->getOperand(recur.getNumOutputs() + state);
  }
  Operation *placeOf(unsigned state) {
    Operation *op = yieldedState(state).getDefiningOp();
    return op ? op : recur;
  }
  std::string name(unsigned state) const;
  template <typename... Args> bool refuse(Operation *op, const char *format, Args &&...args) {
    if (refusal.reason.empty())
      refusal = {op, llvm::formatv(format, std::forward<Args>(args)...).str()};
    return false;
  }

  attn::RecurOp recur;
  ExprContext &context;
  bool isWide;
  ChunkRefusal &refusal;
  ChunkForm form;
  LinearForms updates, outputs;
  SmallVector<Value> own; ///< coordinates of the state that is updated, by axis
  llvm::DenseMap<Value, Expr> formulas;
  llvm::SetVector<Operation *> needed; ///< stages that depend on states, of outputs
};

} // namespace

std::string Derivation::name(unsigned state) const {
  attn::RecurOp op = recur;
  if (auto named = dyn_cast<NameLoc>(op.getStates()[state].getLoc()))
    return "`" + named.getName().str() + "`";
  return "state " + std::to_string(state);
}

Axes Derivation::summedBy(const StateTerm &term) const {
  Axes summed(term.indices.size());
  for (unsigned axis = 0; axis < term.indices.size(); ++axis)
    if (updates.isSummed(term, axis))
      summed.set(axis);
  return summed;
}

Axes Derivation::summedAxes(unsigned state) const {
  Axes summed(form.indices.of[state].size());
  for (unsigned axis : form.states[state].summed)
    summed.set(axis);
  return summed;
}

SmallVector<Value> Derivation::indicesOf(unsigned state, ArrayRef<unsigned> axes) const {
  SmallVector<Value> indices;
  for (unsigned axis : axes)
    indices.push_back(form.indices.of[state][axis]);
  return indices;
}

/// The stages that a step may have.
bool Derivation::checkStep() {
  if (recur.getEvery())
    return refuse(recur, "steps of a group read the states that it starts with (`every`)");
  for (Operation &op : recur.getBody().front().without_terminator()) {
    bool isStage = llvm::any_of(op.getResultTypes(), llvm::IsaPred<attn::AttnTensorType>);
    if (isStage &&
        !isa<attn::ComputeOp, attn::SoftmaxOp, attn::CumsumOp, attn::RankOp, attn::OrderOp>(op))
      return refuse(&op,
                    "a step with a selection, a scan, a system or `quantize` is taken by itself");
  }
  return true;
}

//===-- Which axes reads sum over -------------------------------------------------------------===//

bool Derivation::findUpdateAxes(SmallVectorImpl<std::optional<Axes>> &summed) {
  for (unsigned state = 0; state < recur.getNumStates(); ++state) {
    unsigned rank = cast<attn::AttnTensorType>(yieldedState(state).getType()).getRank();
    SmallVector<Expr> at;
    for (unsigned axis = 0; axis < rank; ++axis)
      at.push_back(context.leaf(context.newIndex(recur.getLoc())));
    StepValue value = updates.at(yieldedState(state), at);
    if (value.nonlinear)
      return refuse(value.nonlinear, "the new {0} is not linear in the states (`{1}`)", name(state),
                    value.nonlinear->getName().stripDialect());
    for (const StateTerm &term : value.form.terms) {
      Axes axes = summedBy(term);
      if (term.state != state)
        return refuse(placeOf(state), "the new {0} depends on another state, {1}", name(state),
                      name(term.state));
      if (axes.none())
        continue;
      if (summed[state] && *summed[state] != axes)
        return refuse(placeOf(state), "the new {0} has sums over different axes of it",
                      name(state));
      summed[state] = axes;
    }
  }
  return true;
}

/// Of reductions in each other that are all linear, the widest reads take the outermost one; of
/// reads that sum over different axes, what they have in common is one.
void Derivation::findOutputAxes(Operation *stage, SmallVectorImpl<std::optional<Axes>> &summed) {
  stage->walk<WalkOrder::PreOrder>([&](attn::ReduceOp reduce) {
    const StepValue &value = outputs.of(reduce.getResult());
    if (!value.dependsOnState || value.nonlinear)
      return WalkResult::advance();
    for (const StateTerm &term : value.form.terms) {
      Axes axes = summedBy(term);
      if (summed[term.state])
        axes &= *summed[term.state];
      summed[term.state] = axes;
    }
    return isWide ? WalkResult::skip() : WalkResult::advance();
  });
}

/// A state that nothing reads may be taken apart in any way.
void Derivation::chooseAxes(unsigned state, std::optional<Axes> summed) {
  unsigned rank = form.indices.of[state].size();
  for (unsigned axis = 0; axis < rank; ++axis) {
    bool isSummed = summed ? summed->test(axis) : axis + 1 < rank || rank == 1;
    (isSummed ? form.states[state].summed : form.states[state].kept).push_back(axis);
  }
}

bool Derivation::findAxes() {
  SmallVector<std::optional<Axes>> fromUpdates(recur.getNumStates()),
      fromOutputs(recur.getNumStates());
  if (!findUpdateAxes(fromUpdates))
    return false;
  for (Operation *stage : needed)
    if (isa<attn::ComputeOp>(stage))
      findOutputAxes(stage, fromOutputs);
  form.states.resize(recur.getNumStates());
  for (unsigned state = 0; state < recur.getNumStates(); ++state)
    chooseAxes(state, fromUpdates[state] ? fromUpdates[state] : fromOutputs[state]);
  return true;
}

//===-- Updates -------------------------------------------------------------------------------===//

std::optional<unsigned> Derivation::readOf(const StateTerm &term, Product &rest) {
  SmallVector<Value> summed = indicesOf(term.state, form.states[term.state].summed);
  Product weight{context.real(1.0), {}};
  rest = {term.product.scalar, {}};
  for (Expr factor : term.product.factors)
    (factor->dependsOnAny(summed) ? weight : rest).factors.push_back(factor);
  Expr y = updates.asExpr(weight);
  for (Value argument : y->free)
    if (!llvm::is_contained(summed, argument) &&
        cast<BlockArgument>(argument).getOwner() != &recur.getBody().front())
      return std::nullopt; // a matrix of weights
  for (auto [i, read] : llvm::enumerate(form.reads))
    if (read.state == term.state && read.isNew == term.isNew && read.weight == y)
      return i;
  attn::RecurOp op = recur;
  auto type = cast<attn::AttnTensorType>(op.getStates()[term.state].getType());
  SmallVector<Attribute> axes;
  for (unsigned axis : form.states[term.state].kept)
    axes.push_back(type.getAxes()[axis]);
  auto kept = attn::AttnTensorType::get(type.getContext(), axes, y->type);
  form.reads.push_back({term.state, term.isNew, y, context.newTensor(kept, op.getLoc())});
  return form.reads.size() - 1;
}

bool Derivation::addFactor(unsigned state, const StateTerm &term,
                           SmallVectorImpl<Product> &factor) {
  for (auto [index, coordinate] : llvm::zip_equal(term.indices, own))
    if (index != context.leaf(coordinate))
      return refuse(placeOf(state), "entries of {0} are updated from other entries", name(state));
  updates.add(factor, term.product);
  return true;
}

bool Derivation::addCorrection(unsigned state, const StateTerm &term) {
  StateUpdateForm &update = form.states[state];
  for (unsigned axis : update.kept)
    if (term.indices[axis] != context.leaf(own[axis]))
      return refuse(placeOf(state), "entries of {0} are updated from other entries", name(state));
  Product rest;
  std::optional<unsigned> read = readOf(term, rest);
  if (!read)
    return refuse(placeOf(state), "the new {0} has a sum over it with a matrix of weights",
                  name(state));
  std::optional<SmallVector<OuterProduct>> parts =
      splitProduct(rest, own, update.summed, context, updates, recur);
  if (!parts)
    return refuse(placeOf(state), "what is added to {0} is no outer product", name(state));
  for (const OuterProduct &part : *parts) {
    if (!part.row.factors.empty())
      return refuse(placeOf(state),
                    "a sum over {0} is added with a factor along an axis that it "
                    "does not sum over",
                    name(state));
    writeOf(update.writes, part.column).corrections.push_back({*read, part.row.scalar});
  }
  return true;
}

bool Derivation::deriveUpdate(unsigned state) {
  StateUpdateForm &update = form.states[state];
  own.clear();
  SmallVector<Expr> at;
  ExprContext::Substitution leaves;
  for (Value index : form.indices.of[state]) {
    own.push_back(context.newIndex(recur.getLoc()));
    at.push_back(context.leaf(own.back()));
    leaves[own.back()] = context.leaf(index);
  }
  StepValue value = updates.at(yieldedState(state), at);
  SmallVector<Product> factor;
  for (const StateTerm &term : value.form.terms)
    if (summedBy(term).none() && !update.summed.empty() ? !addFactor(state, term, factor)
                                                        : !addCorrection(state, term))
      return false;
  for (const Product &product : value.form.rest) {
    std::optional<SmallVector<OuterProduct>> parts =
        splitProduct(product, own, update.summed, context, updates, recur);
    if (!parts)
      return refuse(placeOf(state),
                    "what is added to {0} is no outer product of something along "
                    "the axes that reads sum over and something along the others",
                    name(state));
    for (const OuterProduct &part : *parts) {
      StateWrite &write = writeOf(update.writes, part.column);
      Expr row = updates.asExpr(part.row);
      write.row = write.row ? context.add(write.row, row) : row;
    }
  }
  Expr decay = updates.asExpr(factor);
  for (unsigned axis : update.kept)
    if (decay->dependsOn(own[axis]))
      return refuse(placeOf(state), "the factor of {0} varies along an axis that reads keep",
                    name(state));
  update.factor = context.isOne(decay) ? nullptr : context.substitute(decay, leaves);
  for (StateWrite &write : update.writes) {
    write.column = context.substitute(write.column, leaves);
    if (write.row)
      write.row = context.substitute(write.row, leaves);
  }
  return true;
}

//===-- Outputs -------------------------------------------------------------------------------===//

Expr Derivation::named(const StepValue &value) {
  Expr sum = outputs.asExpr(value.form.rest);
  for (const StateTerm &term : value.form.terms) {
    if (summedBy(term) != summedAxes(term.state))
      return nullptr;
    Product rest;
    std::optional<unsigned> number = readOf(term, rest);
    if (!number)
      return nullptr;
    form.reads[*number].isPutOut = true;
    SmallVector<Expr> kept;
    for (unsigned axis : form.states[term.state].kept)
      kept.push_back(term.indices[axis]);
    Expr read = context.read(form.reads[*number].placeholder, sum->type, kept);
    sum = context.add(sum, context.multiply(outputs.asExpr(rest), read));
  }
  return sum;
}

/// Sums over states become reads; everything else keeps what it says.
Expr Derivation::formulaOf(Value scalar) {
  const StepValue &value = outputs.of(scalar);
  if (!value.dependsOnState)
    return context.translate(scalar, recur.getBody());
  if (Expr found = formulas.lookup(scalar))
    return found;
  Operation *op = scalar.getDefiningOp();
  auto read = dyn_cast<attn::ReadOp>(op);
  bool isOfReads = read && outputs.holdsReads(read.getTensor());
  Expr formula = nullptr;
  if (!value.nonlinear && !isOfReads && isa<attn::ReadOp, attn::ReduceOp>(op))
    formula = named(value);
  if (!formula && read && !isOfReads) {
    refuse(op, "an output reads entries of a state by themselves, or sums over other axes of it "
               "than an update");
    return nullptr;
  }
  return formulas[scalar] = formula ? formula : formulaOf(op);
}

/// `op` of formulas.
Expr Derivation::formulaOf(Operation *op) {
  SmallVector<Expr> operands, inside;
  for (Value operand : op->getOperands()) {
    bool isTensor = isa<attn::AttnTensorType>(operand.getType());
    operands.push_back(isTensor ? nullptr : formulaOf(operand));
    if (!isTensor && !operands.back())
      return nullptr;
  }
  auto reduce = dyn_cast<attn::ReduceOp>(op);
  if (!reduce)
    return context.like(op, operands);
  Block &body = reduce.getBody().front();
  for (Value yielded : body.getTerminator()->getOperands()) {
    inside.push_back(formulaOf(yielded));
    if (!inside.back())
      return nullptr;
  }
  return context.like(reduce, body.getArgument(0), inside, operands);
}

bool Derivation::deriveOutput(Operation *stage) {
  if (auto compute = dyn_cast<attn::ComputeOp>(stage)) {
    Expr formula = formulaOf(compute.getBody().front().getTerminator()->getOperand(0));
    form.formulas[stage] = formula;
    return formula != nullptr;
  }
  for (Value operand : stage->getOperands())
    if (outputs.dependsOnState(operand) && !outputs.holdsReads(operand))
      return refuse(stage, "a function of rows is applied to a state");
  return true;
}

/// The stages that depend on states and that outputs are computed by: from what is yielded
/// backwards, up to states.
bool Derivation::findOutputStages() {
  Block &body = recur.getBody().front();
  SmallVector<Value> open(body.getTerminator()->getOperands().take_front(recur.getNumOutputs()));
  for (Value output : open)
    if (outputs.dependsOnState(output) && !outputs.holdsReads(output))
      return refuse(output.getDefiningOp() ? output.getDefiningOp() : recur,
                    "a state is put out at every step");
  llvm::DenseSet<Operation *> found;
  while (!open.empty()) {
    Value tensor = open.pop_back_val();
    if (!outputs.holdsReads(tensor) || !found.insert(tensor.getDefiningOp()).second)
      continue;
    tensor.getDefiningOp()->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (isa<attn::AttnTensorType>(operand.getType()))
          open.push_back(operand);
    });
  }
  for (Operation &op : body.without_terminator())
    if (found.contains(&op))
      needed.insert(&op);
  return true;
}

std::optional<ChunkForm> Derivation::derive() {
  if (!checkStep() || !findOutputStages() || !findAxes())
    return std::nullopt;
  for (unsigned state = 0; state < recur.getNumStates(); ++state)
    if (!deriveUpdate(state))
      return std::nullopt;
  for (Operation *stage : needed)
    if (!deriveOutput(stage))
      return std::nullopt;
  return std::move(form);
}

std::optional<ChunkForm> attnc::deriveChunkForm(attn::RecurOp recur, ExprContext &context,
                                                ChunkRefusal &refusal) {
  std::optional<ChunkForm> form = Derivation(recur, context, /*isWide=*/false, refusal).derive();
  return form ? std::move(form) : Derivation(recur, context, /*isWide=*/true, refusal).derive();
}

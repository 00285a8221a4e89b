// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Abstract interpretation of a step. A scalar is a sum of terms c * S[i, j], where all that is kept
// of the coefficient is which coordinates it depends on, and of the indices which are coordinates
// and which were summed over.
#include "attnc/Analysis/Recurrence.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace attnc;
using namespace mlir;

namespace {
/// Coordinates that a number depends on: region arguments. Time is `varies`.
struct Dependence {
  llvm::SmallSetVector<Value, 4> coordinates;
  bool varies = false;
  bool isOne = false; ///< the constant 1, or nothing but signs

  void join(const Dependence &other) {
    coordinates.insert(other.coordinates.begin(), other.coordinates.end());
    varies |= other.varies;
    isOne &= other.isOne;
  }
};

/// A product of factors times S[indices]; a null index was summed over.
struct Term {
  unsigned state;
  SmallVector<Value, 2> indices;
  SmallVector<Dependence, 2> factors;
  bool isGroupStart = false;
  bool isEntangled = false; ///< a factor depends on a summed index and on another: no outer product

  Dependence coefficient() const {
    Dependence all;
    all.isOne = true;
    for (const Dependence &factor : factors)
      all.join(factor);
    return all;
  }
};

struct Form {
  SmallVector<Term, 2> terms;
  Dependence rest; ///< of what does not depend on states
  Operation *nonlinear = nullptr;
  int maxOf = -1; ///< max(S[own indices] + data, data) for this state: a running maximum
  bool usesGroupStart = false; ///< beyond the terms: within a group of steps that part is data
  bool dependsOnState() const { return !terms.empty() || nonlinear; }
  bool dependsOnCurrentState() const {
    return nonlinear || llvm::any_of(terms, [](const Term &term) { return !term.isGroupStart; });
  }
};

/// A tensor of the step: the form of an element, over `coordinates`.
struct TensorForm {
  SmallVector<Value> coordinates;
  Form form;
};

class Step {
public:
  /// Running maxima are known from an earlier pass; what depends on them counts as data.
  Step(attn::RecurOp op, const std::set<unsigned> &maxima) : op(op), maxima(maxima) {
    unsigned numStates = op.getNumStates();
    for (auto [i, state] : llvm::enumerate(op.getStates()))
      states[state] = {static_cast<unsigned>(i), false};
    for (auto [i, state] : llvm::enumerate(op.getGroupStarts()))
      states[state] = {static_cast<unsigned>(i) % std::max(1u, numStates), true};
    for (Operation &stage : op.getBody().front().without_terminator())
      if (auto compute = dyn_cast<attn::ComputeOp>(stage))
        evaluate(compute);
      else if (stage.getNumResults() == 1 &&
               isa<attn::AttnTensorType>(stage.getResult(0).getType()))
        opaque(&stage);
  }

  std::optional<TensorForm> formOf(Value tensor) const {
    if (auto it = states.find(tensor); it != states.end()) {
      // A state that is passed on unchanged.
      TensorForm result;
      result.form.terms.push_back({it->second.first, {}, {}, it->second.second});
      return result;
    }
    auto it = tensors.find(tensor);
    return it == tensors.end() ? std::nullopt : std::optional(it->second);
  }

private:
  void evaluate(attn::ComputeOp compute) {
    TensorForm result;
    for (BlockArgument arg : compute.getBody().getArguments())
      result.coordinates.push_back(arg);
    scan(compute.getBody().front());
    result.form = forms.lookup(cast<attn::YieldOp>(compute.getBody().front().back()).getValue());
    tensors[compute.getResult()] = std::move(result);
  }

  /// A function of rows, a selection, a gradient: nonlinear where it depends on a state.
  void opaque(Operation *stage) {
    TensorForm result;
    for (Value operand : stage->getOperands()) {
      std::optional<TensorForm> form = formOf(operand);
      if (form && form->form.dependsOnCurrentState())
        result.form.nonlinear = form->form.nonlinear ? form->form.nonlinear : stage;
      result.form.usesGroupStart |=
          form && (form->form.dependsOnState() || form->form.usesGroupStart);
    }
    result.form.rest.varies = true;
    tensors[stage->getResult(0)] = std::move(result);
  }

  void scan(Block &block) {
    for (BlockArgument arg : block.getArguments())
      forms[arg].rest.coordinates.insert(arg);
    for (Operation &inner : block.without_terminator())
      if (inner.getNumResults() == 1)
        forms[inner.getResult(0)] = visit(&inner);
  }

  /// True if `indices` are the coordinates of the stage that is being evaluated, in order.
  static bool areOwn(ValueRange indices) {
    for (auto [axis, index] : llvm::enumerate(indices)) {
      auto argument = dyn_cast_or_null<BlockArgument>(index);
      if (!argument || argument.getArgNumber() != axis ||
          !isa<attn::ComputeOp>(argument.getOwner()->getParentOp()))
        return false;
    }
    return true;
  }

  Form lookup(Value value) {
    if (auto it = forms.find(value); it != forms.end())
      return it->second;
    Form form; // from outside: a constant, a parameter, or an index of the recurrence
    form.rest.varies =
        value == op.getBody().getArgument(static_cast<unsigned>(op.getBatch().size()));
    return form;
  }

  Form visit(Operation *inner) {
    if (auto read = dyn_cast<attn::ReadOp>(inner))
      return visitRead(read);
    if (auto reduce = dyn_cast<attn::ReduceOp>(inner))
      return visitReduce(reduce);
    if (auto constant = dyn_cast<arith::ConstantOp>(inner)) {
      Form form;
      auto real = dyn_cast<FloatAttr>(constant.getValue());
      form.rest.isOne = real && std::abs(real.getValueAsDouble()) == 1;
      return form;
    }
    SmallVector<Form, 2> operands;
    for (Value operand : inner->getOperands())
      operands.push_back(lookup(operand));
    return llvm::TypeSwitch<Operation *, Form>(inner)
        .Case<arith::AddFOp, arith::SubFOp>([&](auto) { return add(operands[0], operands[1]); })
        .Case<arith::NegFOp>([&](auto) {
          operands[0].maxOf = -1;
          return operands[0];
        })
        .Case<arith::MulFOp>([&](auto) { return multiply(operands[0], operands[1], inner); })
        .Case<arith::DivFOp>([&](auto) {
          return operands[1].dependsOnState() ? nonlinear(inner, operands)
                                              : multiply(operands[0], operands[1], inner);
        })
        .Case<arith::MaximumFOp, arith::MaxNumFOp>([&](auto) {
          Form form = nonlinear(inner, operands);
          for (unsigned i : {0u, 1u}) {
            const Form &a = operands[i], &b = operands[1 - i];
            bool isState = a.terms.size() == 1 && !a.nonlinear && !a.terms[0].isGroupStart &&
                           a.terms[0].coefficient().isOne && areOwn(a.terms[0].indices);
            if (isState && !b.dependsOnState())
              form.maxOf = static_cast<int>(a.terms[0].state);
          }
          return form;
        })
        .Case<arith::SelectOp>([&](auto) {
          if (operands[0].dependsOnState())
            return nonlinear(inner, operands);
          Form sum = add(operands[1], operands[2]);
          for (Term &term : sum.terms)
            term.factors.push_back(operands[0].rest);
          return sum;
        })
        .Default([&](Operation *) { return nonlinear(inner, operands); });
  }

  /// A function that is linear in nothing: fine where no state is involved.
  static Form nonlinear(Operation *at, ArrayRef<Form> operands) {
    Form result;
    for (const Form &operand : operands) {
      result.rest.join(operand.rest);
      result.usesGroupStart |= operand.usesGroupStart;
      if (operand.dependsOnState() && !operand.dependsOnCurrentState())
        result.usesGroupStart = result.rest.varies = true;
      else if (operand.nonlinear)
        result.nonlinear = operand.nonlinear;
      else if (operand.dependsOnState() && !result.nonlinear)
        result.nonlinear = at;
    }
    result.rest.isOne = false;
    return result;
  }

  static Form add(const Form &a, const Form &b) {
    Form sum = a;
    sum.terms.append(b.terms.begin(), b.terms.end());
    sum.rest.join(b.rest);
    sum.rest.isOne = false;
    sum.nonlinear = a.nonlinear ? a.nonlinear : b.nonlinear;
    sum.usesGroupStart |= b.usesGroupStart;
    sum.maxOf = -1;
    return sum;
  }

  static Form multiply(const Form &a, const Form &b, Operation *at) {
    if (a.dependsOnState() && b.dependsOnState())
      return nonlinear(at, {a, b});
    const Form &state = b.dependsOnState() ? b : a, &factor = b.dependsOnState() ? a : b;
    Form product = state;
    product.maxOf = -1;
    for (Term &term : product.terms)
      term.factors.push_back(factor.rest);
    bool isOne = product.rest.isOne && factor.rest.isOne;
    product.rest.join(factor.rest);
    product.rest.isOne = isOne;
    product.usesGroupStart |= factor.usesGroupStart;
    return product;
  }

  /// What `dependence` becomes when the coordinates `from` are read at `indices`.
  Dependence substitute(const Dependence &dependence, ArrayRef<Value> from,
                        ArrayRef<Form> indices) {
    Dependence result;
    result.varies = dependence.varies;
    result.isOne = dependence.isOne;
    for (Value coordinate : dependence.coordinates) {
      auto it = llvm::find(from, coordinate);
      if (it == from.end()) {
        result.coordinates.insert(coordinate);
        continue;
      }
      const Dependence &index = indices[static_cast<size_t>(it - from.begin())].rest;
      result.coordinates.insert(index.coordinates.begin(), index.coordinates.end());
      result.varies |= index.varies;
    }
    return result;
  }

  Form visitRead(attn::ReadOp read) {
    SmallVector<Form, 2> indices;
    Form form;
    for (Value index : read.getIndices()) {
      indices.push_back(lookup(index));
      form.rest.join(indices.back().rest);
    }
    form.rest.isOne = false;
    if (auto it = states.find(read.getTensor()); it != states.end()) {
      if (maxima.count(it->second.first)) {
        form.rest.varies = true;
        return form;
      }
      form.terms.push_back(
          {it->second.first, SmallVector<Value, 2>(read.getIndices()), {}, it->second.second});
      form.rest = {};
      return form;
    }
    auto it = tensors.find(read.getTensor());
    if (it == tensors.end())
      return form; // an input, or a stage before the recurrence: data where the step is among the
                   // indices
    const TensorForm &tensor = it->second;
    Form result;
    result.nonlinear = tensor.form.nonlinear;
    result.usesGroupStart = tensor.form.usesGroupStart;
    result.maxOf = areOwn(read.getIndices()) ? tensor.form.maxOf : -1;
    result.rest = substitute(tensor.form.rest, tensor.coordinates, indices);
    for (const Term &term : tensor.form.terms) {
      Term moved{term.state, {}, {}, term.isGroupStart, term.isEntangled};
      for (const Dependence &factor : term.factors)
        moved.factors.push_back(substitute(factor, tensor.coordinates, indices));
      for (Value index : term.indices) {
        auto at = llvm::find(tensor.coordinates, index);
        moved.indices.push_back(at == tensor.coordinates.end()
                                    ? index
                                    : read.getIndices()[at - tensor.coordinates.begin()]);
      }
      result.terms.push_back(std::move(moved));
    }
    return result;
  }

  Form visitReduce(attn::ReduceOp reduce) {
    Block &block = reduce.getBody().front();
    scan(block);
    auto yield = cast<attn::YieldOp>(block.back());
    Form form = lookup(yield.getValues()[0]);
    BlockArgument index = block.getArgument(0);
    bool isSum =
        reduce.getKind() == attn::Reduction::Sum || reduce.getKind() == attn::Reduction::Mean;
    SmallVector<Value> conditions(yield.getValues().drop_front());
    for (Value bound : {reduce.getLower(), reduce.getUpper()})
      if (bound)
        conditions.push_back(bound);
    for (Value value : conditions) {
      Form condition = lookup(value);
      if (condition.dependsOnState())
        return nonlinear(reduce, {form, condition});
      for (Term &term : form.terms)
        term.factors.push_back(condition.rest);
      form.rest.join(condition.rest);
    }
    if (!isSum && form.dependsOnState())
      return nonlinear(reduce, form);
    form.rest.coordinates.remove(index);
    form.rest.isOne = false;
    for (Term &term : form.terms) {
      bool isContracted = false;
      for (Value &at : term.indices)
        if (at == index) {
          at = Value();
          isContracted = true;
        }
      for (Dependence &factor : term.factors)
        if (factor.coordinates.remove(index) && !factor.coordinates.empty())
          term.isEntangled = true;
      if (!isContracted) {
        Dependence many; // a sum of equal terms
        term.factors.push_back(many);
      }
    }
    return form;
  }

  attn::RecurOp op;
  const std::set<unsigned> &maxima;
  llvm::DenseMap<Value, std::pair<unsigned, bool>> states;
  llvm::DenseMap<Value, TensorForm> tensors;
  llvm::DenseMap<Value, Form> forms;
};

std::string nameOfState(attn::RecurOp recur, unsigned i) {
  Location loc = recur.getStates()[i].getLoc();
  if (auto named = dyn_cast<NameLoc>(loc))
    return named.getName().str();
  return "state " + std::to_string(i);
}
} // namespace

std::vector<StateUpdate> attnc::classifyRecurrence(attn::RecurOp recur) {
  auto yielded = cast<attn::YieldOp>(recur.getBody().front().back())
                     .getValues()
                     .drop_front(recur.getNumOutputs());
  std::set<unsigned> none, maxima;
  Step first(recur, none);
  for (auto [i, value] : llvm::enumerate(yielded))
    if (std::optional<TensorForm> form = first.formOf(value);
        form && form->form.maxOf == static_cast<int>(i))
      maxima.insert(static_cast<unsigned>(i));
  Step step(recur, maxima);
  std::vector<StateUpdate> result;
  for (auto [i, value] : llvm::enumerate(yielded)) {
    StateUpdate update;
    update.name = nameOfState(recur, static_cast<unsigned>(i));
    update.rank = cast<attn::AttnTensorType>(value.getType()).getRank();
    update.isRunningMaximum = maxima.count(static_cast<unsigned>(i));
    std::optional<TensorForm> form = step.formOf(value);
    if (!form || update.isRunningMaximum) {
      result.push_back(update);
      continue;
    }
    if (Operation *at = form->form.nonlinear) {
      update.nonlinearOp = at;
      update.nonlinearity = at->getName().stripDialect().str();
    }
    update.readsGroupStart = form->form.usesGroupStart;
    bool along[2] = {false, false}, hasDecay = false, isOne = true;
    for (const Term &term : form->form.terms) {
      update.readsGroupStart |= term.isGroupStart;
      if (term.isGroupStart)
        continue;
      if (term.state != i) {
        update.others.insert(nameOfState(recur, term.state));
        continue;
      }
      // In its own coordinates, summed over one axis, or something else.
      unsigned numSummed = 0;
      bool isOwn = true;
      for (auto [axis, index] : llvm::enumerate(term.indices)) {
        if (!index) {
          ++numSummed;
          (axis == 0 ? update.contractsFirst : update.contractsSecond) = true;
        } else if (axis >= form->coordinates.size() || index != form->coordinates[axis]) {
          isOwn = false;
        }
      }
      if (!isOwn || numSummed > 1 || term.isEntangled || (numSummed && update.rank < 2)) {
        update.isDense = true;
        continue;
      }
      if (numSummed) {
        ++update.numRankOne;
        continue;
      }
      Dependence coefficient = term.coefficient();
      hasDecay = true;
      isOne &= coefficient.isOne;
      update.decayVaries |= coefficient.varies;
      for (Value coordinate : coefficient.coordinates)
        for (auto [axis, own] : llvm::enumerate(form->coordinates))
          if (own == coordinate && axis < 2)
            along[axis] = true;
    }
    using Decay = StateUpdate::Decay;
    if (hasDecay)
      update.decay = along[0] && along[1] ? Decay::Full
                     : along[0]           ? Decay::FirstAxis
                     : along[1]           ? Decay::SecondAxis
                     : isOne              ? Decay::One
                                          : Decay::Scalar;
    result.push_back(std::move(update));
  }
  return result;
}

std::string StateUpdate::decayText() const {
  if (isRunningMaximum)
    return "a running maximum";
  llvm::StringRef when = decayVaries ? ", changing with each step" : ", constant in time";
  switch (decay) {
  case Decay::Zero:
    return "none of the old state is kept";
  case Decay::One:
    return "no decay";
  case Decay::Scalar:
    return ("a scalar" + when).str();
  case Decay::FirstAxis:
    return ((rank == 1 ? "elementwise" : "diagonal along the first axis") + when).str();
  case Decay::SecondAxis:
    return ("diagonal along the second axis" + when).str();
  case Decay::Full:
    return ("a factor for each entry" + when).str();
  }
  return "";
}

std::string StateUpdate::chunkForm() const {
  if (isRunningMaximum)
    return "a scan of maxima: it bounds the exponents of other states, which a chunk rescales at "
           "its border";
  if (!nonlinearity.empty())
    return llvm::formatv("step by step: the new state is not linear in the old one (`{0}`)",
                         nonlinearity);
  if (readsGroupStart)
    return "a group at a time: gradients are taken at the state that the group starts with";
  if (!others.empty())
    return llvm::formatv("a scan over pairs of states: it is coupled with `{0}`", *others.begin());
  if (isDense)
    return "step by step: entries of the state mix by more than outer products";
  if (rank < 2)
    return "an elementwise scan: the state is a vector";
  if (decay == Decay::Full)
    return numRankOne ? "step by step: a factor for each entry and a rank-one term have no common "
                        "matrix form"
                      : "a scan: the factor differs in each entry, so no product of matrices "
                        "gathers a chunk";
  if (contractsFirst && contractsSecond)
    return "step by step: rank-one terms on both sides of the state";
  if (numRankOne) {
    bool crosses = (decay == Decay::FirstAxis && contractsSecond) ||
                   (decay == Decay::SecondAxis && contractsFirst);
    if (crosses)
      return "step by step: the decay is along the axis that the rank-one term keeps";
    return llvm::formatv(
        "matrix products by the WY representation: {0} rank-one term{1} of the transition, a unit "
        "triangular solve for each chunk",
        numRankOne, numRankOne == 1 ? "" : "s");
  }
  bool isDiagonal = decay == Decay::FirstAxis || decay == Decay::SecondAxis;
  return isDiagonal ? "matrix products: decays of a chunk divide into those of its steps, in "
                      "sub-chunks against overflow"
                    : "matrix products: the decays of a chunk are a mask on its scores";
}

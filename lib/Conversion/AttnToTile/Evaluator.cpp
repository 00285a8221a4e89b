// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Evaluator.h explains.
#include "Evaluator.h"
#include "ScalarOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace attnc;

Evaluator::Evaluator(KernelContext &context) : context(context), builder(context.builder) {
  for (auto param : context.variant.getBody().getOps<attn::ParamOp>())
    if (Value argument = context.params.lookupOrNull(param.getResult()))
      kernelScope.places[param.getResult()].scalar = argument;
}

const TileAxis *Evaluator::axis(Value first, int64_t tile) {
  axes.push_back({first, tile});
  return &axes.back();
}

tile::TileType Evaluator::type(Frame frame, Type element) const {
  SmallVector<int64_t> shape;
  shape.push_back(frame.rows ? frame.rows->tile : 1);
  if (frame.cols)
    shape.push_back(frame.cols->tile);
  return tile::TileType::get(element.getContext(), shape, element, tile::LinearLayoutAttr());
}

Value Evaluator::fill(Location loc, Frame frame, TypedAttr value) {
  Value scalar = arith::ConstantOp::create(builder, loc, value);
  if (frame.isScalar())
    return scalar;
  return tile::FillOp::create(builder, loc, type(frame, value.getType()), scalar);
}

FailureOr<Value> Evaluator::size(Operation *op, StringRef space) {
  if (Value known = context.sizes.lookup(space))
    return known;
  return emitError(op->getLoc(), "no input says the size of the index space `") << space << "`";
}

//===-- Scopes --------------------------------------------------------------------------------===//

const Place *Evaluator::placeOf(Scope &scope, Value value) const {
  for (Scope *s = &scope; s; s = s->outer)
    if (auto it = s->places.find(value); it != s->places.end())
      return &it->second;
  return nullptr;
}

const Evaluated *Evaluator::known(Scope &scope, Value value) const {
  for (Scope *s = &scope; s; s = s->outer)
    if (auto it = s->values.find(value); it != s->values.end())
      return &it->second;
  return nullptr;
}

Scope &Evaluator::scopeAt(Scope &scope, unsigned depth) const {
  Scope *s = &scope;
  while (s->depth > depth)
    s = s->outer;
  return *s;
}

FailureOr<Value> Evaluator::before(Scope &scope, unsigned depth,
                                   llvm::function_ref<FailureOr<Value>(Scope &home)> emit) {
  Scope &home = scopeAt(scope, depth);
  OpBuilder::InsertionGuard guard(builder);
  if (&home != &scope)
    builder.setInsertionPoint(home.inner);
  return emit(home);
}

FailureOr<SmallVector<Value>> Evaluator::loop(Scope &scope, Location loc, Value from, Value to,
                                              int64_t step, ValueRange init, LoopBody body) {
  auto forOp = scf::ForOp::create(builder, loc, from, to, context.i32(loc, step), init);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forOp.getBody());
  Operation *outerLoop = std::exchange(scope.inner, forOp);
  Scope inside(scope);
  FailureOr<SmallVector<Value>> next =
      body(inside, forOp.getInductionVar(), forOp.getRegionIterArgs());
  scope.inner = outerLoop;
  if (failed(next))
    return failure();
  if (!init.empty()) // else the loop has its terminator
    scf::YieldOp::create(builder, loc, *next);
  return SmallVector<Value>(forOp.getResults());
}

//===-- Facts ---------------------------------------------------------------------------------===//

static bool isCostlyOp(Operation *op) {
  return isa<math::MathDialect>(op->getDialect()) ||
         isa<arith::DivFOp, arith::DivSIOp, arith::FloorDivSIOp, arith::CeilDivSIOp, arith::RemSIOp,
             attn::ReadOp, attn::ReduceOp, attn::UniformOp>(op);
}

Facts Evaluator::argumentFacts(Scope &scope, Value value) const {
  Facts facts;
  for (Scope *s = &scope; s; s = s->outer)
    if (auto it = s->places.find(value); it != s->places.end()) {
      facts.depth = s->depth;
      facts.axes.add(it->second.axis);
      if (it->second.base)
        facts.axes.add(it->second.base->frame.axes());
      return facts;
    }
  return facts;
}

/// What `op` depends on, the facts of all of that being known. A reduction depends on what its
/// region uses from outside.
Facts Evaluator::combinedFacts(Scope &scope, Operation *op) {
  Facts facts;
  facts.isCostly = isCostlyOp(op);
  facts.isReduced = isa<attn::ReduceOp>(op);
  auto add = [&](Value operand) {
    if (isa<attn::AttnTensorType>(operand.getType())) {
      facts.depth = std::max(facts.depth, changing.lookup(operand));
      return;
    }
    const Facts &own = factsOf(scope, operand);
    facts.axes.add(own.axes);
    facts.depth = std::max(facts.depth, own.depth);
    facts.isCostly |= own.isCostly;
    facts.isReduced |= own.isReduced;
  };
  for (Value operand : op->getOperands())
    add(operand);
  for (Region &region : op->getRegions())
    region.walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (!region.isAncestor(operand.getParentRegion()))
          add(operand);
    });
  return facts;
}

/// Without recursion along chains of values, which can be thousands long.
const Facts &Evaluator::factsOf(Scope &scope, Value root) {
  SmallVector<Value> open{root};
  while (!open.empty()) {
    Value value = open.back();
    if (scope.facts.contains(value)) {
      open.pop_back();
      continue;
    }
    if (const Evaluated *emitted = known(scope, value)) {
      Facts facts;
      for (Scope *s = &scope; s; s = s->outer)
        if (s->values.contains(value)) {
          facts.depth = s->depth;
          break;
        }
      facts.axes = emitted->frame.axes();
      scope.facts[value] = facts;
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (!op) {
      scope.facts[value] = argumentFacts(scope, value);
      continue;
    }
    size_t before = open.size();
    for (Value operand : op->getOperands())
      if (!isa<attn::AttnTensorType>(operand.getType()) && !scope.facts.contains(operand))
        open.push_back(operand);
    if (open.size() == before) {
      Facts facts = combinedFacts(scope, op);
      scope.facts[value] = facts;
    }
  }
  return scope.facts[root];
}

//===-- Maps ----------------------------------------------------------------------------------===//

/// What the region of one map computes, in order, and what it takes from outside.
struct Evaluator::Plan {
  llvm::SetVector<Operation *> ops;
  llvm::MapVector<Value, Evaluated> leaves; ///< values of the variant that are emitted already
  llvm::SetVector<Value> indices;           ///< that run along an axis
};

static unsigned nesting(Block *block) {
  unsigned depth = 0;
  for (Operation *parent = block->getParentOp(); parent; parent = parent->getParentOp())
    ++depth;
  return depth;
}

/// An op behind those it depends on: outer blocks first.
static bool comesBefore(Operation *a, Operation *b) {
  if (a->getBlock() == b->getBlock())
    return a->isBeforeInBlock(b);
  return nesting(a->getBlock()) < nesting(b->getBlock());
}

LogicalResult Evaluator::addLeaf(Scope &scope, Frame frame, Value value, Plan &plan) {
  FailureOr<Evaluated> leaf = evaluate(scope, value, frame);
  if (failed(leaf))
    return failure();
  plan.leaves.insert({value, *leaf});
  return success();
}

/// Whether `op` chooses between reductions. It is a tile of its own, within a chain of such: else
/// the results of all of them are in registers at once.
bool Evaluator::choosesReductions(Scope &scope, Operation *op) {
  auto select = dyn_cast<arith::SelectOp>(op);
  return select && factsOf(scope, select.getTrueValue()).isReduced &&
         factsOf(scope, select.getFalseValue()).isReduced;
}

LogicalResult Evaluator::plan(Scope &scope, Frame frame, ValueRange roots, Plan &plan) {
  AxisSet all = frame.axes();
  SmallVector<Value> open(roots);
  llvm::DenseSet<Value> seen;
  while (!open.empty()) {
    Value value = open.pop_back_val();
    if (isa<attn::AttnTensorType>(value.getType()) || !seen.insert(value).second)
      continue;
    if (const Evaluated *emitted = known(scope, value)) {
      plan.leaves.insert({value, *emitted});
      continue;
    }
    if (const Place *place = placeOf(scope, value)) {
      if (place->axis)
        plan.indices.insert(value);
      else
        plan.leaves.insert({value, Evaluated{place->scalar, {}}});
      continue;
    }
    Operation *op = value.getDefiningOp();
    assert(op && "an index without a place");
    Facts facts = factsOf(scope, value);
    bool isConstant = matchPattern(op, m_Constant());
    bool isSmaller = facts.axes.size() < all.size() && (facts.axes.empty() || facts.isCostly);
    bool isEarlier = facts.depth < scope.depth && facts.isCostly;
    if (!isConstant &&
        (isa<attn::ReduceOp>(op) || isSmaller ||
         ((isEarlier || choosesReductions(scope, op)) && !llvm::is_contained(roots, value)))) {
      if (failed(addLeaf(scope, frame, value, plan)))
        return failure();
      continue;
    }
    plan.ops.insert(op);
    open.append(op->operand_begin(), op->operand_end());
  }
  return success();
}

/// Between which numbers an index of the variant is, in the tiles of `scope`.
IndexBounds Evaluator::boundsOfLeaf(Scope &scope, Value leaf) const {
  const Place *place = placeOf(scope, leaf);
  if (!place || place->space.empty() || place->base)
    return {};
  IndexBounds bounds;
  bounds.least = 0;
  llvm::APInt size;
  if (Value known = context.sizes.lookup(place->space);
      known && !place->mayOverrun && matchPattern(known, m_ConstantInt(&size)))
    bounds.most = size.getSExtValue() - 1;
  return bounds;
}

/// Emits the ops of a plan at one element, and gives the roots.
FailureOr<SmallVector<Value>> Evaluator::emitElement(Scope &scope, const Plan &plan,
                                                     ValueRange roots, ValueRange leaves, Value row,
                                                     Value col, Frame frame) {
  IRMapping values;
  SmallVector<Index> indices;
  for (auto [leaf, element] : llvm::zip_equal(plan.leaves, leaves)) {
    values.map(leaf.first, element);
    if (const Place *place = placeOf(scope, leaf.first); place && !place->space.empty())
      indices.push_back({place->space, element, /*isScalar=*/true, place->mayOverrun});
  }
  for (Value index : plan.indices) {
    const Place &place = *placeOf(scope, index);
    Value coordinate = place.axis == frame.rows ? row : col;
    if (Value base = values.lookupOrNull(index)) // a leaf of the same name: the base
      coordinate = arith::AddIOp::create(builder, index.getLoc(), base, coordinate);
    else
      indices.push_back({place.space, coordinate, /*isScalar=*/false, place.mayOverrun});
    values.map(index, coordinate);
  }
  SmallVector<Operation *> ops(plan.ops.begin(), plan.ops.end());
  llvm::sort(ops, comesBefore);
  auto bounds = [&](Value leaf) { return boundsOfLeaf(scope, leaf); };
  for (Operation *op : ops) {
    FailureOr<Value> result = lowerScalarOp(op, {context, values, indices, bounds});
    if (failed(result))
      return failure();
    values.map(op->getResult(0), *result);
  }
  return llvm::map_to_vector(roots, [&](Value root) { return values.lookup(root); });
}

FailureOr<Value> Evaluator::map(Scope &scope, Location loc, Frame frame, Type element,
                                ValueRange roots, ArrayRef<Evaluated> extra, Finish finish) {
  Plan plan;
  if (failed(this->plan(scope, frame, roots, plan)))
    return failure();
  for (Value index : plan.indices)
    if (const Place *place = placeOf(scope, index); place->base)
      plan.leaves.insert({index, *place->base});
  SmallVector<Evaluated> sources;
  for (auto &leaf : plan.leaves)
    sources.push_back(leaf.second);
  sources.append(extra.begin(), extra.end());
  SmallVector<Value> inputs;
  for (const Evaluated &source : sources)
    if (!source.frame.isScalar())
      inputs.push_back(inFrame(source, frame));

  /// The elements of all sources, and from them the result.
  auto emit = [&](ValueRange elements, Value row, Value col) -> FailureOr<Value> {
    SmallVector<Value> all;
    for (const Evaluated &source : sources) {
      if (source.frame.isScalar()) {
        all.push_back(source.value);
        continue;
      }
      all.push_back(elements.front());
      elements = elements.drop_front();
    }
    ValueRange leaves = ValueRange(all).take_front(plan.leaves.size());
    FailureOr<SmallVector<Value>> values = emitElement(scope, plan, roots, leaves, row, col, frame);
    if (failed(values))
      return failure();
    return finish(*values, ValueRange(all).drop_front(plan.leaves.size()));
  };
  if (frame.isScalar())
    return emit({}, {}, {});

  tile::TileType result = type(frame, element);
  Value zero = context.i32(loc, 0);
  auto op = tile::MapOp::create(builder, loc, result, inputs, frame.rows ? frame.rows->first : zero,
                                frame.cols ? frame.cols->first : zero);
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&op.getBody());
  for (Value input : inputs)
    block->addArgument(cast<tile::TileType>(input.getType()).getElementType(), loc);
  Value row = block->addArgument(builder.getI32Type(), loc);
  Value col = result.getRank() == 2 ? block->addArgument(builder.getI32Type(), loc) : Value();
  SmallVector<Value> elements(block->args_begin(), block->args_begin() + inputs.size());
  FailureOr<Value> value = emit(elements, row, col);
  if (failed(value))
    return failure();
  // Elements that stay as they are need no tile of their own.
  if (auto element = dyn_cast<BlockArgument>(*value);
      element && element.getOwner() == block && element.getArgNumber() < inputs.size() &&
      inputs[element.getArgNumber()].getType() == result) {
    Value same = inputs[element.getArgNumber()];
    op.erase();
    return same;
  }
  tile::YieldOp::create(builder, loc, *value);
  return op.getResult();
}

Value Evaluator::inFrame(const Evaluated &value, Frame frame) {
  const Frame &own = value.frame;
  bool fits = (!own.rows || own.rows == frame.rows) && (!own.cols || own.cols == frame.cols);
  if (own.isScalar() || fits)
    return value.value;
  assert((!own.rows || own.rows == frame.cols) && (!own.cols || own.cols == frame.rows) &&
         "a tile over axes that are not there");
  Type element = cast<tile::TileType>(value.value.getType()).getElementType();
  return tile::TransposeOp::create(builder, value.value.getLoc(), type(own.transposed(), element),
                                   value.value);
}

FailureOr<Evaluated> Evaluator::evaluate(Scope &scope, Value value, Frame frame) {
  if (const Evaluated *emitted = known(scope, value))
    return *emitted;
  if (const Place *place = placeOf(scope, value); place && place->scalar)
    return Evaluated{place->scalar, {}};
  Facts facts = factsOf(scope, value);
  // What does not depend on the loops around is emitted before them.
  Scope &home = scopeAt(scope, facts.isCostly ? facts.depth : scope.depth);
  OpBuilder::InsertionGuard guard(builder);
  if (&home != &scope)
    builder.setInsertionPoint(home.inner);
  Frame own = frame.restrictedTo(facts.axes);
  FailureOr<Evaluated> result = failure();
  if (auto reduce = value.getDefiningOp<attn::ReduceOp>()) {
    result = evaluateReduce(*this, home, reduce, frame);
  } else {
    FailureOr<Value> tile = map(home, value.getLoc(), own, value.getType(), value, {},
                                [](ValueRange roots, ValueRange) { return roots[0]; });
    if (succeeded(tile))
      result = Evaluated{*tile, own};
  }
  if (succeeded(result))
    home.values[value] = *result;
  return result;
}

FailureOr<Value> Evaluator::scalar(Scope &scope, Value value) {
  if (!factsOf(scope, value).axes.empty())
    return emitError(value.getLoc(), "one number for all elements is needed here, and this differs "
                                     "from one to another");
  FailureOr<Evaluated> result = evaluate(scope, value, {});
  if (failed(result))
    return failure();
  return result->value;
}

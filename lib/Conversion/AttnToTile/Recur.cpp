// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.recur, step by step: a program has the states of one index of the batch spaces and runs
// through time. The states lie in memory twice, one copy for the even and one for the odd steps, so
// that a step reads the old ones while it writes the new ones; what a step computes on its way is
// kept until its last reader (StepBuffers). The stages of the body are nests of loops over tiles,
// with a barrier of the block behind each.
//
//   copy init to states[0]
//   for each group of steps:                              (with `every`; else there is one)
//     copy states[t mod 2] to the group's start
//     for each step t of it:
//       for each stage: compute its tensor; barrier       reads states[t mod 2]
//         store it: for later stages, as an output at t, in states[(t + 1) mod 2]
//   copy states[T mod 2] to the results
//
// Where no step combines elements along an axis of the states, columns of the states say, a GPU has
// a program for each tile of that axis. A state that is then one tile, and that each element of a
// step reads at its own place, stays in registers from step to step.
//
// In a kernel that walks along the steps, other stages come between them.
#include "Lowerings.h"
#include "Nest.h"
#include "StageTensors.h"
#include "StateTiles.h"
#include "StepBuffers.h"
#include "TileChoice.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/Starts.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Elements that are in memory: a view, at some leading indices.
using Source = Destination;

/// A tensor over `first`, the batch spaces of `recur`, and the axes of `type`.
attn::AttnTensorType typeOver(attn::RecurOp recur, ArrayRef<Attribute> first, Type element,
                              attn::AttnTensorType type = {}) {
  SmallVector<Attribute> axes(first);
  for (Attribute space : recur.getBatch())
    axes.push_back(space);
  if (type)
    axes.append(type.getAxes().begin(), type.getAxes().end());
  return attn::AttnTensorType::get(element.getContext(), axes, element);
}

/// Which axis of `tensor` is over `space`.
std::optional<unsigned> axisOver(Value tensor, StringRef space) {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (type.getAxisName(axis) == space)
      return axis;
  return std::nullopt;
}

/// Whether the stages of a step read states, and each other, along axis `space` at their own index
/// only, and all have it.
bool isIndependent(attn::RecurOp recur, StringRef space) {
  auto hasAxis = [&](Value tensor) { return axisOver(tensor, space).has_value(); };
  if (!llvm::all_of(recur.getStates(), hasAxis))
    return false;
  WalkResult walk = recur.getBody().walk([&](Operation *op) {
    bool isStage = op->getParentOp() == recur &&
                   llvm::any_of(op->getResultTypes(), llvm::IsaPred<attn::AttnTensorType>);
    if (isStage && (!isa<attn::ComputeOp>(op) || !hasAxis(op->getResult(0))))
      return WalkResult::interrupt();
    auto read = dyn_cast<attn::ReadOp>(op);
    if (!read || read.getTensor().getParentRegion() != &recur.getBody())
      return WalkResult::advance();
    auto stage = read->getParentOfType<attn::ComputeOp>();
    std::optional<unsigned> axis = axisOver(read.getTensor(), space);
    std::optional<unsigned> ofStage = stage ? axisOver(stage.getResult(), space) : std::nullopt;
    bool isOwn =
        axis && ofStage && read.getIndices()[*axis] == stage.getBody().getArgument(*ofStage);
    return isOwn ? WalkResult::advance() : WalkResult::interrupt();
  });
  return !walk.wasInterrupted();
}

class RecurKernel;

class RecurLowering : public NestLowering {
public:
  RecurLowering(attn::RecurOp recur, const KernelPlan &plan)
      : NestLowering(recur, Nest(typeOver(recur, {}, Float32Type::get(recur.getContext())), {})),
        recur(recur), plan(plan), variant(recur->getParentOfType<attn::VariantOp>()),
        buffers(assignStepBuffers(recur, plan.target.kind == Target::Kind::NVPTX)) {
    chooseSlices();
    for (unsigned number = 0; number < recur.getNumStates(); ++number)
      carried.push_back(canStayInRegisters(recur, number, sliced, sliceTile));
  }

  int64_t warps() override { return 4; }
  SmallVector<Scratch> scratch() override;
  FailureOr<Grid> grid(KernelContext &context) override;
  LogicalResult emit(KernelContext &context) override;
  LogicalResult emitBeforeSteps(KernelContext &context) override;
  LogicalResult emitStep(KernelContext &context, Value time) override;
  LogicalResult emitBehindSteps(KernelContext &context) override;

private:
  friend class RecurKernel;
  void chooseSlices();
  std::optional<TiledAxes> carriedTile(attn::AttnTensorType type);
  FailureOr<Value> sizeOfSliced(KernelContext &context);
  using Piece = llvm::function_ref<LogicalResult(RecurKernel &)>;
  LogicalResult emitPiece(KernelContext &context, Piece piece);
  LogicalResult emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) override;

  attn::RecurOp recur;
  const KernelPlan &plan;
  attn::VariantOp variant;
  StepBuffers buffers;
  StringRef sliced;      ///< the space that programs of a kernel of its own share out; may be empty
  int64_t sliceTile = 1; ///< indices of it that a program has
  SmallVector<bool> carried; ///< which states are one tile, in registers
};

/// The kernel that is being emitted.
class RecurKernel {
public:
  RecurKernel(RecurLowering &lowering, KernelContext &context, const NestPoint &batch)
      : lowering(lowering), context(context), recur(lowering.recur), loc(recur.getLoc()),
        evaluator(context), batch(batch) {}

  LogicalResult emit();
  void bind() {
    bindBatch();
    bindScratch();
  }
  LogicalResult initialize();
  LogicalResult oneStep(Value time) { return step(evaluator.top(), time); }
  LogicalResult finish();

private:
  void bindBatch();
  void bindScratch();
  LogicalResult steps();
  LogicalResult group(Scope &outside, Value first, Value last);
  LogicalResult step(Scope &inside, Value time);
  LogicalResult stage(Scope &inside, Operation *op, Value time);
  LogicalResult passedThrough(Scope &inside, Value time);
  SmallVector<Destination> destinationsOf(Value tensor, Value time);
  using MakeTile = llvm::function_ref<FailureOr<Value>(Scope &, Frame, ValueRange indices)>;
  LogicalResult storeTiles(Scope &scope, attn::AttnTensorType type, ArrayRef<Destination> to,
                           MakeTile make);
  FailureOr<Value> read(Scope &scope, attn::AttnTensorType type, ArrayRef<unsigned> used,
                        const Source &from, Frame frame, ValueRange indices);
  LogicalResult copy(Scope &scope, attn::AttnTensorType type, ArrayRef<unsigned> used,
                     const Source &from, ArrayRef<Destination> to);
  LogicalResult fill(attn::AttnTensorType type, double value, const Destination &to);
  LogicalResult startWith(unsigned number, double value);
  Source stateAt(unsigned state, Value time);
  Nest nestOf(attn::AttnTensorType type) {
    std::optional<TiledAxes> carried = lowering.carriedTile(type);
    return Nest(type,
                carried ? *carried : tiledAxesOf(lowering.variant, type, lowering.plan.target));
  }
  std::optional<unsigned> tileOf(Value tensor);
  Nest nestOf(attn::ComputeOp compute);
  SmallVector<Value> atBatch(ArrayRef<Value> first, ArrayRef<Value> last = {}) {
    SmallVector<Value> indices(first);
    indices.append(batch.indices);
    indices.append(last.begin(), last.end());
    return indices;
  }
  Value constant(int64_t value) { return context.i32(loc, value); }
  void barrier() { tile::BarrierOp::create(context.builder, loc); }

  RecurLowering &lowering;
  KernelContext &context;
  attn::RecurOp recur;
  Location loc;
  Evaluator evaluator;
  NestPoint batch;
  SmallVector<Value> states, starts;          ///< views; null for a state in registers
  SmallVector<Value> tiles, next;             ///< of those: before this step, and behind it
  llvm::DenseMap<Operation *, Value> buffers; ///< views of what later stages read
};

} // namespace

/// A product on a GPU has 16 rows for each warp, however few there are, or 32 of many: the right
/// side, which is the same for all rows, is then computed for more of them. A slice is of so many
/// columns that a tile has.
Nest RecurKernel::nestOf(attn::ComputeOp compute) {
  TiledAxes tiled = chooseTiles(compute, lowering.plan.target);
  attn::AttnTensorType type = compute.getType();
  if (std::optional<TiledAxes> carried = lowering.carriedTile(type))
    return Nest(type, *carried);
  bool isMatrix = tiled.rows && tiled.cols && !compute.getBody().getOps<attn::ReduceOp>().empty();
  if (isMatrix && lowering.plan.target.kind == Target::Kind::NVPTX) {
    int64_t rows = 16 * lowering.warps();
    std::optional<int64_t> extent = fixedExtent(lowering.variant, type.getAxisName(*tiled.rows));
    bool areMany = extent && *extent % (2 * rows) == 0;
    tiled.rowTile = std::max(tiled.rowTile, areMany ? 2 * rows : rows);
    if (type.getAxisName(*tiled.cols) == lowering.sliced)
      tiled.colTile = std::min(tiled.colTile, lowering.sliceTile);
  }
  return Nest(type, tiled);
}

SmallVector<Scratch> RecurLowering::scratch() {
  Builder b(recur.getContext());
  SmallVector<Scratch> all;
  for (auto [number, state] : llvm::enumerate(recur.getStates())) {
    if (carried[number])
      continue;
    auto type = cast<attn::AttnTensorType>(state.getType());
    all.push_back({"state" + std::to_string(number),
                   typeOver(recur, b.getI64IntegerAttr(2), type.getElementType(), type)});
  }
  for (auto [number, state] : llvm::enumerate(recur.getGroupStarts())) {
    auto type = cast<attn::AttnTensorType>(state.getType());
    all.push_back(
        {"start" + std::to_string(number), typeOver(recur, {}, type.getElementType(), type)});
  }
  for (auto [number, type] : llvm::enumerate(buffers.types))
    all.push_back(
        {"step" + std::to_string(number), typeOver(recur, {}, type.getElementType(), type)});
  return all;
}

/// The last axis that can be: its elements are neighbours in memory.
void RecurLowering::chooseSlices() {
  if (plan.target.kind != Target::Kind::NVPTX || recur.getStates().empty())
    return;
  auto type = cast<attn::AttnTensorType>(recur.getStates().front().getType());
  for (unsigned axis = type.getRank(); axis-- > 0;)
    if (StringRef space = type.getAxisName(axis); !space.empty() && isIndependent(recur, space)) {
      TiledAxes tiled = tiledAxesOf(variant, type, plan.target);
      if (tiled.cols != axis && tiled.rows != axis)
        continue;
      sliced = space;
      sliceTile = tiled.cols == axis ? tiled.colTile : tiled.rowTile;
      return;
    }
}

/// The one tile of a tensor over the axes of a state in registers; none if there is no such state.
std::optional<TiledAxes> RecurLowering::carriedTile(attn::AttnTensorType type) {
  for (auto [state, isTile] : llvm::zip(recur.getStates(), carried))
    if (isTile && cast<attn::AttnTensorType>(state.getType()).getAxes() == type.getAxes())
      return TiledAxes{0, 1, *fixedExtent(variant, type.getAxisName(0)), sliceTile};
  return std::nullopt;
}

FailureOr<Value> RecurLowering::sizeOfSliced(KernelContext &context) {
  if (Value size = context.sizes.lookup(sliced))
    return size;
  return emitError(recur.getLoc(), "no input says the size of the index space `") << sliced << "`";
}

FailureOr<StageLowering::Grid> RecurLowering::grid(KernelContext &context) {
  FailureOr<Grid> grid = NestLowering::grid(context);
  if (failed(grid) || sliced.empty())
    return grid;
  FailureOr<Value> size = sizeOfSliced(context);
  if (failed(size))
    return failure();
  Location loc = recur.getLoc();
  (*grid)[1] = arith::CeilDivSIOp::create(context.builder, loc, *size, context.i32(loc, sliceTile));
  return grid;
}

LogicalResult RecurLowering::emit(KernelContext &context) {
  if (sliced.empty())
    return NestLowering::emit(context);
  OpBuilder &b = context.builder;
  Location loc = recur.getLoc();
  FailureOr<Value> size = sizeOfSliced(context);
  if (failed(size))
    return failure();
  Value slice = tile::ProgramIdOp::create(b, loc, b.getI32Type(), 1);
  Value first = arith::MulIOp::create(b, loc, slice, context.i32(loc, sliceTile));
  // What is known to lie inside needs no comparisons.
  if (std::optional<int64_t> extent = fixedExtent(variant, sliced);
      extent && *extent % sliceTile == 0)
    first = arith::MinSIOp::create(b, loc, first, context.i32(loc, *extent - sliceTile));
  Value rest = arith::SubIOp::create(b, loc, *size, first);
  Value count = arith::MinSIOp::create(b, loc, rest, context.i32(loc, sliceTile));
  context.parts[sliced] = {first, count, sliceTile};
  return NestLowering::emit(context);
}

LogicalResult RecurLowering::emitAt(Evaluator &evaluator, Scope &, const NestPoint &point) {
  return RecurKernel(*this, evaluator.context, point).emit();
}

//===-- The kernel ----------------------------------------------------------------------------===//

void RecurKernel::bindBatch() {
  for (auto [axis, index] : llvm::enumerate(batch.indices)) {
    Place place;
    place.space = cast<StringAttr>(recur.getBatch()[axis]).getValue();
    place.scalar = index;
    evaluator.top().places[recur.getBody().getArgument(axis)] = place;
  }
}

void RecurKernel::bindScratch() {
  ArrayRef<Value> views = context.scratch;
  auto take = [&](size_t count) {
    ArrayRef<Value> taken = views.take_front(count);
    views = views.drop_front(count);
    return taken;
  };
  for (bool isTile : lowering.carried)
    states.push_back(isTile ? Value() : take(1).front());
  tiles.resize(states.size());
  next.resize(states.size());
  starts.assign(take(recur.getGroupStarts().size()));
  ArrayRef<Value> shared = take(lowering.buffers.types.size());
  for (auto [op, number] : lowering.buffers.of)
    buffers[op] = shared[number];
}

/// State `state` as step `time` reads it.
Source RecurKernel::stateAt(unsigned state, Value time) {
  Value copy = arith::AndIOp::create(context.builder, loc, time, constant(1));
  return {states[state], atBatch(copy)};
}

/// Stores the tiles of a tensor of `type`, each made by `make` in the frame that its indices have.
LogicalResult RecurKernel::storeTiles(Scope &scope, attn::AttnTensorType type,
                                      ArrayRef<Destination> to, MakeTile make) {
  Nest nest = nestOf(type);
  auto body = [&](Scope &inside, const NestPoint &point) -> LogicalResult {
    // A frame of its own: the tensor has no region whose arguments could be bound.
    Block arguments;
    for (unsigned axis = 0; axis < type.getRank(); ++axis)
      arguments.addArgument(context.builder.getI32Type(), loc);
    Frame frame = nest.bind(evaluator, inside, arguments.getArguments(), point);
    FailureOr<Value> tile = make(inside, frame, arguments.getArguments());
    for (Value argument : arguments.getArguments())
      inside.places.erase(argument);
    if (failed(tile))
      return failure();
    for (const Destination &each : to)
      if (failed(nest.store(context, recur, *tile, each.view, each.leading, point)))
        return failure();
    return success();
  };
  if (failed(nest.forEachPoint(evaluator, scope, recur, body)))
    return failure();
  if (!to.empty())
    barrier();
  return success();
}

/// The tile, at the indices that `frame` has, of a tensor of `type`; `from` has those of its axes
/// that are in `used`.
FailureOr<Value> RecurKernel::read(Scope &scope, attn::AttnTensorType type, ArrayRef<unsigned> used,
                                   const Source &from, Frame frame, ValueRange arguments) {
  Type element = type.getElementType().isIntOrFloat() && !isa<FloatType>(type.getElementType())
                     ? type.getElementType()
                     : context.builder.getF32Type();
  SmallVector<bool> mayOverrun;
  for (Value argument : arguments)
    mayOverrun.push_back(scope.places[argument].mayOverrun);
  return evaluator.map(
      scope, loc, frame, element, arguments, {}, [&](ValueRange indices, ValueRange) -> Value {
        SmallVector<Value> all(from.leading);
        for (unsigned axis : used) {
          all.push_back(indices[axis]);
          if (!mayOverrun[axis])
            continue;
          Value size = context.sizes.lookup(type.getAxisName(axis));
          Value last = arith::SubIOp::create(context.builder, loc, size, constant(1));
          all.back() = arith::MinSIOp::create(context.builder, loc, indices[axis], last);
        }
        return tile::ElementOp::create(context.builder, loc, element, from.view, all);
      });
}

/// Copies a tensor of `type`.
LogicalResult RecurKernel::copy(Scope &scope, attn::AttnTensorType type, ArrayRef<unsigned> used,
                                const Source &from, ArrayRef<Destination> to) {
  return storeTiles(scope, type, to, [&](Scope &inside, Frame frame, ValueRange arguments) {
    return read(inside, type, used, from, frame, arguments);
  });
}

/// Lets all elements of a tensor of `type` be `value`.
LogicalResult RecurKernel::fill(attn::AttnTensorType type, double value, const Destination &to) {
  auto number = context.builder.getF32FloatAttr(static_cast<float>(value));
  return storeTiles(evaluator.top(), type, to,
                    [&](Scope &, Frame frame, ValueRange) -> FailureOr<Value> {
                      return evaluator.fill(loc, frame, number);
                    });
}

static SmallVector<unsigned> allAxes(attn::AttnTensorType type) {
  return llvm::to_vector(llvm::seq<unsigned>(0, type.getRank()));
}

/// An initial value is over some of the batch spaces, in any order, and the state's axes.
LogicalResult RecurKernel::initialize() {
  for (auto [number, init] : llvm::enumerate(recur.getInit())) {
    auto type = cast<attn::AttnTensorType>(recur.getStates()[number].getType());
    auto given = cast<attn::AttnTensorType>(init.getType());
    bool isTile = lowering.carried[number];
    Destination to{states[number], atBatch(constant(0))};
    if (std::optional<double> start = constantStart(init.getDefiningOp())) {
      if (isTile ? failed(startWith(number, *start)) : failed(fill(type, *start, to)))
        return failure();
      continue;
    }
    // The copy reads by its own axes: a nest over those of the initial value that are the state's.
    Source from{context.views.lookup(init), {}};
    SmallVector<unsigned> used;
    for (StringRef name : axisNames(given)) {
      auto space = llvm::find_if(recur.getBatch(), [&](Attribute each) {
        return cast<StringAttr>(each).getValue() == name;
      });
      if (space != recur.getBatch().end()) {
        from.leading.push_back(batch.indices[space - recur.getBatch().begin()]);
        continue;
      }
      for (unsigned axis = 0; axis < type.getRank(); ++axis)
        if (type.getAxisName(axis) == name)
          used.push_back(axis);
    }
    Value &own = tiles[number];
    auto make = [&](Scope &scope, Frame frame, ValueRange arguments) -> FailureOr<Value> {
      FailureOr<Value> tile = read(scope, type, used, from, frame, arguments);
      if (succeeded(tile))
        own = *tile;
      return tile;
    };
    if (isTile ? failed(storeTiles(evaluator.top(), type, {}, make))
               : failed(copy(evaluator.top(), type, used, from, to)))
      return failure();
  }
  return success();
}

/// The state `number`, in registers, starts as `value` everywhere.
LogicalResult RecurKernel::startWith(unsigned number, double value) {
  auto type = cast<attn::AttnTensorType>(recur.getStates()[number].getType());
  auto attribute = context.builder.getF32FloatAttr(static_cast<float>(value));
  return storeTiles(evaluator.top(), type, {},
                    [&](Scope &, Frame frame, ValueRange) -> FailureOr<Value> {
                      return tiles[number] = evaluator.fill(loc, frame, attribute);
                    });
}

/// Where `tensor`, computed in step `time`, goes.
SmallVector<Destination> RecurKernel::destinationsOf(Value tensor, Value time) {
  SmallVector<Destination> all;
  if (Value buffer = buffers.lookup(tensor.getDefiningOp()))
    all.push_back({buffer, atBatch({})});
  Operation *yield = recur.getBody().front().getTerminator();
  for (auto [number, value] : llvm::enumerate(yield->getOperands())) {
    if (value != tensor)
      continue;
    if (number < recur.getNumOutputs()) {
      if (Value view = context.views.lookup(recur.getResult(number)))
        all.push_back({view, atBatch({}, time)});
      continue;
    }
    unsigned state = number - recur.getNumOutputs();
    if (lowering.carried[state])
      continue;
    Value after = arith::AddIOp::create(context.builder, loc, time, constant(1));
    Source place = stateAt(state, after);
    all.push_back({place.view, place.leading});
  }
  return all;
}

/// The state in registers that `tensor` is the next value of.
std::optional<unsigned> RecurKernel::tileOf(Value tensor) {
  Operation *yield = recur.getBody().front().getTerminator();
  for (unsigned state = 0; state < recur.getNumStates(); ++state)
    if (lowering.carried[state] && yield->getOperand(recur.getNumOutputs() + state) == tensor)
      return state;
  return std::nullopt;
}

LogicalResult RecurKernel::stage(Scope &inside, Operation *op, Value time) {
  auto compute = dyn_cast<attn::ComputeOp>(op);
  auto select = dyn_cast<attn::SelectOp>(op);
  if (!compute && !select)
    return emitError(op->getLoc(), "code is not generated for this in a step of a recurrence yet");
  Value result = op->getResult(0);
  SmallVector<Destination> to = destinationsOf(result, time);
  std::optional<unsigned> state = tileOf(result);
  if (to.empty() && !state)
    return success();
  Nest nest = compute ? nestOf(compute) : rowsOf(select, lowering.plan.target);
  auto body = [&](Scope &scope, const NestPoint &point) -> LogicalResult {
    if (select)
      return emitSelect(context, select, point, to);
    // What a stage reads of a state in registers is its tile.
    auto bound = [&](Scope &bound, Frame frame) {
      for (auto [number, tile] : llvm::enumerate(tiles))
        for (Operation *user : recur.getStates()[number].getUsers())
          if (tile && user->getParentOp() == compute)
            bound.values[user->getResult(0)] = Evaluated{tile, frame};
    };
    FailureOr<Value> tile = emitCompute(evaluator, scope, compute, nest, point, to, bound);
    if (succeeded(tile) && state)
      next[*state] = *tile;
    return LogicalResult(tile);
  };
  if (failed(nest.forEachPoint(evaluator, inside, op, body)))
    return failure();
  if (!to.empty())
    barrier();
  if (Value buffer = buffers.lookup(op)) {
    context.views[result] = buffer;
    context.leading[result] = atBatch({});
  } else if (std::optional<unsigned> output = outputKeeping(recur, result)) {
    context.views[result] = context.views.lookup(recur.getResult(*output));
    context.leading[result] = atBatch({}, time);
  } else {
    return success();
  }
  evaluator.changesIn(inside, result);
  return success();
}

/// What a step yields without computing it: an old state, or a tensor from outside.
LogicalResult RecurKernel::passedThrough(Scope &inside, Value time) {
  Operation *yield = recur.getBody().front().getTerminator();
  llvm::SmallDenseSet<Value> done;
  for (Value tensor : yield->getOperands()) {
    Operation *op = tensor.getDefiningOp();
    if ((op && op->getParentOp() == recur) || !done.insert(tensor).second)
      continue;
    auto type = cast<attn::AttnTensorType>(tensor.getType());
    Source from{context.views.lookup(tensor), context.leading.lookup(tensor)};
    SmallVector<Destination> to = destinationsOf(tensor, time);
    if (!to.empty() && failed(copy(inside, type, allAxes(type), from, to)))
      return failure();
  }
  return success();
}

LogicalResult RecurKernel::step(Scope &inside, Value time) {
  unsigned numBatch = recur.getBatch().size();
  Place place;
  place.space = recur.getTime();
  place.scalar = time;
  inside.places[recur.getBody().getArgument(numBatch)] = place;
  for (auto [number, state] : llvm::enumerate(recur.getStates())) {
    if (lowering.carried[number])
      continue;
    Source from = stateAt(number, time);
    context.views[state] = from.view;
    context.leading[state] = from.leading;
    evaluator.changesIn(inside, state);
  }
  for (Operation &op : recur.getBody().front().without_terminator())
    if (llvm::any_of(op.getResultTypes(), llvm::IsaPred<attn::AttnTensorType>) &&
        failed(stage(inside, &op, time)))
      return failure();
  return passedThrough(inside, time);
}

/// The steps from `first` to `last`.
LogicalResult RecurKernel::group(Scope &outside, Value first, Value last) {
  for (auto [number, start] : llvm::enumerate(recur.getGroupStarts())) {
    auto type = cast<attn::AttnTensorType>(start.getType());
    Destination to{starts[number], atBatch({})};
    if (failed(copy(outside, type, allAxes(type), stateAt(number, first), to)))
      return failure();
    context.views[start] = to.view;
    context.leading[start] = to.leading;
    evaluator.changesIn(outside, start);
  }
  SmallVector<unsigned> numbers; // of the states in registers
  SmallVector<Value> init;
  for (auto [number, tile] : llvm::enumerate(tiles))
    if (tile) {
      numbers.push_back(number);
      init.push_back(tile);
    }
  auto body = [&](Scope &inside, Value time, ValueRange now) -> FailureOr<SmallVector<Value>> {
    for (auto [number, tile] : llvm::zip_equal(numbers, now))
      tiles[number] = tile;
    if (failed(step(inside, time)))
      return failure();
    return llvm::map_to_vector(numbers, [&](unsigned number) { return next[number]; });
  };
  FailureOr<SmallVector<Value>> behind = evaluator.loop(outside, loc, first, last, 1, init, body);
  if (failed(behind))
    return failure();
  for (auto [number, tile] : llvm::zip_equal(numbers, *behind))
    tiles[number] = tile;
  return success();
}

LogicalResult RecurKernel::steps() {
  FailureOr<Value> length = evaluator.size(recur, recur.getTime());
  if (failed(length))
    return failure();
  Value zero = constant(0);
  if (!recur.getEvery())
    return group(evaluator.top(), zero, *length);
  FailureOr<Value> every = evaluator.scalar(evaluator.top(), recur.getEvery());
  if (failed(every))
    return failure();
  OpBuilder &b = context.builder;
  Value size = arith::MaxSIOp::create(b, loc, *every, constant(1));
  // Rounded up; as unsigned numbers the sum does not wrap.
  Value more = arith::SubIOp::create(b, loc, size, constant(1));
  Value all = arith::AddIOp::create(b, loc, *length, more);
  Value groups = arith::DivUIOp::create(b, loc, all, size);
  auto body = [&](Scope &inside, Value number, ValueRange) -> FailureOr<SmallVector<Value>> {
    Value first = arith::MulIOp::create(b, loc, number, size);
    Value end = arith::AddIOp::create(b, loc, first, size);
    Value last = arith::MinSIOp::create(b, loc, end, *length);
    if (failed(group(inside, first, last)))
      return failure();
    return SmallVector<Value>();
  };
  return LogicalResult(evaluator.loop(evaluator.top(), loc, zero, groups, 1, {}, body));
}

LogicalResult RecurKernel::finish() {
  FailureOr<Value> length = evaluator.size(recur, recur.getTime());
  if (failed(length))
    return failure();
  for (unsigned number = 0; number < recur.getNumStates(); ++number) {
    Value view = context.views.lookup(recur.getResult(recur.getNumOutputs() + number));
    if (!view)
      continue;
    auto type = cast<attn::AttnTensorType>(recur.getStates()[number].getType());
    Destination to{view, atBatch({})};
    auto own = [&](Scope &, Frame, ValueRange) -> FailureOr<Value> { return tiles[number]; };
    if (lowering.carried[number]
            ? failed(storeTiles(evaluator.top(), type, to, own))
            : failed(copy(evaluator.top(), type, allAxes(type), stateAt(number, *length), to)))
      return failure();
  }
  return success();
}

LogicalResult RecurKernel::emit() {
  bind();
  if (failed(initialize()) || failed(steps()))
    return failure();
  return finish();
}

LogicalResult RecurLowering::emitPiece(KernelContext &context, Piece piece) {
  Evaluator evaluator(context);
  return nest.forEachPoint(evaluator, evaluator.top(), stage,
                           [&](Scope &, const NestPoint &point) -> LogicalResult {
                             RecurKernel kernel(*this, context, point);
                             kernel.bind();
                             return piece(kernel);
                           });
}

LogicalResult RecurLowering::emitBeforeSteps(KernelContext &context) {
  return emitPiece(context, [](RecurKernel &kernel) { return kernel.initialize(); });
}

LogicalResult RecurLowering::emitStep(KernelContext &context, Value time) {
  return emitPiece(context, [&](RecurKernel &kernel) { return kernel.oneStep(time); });
}

LogicalResult RecurLowering::emitBehindSteps(KernelContext &context) {
  return emitPiece(context, [](RecurKernel &kernel) { return kernel.finish(); });
}

std::unique_ptr<StageLowering> attnc::lowerRecur(Operation *op, const KernelPlan &plan) {
  return std::make_unique<RecurLowering>(cast<attn::RecurOp>(op), plan);
}

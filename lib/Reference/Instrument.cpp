// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a run in another arithmetic, or with decisions of another run, does to the result of an
// instruction: instructions of their own behind it, so that a plain run has none of it.
#include "Program.h"
#include "dialects/Attn/DecidingOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;
using Instruction = Program::Instruction;

static void roundResult(const Instruction &in, double *const *slots, unsigned lanes) {
  double *r = slots[in.result];
  withArithmetic(*in.options, [&](auto arithmetic) {
    for (unsigned i = 0; i < lanes; ++i)
      r[i] = arithmetic.result(r[i]);
  });
}

/// Executors need not round functions and quotients as IEEE 754 does: Arithmetic::Farther32 moves
/// those as well that are numbers of f32, but for what a function is exactly 0, 1 or -1 of.
static void roundFunction(const Instruction &in, double *const *slots, unsigned lanes) {
  if (in.options->arithmetic != Arithmetic::Farther32)
    return roundResult(in, slots, lanes);
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i) {
    float rounded = static_cast<float>(r[i]);
    bool isPlain = rounded == 0 || std::fabs(rounded) == 1;
    r[i] = isPlain ? rounded : std::nextafter(rounded, 0.0f);
  }
}

/// `predicate` numbers the places.
static void changeFactor(const Instruction &in, double *const *slots, unsigned lanes) {
  double *r = slots[in.result];
  withArithmetic(*in.options, [&](auto arithmetic) {
    for (unsigned i = 0; i < lanes; ++i)
      r[i] = arithmetic.factor(r[i], static_cast<uint64_t>(in.predicate));
  });
}

/// The place of a lane; -1 outside of the decision's axes. Operands are its coordinates.
static int64_t placeOf(const Instruction &in, double *const *slots, unsigned lane) {
  int64_t place = 0;
  for (size_t axis = 0; place >= 0 && axis < in.operands.size(); ++axis) {
    double index = slots[in.operands[axis]][lane * in.steps[axis]];
    place = index >= 0 && index < static_cast<double>(in.shape[axis])
                ? place + static_cast<int64_t>(index) * in.strides[axis]
                : -1;
  }
  return place;
}

/// What the run is told to decide, before it does.
static void lookUp(const Instruction &in, double *const *slots, unsigned lanes) {
  for (unsigned i = 0; i < lanes; ++i)
    slots[in.result][i] = in.decision->toldAt(placeOf(in, slots, i));
}

/// Steps are those of the operands, then of the keys.
static void decide(const Instruction &in, double *const *slots, unsigned lanes) {
  double *r = slots[in.result];
  for (unsigned i = 0; i < lanes; ++i) {
    int64_t place = placeOf(in, slots, i);
    auto operand = [&](size_t k) {
      return slots[in.keys[k]][i * in.steps[in.operands.size() + k]];
    };
    double key = in.keys.empty() ? NAN : in.keys.size() == 1 ? operand(0) : operand(0) - operand(1);
    r[i] = in.decision->decide(place, r[i], key);
  }
}

/// Of an argmax or argmin: the keys are its best entry, and by how much the one it is told is
/// worse.
static void decideExtreme(const Instruction &in, double *const *slots, unsigned lanes) {
  double *r = slots[in.result];
  const double *best = slots[in.keys[0]], *shortfall = slots[in.keys[1]];
  for (unsigned i = 0; i < lanes; ++i) {
    int64_t place = placeOf(in, slots, i);
    in.decision->recordShortfall(place, shortfall[i]);
    r[i] = in.decision->decide(place, r[i], best[i]);
  }
}

/// True of an op that yields a rounded real. Signs, choices, reads and whole numbers are exact.
static bool rounds(Operation *op) {
  if (auto reduce = dyn_cast<attn::ReduceOp>(op))
    return false; // Reductions.cpp rounds the partial sums
  return op->getResult(0).getType().isF32() &&
         !isa<arith::SelectOp, arith::NegFOp, arith::MinimumFOp, arith::MaximumFOp,
              arith::MinNumFOp, arith::MaxNumFOp, math::AbsFOp, math::FloorOp, math::CeilOp,
              math::RoundEvenOp, attn::ReadOp, attn::UniformOp>(op);
}

/// Whether `read` is of an element of a vector or a matrix that a step of a recurrence has, other
/// than a state, and than what the caller gives in f32.
static bool readsElementOfStep(attn::ReadOp read, attn::RecurOp recur) {
  Value tensor = read.getTensor();
  attn::AttnTensorType type = read.getTensor().getType();
  bool isState = isa<BlockArgument>(tensor);
  bool isGiven = tensor.getDefiningOp<attn::InputOp>() && type.getElementType().isF32();
  if (!read.getType().isF32() || isState || isGiven)
    return false;
  auto isOfSteps = [&](StringRef axis) {
    return axis == recur.getTime() ||
           llvm::is_contained(recur.getBatch().getAsValueRange<StringAttr>(), axis);
  };
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (!isOfSteps(type.getAxisName(axis)))
      return true;
  return false;
}

/// What the value of an op of a step is computed from.
struct Sources {
  bool hasElement = false, hasState = false;
};
static Sources sourcesOf(Operation *root, attn::RecurOp recur) {
  Sources sources;
  llvm::SmallPtrSet<Operation *, 16> seen;
  SmallVector<Operation *> open{root};
  while (!open.empty()) {
    Operation *op = open.pop_back_val();
    if (!seen.insert(op).second)
      continue;
    op->walk([&](Operation *inner) {
      if (auto read = dyn_cast<attn::ReadOp>(inner)) {
        sources.hasElement |= readsElementOfStep(read, recur);
        sources.hasState |= isa<BlockArgument>(read.getTensor());
      }
      for (Value operand : inner->getOperands())
        if (Operation *definition = operand.getDefiningOp();
            definition && definition->getParentOp() != recur && recur->isAncestor(definition))
          open.push_back(definition);
    });
  }
  return sources;
}

/// The number of `op` among those of the variant.
static int numberOf(Operation *op) {
  int number = 0;
  op->getParentOfType<attn::VariantOp>().walk<WalkOrder::PreOrder>([&](Operation *other) {
    ++number;
    return other == op ? WalkResult::interrupt() : WalkResult::advance();
  });
  return number;
}

/// True of what a variant that was rewritten for an executor says is rounded to 16 bits, or was
/// when it was stored.
static bool isRounded(Operation *op) {
  auto isNarrow = [](Type type) {
    return isa<FloatType>(type) && type.getIntOrFloatBitWidth() == 16;
  };
  if (auto read = dyn_cast<attn::ReadOp>(op)) {
    Operation *source = read.getTensor().getDefiningOp();
    return isNarrow(read.getTensor().getType().getElementType()) &&
           isa_and_nonnull<attn::ComputeOp, attn::RecurOp>(source);
  }
  return isa<arith::TruncFOp>(op) && isNarrow(op->getResult(0).getType());
}

/// True of what an executor may multiply by other factors first, and round: an element that a step
/// reads, and what it makes of such before it multiplies it by something that is no state.
static bool isFactorOfStep(Operation *op) {
  auto recur = op->getParentOfType<attn::RecurOp>();
  if (!recur || op->getNumResults() != 1 || !op->getResult(0).getType().isF32())
    return false;
  if (auto read = dyn_cast<attn::ReadOp>(op))
    return readsElementOfStep(read, recur);
  auto isMultiplied = [&](Operation *user) {
    return isa<arith::MulFOp>(user) && !sourcesOf(user, recur).hasState;
  };
  if (isa<arith::MulFOp>(op) || llvm::none_of(op->getUsers(), isMultiplied))
    return false;
  return sourcesOf(op, recur).hasElement;
}

llvm::Error Program::appendDecision(Operation *op, const Environment &environment,
                                    std::vector<Instruction> &into) {
  // The decision of `skip` is that of a tile, which the stage takes.
  auto attend = dyn_cast<attn::AttendOp>(op->getParentOp());
  if (attend && op->getParentRegion() == &attend.getSkip())
    return llvm::Error::success();
  llvm::Expected<const DecisionSite *> site = environment.decisions->site(op, environment);
  if (!site)
    return site.takeError();
  Instruction in;
  in.kernel = decide;
  in.decision = *site;
  in.result = slots.lookup(op->getResult(0));
  in.varies = varies[in.result];
  std::vector<int64_t> shape;
  std::vector<Coordinate> coordinates = coordinatesOf(op, environment);
  for (const Coordinate &coordinate : coordinates)
    shape.push_back(coordinate.size);
  for (auto [axis, coordinate] : llvm::enumerate(coordinates)) {
    llvm::Expected<unsigned> slot = slotOf(coordinate.index, environment);
    if (!slot)
      return slot.takeError();
    if (varies[*slot] && !in.varies)
      continue; // the same for all of the lanes: decided once, at the first
    in.operands.push_back(*slot);
    in.steps.push_back(varies[*slot]);
    in.shape.push_back(coordinate.size);
    in.strides.push_back(strideOf(shape, axis));
  }
  if (isa<attn::ReduceOp>(op)) {
    // The loop, which stands last, has to know what it is told before it runs.
    Loop &loop = *into.back().loop;
    loop.told = newSlot({}, in.varies);
    loop.shortfall = newSlot({}, in.varies);
    Instruction before = in;
    before.kernel = lookUp;
    before.result = *loop.told;
    into.insert(into.end() - 1, std::move(before));
    in.kernel = decideExtreme;
    in.keys = {loop.scratch, *loop.shortfall}; // which vary as the result does
  } else {
    for (Value operand : op->getOperands()) {
      in.keys.push_back(slots.lookup(operand));
      in.steps.push_back(varies[in.keys.back()]);
    }
  }
  into.push_back(std::move(in));
  return llvm::Error::success();
}

llvm::Error Program::instrument(Operation *op, const Environment &environment,
                                std::vector<Instruction> &into) {
  if (environment.decisions && attn::decidesScalar(op))
    if (llvm::Error error = appendDecision(op, environment, into))
      return error;
  bool isFactor = environment.options.roundoffs.factor > 0 && (isRounded(op) || isFactorOfStep(op));
  if (environment.options.arithmetic == Arithmetic::Float64 || !(rounds(op) || isFactor))
    return llvm::Error::success();
  Instruction in;
  bool isFunction = isa<arith::DivFOp>(op) || isa_and_nonnull<math::MathDialect>(op->getDialect());
  in.kernel = isFactor                              ? changeFactor
              : isFunction && !isa<math::FmaOp>(op) ? roundFunction
                                                    : roundResult;
  in.predicate = isFactor ? numberOf(op) : 0;
  in.options = &environment.options;
  in.result = slots.lookup(op->getResult(0));
  in.varies = varies[in.result];
  into.push_back(std::move(in));
  return llvm::Error::success();
}

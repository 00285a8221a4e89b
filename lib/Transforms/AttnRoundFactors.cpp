// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-round-factors: a chunked recurrence in bf16 multiplies bf16.
//
//   S[d, e] = decay * S[d, e] + sum(K[i, d] * after[i] * u[i, e] for i)
//   S[d, e] = decay * S[d, e] + sum(bf16(K[i, d] * after[i]) * bf16(u[i, e]) for i)
//
// A matrix unit multiplies 16-bit numbers at once, and f32 as sums of them, three to six times as
// often. What the steps of a recurrence are given is rounded to 16 bits; so are then the two sides
// of each product of matrices that its chunk form consists of, as an attention's weights are. Sums,
// states and decays stay f32. An inverse, whose elements may cancel each other, is rounded to the
// sum of two numbers of 16 bits.
//
// What is only read to be rounded is stored rounded, and a copy of 16-bit numbers in 16 bits. Of an
// inverse that is, its kernel may know.
#include "AttnRegions.h"
#include "ChunkSteps.h"
#include "attnc/Analysis/Factors.h"
#include "attnc/Transforms/Passes.h"
#include "dialects/Tile/Tile.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNROUNDFACTORS
#include "attnc/Transforms/Passes.h.inc"

namespace {

using SpaceSet = llvm::SmallDenseSet<StringRef, 4>;

/// The spaces whose indices are chunks of steps: recurrences run over them.
SpaceSet chunkSpacesOf(attn::VariantOp variant) {
  SpaceSet spaces;
  for (auto recur : variant.getBody().getOps<attn::RecurOp>())
    if (attn::SpaceOp space = attn::findSpace(variant, recur.getTime()); space && space.getParent())
      spaces.insert(recur.getTime());
  return spaces;
}

bool isOver(attn::AttnTensorType type, const SpaceSet &spaces) {
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (spaces.contains(type.getAxisName(axis)))
      return true;
  return false;
}

/// Whether `compute` is a part of a chunked recurrence: it has, or reads, something for each chunk,
/// or it is what the recurrence does with one.
bool isOfChunks(attn::ComputeOp compute, const SpaceSet &spaces) {
  if (auto recur = dyn_cast<attn::RecurOp>(compute->getParentOp()))
    return spaces.contains(recur.getTime());
  if (!isa<attn::VariantOp>(compute->getParentOp()))
    return false;
  if (isOver(compute.getType(), spaces))
    return true;
  WalkResult walk = compute.walk([&](attn::ReadOp read) {
    return isOver(read.getTensor().getType(), spaces) ? WalkResult::interrupt()
                                                      : WalkResult::advance();
  });
  return walk.wasInterrupted();
}

/// Whether `value` is computed from an element of an inverse, other than by summing them up.
bool isOfInverse(Value value, attn::ComputeOp compute);

/// Whether the elements of `tensor` are those of an inverse, scaled or chosen from.
bool isInverse(Value tensor) {
  Operation *op = tensor.getDefiningOp();
  if (auto compute = dyn_cast_or_null<attn::ComputeOp>(op))
    return isOfInverse(cast<attn::YieldOp>(compute.getBody().front().getTerminator()).getValue(),
                       compute);
  return isa_and_nonnull<attn::InvertOp>(op);
}

bool isOfInverse(Value value, attn::ComputeOp compute) {
  Operation *op = value.getDefiningOp();
  if (!op || !compute->isAncestor(op) || isa<attn::ReduceOp>(op))
    return false;
  if (auto read = dyn_cast<attn::ReadOp>(op))
    return isInverse(read.getTensor());
  return llvm::any_of(op->getOperands(),
                      [&](Value operand) { return isOfInverse(operand, compute); });
}

/// The indices of `compute` and of its sums that `value` knows. Its chunk is not the index: a tile
/// lies in one.
llvm::SmallDenseSet<Value> indicesOf(Value value, attn::ComputeOp compute) {
  llvm::SmallDenseSet<Value> indices;
  llvm::SmallDenseSet<Operation *> seen;
  SmallVector<Value> open{value};
  while (!open.empty()) {
    Value next = open.pop_back_val();
    Operation *op = next.getDefiningOp();
    if (!op) {
      if (compute->isAncestor(next.getParentRegion()->getParentOp()))
        indices.insert(next);
      continue;
    }
    if (!compute->isAncestor(op) || quotientOf(next) || !seen.insert(op).second)
      continue;
    op->walk([&](Operation *inner) { llvm::append_range(open, inner->getOperands()); });
  }
  return indices;
}

/// Whether `value`, in `compute`, is an element of a tensor that the caller has in f32 and that has
/// an axis for index `own`, or the product of such and others, perhaps by way of a tensor of them.
bool isGivenInF32(Value value, Value own, attn::ComputeOp compute) {
  for (Value factor : factorsOf(value)) {
    if (auto select = factor.getDefiningOp<arith::SelectOp>()) {
      if (isGivenInF32(select.getTrueValue(), own, compute))
        return true;
      continue;
    }
    auto read = factor.getDefiningOp<attn::ReadOp>();
    if (!read || !read.getTensor().getType().getElementType().isF32() ||
        !indicesOf(factor, compute).contains(own))
      continue;
    Operation *source = read.getTensor().getDefiningOp();
    if (isa_and_nonnull<attn::InputOp>(source))
      return true;
    auto scaled = dyn_cast_or_null<attn::ComputeOp>(source);
    if (!scaled)
      continue;
    Value root = cast<attn::YieldOp>(scaled.getBody().front().getTerminator()).getValue();
    for (auto [axis, index] : llvm::enumerate(read.getIndices()))
      if (indicesOf(index, compute).contains(own) &&
          isGivenInF32(root, scaled.getBody().getArgument(axis), scaled))
        return true;
  }
  return false;
}

/// The factors of a sum of products, by the side of a product of matrices that they are on.
struct Sides {
  SmallVector<Value> left, right;
  Value row, column; ///< the index of the stage that only one of them knows
};

class Rounding {
public:
  Rounding(attn::ComputeOp compute, attn::ReduceOp reduce, Type type)
      : compute(compute), reduce(reduce), type(type),
        yield(cast<attn::YieldOp>(reduce.getBody().front().getTerminator())), builder(yield) {}

  /// Rounds the sides that are not of `type`; false if the sum is none of products of matrices, or
  /// both are.
  bool run();

private:
  std::optional<Sides> sides();
  Value rounded(ArrayRef<Value> factors, Value own);
  bool isExact(ArrayRef<Value> factors) {
    return factors.size() == 1 && exactTypeOf(factors.front()) == type;
  }

  attn::ComputeOp compute;
  attn::ReduceOp reduce;
  Type type;
  attn::YieldOp yield;
  OpBuilder builder;
};

} // namespace

/// The right side's factors know the compute's last index. There is an index that only the left
/// side's do.
std::optional<Sides> Rounding::sides() {
  Block &body = compute.getBody().front();
  if (yield.getValues().size() != 1 || body.getNumArguments() < 2)
    return std::nullopt;
  Value column = body.getArguments().back(), summed = reduce.getBody().getArgument(0);
  Sides sides;
  SmallVector<Value> either;
  llvm::SmallDenseSet<Value> ofLeft, ofRight;
  for (Value factor : factorsOf(yield.getValues().front())) {
    llvm::SmallDenseSet<Value> indices = indicesOf(factor, compute);
    if (!indices.contains(summed))
      return std::nullopt;
    bool isRight = indices.contains(column);
    bool isOwn =
        llvm::any_of(body.getArguments(), [&](Value own) { return indices.contains(own); });
    (isRight ? sides.right : isOwn ? sides.left : either).push_back(factor);
    for (Value own : indices)
      (isRight ? ofRight : ofLeft).insert(own);
  }
  auto row = llvm::find_if(body.getArguments(), [&](Value index) {
    return ofLeft.contains(index) && !ofRight.contains(index);
  });
  if (sides.left.empty() || sides.right.empty() || row == body.args_end())
    return std::nullopt;
  sides.row = *row;
  sides.column = column;
  // Beside an exact left side, which may be read turned, the right one is computed.
  llvm::append_range(isExact(sides.left) ? sides.right : sides.left, either);
  return sides;
}

/// The product of `factors`, rounded to the type, or to the sum of two numbers of it, unless it is
/// exact or given in f32. `own` is the index of its side.
Value Rounding::rounded(ArrayRef<Value> factors, Value own) {
  Location loc = reduce.getLoc();
  Value product = factors.front();
  for (Value factor : factors.drop_front())
    product = arith::MulFOp::create(builder, loc, product, factor);
  if (isExact(factors) || isGivenInF32(product, own, compute))
    return product;
  auto round = [&](Value value) -> Value {
    Value narrow = arith::TruncFOp::create(builder, loc, type, value);
    return arith::ExtFOp::create(builder, loc, builder.getF32Type(), narrow);
  };
  Value first = round(product);
  if (!isOfInverse(product, compute))
    return first;
  Value rest = arith::SubFOp::create(builder, loc, product, first);
  return arith::AddFOp::create(builder, loc, first, round(rest));
}

bool Rounding::run() {
  std::optional<Sides> found = sides();
  if (!found || (isExact(found->left) && isExact(found->right)))
    return false;
  Value left = rounded(found->left, found->row), right = rounded(found->right, found->column);
  yield->setOperand(0, arith::MulFOp::create(builder, reduce.getLoc(), left, right));
  eraseDeadIn(compute);
  return true;
}

namespace {

/// Stores in 16 bits what is only read to be rounded to them.
class Narrowing {
public:
  explicit Narrowing(Type type) : type(type) {}

  bool narrow(attn::ComputeOp compute);
  bool narrow(attn::RecurOp recur, unsigned output);

private:
  bool areRounded(Value tensor, Operation *except = nullptr);
  void setType(Value tensor);

  Type type;
};

} // namespace

/// The roundings of what is read, or of that where a condition holds and 0 elsewhere; none if it is
/// also used in another way.
static SmallVector<arith::TruncFOp> roundingsOf(Value value, Type type) {
  SmallVector<arith::TruncFOp> roundings;
  SmallVector<Value> open{value};
  while (!open.empty())
    for (OpOperand &use : open.pop_back_val().getUses()) {
      if (auto round = dyn_cast<arith::TruncFOp>(use.getOwner()); round && round.getType() == type)
        roundings.push_back(round);
      else if (auto select = dyn_cast<arith::SelectOp>(use.getOwner());
               select && use.getOperandNumber() == 1 &&
               matchPattern(select.getFalseValue(), m_AnyZeroFloat()))
        open.push_back(select);
      else
        return {};
    }
  return roundings;
}

/// Whether all uses of `tensor`, but for `except`, read it to round it.
bool Narrowing::areRounded(Value tensor, Operation *except) {
  unsigned reads = 0;
  for (Operation *user : tensor.getUsers()) {
    if (user == except)
      continue;
    auto read = dyn_cast<attn::ReadOp>(user);
    if (!read || roundingsOf(read, type).empty())
      return false;
    ++reads;
  }
  return reads != 0 || except;
}

/// An output keeps its type.
static bool isOnlyRead(attn::ComputeOp compute) {
  return llvm::all_of(compute->getUsers(), llvm::IsaPred<attn::ReadOp>);
}

/// Readers take the elements as they are.
void Narrowing::setType(Value tensor) {
  auto old = cast<attn::AttnTensorType>(tensor.getType());
  tensor.setType(attn::AttnTensorType::get(old.getContext(), old.getAxes(), type));
  for (Operation *user : tensor.getUsers()) {
    auto read = dyn_cast<attn::ReadOp>(user);
    if (!read)
      continue;
    for (arith::TruncFOp round : roundingsOf(read, type))
      for (Operation *extension : llvm::make_early_inc_range(round->getUsers())) {
        extension->getResult(0).replaceAllUsesWith(round.getIn());
        extension->erase();
      }
    eraseDeadIn(read->getParentOfType<attn::ComputeOp>());
  }
}

bool Narrowing::narrow(attn::ComputeOp compute) {
  Value root = cast<attn::YieldOp>(compute.getBody().front().getTerminator()).getValue();
  if (!compute.getType().getElementType().isF32() ||
      (!areRounded(compute.getResult()) && !(exactTypeOf(root) == type && isOnlyRead(compute))))
    return false;
  setType(compute.getResult());
  return true;
}

/// Output `output` of a recurrence: what a step computes for it, or a state, which is then copied
/// before the step reads it. Where it is read to be rounded, the copy is read instead.
bool Narrowing::narrow(attn::RecurOp recur, unsigned output) {
  Value result = recur.getResult(output);
  Operation *yield = recur.getBody().front().getTerminator();
  Value given = yield->getOperand(output);
  auto from = cast<attn::AttnTensorType>(given.getType());
  unsigned uses = llvm::count(yield->getOperands(), given);
  if (!from.getElementType().isF32() || result.use_empty() || !areRounded(result))
    return false;
  auto compute = given.getDefiningOp<attn::ComputeOp>();
  bool isOwn = compute && compute->getParentOp() == recur && uses == 1;
  if (isOwn && areRounded(given, yield)) {
    setType(given);
    setType(result);
    return true;
  }
  bool isState = isa<BlockArgument>(given);
  OpBuilder builder(yield);
  if (isState)
    builder.setInsertionPointToStart(&recur.getBody().front());
  Location loc = recur.getLoc();
  auto to = attn::AttnTensorType::get(from.getContext(), from.getAxes(), type);
  auto copy = attn::ComputeOp::create(builder, loc, to);
  Block &body = copy.getBody().emplaceBlock();
  builder.setInsertionPointToStart(&body);
  SmallVector<Value> indices;
  for (unsigned axis = 0; axis < from.getRank(); ++axis)
    indices.push_back(body.addArgument(builder.getI32Type(), loc));
  Value element = attn::ReadOp::create(builder, loc, builder.getF32Type(), given, indices);
  attn::YieldOp::create(builder, loc, element);
  yield->setOperand(output, copy);
  setType(result);
  if (!isState)
    return true;
  for (Operation *user : llvm::make_early_inc_range(given.getUsers()))
    if (auto read = dyn_cast<attn::ReadOp>(user);
        read && read->getParentOp() != copy && !roundingsOf(read, type).empty())
      read.getTensorMutable().assign(copy.getResult());
  setType(copy.getResult());
  return true;
}

/// Whether all that `value` is used for rounds it, to one number of 16 bits or to two: itself, or
/// its products and choices from it, in the stage that reads it or, if it is what that computes, in
/// those that read that.
static bool isOnlyReadRounded(Value value) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    if (isa<attn::ReadOp, arith::MulFOp, arith::SelectOp>(user))
      return isOnlyReadRounded(user->getResult(0));
    if (auto difference = dyn_cast<arith::SubFOp>(user)) // of what it was rounded to
      return difference.getLhs() == value && roundedFrom(difference.getRhs()) == value;
    if (isa<attn::YieldOp>(user) && isa<attn::ComputeOp>(user->getParentOp()))
      return isOnlyReadRounded(user->getParentOp()->getResult(0));
    return isa<arith::TruncFOp>(user);
  });
}

namespace {

/// The type of what products on the matrix units of the target multiply; null if they are f32.
Type operandTypeOf(attn::VariantOp variant) {
  auto schedule = variant->getAttrOfType<tile::ScheduleAttr>(tile::ScheduleAttr::attrName);
  auto type = variant->getAttrOfType<TypeAttr>("attn.operand_dtype");
  // Numbers of recurrences may be out of the range of f16.
  bool isForGPU = schedule && schedule.getTarget() != "host";
  return isForGPU && type && type.getValue().isBF16() ? type.getValue() : Type();
}

struct AttnRoundFactors : impl::AttnRoundFactorsBase<AttnRoundFactors> {
  using AttnRoundFactorsBase::AttnRoundFactorsBase;

  void runOnOperation() override {
    for (auto variant : getOperation().getBody()->getOps<attn::VariantOp>())
      if (Type type = operandTypeOf(variant))
        round(variant, type);
  }

private:
  void round(attn::VariantOp variant, Type type) {
    SpaceSet spaces = chunkSpacesOf(variant);
    SmallVector<std::pair<attn::ComputeOp, attn::ReduceOp>> sums;
    SmallVector<attn::ComputeOp> computes;
    SmallVector<attn::RecurOp> recurs;
    variant.walk([&](attn::ReduceOp reduce) {
      auto compute = reduce->getParentOfType<attn::ComputeOp>();
      if (compute && reduce.getKind() == attn::Reduction::Sum && reduce.getType().isF32() &&
          isOfChunks(compute, spaces))
        sums.push_back({compute, reduce});
    });
    for (auto [compute, reduce] : sums)
      numRounded += Rounding(compute, reduce, type).run();
    variant.walk([&](attn::ComputeOp compute) { computes.push_back(compute); });
    variant.walk([&](attn::RecurOp recur) { recurs.push_back(recur); });
    variant.walk(
        [](attn::InvertOp invert) { invert.setRounded(isOnlyReadRounded(invert.getResult())); });
    Narrowing narrowing(type);
    for (attn::ComputeOp compute : computes)
      numNarrowed += narrowing.narrow(compute);
    for (attn::RecurOp recur : recurs)
      for (unsigned output = 0; output < recur.getNumOutputs(); ++output)
        numNarrowed += narrowing.narrow(recur, output);
  }
};

} // namespace
} // namespace attnc

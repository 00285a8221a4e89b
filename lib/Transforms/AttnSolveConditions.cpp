// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-solve-conditions: a reduction runs over the range that its condition leaves of its index.
//
// Of a condition `a and b and ...` each comparison of ints that is linear in the index is solved
// for it:
//
//   sum(x for kv if kv <= q)                  kv from 0 to q + 1
//   sum(x for c if t - 3 + c >= 0)            c from 3 - t
//   any(x for o if r <= kv + o and o < n)     o from r - kv to n
//
// What is not stays a condition. Ints of a spec wrap around at 32 bits, where moving a term to the
// other side is wrong; so a comparison is solved only where the intervals of indices, sizes and
// constants show that nothing it is solved through, and nothing that is computed instead, leaves
// 32 bits. The key range analysis solves masks under conditions known at launch (KeyRanges.h); here
// the bound itself is 32-bit arithmetic of the language, so that the reference runs it.
#include "AttnRegions.h"
#include "attnc/Analysis/Compilable.h"
#include "attnc/Analysis/RowExpr.h"
#include "attnc/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using Predicate = arith::CmpIPredicate;

namespace attnc {
#define GEN_PASS_DEF_ATTNSOLVECONDITIONS
#include "attnc/Transforms/Passes.h.inc"

namespace {

/// coefficient * index + the sum of factor * value + constant, without wrapping around.
struct Linear {
  int64_t coefficient = 0, constant = 0;
  SmallVector<std::pair<Value, int64_t>, 4> terms;

  void add(const Linear &other, int64_t factor) {
    coefficient += other.coefficient * factor;
    constant += other.constant * factor;
    for (auto [value, times] : other.terms)
      terms.push_back({value, times * factor});
  }
};

constexpr int64_t kMaxFactor = 1 << 20;
/// Ops that one comparison is solved through, each counted as often as it is used.
constexpr unsigned kMaxSteps = 128;

/// Solves the condition of one reduction.
class Solver {
public:
  explicit Solver(attn::ReduceOp reduce) : reduce(reduce), index(reduce.getBody().getArgument(0)) {
    markDependent(reduce.getBody().front());
  }

  bool run() {
    auto yield = cast<attn::YieldOp>(reduce.getBody().front().getTerminator());
    if (yield.getValues().size() != 2)
      return false;
    SmallVector<Value> left;
    llvm::SetVector<Value> conjuncts = conjunctsOf(yield.getValues()[1]);
    for (Value conjunct : conjuncts)
      if (!solve(conjunct))
        left.push_back(conjunct);
    if (left.size() == conjuncts.size())
      return false;
    setBounds();
    OpBuilder builder(yield);
    SmallVector<Value> values = {yield.getValues()[0]};
    if (!left.empty()) {
      Value all = left.front();
      for (Value condition : llvm::drop_begin(left))
        all = arith::AndIOp::create(builder, yield.getLoc(), all, condition);
      values.push_back(all);
    }
    attn::YieldOp::create(builder, yield.getLoc(), values);
    yield.erase();
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(reduce.getBody().front())))
      if (isOpTriviallyDead(&op)) // what was compared
        op.erase();
    return true;
  }

private:
  void markDependent(Block &block) {
    dependent.insert(index);
    for (Operation &op : block.without_terminator()) {
      WalkResult walk = op.walk([&](Operation *inner) {
        bool depends =
            llvm::any_of(inner->getOperands(), [&](Value v) { return dependent.contains(v); });
        return depends ? WalkResult::interrupt() : WalkResult::advance();
      });
      if (walk.wasInterrupted())
        dependent.insert(op.result_begin(), op.result_end());
    }
  }

  /// Those of which `condition` is the conjunction.
  static llvm::SetVector<Value> conjunctsOf(Value condition) {
    llvm::SetVector<Value> seen, conjuncts;
    seen.insert(condition);
    for (size_t next = 0; next < seen.size(); ++next) {
      Value value = seen[next];
      if (auto both = value.getDefiningOp<arith::AndIOp>()) {
        seen.insert(both.getLhs());
        seen.insert(both.getRhs());
      } else {
        conjuncts.insert(value);
      }
    }
    return conjuncts;
  }

  /// `value` as a linear function of the index; nothing where it is none, or may wrap around.
  std::optional<Linear> linear(Value value) {
    Linear result;
    if (stepsLeft == 0)
      return std::nullopt;
    --stepsLeft;
    if (!dependent.contains(value)) {
      IntegerAttr constant;
      if (matchPattern(value, m_Constant(&constant)))
        result.constant = constant.getInt();
      else
        result.terms.push_back({value, 1});
      return result;
    }
    if (value == index) {
      result.coefficient = 1;
      return result;
    }
    Operation *op = value.getDefiningOp();
    if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op) || wraps(op))
      return std::nullopt;
    std::optional<Linear> lhs = linear(op->getOperand(0)), rhs = linear(op->getOperand(1));
    if (!lhs || !rhs)
      return std::nullopt;
    if (isa<arith::MulIOp>(op)) {
      bool isLeft = lhs->coefficient == 0 && lhs->terms.empty();
      const Linear &factor = isLeft ? *lhs : *rhs;
      if (factor.coefficient != 0 || !factor.terms.empty() ||
          std::abs(factor.constant) > kMaxFactor)
        return std::nullopt;
      result.add(isLeft ? *rhs : *lhs, factor.constant);
    } else {
      result = *lhs;
      result.add(*rhs, isa<arith::AddIOp>(op) ? 1 : -1);
    }
    return std::abs(result.coefficient) > kMaxFactor ? std::nullopt : std::optional(result);
  }

  /// Whether `op`'s exact result may leave 32 bits.
  static bool wraps(Operation *op) {
    Interval a = intervalOf(op->getOperand(0)), b = intervalOf(op->getOperand(1));
    if (isa<arith::AddIOp>(op))
      return !sum(a, b).fits();
    if (isa<arith::SubIOp>(op))
      return !sum(a, product(b, -1)).fits();
    return b.low == b.high ? !product(a, b.low).fits()
                           : a.low != a.high || !product(b, a.low).fits();
  }

  /// Adds the bounds that say the same as `condition`.
  bool solve(Value condition) {
    auto compare = condition.getDefiningOp<arith::CmpIOp>();
    if (!compare || !compare.getLhs().getType().isInteger(32) || !dependent.contains(condition))
      return false;
    stepsLeft = kMaxSteps;
    std::optional<Linear> lhs = linear(compare.getLhs()), rhs = linear(compare.getRhs());
    if (!lhs || !rhs)
      return false;
    Linear target = *rhs; // coefficient * index compared with target
    target.add(*lhs, -1);
    int64_t coefficient = -target.coefficient;
    target.coefficient = 0;
    Predicate predicate = compare.getPredicate();
    if (coefficient < 0) {
      Linear negated;
      negated.add(target, -1);
      target = negated;
      coefficient = -coefficient;
      predicate = swapped(predicate);
    }
    // `<` and `>=` are about the same place: below it, and from it on.
    bool isBefore = predicate == Predicate::slt || predicate == Predicate::sge;
    bool isBehind = predicate == Predicate::sle || predicate == Predicate::sgt;
    bool isEqual = predicate == Predicate::eq && coefficient == 1;
    if (coefficient == 0 || !(isBefore || isBehind || isEqual))
      return false;
    Value at = emit(target);
    if (!at)
      return false;
    if (predicate == Predicate::slt || predicate == Predicate::sle)
      uppers.push_back(place(at, coefficient, isBehind));
    else if (!isEqual)
      lowers.push_back(place(at, coefficient, isBehind));
    else {
      lowers.push_back(at);
      uppers.push_back(place(at, 1, /*isBehind=*/true));
    }
    return true;
  }

  static Predicate swapped(Predicate predicate) {
    switch (predicate) {
    case Predicate::slt:
      return Predicate::sgt;
    case Predicate::sle:
      return Predicate::sge;
    case Predicate::sgt:
      return Predicate::slt;
    case Predicate::sge:
      return Predicate::sle;
    default:
      return predicate;
    }
  }

  /// The sum before the reduction; null where it may leave 32 bits on the way, in whatever order
  /// its terms are added.
  Value emit(const Linear &target) {
    Interval range = {std::min<int64_t>(target.constant, 0), std::max<int64_t>(target.constant, 0)};
    for (auto [value, factor] : target.terms) {
      Interval term = product(intervalOf(value), factor);
      range.low += std::min<int64_t>(term.low, 0);
      range.high += std::max<int64_t>(term.high, 0);
      if (std::abs(factor) > kMaxFactor || !term.fits() || !range.fits())
        return {};
    }
    OpBuilder builder(reduce);
    SmallVector<std::pair<Value, int64_t>> terms; // what is subtracted comes last
    for (bool isPositive : {true, false})
      llvm::copy_if(target.terms, std::back_inserter(terms),
                    [&](auto &term) { return (term.second > 0) == isPositive; });
    bool startsWithConstant = terms.empty() || terms.front().second < 0;
    Value result = startsWithConstant ? constant(builder, target.constant) : Value();
    for (auto [value, factor] : terms)
      result = append(builder, result, outside(value), factor);
    if (!startsWithConstant && target.constant != 0)
      result = append(builder, result, constant(builder, target.constant), 1);
    return result;
  }

  Value append(OpBuilder &builder, Value total, Value value, int64_t factor) {
    Location loc = reduce.getLoc();
    if (factor == -1 && total)
      return arith::SubIOp::create(builder, loc, total, value);
    if (factor != 1)
      value = arith::MulIOp::create(builder, loc, value, constant(builder, factor));
    return total ? arith::AddIOp::create(builder, loc, total, value).getResult() : value;
  }

  /// `value`, which does not depend on the index, in front of the reduction.
  Value outside(Value value) {
    Operation *op = value.getDefiningOp();
    if (!op || !reduce->isAncestor(op) || moved.contains(value))
      return moved.lookupOrDefault(value);
    OpBuilder builder(reduce);
    for (Operation *before : sliceOf(op, reduce).ops)
      if (!moved.contains(before->getResult(0)))
        builder.clone(*before, moved);
    return builder.clone(*op, moved)->getResult(0);
  }

  /// The first index i with coefficient * i >= at, or > at: where a range ends, or starts. Indices
  /// are less than the largest int, so that nothing is lost where `at` is cut to just below it.
  Value place(Value at, int64_t coefficient, bool isBehind) {
    OpBuilder builder(reduce);
    Location loc = reduce.getLoc();
    if (coefficient > 1) { // the last one that is not behind
      if (!isBehind) {     // c i >= at  <=>  c i > at - 1
        Value least = arith::MaxSIOp::create(builder, loc, at, constant(builder, 0));
        at = arith::SubIOp::create(builder, loc, least, constant(builder, 1));
      }
      at = arith::FloorDivSIOp::create(builder, loc, at, constant(builder, coefficient));
    } else if (!isBehind) {
      return at;
    }
    if (intervalOf(at).high == INT32_MAX)
      at = arith::MinSIOp::create(builder, loc, at, constant(builder, INT32_MAX - 1));
    return arith::AddIOp::create(builder, loc, at, constant(builder, 1));
  }

  Value constant(OpBuilder &builder, int64_t value) {
    return arith::ConstantOp::create(builder, reduce.getLoc(),
                                     builder.getI32IntegerAttr(static_cast<int32_t>(value)));
  }

  /// The bounds that the reduction has, and those that were found.
  void setBounds() {
    OpBuilder builder(reduce);
    if (reduce.getLower())
      lowers.push_back(reduce.getLower());
    if (reduce.getUpper())
      uppers.push_back(reduce.getUpper());
    auto assign = [&](MutableOperandRange bound, ArrayRef<Value> values, bool isLower) {
      if (values.empty())
        return;
      Value all = values.front();
      for (Value value : values.drop_front())
        all = isLower ? arith::MaxSIOp::create(builder, reduce.getLoc(), all, value).getResult()
                      : arith::MinSIOp::create(builder, reduce.getLoc(), all, value).getResult();
      bound.assign(all);
    };
    assign(reduce.getLowerMutable(), lowers, /*isLower=*/true);
    assign(reduce.getUpperMutable(), uppers, /*isLower=*/false);
  }

  attn::ReduceOp reduce;
  BlockArgument index;
  llvm::DenseSet<Value> dependent; ///< on the index
  SmallVector<Value> lowers, uppers;
  IRMapping moved; ///< out of the reduction
  unsigned stepsLeft = 0;
};

struct AttnSolveConditions : impl::AttnSolveConditionsBase<AttnSolveConditions> {
  using AttnSolveConditionsBase::AttnSolveConditionsBase;

  void runOnOperation() override {
    SmallVector<attn::ReduceOp> reductions;
    getOperation().walk([&](attn::ReduceOp reduce) { reductions.push_back(reduce); });
    for (attn::ReduceOp reduce : reductions)
      if (Solver(reduce).run())
        ++numSolved;
  }
};

} // namespace
} // namespace attnc

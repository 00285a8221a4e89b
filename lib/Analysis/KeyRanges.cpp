// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Solves mask predicates for kv; KeyRanges.h explains what is computed and why it is sound.
#include "attnc/Analysis/KeyRanges.h"
#include "MaskValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace attnc;
using Kind = RowExpr::Kind;
using Ref = RowExpr::Ref;

namespace {

/// Operations that one comparison is solved through. Each `abs`, `min` and `max` solves two, so
/// that a few dozen of them nested are more than any budget.
constexpr unsigned kMaxSteps = 64;
/// Nodes that the bounds of a mask are made of: what a kernel computes before its first key.
constexpr unsigned kMaxResultNodes = 160;

/// Minimum and maximum over the rows of a tile.
struct Bounds {
  Ref min, max;
};

class Solver {
public:
  Solver(attn::AttendOp attend, unsigned maxRanges, RowExprs &expressions)
      : attend(attend), maxRanges(maxRanges), expressions(expressions) {}

  KeyRanges run() {
    KeyRanges result;
    if (attend.getMask().empty()) {
      result.ranges.push_back(everything());
      return result;
    }
    Block &block = attend.getMask().front();
    keyArg = block.getArgument(3);
    values.emplace(attend, expressions);
    Value mask = cast<attn::YieldOp>(block.getTerminator()).getValue();
    markNeeded(block, mask);
    for (Operation &op : block.without_terminator())
      for (bool negated : {false, true})
        if (op.getNumResults() == 1 && needed[negated].contains(op.getResult(0)))
          solved[negated][op.getResult(0)] = solve(op, negated);
    result.ranges = rangesOf(mask, /*negated=*/false);
    result.exact = exact;
    return result;
  }

private:
  using Ranges = llvm::SmallVector<KeyRange, 4>;

  Ref constant(int64_t value) { return expressions.constant(value); }
  Ref keyCount() { return expressions.leaf(Kind::KeyCount); }

  KeyRange everything() { return {constant(0), keyCount(), constant(0), keyCount()}; }
  /// Restricts nothing, guarantees nothing.
  Ranges unknown() {
    exact = false;
    return {KeyRange{constant(0), keyCount(), nullptr, nullptr}};
  }

  KeyRange intersect(const KeyRange &a, const KeyRange &b) {
    KeyRange r;
    r.mayLo = maxOf(a.mayLo, b.mayLo);
    r.mayHi = minOf(a.mayHi, b.mayHi);
    if (a.hasMust() && b.hasMust()) {
      r.mustLo = maxOf(a.mustLo, b.mustLo);
      r.mustHi = minOf(a.mustHi, b.mustHi);
    }
    return r;
  }
  // 0 and size(kv) are the neutral elements, as every bound is clamped to them in the end.
  Ref maxOf(Ref a, Ref b) {
    if (a->isConstant(0))
      return b;
    return b->isConstant(0) ? a : expressions.max(a, b);
  }
  Ref minOf(Ref a, Ref b) {
    if (a->kind == Kind::KeyCount)
      return b;
    return b->kind == Kind::KeyCount ? a : expressions.min(a, b);
  }
  /// Of what some keys of either may be visible; the guarantee of `a`, which still holds.
  KeyRange hull(const KeyRange &a, const KeyRange &b) {
    KeyRange r = a;
    bool fromStart = a.mayLo->isConstant(0) || b.mayLo->isConstant(0);
    bool toEnd = a.mayHi->kind == Kind::KeyCount || b.mayHi->kind == Kind::KeyCount;
    r.mayLo = fromStart ? constant(0) : expressions.min(a.mayLo, b.mayLo);
    r.mayHi = toEnd ? keyCount() : expressions.max(a.mayHi, b.mayHi);
    return r;
  }

  Ranges intersectAll(const Ranges &a, const Ranges &b) {
    Ranges result;
    for (const KeyRange &x : a)
      for (const KeyRange &y : b)
        result.push_back(intersect(x, y));
    result = limit(result);
    if (!isTooLarge(result))
      return result;
    Ranges x = coarse(a), y = coarse(b), both = {intersect(x.front(), y.front())};
    return !isTooLarge(both) ? both : isTooLarge(x) ? y : x;
  }
  Ranges unite(Ranges a, const Ranges &b) {
    a.append(b.begin(), b.end());
    a = limit(a);
    return isTooLarge(a) ? coarse(a) : a;
  }
  /// Merges the last ranges into their hull until at most `maxRanges` are left.
  Ranges limit(const Ranges &all) {
    Ranges ranges;
    for (const KeyRange &range : all)
      if (!llvm::is_contained(ranges, range))
        ranges.push_back(range);
    while (ranges.size() > maxRanges) {
      KeyRange last = ranges.pop_back_val();
      ranges.back() = hull(ranges.back(), last);
      exact = false;
    }
    return ranges;
  }
  /// One range that guarantees nothing, or no restriction if even that is large.
  Ranges coarse(const Ranges &ranges) {
    exact = false;
    KeyRange all = ranges.front();
    for (const KeyRange &range : llvm::drop_begin(ranges))
      all = hull(all, range);
    all.mustLo = all.mustHi = nullptr;
    return isTooLarge({all}) ? unknown() : Ranges{all};
  }
  static bool isTooLarge(const Ranges &ranges) {
    SmallVector<Ref> roots;
    for (const KeyRange &r : ranges)
      roots.append({r.mayLo, r.mayHi, r.mustLo, r.mustHi});
    unsigned nodes = 0;
    forEachNode(roots, [&](Ref) { ++nodes; });
    return nodes > kMaxResultNodes;
  }

  static bool isNot(arith::XOrIOp op, Value &operand) {
    bool right = matchPattern(op.getRhs(), m_One());
    operand = right ? op.getLhs() : op.getRhs();
    return right || matchPattern(op.getLhs(), m_One());
  }

  /// Which conditions have to be solved, and which negated, for `mask` to be.
  void markNeeded(Block &block, Value mask) {
    needed[0].insert(mask);
    for (Operation &op : llvm::reverse(block.without_terminator()))
      for (bool negated : {false, true}) {
        if (op.getNumResults() != 1 || !needed[negated].contains(op.getResult(0)))
          continue;
        Value operand;
        if (isa<arith::AndIOp, arith::OrIOp>(op))
          needed[negated].insert(op.operand_begin(), op.operand_end());
        else if (auto flip = dyn_cast<arith::XOrIOp>(op); flip && isNot(flip, operand))
          needed[!negated].insert(operand);
      }
  }

  Ranges rangesOf(Value condition, bool negated) {
    if (!values->isUniform(condition))
      return solved[negated].lookup(condition);
    IntegerAttr known;
    if (matchPattern(condition, m_Constant(&known)))
      return known.getValue().isOne() != negated
                 ? Ranges{everything()}
                 : Ranges{KeyRange{constant(0), constant(0), constant(0), constant(0)}};
    Ref some = negated ? constant(0) : keyCount(), none = negated ? keyCount() : constant(0);
    Ref hi = expressions.select(condition, some, none);
    return {KeyRange{constant(0), hi, constant(0), hi}};
  }

  Ranges solve(Operation &op, bool negated) {
    if (values->isUniform(op.getResult(0)))
      return rangesOf(op.getResult(0), negated);
    Value operand;
    Ranges result;
    if (isa<arith::AndIOp, arith::OrIOp>(op)) {
      Ranges a = rangesOf(op.getOperand(0), negated), b = rangesOf(op.getOperand(1), negated);
      result = isa<arith::AndIOp>(op) != negated ? intersectAll(a, b) : unite(std::move(a), b);
    } else if (auto flip = dyn_cast<arith::XOrIOp>(op); flip && isNot(flip, operand)) {
      result = rangesOf(operand, !negated);
    } else if (auto cmp = dyn_cast<arith::CmpIOp>(op);
               cmp && cmp.getLhs().getType().isInteger(32)) {
      result = solveComparison(cmp, negated);
    } else {
      return unknown();
    }
    return expressions.gaveUp() || isTooLarge(result) ? unknown() : result;
  }

  Ranges solveComparison(arith::CmpIOp cmp, bool negated) {
    const MaskValue lhs = (*values)[cmp.getLhs()], rhs = (*values)[cmp.getRhs()];
    LinearSum difference = lhs.sum; // lhs - rhs, compared with 0
    if (!difference.add(rhs.sum, -1))
      return unknown();
    stepsLeft = kMaxSteps;
    positive.clear();
    rowBounds.clear();
    Ranges ranges = solveDifference(
        negated ? arith::invertPredicate(cmp.getPredicate()) : cmp.getPredicate(), difference);
    if (Ref guard = values->both(lhs.guard, rhs.guard))
      for (KeyRange &range : ranges)
        range = guarded(guard, range);
    return ranges;
  }

  Ranges solveDifference(arith::CmpIPredicate predicate, const LinearSum &difference) {
    switch (predicate) {
    case arith::CmpIPredicate::sle:
      return atMost(difference, 0);
    case arith::CmpIPredicate::slt:
      return atMost(difference, -1);
    case arith::CmpIPredicate::sge:
      return atLeast(difference, 0);
    case arith::CmpIPredicate::sgt:
      return atLeast(difference, 1);
    case arith::CmpIPredicate::eq:
      return intersectAll(atMost(difference, 0), atLeast(difference, 0));
    case arith::CmpIPredicate::ne:
      return unite(atMost(difference, -1), atLeast(difference, 1));
    default:
      return unknown();
    }
  }

  /// expression <= bound.
  Ranges atMost(const LinearSum &expression, int64_t bound) {
    return solveFor(expression, constant(bound), /*upper=*/true);
  }
  Ranges atLeast(const LinearSum &expression, int64_t bound) {
    return solveFor(expression, constant(bound), /*upper=*/false);
  }

  /// expression <= bound (upper) or expression >= bound, solved for kv. `bound` is a function of
  /// the row whose row leaves are `FirstRow`; `boundsOf` replaces them by extremes in the end.
  Ranges solveFor(const LinearSum &expression, Ref bound, bool upper) {
    if (stepsLeft == 0)
      return unknown();
    --stepsLeft;
    Ref keyTerm = nullptr;
    int64_t coefficient = 0;
    Ref rest = constant(expression.constant);
    for (auto [term, factor] : expression.terms) {
      bool isAtom = term->kind == Kind::Atom;
      if (term->kind == Kind::Key || (isAtom && values->dependsOnKey(term->uniform))) {
        if (keyTerm)
          return unknown(); // kv occurs in two terms, as in kv % n
        keyTerm = term;
        coefficient = factor;
        continue;
      }
      Ref value = isAtom ? (*values)[term->uniform].row : term;
      if (!value)
        return unknown();
      rest = expressions.add(rest, expressions.mul(value, constant(factor)));
    }
    if (!keyTerm)
      return unknown(); // a condition on rows alone
    // coefficient * term <= bound - rest, divided by the coefficient (rounding inwards).
    Ref target = expressions.sub(bound, rest);
    if (coefficient < 0) {
      target = expressions.sub(constant(0), target);
      coefficient = -coefficient;
      upper = !upper;
    }
    if (!upper)
      target = expressions.add(target, constant(coefficient - 1)); // ceiling
    target = expressions.make(Kind::FloorDiv, target, constant(coefficient));
    return keyTerm->kind == Kind::Key ? rangeFromBound(target, upper)
                                      : solveAtom(keyTerm->uniform, target, upper);
  }

  /// atom <= target (upper) or atom >= target.
  Ranges solveAtom(Value atom, Ref target, bool upper) {
    Operation *op = atom.getDefiningOp();
    if (std::optional<int64_t> power = powerOfShift(op); power && isa<arith::ShRSIOp>(op))
      return solveQuotient(op->getOperand(0), constant(*power), target, upper);
    if (auto div = dyn_cast<arith::FloorDivSIOp>(op)) {
      // The guard of the comparison says of a divisor that is not known that it is above 0.
      Ref divisor = (*values)[div.getRhs()].row;
      if (!values->isUniform(div.getRhs()) || divisor->high <= 0 ||
          (divisor->kind == Kind::Constant && divisor->constant <= 0))
        return unknown();
      return solveQuotient(div.getLhs(), divisor, target, upper);
    }
    if (auto abs = dyn_cast<math::AbsIOp>(op)) {
      Ref negative = expressions.sub(constant(0), target);
      LinearSum inner = (*values)[abs.getOperand()].sum;
      Ranges a = solveFor(inner, target, upper), b = solveFor(inner, negative, !upper);
      return upper ? intersectAll(a, b) : unite(std::move(a), b);
    }
    if (isa<arith::MinSIOp, arith::MaxSIOp>(op)) {
      LinearSum lhs = (*values)[op->getOperand(0)].sum, rhs = (*values)[op->getOperand(1)].sum;
      Ranges a = solveFor(lhs, target, upper), b = solveFor(rhs, target, upper);
      return isa<arith::MinSIOp>(op) == upper ? unite(std::move(a), b) : intersectAll(a, b);
    }
    return unknown();
  }

  /// floor(y / c) <= t  <=>  y <= c*t + c - 1, and floor(y / c) >= t  <=>  y >= c*t, for c > 0.
  Ranges solveQuotient(Value dividend, Ref divisor, Ref target, bool upper) {
    positive.insert(divisor);
    Ref scaled = expressions.mul(clampToInt(target, divisor), divisor);
    if (upper)
      scaled = expressions.add(scaled, expressions.sub(divisor, constant(1)));
    return solveFor((*values)[dividend].sum, scaled, upper);
  }

  /// A bound of an int, which says the same when it is cut to just outside of what an int can be:
  /// where its product with a divisor that is known at launch only might not fit 64 bits.
  Ref clampToInt(Ref target, Ref divisor) {
    constexpr int64_t outside = (int64_t(1) << 31) + 1, most = int64_t(1) << 32;
    auto largest = [](Ref e) { return std::max(-__int128(e->low), __int128(e->high)); };
    if (largest(target) <= most && largest(target) * largest(divisor) <= __int128(1) << 62)
      return target;
    return expressions.max(expressions.min(target, constant(outside)), constant(-outside));
  }

  /// `range` where `guard` >= 0, which is known at launch only; elsewhere nothing is known.
  KeyRange guarded(Ref guard, const KeyRange &range) {
    KeyRange result;
    result.mayLo = expressions.ifNonNegative(guard, range.mayLo, constant(0));
    result.mayHi = expressions.ifNonNegative(guard, range.mayHi, keyCount());
    if (range.hasMust()) { // one end is enough for nothing to lie between
      result.mustLo = range.mustLo;
      result.mustHi = expressions.ifNonNegative(guard, range.mustHi, constant(0));
    }
    return result;
  }

  Ranges rangeFromBound(Ref target, bool upper) {
    Bounds bounds = boundsOf(target);
    KeyRange range = everything();
    if (upper) { // kv <= target, so kv < target + 1
      range.mayHi = expressions.add(bounds.max, constant(1));
      range.mustHi = expressions.add(bounds.min, constant(1));
    } else {
      range.mayLo = bounds.min;
      range.mustLo = bounds.max;
    }
    return {range};
  }

  /// Interval arithmetic over rows in [FirstRow, LastRow].
  Bounds boundsOf(Ref e) {
    if (e->kind == Kind::FirstRow)
      return {e, expressions.leaf(Kind::LastRow)};
    if (!e->hasRow)
      return {e, e};
    if (auto it = rowBounds.find(e); it != rowBounds.end())
      return it->second;
    Bounds a = boundsOf(e->lhs), b = boundsOf(e->rhs), result;
    switch (e->kind) {
    case Kind::Add:
    case Kind::Min:
    case Kind::Max:
      result = {expressions.make(e->kind, a.min, b.min), expressions.make(e->kind, a.max, b.max)};
      break;
    case Kind::Sub:
      result = {expressions.sub(a.min, b.max), expressions.sub(a.max, b.min)};
      break;
    case Kind::FloorDiv: // the divisor is the same for all rows, and counts as positive
      result = {expressions.make(Kind::FloorDiv, a.min, b.min),
                expressions.make(Kind::FloorDiv, a.max, b.min)};
      break;
    default:
      result = cornersOf(a, b);
      break;
    }
    return rowBounds[e] = result;
  }
  /// Products are monotone in each operand: the extremes are at corners.
  Bounds cornersOf(const Bounds &a, const Bounds &b) {
    Ref corners[4] = {expressions.mul(a.min, b.min), expressions.mul(a.max, b.min),
                      expressions.mul(a.min, b.max), expressions.mul(a.max, b.max)};
    if (b.min == b.max && (b.min->low >= 0 || positive.contains(b.min)))
      return {corners[0], corners[1]};
    if (b.min == b.max && b.min->high <= 0)
      return {corners[1], corners[0]};
    Bounds result = {corners[0], corners[0]};
    for (Ref corner : llvm::drop_begin(corners)) {
      result.min = expressions.min(result.min, corner);
      result.max = expressions.max(result.max, corner);
    }
    return result;
  }

  attn::AttendOp attend;
  unsigned maxRanges;
  RowExprs &expressions;
  Value keyArg;
  std::optional<MaskValues> values;
  /// By whether they are negated: conditions to be solved, and those that are.
  llvm::DenseSet<Value> needed[2];
  llvm::DenseMap<Value, Ranges> solved[2];
  /// Of the comparison that is being solved: divisors that its guard says are positive, bounds of
  /// expressions, and what is left of kMaxSteps.
  llvm::DenseSet<Ref> positive;
  llvm::DenseMap<Ref, Bounds> rowBounds;
  unsigned stepsLeft = 0;
  bool exact = true;
};

} // namespace

bool KeyRange::isUnconditional() const {
  llvm::SetVector<RowExpr::Ref> nodes;
  nodes.insert(mayLo);
  nodes.insert(mayHi);
  for (size_t next = 0; next < nodes.size(); ++next) {
    RowExpr::Ref node = nodes[next];
    if (node->kind == RowExpr::Kind::Select || node->kind == RowExpr::Kind::IfNonNegative)
      return false;
    for (RowExpr::Ref operand : {node->lhs, node->rhs})
      if (operand)
        nodes.insert(operand);
  }
  return true;
}

KeyRanges attnc::computeKeyRanges(attn::AttendOp attend, unsigned maxRanges) {
  auto expressions = std::make_shared<RowExprs>();
  KeyRanges result = Solver(attend, maxRanges, *expressions).run();
  result.expressions = std::move(expressions);
  return result;
}

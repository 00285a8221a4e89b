// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Solves mask predicates for kv; KeyRanges.h explains what is computed and why it is sound.
//
// Intermediate objects: a `Linear` is sum(coefficient * atom) + constant, where an atom is an SSA
// value that is not a sum; a `Bounds` is the pair (minimum, maximum) of an expression over the
// tile's rows.
#include "attnc/Analysis/KeyRanges.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;
using Kind = RowExpr::Kind;
using Ref = RowExpr::Ref;

namespace {

struct Linear {
  llvm::MapVector<Value, int64_t> terms;
  int64_t constant = 0;

  void add(const Linear &other, int64_t factor) {
    for (auto [atom, coefficient] : other.terms)
      terms[atom] += factor * coefficient;
    terms.remove_if([](auto &entry) { return entry.second == 0; });
    constant += factor * other.constant;
  }
};

/// Minimum and maximum over the rows of a tile.
struct Bounds {
  Ref min, max;
};

class Solver {
public:
  Solver(attn::AttendOp attend, unsigned maxRanges) : attend(attend), maxRanges(maxRanges) {}

  KeyRanges run() {
    KeyRanges result;
    if (attend.getMask().empty()) {
      result.ranges.push_back(everything());
      return result;
    }
    Block &block = attend.getMask().front();
    rowArg = block.getArgument(2);
    keyArg = block.getArgument(3);
    result.ranges = solve(cast<attn::YieldOp>(block.getTerminator()).getValue(), /*negated=*/false);
    result.exact = exact;
    return result;
  }

private:
  using Ranges = llvm::SmallVector<KeyRange>;

  static Ref constant(int64_t value) { return RowExpr::makeConstant(value); }
  static Ref keyCount() { return RowExpr::makeLeaf(Kind::KeyCount); }

  static KeyRange everything() { return {constant(0), keyCount(), constant(0), keyCount()}; }
  /// Restricts nothing, guarantees nothing.
  Ranges unknown() {
    exact = false;
    return {KeyRange{constant(0), keyCount(), nullptr, nullptr}};
  }

  static KeyRange intersect(const KeyRange &a, const KeyRange &b) {
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
  static Ref maxOf(Ref a, Ref b) {
    if (a->isConstant(0))
      return b;
    return b->isConstant(0) ? a : RowExpr::make(Kind::Max, a, b);
  }
  static Ref minOf(Ref a, Ref b) {
    if (a->kind == Kind::KeyCount)
      return b;
    return b->kind == Kind::KeyCount ? a : RowExpr::make(Kind::Min, a, b);
  }

  Ranges intersectAll(const Ranges &a, const Ranges &b) {
    Ranges result;
    for (const KeyRange &x : a)
      for (const KeyRange &y : b)
        result.push_back(intersect(x, y));
    return limit(std::move(result));
  }
  Ranges unite(Ranges a, const Ranges &b) {
    a.append(b.begin(), b.end());
    return limit(std::move(a));
  }
  /// Merges the last ranges into their hull until at most `maxRanges` are left. The hull keeps one
  /// of the guarantees, which still holds.
  Ranges limit(Ranges ranges) {
    while (ranges.size() > maxRanges) {
      KeyRange last = ranges.pop_back_val();
      KeyRange &into = ranges.back();
      into.mayLo = RowExpr::make(Kind::Min, into.mayLo, last.mayLo);
      into.mayHi = RowExpr::make(Kind::Max, into.mayHi, last.mayHi);
      exact = false;
    }
    return ranges;
  }

  bool dependsOn(Value value, Value argument) {
    if (value == argument)
      return true;
    Operation *op = value.getDefiningOp();
    if (!op || !attend->isProperAncestor(op))
      return false;
    // Bounds are computed before any key is known to exist: a read over kv may have nothing to
    // read.
    if (auto read = dyn_cast<attn::ReadOp>(op); read && argument == keyArg)
      for (unsigned i = 0; i < read.getTensor().getType().getRank(); ++i)
        if (read.getTensor().getType().getAxisName(i) == "kv")
          return true;
    return llvm::any_of(op->getOperands(), [&](Value v) { return dependsOn(v, argument); });
  }
  bool uniform(Value value) { return !dependsOn(value, keyArg) && !dependsOn(value, rowArg); }

  Ranges solve(Value condition, bool negated) {
    if (uniform(condition)) {
      IntegerAttr known;
      if (matchPattern(condition, m_Constant(&known)))
        return known.getValue().isOne() != negated
                   ? Ranges{everything()}
                   : Ranges{KeyRange{constant(0), constant(0), constant(0), constant(0)}};
      Ref some = negated ? constant(0) : keyCount(), none = negated ? keyCount() : constant(0);
      Ref hi = RowExpr::makeSelect(condition, some, none);
      return {KeyRange{constant(0), hi, constant(0), hi}};
    }
    Operation *op = condition.getDefiningOp();
    if (auto both = dyn_cast_or_null<arith::AndIOp>(op)) {
      Ranges a = solve(both.getLhs(), negated), b = solve(both.getRhs(), negated);
      return negated ? unite(std::move(a), b) : intersectAll(a, b);
    }
    if (auto either = dyn_cast_or_null<arith::OrIOp>(op)) {
      Ranges a = solve(either.getLhs(), negated), b = solve(either.getRhs(), negated);
      return negated ? intersectAll(a, b) : unite(std::move(a), b);
    }
    if (auto flip = dyn_cast_or_null<arith::XOrIOp>(op)) {
      if (matchPattern(flip.getRhs(), m_One()))
        return solve(flip.getLhs(), !negated);
      if (matchPattern(flip.getLhs(), m_One()))
        return solve(flip.getRhs(), !negated);
    }
    if (auto cmp = dyn_cast_or_null<arith::CmpIOp>(op))
      if (cmp.getLhs().getType().isInteger(32))
        return solveComparison(cmp, negated);
    return unknown();
  }

  Ranges solveComparison(arith::CmpIOp cmp, bool negated) {
    arith::CmpIPredicate predicate =
        negated ? arith::invertPredicate(cmp.getPredicate()) : cmp.getPredicate();
    Linear difference = linearize(cmp.getLhs()); // lhs - rhs, compared with 0
    difference.add(linearize(cmp.getRhs()), -1);
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
  Ranges atMost(const Linear &expression, int64_t bound) {
    return solveFor(expression, constant(bound), /*upper=*/true);
  }
  Ranges atLeast(const Linear &expression, int64_t bound) {
    return solveFor(expression, constant(bound), /*upper=*/false);
  }

  /// expression <= bound (upper) or expression >= bound, solved for kv. `bound` is a function of
  /// the row whose row leaves are `FirstRow`; `boundsOf` replaces them by extremes in the end.
  Ranges solveFor(const Linear &expression, Ref bound, bool upper) {
    Value keyAtom;
    int64_t coefficient = 0;
    Ref rest = constant(expression.constant);
    for (auto [atom, factor] : expression.terms) {
      if (dependsOn(atom, keyArg)) {
        if (keyAtom)
          return unknown(); // kv occurs in two atoms, as in kv % n
        keyAtom = atom;
        coefficient = factor;
        continue;
      }
      std::optional<Ref> value = rowFunction(atom);
      if (!value)
        return unknown();
      rest = RowExpr::make(Kind::Add, rest, RowExpr::make(Kind::Mul, *value, constant(factor)));
    }
    if (!keyAtom)
      return unknown(); // a condition on rows alone
    // coefficient * atom <= bound - rest, divided by the coefficient (rounding inwards).
    Ref target = RowExpr::make(Kind::Sub, bound, rest);
    if (coefficient < 0) {
      target = RowExpr::make(Kind::Sub, constant(0), target);
      coefficient = -coefficient;
      upper = !upper;
    }
    if (!upper)
      target = RowExpr::make(Kind::Add, target, constant(coefficient - 1)); // ceiling
    target = RowExpr::make(Kind::FloorDiv, target, constant(coefficient));
    return solveAtom(keyAtom, target, upper);
  }

  /// atom <= target (upper) or atom >= target.
  Ranges solveAtom(Value atom, Ref target, bool upper) {
    if (atom == keyArg)
      return rangeFromBound(target, upper);
    Operation *op = atom.getDefiningOp();
    if (auto div = dyn_cast_or_null<arith::FloorDivSIOp>(op)) {
      // floor(y / c) <= t  <=>  y <= c*t + c - 1, and floor(y / c) >= t  <=>  y >= c*t, for c > 0.
      std::optional<Ref> divisor = rowFunction(div.getRhs());
      if (!divisor || !uniform(div.getRhs()))
        return unknown();
      if ((*divisor)->kind == Kind::Constant && (*divisor)->constant <= 0)
        return unknown();
      Ref scaled = RowExpr::make(Kind::Mul, target, *divisor);
      if (upper)
        scaled = RowExpr::make(Kind::Add, scaled, RowExpr::make(Kind::Sub, *divisor, constant(1)));
      // The range is guarded below, so that inside it the divisor is positive.
      bool assumed = positive.insert(div.getRhs()).second;
      Ranges ranges = solveFor(linearize(div.getLhs()), scaled, upper);
      if (assumed)
        positive.erase(div.getRhs());
      for (KeyRange &range : ranges)
        range = ifPositive(*divisor, range);
      return ranges;
    }
    if (auto abs = dyn_cast_or_null<math::AbsIOp>(op)) {
      Ref negative = RowExpr::make(Kind::Sub, constant(0), target);
      Linear inner = linearize(abs.getOperand());
      Ranges a = solveFor(inner, target, upper), b = solveFor(inner, negative, !upper);
      return upper ? intersectAll(a, b) : unite(std::move(a), b);
    }
    if (auto min = dyn_cast_or_null<arith::MinSIOp>(op)) {
      Ranges a = solveFor(linearize(min.getLhs()), target, upper);
      Ranges b = solveFor(linearize(min.getRhs()), target, upper);
      return upper ? unite(std::move(a), b) : intersectAll(a, b);
    }
    if (auto max = dyn_cast_or_null<arith::MaxSIOp>(op)) {
      Ranges a = solveFor(linearize(max.getLhs()), target, upper);
      Ranges b = solveFor(linearize(max.getRhs()), target, upper);
      return upper ? intersectAll(a, b) : unite(std::move(a), b);
    }
    return unknown();
  }

  /// `range` where `condition` > 0, which is known at launch only; elsewhere nothing is known.
  static KeyRange ifPositive(Ref condition, const KeyRange &range) {
    KeyRange guarded;
    guarded.mayLo = RowExpr::makeIfPositive(condition, range.mayLo, constant(0));
    guarded.mayHi = RowExpr::makeIfPositive(condition, range.mayHi, keyCount());
    if (range.hasMust()) {
      guarded.mustLo = RowExpr::makeIfPositive(condition, range.mustLo, keyCount());
      guarded.mustHi = RowExpr::makeIfPositive(condition, range.mustHi, constant(0));
    }
    return guarded;
  }

  Ranges rangeFromBound(Ref target, bool upper) {
    Bounds bounds = boundsOf(target);
    KeyRange range = everything();
    if (upper) { // kv <= target, so kv < target + 1
      range.mayHi = RowExpr::make(Kind::Add, bounds.max, constant(1));
      range.mustHi = RowExpr::make(Kind::Add, bounds.min, constant(1));
    } else {
      range.mayLo = bounds.min;
      range.mustLo = bounds.max;
    }
    return {range};
  }

  /// Splits a value into a sum of atoms.
  Linear linearize(Value value) {
    Linear result;
    IntegerAttr known;
    if (matchPattern(value, m_Constant(&known))) {
      result.constant = known.getInt();
      return result;
    }
    Operation *op = value.getDefiningOp();
    if (auto add = dyn_cast_or_null<arith::AddIOp>(op)) {
      result = linearize(add.getLhs());
      result.add(linearize(add.getRhs()), 1);
      return result;
    }
    if (auto sub = dyn_cast_or_null<arith::SubIOp>(op)) {
      result = linearize(sub.getLhs());
      result.add(linearize(sub.getRhs()), -1);
      return result;
    }
    if (auto mul = dyn_cast_or_null<arith::MulIOp>(op)) {
      if (matchPattern(mul.getRhs(), m_Constant(&known))) {
        result.add(linearize(mul.getLhs()), known.getInt());
        return result;
      }
      if (matchPattern(mul.getLhs(), m_Constant(&known))) {
        result.add(linearize(mul.getRhs()), known.getInt());
        return result;
      }
    }
    result.terms[value] = 1;
    return result;
  }

  /// `value`, which does not depend on kv, as an expression whose row is `FirstRow`; nothing if it
  /// has an operation whose range over rows is not known.
  std::optional<Ref> rowFunction(Value value) {
    IntegerAttr known;
    if (matchPattern(value, m_Constant(&known)))
      return constant(known.getInt());
    if (value == rowArg)
      return RowExpr::makeLeaf(Kind::FirstRow);
    Operation *op = value.getDefiningOp();
    if (auto position = dyn_cast_or_null<attn::PositionOp>(op)) {
      std::optional<Ref> row = rowFunction(position.getRow());
      if (!row || position.getAlign() != attn::Align::BottomRight)
        return row;
      return RowExpr::make(
          Kind::Add, *row,
          RowExpr::make(Kind::Sub, keyCount(), RowExpr::makeLeaf(Kind::QueryCount)));
    }
    if (auto size = dyn_cast_or_null<attn::SizeOp>(op)) {
      if (size.getSpace() == "kv")
        return keyCount();
      if (size.getSpace() == "q")
        return RowExpr::makeLeaf(Kind::QueryCount);
    }
    if (uniform(value))
      return value.getType().isInteger(32) ? std::optional<Ref>(RowExpr::makeUniform(value))
                                           : std::nullopt;
    std::optional<Kind> kind = llvm::TypeSwitch<Operation *, std::optional<Kind>>(op)
                                   .Case<arith::AddIOp>([](auto) { return Kind::Add; })
                                   .Case<arith::SubIOp>([](auto) { return Kind::Sub; })
                                   .Case<arith::MulIOp>([](auto) { return Kind::Mul; })
                                   .Case<arith::FloorDivSIOp>([](auto) { return Kind::FloorDiv; })
                                   .Case<arith::MinSIOp>([](auto) { return Kind::Min; })
                                   .Case<arith::MaxSIOp>([](auto) { return Kind::Max; })
                                   .Default([](auto) { return std::nullopt; });
    if (!kind)
      return std::nullopt;
    std::optional<Ref> lhs = rowFunction(op->getOperand(0)), rhs = rowFunction(op->getOperand(1));
    if (!lhs || !rhs || (*kind == Kind::FloorDiv && hasRow(*rhs))) // a divisor may cross zero
      return std::nullopt;
    return RowExpr::make(*kind, *lhs, *rhs);
  }

  static bool hasRow(const Ref &e) {
    if (e->kind == Kind::FirstRow)
      return true;
    if (e->condition && hasRow(e->condition))
      return true;
    return (e->lhs && hasRow(e->lhs)) || (e->rhs && hasRow(e->rhs));
  }

  /// Interval arithmetic over rows in [FirstRow, LastRow].
  Bounds boundsOf(const Ref &e) {
    if (e->kind == Kind::FirstRow)
      return {e, RowExpr::makeLeaf(Kind::LastRow)};
    if (!hasRow(e))
      return {e, e};
    Bounds a = boundsOf(e->lhs), b = boundsOf(e->rhs);
    switch (e->kind) {
    case Kind::Add:
    case Kind::Min:
    case Kind::Max:
      return {RowExpr::make(e->kind, a.min, b.min), RowExpr::make(e->kind, a.max, b.max)};
    case Kind::Sub:
      return {RowExpr::make(Kind::Sub, a.min, b.max), RowExpr::make(Kind::Sub, a.max, b.min)};
    default:
      return cornersOf(e->kind, a, b);
    }
  }
  /// Products and quotients are monotone in each operand: the extremes are at corners.
  Bounds cornersOf(Kind kind, const Bounds &a, const Bounds &b) const {
    if (b.min == b.max) {
      Ref x = RowExpr::make(kind, a.min, b.min), y = RowExpr::make(kind, a.max, b.min);
      if (b.min->kind == Kind::Constant)
        return b.min->constant >= 0 ? Bounds{x, y} : Bounds{y, x};
      if (b.min->kind == Kind::Uniform && positive.contains(b.min->uniform))
        return {x, y};
      return {RowExpr::make(Kind::Min, x, y), RowExpr::make(Kind::Max, x, y)};
    }
    Ref corners[4] = {RowExpr::make(kind, a.min, b.min), RowExpr::make(kind, a.min, b.max),
                      RowExpr::make(kind, a.max, b.min), RowExpr::make(kind, a.max, b.max)};
    Bounds result = {corners[0], corners[0]};
    for (const Ref &corner : llvm::drop_begin(corners)) {
      result.min = RowExpr::make(Kind::Min, result.min, corner);
      result.max = RowExpr::make(Kind::Max, result.max, corner);
    }
    return result;
  }

  attn::AttendOp attend;
  unsigned maxRanges;
  Value rowArg, keyArg;
  bool exact = true;
  /// Uniform values that the range being solved is guarded to be positive for.
  llvm::DenseSet<Value> positive;
};

} // namespace

KeyRanges attnc::computeKeyRanges(attn::AttendOp attend, unsigned maxRanges) {
  return Solver(attend, maxRanges).run();
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How far two ints of a formula are apart at most (IntIntervals.h). A difference is a sum of terms,
// whose common ones cancel; of what is left,
//
//   x - max(a, b)  is the smaller of x - a and x - b, and x - min(a, b) the larger one
//   min(a, c) - min(b, c)  is between 0 and a - b, and so is that of max
//   a / n - b / n  is at most (a - b) / n rounded down, and 1
#include "attnc/Analysis/IntIntervals.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace attnc;

namespace {

/// Terms that are looked at in all: formulas of bounds are short.
constexpr unsigned kMostSteps = 256;
constexpr int64_t kMostFactor = int64_t(1) << 31;

class Difference {
public:
  std::optional<int64_t> most(Value x, Value y) {
    Sum sum;
    if (!add(sum, x, 1) || !add(sum, y, -1))
      return std::nullopt;
    return most(std::move(sum));
  }

private:
  struct Sum {
    SmallVector<std::pair<Value, int64_t>, 4> terms;
    int64_t constant = 0;
  };

  bool add(Sum &sum, Value value, int64_t factor);
  std::optional<int64_t> most(Sum sum);
  std::optional<int64_t> ofPair(Value x, Value y);
  bool areEqual(Value x, Value y, unsigned depth = 6);
  bool take() { return steps < kMostSteps && ++steps; }

  unsigned steps = 0;
};

} // namespace

/// Whether two values are computed in the same way from the same ones.
bool Difference::areEqual(Value x, Value y, unsigned depth) {
  if (x == y)
    return true;
  Operation *a = x.getDefiningOp(), *b = y.getDefiningOp();
  if (!a || !b || depth == 0 || !take() || a->getName() != b->getName() ||
      a->getAttrDictionary() != b->getAttrDictionary() || a->getNumRegions() != 0 ||
      a->getNumOperands() != b->getNumOperands())
    return false;
  return llvm::all_of(llvm::zip(a->getOperands(), b->getOperands()), [&](auto pair) {
    return areEqual(std::get<0>(pair), std::get<1>(pair), depth - 1);
  });
}

/// Adds factor * value, if nothing in it wraps around.
bool Difference::add(Sum &sum, Value value, int64_t factor) {
  if (!take() || std::abs(factor) > kMostFactor)
    return false;
  Interval own = intervalOf(value);
  if (std::optional<int64_t> fixed = constantOf(value); fixed || own.low == own.high) {
    sum.constant += factor * (fixed ? *fixed : own.low);
    return true;
  }
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<arith::AddIOp, arith::SubIOp>(op)) {
    int64_t sign = isa<arith::AddIOp>(op) ? 1 : -1;
    Interval all =
        attnc::sum(intervalOf(op->getOperand(0)), product(intervalOf(op->getOperand(1)), sign));
    if (all.fits())
      return add(sum, op->getOperand(0), factor) && add(sum, op->getOperand(1), sign * factor);
  }
  if (isa_and_nonnull<arith::MulIOp>(op))
    for (unsigned side : {0, 1})
      if (std::optional<int64_t> number = constantOf(op->getOperand(side));
          number && product(intervalOf(op->getOperand(1 - side)), *number).fits())
        return add(sum, op->getOperand(1 - side), factor * *number);
  for (auto &[term, times] : sum.terms)
    if (areEqual(term, value)) {
      times += factor;
      return true;
    }
  sum.terms.push_back({value, factor});
  return true;
}

/// Of two values of the same kind.
std::optional<int64_t> Difference::ofPair(Value x, Value y) {
  Operation *a = x.getDefiningOp(), *b = y.getDefiningOp();
  if (!a || !b || a->getName() != b->getName() || a->getNumOperands() != 2)
    return std::nullopt;
  if (isa<arith::MinSIOp, arith::MaxSIOp>(a)) {
    for (unsigned i : {0, 1})
      for (unsigned j : {0, 1})
        if (areEqual(a->getOperand(i), b->getOperand(j)))
          if (auto rest = most(a->getOperand(1 - i), b->getOperand(1 - j)))
            return std::max<int64_t>(*rest, 0);
    return std::nullopt;
  }
  std::optional<int64_t> divisor = constantOf(a->getOperand(1));
  if (!isa<arith::FloorDivSIOp>(a) || !divisor || *divisor < 1 ||
      constantOf(b->getOperand(1)) != divisor)
    return std::nullopt;
  std::optional<int64_t> rest = most(a->getOperand(0), b->getOperand(0));
  if (!rest)
    return std::nullopt;
  return llvm::divideFloorSigned(*rest, *divisor) + (*rest % *divisor != 0);
}

std::optional<int64_t> Difference::most(Sum sum) {
  llvm::erase_if(sum.terms, [](const auto &term) { return term.second == 0; });
  if (sum.terms.empty())
    return sum.constant;
  if (!take())
    return std::nullopt;
  if (sum.terms.size() == 2 && sum.terms[0].second + sum.terms[1].second == 0 &&
      std::abs(sum.terms[0].second) == 1) {
    bool isFirst = sum.terms[0].second == 1;
    Value x = sum.terms[isFirst ? 0 : 1].first, y = sum.terms[isFirst ? 1 : 0].first;
    if (std::optional<int64_t> rest = ofPair(x, y))
      return *rest + sum.constant;
  }
  for (auto [number, term] : llvm::enumerate(sum.terms)) {
    Operation *op = term.first.getDefiningOp();
    if (!isa_and_nonnull<arith::MinSIOp, arith::MaxSIOp>(op))
      continue;
    std::optional<int64_t> sides[2];
    for (unsigned side : {0, 1}) {
      Sum one = sum;
      one.terms.erase(one.terms.begin() + number);
      if (add(one, op->getOperand(side), term.second))
        sides[side] = most(std::move(one));
    }
    bool isSmaller = isa<arith::MinSIOp>(op) == (term.second > 0);
    if (sides[0] && sides[1])
      return isSmaller ? std::min(*sides[0], *sides[1]) : std::max(*sides[0], *sides[1]);
    return isSmaller ? (sides[0] ? sides[0] : sides[1]) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<int64_t> attnc::mostDifference(Value x, Value y) { return Difference().most(x, y); }

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "MaskValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace attnc;
using Kind = RowExpr::Kind;
using Ref = RowExpr::Ref;

std::optional<int64_t> attnc::powerOfShift(Operation *op) {
  IntegerAttr count;
  if (!isa<arith::ShLIOp, arith::ShRSIOp>(op) ||
      !matchPattern(op->getOperand(1), m_Constant(&count)) || count.getInt() < 0 ||
      count.getInt() > 31)
    return std::nullopt;
  return int64_t(1) << count.getInt();
}

LinearSum LinearSum::of(Ref term) {
  LinearSum sum;
  if (term->kind == Kind::Constant)
    sum.constant = term->constant;
  else
    sum.terms.push_back({term, 1});
  return sum;
}

bool LinearSum::add(const LinearSum &other, int64_t factor) {
  auto accumulate = [&](int64_t &into, int64_t value) {
    int64_t product;
    return !__builtin_mul_overflow(value, factor, &product) &&
           !__builtin_add_overflow(into, product, &into) && into >= -kMaxCoefficient &&
           into <= kMaxCoefficient;
  };
  for (auto [term, coefficient] : other.terms) {
    auto *it = llvm::find_if(terms, [term = term](auto &own) { return own.first == term; });
    if (it == terms.end()) {
      terms.push_back({term, 0});
      it = &terms.back();
    }
    if (!accumulate(it->second, coefficient))
      return false;
  }
  llvm::erase_if(terms, [](auto &entry) { return entry.second == 0; });
  return accumulate(constant, other.constant) && terms.size() <= kMaxTerms;
}

/// The interval of a sum, from those of its terms.
static std::pair<__int128, __int128> intervalOf(const LinearSum &sum) {
  __int128 low = sum.constant, high = sum.constant;
  for (auto [term, factor] : sum.terms) {
    __int128 a = __int128(term->low) * factor, b = __int128(term->high) * factor;
    low += std::min(a, b);
    high += std::max(a, b);
  }
  return {low, high};
}

MaskValues::MaskValues(attn::AttendOp attend, RowExprs &expressions) : expressions(expressions) {
  Block &block = attend.getMask().front();
  rowArg = block.getArgument(2);
  keyArg = block.getArgument(3);
  onRow.insert(rowArg);
  onKey.insert(keyArg);
  Ref keys = expressions.leaf(Kind::KeyCount), queries = expressions.leaf(Kind::QueryCount);
  MaskValue row = leaf(expressions.leaf(Kind::FirstRow)), key = leaf(expressions.leaf(Kind::Key));
  key.row = nullptr;
  row.min = key.min = LinearSum();
  row.max = LinearSum::of(queries);
  key.max = LinearSum::of(keys);
  row.max.constant = key.max.constant = -1;
  facts[rowArg] = row;
  facts[keyArg] = key;
  for (Operation &op : block.without_terminator())
    visit(op);
}

void MaskValues::visit(Operation &op) {
  bool key = op.getNumRegions() != 0, row = key;
  // Bounds are computed before any key is known to exist: a read over kv may have nothing to read.
  if (auto read = dyn_cast<attn::ReadOp>(op))
    for (unsigned i = 0; i < read.getTensor().getType().getRank(); ++i)
      key |= read.getTensor().getType().getAxisName(i) == "kv";
  for (Value operand : op.getOperands()) {
    key |= onKey.contains(operand);
    row |= onRow.contains(operand);
  }
  for (Value result : op.getResults()) {
    if (key)
      onKey.insert(result);
    if (row)
      onRow.insert(result);
    if ((!key && !row) || !result.getType().isInteger(32))
      continue;
    MaskValue value;
    if (!derive(op, value) || expressions.gaveUp())
      value = opaque(result);
    expressions.gaveUp();
    facts[result] = value;
  }
}

const MaskValue &MaskValues::operator[](Value value) {
  auto [it, isNew] = facts.try_emplace(value);
  if (!isNew)
    return it->second;
  // The same for all rows and keys: a leaf, whatever computes it.
  IntegerAttr known;
  auto size = value.getDefiningOp<attn::SizeOp>();
  Ref ref = matchPattern(value, m_Constant(&known)) ? expressions.constant(known.getInt())
            : size && size.getSpace() == "kv"       ? expressions.leaf(Kind::KeyCount)
            : size && size.getSpace() == "q"        ? expressions.leaf(Kind::QueryCount)
                                                    : expressions.uniform(value);
  return it->second = leaf(ref);
}

MaskValue MaskValues::leaf(Ref ref) {
  MaskValue value;
  value.row = ref;
  value.sum = value.min = value.max = LinearSum::of(ref);
  return value;
}

MaskValue MaskValues::opaque(Value value) {
  MaskValue result;
  result.sum = LinearSum::of(expressions.atom(value));
  result.min.constant = INT32_MIN;
  result.max.constant = INT32_MAX;
  return result;
}

Ref MaskValues::emit(const LinearSum &sum) {
  Ref result = expressions.constant(0);
  for (auto [term, factor] : sum.terms)
    result = expressions.add(result, expressions.mul(term, expressions.constant(factor)));
  return expressions.add(result, expressions.constant(sum.constant));
}

bool MaskValues::bound(MaskValue &value) {
  value.min = value.max = LinearSum();
  value.min.constant = value.max.constant = value.sum.constant;
  for (auto [term, factor] : value.sum.terms) {
    const MaskValue *of = term->kind == Kind::Key        ? &facts[keyArg]
                          : term->kind == Kind::FirstRow ? &facts[rowArg]
                          : term->kind == Kind::Atom     ? &facts[term->uniform]
                                                         : nullptr;
    LinearSum same = of ? LinearSum() : LinearSum::of(term);
    const LinearSum &low = of ? of->min : same, &high = of ? of->max : same;
    if (!value.min.add(factor > 0 ? low : high, factor) ||
        !value.max.add(factor > 0 ? high : low, factor))
      return false;
  }
  return true;
}

void MaskValues::guardAgainstWrapping(MaskValue &value) {
  auto withoutConstant = [&](LinearSum sum) {
    sum.constant = 0;
    return emit(sum);
  };
  if (intervalOf(value.max).second > INT32_MAX)
    value.guard =
        both(value.guard, expressions.sub(expressions.constant(INT32_MAX - value.max.constant),
                                          withoutConstant(value.max)));
  if (intervalOf(value.min).first < INT32_MIN)
    value.guard =
        both(value.guard, expressions.add(withoutConstant(value.min),
                                          expressions.constant(value.min.constant - INT32_MIN)));
}

bool MaskValues::derive(Operation &op, MaskValue &into) {
  if (auto position = dyn_cast<attn::PositionOp>(op)) {
    const MaskValue &row = (*this)[position.getRow()];
    into = row;
    if (position.getAlign() != attn::Align::BottomRight)
      return true;
    Ref keys = expressions.leaf(Kind::KeyCount), queries = expressions.leaf(Kind::QueryCount);
    LinearSum shift = LinearSum::of(keys);
    if (!shift.add(LinearSum::of(queries), -1) || !into.sum.add(shift, 1) ||
        !into.min.add(shift, 1) || !into.max.add(shift, 1))
      return false;
    if (row.row)
      into.row = expressions.add(row.row, expressions.sub(keys, queries));
    // The position of a row is one term, so that bounds read `first + (size(kv) - size(q))`.
    if (!dependsOnKey(position))
      into.sum = LinearSum::of(expressions.atom(position));
    guardAgainstWrapping(into);
    return true;
  }
  if (isa<arith::AddIOp, arith::SubIOp>(op)) {
    bool isSum = isa<arith::AddIOp>(op);
    const MaskValue lhs = (*this)[op.getOperand(0)], rhs = (*this)[op.getOperand(1)];
    into.sum = lhs.sum;
    into.guard = both(lhs.guard, rhs.guard);
    if (!into.sum.add(rhs.sum, isSum ? 1 : -1) || !bound(into))
      return false;
    if (lhs.row && rhs.row)
      into.row = expressions.make(isSum ? Kind::Add : Kind::Sub, lhs.row, rhs.row);
    guardAgainstWrapping(into);
    return true;
  }
  Value result = op.getResult(0);
  if (isa<arith::MulIOp>(op))
    return deriveProduct(result, (*this)[op.getOperand(0)], (*this)[op.getOperand(1)], into);
  if (isa<arith::FloorDivSIOp>(op))
    return isUniform(op.getOperand(1)) &&
           deriveQuotient(result, (*this)[op.getOperand(0)], (*this)[op.getOperand(1)], into);
  if (std::optional<int64_t> power = powerOfShift(&op)) {
    const MaskValue lhs = (*this)[op.getOperand(0)], rhs = leaf(expressions.constant(*power));
    return isa<arith::ShLIOp>(op) ? deriveProduct(result, lhs, rhs, into)
                                  : deriveQuotient(result, lhs, rhs, into);
  }
  if (isa<arith::MinSIOp, arith::MaxSIOp>(op))
    return deriveExtremum(op, isa<arith::MinSIOp>(op) ? Kind::Min : Kind::Max, into);
  if (auto abs = dyn_cast<math::AbsIOp>(op)) {
    const MaskValue operand = (*this)[abs.getOperand()];
    Ref zero = expressions.constant(0);
    into.sum = LinearSum::of(expressions.atom(abs));
    if (operand.row)
      into.row = expressions.max(operand.row, expressions.sub(zero, operand.row));
    into.max =
        LinearSum::of(expressions.max(emit(operand.max), expressions.sub(zero, emit(operand.min))));
    into.guard = operand.guard;
    guardAgainstWrapping(into);
    return true;
  }
  return false;
}

bool MaskValues::deriveProduct(Value product, MaskValue lhs, MaskValue rhs, MaskValue &into) {
  into.guard = both(lhs.guard, rhs.guard);
  if (lhs.row && rhs.row)
    into.row = expressions.mul(lhs.row, rhs.row);
  if (lhs.sum.terms.empty() || rhs.sum.terms.empty()) {
    bool isLeft = lhs.sum.terms.empty();
    if (!into.sum.add(isLeft ? rhs.sum : lhs.sum, isLeft ? lhs.sum.constant : rhs.sum.constant) ||
        !bound(into))
      return false;
    guardAgainstWrapping(into);
    return true;
  }
  if (!into.row) // a product with the key is not looked through
    return false;
  into.sum = LinearSum::of(expressions.atom(product));
  // A product is monotone in each operand: its extremes are at corners.
  Ref least = nullptr, most = nullptr;
  for (Ref a : {emit(lhs.min), emit(lhs.max)})
    for (Ref b : {emit(rhs.min), emit(rhs.max)}) {
      Ref corner = expressions.mul(a, b);
      least = least ? expressions.min(least, corner) : corner;
      most = most ? expressions.max(most, corner) : corner;
    }
  into.min = LinearSum::of(least);
  into.max = LinearSum::of(most);
  guardAgainstWrapping(into);
  return true;
}

bool MaskValues::deriveQuotient(Value quotient, MaskValue lhs, MaskValue rhs, MaskValue &into) {
  bool isKnown = rhs.sum.terms.empty();
  if (isKnown && rhs.sum.constant == 0)
    return false;
  into.sum = LinearSum::of(expressions.atom(quotient));
  into.guard = lhs.guard;
  Ref zero = expressions.constant(0), min = emit(lhs.min), max = emit(lhs.max), row = lhs.row;
  Ref divisor = rhs.row;
  if (isKnown && rhs.sum.constant < 0) { // x / -c = -x / c
    divisor = expressions.constant(-rhs.sum.constant);
    std::swap(min, max);
    min = expressions.sub(zero, min);
    max = expressions.sub(zero, max);
    row = row ? expressions.sub(zero, row) : nullptr;
  } else if (!isKnown) {
    into.guard = both(into.guard, expressions.sub(divisor, expressions.constant(1)));
  }
  auto divided = [&](Ref x) { return expressions.make(Kind::FloorDiv, x, divisor); };
  into.min = LinearSum::of(divided(min));
  into.max = LinearSum::of(divided(max));
  into.row = row ? divided(row) : nullptr;
  guardAgainstWrapping(into); // the smallest int by -1
  return true;
}

bool MaskValues::deriveExtremum(Operation &op, Kind kind, MaskValue &into) {
  const MaskValue lhs = (*this)[op.getOperand(0)], rhs = (*this)[op.getOperand(1)];
  into.sum = LinearSum::of(expressions.atom(op.getResult(0)));
  into.guard = both(lhs.guard, rhs.guard);
  if (lhs.row && rhs.row)
    into.row = expressions.make(kind, lhs.row, rhs.row);
  into.min = LinearSum::of(expressions.make(kind, emit(lhs.min), emit(rhs.min)));
  into.max = LinearSum::of(expressions.make(kind, emit(lhs.max), emit(rhs.max)));
  return true;
}

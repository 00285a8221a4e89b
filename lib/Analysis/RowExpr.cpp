// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Expressions over the rows of a query tile: construction with simplification, evaluation,
// printing.
#include "attnc/Analysis/RowExpr.h"
#include "dialects/Attn/Attn.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace attnc;
using Kind = RowExpr::Kind;
using Ref = RowExpr::Ref;

namespace {

/// Intervals of sums and products of 64-bit ints need more than 64 bits.
using Wide = __int128;

Wide floorDiv(Wide a, Wide b) {
  b = b < 1 ? Wide(1) : b; // what FloorDiv means
  Wide quotient = a / b;
  return quotient - (a % b < 0);
}

/// The interval of an operation on operands in [a.low, a.high] and [b.low, b.high].
std::pair<Wide, Wide> intervalOf(Kind kind, Ref a, Ref b) {
  Wide al = a->low, ah = a->high, bl = b->low, bh = b->high;
  auto hull = [](std::initializer_list<Wide> corners) {
    return std::pair<Wide, Wide>(std::min(corners), std::max(corners));
  };
  switch (kind) {
  case Kind::Add:
    return {al + bl, ah + bh};
  case Kind::Sub:
    return {al - bh, ah - bl};
  case Kind::Mul:
    return hull({al * bl, al * bh, ah * bl, ah * bh});
  case Kind::FloorDiv:
    return hull({floorDiv(al, bl), floorDiv(al, bh), floorDiv(ah, bl), floorDiv(ah, bh)});
  case Kind::Min:
    return {std::min(al, bl), std::min(ah, bh)};
  case Kind::Max:
    return {std::max(al, bl), std::max(ah, bh)};
  default: // one of two cases
    return {std::min(al, bl), std::max(ah, bh)};
  }
}

/// The smaller (Min) or the larger (Max) of two expressions if it is the same one always: because
/// of their intervals, or because they differ by a constant. Null otherwise.
Ref knownExtremum(Kind kind, Ref a, Ref b) {
  auto split = [](Ref e) {
    bool isSum = e->kind == Kind::Add && e->rhs->kind == Kind::Constant;
    return isSum ? std::pair(e->lhs, e->rhs->constant) : std::pair(e, int64_t(0));
  };
  auto [x, first] = split(a);
  auto [y, second] = split(b);
  if (a->high <= b->low || (x == y && first <= second))
    return kind == Kind::Min ? a : b;
  if (b->high <= a->low || (x == y && second <= first))
    return kind == Kind::Min ? b : a;
  return nullptr;
}

int64_t apply(Kind kind, int64_t a, int64_t b) {
  auto wrapped = [](uint64_t value) { return static_cast<int64_t>(value); };
  switch (kind) {
  case Kind::Add:
    return wrapped(uint64_t(a) + uint64_t(b));
  case Kind::Sub:
    return wrapped(uint64_t(a) - uint64_t(b));
  case Kind::Mul:
    return wrapped(uint64_t(a) * uint64_t(b));
  case Kind::FloorDiv:
    return static_cast<int64_t>(floorDiv(a, b));
  case Kind::Min:
    return std::min(a, b);
  default:
    return std::max(a, b);
  }
}

} // namespace

Ref RowExprs::intern(RowExpr node) {
  Key key(node.kind, node.constant, node.uniform.getAsOpaquePointer(), node.condition, node.lhs,
          node.rhs);
  if (auto it = known.find(key); it != known.end())
    return it->second;
  for (Ref operand : {node.condition, node.lhs, node.rhs})
    if (operand) {
      node.depth = std::max(node.depth, operand->depth + 1);
      node.hasRow |= operand->hasRow;
    }
  if (node.depth > kMaxDepth || (node.depth > 0 && nodes.size() >= kMaxNodes))
    return giveUp();
  nodes.push_back(node);
  return known[key] = &nodes.back();
}

Ref RowExprs::constant(int64_t value) {
  RowExpr node;
  node.kind = Kind::Constant;
  node.constant = node.low = node.high = value;
  return intern(node);
}

Ref RowExprs::leaf(Kind kind) {
  RowExpr node;
  node.kind = kind;
  node.high = kMaxLaunchedSize;
  node.hasRow = kind == Kind::FirstRow || kind == Kind::LastRow;
  return intern(node);
}

Ref RowExprs::uniform(mlir::Value value) {
  RowExpr node;
  node.kind = Kind::Uniform;
  node.uniform = value;
  node.low = INT32_MIN;
  node.high = INT32_MAX;
  return intern(node);
}

Ref RowExprs::atom(mlir::Value value) {
  RowExpr node = *uniform(value);
  node.kind = Kind::Atom;
  return intern(node);
}

Ref RowExprs::make(Kind kind, Ref lhs, Ref rhs) {
  auto [low, high] = intervalOf(kind, lhs, rhs);
  if (low < INT64_MIN || high > INT64_MAX)
    return giveUp();
  if (lhs->kind == Kind::Constant && rhs->kind == Kind::Constant)
    return constant(apply(kind, lhs->constant, rhs->constant));
  if (kind == Kind::Add && lhs->kind == Kind::Constant)
    std::swap(lhs, rhs);
  if ((kind == Kind::Add || kind == Kind::Sub) && rhs->isConstant(0))
    return lhs;
  if ((kind == Kind::Mul || kind == Kind::FloorDiv) && rhs->isConstant(1))
    return lhs;
  if (kind == Kind::Mul && lhs->isConstant(1))
    return rhs;
  // a - (b * -1) = a + b and a + (b * -1) = a - b: peeling works with negated terms.
  bool negated = rhs->kind == Kind::Mul && rhs->rhs->isConstant(-1);
  if (kind == Kind::Sub && negated)
    return make(Kind::Add, lhs, rhs->lhs);
  if (kind == Kind::Add && negated)
    return make(Kind::Sub, lhs, rhs->lhs);
  // a - (b - c) = (a - b) + c for a constant a.
  if (kind == Kind::Sub && lhs->kind == Kind::Constant && rhs->kind == Kind::Sub)
    return make(Kind::Add, make(Kind::Sub, rhs->rhs, rhs->lhs), lhs);
  auto sum = [](int64_t a, int64_t b, int64_t &result) {
    return !__builtin_add_overflow(a, b, &result);
  };
  int64_t folded = 0;
  if (kind == Kind::Sub && lhs->kind == Kind::Constant && rhs->kind == Kind::Add &&
      rhs->rhs->kind == Kind::Constant &&
      !__builtin_sub_overflow(lhs->constant, rhs->rhs->constant, &folded))
    return make(Kind::Sub, constant(folded), rhs->lhs);
  // (x + c1) + c2 and friends, so that printed bounds are short.
  if (kind == Kind::Sub && rhs->kind == Kind::Constant && rhs->constant != INT64_MIN)
    return make(Kind::Add, lhs, constant(-rhs->constant));
  if (kind == Kind::Add && rhs->kind == Kind::Constant && lhs->kind == Kind::Add &&
      lhs->rhs->kind == Kind::Constant && sum(lhs->rhs->constant, rhs->constant, folded))
    return make(Kind::Add, lhs->lhs, constant(folded));
  if (kind == Kind::Min || kind == Kind::Max) {
    if (Ref chosen = knownExtremum(kind, lhs, rhs))
      return chosen;
    // Of min(min(x, y), z) where x and z, or y and z, are in a known order, one is left out.
    for (auto [list, other] : {std::pair(lhs, rhs), std::pair(rhs, lhs)})
      if (list->kind == kind)
        for (auto [member, rest] : {std::pair(list->lhs, list->rhs), {list->rhs, list->lhs}})
          if (Ref chosen = knownExtremum(kind, member, other))
            return chosen == member ? list : make(kind, rest, other);
  }
  RowExpr node;
  node.kind = kind;
  node.lhs = lhs;
  node.rhs = rhs;
  node.low = static_cast<int64_t>(low);
  node.high = static_cast<int64_t>(high);
  return intern(node);
}

Ref RowExprs::select(mlir::Value condition, Ref thenValue, Ref elseValue) {
  if (thenValue == elseValue)
    return thenValue;
  RowExpr node;
  node.kind = Kind::Select;
  node.uniform = condition;
  node.lhs = thenValue;
  node.rhs = elseValue;
  node.low = std::min(thenValue->low, elseValue->low);
  node.high = std::max(thenValue->high, elseValue->high);
  return intern(node);
}

Ref RowExprs::ifNonNegative(Ref condition, Ref thenValue, Ref elseValue) {
  if (thenValue == elseValue || condition->low >= 0)
    return thenValue;
  if (condition->high < 0)
    return elseValue;
  RowExpr node;
  node.kind = Kind::IfNonNegative;
  node.condition = condition;
  node.lhs = thenValue;
  node.rhs = elseValue;
  node.low = std::min(thenValue->low, elseValue->low);
  node.high = std::max(thenValue->high, elseValue->high);
  return intern(node);
}

int64_t RowExprValues::evaluate(Ref e) {
  switch (e->kind) {
  case Kind::Constant:
    return e->constant;
  case Kind::FirstRow:
    return firstRow;
  case Kind::LastRow:
    return lastRow;
  case Kind::KeyCount:
    return keyCount;
  case Kind::QueryCount:
    return queryCount;
  default:
    break;
  }
  if (auto it = known.find(e); it != known.end())
    return it->second;
  auto compute = [&]() -> int64_t {
    switch (e->kind) {
    case Kind::Uniform:
      return uniformValue(e->uniform);
    case Kind::Select:
      return uniformValue(e->uniform) ? evaluate(e->lhs) : evaluate(e->rhs);
    case Kind::IfNonNegative:
      return evaluate(e->condition) >= 0 ? evaluate(e->lhs) : evaluate(e->rhs);
    default:
      return apply(e->kind, evaluate(e->lhs), evaluate(e->rhs));
    }
  };
  int64_t value = compute();
  known[e] = value;
  return value;
}

void attnc::forEachNode(llvm::ArrayRef<Ref> roots, llvm::function_ref<void(Ref)> visit) {
  llvm::DenseSet<Ref> seen;
  llvm::SmallVector<Ref> open(roots);
  while (!open.empty()) {
    Ref e = open.pop_back_val();
    if (!e || !seen.insert(e).second)
      continue;
    visit(e);
    open.append({e->condition, e->lhs, e->rhs});
  }
}

namespace {

/// Writes an expression until the text is longer than its limit: a DAG can be far longer as text
/// than it is.
class Printer {
public:
  explicit Printer(size_t limit) : limit(limit) {}

  std::string finish() {
    if (text.size() > limit)
      text = text.substr(0, limit) + "...";
    return std::move(text);
  }

  void print(Ref e) {
    if (isFull())
      return;
    switch (e->kind) {
    case Kind::Constant:
      text += std::to_string(e->constant);
      break;
    case Kind::Uniform:
    case Kind::Atom:
      print(e->uniform);
      break;
    case Kind::FirstRow:
      text += "first";
      break;
    case Kind::LastRow:
      text += "last";
      break;
    case Kind::KeyCount:
      text += "size(kv)";
      break;
    case Kind::QueryCount:
      text += "size(q)";
      break;
    case Kind::Key:
      text += "kv";
      break;
    case Kind::Add:
      if (e->rhs->kind == Kind::Constant && e->rhs->constant < 0) {
        text += "(";
        print(e->lhs);
        text += " - " + negated(e->rhs->constant) + ")";
        break;
      }
      list("(", e->lhs, " + ", e->rhs, ")");
      break;
    case Kind::Sub:
      list("(", e->lhs, " - ", e->rhs, ")");
      break;
    case Kind::Mul:
      list("(", e->lhs, " * ", e->rhs, ")");
      break;
    case Kind::FloorDiv:
      list("(", e->lhs, " / ", e->rhs, ")");
      break;
    case Kind::Min:
      list("min(", e->lhs, ", ", e->rhs, ")");
      break;
    case Kind::Max:
      list("max(", e->lhs, ", ", e->rhs, ")");
      break;
    case Kind::IfNonNegative:
      text += "(if ";
      printNonNegative(e->condition);
      list(" then ", e->lhs, " else ", e->rhs, ")");
      break;
    case Kind::Select:
      text += "(if ";
      print(e->uniform);
      list(" then ", e->lhs, " else ", e->rhs, ")");
      break;
    }
  }

private:
  bool isFull() const { return text.size() > limit; }
  static std::string negated(int64_t value) {
    return value > 0 ? "-" + std::to_string(value)
                     : std::to_string(0 - static_cast<uint64_t>(value));
  }

  void list(const char *open, Ref a, const char *between, Ref b, const char *close) {
    text += open;
    print(a);
    text += between;
    print(b);
    text += close;
  }

  /// `e` >= 0, as a person would write it.
  void printNonNegative(Ref e) {
    if (isFull())
      return;
    if (e->kind == Kind::Min) {
      printNonNegative(e->lhs);
      text += " and ";
      printNonNegative(e->rhs);
      return;
    }
    if (e->kind == Kind::Add && e->rhs->kind == Kind::Constant) {
      print(e->lhs);
      text += e->rhs->constant == -1 ? " > 0" : " >= " + negated(e->rhs->constant);
      return;
    }
    if (e->kind == Kind::Sub) {
      print(e->rhs);
      text += " <= ";
      print(e->lhs);
      return;
    }
    print(e);
    text += " >= 0";
  }

  /// What is guarded reads as without the guard: a divisor that is not 0, and a count of a shift,
  /// or what is shifted by it, that is from 0 to 31.
  void printSelect(mlir::arith::SelectOp select) {
    auto compare = select.getCondition().getDefiningOp<mlir::arith::CmpIOp>();
    if (compare && compare.getLhs() == select.getFalseValue() &&
        matchPattern(compare.getRhs(), mlir::m_Zero()) &&
        matchPattern(select.getTrueValue(), mlir::m_One()))
      return print(select.getFalseValue());
    auto low = compare ? compare.getLhs().getDefiningOp<mlir::arith::AndIOp>() : nullptr;
    if (!low || low.getLhs() != compare.getRhs()) {
      text += "(if ";
      print(select.getCondition());
      text += " then ";
      print(select.getTrueValue());
      text += " else ";
      print(select.getFalseValue());
      text += ")";
      return;
    }
    auto shift = select.getTrueValue().getDefiningOp<mlir::arith::ShLIOp>();
    if (!shift)
      return print(low.getLhs());
    text += "(";
    print(shift.getLhs());
    text += " << ";
    print(low.getLhs());
    text += ")";
  }

  /// What a person calls a uniform value: the expression of the spec that it comes from.
  void print(mlir::Value value) {
    using namespace mlir;
    if (isFull())
      return;
    if (auto arg = dyn_cast<BlockArgument>(value)) {
      text += arg.getArgNumber() == 0 ? "b" : "h";
      return;
    }
    Operation *op = value.getDefiningOp();
    IntegerAttr number;
    if (matchPattern(value, m_Constant(&number))) {
      text += std::to_string(number.getInt());
      return;
    }
    auto binary = [&](const char *sign) {
      text += "(";
      print(op->getOperand(0));
      text += sign;
      print(op->getOperand(1));
      text += ")";
    };
    llvm::TypeSwitch<Operation *>(op)
        .Case([&](attn::ParamOp param) { text += param.getName(); })
        .Case([&](attn::SizeOp size) { text += ("size(" + size.getSpace() + ")").str(); })
        .Case([&](attn::ReadOp read) {
          auto input = read.getTensor().getDefiningOp<attn::InputOp>();
          text += input ? input.getName().str() : "tensor";
          for (auto [i, index] : llvm::enumerate(read.getIndices())) {
            text += i ? ", " : "[";
            print(index);
          }
          text += read.getIndices().empty() ? "" : "]";
        })
        .Case([&](arith::AddIOp) { binary(" + "); })
        .Case([&](arith::SubIOp) { binary(" - "); })
        .Case([&](arith::MulIOp) { binary(" * "); })
        .Case([&](arith::FloorDivSIOp) { binary(" / "); })
        .Case([&](arith::AndIOp) { binary(" & "); })
        .Case([&](arith::OrIOp) { binary(" | "); })
        .Case([&](arith::XOrIOp) { binary(" ^ "); })
        .Case([&](arith::ShLIOp) { binary(" << "); })
        .Case([&](arith::ShRSIOp) { binary(" >> "); })
        .Case([&](arith::SelectOp select) { printSelect(select); })
        .Case([&](arith::CmpIOp compare) {
          using P = arith::CmpIPredicate;
          P predicate = compare.getPredicate();
          binary(predicate == P::eq    ? " == "
                 : predicate == P::ne  ? " != "
                 : predicate == P::slt ? " < "
                 : predicate == P::sle ? " <= "
                 : predicate == P::sgt ? " > "
                                       : " >= ");
        })
        .Default(
            [&](Operation *other) { text += ("<" + other->getName().getStringRef() + ">").str(); });
  }

  std::string text;
  size_t limit;
};

} // namespace

std::string RowExpr::str(size_t limit) const {
  Printer printer(limit);
  printer.print(this);
  return printer.finish();
}

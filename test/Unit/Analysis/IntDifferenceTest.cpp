// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Differences of ints against values: random formulas over an index, evaluated in 32-bit arithmetic
// that wraps around, are never further apart than mostDifference says. And pairs whose difference
// is known.
#include "attnc/Analysis/IntIntervals.h"
#include "attnc/Analysis/RowExpr.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"
#include <random>

using namespace mlir;
using namespace attnc;

namespace {

/// A stage over q and kv, whose formula tests write.
class Formula {
public:
  Formula() : b(UnknownLoc::get(&context), &context) {
    context.loadDialect<attn::AttnDialect, arith::ArithDialect>();
    module = ModuleOp::create(b.getLoc());
    b.setInsertionPointToStart(module->getBody());
    auto variant = attn::VariantOp::create(b, b.getStringAttr("v"));
    Block *body = b.createBlock(&variant.getBody());
    b.setInsertionPointToStart(body);
    Attribute axes[] = {b.getStringAttr("q"), b.getStringAttr("kv")};
    auto compute =
        attn::ComputeOp::create(b, attn::AttnTensorType::get(&context, axes, b.getI32Type()));
    Block *formula = b.createBlock(&compute.getBody());
    q = formula->addArgument(b.getI32Type(), b.getLoc());
    kv = formula->addArgument(b.getI32Type(), b.getLoc());
  }

  Value number(int64_t value) {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(value)));
  }
  Value size(StringRef space) { return attn::SizeOp::create(b, b.getI32Type(), space); }
  template <class Op> Value op(Value x, Value y) { return Op::create(b, x, y); }
  std::string text() {
    std::string text;
    llvm::raw_string_ostream stream(text);
    b.getInsertionBlock()->getParent()->getParentOp()->print(
        stream, OpPrintingFlags().printGenericOpForm());
    return text;
  }

  MLIRContext context;
  ImplicitLocOpBuilder b;
  OwningOpRef<ModuleOp> module;
  Value q, kv;
};

using Add = arith::AddIOp;
using Sub = arith::SubIOp;
using Mul = arith::MulIOp;
using Min = arith::MinSIOp;
using Max = arith::MaxSIOp;
using Div = arith::FloorDivSIOp;

/// Values of the leaves of one trial.
struct Trial {
  int64_t queries, keys, q, kv;
};

int64_t wrapped(int64_t x) { return static_cast<int32_t>(static_cast<uint32_t>(x)); }

int64_t evaluate(Value value, const Formula &formula, const Trial &trial) {
  if (value == formula.q)
    return trial.q;
  if (value == formula.kv)
    return trial.kv;
  Operation *op = value.getDefiningOp();
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return cast<IntegerAttr>(constant.getValue()).getInt();
  if (auto size = dyn_cast<attn::SizeOp>(op))
    return size.getSpace() == "q" ? trial.queries : trial.keys;
  int64_t x = evaluate(op->getOperand(0), formula, trial);
  int64_t y = evaluate(op->getOperand(1), formula, trial);
  if (isa<Add>(op))
    return wrapped(x + y);
  if (isa<Sub>(op))
    return wrapped(x - y);
  if (isa<Mul>(op))
    return wrapped(x * y);
  if (isa<Min>(op))
    return std::min(x, y);
  if (isa<Max>(op))
    return std::max(x, y);
  return (x - ((x % y) + y) % y) / y; // by a constant above 0
}

TEST(IntDifference, KnowsBoundsThatRunSideBySide) {
  Formula f;
  Value first = f.op<Mul>(f.q, f.number(64)), none = f.number(0);
  // A block of indices, as it is and cut to what there is.
  EXPECT_EQ(mostDifference(f.op<Add>(first, f.number(64)), first), std::nullopt); // may wrap around
  Value block = f.op<Div>(f.q, f.number(64)), start = f.op<Mul>(block, f.number(64));
  Value end = f.op<Add>(start, f.number(64)), cut = f.op<Min>(end, f.size("q"));
  EXPECT_EQ(mostDifference(end, start), 64);
  EXPECT_EQ(mostDifference(cut, start), 64);
  EXPECT_EQ(mostDifference(start, cut), std::nullopt);
  // Clamped on both sides alike.
  auto clamped = [&](Value x) { return f.op<Min>(f.op<Max>(x, none), f.size("kv")); };
  EXPECT_EQ(mostDifference(f.op<Add>(clamped(end), f.number(1)), clamped(start)), 65);
  // The same formula, written twice; a window that starts at the key.
  Value again = f.op<Mul>(f.op<Div>(f.q, f.number(64)), f.number(64));
  EXPECT_EQ(mostDifference(f.op<Add>(again, f.number(3)), start), 3);
  EXPECT_EQ(mostDifference(f.op<Sub>(end, f.kv), f.op<Sub>(start, f.kv)), 64);
  // Quotients: of neighbours 0 or 1 apart.
  Value x = f.op<Div>(f.op<Add>(f.kv, f.number(79)), f.number(16));
  Value y = f.op<Div>(f.op<Sub>(f.kv, f.number(16)), f.number(16));
  EXPECT_EQ(mostDifference(x, y), 6);
  EXPECT_EQ(mostDifference(f.q, f.kv), std::nullopt);
}

TEST(IntDifference, IsNeverExceeded) {
  unsigned known = 0;
  for (unsigned seed = 0; seed < 4000; ++seed) {
    std::mt19937 random(seed);
    auto pick = [&](unsigned n) {
      return std::uniform_int_distribution<unsigned>(0, n - 1)(random);
    };
    Formula f;
    std::function<Value(unsigned)> draw = [&](unsigned depth) -> Value {
      if (depth == 0 || pick(5) == 0) {
        const int64_t numbers[] = {0, 1, 3, 16, 64, -1, -64, 1 << 20, INT32_MAX};
        switch (pick(4)) {
        case 0:
          return f.q;
        case 1:
          return f.kv;
        case 2:
          return f.size(pick(2) ? "q" : "kv");
        default:
          return f.number(numbers[pick(9)]);
        }
      }
      Value x = draw(depth - 1);
      switch (pick(6)) {
      case 0:
        return f.op<Add>(x, draw(depth - 1));
      case 1:
        return f.op<Sub>(x, draw(depth - 1));
      case 2:
        return f.op<Mul>(x, f.number(1 + pick(20)));
      case 3:
        return f.op<Min>(x, draw(depth - 1));
      case 4:
        return f.op<Max>(x, draw(depth - 1));
      default:
        return f.op<Div>(x, f.number(1 + pick(70)));
      }
    };
    // Half of the pairs share what they are made of.
    Value base = draw(3), x = draw(2), y = draw(2);
    if (pick(2)) {
      Value other = draw(1);
      auto around = [&](Value v) -> Value {
        switch (pick(4)) {
        case 0:
          return f.op<Add>(base, v);
        case 1:
          return f.op<Min>(base, v);
        case 2:
          return f.op<Max>(f.op<Add>(base, f.number(7)), other);
        default:
          return f.op<Div>(f.op<Add>(base, f.number(pick(100))), f.number(16));
        }
      };
      x = around(x);
      y = around(y);
    }
    std::optional<int64_t> most = mostDifference(x, y);
    if (!most)
      continue;
    ++known;
    for (unsigned i = 0; i < 20; ++i) {
      auto length = [&]() -> int64_t {
        return pick(3) ? 1 + pick(300) : pick(2) ? kMaxLaunchedSize : 1 + pick(INT32_MAX - 65537);
      };
      Trial trial{length(), length(), 0, 0};
      auto index = [&](int64_t size) -> int64_t { return pick(4) ? pick(size) : size - 1; };
      trial.q = index(trial.queries);
      trial.kv = index(trial.keys);
      int64_t difference = evaluate(x, f, trial) - evaluate(y, f, trial);
      ASSERT_LE(difference, *most) << "seed " << seed << ", of the last ops of\n" << f.text();
    }
  }
  EXPECT_GT(known, 400u);
}

} // namespace

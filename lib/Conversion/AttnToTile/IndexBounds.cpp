// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// IndexBounds.h explains.
#include "IndexBounds.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"
#include <algorithm>
#include <initializer_list>

using namespace mlir;
using namespace attnc;

namespace {

/// Index arithmetic of a spec is shallow; a chain of thousands of values must not be followed for
/// each of its reads.
constexpr unsigned kMostNested = 32;

class Bounds {
public:
  explicit Bounds(llvm::function_ref<IndexBounds(Value)> leaf) : leaf(leaf) {}

  IndexBounds of(Value value, unsigned nested = 0) {
    Operation *op = value.getDefiningOp();
    if (!op)
      return leaf(value);
    if (nested > kMostNested)
      return {};
    if (auto found = known.find(value); found != known.end())
      return found->second;
    IndexBounds bounds = ofOp(op, nested + 1);
    // Arithmetic on i32 wraps.
    if (bounds.least < INT32_MIN || bounds.most > INT32_MAX)
      bounds = {};
    known[value] = bounds;
    return bounds;
  }

private:
  static IndexBounds hull(std::initializer_list<int64_t> values) {
    return {std::min(values), std::max(values)};
  }

  IndexBounds ofOp(Operation *op, unsigned nested) {
    auto operand = [&](unsigned i) { return of(op->getOperand(i), nested); };
    llvm::APInt number;
    if (matchPattern(op, m_ConstantInt(&number)))
      return {number.getSExtValue(), number.getSExtValue()};
    return llvm::TypeSwitch<Operation *, IndexBounds>(op)
        .Case<arith::AddIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          return IndexBounds{x.least + y.least, x.most + y.most};
        })
        .Case<arith::SubIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          return IndexBounds{x.least - y.most, x.most - y.least};
        })
        .Case<arith::MulIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          return hull({x.least * y.least, x.least * y.most, x.most * y.least, x.most * y.most});
        })
        .Case<arith::MinSIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          return IndexBounds{std::min(x.least, y.least), std::min(x.most, y.most)};
        })
        .Case<arith::MaxSIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          return IndexBounds{std::max(x.least, y.least), std::max(x.most, y.most)};
        })
        .Case<arith::SelectOp>([&](auto) {
          IndexBounds x = operand(1), y = operand(2);
          return IndexBounds{std::min(x.least, y.least), std::max(x.most, y.most)};
        })
        .Case<arith::FloorDivSIOp, arith::DivSIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          if (x.least < 0 || y.least != y.most || y.least <= 0)
            return IndexBounds{};
          return IndexBounds{x.least / y.least, x.most / y.least};
        })
        .Case<arith::ShRSIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          if (y.least != y.most || y.least < 0 || y.least > 31)
            return IndexBounds{};
          return IndexBounds{x.least >> y.least, x.most >> y.least};
        })
        .Case<arith::AndIOp>([&](auto) { // no more than either that is not negative
          IndexBounds x = operand(0), y = operand(1);
          IndexBounds result{
              0, std::min(x.least < 0 ? INT32_MAX : x.most, y.least < 0 ? INT32_MAX : y.most)};
          return x.least < 0 && y.least < 0 ? IndexBounds{} : result;
        })
        .Case<arith::RemSIOp>([&](auto) {
          IndexBounds x = operand(0), y = operand(1);
          if (x.least < 0 || y.least != y.most || y.least <= 0)
            return IndexBounds{};
          return IndexBounds{0, std::min(x.most, y.least - 1)};
        })
        .Default([](Operation *) { return IndexBounds{}; });
  }

  llvm::function_ref<IndexBounds(Value)> leaf;
  llvm::DenseMap<Value, IndexBounds> known;
};

} // namespace

IndexBounds attnc::boundsOf(Value value, llvm::function_ref<IndexBounds(Value)> leaf) {
  return Bounds(leaf).of(value);
}

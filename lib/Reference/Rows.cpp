// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Functions of rows, selections and merges.
#include "Stage.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/ADT/bit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;

static constexpr double infinity = std::numeric_limits<double>::infinity();

Rows::Rows(attn::AttnTensorType type, const Environment &environment,
           llvm::ArrayRef<llvm::StringRef> spaces)
    : environment(environment) {
  std::vector<int64_t> shape = environment.shapeOf(type);
  for (unsigned i = 0; i < type.getRank(); ++i) {
    bool isInner = llvm::is_contained(spaces, type.getAxisName(i));
    (isInner ? innerShape : outerShape).push_back(shape[i]);
    (isInner ? innerStrides : outerStrides).push_back(strideOf(shape, i));
    if (!isInner)
      outerNames.push_back(type.getAxisName(i).str());
  }
}

int64_t Rows::offset(int64_t index, const std::vector<int64_t> &shape,
                     const std::vector<int64_t> &strides) {
  int64_t result = 0;
  for (size_t axis = shape.size(); axis-- > 0;) {
    result += index % shape[axis] * strides[axis];
    index /= shape[axis];
  }
  return result;
}

int64_t Rows::project(int64_t row, attn::AttnTensorType onto) const {
  std::vector<int64_t> shape = environment.shapeOf(onto);
  int64_t result = 0;
  for (size_t axis = outerShape.size(); axis-- > 0;) {
    for (unsigned i = 0; i < onto.getRank(); ++i)
      if (onto.getAxisName(i) == outerNames[axis])
        result += row % outerShape[axis] * strideOf(shape, i);
    row /= outerShape[axis];
  }
  return result;
}

bool Rows::isWanted(int64_t row, Operation *stage) const {
  if (!environment.demand.isPartial(stage))
    return true;
  llvm::SmallVector<llvm::StringRef> names(outerNames.begin(), outerNames.end());
  std::optional<size_t> rowAxis = environment.demand.axisOf(stage, names);
  if (!rowAxis)
    return true;
  return environment.demand.wants(stage,
                                  row / strideOf(outerShape, *rowAxis) % outerShape[*rowAxis]);
}

static llvm::SmallVector<unsigned> axesOf(attn::AttnTensorType type,
                                          llvm::ArrayRef<llvm::StringRef> spaces) {
  llvm::SmallVector<unsigned> axes;
  for (unsigned axis = 0; axis < type.getRank(); ++axis)
    if (llvm::is_contained(spaces, type.getAxisName(axis)))
      axes.push_back(axis);
  return axes;
}

/// Indices of a row, largest entry first, the smaller index first among equals and NaN last.
static std::vector<int64_t> descending(llvm::ArrayRef<double> row) {
  std::vector<int64_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    double x = row[static_cast<size_t>(a)], y = row[static_cast<size_t>(b)];
    if (std::isnan(x) || std::isnan(y))
      return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(y);
    return x != y ? x > y : a < b;
  });
  return order;
}

/// Whether sums of some of `row` are normal numbers of f32 or 0, in whatever order they are added
/// up: they are multiples of the least digit that an entry has, and f32 holds 2^24 of those.
static bool hasExactSums(llvm::ArrayRef<double> row) {
  int least = std::numeric_limits<int>::max();
  double magnitude = 0;
  for (double x : row) {
    if (x == 0 || !(x > -infinity))
      continue;
    if (x == infinity)
      return false;
    int exponent;
    auto digits = static_cast<uint64_t>(std::ldexp(std::frexp(std::fabs(x), &exponent), 53));
    least = std::min(least, exponent - 53 + llvm::countr_zero(digits));
    magnitude += std::fabs(x);
  }
  return least >= -126 && magnitude <= std::ldexp(1.0, 24 + std::min(least, 128));
}

namespace {
using RowFunction = void (*)(const RunOptions &options, llvm::ArrayRef<double> row,
                             llvm::MutableArrayRef<double> result);

void softmax(const RunOptions &options, llvm::ArrayRef<double> row,
             llvm::MutableArrayRef<double> result) {
  withArithmetic(options, [&](auto a) {
    double maximum = -infinity, sum = 0;
    for (double x : row)
      raise(maximum, x);
    for (auto [x, r] : llvm::zip_equal(row, result)) {
      r = maximum == -infinity ? 0 : a.result(std::exp(a.result(x - maximum)));
      sum = a.partial(sum + r);
    }
    sum = a.sum(sum, static_cast<int64_t>(row.size()));
    for (double &r : result)
      r = sum == 0 ? 0 : a.result(r / sum);
  });
}

void cumsum(const RunOptions &options, llvm::ArrayRef<double> row,
            llvm::MutableArrayRef<double> result) {
  withArithmetic(options, [&](auto a) {
    double sum = 0;
    int64_t terms = 0;
    for (auto [x, r] : llvm::zip_equal(row, result)) {
      sum = a.partial(sum + x);
      r = a.sum(sum, ++terms);
    }
  });
}

void cumsumOfInts(const RunOptions &, llvm::ArrayRef<double> row,
                  llvm::MutableArrayRef<double> result) {
  double sum = 0;
  for (auto [x, r] : llvm::zip_equal(row, result))
    r = sum = wrapInt(static_cast<int64_t>(sum) + static_cast<int64_t>(x));
}

void order(const RunOptions &, llvm::ArrayRef<double> row, llvm::MutableArrayRef<double> result) {
  for (auto [i, index] : llvm::enumerate(descending(row)))
    result[i] = static_cast<double>(index);
}

void rank(const RunOptions &, llvm::ArrayRef<double> row, llvm::MutableArrayRef<double> result) {
  for (auto [i, index] : llvm::enumerate(descending(row)))
    result[static_cast<size_t>(index)] = static_cast<double>(i);
}

class RowStage : public Stage {
public:
  RowStage(Operation *op, llvm::StringRef space, const Environment &environment,
           RowFunction function)
      : op(op), type(cast<attn::AttnTensorType>(op->getOperand(0).getType())),
        environment(environment), rows(type, environment, space), function(function) {}

  void run(Memory &memory) const override {
    const Tensor64 &tensor = memory.tensor(op->getOperand(0));
    Tensor64 &result =
        memory.allocate(op->getResult(0), environment.shapeOf(type), environment.demand, op);
    size_t length = static_cast<size_t>(rows.getLength());
    std::vector<double> row(length), values(length);
    for (int64_t r = 0; r < rows.getNumRows(); ++r) {
      if (!rows.isWanted(r, op))
        continue;
      int64_t base = rows.base(r);
      for (size_t i = 0; i < length; ++i)
        row[i] = tensor.data[static_cast<size_t>(base + rows.step(static_cast<int64_t>(i)))];
      function(environment.options, row, values);
      for (size_t i = 0; i < length; ++i)
        result.data[static_cast<size_t>(base + rows.step(static_cast<int64_t>(i)))] = values[i];
    }
    decision.apply(memory, tensor, result);
  }

  /// Ranks and orders decide.
  llvm::Error prepare() {
    return isa<attn::RankOp, attn::OrderOp>(op)
               ? decision.prepare(op, environment, environment.shapeOf(type), "",
                                  axesOf(type, op->getAttrOfType<StringAttr>("space").getValue()))
               : llvm::Error::success();
  }

private:
  Operation *op;
  attn::AttnTensorType type;
  const Environment &environment;
  Rows rows;
  RowFunction function;
  TensorDecision decision;
};

class SelectStage : public Stage {
public:
  SelectStage(attn::SelectOp op, const Environment &environment)
      : op(op), environment(environment), rows(op.getRanks().getType(), environment, spacesOf(op)) {
  }

  void run(Memory &memory) const override {
    const Tensor64 &ranks = memory.tensor(op.getRanks());
    Tensor64 &result =
        memory.allocate(op.getResult(), environment.shapeOf(op.getResult().getType()));
    std::fill(result.data.begin(), result.data.end(),
              environment.demand.isPartial(op) ? std::nan("") : 0.0);
    size_t length = static_cast<size_t>(rows.getLength());
    std::vector<double> row(length);
    bool isCover = op.getRule() != attn::Selection::Top;
    for (int64_t r = 0; r < rows.getNumRows(); ++r) {
      if (!rows.isWanted(r, op))
        continue;
      int64_t base = rows.base(r);
      for (size_t i = 0; i < length; ++i)
        result.data[static_cast<size_t>(base + rows.step(static_cast<int64_t>(i)))] = 0;
      for (size_t i = 0; i < length; ++i)
        row[i] = ranks.data[static_cast<size_t>(base + rows.step(static_cast<int64_t>(i)))];
      std::vector<int64_t> order = descending(row);
      while (!order.empty() && !(row[static_cast<size_t>(order.back())] > -infinity))
        order.pop_back();
      size_t count = countOf(memory, r, row, order);
      for (size_t i = 0; i < count; ++i)
        result.data[static_cast<size_t>(base + rows.step(order[i]))] = 1;
      if (isCover && decision.isRecorded())
        decision.recordCover(memory, base, coverOf(memory, r, row, order));
    }
    decision.apply(memory, ranks, result);
  }

  llvm::Error prepare() {
    return decision.prepare(op, environment, environment.shapeOf(op.getResult().getType()),
                            attn::DecisionNames::partOf(op),
                            axesOf(op.getRanks().getType(), spacesOf(op)));
  }

private:
  static llvm::SmallVector<llvm::StringRef> spacesOf(attn::SelectOp op) {
    return llvm::to_vector(op.getSpaces().getAsValueRange<StringAttr>());
  }

  double amountOf(const Memory &memory, Value tensor, int64_t row) const {
    return memory.tensor(tensor)
        .data[static_cast<size_t>(rows.project(row, cast<attn::AttnTensorType>(tensor.getType())))];
  }

  CoverRow coverOf(const Memory &memory, int64_t r, llvm::ArrayRef<double> row,
                   llvm::ArrayRef<int64_t> order) const {
    CoverRow cover;
    for (int64_t i : order)
      cover.total += row[static_cast<size_t>(i)];
    cover.target = amountOf(memory, op.getAmount(), r) * cover.total;
    bool isFlushed = cover.target != 0 && std::fabs(cover.target) < 0x1p-126;
    cover.isExact =
        hasExactSums(row) && static_cast<float>(cover.target) == cover.target && !isFlushed;
    cover.isInclusive = op.getRule() == attn::Selection::CoverInclusive;
    double most = static_cast<double>(order.size());
    double least = op.getAtLeast() ? amountOf(memory, op.getAtLeast(), r) : 0;
    if (op.getAtMost())
      most = std::clamp(amountOf(memory, op.getAtMost(), r), 0.0, most);
    cover.atMost = most;
    cover.atLeast = std::clamp(least, 0.0, most);
    return cover;
  }

  size_t countOf(const Memory &memory, int64_t r, llvm::ArrayRef<double> row,
                 llvm::ArrayRef<int64_t> order) const {
    return withArithmetic(environment.options,
                          [&](auto a) { return countOf(a, memory, r, row, order); });
  }
  template <typename A>
  size_t countOf(const A &a, const Memory &memory, int64_t r, llvm::ArrayRef<double> row,
                 llvm::ArrayRef<int64_t> order) const {
    double amount = amountOf(memory, op.getAmount(), r);
    double count = amount;
    if (op.getRule() != attn::Selection::Top) {
      double total = 0, sum = 0;
      for (int64_t i : order)
        total = a.partial(total + row[static_cast<size_t>(i)]);
      count = 0;
      for (int64_t i : order) {
        double next = a.partial(sum + row[static_cast<size_t>(i)]);
        bool isKept = op.getRule() == attn::Selection::CoverInclusive
                          ? sum < a.result(amount * total)
                          : next <= a.result(amount * total);
        if (!isKept)
          break;
        sum = next;
        count += 1;
      }
    }
    if (op.getAtLeast())
      count = std::max(count, amountOf(memory, op.getAtLeast(), r));
    if (op.getAtMost())
      count = std::min(count, amountOf(memory, op.getAtMost(), r));
    return static_cast<size_t>(std::clamp(count, 0.0, static_cast<double>(order.size())));
  }

  mutable attn::SelectOp op; // a handle; accessors are not const
  const Environment &environment;
  Rows rows;
  TensorDecision decision;
};

class MergeStage : public Stage {
public:
  MergeStage(attn::MergeOp op, const Environment &environment) : op(op), environment(environment) {}

  void run(Memory &memory) const override {
    withArithmetic(environment.options, [&](auto arithmetic) { merge(arithmetic, memory); });
  }

private:
  template <typename A> void merge(const A &a, Memory &memory) const {
    Tensor64 &out = memory.allocate(op.getOut(), environment.shapeOf(op.getOut().getType()),
                                    environment.demand, op);
    Tensor64 &lse = memory.allocate(op.getLse(), environment.shapeOf(op.getLse().getType()),
                                    environment.demand, op);
    Rows all(op.getLse().getType(), environment, {});
    size_t rows = lse.data.size(), width = rows ? out.data.size() / rows : 0;
    for (size_t row = 0; row < rows; ++row) {
      if (!all.isWanted(static_cast<int64_t>(row), op))
        continue;
      double maximum = -infinity, sum = 0;
      for (Value branch : op.getLses())
        raise(maximum, memory.tensor(branch).data[row]);
      double *result = out.data.data() + row * width;
      std::fill_n(result, width, 0.0);
      lse.data[row] = -infinity;
      if (maximum == -infinity)
        continue;
      for (auto [branchOut, branchLse] : llvm::zip_equal(op.getOuts(), op.getLses())) {
        double weight = a.result(std::exp(a.result(memory.tensor(branchLse).data[row] - maximum)));
        sum = a.result(sum + weight);
        const double *values = memory.tensor(branchOut).data.data() + row * width;
        for (size_t e = 0; weight != 0 && e < width; ++e)
          result[e] = a.result(result[e] + a.result(weight * values[e]));
      }
      for (size_t e = 0; e < width; ++e)
        result[e] = a.result(result[e] / sum);
      lse.data[row] = a.result(maximum + a.result(std::log(sum)));
    }
  }

  mutable attn::MergeOp op; // a handle; accessors are not const
  const Environment &environment;
};
} // namespace

StageResult attnc::reference::makeRowFunction(Operation *op, const Environment &environment) {
  auto make = [&](auto row, RowFunction function) -> StageResult {
    auto stage = std::make_unique<RowStage>(op, row.getSpace(), environment, function);
    if (llvm::Error error = stage->prepare())
      return std::move(error);
    return std::move(stage);
  };
  return llvm::TypeSwitch<Operation *, StageResult>(op)
      .Case<attn::SoftmaxOp>([&](auto row) { return make(row, softmax); })
      .Case<attn::CumsumOp>([&](auto row) {
        return make(row, row.getResult().getType().getElementType().isInteger(32) ? cumsumOfInts
                                                                                  : cumsum);
      })
      .Case<attn::OrderOp>([&](auto row) { return make(row, order); })
      .Case<attn::RankOp>([&](auto row) { return make(row, rank); });
}

StageResult attnc::reference::makeSelect(attn::SelectOp op, const Environment &environment) {
  auto stage = std::make_unique<SelectStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}

StageResult attnc::reference::makeMerge(attn::MergeOp op, const Environment &environment) {
  return std::make_unique<MergeStage>(op, environment);
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions: the body is run for each index, and its value joins the result of each lane.
#include "Program.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace attnc;
using namespace attnc::reference;
using attn::Reduction;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();

double initialValue(const Program::Loop &loop) {
  switch (loop.kind) {
  case Reduction::Prod:
  case Reduction::All:
    return 1;
  case Reduction::Max:
    return loop.isInteger ? -2147483648.0 : -infinity;
  case Reduction::Min:
    return loop.isInteger ? 2147483647.0 : infinity;
  case Reduction::Argmax:
  case Reduction::Argmin:
    return -1;
  default:
    return 0;
  }
}

/// Joins `value` at index `k` to the result of one lane. `scratch` is the count of a mean, or the
/// best value so far.
template <typename A>
void join(const A &arithmetic, const Program::Loop &loop, double value, double k, double &result,
          double &scratch) {
  switch (loop.kind) {
  case Reduction::Sum:
    result = loop.isInteger ? wrapInt(static_cast<int64_t>(result) + static_cast<int64_t>(value))
                            : arithmetic.partial(result + value);
    return;
  case Reduction::Mean:
    result = arithmetic.partial(result + value);
    scratch += 1;
    return;
  case Reduction::Prod:
    result = loop.isInteger ? wrapInt(static_cast<int64_t>(result) * static_cast<int64_t>(value))
                            : arithmetic.partial(result * value);
    return;
  case Reduction::Max:
    raise(result, value);
    return;
  case Reduction::Min:
    if (std::isnan(value) || value < result)
      result = value;
    return;
  case Reduction::Argmax:
    if (value > scratch || (result < 0 && !std::isnan(value))) {
      result = k;
      scratch = value;
    }
    return;
  case Reduction::Argmin:
    if (value < scratch || (result < 0 && !std::isnan(value))) {
      result = k;
      scratch = value;
    }
    return;
  case Reduction::Any:
    result = result != 0 || value != 0;
    return;
  case Reduction::All:
    result = result != 0 && value != 0;
    return;
  }
}

/// Meets the index `told` with its value; `shortfall` holds the value until the loop ends.
void meet(double told, double value, double at, double &shortfall) {
  if (at == told)
    shortfall = value;
}

/// By how much the value that was met is worse than `best`, the one of `result`.
double shortfallOf(double told, double met, double result, double best) {
  if (std::isnan(told) || told == result)
    return 0;
  double difference = std::fabs(best - met);
  return met == best ? 0 : std::isnan(difference) || result < 0 ? infinity : difference;
}

/// The bounds of the indices that a lane takes part with.
struct LaneBounds {
  const Program::Loop &loop;
  double *const *slots;

  double lower(unsigned lane) const {
    return loop.lower ? slots[*loop.lower][loop.lowerVaries ? lane : 0] : -infinity;
  }
  double upper(unsigned lane) const {
    return loop.upper ? slots[*loop.upper][loop.upperVaries ? lane : 0] : infinity;
  }
  /// The indices from `first` to `second`, exclusive, are those of all lanes that there are in
  /// [0, count).
  std::pair<int64_t, int64_t> hull(unsigned lanes) const {
    double first = infinity, last = -infinity;
    for (unsigned lane = 0; lane < lanes; ++lane) {
      first = std::min(first, lower(lane));
      last = std::max(last, upper(lane));
    }
    double count = static_cast<double>(loop.count);
    return {static_cast<int64_t>(std::clamp(first, 0.0, count)),
            static_cast<int64_t>(std::clamp(last, 0.0, count))};
  }
};

template <typename A>
void runLoop(const A &arithmetic, const Program::Instruction &in, double *const *slots,
             unsigned lanes) {
  const Program::Loop &loop = *in.loop;
  double *result = slots[in.result], *scratch = slots[loop.scratch];
  for (unsigned lane = 0; lane < lanes; ++lane) {
    result[lane] = initialValue(loop);
    scratch[lane] = loop.kind == Reduction::Argmin   ? infinity
                    : loop.kind == Reduction::Argmax ? -infinity
                                                     : 0;
  }
  double *shortfall = loop.shortfall ? slots[*loop.shortfall] : nullptr;
  const double *told = loop.told ? slots[*loop.told] : nullptr;
  if (shortfall)
    std::fill_n(shortfall, lanes, std::nan("")); // nothing met
  LaneBounds bounds{loop, slots};
  bool isBounded = loop.lower || loop.upper;
  // The members of a block are not counted from 0.
  auto [first, last] =
      loop.isBlock ? std::pair<int64_t, int64_t>(0, loop.count) : bounds.hull(lanes);
  for (int64_t k = first; k < last; ++k) {
    double *index = slots[loop.index];
    if (loop.isBlock) {
      const double *block = slots[loop.block];
      for (unsigned lane = 0; lane < (loop.blockVaries ? lanes : 1); ++lane)
        index[lane] = block[lane] * static_cast<double>(loop.stride) + static_cast<double>(k);
    } else {
      *index = static_cast<double>(k);
    }
    for (const Program::Instruction &inner : loop.body)
      inner.kernel(inner, slots, inner.varies ? lanes : 1);
    const double *value = slots[loop.value], *condition = slots[loop.condition];
    for (unsigned lane = 0; lane < lanes; ++lane) {
      if (loop.isBlock) {
        double block = slots[loop.block][loop.blockVaries ? lane : 0];
        if (index[loop.blockVaries ? lane : 0] >= static_cast<double>(loop.limit) || block < 0 ||
            block >= static_cast<double>(loop.numBlocks))
          continue;
      }
      double at = index[loop.isBlock && loop.blockVaries ? lane : 0];
      if (isBounded && (at < bounds.lower(lane) || at >= bounds.upper(lane)))
        continue;
      if (loop.hasCondition && condition[loop.conditionVaries ? lane : 0] == 0)
        continue;
      join(arithmetic, loop, value[loop.valueVaries ? lane : 0], at, result[lane], scratch[lane]);
      if (shortfall)
        meet(told[lane], value[loop.valueVaries ? lane : 0], at, shortfall[lane]);
    }
  }
  for (unsigned lane = 0; shortfall && lane < lanes; ++lane)
    shortfall[lane] = shortfallOf(told[lane], shortfall[lane], result[lane], scratch[lane]);
  if (loop.kind == Reduction::Mean)
    for (unsigned lane = 0; lane < lanes; ++lane)
      if (scratch[lane] != 0)
        result[lane] = arithmetic.result(result[lane] / scratch[lane]);
  if (!loop.isInteger &&
      (loop.kind == Reduction::Sum || loop.kind == Reduction::Mean || loop.kind == Reduction::Prod))
    for (unsigned lane = 0; lane < lanes; ++lane)
      result[lane] = arithmetic.sum(result[lane], loop.count);
}
} // namespace

Program::Kernel attnc::reference::loopKernel(Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::Float64)
    return [](const Program::Instruction &in, double *const *slots, unsigned lanes) {
      runLoop(Exact(), in, slots, lanes);
    };
  return [](const Program::Instruction &in, double *const *slots, unsigned lanes) {
    withArithmetic(*in.options, [&](auto policy) { runLoop(policy, in, slots, lanes); });
  };
}

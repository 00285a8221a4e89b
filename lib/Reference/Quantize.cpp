// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn.quantize, and rounding to storage formats, to the bit.
#include "Stage.h"

#include <cmath>
#include <limits>
#include <map>

using namespace attnc;
using namespace attnc::reference;
using namespace mlir;
using attn::Format;
using attn::Rounding;

namespace {
/// Bits of a floating-point format: precision counts the leading one, `minExponent` is of the
/// smallest normal number.
struct FloatFormat {
  int precision, minExponent;
};

FloatFormat floatFormat(Format format) {
  switch (format) {
  case Format::F8E4M3:
    return {4, -6};
  case Format::F8E5M2:
    return {3, -14};
  case Format::F4E2M1:
    return {2, 0};
  case Format::F16:
    return {11, -14};
  case Format::BF16:
    return {8, -126};
  default:
    return {24, -126};
  }
}

double roundWhole(double value, Rounding rounding) {
  if (rounding == Rounding::HalfAway)
    return std::round(value);
  return std::nearbyint(value);
}
} // namespace

double attnc::reference::roundToFormat(double value, Format format, Rounding rounding) {
  if (std::isnan(value))
    return value;
  double largest = attn::largestNumber(format);
  if (format == Format::Int8 || format == Format::Int4)
    return std::fmax(-largest - 1, std::fmin(largest, roundWhole(value, rounding)));
  if (value == 0 || std::isinf(value))
    return std::isinf(value) ? std::copysign(largest, value) : value;
  FloatFormat f = floatFormat(format);
  int exponent = std::max(std::ilogb(value), f.minExponent);
  double ulp = std::ldexp(1.0, exponent - f.precision + 1);
  double rounded = roundWhole(value / ulp, rounding) * ulp; // exact: a power of two
  return std::fabs(rounded) > largest ? std::copysign(largest, rounded) : rounded;
}

/// A number that a spec writes is an f32.
static double numberOf(const APFloat &value) {
  return static_cast<double>(static_cast<float>(value.convertToDouble()));
}

namespace {
class QuantizeStage : public Stage {
public:
  QuantizeStage(attn::QuantizeOp op, const Environment &environment)
      : op(op), environment(environment), shape(environment.shapeOf(op.getTensor().getType())) {}

  llvm::Error prepare() {
    for (auto [region, program] :
         {std::pair(&op.getGroup(), &group), std::pair(&op.getSmooth(), &smooth)}) {
      if (region->empty())
        continue;
      llvm::Expected<Program> compiled = Program::compile(*region, environment, {});
      if (!compiled)
        return compiled.takeError();
      *program = std::move(*compiled);
    }
    if (llvm::Error error = codes.prepare(op, environment, shape, "code"))
      return error;
    return op.getScaleFormat() == Format::F32 ? llvm::Error::success()
                                              : scales.prepare(op, environment, shape, "scale");
  }

  void run(Memory &memory) const override {
    withArithmetic(environment.options, [&](auto arithmetic) { quantize(arithmetic, memory); });
  }

private:
  struct Range {
    double lowest = std::numeric_limits<double>::infinity(), highest = -lowest, largest = 0;
  };

  template <typename A> void quantize(const A &a, Memory &memory) const {
    const Tensor64 &tensor = memory.tensor(op.getTensor());
    Tensor64 &result = memory.allocate(op.getResult(), shape);
    size_t count = tensor.data.size();
    std::vector<double> centered = tensor.data, shift(count, 0.0);
    if (smooth)
      center(a, memory, centered, shift);
    std::vector<size_t> groups(count, 0);
    std::map<size_t, Range> ranges;
    if (group) {
      groups = groupsOf(*group, memory);
      for (size_t i = 0; i < count; ++i) {
        Range &range = ranges[groups[i]];
        range.lowest = std::fmin(range.lowest, centered[i]);
        range.highest = std::fmax(range.highest, centered[i]);
        raise(range.largest, std::fabs(centered[i]));
      }
    }
    int64_t first = codes.base(memory);
    for (size_t i = 0; i < count; ++i) {
      int64_t place = first + static_cast<int64_t>(i);
      double x = centered[i];
      if (!group && !op.getStaticScale())
        x = codes.decide(place, roundToFormat(x, op.getFormat(), op.getRounding()), x);
      else if (op.getAsymmetric())
        x = asymmetric(a, x, ranges[groups[i]], place);
      else
        x = symmetric(a, x, ranges[groups[i]].largest, place);
      result.data[i] = smooth ? a.result(x + shift[i]) : x;
    }
  }

  /// Subtracts from each element the mean of those that share its shift.
  template <typename A>
  void center(const A &a, const Memory &memory, std::vector<double> &centered,
              std::vector<double> &shift) const {
    std::vector<size_t> groups = groupsOf(*smooth, memory);
    std::map<size_t, std::pair<double, double>> sums;
    for (size_t i = 0; i < centered.size(); ++i) {
      auto &[sum, members] = sums[groups[i]];
      sum = a.partial(sum + centered[i]);
      members += 1;
    }
    for (size_t i = 0; i < centered.size(); ++i) {
      auto [sum, members] = sums[groups[i]];
      shift[i] = a.result(a.sum(sum, static_cast<int64_t>(members)) / members);
      centered[i] = a.result(centered[i] - shift[i]);
    }
  }

  template <typename A> double scaleOf(const A &a, double scale, int64_t place) const {
    scale = a.result(a.result(scale) + numberOf(op.getEpsilon()));
    return op.getScaleFormat() == Format::F32
               ? scale
               : scales.decide(place, roundToFormat(scale, op.getScaleFormat()), scale);
  }

  template <typename A>
  double symmetric(const A &a, double x, double largest, int64_t place) const {
    if (std::isnan(x))
      return x;
    double most =
        op.getLargest() ? numberOf(*op.getLargest()) : attn::largestNumber(op.getFormat());
    double scale =
        scaleOf(a, op.getStaticScale() ? numberOf(*op.getStaticScale()) : largest / most, place);
    if (scale == 0)
      return 0;
    double code = roundToFormat(a.result(x / scale), op.getFormat(), op.getRounding());
    bool isInt = op.getFormat() == Format::Int8 || op.getFormat() == Format::Int4;
    if (isInt) // symmetric codes leave out the most negative one
      code = std::fmax(-most, std::fmin(most, code));
    return a.result(codes.decide(place, code, x / scale) * scale);
  }

  template <typename A>
  double asymmetric(const A &a, double x, const Range &range, int64_t place) const {
    if (std::isnan(x))
      return x;
    double levels = op.getFormat() == Format::Int8 ? 255 : 15;
    double scale = scaleOf(a, a.result(range.highest - range.lowest) / levels, place);
    if (scale == 0)
      return range.lowest;
    double steps = a.result(a.result(x - range.lowest) / scale);
    double code = std::fmax(0, std::fmin(levels, roundWhole(steps, op.getRounding())));
    return a.result(a.result(codes.decide(place, code, steps) * scale) + range.lowest);
  }

  /// A number for each element that is equal within a group.
  std::vector<size_t> groupsOf(const Program &program, const Memory &memory) const {
    std::vector<size_t> result;
    std::map<std::vector<double>, size_t> known;
    Program::Frame frame = program.makeFrame(memory);
    int64_t count = elementsOf(shape);
    std::vector<double> key(program.getNumResults());
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = i;
      for (size_t axis = shape.size(); axis-- > 0; rest /= shape[axis])
        *program.argument(frame, axis) = static_cast<double>(rest % shape[axis]);
      program.run(frame, 1);
      for (unsigned k = 0; k < program.getNumResults(); ++k)
        key[k] = *program.result(frame, k);
      result.push_back(known.try_emplace(key, known.size()).first->second);
    }
    return result;
  }

  mutable attn::QuantizeOp op; // a handle; accessors are not const
  const Environment &environment;
  std::vector<int64_t> shape;
  std::optional<Program> group, smooth;
  TensorDecision codes, scales;
};
} // namespace

StageResult attnc::reference::makeQuantize(attn::QuantizeOp op, const Environment &environment) {
  auto stage = std::make_unique<QuantizeStage>(op, environment);
  if (llvm::Error error = stage->prepare())
    return std::move(error);
  return std::move(stage);
}

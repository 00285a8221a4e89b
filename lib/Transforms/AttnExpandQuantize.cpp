// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// attn-expand-quantize: a quantization as formulas, for a tensor x, groups c that share a scale and
// groups s that share a mean:
//
//   mean[s]   = sum(x in s) / count(s)
//   scale[c]  = to_scale_format(max(abs(x - mean) in c) / largest + epsilon)
//   y         = round((x - mean) / scale) * scale + mean
//
// and with `asymmetric`, for the number of steps between the codes of an int format,
//
//   lowest[c] = min(x - mean in c)
//   scale[c]  = to_scale_format((max(x - mean in c) - lowest) / levels + epsilon)
//   y         = round((x - mean - lowest) / scale) * scale + lowest + mean
//
// Scales and means are computed once each, in f32, and stored: all members of a group are rounded
// by the same one. Which tensor has one element for each group is QuantizeGroups.h's; rounding is
// RoundToFormat.h's.
#include "QuantizeGroups.h"
#include "RoundToFormat.h"
#include "attnc/Transforms/Passes.h"

using namespace mlir;

namespace attnc {
#define GEN_PASS_DEF_ATTNEXPANDQUANTIZE
#include "attnc/Transforms/Passes.h.inc"

namespace {

class Expansion {
public:
  explicit Expansion(attn::QuantizeOp op) : op(op), b(op) {
    if (!op.getSmooth().empty())
      smooth.emplace(op, op.getTensor(), op.getSmooth());
    if (!op.getGroup().empty())
      groups.emplace(op, op.getTensor(), op.getGroup());
  }

  Value run() {
    if (smooth)
      means = b.compute(smooth->getAxes(), b.getF32Type(), [&](ValueRange group) {
        Value sum = smooth->reduce(b, attn::Reduction::Sum, group, [&](ValueRange indices) {
          return Term{b.read(op.getTensor(), indices), {}};
        });
        return b.div(sum, smooth->count(b, group));
      });
    if (op.getAsymmetric())
      lowests = b.compute(groups->getAxes(), b.getF32Type(),
                          [&](ValueRange group) { return extremum(attn::Reduction::Min, group); });
    if (groups)
      scales = b.compute(groups->getAxes(), b.getF32Type(),
                         [&](ValueRange group) { return groupScale(group); });
    return b.compute(op.getResult().getType(), [&](ValueRange indices) {
      Value y = rounded(centered(indices), indices);
      return smooth ? b.add(y, meanAt(indices)) : y;
    });
  }

private:
  Value meanAt(ValueRange indices) { return b.read(means, smooth->indicesOf(b, indices)); }
  Value ofGroup(Value tensor, ValueRange indices) {
    return b.read(tensor, groups->indicesOf(b, indices));
  }
  Value centered(ValueRange indices) {
    Value x = b.read(op.getTensor(), indices);
    return smooth ? b.sub(x, meanAt(indices)) : x;
  }

  /// The largest or the smallest number of a group; NaN is passed over.
  Value extremum(attn::Reduction kind, ValueRange group) {
    return groups->reduce(b, kind, group, [&](ValueRange indices) {
      Value x = centered(indices);
      return Term{x, b.compare(arith::CmpFPredicate::ORD, x, x)};
    });
  }

  Value groupScale(ValueRange group) {
    if (op.getAsymmetric()) {
      Value highest = extremum(attn::Reduction::Max, group), lowest = b.read(lowests, group);
      return stored(b.div(b.sub(highest, lowest), b.real(levels())));
    }
    Value largest = groups->reduce(b, attn::Reduction::Max, group, [&](ValueRange indices) {
      return Term{math::AbsFOp::create(b, centered(indices)), {}};
    });
    return stored(b.div(largest, b.real(most())));
  }

  /// A scale as it is kept.
  Value stored(Value scale) {
    if (double epsilon = op.getEpsilon().convertToDouble())
      scale = b.add(scale, b.real(epsilon));
    return op.getScaleFormat() == attn::Format::F32
               ? scale
               : roundToFormat(b, scale, op.getScaleFormat(), attn::Rounding::HalfEven);
  }

  /// The number that the code of the centered `x` stands for.
  Value rounded(Value x, ValueRange indices) {
    if (!groups && !op.getStaticScale())
      return roundToFormat(b, x, op.getFormat(), op.getRounding());
    Value scale = op.getStaticScale() ? stored(b.real(op.getStaticScale()->convertToDouble()))
                                      : ofGroup(scales, indices);
    Value lowest = op.getAsymmetric() ? ofGroup(lowests, indices) : Value();
    Value y = b.mul(code(lowest ? b.sub(x, lowest) : x, scale), scale);
    if (lowest)
      y = b.add(y, lowest);
    // A group of numbers that are all the same, 0 if it is symmetric.
    Value isFlat = b.compare(arith::CmpFPredicate::OEQ, scale, b.real(0));
    y = b.select(isFlat, lowest ? lowest : b.real(0), y);
    return isIntFormat(op.getFormat()) ? b.select(b.isNaN(x), x, y) : y;
  }

  Value code(Value x, Value scale) {
    Value steps = b.div(x, scale);
    if (!isIntFormat(op.getFormat()))
      return roundToFormat(b, steps, op.getFormat(), op.getRounding());
    // Symmetric codes leave out the most negative one.
    double first = op.getAsymmetric() ? 0 : -most(), last = op.getAsymmetric() ? levels() : most();
    Value whole = roundToWhole(b, steps, op.getRounding());
    Value below = arith::MinNumFOp::create(b, whole, b.real(last));
    return arith::MaxNumFOp::create(b, below, b.real(first));
  }

  double most() {
    return op.getLargest() ? op.getLargest()->convertToDouble()
                           : attn::largestNumber(op.getFormat());
  }
  /// Steps of an asymmetric format, from the first to the last code.
  double levels() { return 2 * attn::largestNumber(op.getFormat()) + 1; }

  attn::QuantizeOp op;
  FormulaBuilder b;
  std::optional<QuantizeGroups> smooth, groups;
  Value means, lowests, scales;
};

struct AttnExpandQuantize : impl::AttnExpandQuantizeBase<AttnExpandQuantize> {
  using AttnExpandQuantizeBase::AttnExpandQuantizeBase;

  void runOnOperation() override {
    getOperation().walk([&](attn::QuantizeOp quantize) {
      if (!isOverSpaces(quantize.getResult().getType()))
        return;
      quantize.getResult().replaceAllUsesWith(Expansion(quantize).run());
      quantize.erase();
      ++numExpanded;
    });
  }
};

} // namespace
} // namespace attnc

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Errors against the reference; Errors.h derives the bounds.
#include "Errors.h"
#include <cmath>

using namespace attnc;
using namespace attnc::driver;

/// Largest absolute value, or largest Euclidean length of a row over the last dimension.
static double largest(const TensorView &view, bool rows) {
  double result = 0, sum = 0;
  int64_t width = view.rank() ? view.shape.back() : 1;
  for (int64_t i = 0; i < view.numElements(); ++i) {
    double value = elementOf(view, i);
    if (!rows) {
      result = std::max(result, std::fabs(value));
      continue;
    }
    sum += value * value;
    if ((i + 1) % width == 0) {
      result = std::max(result, std::sqrt(sum));
      sum = 0;
    }
  }
  return result;
}

static double unitRoundoff(DType dtype) {
  return dtype == DType::F16    ? std::ldexp(1, -11)
         : dtype == DType::BF16 ? std::ldexp(1, -8)
                                : std::ldexp(1, -24);
}

std::vector<OutputError>
driver::compareExactly(BoundSpec &bound,
                       const std::map<std::string, reference::Tensor64> &expected) {
  std::vector<OutputError> errors;
  for (auto &[name, tensor] : bound.outputs) {
    const reference::Tensor64 &wanted = expected.at(name);
    OutputError error;
    error.name = name;
    OwnedTensor rounded; // one element of the output's type
    rounded.view.dtype = tensor.view.dtype;
    rounded.storage.resize(dtypeSize(tensor.view.dtype));
    rounded.view.data = rounded.storage.data();
    for (int64_t i = 0; i < tensor.view.numElements(); ++i) {
      setElement(rounded.view, 0, wanted.data[i]);
      double x = elementOf(tensor.view, i), r = elementOf(rounded.view, 0);
      if (x != r && !(std::isnan(x) && std::isnan(r)))
        error.relativeFrobenius = error.maximum = INFINITY;
    }
    errors.push_back(error);
  }
  return errors;
}

std::vector<OutputError>
driver::compareOutputs(BoundSpec &bound, bool onGPU, bool tf32,
                       const std::map<std::string, reference::Tensor64> &expected) {
  double d = bound.sizes.spaces["d"], n = bound.sizes.spaces["kv"];
  double e = std::ldexp(1, -24), u = unitRoundoff(bound.sizes.operandDType);
  // What the bound is derived from; without it there is none.
  auto largestOf = [&](const char *operand, bool rows) {
    auto it = bound.inputs.find(operand);
    return it == bound.inputs.end() ? INFINITY : largest(it->second.view, rows);
  };
  double v = largestOf("V", /*rows=*/false);
  // Scores by Cauchy-Schwarz; what score regions add shows in the lse.
  double s = largestOf("Q", /*rows=*/true) * largestOf("K", /*rows=*/true) / std::sqrt(d);
  for (auto &[name, tensor] : expected)
    if (name == "lse")
      for (double value : tensor.data)
        if (std::isfinite(value))
          s = std::max(s, std::fabs(value));
  double operandError = tf32 ? std::ldexp(1, -10) : std::ldexp(1, -20);
  double ds = s * (d * e + operandError);

  std::vector<OutputError> errors;
  for (auto &[name, tensor] : bound.outputs) {
    const reference::Tensor64 &wanted = expected.at(name);
    OutputError error;
    error.name = name;
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < tensor.view.numElements(); ++i) {
      double x = elementOf(tensor.view, i), r = wanted.data[i];
      if (x == r || (std::isnan(x) && std::isnan(r)))
        continue;
      double delta = std::fabs(x - r);
      if (!std::isfinite(r))
        delta = INFINITY;
      difference += delta * delta;
      error.maximum = std::isnan(delta) || delta > error.maximum ? delta : error.maximum;
    }
    for (double r : wanted.data)
      if (std::isfinite(r))
        norm += r * r;
    error.relativeFrobenius = norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
    bool operandTyped = tensor.view.dtype == bound.sizes.operandDType && name != "lse";
    double f32Bound = tf32 ? 2e-3 : onGPU ? 1e-5 : 1e-6;
    switch (operandTyped ? bound.sizes.operandDType : DType::F32) {
    case DType::F16:
      error.frobeniusBound = 1e-3;
      break;
    case DType::BF16:
      error.frobeniusBound = 5e-3;
      break;
    default:
      error.frobeniusBound = f32Bound;
    }
    error.maximumBound = operandTyped ? v * (std::expm1(2 * ds) + 3 * u + (n + 8) * e)
                                      : 2 * ds + (n + 8) * e + s * e;
    errors.push_back(error);
  }
  return errors;
}

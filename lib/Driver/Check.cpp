// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Errors against the reference. What an executor may differ by is 8 times what the reference
// differs by when it draws the executor's roundings, plus the rounding of what is stored.
#include "Check.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <cmath>

using namespace attnc;
using namespace attnc::driver;
using llvm::formatv;
using reference::Tensor64;

static double unitRoundoff(DType dtype) {
  return dtype == DType::F16 ? 0x1p-11 : dtype == DType::BF16 ? 0x1p-8 : 0x1p-24;
}

/// What storing a number of at most `size` as `dtype` changes: half of the distance of its
/// neighbours, which below the smallest normal number is the same everywhere. Whole numbers and
/// conditions are stored as they are.
static double storingError(DType dtype, double size) {
  if (dtype == DType::I32 || dtype == DType::Bool)
    return 0;
  int least = dtype == DType::F16 ? -14 : -126;
  int exponent = size == 0 || !std::isfinite(size) ? least : std::max(std::ilogb(size), least);
  return std::ldexp(unitRoundoff(dtype), exponent);
}

/// What the executor rounds. Roundings that are made for certain, of operands and of weights, have
/// a known size, so that the margin over them need not be 8: they are drawn that much smaller.
static reference::Roundoffs roundoffsOf(Spec &spec, const BoundSpec &bound, const Device &device) {
  reference::Roundoffs result;
  DType dtype = bound.sizes.operandDType;
  if (device.kind == Device::Kind::Reference)
    return result;
  if (dtype != DType::F32)
    result.weight = unitRoundoff(dtype) / reference::boundMargin;
  else if (device.kind == Device::Kind::CUDA) // three tf32 products keep 22 bits of an operand
    result.operand = precisionOf(spec.variant()) == "tf32" ? 0x1p-12 : 0x1p-22;
  return result;
}

namespace {
/// An output of an executor as numbers, and the type it is stored in.
struct Found {
  std::vector<double> data;
  DType dtype;
};
} // namespace

/// One element has fewer draws behind its bound than a norm: as few as its row has weights.
static constexpr double elementMargin = 2 * reference::boundMargin;

/// The error of one output, with bounds of its elements and of its norm.
static OutputError compare(const std::string &name, const Found &found, const Tensor64 &expected,
                           const reference::Deviation &deviation) {
  OutputError error;
  error.name = name;
  double square = 0, norm = 0, stored = 0;
  for (size_t i = 0; i < found.data.size(); ++i) {
    double x = found.data[i], r = expected.data[i];
    double computed = elementMargin * deviation.elements[i];
    double rounding = storingError(found.dtype, std::fabs(r) + computed);
    norm += std::isfinite(r) ? r * r : 0;
    stored += rounding * rounding;
    if (x == r || (std::isnan(x) && std::isnan(r)))
      continue;
    double delta = std::isfinite(r) ? std::fabs(x - r) : INFINITY;
    square += delta * delta;
    double ratio = delta / (computed + rounding);
    if (std::isnan(ratio) || ratio > error.worst) {
      error.worst = std::isnan(ratio) ? INFINITY : ratio;
      error.maximum = delta;
      error.maximumBound = computed + rounding;
    }
  }
  double most = reference::boundMargin * deviation.norm + std::sqrt(stored);
  double scale = norm > 0 ? std::sqrt(norm) : 1;
  error.relativeFrobenius = std::sqrt(square) / scale;
  error.frobeniusBound = most / scale;
  double ratio = square == 0 ? 0 : std::sqrt(square) / most;
  error.worst = std::isnan(ratio) ? INFINITY : std::max(error.worst, ratio);
  return error;
}

bool CheckResult::ok() const {
  return llvm::all_of(outputs, [](const OutputError &error) { return error.ok(); }) &&
         llvm::all_of(decisions,
                      [](const reference::DecisionVerdict &verdict) { return verdict.ok(); });
}

llvm::Expected<CheckResult> driver::checkOutputs(Spec &spec, BoundSpec &bound, const Device &device,
                                                 bool isGiven) {
  bool isReference = device.kind == Device::Kind::Reference && !isGiven;
  reference::Bindings bindings = bindingsOf(bound);
  std::map<std::string, Found> found;
  reference::Decisions taken, own;
  if (isReference) {
    reference::RunOptions options;
    options.arithmetic = reference::Arithmetic::Float32;
    options.recorded = &taken;
    auto outputs = reference::runWith(spec.variant(), bindings, options);
    if (!outputs)
      return outputs.takeError();
    for (auto &[name, tensor] : *outputs) {
      DType dtype = bound.outputs.at(name).view.dtype;
      found[name] = {roundTo(dtype, tensor.data), dtype};
    }
  } else {
    for (auto &[name, tensor] : bound.outputs) {
      Found &output = found[name] = {{}, tensor.view.dtype};
      for (int64_t i = 0; i < tensor.view.numElements(); ++i)
        output.data.push_back(elementOf(tensor.view, i));
    }
  }
  reference::RunOptions options;
  options.forced = isReference ? &taken : nullptr;
  options.recorded = &own;
  auto expected = reference::runWith(spec.variant(), bindings, options);
  if (!expected)
    return expected.takeError();
  const reference::Decisions &forced = isReference ? taken : own;
  auto deviations = reference::deviations(spec.variant(), bindings, *expected, own, forced,
                                          roundoffsOf(spec, bound, device));
  if (!deviations)
    return deviations.takeError();
  CheckResult result;
  for (const auto &[name, output] : found)
    result.outputs.push_back(
        compare(name, output, expected->at(name), deviations->outputs.at(name)));
  if (isReference)
    result.decisions = reference::judge(taken, own, deviations->keys,
                                        bound.sizes.operandDType == DType::F32 ? 1e-3 : 0.02);
  return result;
}

void driver::printCheck(const CheckResult &result) {
  llvm::outs() << "output     rel. Frobenius (bound)     maximum (bound)   worst / bound\n";
  for (const OutputError &e : result.outputs)
    llvm::outs() << formatv("{0,-10} {1:e2} ({2:e0}) {3,12:e2} ({4:e1})  {5,10:f3}  {6}\n", e.name,
                            e.relativeFrobenius, e.frobeniusBound, e.maximum, e.maximumBound,
                            e.worst, e.ok() ? "ok" : "BEYOND THE BOUND");
  for (const reference::DecisionVerdict &v : result.decisions)
    llvm::outs() << formatv("decision {0} of line {1}: {2} of {3} rows within the margin, {4} "
                            "inadmissible, {5} undecidable  {6}\n",
                            v.name, v.line, v.marginRows, v.rows, v.inadmissibleRows,
                            v.undecidableRows, v.ok() ? "ok" : "BEYOND THE MARGIN");
}

llvm::json::Object driver::checkAsJson(const CheckResult &result) {
  llvm::json::Object object;
  for (const OutputError &e : result.outputs) {
    auto number = [](double v) {
      return std::isfinite(v) ? llvm::json::Value(v) : llvm::json::Value(std::to_string(v));
    };
    object[e.name] = llvm::json::Object{{"relative_frobenius", number(e.relativeFrobenius)},
                                        {"relative_frobenius_bound", number(e.frobeniusBound)},
                                        {"maximum", number(e.maximum)},
                                        {"maximum_bound", number(e.maximumBound)},
                                        {"worst", number(e.worst)},
                                        {"ok", e.ok()}};
  }
  return object;
}

llvm::json::Object driver::decisionsAsJson(const CheckResult &result) {
  llvm::json::Object object;
  for (const reference::DecisionVerdict &v : result.decisions)
    object[v.name] = llvm::json::Object{{"line", v.line},
                                        {"places", v.places},
                                        {"different", v.different},
                                        {"rows", v.rows},
                                        {"margin", v.marginRows},
                                        {"inadmissible", v.inadmissibleRows},
                                        {"undecidable", v.undecidableRows},
                                        {"ok", v.ok()}};
  return object;
}

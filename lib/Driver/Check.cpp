// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Errors against the reference. What an executor may differ by is 8 times what the reference
// differs by when it draws the executor's roundings, plus the rounding of what is stored.
#include "Check.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <cmath>
#include <functional>
#include <random>
#include <set>

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
  result.least = 0x1p-126; // results below are flushed to 0
  if (dtype != DType::F32)
    result.weight = unitRoundoff(dtype) / reference::boundMargin;
  // attn-round-factors rounds both sides of products, and one is often made of another's result.
  if (dtype == DType::BF16 && device.kind == Device::Kind::CUDA)
    result.factor = 2 * unitRoundoff(dtype) / reference::boundMargin;
  if (dtype == DType::F32 &&
      device.kind == Device::Kind::CUDA) // three tf32 products keep 22 bits of an operand
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

/// Two forms of a spec differ in float64 by what their sums are rounded to, and no more.
static constexpr double sameFunction = 1e-9;

/// The error of one output, with bounds of its elements and of its norm.
static OutputError compare(const std::string &name, const Found &found, const Tensor64 &expected,
                           const reference::Deviation &deviation,
                           llvm::function_ref<bool(size_t)> isCompared) {
  OutputError error;
  error.name = name;
  double square = 0, norm = 0, stored = 0;
  for (size_t i = 0; i < found.data.size(); ++i) {
    if (!isCompared(i))
      continue;
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

namespace {
/// A comparison on its way.
class Check {
public:
  Check(Spec &spec, BoundSpec &bound, const Device &device, const CheckRequest &request)
      : spec(spec), bound(bound), device(device), request(request),
        variant(request.replay ? request.replay->variant() : spec.variant()),
        bindings(bindingsFor(variant)) {}

  llvm::Expected<CheckResult> run();

private:
  reference::Bindings bindingsFor(attn::VariantOp variant) const;
  llvm::Error runInF32(std::map<std::string, Found> &found);
  std::map<std::string, Found> foundOutputs() const;
  reference::RunOptions runOptions() const;
  std::function<bool(size_t)> comparedIn(const std::string &output) const;
  llvm::Error compareForms();
  void completeDecisions();
  llvm::Expected<std::set<std::string>> exactDecisions();

  Spec &spec;
  BoundSpec &bound;
  const Device &device;
  const CheckRequest &request;
  attn::VariantOp variant;
  reference::Bindings bindings;
  /// What the executor has decided; the reference's decisions behind those; and both together.
  reference::Decisions taken, own, all;
};
} // namespace

/// The inputs and parameters that `variant` has.
reference::Bindings Check::bindingsFor(attn::VariantOp variant) const {
  reference::Bindings all = bindingsOf(bound), result;
  for (auto input : variant.getBody().getOps<attn::InputOp>())
    result.inputs.insert(*all.inputs.find(input.getName().str()));
  for (auto param : variant.getBody().getOps<attn::ParamOp>())
    if (auto value = all.params.find(param.getName().str()); value != all.params.end())
      result.params.insert(*value);
  return result;
}

/// At the rows that are compared.
reference::RunOptions Check::runOptions() const {
  reference::RunOptions options;
  options.rows = request.rows;
  return options;
}

/// Which elements of an output are compared.
std::function<bool(size_t)> Check::comparedIn(const std::string &output) const {
  auto decl = llvm::find_if(bound.signature.outputs,
                            [&](const TensorDecl &tensor) { return tensor.name == output; });
  auto axis = llvm::find_if(decl->axes, [](const AxisDecl &each) { return each.space == "q"; });
  if (request.rows.empty() || axis == decl->axes.end())
    return [](size_t) { return true; };
  const std::vector<int64_t> &shape = bound.outputs.at(output).view.shape;
  size_t stride = 1, number = static_cast<size_t>(axis - decl->axes.begin());
  for (size_t i = number + 1; i < shape.size(); ++i)
    stride *= static_cast<size_t>(shape[i]);
  std::vector<bool> isRow(static_cast<size_t>(shape[number]));
  for (int64_t row : request.rows)
    isRow[static_cast<size_t>(row)] = true;
  return [=](size_t element) { return isRow[element / stride % isRow.size()]; };
}

/// What the reference yields in f32, and what it decides then.
llvm::Error Check::runInF32(std::map<std::string, Found> &found) {
  reference::RunOptions options = runOptions();
  options.arithmetic = reference::Arithmetic::Float32;
  options.recorded = &taken;
  auto outputs = reference::runWith(variant, bindings, options);
  if (!outputs)
    return outputs.takeError();
  for (auto &[name, tensor] : *outputs) {
    DType dtype = bound.outputs.at(name).view.dtype;
    found[name] = {roundTo(dtype, tensor.data), dtype};
  }
  return llvm::Error::success();
}

std::map<std::string, Found> Check::foundOutputs() const {
  std::map<std::string, Found> found;
  for (auto &[name, tensor] : bound.outputs) {
    Found &output = found[name] = {{}, tensor.view.dtype};
    for (int64_t i = 0; i < tensor.view.numElements(); ++i)
      output.data.push_back(elementOf(tensor.view, i));
  }
  return found;
}

/// The reference holds the device to another form of the spec, which decides in other ops: it must
/// be the same function.
llvm::Error Check::compareForms() {
  auto wanted = reference::runWith(spec.variant(), bindingsFor(spec.variant()), runOptions());
  if (!wanted)
    return wanted.takeError();
  auto found = reference::runWith(variant, bindings, runOptions());
  if (!found)
    return found.takeError();
  for (const auto &[name, tensor] : *wanted) {
    double largest = 0;
    for (double x : tensor.data)
      largest = std::isfinite(x) ? std::max(largest, std::fabs(x)) : largest;
    const std::vector<double> &other = found->at(name).data;
    auto isCompared = comparedIn(name);
    for (size_t i = 0; i < other.size(); ++i) {
      if (!isCompared(i))
        continue;
      double x = tensor.data[i], y = other[i];
      bool areSame =
          x == y || (std::isnan(x) && std::isnan(y)) || std::fabs(x - y) <= sameFunction * largest;
      if (!areSame)
        return llvm::createStringError(
            formatv("`{0}` is another function after the passes of phase `specialized`: {1} where "
                    "the spec says {2}, computed in float64",
                    name, y, x));
    }
  }
  return llvm::Error::success();
}

/// Takes what the reference knows of the decisions into `taken`, and completes them to `all`.
void Check::completeDecisions() {
  all = own;
  for (auto &[name, decision] : all.byName) {
    auto said = taken.byName.find(name);
    if (said == taken.byName.end() || decision.values.empty())
      continue;
    decision.values = said->second.values;
    said->second = decision;
  }
  for (auto &[name, decision] : own.byName)
    if (decision.values.empty())
      taken.byName.erase(name);
}

/// Whether `found` decides from the same keys as `wanted` at each place, and a cover from sums of
/// them that no order of adding up rounds. A place that was not reached has neither an outcome nor
/// a key.
static bool hasSameKeys(const reference::Decision &found, const reference::Decision &wanted) {
  for (size_t i = 0; i < found.values.size(); ++i) {
    bool isSame = found.keys[i] == wanted.keys[i] &&
                  (found.shortfalls.empty() || found.shortfalls[i] == wanted.shortfalls[i]);
    if (!isSame && !std::isnan(found.values[i]))
      return false;
  }
  return llvm::all_of(wanted.covers, [&](const auto &entry) {
    auto other = found.covers.find(entry.first);
    return other != found.covers.end() && entry.second.isExact &&
           other->second.target == entry.second.target;
  });
}

/// Names of the decisions whose keys are the same numbers in f32 and in float64, however results
/// are rounded: keys that are right because errors cancel are not exact in another order.
llvm::Expected<std::set<std::string>> Check::exactDecisions() {
  std::set<std::string> exact;
  for (const auto &entry : own.byName)
    exact.insert(entry.first);
  for (reference::Arithmetic arithmetic :
       {reference::Arithmetic::Float32, reference::Arithmetic::Farther32}) {
    if (exact.empty())
      break;
    reference::Decisions inF32;
    reference::RunOptions options = runOptions();
    options.arithmetic = arithmetic;
    options.forced = &all;
    options.recorded = &inF32;
    auto outputs = reference::runWith(variant, bindings, options);
    if (!outputs)
      return outputs.takeError();
    for (const auto &[name, wanted] : own.byName) {
      auto found = inF32.byName.find(name);
      if (found == inF32.byName.end() || !hasSameKeys(found->second, wanted))
        exact.erase(name);
    }
  }
  return exact;
}

llvm::Expected<CheckResult> Check::run() {
  bool isReference = device.kind == Device::Kind::Reference && !request.isGiven;
  std::map<std::string, Found> found;
  if (isReference) {
    if (llvm::Error error = runInF32(found))
      return std::move(error);
  } else {
    found = foundOutputs();
  }
  if (request.replay) {
    if (llvm::Error error = compareForms())
      return std::move(error);
    taken = request.replay->taken;
  }
  reference::RunOptions options = runOptions();
  options.forced = &taken;
  options.recorded = &own;
  auto expected = reference::runWith(variant, bindings, options);
  if (!expected)
    return expected.takeError();
  completeDecisions();
  auto deviations = reference::deviations(variant, bindings, *expected, own, all,
                                          roundoffsOf(spec, bound, device), request.rows);
  if (!deviations)
    return deviations.takeError();
  CheckResult result;
  for (const auto &[name, output] : found)
    result.outputs.push_back(
        compare(name, output, expected->at(name), deviations->outputs.at(name), comparedIn(name)));
  double limit = !request.isSampled ? 1 : bound.sizes.operandDType == DType::F32 ? 1e-3 : 0.02;
  result.decisions = reference::judge(taken, own, deviations->keys, limit);
  if (!request.replay)
    return result;
  llvm::Expected<std::set<std::string>> exact = exactDecisions();
  if (!exact)
    return exact.takeError();
  for (reference::DecisionVerdict &verdict : result.decisions)
    verdict.isExact = exact->count(verdict.name);
  for (auto &[name, decision] : own.byName)
    if (!taken.find(name))
      result.unsaid.push_back(name);
  return result;
}

std::vector<int64_t> driver::sampleRows(const BoundSpec &bound, int64_t count, uint64_t seed) {
  auto found = bound.sizes.spaces.find("q");
  int64_t rows = found == bound.sizes.spaces.end() ? 0 : found->second;
  if (count >= rows)
    return {};
  std::set<int64_t> chosen{0, rows - 1};
  std::mt19937_64 random(seed);
  while (static_cast<int64_t>(chosen.size()) < count)
    chosen.insert(static_cast<int64_t>(random() % static_cast<uint64_t>(rows)));
  return {chosen.begin(), chosen.end()};
}

llvm::Expected<CheckResult> driver::checkOutputs(Spec &spec, BoundSpec &bound, const Device &device,
                                                 const CheckRequest &request) {
  return Check(spec, bound, device, request).run();
}

/// A line for each decision of which some place is not as the reference has it, and one for all.
static void printDecisions(const CheckResult &result) {
  int64_t places = 0, different = 0;
  for (const reference::DecisionVerdict &v : result.decisions) {
    places += v.places;
    different += v.different;
    if (v.different != 0)
      llvm::outs() << formatv("decision {0} of line {1}: {2} of {3} rows within the margin, {4} "
                              "inadmissible, {5} undecidable{6}  {7}\n",
                              v.name, v.line, v.marginRows, v.rows, v.inadmissibleRows,
                              v.undecidableRows, v.isExact ? ", by exact keys" : "",
                              v.ok() ? "ok" : "BEYOND THE MARGIN");
    if (!v.ok())
      llvm::outs() << formatv("  first at [{0:$[, ]}]: {1} where the reference decides {2} from "
                              "{3}\n",
                              llvm::make_range(v.first->at.begin(), v.first->at.end()),
                              v.first->taken, v.first->own, formatv("{0:e9}", v.first->key));
  }
  if (!result.notReplayed.empty())
    llvm::outs() << formatv("decisions: taken by the reference itself: {0}\n", result.notReplayed);
  for (const std::string &name : result.unsaid)
    llvm::outs() << formatv("decision {0}: taken by the reference itself\n", name);
  if (!result.decisions.empty())
    llvm::outs() << formatv("decisions: {0} places of {1} ops, {2} other than the reference's\n",
                            places, result.decisions.size(), different);
}

void driver::printCheck(const CheckResult &result) {
  llvm::outs() << "output     rel. Frobenius (bound)     maximum (bound)   worst / bound\n";
  for (const OutputError &e : result.outputs)
    llvm::outs() << formatv("{0,-10} {1:e2} ({2:e0}) {3,12:e2} ({4:e1})  {5,10:f3}  {6}\n", e.name,
                            e.relativeFrobenius, e.frobeniusBound, e.maximum, e.maximumBound,
                            e.worst, e.ok() ? "ok" : "BEYOND THE BOUND");
  printDecisions(result);
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
                                        {"exact", v.isExact},
                                        {"ok", v.ok()}};
  return object;
}

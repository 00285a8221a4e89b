// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Parameters of a signature, and the sizes of the index spaces that it declares.
#include "attnc/Support/Binding.h"
#include "attnc/Support/Checks.h"

#include <algorithm>
#include <limits>

using namespace attnc;

int64_t attnc::suitableChunk(const Signature &signature,
                             const std::map<std::string, int64_t> &sizes) {
  for (const std::string &space : signature.steps)
    if (auto size = sizes.find(space); size != sizes.end() && size->second >= usualChunk)
      return usualChunk;
  return 0;
}

std::vector<NumberKind> attnc::kindsOfParams(const Signature &signature) {
  std::vector<NumberKind> kinds;
  for (const ParamDecl &decl : signature.params)
    kinds.push_back(decl.isInteger ? NumberKind::Whole : NumberKind::Real);
  return kinds;
}

std::vector<SizeValue> attnc::valuesOfParams(const Signature &signature,
                                             const std::vector<double> &params) {
  std::vector<SizeValue> values;
  for (size_t i = 0; i < params.size(); ++i)
    values.push_back(signature.params[i].isInteger
                         ? SizeValue::ofWhole(static_cast<int64_t>(params[i]))
                         : SizeValue::ofReal(params[i]));
  return values;
}

namespace {
/// Sizes one declared space after the other.
class SpaceSizer {
public:
  SpaceSizer(const Signature &signature, const std::vector<double> &params, BoundSizes &bound)
      : signature(signature), params(valuesOfParams(signature, params)), bound(bound) {}

  Failure size(const SpaceDecl &decl) {
    const std::string who = "the index space `" + decl.name + "`";
    if (decl.extent.empty())
      return bound.spaces.count(decl.name)
                 ? Failure::success()
                 : Failure::invalidArgument("the size of " + who + " follows from no input");
    SpaceSize size;
    if (Failure failure = evaluateSpace(decl, size))
      return Failure::invalidArgument(who + " cannot be sized: " + failure.message());
    const int64_t most = std::numeric_limits<int32_t>::max();
    const int64_t fewest = decl.isOptional ? 0 : 1;
    auto isPossible = [&](int64_t number) { return number >= fewest && number <= most; };
    if (!isPossible(size.extent) || !isPossible(size.stride))
      return Failure::invalidArgument(
          who + " needs " +
          (decl.parent.empty() ? "at least one slot" : "blocks and strides of at least one index") +
          ", found " + std::to_string(isPossible(size.extent) ? size.stride : size.extent));
    bound.declared[decl.name] = size;
    int64_t count = size.extent;
    if (!decl.parent.empty()) {
      auto parent = bound.spaces.find(decl.parent);
      if (parent == bound.spaces.end())
        return Failure::invalidArgument(who + " cannot be sized: the size of `" + decl.parent +
                                        "` follows from no input");
      count = blocksIn(parent->second, size, decl.isFull);
    }
    auto [it, isNew] = bound.spaces.try_emplace(decl.name, count);
    if (!isNew && it->second != count)
      return Failure::invalidArgument(who + " has " + std::to_string(count) +
                                      " indices here, but a tensor is bound that has " +
                                      std::to_string(it->second));
    return Failure::success();
  }

private:
  Failure evaluateSpace(const SpaceDecl &decl, SpaceSize &size) const {
    Outcome<int64_t> extent = evaluate(decl.extent);
    if (!extent)
      return extent.takeError();
    Outcome<int64_t> stride = decl.stride.empty() ? *extent : evaluate(decl.stride);
    if (!stride)
      return stride.takeError();
    size = {*extent, *stride};
    return Failure::success();
  }

  /// The number that a formula is, or what it lacks.
  Outcome<int64_t> evaluate(const SizeFormula &formula) const {
    std::vector<int64_t> sizes(signature.spaceNames.size());
    for (const SizeStep &step : formula) {
      if (step.op != SizeStep::Op::Size)
        continue;
      auto it = bound.spaces.find(signature.spaceNames[step.value]);
      if (it == bound.spaces.end())
        return Failure("the size of `" + signature.spaceNames[step.value] +
                       "` follows from no input");
      sizes[step.value] = it->second;
    }
    std::optional<int64_t> value = attnc::evaluate(formula, sizes, params);
    if (!value)
      return Failure("its extent or stride is no whole number for these sizes");
    return *value;
  }

  /// How many blocks there are of `members` indices; whole ones, or such as have at least one
  /// index that no block before has.
  static int64_t blocksIn(int64_t members, SpaceSize block, bool isFull) {
    int64_t rest = members - block.extent;
    if (isFull)
      return rest < 0 ? 0 : rest / block.stride + 1;
    if (members <= 0)
      return 0;
    return rest <= 0 ? 1 : (rest + block.stride - 1) / block.stride + 1;
  }

  const Signature &signature;
  std::vector<SizeValue> params;
  BoundSizes &bound;
};
} // namespace

Failure attnc::sizeDeclaredSpaces(const Signature &signature, const std::vector<double> &params,
                                  BoundSizes &sizes) {
  SpaceSizer sizer(signature, params, sizes);
  for (const SpaceDecl &decl : signature.spaces)
    if (Failure failure = sizer.size(decl))
      return failure;
  return Failure::success();
}

Outcome<std::vector<double>> attnc::checkParams(const Signature &signature,
                                                const std::map<std::string, double> &bound,
                                                BoundTo to) {
  std::vector<double> values;
  std::vector<std::string> known;
  for (const ParamDecl &decl : signature.params)
    known.push_back(decl.name);
  // What is const is a parameter of the spec, but none of a launch.
  const char *what = to == BoundTo::Code ? "a launch parameter" : "a parameter";
  for (const auto &entry : bound)
    if (std::find(known.begin(), known.end(), entry.first) == known.end())
      return Failure::invalidArgument(unknownName(entry.first, what, signature.name, known));
  for (const ParamDecl &decl : signature.params) {
    auto it = bound.find(decl.name);
    if (it == bound.end() && !decl.hasDefault)
      return Failure::invalidArgument("parameter `" + decl.name +
                                      "` is not bound, and has no default");
    double value = it == bound.end() ? decl.defaultValue : it->second;
    if (Failure failure = checkParamValue(decl.name, decl.isInteger, value))
      return failure;
    values.push_back(decl.isInteger ? value : static_cast<double>(static_cast<float>(value)));
  }
  return values;
}

std::vector<int64_t> attnc::shapeOf(const TensorDecl &decl, const BoundSizes &sizes) {
  std::vector<int64_t> shape;
  for (const AxisDecl &axis : decl.axes) {
    auto it = sizes.spaces.find(axis.space);
    shape.push_back(axis.space.empty() ? axis.size : it == sizes.spaces.end() ? 0 : it->second);
  }
  return shape;
}

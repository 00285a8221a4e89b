// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks of tensors and parameters against a signature.
#include "attnc/Support/Binding.h"
#include "attnc/Support/Checks.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace attnc;

static std::string text(const std::vector<int64_t> &values) {
  std::string result = "[";
  for (size_t i = 0; i < values.size(); ++i)
    result += (i ? ", " : "") + std::to_string(values[i]);
  return result + "]";
}

static std::string axesText(const TensorDecl &decl) {
  std::string result = "[";
  for (size_t i = 0; i < decl.axes.size(); ++i)
    result += (i ? ", " : "") +
              (decl.axes[i].space.empty() ? std::to_string(decl.axes[i].size) : decl.axes[i].space);
  return result + "]";
}

namespace {
/// Checks one tensor after the other; the first one that has an axis decides its size.
class Checker {
public:
  explicit Checker(BoundSizes &sizes) : sizes(sizes) {}

  std::string check(const TensorDecl &decl, const TensorView &view, bool isOutput) {
    const std::string who = "`" + decl.name + "`";
    if (static_cast<size_t>(view.rank()) != decl.axes.size())
      return who + " has axes " + axesText(decl) + ", but a tensor of shape " + text(view.shape) +
             " is bound";
    if (view.strides.size() != view.shape.size())
      return who + " has " + std::to_string(view.shape.size()) + " axes, but " +
             std::to_string(view.strides.size()) + " strides";
    if (std::string message = checkDType(decl, view, who); !message.empty())
      return message;
    for (size_t i = 0; i < decl.axes.size(); ++i)
      if (std::string message = checkAxis(decl, view, i, who); !message.empty())
        return message;
    return checkMemory(decl, view, who, isOutput);
  }

  /// Call when all tensors are checked.
  std::string checkSharing() const { return checkOverlaps(memory); }

private:
  std::string checkDType(const TensorDecl &decl, const TensorView &view, const std::string &who) {
    if (decl.dtype) {
      if (view.dtype == *decl.dtype)
        return "";
      return who + " has dtype " + dtypeName(*decl.dtype) + ", found " + dtypeName(view.dtype);
    }
    if (operandFrom.empty()) {
      if (view.dtype == DType::I32 || view.dtype == DType::Bool)
        return who + " must be f32, f16 or bf16, found " + dtypeName(view.dtype);
      sizes.operandDType = view.dtype;
      operandFrom = who;
    }
    if (view.dtype == sizes.operandDType)
      return "";
    return who + " must have the dtype of " + operandFrom + ", " + dtypeName(sizes.operandDType) +
           ", found " + dtypeName(view.dtype);
  }

  std::string checkAxis(const TensorDecl &decl, const TensorView &view, size_t i,
                        const std::string &who) {
    const AxisDecl &axis = decl.axes[i];
    int64_t size = view.shape[i];
    const std::string where = "axis " + std::to_string(i) + " of " + who;
    if (size < 0)
      return where + " has the negative size " + std::to_string(size);
    if (size > std::numeric_limits<int32_t>::max())
      return where + " has size " + std::to_string(size) + ", more than 2147483647";
    if (axis.space.empty())
      return size == axis.size ? ""
                               : where + " must have size " + std::to_string(axis.size) +
                                     ", found " + std::to_string(size);
    auto [it, isNew] = sizes.spaces.try_emplace(axis.space, size);
    if (isNew) {
      from[axis.space] = who;
      if (size == 0 && axis.space != "kv" && axis.space != "q" && axis.space != "t" &&
          axis.space != "b")
        return where + " (" + axis.space + ") must not be empty";
      return "";
    }
    if (it->second == size)
      return "";
    return where + " (" + axis.space + ") must have size " + std::to_string(it->second) +
           " as in " + from[axis.space] + ", found " + std::to_string(size);
  }

  std::string checkMemory(const TensorDecl &decl, const TensorView &view, const std::string &who,
                          bool isOutput) {
    // The span of the offsets must fit into 64 bits with room for the element size.
    long double span = 0;
    bool isEmpty = false;
    for (size_t i = 0; i < view.shape.size(); ++i) {
      isEmpty |= view.shape[i] == 0;
      span += static_cast<long double>(view.shape[i]) *
              std::fabs(static_cast<long double>(view.strides[i]));
    }
    if (isEmpty)
      return "";
    if (span > 1e18L)
      return who + " has strides " + text(view.strides) + " that reach beyond the address space";
    if (!view.data)
      return who + " has elements, but no memory is bound";
    memory.push_back({decl.name, reinterpret_cast<uintptr_t>(view.data), dtypeSize(view.dtype),
                      view.shape.data(), view.strides.data(), view.shape.size(), isOutput});
    return isOutput ? checkSelfOverlap(memory.back()) : "";
  }

  BoundSizes &sizes;
  std::vector<StridedMemory> memory; ///< of the tensors that have elements
  std::map<std::string, std::string> from;
  std::string operandFrom;
};
} // namespace

/// A tensor under a name that no input has is a typing error, or one that the caller believes to be
/// read.
static std::string checkNames(const Signature &signature,
                              const std::map<std::string, TensorView> &inputs) {
  std::vector<std::string> known;
  std::string list;
  for (const TensorDecl &decl : signature.inputs) {
    known.push_back(decl.name);
    list += (list.empty() ? "" : ", ") + decl.name;
  }
  for (const auto &entry : inputs)
    if (std::find(known.begin(), known.end(), entry.first) == known.end())
      return "`" + entry.first + "` is not an input of `" + signature.name + "`; its inputs are " +
             list + didYouMean(entry.first, known);
  return "";
}

std::string attnc::checkBindings(const Signature &signature,
                                 const std::map<std::string, TensorView> &inputs,
                                 const std::map<std::string, TensorView> &outputs,
                                 BoundSizes &sizes, const std::map<std::string, double> &params) {
  sizes = BoundSizes();
  Checker checker(sizes);
  if (std::string message = checkNames(signature, inputs); !message.empty())
    return message;
  for (const TensorDecl &decl : signature.inputs) {
    auto it = inputs.find(decl.name);
    if (it == inputs.end())
      return "input `" + decl.name + "` over " + axesText(decl) + " is not bound";
    if (std::string message = checker.check(decl, it->second, /*isOutput=*/false); !message.empty())
      return message;
  }
  auto h = sizes.spaces.find("h"), g = sizes.spaces.find("g");
  if (h != sizes.spaces.end() && g != sizes.spaces.end() && h->second % g->second != 0)
    return "the number of query heads must be a multiple of the number of kv heads, found " +
           std::to_string(h->second) + " and " + std::to_string(g->second);
  std::vector<double> values;
  if (std::string message = checkParams(signature, params, values); !message.empty())
    return message;
  if (std::string message = sizeDeclaredSpaces(signature, values, sizes); !message.empty())
    return message;
  for (const TensorDecl &decl : signature.outputs) {
    long double elements = 1;
    for (int64_t size : shapeOf(decl, sizes))
      elements *= static_cast<long double>(size);
    if (elements > static_cast<long double>(maxTensorElements))
      return "output `" + decl.name + "` would have shape " + text(shapeOf(decl, sizes)) +
             ", more elements than memory holds";
  }
  for (const auto &entry : outputs) {
    const TensorDecl *decl = nullptr;
    for (const TensorDecl &candidate : signature.outputs)
      if (candidate.name == entry.first)
        decl = &candidate;
    if (!decl)
      return "`" + entry.first + "` is not an output of `" + signature.name + "`";
    if (std::string message = checker.check(*decl, entry.second, /*isOutput=*/true);
        !message.empty())
      return message;
  }
  return checker.checkSharing();
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

  std::string size(const SpaceDecl &decl) {
    const std::string who = "the index space `" + decl.name + "`";
    if (decl.extent.empty())
      return bound.spaces.count(decl.name)
                 ? ""
                 : "the size of the index space `" + decl.name + "` follows from no input";
    SpaceSize size;
    if (std::string problem = evaluateSpace(decl, size); !problem.empty())
      return who + " cannot be sized: " + problem;
    const int64_t most = std::numeric_limits<int32_t>::max();
    auto isPossible = [&](int64_t number) { return number >= 1 && number <= most; };
    if (!isPossible(size.extent) || !isPossible(size.stride))
      return who + " needs " +
             (decl.parent.empty() ? "at least one slot"
                                  : "blocks and strides of at least one index") +
             ", found " + std::to_string(isPossible(size.extent) ? size.stride : size.extent);
    bound.declared[decl.name] = size;
    int64_t count = size.extent;
    if (!decl.parent.empty()) {
      auto parent = bound.spaces.find(decl.parent);
      if (parent == bound.spaces.end())
        return who + " cannot be sized: the size of `" + decl.parent + "` follows from no input";
      count = blocksIn(parent->second, size, decl.isFull);
    }
    auto [it, isNew] = bound.spaces.try_emplace(decl.name, count);
    if (!isNew && it->second != count)
      return who + " has " + std::to_string(count) +
             " indices here, but a tensor is bound that has " + std::to_string(it->second);
    return "";
  }

private:
  std::string evaluateSpace(const SpaceDecl &decl, SpaceSize &size) const {
    if (std::string problem = evaluate(decl.extent, size.extent); !problem.empty())
      return problem;
    size.stride = size.extent;
    return decl.stride.empty() ? "" : evaluate(decl.stride, size.stride);
  }

  /// Sets `number`; returns what the formula lacks.
  std::string evaluate(const SizeFormula &formula, int64_t &number) const {
    std::vector<int64_t> sizes(signature.spaceNames.size());
    for (const SizeStep &step : formula) {
      if (step.op != SizeStep::Op::Size)
        continue;
      auto it = bound.spaces.find(signature.spaceNames[step.value]);
      if (it == bound.spaces.end())
        return "the size of `" + signature.spaceNames[step.value] + "` follows from no input";
      sizes[step.value] = it->second;
    }
    std::optional<int64_t> value = attnc::evaluate(formula, sizes, params);
    if (!value)
      return "its extent or stride is no whole number for these sizes";
    number = *value;
    return "";
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

std::string attnc::sizeDeclaredSpaces(const Signature &signature, const std::vector<double> &params,
                                      BoundSizes &sizes) {
  SpaceSizer sizer(signature, params, sizes);
  for (const SpaceDecl &decl : signature.spaces)
    if (std::string message = sizer.size(decl); !message.empty())
      return message;
  return "";
}

std::string attnc::checkParams(const Signature &signature,
                               const std::map<std::string, double> &bound,
                               std::vector<double> &values) {
  values.clear();
  for (const auto &entry : bound) {
    std::vector<std::string> known;
    for (const ParamDecl &decl : signature.params)
      known.push_back(decl.name);
    if (std::find(known.begin(), known.end(), entry.first) == known.end())
      return "`" + entry.first + "` is not a parameter of `" + signature.name + "`" +
             didYouMean(entry.first, known);
  }
  for (const ParamDecl &decl : signature.params) {
    auto it = bound.find(decl.name);
    double value = it == bound.end() ? decl.defaultValue : it->second;
    if (std::string message = checkParamValue(decl.name, decl.isInteger, value); !message.empty())
      return message;
    values.push_back(decl.isInteger ? value : static_cast<double>(static_cast<float>(value)));
  }
  return "";
}

std::vector<int64_t> attnc::shapeOf(const TensorDecl &decl, const BoundSizes &sizes) {
  std::vector<int64_t> shape;
  for (const AxisDecl &axis : decl.axes) {
    auto it = sizes.spaces.find(axis.space);
    shape.push_back(axis.space.empty() ? axis.size : it == sizes.spaces.end() ? 0 : it->second);
  }
  return shape;
}

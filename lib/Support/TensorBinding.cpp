// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// checkBindings: tensors against a signature, for the definition of a spec and for compiled code.
#include "attnc/Support/Binding.h"
#include "attnc/Support/Checks.h"

#include <algorithm>
#include <cmath>
#include <iterator>

using namespace attnc;

template <typename T, typename Text>
static std::string joined(const std::vector<T> &items, Text textOf) {
  std::string result;
  for (size_t i = 0; i < items.size(); ++i)
    result += (i ? ", " : "") + textOf(items[i]);
  return result;
}

static std::string text(const std::vector<int64_t> &values) {
  return "[" + joined(values, [](int64_t value) { return std::to_string(value); }) + "]";
}

static std::string axesText(const TensorDecl &decl) {
  return "[" +
         joined(decl.axes,
                [](const AxisDecl &axis) {
                  return axis.space.empty() ? std::to_string(axis.size) : axis.space;
                }) +
         "]";
}

/// "`K[b, g, kv, d]: dtype of Q`".
static std::string declText(const TensorDecl &decl) {
  return "`" + decl.name + axesText(decl) + ": " +
         (decl.dtype ? dtypeName(*decl.dtype) : "dtype of Q") + "`";
}

static bool isOperandDType(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

namespace {
Failure wrong(std::string text) { return Failure::invalidArgument(std::move(text)); }

/// Checks one tensor after the other; the first one that has an axis decides its size.
class TensorChecker {
public:
  TensorChecker(const Signature &signature, BoundTo to, BoundSizes &sizes)
      : signature(signature), isCode(to == BoundTo::Code), sizes(sizes) {}

  Failure check(const TensorDecl &decl, const TensorView &view, bool isOutput) {
    const std::string who = "`" + decl.name + "`";
    if (static_cast<size_t>(view.rank()) != decl.axes.size())
      return wrong(who + " has axes " + axesText(decl) + ", but a tensor of shape " +
                   text(view.shape) + " is bound");
    if (view.strides.size() != view.shape.size())
      return wrong(who + " has " + std::to_string(view.shape.size()) + " axes, but " +
                   std::to_string(view.strides.size()) + " strides");
    if (Failure failure = checkDType(decl, view, who))
      return failure;
    for (size_t i = 0; i < decl.axes.size(); ++i)
      if (Failure failure = checkAxis(decl, view, i, who))
        return failure;
    if (std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end())
      return Failure::success(); // no element, no memory
    if (Failure failure = checkMemory(view, who))
      return failure;
    if (Failure failure = isCode ? checkAccess(decl, view, who) : Failure::success())
      return failure;
    memory.push_back({decl.name, reinterpret_cast<uintptr_t>(view.data), dtypeSize(view.dtype),
                      view.shape.data(), view.strides.data(), view.shape.size(), isOutput});
    return isOutput ? checkSelfOverlap(memory.back()) : Failure::success();
  }

  /// Call when all inputs are checked.
  Failure checkHeads() const {
    auto h = sizes.spaces.find("h"), g = sizes.spaces.find("g");
    if (h == sizes.spaces.end() || g == sizes.spaces.end() || h->second % g->second == 0)
      return Failure::success();
    return wrong("the number of query heads must be a multiple of the number of kv heads, found " +
                 std::to_string(h->second) + " and " + std::to_string(g->second));
  }

  /// Call when all tensors are checked.
  Failure checkSharing() {
    forgetAliases();
    return checkOverlaps(memory);
  }

private:
  Failure checkDType(const TensorDecl &decl, const TensorView &view, const std::string &who) {
    const std::string found = std::string(", found ") + dtypeName(view.dtype);
    if (decl.dtype) {
      if (view.dtype == *decl.dtype)
        return Failure::success();
      bool isChoice = isCode && isOperandDType(view.dtype) && isOperandDType(*decl.dtype);
      return wrong(who + " must have dtype " + dtypeName(*decl.dtype) + found + "; convert it" +
                   (isChoice ? ", or compile for that dtype" : ""));
    }
    if (operandFrom.empty()) {
      if (!isOperandDType(view.dtype))
        return wrong(who + " must be f32, f16 or bf16" + found);
      sizes.operandDType = view.dtype;
      operandFrom = who;
    }
    if (view.dtype == sizes.operandDType)
      return Failure::success();
    return wrong(who + " must have the dtype of " + operandFrom + ", " +
                 dtypeName(sizes.operandDType) + found);
  }

  Failure checkAxis(const TensorDecl &decl, const TensorView &view, size_t i,
                    const std::string &who) {
    const AxisDecl &axis = decl.axes[i];
    int64_t size = view.shape[i];
    const std::string where = "axis " + std::to_string(i) + " of " + who;
    const std::string found = ", found " + std::to_string(size);
    if (size < 0)
      return wrong(where + " has the negative size " + std::to_string(size));
    if (int64_t most = isCode ? maxCodeAxisSize : INT32_MAX; size > most)
      return wrong(where + " has size " + std::to_string(size) + ", more than " +
                   std::to_string(most));
    if (axis.space.empty()) {
      if (size == axis.size)
        return Failure::success();
      return wrong(where + " must have size " + std::to_string(axis.size) +
                   (isCode ? ", which the kernel is compiled for" : "") + found);
    }
    auto [it, isNew] = sizes.spaces.try_emplace(axis.space, size);
    const std::string named = where + " (" + axis.space + ")";
    if (isNew) {
      from[axis.space] = who;
      // Indices are clamped to a tensor, so there must be one where rows and keys do not see to it.
      const char *const mayBeEmpty[] = {"b", "q", "kv", "t"};
      bool isNone = size == 0 && std::find(std::begin(mayBeEmpty), std::end(mayBeEmpty),
                                           axis.space) == std::end(mayBeEmpty);
      return isNone ? wrong(named + " must not be empty") : Failure::success();
    }
    if (it->second == size)
      return Failure::success();
    auto other = from.find(axis.space);
    return wrong(
        named + " must have size " + std::to_string(it->second) +
        (other == from.end() ? ", which follows from the inputs" : " as in " + other->second) +
        found);
  }

  /// Of a tensor with elements.
  static Failure checkMemory(const TensorView &view, const std::string &who) {
    // The span of the offsets must fit into 64 bits with room for the element size.
    long double span = 0;
    for (size_t i = 0; i < view.shape.size(); ++i)
      span += static_cast<long double>(view.shape[i]) *
              std::fabs(static_cast<long double>(view.strides[i]));
    if (span > 1e18L)
      return wrong(who + " has strides " + text(view.strides) +
                   " that reach beyond the address space");
    return view.data ? Failure::success() : wrong(who + " has elements, but no memory is bound");
  }

  /// What the loads and stores of kernels ask of a tensor's memory.
  static Failure checkAccess(const TensorDecl &decl, const TensorView &view,
                             const std::string &who) {
    if (decl.unitLastStride && !view.shape.empty() && view.shape.back() > 1 &&
        view.strides.back() != 1)
      return wrong(who + " must have a last stride of 1, found " +
                   std::to_string(view.strides.back()) + "; make the rows contiguous");
    auto address = reinterpret_cast<uintptr_t>(view.data);
    int64_t bytes = dtypeSize(view.dtype), alignment = decl.rowAlignment;
    if (address % bytes)
      return wrong(who + " starts at an address that is no multiple of its elements' " +
                   std::to_string(bytes) + " bytes");
    bool isAligned = address % alignment == 0;
    for (size_t i = 0; i + 1 < view.shape.size(); ++i)
      isAligned &= view.shape[i] == 1 || view.strides[i] * bytes % alignment == 0;
    if (isAligned)
      return Failure::success();
    return wrong("every row of " + who + " must start at a multiple of " +
                 std::to_string(alignment) + " bytes, found strides " + text(view.strides) +
                 " from an address that is " + std::to_string(address % alignment) + " modulo " +
                 std::to_string(alignment) + "; compile for a smaller alignment");
  }

  /// An output that is declared to be an input may be exactly it: then it stands for both.
  void forgetAliases() {
    auto find = [&](const std::string &name) {
      return std::find_if(memory.begin(), memory.end(),
                          [&](const StridedMemory &m) { return m.name == name; });
    };
    for (const TensorDecl &output : signature.outputs) {
      auto written = find(output.name), read = find(output.mayAlias);
      if (written == memory.end() || read == memory.end() || read->isOutput)
        continue;
      bool isSame = read->address == written->address && read->rank == written->rank &&
                    std::equal(read->shape, read->shape + read->rank, written->shape) &&
                    std::equal(read->strides, read->strides + read->rank, written->strides);
      if (isSame)
        memory.erase(read);
    }
  }

  const Signature &signature;
  const bool isCode;
  BoundSizes &sizes;
  std::vector<StridedMemory> memory; ///< of the tensors that have elements
  std::map<std::string, std::string> from;
  std::string operandFrom;
};
} // namespace

std::string attnc::unknownName(const std::string &name, const std::string &what,
                               const std::string &owner, const std::vector<std::string> &known) {
  std::string list = joined(known, [](const std::string &each) { return each; });
  return "`" + name + "` is not " + what + " of `" + owner + "`; it has " +
         (list.empty() ? "none" : list) + didYouMean(name, known);
}

/// A tensor under a name that the spec does not have is a typing error, or one that the caller
/// believes to be read.
static Failure checkNames(const std::string &owner, const char *what,
                          const std::vector<TensorDecl> &decls,
                          const std::map<std::string, TensorView> &bound) {
  std::vector<std::string> known;
  for (const TensorDecl &decl : decls)
    known.push_back(decl.name);
  for (const auto &entry : bound)
    if (std::find(known.begin(), known.end(), entry.first) == known.end())
      return wrong(unknownName(entry.first, what, owner, known));
  return Failure::success();
}

static Failure checkTensors(TensorChecker &checker, const std::vector<TensorDecl> &decls,
                            const std::map<std::string, TensorView> &bound, bool isOutput,
                            bool mayBeMissing) {
  for (const TensorDecl &decl : decls) {
    auto it = bound.find(decl.name);
    if (it == bound.end() && mayBeMissing)
      continue;
    if (it == bound.end())
      return wrong((isOutput ? "output " : "input ") + declText(decl) + " is not bound");
    if (Failure failure = checker.check(decl, it->second, isOutput))
      return failure;
  }
  return Failure::success();
}

/// Outputs for which there is to be memory: sizes that are beyond any are errors, not allocations.
static Failure checkNewOutputs(const Signature &signature, const BoundSizes &sizes,
                               const std::map<std::string, TensorView> &bound) {
  for (const TensorDecl &decl : signature.outputs) {
    long double elements = bound.count(decl.name) ? 0 : 1;
    for (int64_t size : shapeOf(decl, sizes))
      elements *= static_cast<long double>(size);
    if (elements > static_cast<long double>(maxTensorElements))
      return wrong("output `" + decl.name + "` would have shape " + text(shapeOf(decl, sizes)) +
                   ", more elements than memory holds");
  }
  return Failure::success();
}

Failure attnc::checkBindings(const Signature &signature,
                             const std::map<std::string, TensorView> &inputs,
                             const std::map<std::string, TensorView> &outputs, BoundSizes &sizes,
                             const std::map<std::string, double> &params, BoundTo to) {
  sizes = BoundSizes();
  TensorChecker checker(signature, to, sizes);
  if (Failure failure = checkNames(signature.name, "an input", signature.inputs, inputs))
    return failure;
  if (Failure failure = checkNames(signature.name, "an output", signature.outputs, outputs))
    return failure;
  if (Failure failure = checkTensors(checker, signature.inputs, inputs, /*isOutput=*/false,
                                     /*mayBeMissing=*/false))
    return failure;
  if (Failure failure = checker.checkHeads())
    return failure;
  Outcome<std::vector<double>> values = checkParams(signature, params, to);
  if (!values)
    return values.takeError();
  if (Failure failure = sizeDeclaredSpaces(signature, *values, sizes))
    return failure;
  if (Failure failure = checkNewOutputs(signature, sizes, outputs))
    return failure;
  if (Failure failure = checkTensors(checker, signature.outputs, outputs, /*isOutput=*/true,
                                     /*mayBeMissing=*/to == BoundTo::Definition))
    return failure;
  return checker.checkSharing();
}

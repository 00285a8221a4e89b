// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checks the tensors of a launch against a kernel's ABI and packs its argument slots.
#include "attnc/Runtime/Arguments.h"
#include "attnc/Support/Binding.h"
#include "attnc/Support/Checks.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace attnc;

static std::string list(const std::vector<int64_t> &values) {
  std::string text = "(";
  for (size_t i = 0; i < values.size(); ++i)
    text += (i ? ", " : "") + std::to_string(values[i]);
  return text + ")";
}

static std::string list(const std::vector<std::string> &values) {
  std::string text = "(";
  for (size_t i = 0; i < values.size(); ++i)
    text += (i ? ", " : "") + values[i];
  return text + ")";
}

static bool isNumber(const std::string &axis) {
  return !axis.empty() &&
         std::all_of(axis.begin(), axis.end(), [](char c) { return c >= '0' && c <= '9'; });
}

namespace {
class Packer {
public:
  Packer(const KernelABI &abi, const LaunchInputs &inputs, std::string &error)
      : abi(abi), inputs(inputs), error(error) {}

  std::optional<PackedArguments> run() {
    memory.reserve(abi.tensors.size());
    if (!checkNames())
      return std::nullopt;
    for (const KernelTensor &tensor : abi.tensors)
      if (!checkTensor(tensor))
        return std::nullopt;
    if (std::string message = checkOverlaps(memory); !message.empty())
      return fail(message), std::nullopt;
    if (!checkParamNames())
      return std::nullopt;
    for (const KernelArg &arg : abi.args)
      if (!packArg(arg))
        return std::nullopt;
    for (int i = 0; i < 3; ++i) {
      const std::string &space = abi.gridSpaces[i];
      auto size = packed.sizes.find(space);
      if (size == packed.sizes.end())
        return fail("no tensor tells the size of index space '" + space +
                    "', which the grid needs"),
               std::nullopt;
      packed.grid[i] = (size->second + abi.gridTiles[i] - 1) / abi.gridTiles[i];
    }
    if (!checkHeads())
      return std::nullopt;
    return std::move(packed);
  }

private:
  bool fail(const std::string &message) {
    error = message;
    return false;
  }

  /// A name that the kernel does not know is a typing error, or a tensor that the caller believes
  /// to be read.
  bool checkNames() {
    if (inputs.tensors.size() == abi.tensors.size() &&
        std::all_of(abi.tensors.begin(), abi.tensors.end(),
                    [&](const KernelTensor &t) { return inputs.tensors.count(t.name); }))
      return true;
    std::vector<std::string> known;
    for (const KernelTensor &tensor : abi.tensors)
      known.push_back(tensor.name);
    known.insert(known.end(), abi.unusedInputs.begin(), abi.unusedInputs.end());
    for (const auto &entry : inputs.tensors)
      if (std::find(known.begin(), known.end(), entry.first) == known.end())
        return fail("`" + entry.first + "` is not a tensor of `" + abi.symbol + "`, which has " +
                    list(known) + didYouMean(entry.first, known));
    return true;
  }

  bool isParam(const std::string &name) const {
    // The kernel may have no use for a parameter of its spec.
    return abi.paramDefaults.count(name) ||
           std::any_of(abi.args.begin(), abi.args.end(), [&](const KernelArg &arg) {
             return (arg.kind == KernelArg::Kind::ParamI32 ||
                     arg.kind == KernelArg::Kind::ParamF32) &&
                    arg.name == name;
           });
  }

  bool checkParamNames() {
    for (const auto &entry : inputs.params) {
      if (isParam(entry.first))
        continue;
      std::vector<std::string> known;
      for (const auto &param : abi.paramDefaults)
        known.push_back(param.first);
      for (const KernelArg &arg : abi.args)
        if (isParam(arg.name))
          known.push_back(arg.name);
      return fail("`" + entry.first + "` is not a launch parameter of `" + abi.symbol + "`" +
                  didYouMean(entry.first, known));
    }
    return true;
  }

  bool checkTensor(const KernelTensor &tensor) {
    auto found = inputs.tensors.find(tensor.name);
    if (found == inputs.tensors.end())
      return fail("tensor '" + tensor.name + "' is missing: pass one with axes " +
                  list(tensor.axes) + " and dtype " + dtypeName(tensor.dtype));
    const TensorView &view = found->second;
    std::string what = "tensor '" + tensor.name + "'";
    if (view.dtype != tensor.dtype)
      return fail(what + ": expected dtype " + dtypeName(tensor.dtype) + ", found " +
                  dtypeName(view.dtype) + "; convert it, or compile for that dtype");
    if (view.shape.size() != tensor.axes.size())
      return fail(what + ": expected " + std::to_string(tensor.axes.size()) + " dimensions " +
                  list(tensor.axes) + ", found shape " + list(view.shape));
    if (view.strides.size() != view.shape.size())
      return fail(what + ": expected one stride for each dimension of shape " + list(view.shape) +
                  ", found strides " + list(view.strides));
    for (size_t dim = 0; dim < tensor.axes.size(); ++dim)
      if (!checkAxis(tensor, view, dim))
        return false;
    bool empty = std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end();
    if (!view.data && !empty)
      return fail(what + ": the data pointer is null but the shape is " + list(view.shape));
    if (empty)
      return true;
    if (!fitsAddressSpace(view))
      return fail(what + ": strides " + list(view.strides) + " reach beyond the address space");
    if (tensor.unitLastStride && !view.shape.empty() && view.shape.back() > 1 &&
        view.strides.back() != 1)
      return fail(what + ": expected a last stride of 1, found " +
                  std::to_string(view.strides.back()) + "; make the rows contiguous");
    if (reinterpret_cast<uintptr_t>(view.data) % dtypeSize(view.dtype))
      return fail(what + ": the data pointer is not a multiple of the element size, " +
                  std::to_string(dtypeSize(view.dtype)) + " bytes");
    memory.push_back({tensor.name, reinterpret_cast<uintptr_t>(view.data), dtypeSize(view.dtype),
                      view.shape.data(), view.strides.data(), view.shape.size(), tensor.isOutput});
    if (tensor.isOutput)
      if (std::string message = checkSelfOverlap(memory.back()); !message.empty())
        return fail(message);
    return checkAlignment(tensor, view);
  }

  bool checkAxis(const KernelTensor &tensor, const TensorView &view, size_t dim) {
    const std::string &axis = tensor.axes[dim];
    int64_t size = view.shape[dim];
    std::string what = "tensor '" + tensor.name + "', dimension " + std::to_string(dim);
    if (size < 0)
      return fail(what + ": expected a size of at least 0, found " + std::to_string(size));
    if (isNumber(axis)) {
      if (std::to_string(size) != axis)
        return fail(what + ": expected size " + axis +
                    ", which the kernel is compiled for, found " + std::to_string(size));
      return true;
    }
    // Coordinates are i32 in a kernel, with room for a tile beyond the end.
    if (size > INT32_MAX - 65536)
      return fail(what + ": size " + std::to_string(size) +
                  " does not fit the kernel's 32-bit coordinates");
    // Kernels clamp indices to the tensor, so there must be one where rows and keys do not see to
    // it.
    if (size == 0 && axis != "b" && axis != "h" && axis != "g" && axis != "q" && axis != "kv")
      return fail(what + ": expected at least one index of the space '" + axis + "', found none");
    auto [known, isNew] = packed.sizes.emplace(axis, size);
    if (isNew)
      saidBy[axis] = tensor.name;
    else if (known->second != size)
      return fail(what + ": expected size " + std::to_string(known->second) + " for index space '" +
                  axis + "' as in tensor '" + saidBy[axis] + "', found " + std::to_string(size));
    return true;
  }

  /// With room for the size of an element.
  static bool fitsAddressSpace(const TensorView &view) {
    long double span = 0;
    for (size_t dim = 0; dim < view.shape.size(); ++dim)
      span += static_cast<long double>(view.shape[dim]) *
              std::fabs(static_cast<long double>(view.strides[dim]));
    return span <= 1e18L;
  }

  bool checkAlignment(const KernelTensor &tensor, const TensorView &view) {
    if (tensor.rowAlignment <= 1)
      return true;
    bool aligned = reinterpret_cast<uintptr_t>(view.data) % tensor.rowAlignment == 0;
    for (size_t dim = 0; dim + 1 < view.shape.size(); ++dim)
      if (view.shape[dim] > 1)
        aligned &= view.strides[dim] * dtypeSize(view.dtype) % tensor.rowAlignment == 0;
    if (!aligned)
      return fail("tensor '" + tensor.name + "': expected every row to start at a multiple of " +
                  std::to_string(tensor.rowAlignment) + " bytes, found strides " +
                  list(view.strides) + " from an address that is " +
                  std::to_string(reinterpret_cast<uintptr_t>(view.data) % tensor.rowAlignment) +
                  " modulo " + std::to_string(tensor.rowAlignment) +
                  "; compile for a smaller alignment");
    return true;
  }

  bool packArg(const KernelArg &arg) {
    uint64_t slot = 0;
    switch (arg.kind) {
    case KernelArg::Kind::Pointer:
    case KernelArg::Kind::Stride: {
      auto found = inputs.tensors.find(arg.name);
      if (found == inputs.tensors.end() ||
          (arg.kind == KernelArg::Kind::Stride && arg.dim >= found->second.rank()))
        return fail("the kernel's tensor '" + arg.name + "' is not described: its ABI is damaged");
      slot = arg.kind == KernelArg::Kind::Pointer
                 ? reinterpret_cast<uintptr_t>(found->second.data)
                 : static_cast<uint64_t>(found->second.strides[arg.dim]);
      break;
    }
    case KernelArg::Kind::Size: {
      auto size = packed.sizes.find(arg.name);
      if (size == packed.sizes.end())
        return fail("no tensor tells the size of index space '" + arg.name + "'");
      slot = static_cast<uint32_t>(size->second);
      break;
    }
    case KernelArg::Kind::GridStart:
      break; // the launch knows
    case KernelArg::Kind::ParamI32:
    case KernelArg::Kind::ParamF32: {
      auto param = inputs.params.find(arg.name);
      if (param == inputs.params.end())
        return fail("parameter '" + arg.name + "' is missing: pass a value for it");
      double value = param->second;
      bool isInteger = arg.kind == KernelArg::Kind::ParamI32;
      if (std::string message = checkParamValue(arg.name, isInteger, value); !message.empty())
        return fail(message);
      if (!isInteger) {
        float narrow = static_cast<float>(value);
        uint32_t bits;
        std::memcpy(&bits, &narrow, sizeof bits);
        slot = bits;
        break;
      }
      slot = static_cast<uint32_t>(static_cast<int32_t>(value));
      break;
    }
    }
    packed.slots.push_back(slot);
    return true;
  }

  /// Kernels divide query heads by key heads.
  bool checkHeads() {
    auto h = packed.sizes.find("h"), g = packed.sizes.find("g");
    if (h == packed.sizes.end() || g == packed.sizes.end())
      return true;
    if (g->second == 0 ? h->second != 0 : h->second % g->second != 0)
      return fail("expected the number of query heads (h = " + std::to_string(h->second) +
                  ", tensor '" + saidBy["h"] +
                  "') to be a multiple of the number of key heads (g = " +
                  std::to_string(g->second) + ", tensor '" + saidBy["g"] + "')");
    return true;
  }

  const KernelABI &abi;
  const LaunchInputs &inputs;
  std::string &error;
  PackedArguments packed;
  std::vector<StridedMemory> memory; ///< of the tensors that have elements
  std::map<std::string, std::string> saidBy;
};
} // namespace

std::optional<PackedArguments>
attnc::packArguments(const KernelABI &abi, const LaunchInputs &inputs, std::string &error) {
  return Packer(abi, inputs, error).run();
}

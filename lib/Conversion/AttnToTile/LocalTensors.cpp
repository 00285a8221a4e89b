// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory is handed out first fit, in the order of the stages that compute the tensors.
#include "LocalTensors.h"
#include "attnc/Analysis/Compilable.h"

using namespace mlir;
using namespace attnc;

/// Bytes of a program's tensors: they should stay in the cache of a core, with what it reads.
constexpr int64_t kMostBytes = 1 << 20;
constexpr int64_t kAlignment = 64;

int64_t LocalTensor::bytes() const {
  Type element = cast<attn::AttnTensorType>(tensor.getType()).getElementType();
  int64_t bytes = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
  for (int64_t size : sizes)
    bytes *= size;
  return llvm::alignTo(bytes, kAlignment);
}

Value LocalTensor::emit(KernelContext &context) const {
  auto type = cast<attn::AttnTensorType>(tensor.getType());
  Location loc = tensor.getLoc();
  SmallVector<Value> first;
  for (StringRef space : axisNames(type)) {
    auto part = context.parts.find(space);
    first.push_back(part == context.parts.end() ? context.i32(loc, 0) : part->second.first);
  }
  auto view = tile::ViewType::get(type.getContext(), type.getRank(), type.getElementType(),
                                  /*unitStride=*/true);
  return tile::LocalOp::create(context.builder, loc, view, sizes, first, offset);
}

/// The sizes of the part of a tensor of `type` that a program has; nothing where they are not
/// known.
static std::optional<SmallVector<int64_t>>
partSizes(attn::VariantOp variant, attn::AttnTensorType type, ArrayRef<IndependentAxis> axes) {
  SmallVector<int64_t> sizes;
  for (unsigned number = 0; number < type.getRank(); ++number) {
    StringRef space = type.getAxisName(number);
    std::optional<int64_t> size =
        space.empty() ? type.getAxisSize(number) : fixedExtent(variant, space);
    auto cut =
        llvm::find_if(axes, [&](const IndependentAxis &axis) { return axis.space == space; });
    if (cut != axes.end())
      size = cut->tile;
    if (!size || *size < 1 || *size > kMostBytes)
      return std::nullopt;
    sizes.push_back(*size);
  }
  return sizes;
}

namespace {
/// From the stage that computes a tensor to the last one that reads it.
struct Lifetime {
  size_t from, to;
  bool overlaps(const Lifetime &other) const { return from <= other.to && other.from <= to; }
};
} // namespace

/// When `tensor` is needed; nothing if others than `members` read it.
static std::optional<Lifetime> lifetimeOf(Value tensor, ArrayRef<Operation *> members) {
  auto numberOf = [&](Operation *op) -> size_t {
    return llvm::find_if(members, [&](Operation *each) { return each->isAncestor(op); }) -
           members.begin();
  };
  Lifetime time;
  time.from = time.to = numberOf(tensor.getDefiningOp());
  for (Operation *user : tensor.getUsers())
    time.to = std::max(time.to, numberOf(user));
  if (time.to == members.size())
    return std::nullopt;
  return time;
}

SmallVector<LocalTensor> attnc::findLocalTensors(attn::VariantOp variant,
                                                 ArrayRef<Operation *> members,
                                                 ArrayRef<IndependentAxis> axes,
                                                 llvm::function_ref<bool(Value)> isWorkspace) {
  SmallVector<LocalTensor> locals;
  SmallVector<Lifetime> times;
  auto tryOne = [&](Value tensor) {
    auto sizes = partSizes(variant, cast<attn::AttnTensorType>(tensor.getType()), axes);
    std::optional<Lifetime> time = lifetimeOf(tensor, members);
    if (!sizes || !time)
      return;
    LocalTensor local{tensor, *sizes, 0};
    bool moved = true;
    while (std::exchange(moved, false))
      for (auto [other, otherTime] : llvm::zip(locals, times))
        if (otherTime.overlaps(*time) && local.offset < other.offset + other.bytes() &&
            other.offset < local.offset + local.bytes()) {
          local.offset = other.offset + other.bytes();
          moved = true;
        }
    if (local.offset + local.bytes() > kMostBytes)
      return;
    locals.push_back(local);
    times.push_back(*time);
  };
  for (Operation *member : members)
    for (Value result : member->getResults())
      if (!result.use_empty() && isWorkspace(result))
        tryOne(result);
  return locals;
}

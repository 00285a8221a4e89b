// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Contract: see Parts.h.
#include "Parts.h"

using namespace mlir;
using namespace attnc;

NamedTile Contract::load(const Domain &domain, Value input, const RowWindow &window) {
  auto type = cast<attn::AttnTensorType>(input.getType());
  SmallVector<StringRef> names = axisNames(type);
  SmallVector<const Axis *, 2> tileAxes = domain.tileAxesOf(names);
  assert(tileAxes.size() == 2 && tileAxes[1]->name == names.back() &&
         "a matrix whose columns are contiguous in memory");
  SmallVector<Value> indices;
  int64_t rowDimension = 0;
  for (auto [axis, name] : llvm::enumerate(ArrayRef(names).drop_back()))
    if (name == tileAxes[0]->name)
      rowDimension = axis;
    else
      indices.push_back(domain.first(name));
  Value value = tile::LoadOp::create(
      context.builder, loc, domain.typeOf(names, type.getElementType()),
      context.views.lookup(input), indices, window.first, window.limit, rowDimension,
      /*valid_cols=*/tileAxes[1]->size);
  return {value, {names[rowDimension], names.back()}};
}

Value Contract::dot(const NamedTile &lhs, const NamedTile &rhs, const NamedTile &acc, Value mask) {
  StringRef contracted = lhs.axes[1];
  bool isTransposed = rhs.axes[1] == contracted;
  assert(rhs.axes[isTransposed ? 1 : 0] == contracted && "the sides share the axis of the sum");
  assert(acc.axes[0] == lhs.axes[0] && acc.axes[1] == rhs.axes[isTransposed ? 0 : 1] &&
         "the result is over what is left of both sides");
  return tile::DotOp::create(context.builder, loc, acc.value.getType(), lhs.value, rhs.value,
                             acc.value, mask, isTransposed, precision,
                             /*zero_outside=*/false);
}

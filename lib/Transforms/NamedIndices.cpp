// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// See NamedIndices.h.
#include "NamedIndices.h"

using namespace mlir;
using namespace attnc;

Value attnc::readAt(FormulaBuilder &builder, Value tensor, const NamedIndices &indices) {
  SmallVector<Value> own;
  for (Attribute axis : cast<attn::AttnTensorType>(tensor.getType()).getAxes())
    own.push_back(indices[axis]);
  return builder.read(tensor, own);
}

StringAttr attnc::declareSpace(FormulaBuilder &builder, Operation *user, StringRef name,
                               int64_t extent, StringAttr parent) {
  std::string unused = name.str();
  for (unsigned number = 2; attn::isKnownSpace(user, unused); ++number)
    unused = name.str() + std::to_string(number);
  auto attribute = builder.getStringAttr(unused);
  attn::SpaceOp::create(builder, attribute, parent, builder.integer(extent), /*stride=*/Value());
  return attribute;
}

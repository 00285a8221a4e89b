// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Types of the attn dialect.
#ifndef ATTNC_DIALECTS_ATTN_ATTNTYPES_TD
#define ATTNC_DIALECTS_ATTN_ATTNTYPES_TD

include "dialects/Attn/AttnDialect.td"

def Attn_TensorType : Attn_Type<"AttnTensor"> {
  let mnemonic = "tensor";
  let summary = "a tensor over named index spaces";
  let description = [{
    `!attn.tensor<[b, g, kv, d]>` has the operand dtype; `!attn.tensor<[h, 32], f32>` has a fixed element
    type and a dimension of fixed size. Axes are index-space names or positive integers. A tensor that
    lacks an axis is the same for every index of it.
  }];
  let examples = [[{
    attn.variant @shapes {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %table = attn.input "table" : !attn.tensor<[32, h], f32>
      %zero_rank = attn.input "bias" : !attn.tensor<[], f32>
      attn.return []
    }
  }]];
  let parameters = (ins
    ArrayRefParameter<"::mlir::Attribute", "StringAttr (index space) or IntegerAttr (size)">:$axes,
    "::mlir::Type":$elementType);
  let extraClassDeclaration = [{
    /// True if the element type is the dtype that query, key and value are bound to.
    bool hasOperandElementType() const { return ::mlir::isa<::mlir::NoneType>(getElementType()); }
    /// The name of axis `i`, or an empty string if the axis is a plain size.
    ::llvm::StringRef getAxisName(unsigned i) const;
    /// The size of axis `i`, or -1 if the axis is a named index space.
    int64_t getAxisSize(unsigned i) const;
    unsigned getRank() const { return getAxes().size(); }
  }];
  let genVerifyDecl = 1;
  let hasCustomAssemblyFormat = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNTYPES_TD

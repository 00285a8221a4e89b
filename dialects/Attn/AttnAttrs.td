// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attributes of the attn dialect: alignment, precision, and how test values of an input are drawn.
#ifndef ATTNC_DIALECTS_ATTN_ATTNATTRS_TD
#define ATTNC_DIALECTS_ATTN_ATTNATTRS_TD

include "dialects/Attn/AttnDialect.td"

def Attn_AlignNone        : I32EnumAttrCase<"None", 0, "none">;
def Attn_AlignTopLeft     : I32EnumAttrCase<"TopLeft", 1, "top_left">;
def Attn_AlignBottomRight : I32EnumAttrCase<"BottomRight", 2, "bottom_right">;
def Attn_AlignAttr : I32EnumAttr<"Align", "how query rows are placed against keys",
    [Attn_AlignNone, Attn_AlignTopLeft, Attn_AlignBottomRight]> {
  let cppNamespace = "::attnc::attn";
}

def Attn_PrecisionF32  : I32EnumAttrCase<"F32", 0, "f32">;
def Attn_PrecisionTF32 : I32EnumAttrCase<"TF32", 1, "tf32">;
def Attn_PrecisionAttr : I32EnumAttr<"Precision", "what f32 operands may be rounded to in the products",
    [Attn_PrecisionF32, Attn_PrecisionTF32]> {
  let cppNamespace = "::attnc::attn";
}

def Attn_DistributionUniform   : I32EnumAttrCase<"Uniform", 0, "uniform">;
def Attn_DistributionNormal    : I32EnumAttrCase<"Normal", 1, "normal">;
def Attn_DistributionSorted    : I32EnumAttrCase<"Sorted", 2, "sorted">;
def Attn_DistributionBernoulli : I32EnumAttrCase<"Bernoulli", 3, "bernoulli">;
def Attn_DistributionGeometric : I32EnumAttrCase<"Geometric", 4, "geometric">;
def Attn_DistributionAttr : I32EnumAttr<"Distribution", "a family of distributions of test values",
    [Attn_DistributionUniform, Attn_DistributionNormal, Attn_DistributionSorted,
     Attn_DistributionBernoulli, Attn_DistributionGeometric]> {
  let cppNamespace = "::attnc::attn";
  let genSpecializedAttr = 0;
}

def Attn_SampleAttr : Attn_Attr<"Sample"> {
  let mnemonic = "sample";
  let summary = "how seeded test values of an input are drawn";
  let description = [{
    Part of a variant's tests, not of its meaning: what `run` and the tests bind when nothing is bound.
    An argument is a number or the size of an index space.

    | distribution | values |
    | --- | --- |
    | `uniform(lo, hi)` | independent, `lo <= x < hi`; whole numbers for i32 |
    | `normal(mean, std)` | independent Gaussian |
    | `sorted(lo, hi)` | as `uniform`, then sorted along the last axis |
    | `bernoulli(p)` | 1 with probability `p`, else 0 |
    | `geometric(first, ratio)` | `first * ratio^i` for index `i` of the last axis; not random |

    Constraints:
    - C1: `bernoulli` has one argument, every other distribution two.
    - C2: an argument is an f64 number or the name of an index space.
  }];
  let examples = [[{
    attn.variant @drawn {
      %slope = attn.input "slope" sample <geometric(0.5, 0.5)> : !attn.tensor<[h], f32>
      %doc = attn.input "doc" sample <sorted(0.0, size(kv))> : !attn.tensor<[b, kv], i32>
      %keep = attn.input "keep" sample <bernoulli(0.75)> : !attn.tensor<[b, kv], i1>
      attn.return []
    }
  }]];
  let parameters = (ins "::attnc::attn::Distribution":$distribution,
    ArrayRefParameter<"::mlir::Attribute", "FloatAttr (a number) or StringAttr (size of a space)">:$args);
  let genVerifyDecl = 1;
  let hasCustomAssemblyFormat = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNATTRS_TD

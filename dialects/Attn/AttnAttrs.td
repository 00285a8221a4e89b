// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attributes of the attn dialect: alignment, precision, formats, reductions, and how test values of an input are
// drawn.
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
    An argument is a number or the size of an index space, declared ones among them (attn.input C3).

    | distribution | values |
    | --- | --- |
    | `uniform(lo, hi)` | independent, `lo <= x < hi`; whole numbers for i32 |
    | `normal(mean, std)` | independent Gaussian |
    | `sorted(lo, hi)` | as `uniform`, then sorted along the last axis |
    | `bernoulli(p)` | 1 with probability `p`, else 0 |
    | `geometric(first, ratio)` | `first * ratio^i` for index `i` of the last axis; not random |

    Constraints:
    - C1: `bernoulli` has one argument, every other distribution two.
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

def Attn_FormatInt8   : I32EnumAttrCase<"Int8", 0, "int8">;
def Attn_FormatInt4   : I32EnumAttrCase<"Int4", 1, "int4">;
def Attn_FormatF8E4M3 : I32EnumAttrCase<"F8E4M3", 2, "f8E4M3">;
def Attn_FormatF8E5M2 : I32EnumAttrCase<"F8E5M2", 3, "f8E5M2">;
def Attn_FormatF4E2M1 : I32EnumAttrCase<"F4E2M1", 4, "f4E2M1">;
def Attn_FormatF16    : I32EnumAttrCase<"F16", 5, "f16">;
def Attn_FormatBF16   : I32EnumAttrCase<"BF16", 6, "bf16">;
def Attn_FormatF32    : I32EnumAttrCase<"F32", 7, "f32">;
/// The OCP formats: f8E4M3 has no infinity and a largest number of 448, f4E2M1 reaches 6 and has no NaN.
def Attn_FormatAttr : I32EnumAttr<"Format", "a storage format of numbers",
    [Attn_FormatInt8, Attn_FormatInt4, Attn_FormatF8E4M3, Attn_FormatF8E5M2, Attn_FormatF4E2M1,
     Attn_FormatF16, Attn_FormatBF16, Attn_FormatF32]> {
  let cppNamespace = "::attnc::attn";
}

def Attn_RoundingHalfEven : I32EnumAttrCase<"HalfEven", 0, "half_even">;
def Attn_RoundingHalfAway : I32EnumAttrCase<"HalfAway", 1, "half_away">;
def Attn_RoundingAttr : I32EnumAttr<"Rounding", "where a number half-way between two codes goes",
    [Attn_RoundingHalfEven, Attn_RoundingHalfAway]> {
  let cppNamespace = "::attnc::attn";
}

def Attn_ReductionSum    : I32EnumAttrCase<"Sum", 0, "sum">;
def Attn_ReductionMean   : I32EnumAttrCase<"Mean", 1, "mean">;
def Attn_ReductionProd   : I32EnumAttrCase<"Prod", 2, "prod">;
def Attn_ReductionMax    : I32EnumAttrCase<"Max", 3, "max">;
def Attn_ReductionMin    : I32EnumAttrCase<"Min", 4, "min">;
def Attn_ReductionArgmax : I32EnumAttrCase<"Argmax", 5, "argmax">;
def Attn_ReductionArgmin : I32EnumAttrCase<"Argmin", 6, "argmin">;
def Attn_ReductionAny    : I32EnumAttrCase<"Any", 7, "any">;
def Attn_ReductionAll    : I32EnumAttrCase<"All", 8, "all">;
def Attn_ReductionAttr : I32EnumAttr<"Reduction", "how many values become one",
    [Attn_ReductionSum, Attn_ReductionMean, Attn_ReductionProd, Attn_ReductionMax, Attn_ReductionMin,
     Attn_ReductionArgmax, Attn_ReductionArgmin, Attn_ReductionAny, Attn_ReductionAll]> {
  let cppNamespace = "::attnc::attn";
}

def Attn_SelectionTop            : I32EnumAttrCase<"Top", 0, "top">;
def Attn_SelectionCoverInclusive : I32EnumAttrCase<"CoverInclusive", 1, "cover_inclusive">;
def Attn_SelectionCoverExclusive : I32EnumAttrCase<"CoverExclusive", 2, "cover_exclusive">;
def Attn_SelectionAttr : I32EnumAttr<"Selection", "which entries of a ranked row are kept",
    [Attn_SelectionTop, Attn_SelectionCoverInclusive, Attn_SelectionCoverExclusive]> {
  let cppNamespace = "::attnc::attn";
}

def Attn_PartsAttr : Attn_Attr<"Parts"> {
  let mnemonic = "parts";
  let summary = "the keys of an attention, cut into parts of so many neighbours";
  let description = [{
    Part `p` of index space `space` has the keys from `p * keys` on, at most `keys` of them. `unit` is what the largest
    score of a part is counted in (`attn.attend`).

    Constraints:
    - C1: a part has at least one key, and the unit is a positive number.
  }];
  let examples = [[{
    attn.variant @in_parts {
      %keys = attn.size "kv"
      %of = arith.constant 256 : i32
      %n = arith.ceildivsi %keys, %of : i32
      attn.space "part" extent %n
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %out, %lse, %largest = attn.attend %Q, %K, %V parts <"part" of 256 unit 1.0>
        : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, part, e], f32>, !attn.tensor<[b, h, q, part], f32>
             largest !attn.tensor<[b, h, q, part], f32>
      attn.return ["out"](%out : !attn.tensor<[b, h, q, part, e], f32>)
    }
  }]];
  let parameters = (ins "::mlir::StringAttr":$space, "int64_t":$keys, "::mlir::FloatAttr":$unit);
  let assemblyFormat = "`<` $space `of` $keys `unit` $unit `>`";
  let genVerifyDecl = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNATTRS_TD

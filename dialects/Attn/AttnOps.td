// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations of the attn dialect.
#ifndef ATTNC_DIALECTS_ATTN_ATTNOPS_TD
#define ATTNC_DIALECTS_ATTN_ATTNOPS_TD

include "dialects/Attn/AttnDialect.td"
include "dialects/Attn/AttnAttrs.td"
include "dialects/Attn/AttnTypes.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Attn_Scalar : AnyTypeOf<[I1, I32, F32], "scalar (i1, i32 or f32)">;

def Attn_VariantOp : Attn_Op<"variant", [Symbol, IsolatedFromAbove, SingleBlock, NoRegionArguments]> {
  let summary = "declares an attention variant";
  let description = [{
    A named variant. The body lists parameters (`attn.param`), inputs (`attn.input`), the computation,
    and ends with `attn.return`.

    - `body`: one block without arguments.

    Constraints:
    - C1: the body ends with `attn.return`.
    - C2: names of parameters and inputs are unique.
  }];
  let examples = [[{
    attn.variant @causal {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %q = attn.position %row bottom_right
          %keep = arith.cmpi sle, %kv, %q : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
    }
  }]];
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
}

def Attn_ParamOp : Attn_Op<"param", [Pure]> {
  let summary = "reads a number that is given at launch or at compile time";
  let description = [{
    A parameter of the variant. Without `const` it is a launch argument: one kernel serves every value.
    With `const` it is fixed when the variant is compiled.

    - `name`: what the user binds with `--param name=value`.
    - `default_value`: used when nothing is bound; its type is the result type.

    Constraints:
    - C1: the default has the result type.
    - C2: the name is an identifier.
  }];
  let examples = [[{
    attn.variant @parameters {
      %window = attn.param "window" = 4096 : i32 : i32
      %cap = attn.param const "cap" = 50.0 : f32 : f32
      attn.return []
    }
  }]];
  let arguments = (ins StrAttr:$name, TypedAttrInterface:$default_value, UnitAttr:$is_const);
  let results = (outs AnyTypeOf<[I32, F32]>:$result);
  let assemblyFormat = "(`const` $is_const^)? $name `=` $default_value attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Attn_InputOp : Attn_Op<"input", [Pure]> {
  let summary = "names a tensor that the caller binds";
  let description = [{
    `Q` over `[b, h, q, d]`, `K` over `[b, g, kv, d]` and `V` over `[b, g, kv, e]` are the operands; every
    other input is captured by score, mask or sink regions through `attn.read`.

    Constraints:
    - C1: the name is an identifier.
    - C2: axes are index spaces or fixed sizes. (The type itself limits element types to the operand dtype, i1,
      which is stored as one byte, i32, f32, f16 and bf16.)

    - `sample`: how tests draw values; see `#attn.sample`.
  }];
  let examples = [[{
    attn.variant @key_padding {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %length = attn.input "length" : !attn.tensor<[b], i32>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %n = attn.read %length[%b] : !attn.tensor<[b], i32> -> i32
          %all = attn.size "kv"
          %end = arith.minsi %n, %all : i32
          %keep = arith.cmpi slt, %kv, %end : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
    }
  }]];
  let arguments = (ins StrAttr:$name, OptionalAttr<Attn_SampleAttr>:$sample);
  let results = (outs Attn_TensorType:$result);
  let assemblyFormat = "$name (`sample` $sample^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Attn_SizeOp : Attn_Op<"size", [Pure]> {
  let summary = "yields the number of indices of an index space";
  let description = [{
    Constraints:
    - C1: the index space is one of `b`, `h`, `g`, `q`, `kv`, `d`, `e`.
  }];
  let examples = [[{
    attn.variant @key_padding {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %length = attn.input "length" : !attn.tensor<[b], i32>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %n = attn.read %length[%b] : !attn.tensor<[b], i32> -> i32
          %all = attn.size "kv"
          %end = arith.minsi %n, %all : i32
          %keep = arith.cmpi slt, %kv, %end : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
    }
  }]];
  let arguments = (ins StrAttr:$space);
  let results = (outs I32:$result);
  let assemblyFormat = "$space attr-dict";
  let hasVerifier = 1;
}

def Attn_PositionOp : Attn_Op<"position", [Pure]> {
  let summary = "places a query row on the key axis";
  let description = [{
    The position of query row `row` on the key axis: `row` for `none` and `top_left`, and
    `row + size(kv) - size(q)` for `bottom_right` (the last query sees the last key, as in decoding).
  }];
  let examples = [[{
    attn.variant @causal {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %q = attn.position %row bottom_right
          %keep = arith.cmpi sle, %kv, %q : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
    }
  }]];
  let arguments = (ins I32:$row, Attn_AlignAttr:$align);
  let results = (outs I32:$result);
  let assemblyFormat = "$row $align attr-dict";
}

def Attn_ReadOp : Attn_Op<"read", [Pure]> {
  let summary = "reads one element of a captured tensor as a scalar";
  let description = [{
    Indices are i32. An index outside the axis is clamped to it, so that no index expression can read
    out of bounds; an index that is the region's own coordinate never is. Reals read as f32, integers as
    i32, i1 as i1.

    Constraints:
    - C1: as many indices as axes.
    - C2: the result type is f32 for reals (and the operand dtype), i32 for i32, i1 for i1.
  }];
  let examples = [[{
    attn.variant @key_padding {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %length = attn.input "length" : !attn.tensor<[b], i32>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %n = attn.read %length[%b] : !attn.tensor<[b], i32> -> i32
          %all = attn.size "kv"
          %end = arith.minsi %n, %all : i32
          %keep = arith.cmpi slt, %kv, %end : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
    }
  }]];
  let arguments = (ins Attn_TensorType:$tensor, Variadic<I32>:$indices);
  let results = (outs Attn_Scalar:$result);
  let assemblyFormat = "$tensor `[` $indices `]` attr-dict `:` type($tensor) `->` type($result)";
  let hasVerifier = 1;
}

def Attn_AttendOp : Attn_Op<"attend", [SingleBlock, RecursiveMemoryEffects]> {
  let summary = "softmax-weighted sum of values, with its log-sum-exp";
  let description = [{
    For each (b, h, q), with g = h / (size(h) / size(g)):

    ```
    s[kv]  = scale * sum(Q[b,h,q,d] * K[b,g,kv,d] for d)
    x[kv]  = score(s[kv], b, h, q, kv)
    m[kv]  = mask(b, h, q, kv)                        // true = attend
    lse    = ln(sum(exp(x[kv]) for kv if m[kv]) + exp(sink(b, h, q)))
    out[e] = sum(exp(x[kv] - lse) * V[b,g,kv,e] for kv if m[kv])
    ```

    A row that attends to nothing has `out = 0` and, without a sink, `lse = -inf`. `lse` is a natural
    logarithm in f32.

    - `scale`: multiplies the dot product; `1 / sqrt(size(d))` when absent.
    - `precision`: `f32` keeps f32-grade products of f32 operands; `tf32` allows rounding them to tf32. It says
      nothing about 16-bit operands.
    - `score`: (s: f32, b, h, q, kv: i32) -> f32; identity when empty.
    - `mask`: (b, h, q, kv: i32) -> i1; true when empty.
    - `sink`: (b, h, q: i32) -> f32, a logit that takes part in the denominator only; none when empty.

    `q` is the row index; `attn.position` turns it into a position on the key axis.

    Constraints:
    - C1: `query` is over [b, h, q, d], `key` over [b, g, kv, d], `value` over [b, g, kv, e].
    - C2: `out` is over [b, h, q, e] with the operand dtype and `lse` over [b, h, q] with f32.
    - C3: region arguments are as listed.
    - C4: each region yields one value of the listed type.
    - C5: regions hold only scalar arithmetic (`arith`, `math`) and `attn.read`, `attn.position`, `attn.size`.
  }];
  let examples = [[{
    attn.variant @causal {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %q = attn.position %row bottom_right
          %keep = arith.cmpi sle, %kv, %q : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
    }
  }], [{
    attn.variant @capped_with_bias_and_sink {
      %cap = attn.param const "cap" = 50.0 : f32 : f32
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %z = attn.input "z" sample <normal(0.0, 1.0)> : !attn.tensor<[h], f32>
      %one = arith.constant 1.0 : f32
      %out, %lse = attn.attend %Q, %K, %V scale %one precision tf32
        score(%s: f32, %b: i32, %h: i32, %row: i32, %kv: i32) {
          %ratio = arith.divf %s, %cap : f32
          %bounded = math.tanh %ratio : f32
          %x = arith.mulf %bounded, %cap : f32
          attn.yield %x : f32
        }
        sink(%b: i32, %h: i32, %row: i32) {
          %logit = attn.read %z[%h] : !attn.tensor<[h], f32> -> f32
          attn.yield %logit : f32
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out"](%out : !attn.tensor<[b, h, q, e]>)
    }
  }]];
  let arguments = (ins Attn_TensorType:$query, Attn_TensorType:$key, Attn_TensorType:$value,
                       Optional<F32>:$scale,
                       DefaultValuedAttr<Attn_PrecisionAttr, "::attnc::attn::Precision::F32">:$precision);
  let results = (outs Attn_TensorType:$out, Attn_TensorType:$lse);
  let regions = (region AnyRegion:$score, AnyRegion:$mask, AnyRegion:$sink);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`scale` $scale^)? (`precision` $precision^)?
    custom<OptionalRegion>("\"score\"", $score)
    custom<OptionalRegion>("\"mask\"", $mask)
    custom<OptionalRegion>("\"sink\"", $sink)
    attr-dict `:` type($query) `,` type($key) `,` type($value) `->` type($out) `,` type($lse)
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Attn_YieldOp : Attn_Op<"yield", [Pure, Terminator, ReturnLike, HasParent<"AttendOp">]> {
  let summary = "ends a region with its value";
  let examples = [[{
    attn.variant @causal {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %q = attn.position %row bottom_right
          %keep = arith.cmpi sle, %kv, %q : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
    }
  }]];
  let arguments = (ins Attn_Scalar:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Attn_ReturnOp : Attn_Op<"return", [Pure, Terminator, HasParent<"VariantOp">]> {
  let summary = "ends a variant and names its outputs";
  let description = [{
    Constraints:
    - C1: as many names as values.
    - C2: names are unique.
  }];
  let examples = [[{
    attn.variant @causal {
      %Q = attn.input "Q" : !attn.tensor<[b, h, q, d]>
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %V = attn.input "V" : !attn.tensor<[b, g, kv, e]>
      %out, %lse = attn.attend %Q, %K, %V
        mask(%b: i32, %h: i32, %row: i32, %kv: i32) {
          %q = attn.position %row bottom_right
          %keep = arith.cmpi sle, %kv, %q : i32
          attn.yield %keep : i1
        } : !attn.tensor<[b, h, q, d]>, !attn.tensor<[b, g, kv, d]>, !attn.tensor<[b, g, kv, e]>
          -> !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>
      attn.return ["out", "lse"](%out, %lse : !attn.tensor<[b, h, q, e]>, !attn.tensor<[b, h, q], f32>)
    }
  }]];
  let arguments = (ins StrArrayAttr:$names, Variadic<Attn_TensorType>:$values);
  let assemblyFormat = "$names (`(` $values^ `:` type($values) `)`)? attr-dict";
  let hasVerifier = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNOPS_TD

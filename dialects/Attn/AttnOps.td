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
def Attn_Value : AnyTypeOf<[I1, I32, F32, Attn_TensorType], "scalar or tensor">;

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
      %X = attn.input "X" : <[b, kv], f32>
      %capped = attn.compute (%b: i32, %kv: i32) {
        %x = attn.read %X[%b, %kv] : <[b, kv], f32> -> f32
        %y = arith.minnumf %x, %cap : f32
        %near = arith.cmpi slt, %kv, %window : i32
        %z = arith.select %near, %y, %x : f32
        attn.yield %z : f32
      } : <[b, kv], f32>
      attn.return ["capped"](%capped : !attn.tensor<[b, kv], f32>)
    }
  }]];
  let arguments = (ins StrAttr:$name, TypedAttrInterface:$default_value, UnitAttr:$is_const);
  let results = (outs AnyTypeOf<[I32, F32]>:$result);
  let assemblyFormat = "(`const` $is_const^)? $name `=` $default_value attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Attn_InputOp : Attn_Op<"input"> {
  let summary = "names a tensor that the caller binds";
  let description = [{
    A tensor that stages take as an operand, or whose elements regions read by `attn.read`. One that nobody reads is bound all the
    same, and tells the sizes of its axes: it is no dead code. By convention `Q`, `K` and `V`
    are the operands of the attention stage of the softmax family.

    Constraints:
    - C1: the name is an identifier.
    - C2: axes are index spaces, declared ones among them, or fixed sizes. (The type itself limits element types
      to the operand dtype, i1, which is stored as one byte, i32, f32, f16 and bf16.)
    - C3: spaces whose sizes `sample` names are index spaces, declared ones among them.

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
    - C1: the index space is one of `b`, `h`, `g`, `q`, `kv`, `t`, `d`, `e`, or declared by `attn.space`.
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
  let summary = "reads one element of a tensor as a scalar";
  let description = [{
    The tensor is an input, the result of another stage, or the state of a recurrence. Indices are i32. An index outside the axis is clamped to it, so that no index expression can read
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

def Attn_AttendOp : Attn_Op<"attend", [SingleBlock, RecursiveMemoryEffects, AttrSizedOperandSegments,
                                       AttrSizedResultSegments]> {
  let summary = "softmax-weighted sum of values, with its log-sum-exp";
  let description = [{
    The query is over `[outer..., row, dim]`, the key over `[some of outer..., key, dim]` and the value over
    `[some of outer..., key, value dim]`; in the softmax family that is `[b, h, q, d]`, `[b, g, kv, d]` and `[b, g, kv, e]`.
    Keys may also differ for each row: their leading axes may hold the row space. An axis of a key that the query
    does not have is read at the index that follows from the query's (`g` from `h`, a block from its member).
    For each (outer..., row):

    ```
    s[j]   = scale * sum(query[outer, row, d] * key[outer, j, d] for d)
    x[j]   = score(s[j], outer, row, j)
    m[j]   = mask(outer, row, j) and (j is in a block p that `set` holds)   // true = attend
    lse    = ln(sum(exp(x[j]) for j if m[j]) + exp(sink(outer, row)))
    out[e] = sum(exp(x[j] - lse) * value[outer, j, e] for j if m[j])
    weights[j] = exp(x[j] - lse) if m[j] else 0
    ```

    A row that attends to nothing has `out = 0` and, without a sink, `lse = -inf`. `lse` is a natural
    logarithm in f32.

    - `scale`: multiplies the dot product; `1 / sqrt(size(dim))` when absent.
    - `set`: which blocks of keys (or keys) take part, an i1 tensor whose last axis is the key space or a space of
      blocks of it. Its other axes are read as those of a key are.
    - `precision`: `f32` keeps f32-grade products of f32 operands; `tf32` allows rounding them to tf32. It says
      nothing about 16-bit operands.
    - `score`: (s: f32, outer..., row, key: i32) -> f32; identity when empty.
    - `mask`: (outer..., row, key: i32) -> i1; true when empty.
    - `sink`: (outer..., row: i32) -> f32, a logit that takes part in the denominator only; none when empty.
    - `tile`: the keys are taken in ascending tiles of this many keys, with a running maximum. It changes no result by
      itself; `skip` and `weight_format` depend on it.
    - `skip`: (tile maximum, running maximum before the tile: f32) -> i1; where it holds for a row, the tile takes part in
      neither the sum nor the output of the row, but the maximum is updated. With `skip_rows`, a space of blocks of rows, a
      tile is skipped for the rows of a block together, where it holds for all of them that have a key in the tile.
    - `weight_format`: exp(x[j] - running maximum) is rounded to this format before it multiplies the values (the
      denominator uses the unrounded numbers): after a multiplication by `weight_scale`; with `weight_group`, after
      a division by an f8E4M3 scale for each group of that many keys of a row, so that its maximum is the largest number.

    - `visits`: which blocks of so many keys the rows of a block see, an i32 tensor over [some of outer..., blocks of rows,
      slots]. Of the numbers of a row of it, the first is how many blocks all rows of the block see whole, whatever mask and
      set say, and the second how many are visited; the numbers of these blocks follow, those seen whole first. Keys of other
      blocks take no part. Written by `attn-list-tiles`.
    - `parts`: the keys are cut into parts of so many neighbours, and each part is an attention of its own. The results have
      the space of parts behind the row. `largest` is the largest x[j] of a part, counted in the given unit, -inf without
      one; lse is relative to it, ln(sum(exp(x[j] - unit * largest))), so that it is small and keeps its digits. Merged by
      `attn-split-keys`.

    `row` is an index; `attn.position` turns it into a position on the key axis.

    Constraints:
    - C1: the query has at least two axes; key and value end with a common key space, which is no axis of the query;
      the key's dimension is the query's.
    - C2: `out` is over the query's axes with the value's dimension, with f32, the operand dtype, or the element type of
      query or key; `lse` is over the query's axes without the last one,
      with f32; `weights`, when present, has the key space in place of the query's dimension, with f32.
    - C3: region arguments are as listed.
    - C4: each region yields one value of the listed type.
    - C5: regions hold only scalar arithmetic (`arith`, `math`) and `attn.read`, `attn.position`, `attn.size`,
      `attn.reduce`, `attn.uniform`.
    - C6: the set is an i1 tensor over the key space, or over blocks of it (or blocks of these).
    - C7: `skip` and `weight_format` come with a `tile`; `weight_scale` and `weight_group` with `weight_format`, and
      `skip_rows`, blocks of the query's rows that do not overlap, with `skip`.
    - C8: with `parts`, `out`, `lse` and `largest` are f32 with the space of parts as axis behind the row, and there are no
      set, tile, sink and weights; `largest` comes with `parts` only.
    - C9: `visits` is an i32 tensor whose last axes are blocks of the query's rows that do not overlap and slots; there are no
      set, tile and parts.
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
                       Optional<F32>:$scale, Optional<Attn_TensorType>:$set, Optional<I32>:$tile, Optional<I32>:$weight_group,
                       Optional<Attn_TensorType>:$visits,
                       DefaultValuedAttr<Attn_PrecisionAttr, "::attnc::attn::Precision::F32">:$precision,
                       OptionalAttr<StrAttr>:$skip_rows, OptionalAttr<Attn_FormatAttr>:$weight_format,
                       OptionalAttr<F64Attr>:$weight_scale, OptionalAttr<Attn_PartsAttr>:$parts,
                       OptionalAttr<I64Attr>:$visit_keys);
  let results = (outs Attn_TensorType:$out, Attn_TensorType:$lse, Optional<Attn_TensorType>:$weights,
                      Optional<Attn_TensorType>:$largest);
  let regions = (region AnyRegion:$score, AnyRegion:$mask, AnyRegion:$sink, AnyRegion:$skip);
  let extraClassDeclaration = [{
    /// Name of the space that keys run over.
    ::llvm::StringRef getKeySpace() { return getKey().getType().getAxisName(getKey().getType().getRank() - 2); }
    /// Number of axes of the query before the row.
    unsigned getNumOuter() { return getQuery().getType().getRank() - 2; }
    /// True if it is over the axes of the softmax family, with nothing that only the reference computes.
    bool isPlain();
  }];
  let assemblyFormat = [{
    $query `,` $key `,` $value (`scale` $scale^)? (`over` $set^ `:` type($set))? (`precision` $precision^)?
    (`tile` $tile^)? (`skip_rows` $skip_rows^)? (`weights` $weight_format^)? (`by` $weight_scale^)?
    (`group` $weight_group^)? (`parts` $parts^)?
    (`visits` $visits^ `of` $visit_keys `:` type($visits))?
    custom<OptionalRegion>("\"score\"", $score)
    custom<OptionalRegion>("\"mask\"", $mask)
    custom<OptionalRegion>("\"sink\"", $sink)
    custom<OptionalRegion>("\"skip\"", $skip)
    attr-dict `:` type($query) `,` type($key) `,` type($value) `->` type($out) `,` type($lse) (`,` type($weights)^)?
    (`largest` type($largest)^)?
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Attn_YieldOp : Attn_Op<"yield", [Pure, Terminator, ReturnLike]> {
  let summary = "ends a region with its values";
  let description = [{
    A scalar region yields one scalar (`attn.reduce` also a condition), the body of `attn.recur` tensors.

    Constraints:
    - C1: it ends a region of an op of this dialect.
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
  let arguments = (ins Variadic<Attn_Value>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let extraClassDeclaration = [{
    /// The value of a region that yields one.
    ::mlir::Value getValue() { return getValues().front(); }
  }];
  let hasVerifier = 1;
}

def Attn_ReturnOp : Attn_Op<"return", [Pure, Terminator, HasParent<"VariantOp">]> {
  let summary = "ends a variant and names its outputs";
  let description = [{
    `reuses` names for each output the input whose memory it may have: a caller passes the same tensor for both, and the
    output takes the place of the input once nothing reads that any more. An empty name is none.

    Constraints:
    - C1: as many names as values.
    - C2: names are unique.
    - C3: `reuses` has as many entries as names.
    - C4: what an output reuses has its type, and no other output reuses it. An input that nothing reads may be gone.
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
  let arguments = (ins StrArrayAttr:$names, Variadic<Attn_TensorType>:$values,
                       OptionalAttr<StrArrayAttr>:$reuses);
  let assemblyFormat = "$names (`(` $values^ `:` type($values) `)`)? attr-dict";
  let builders = [OpBuilder<(ins "::mlir::ArrayAttr":$names, "::mlir::ValueRange":$values), [{
    build($_builder, $_state, names, values, nullptr);
  }]>];
  let extraClassDeclaration = [{
    /// The input that output `number` may be in the memory of; null if there is none, or if nothing
    /// reads it.
    ::attnc::attn::InputOp getReused(unsigned number);
  }];
  let hasVerifier = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNOPS_TD

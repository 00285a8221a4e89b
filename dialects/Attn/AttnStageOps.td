// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Stages that yield tensors over named index spaces: comprehensions, functions of a row, selections, merges and
// quantization; and the index spaces that a variant declares for them.
#ifndef ATTNC_DIALECTS_ATTN_ATTNSTAGEOPS_TD
#define ATTNC_DIALECTS_ATTN_ATTNSTAGEOPS_TD

include "dialects/Attn/AttnOps.td"

def Attn_SpaceOp : Attn_Op<"space", [AttrSizedOperandSegments]> {
  let summary = "declares an index space: slots, or blocks of another space";
  let description = [{
    Without `of`, a space of `extent` indices, or, without an extent, of as many as the inputs over it have. With it, block `i` holds the indices from `i * stride` up to, but not
    including, `i * stride + extent` of the other space, as far as that has them; `stride` is `extent` when absent.
    There are as many blocks as cover the space; with `full`, as have all of their members.

    The extent and the stride may depend on sizes and parameters; one below 1 is an error when a variant is bound. `optional` lets an
    extent be 0, for a space whose being there is decided by the sizes (attn.choose).
    A variant that is specialised (attn-specialize) declares `d` and `e` with the sizes that it is compiled for.
    `g` acts as blocks of `h` without being declared.

    Constraints:
    - C1: the name is an identifier and no index space yet, or `d` or `e` with an extent.
    - C2: the other space is declared before.
    - C3: `stride` and `full` belong to blocks, which have an extent; `optional` belongs to an extent without blocks.
    - C4: the op stands in the body of a variant.
  }];
  let examples = [[{
    attn.variant @pages {
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %n = arith.constant 16 : i32
      attn.space "p" of "kv" extent %n
      %hi = attn.compute (%b: i32, %g: i32, %p: i32, %d: i32) {
        %m = attn.reduce max over "kv" in "p" at %p (%kv: i32) {
          %k = attn.read %K[%b, %g, %kv, %d] : !attn.tensor<[b, g, kv, d]> -> f32
          attn.yield %k : f32
        } : f32
        attn.yield %m : f32
      } : !attn.tensor<[b, g, p, d], f32>
      attn.return ["hi"](%hi : !attn.tensor<[b, g, p, d], f32>)
    }
  }]];
  let arguments = (ins StrAttr:$name, OptionalAttr<StrAttr>:$parent, Optional<I32>:$extent, Optional<I32>:$stride,
                       UnitAttr:$full, UnitAttr:$optional);
  let builders = [
    OpBuilder<(ins "::mlir::StringAttr":$name, "::mlir::StringAttr":$parent, "::mlir::Value":$extent, "::mlir::Value":$stride,
                   CArg<"::mlir::UnitAttr", "{}">:$full), [{
      build($_builder, $_state, name, parent, extent, stride, full, /*optional=*/::mlir::UnitAttr());
    }]>];
  let assemblyFormat = [{
    $name (`of` $parent^)? (`extent` $extent^)? (`stride` $stride^)? (`full` $full^)? (`optional` $optional^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Attn_ComputeOp : Attn_Op<"compute", [SingleBlock, RecursiveMemoryEffects]> {
  let summary = "a tensor by a formula for each of its elements";
  let description = [{
    One argument for each axis of the result; the region yields the element. Transforms of rows, feature maps, summaries
    of blocks, ranks, gates and epilogues are all this: what they are is read off the region.

    Constraints:
    - C1: the axes of the result are index spaces, and the region has an i32 argument for each.
    - C2: the region yields an element: f32 for reals (and the operand dtype), else i32 or i1.
    - C3: the region holds only scalar arithmetic, `attn.read`, `attn.position`, `attn.size`, `attn.reduce` and
      `attn.uniform`.
  }];
  let examples = [[{
    attn.variant @unit_length {
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %unit = attn.compute (%b: i32, %g: i32, %kv: i32, %d: i32) {
        %n = attn.reduce sum over "d" (%i: i32) {
          %k = attn.read %K[%b, %g, %kv, %i] : !attn.tensor<[b, g, kv, d]> -> f32
          %kk = arith.mulf %k, %k : f32
          attn.yield %kk : f32
        } : f32
        %r = math.rsqrt %n : f32
        %k = attn.read %K[%b, %g, %kv, %d] : !attn.tensor<[b, g, kv, d]> -> f32
        %u = arith.mulf %k, %r : f32
        attn.yield %u : f32
      } : !attn.tensor<[b, g, kv, d], f32>
      attn.return ["unit"](%unit : !attn.tensor<[b, g, kv, d], f32>)
    }
  }]];
  let results = (outs Attn_TensorType:$result);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "custom<ArgumentRegion>($body) attr-dict `:` type($result)";
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Attn_ReduceOp : Attn_Op<"reduce", [SingleBlock, Pure, AttrSizedOperandSegments]> {
  let summary = "reduces a formula over an index space within a region";
  let description = [{
    The region has the index as its argument and yields the value and, optionally, a condition: values whose
    condition does not hold do not take part. With `in`, the indices are the members of one block; a block that
    does not exist has none. With `from` and `to`, of the indices only those from the first to, but not including, the second take part,
    as far as there are such; attn-solve-conditions makes them of conditions.

    Of no values the sum and the mean are 0, the product 1, the maximum -inf (of ints the smallest), the minimum inf
    (the largest), argmax and argmin -1; `any` does not hold and `all` does. argmax and argmin yield the smallest of
    several indices and pass over NaN, which max, min, sum and mean propagate.

    Constraints:
    - C1: the space is known; with `in`, it is what the block space consists of.
    - C2: the region has one i32 argument and yields a scalar and at most one i1 beside it.
    - C3: sum, prod, max and min have the type of the value, which is a number; mean is f32 of f32; argmax and argmin are
      i32; any and all are i1 of i1.
    - C4: the region holds only scalar arithmetic, `attn.read`, `attn.position`, `attn.size`, `attn.reduce` and
      `attn.uniform`.
    - C5: `in` and `at` come together.
  }];
  let examples = [[{
    attn.variant @nearest_cluster {
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %n = arith.constant 8 : i32
      attn.space "c" extent %n
      %C = attn.input "C" : !attn.tensor<[g, c, d], f32>
      %assigned = attn.compute (%b: i32, %g: i32, %kv: i32) {
        %best = attn.reduce argmax over "c" (%c: i32) {
          %dot = attn.reduce sum over "d" (%d: i32) {
            %k = attn.read %K[%b, %g, %kv, %d] : !attn.tensor<[b, g, kv, d]> -> f32
            %m = attn.read %C[%g, %c, %d] : !attn.tensor<[g, c, d], f32> -> f32
            %p = arith.mulf %k, %m : f32
            attn.yield %p : f32
          } : f32
          attn.yield %dot : f32
        } : i32
        attn.yield %best : i32
      } : !attn.tensor<[b, g, kv], i32>
      attn.return ["assigned"](%assigned : !attn.tensor<[b, g, kv], i32>)
    }
  }]];
  let arguments = (ins Attn_ReductionAttr:$kind, StrAttr:$space, OptionalAttr<StrAttr>:$block, Optional<I32>:$index,
                       Optional<I32>:$lower, Optional<I32>:$upper);
  let results = (outs Attn_Scalar:$result);
  let regions = (region SizedRegion<1>:$body);
  let builders = [
    OpBuilder<(ins "::mlir::Type":$result, "Reduction":$kind, "::mlir::StringAttr":$space, "::mlir::StringAttr":$block,
                   "::mlir::Value":$index), [{
      build($_builder, $_state, result, kind, space, block, index, /*lower=*/nullptr, /*upper=*/nullptr);
    }]>];
  let extraClassDeclaration = [{
    bool isBounded() { return getLower() || getUpper(); }
  }];
  let assemblyFormat = [{
    $kind `over` $space (`in` $block^)? (`at` $index^)? (`from` $lower^)? (`to` $upper^)? custom<ArgumentRegion>($body) attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Attn_UniformOp : Attn_Op<"uniform", [Pure]> {
  let summary = "a random number that depends on a seed and a counter only";
  let description = [{
    Philox4x32-10 (Salmon et al., SC 2011) with key (seed, 0) and the counter (c0, c1, c2, c3); counters that are not
    written are 0. The result is the first word divided by 2^32, rounded down to a multiple of 2^-24, so that it is an
    f32 in [0, 1) and every executor draws the same.

    Constraints:
    - C1: at most four counters.
  }];
  let examples = [[{
    attn.variant @thinned {
      %X = attn.input "X" : <[b, h, kv], f32>
      %seed = attn.param "seed" = 7 : i32 : i32
      %keep = attn.compute (%b: i32, %h: i32, %kv: i32) {
        %u = attn.uniform %seed [%b, %h, %kv]
        %half = arith.constant 0.5 : f32
        %zero = arith.constant 0.0 : f32
        %stays = arith.cmpf olt, %u, %half : f32
        %x = attn.read %X[%b, %h, %kv] : <[b, h, kv], f32> -> f32
        %y = arith.select %stays, %x, %zero : f32
        attn.yield %y : f32
      } : <[b, h, kv], f32>
      attn.return ["keep"](%keep : !attn.tensor<[b, h, kv], f32>)
    }
  }]];
  let arguments = (ins I32:$seed, Variadic<I32>:$counter);
  let results = (outs F32:$result);
  let assemblyFormat = "$seed `[` $counter `]` attr-dict";
  let hasVerifier = 1;
}

/// A function of the rows along one axis that keeps the shape.
class Attn_RowOp<string mnemonic> : Attn_Op<mnemonic, [Pure]> {
  let arguments = (ins Attn_TensorType:$tensor, StrAttr:$space);
  let results = (outs Attn_TensorType:$result);
  let assemblyFormat = "$tensor `over` $space attr-dict `:` type($tensor) `->` type($result)";
  let hasVerifier = 1;
}

def Attn_SoftmaxOp : Attn_RowOp<"softmax"> {
  let summary = "exponentials of a row, divided by their sum";
  let description = [{
    Entries of -inf have weight 0; a row of nothing else is 0.

    Constraints:
    - C1: the space is an axis of the tensor.
    - C2: the tensor holds reals, and the result is f32 over the same axes.
  }];
  let examples = [[{
    attn.variant @weights {
      %r = attn.input "r" : !attn.tensor<[b, h, q, kv], f32>
      %w = attn.softmax %r over "kv" : !attn.tensor<[b, h, q, kv], f32> -> !attn.tensor<[b, h, q, kv], f32>
      attn.return ["w"](%w : !attn.tensor<[b, h, q, kv], f32>)
    }
  }]];
}

def Attn_CumsumOp : Attn_RowOp<"cumsum"> {
  let summary = "sums of the entries up to and including each";
  let description = [{
    Constraints:
    - C1: the space is an axis of the tensor.
    - C2: the tensor holds reals or ints, and the result is f32 or i32 over the same axes.
  }];
  let examples = [[{
    attn.variant @sums {
      %r = attn.input "r" : !attn.tensor<[b, kv], f32>
      %s = attn.cumsum %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], f32>
      attn.return ["s"](%s : !attn.tensor<[b, kv], f32>)
    }
  }]];
}

def Attn_RankOp : Attn_RowOp<"rank"> {
  let summary = "the place of each entry when its row is sorted, largest first";
  let description = [{
    0 for the largest; of equal entries the one with the smaller index comes first, and NaN comes last.

    Constraints:
    - C1: the space is an axis of the tensor.
    - C2: the tensor holds reals or ints, and the result is i32 over the same axes.
  }];
  let examples = [[{
    attn.variant @places {
      %r = attn.input "r" : !attn.tensor<[b, kv], f32>
      %s = attn.rank %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], i32>
      attn.return ["s"](%s : !attn.tensor<[b, kv], i32>)
    }
  }]];
}

def Attn_OrderOp : Attn_RowOp<"order"> {
  let summary = "the indices of a row's entries, largest entry first";
  let description = [{
    The inverse of the permutation that `attn.rank` yields.

    Constraints:
    - C1: the space is an axis of the tensor.
    - C2: the tensor holds reals or ints, and the result is i32 over the same axes.
  }];
  let examples = [[{
    attn.variant @sorted {
      %r = attn.input "r" : !attn.tensor<[b, kv], f32>
      %s = attn.order %r over "kv" : !attn.tensor<[b, kv], f32> -> !attn.tensor<[b, kv], i32>
      attn.return ["s"](%s : !attn.tensor<[b, kv], i32>)
    }
  }]];
}

def Attn_SelectOp : Attn_Op<"select", [Pure, AttrSizedOperandSegments]> {
  let summary = "the set of entries of a row that a rule keeps";
  let description = [{
    A row runs over `spaces`, in row-major order when there are several. Entries of -inf and NaN are never kept. The
    others are taken from the largest down, the smaller index first among equals:

    - `top`: the first `amount` of them.
    - `cover_inclusive`: as many as it takes for their sum to reach `amount` times the sum of the row, so the
      entry that crosses the threshold is kept.
    - `cover_exclusive`: as many as there are before the sum exceeds it, so that entry is not kept.

    At least `at_least` and at most `at_most` entries are kept as far as there are so many. Amounts are tensors over
    some of the other axes of the ranks (or over nothing). A set is an i1 tensor; union, intersection and
    complement are logic on its elements. Lists and bitmaps are representations that a back end chooses.

    Constraints:
    - C1: the spaces are axes of the ranks, each once.
    - C2: the ranks are f32, and the result is i1 over the same axes.
    - C3: the amount is i32 for `top` and f32 for the covers; the limits are i32.
    - C4: the axes of amounts and limits are axes of the ranks and none of the spaces.
  }];
  let examples = [[{
    attn.variant @budget {
      %r = attn.input "r" : !attn.tensor<[b, h, q, kv], f32>
      %n = attn.compute () {
        %c = arith.constant 64 : i32
        attn.yield %c : i32
      } : !attn.tensor<[], i32>
      %keep = attn.select top %r, %n over ["kv"] : !attn.tensor<[b, h, q, kv], f32>, !attn.tensor<[], i32> -> !attn.tensor<[b, h, q, kv], i1>
      attn.return ["keep"](%keep : !attn.tensor<[b, h, q, kv], i1>)
    }
  }]];
  let arguments = (ins Attn_SelectionAttr:$rule, Attn_TensorType:$ranks, Attn_TensorType:$amount,
                       Optional<Attn_TensorType>:$at_least, Optional<Attn_TensorType>:$at_most, StrArrayAttr:$spaces);
  let results = (outs Attn_TensorType:$result);
  let assemblyFormat = [{
    $rule $ranks `,` $amount `over` $spaces (`at_least` $at_least^ `:` type($at_least))?
    (`at_most` $at_most^ `:` type($at_most))? attr-dict `:` type($ranks) `,` type($amount) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Attn_MergeOp : Attn_Op<"merge", [Pure, SameVariadicOperandSize]> {
  let summary = "attention over the union of branches, from their outputs and log-sum-exps";
  let description = [{
    `lse = ln(sum(exp(lse_i)))` and `out = sum(exp(lse_i - lse) * out_i)`: what one softmax over the keys of all
    branches yields, a key counting once for each branch that has it. A branch with lse -inf weighs nothing; if all
    have, out is 0 and lse is -inf.

    Constraints:
    - C1: at least two branches.
    - C2: the outs and the result are over the same axes; each lse is over these without the last one.
  }];
  let examples = [[{
    attn.variant @two_branches {
      %o = attn.input "o1" : !attn.tensor<[b, h, q, e], f32>
      %l = attn.input "l1" : !attn.tensor<[b, h, q], f32>
      %out, %lse = attn.merge(%o, %o)(%l, %l) : (!attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q, e], f32>),
          (!attn.tensor<[b, h, q], f32>, !attn.tensor<[b, h, q], f32>) -> !attn.tensor<[b, h, q, e], f32>, !attn.tensor<[b, h, q], f32>
      attn.return ["out"](%out : !attn.tensor<[b, h, q, e], f32>)
    }
  }]];
  let arguments = (ins Variadic<Attn_TensorType>:$outs, Variadic<Attn_TensorType>:$lses);
  let results = (outs Attn_TensorType:$out, Attn_TensorType:$lse);
  let assemblyFormat = [{
    `(` $outs `)` `(` $lses `)` attr-dict `:` `(` type($outs) `)` `,` `(` type($lses) `)` `->` type($out) `,` type($lse)
  }];
  let hasVerifier = 1;
}

def Attn_QuantizeOp : Attn_Op<"quantize", [RecursiveMemoryEffects]> {
  let summary = "rounds a tensor to a storage format with scales for groups of its elements";
  let description = [{
    Yields the numbers that the codes stand for. Elements with the same `group` values share a scale; the region has an
    argument for each axis and yields ints. With `smooth`, the mean over the elements that share *its* values is
    subtracted before and added after: exact arithmetic then needs no correction, and a back end that keeps the codes
    derives the correction from it (a shift of scores and lse for keys, a bias for queries, a shift of the output
    for values).

    ```
    m     = mean(x in smooth group)                                    // 0 without smooth
    scale = to_scale_format(max(abs(x - m) in group) / largest + epsilon)
    y     = round((x - m) / scale) * scale + m
    ```

    `largest` is 127 for int8, 7 for int4, 448, 57344 and 6 for f8E4M3, f8E5M2 and f4E2M1, and may be given;
    `static` replaces `max / largest` by a number. With `asymmetric`, an int format covers [min, max]
    of its group in 2^bits - 1 equal steps. Codes saturate. f16, bf16 and f32 take no scale.

    Constraints:
    - C1: the regions have an i32 argument for each axis and yield ints.
    - C2: the result is f32 over the axes of the tensor, which holds reals.
    - C3: `asymmetric` is for int formats.
    - C4: formats without a scale, and those with a `static` one, have no group; others have one.
    - C5: the regions hold only scalar arithmetic, `attn.read`, `attn.position`, `attn.size`, `attn.reduce` and
      `attn.uniform`.
  }];
  let examples = [[{
    attn.variant @per_token {
      %K = attn.input "K" : !attn.tensor<[b, g, kv, d]>
      %k8 = attn.quantize %K as int8 group(%b: i32, %g: i32, %kv: i32, %d: i32) {
        attn.yield %b, %g, %kv : i32, i32, i32
      } : !attn.tensor<[b, g, kv, d]> -> !attn.tensor<[b, g, kv, d], f32>
      attn.return ["k8"](%k8 : !attn.tensor<[b, g, kv, d], f32>)
    }
  }]];
  let arguments = (ins Attn_TensorType:$tensor, Attn_FormatAttr:$format,
                       DefaultValuedAttr<Attn_RoundingAttr, "::attnc::attn::Rounding::HalfEven">:$rounding,
                       DefaultValuedAttr<Attn_FormatAttr, "::attnc::attn::Format::F32">:$scale_format,
                       DefaultValuedAttr<F64Attr, "0.0">:$epsilon, OptionalAttr<F64Attr>:$largest,
                       OptionalAttr<F64Attr>:$static_scale, UnitAttr:$asymmetric);
  let results = (outs Attn_TensorType:$result);
  let regions = (region AnyRegion:$group, AnyRegion:$smooth);
  let assemblyFormat = [{
    $tensor `as` $format (`round` $rounding^)? (`scale` $scale_format^)? (`epsilon` $epsilon^)? (`largest` $largest^)?
    (`static` $static_scale^)? (`asymmetric` $asymmetric^)?
    custom<OptionalRegion>("\"group\"", $group)
    custom<OptionalRegion>("\"smooth\"", $smooth) attr-dict `:` type($tensor) `->` type($result)
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Attn_ChooseOp : Attn_Op<"choose", [Pure, AllTypesMatch<["some", "none", "result"]>]> {
  let summary = "one of two ways to compute a tensor, by the sizes of a launch";
  let description = [{
    Yields `some` where the index space has elements, and `none` where it has not. What only one of the two needs is not
    computed where the other one is chosen. The two agree but for rounding: which one is faster is what the space's extent says.

    Constraints:
    - C1: the space is declared with an optional extent.
    - C2: both are results of stages that nothing else uses.
  }];
  let examples = [[{
    attn.variant @twice {
      %keys = attn.size "kv"
      %few = arith.constant 8 : i32
      %n = arith.divsi %keys, %few : i32
      attn.space "many" extent %n optional
      %bias = attn.input "bias" : !attn.tensor<[kv], f32>
      %sum = attn.compute (%kv: i32) {
        %x = attn.read %bias[%kv] : !attn.tensor<[kv], f32> -> f32
        %y = arith.addf %x, %x : f32
        attn.yield %y : f32
      } : !attn.tensor<[kv], f32>
      %two = arith.constant 2.0 : f32
      %product = attn.compute (%kv: i32) {
        %x = attn.read %bias[%kv] : !attn.tensor<[kv], f32> -> f32
        %y = arith.mulf %x, %two : f32
        attn.yield %y : f32
      } : !attn.tensor<[kv], f32>
      %result = attn.choose "many" some(%sum) none(%product) : !attn.tensor<[kv], f32>
      attn.return ["twice"](%result : !attn.tensor<[kv], f32>)
    }
  }]];
  let arguments = (ins StrAttr:$space, Attn_TensorType:$some, Attn_TensorType:$none);
  let results = (outs Attn_TensorType:$result);
  let assemblyFormat = "$space `some` `(` $some `)` `none` `(` $none `)` attr-dict `:` type($result)";
  let hasVerifier = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNSTAGEOPS_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes that stay within a level: from attn to attn here, from tile to tile in TilePasses.td.
#ifndef ATTNC_TRANSFORMS_PASSES_TD
#define ATTNC_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def AttnDeriveGradients : Pass<"attn-derive-gradients", "::mlir::ModuleOp"> {
  let summary = "replace attn.grad by the stages of reverse-mode differentiation";
  let description = [{
    Losses are differentiated through `attn.compute` with sums and means; another stage on the way from the state to the
    loss is an error that names it. The reference and every back end run behind this pass.
  }];
}

def AttnMergeEquals : Pass<"attn-merge-equals", "::mlir::ModuleOp"> {
  let summary = "compute once what is computed twice in the same way";
  let description = [{
    Formulas, reductions and whole stages that are equal become one, and what has no use is removed, as by MLIR's `cse`, but in a time
    that does not grow with the square of the number of stages. The key range analysis recognises equal divisors by being
    one value.

    ```mlir
    %x = attn.compute (%i: i32) { ... } : !attn.tensor<[q], f32>
    %y = attn.compute (%j: i32) { ... } : !attn.tensor<[q], f32>   // the same formula
    attn.return %x, %y
    ```
    becomes
    ```mlir
    %x = attn.compute (%i: i32) { ... } : !attn.tensor<[q], f32>
    attn.return %x, %x
    ```
    Exact.
  }];
  let statistics = [Statistic<"numMerged", "merged-operations", "Operations that were equal to one before them">];
}

// Rewrites of what a variant says, before anything is decided about kernels. None is needed for code to be right; each
// keeps what the reference computes, to the last digits of float64.

def AttnForwardCopies : Pass<"attn-forward-copies", "::mlir::ModuleOp"> {
  let summary = "let readers of a copy read what it is a copy of";
  let description = [{
    An `attn.compute` whose formula is one read at its own coordinates, in any order, or at ones that are the same for all
    of it, gives names or cuts a slice. Reads of it become reads of the source; where axes, order and element type are the same, so do
    all other uses, outputs among them. A copy that rounds to the operand dtype is none; but if nothing else reads what a compute
    makes, that is rounded in its place.

    A formula of one read at indices that are sums and products of its own ones, or a constant where a condition on them says so
    (rows cut into chunks, the last one padded), takes the place of the reads. With `keep-copies`, four stages or more that compute with the
    elements go on to read it: only what makes it has to keep to the bounds.

    ```mlir
    %latest = attn.compute (%b: i32, %d: i32) {
      %x = attn.read %S[%b, %c0, %d] : !attn.tensor<[b, t, d], f32> -> f32
      attn.yield %x : f32
    } : !attn.tensor<[b, d], f32>
    %y = attn.read %latest[%i, %j] : !attn.tensor<[b, d], f32> -> f32
    ```
    becomes
    ```mlir
    %y = attn.read %S[%i, %c0, %j] : !attn.tensor<[b, t, d], f32> -> f32
    ```
    Exact.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let options = [Option<"keepCopies", "keep-copies", "bool", "false", "padded copies that many stages read stay">];
  let statistics = [Statistic<"numCopies", "forwarded-copies", "Copies whose reads are forwarded">];
}

def AttnHoistReductions : Pass<"attn-hoist-reductions", "::mlir::ModuleOp"> {
  let summary = "compute reductions once for each index that they depend on";
  let description = [{
    A reduction in the formula of an `attn.compute` that does not depend on all of the indices around it becomes an `attn.compute` of
    its own, over those that it does depend on.

    ```mlir
    %unit = attn.compute (%b: i32, %kv: i32, %d: i32) {
      %n = attn.reduce sum over "d" (%i: i32) { ... %K[%b, %kv, %i] ... } : f32
      ...
    } : !attn.tensor<[b, kv, d], f32>
    ```
    becomes
    ```mlir
    %norm = attn.compute (%b: i32, %kv: i32) {
      %n = attn.reduce sum over "d" (%i: i32) { ... %K[%b, %kv, %i] ... } : f32
      attn.yield %n : f32
    } : !attn.tensor<[b, kv], f32>
    %unit = attn.compute (%b: i32, %kv: i32, %d: i32) {
      %n = attn.read %norm[%b, %kv] : !attn.tensor<[b, kv], f32> -> f32
      ...
    } : !attn.tensor<[b, kv, d], f32>
    ```
    Where a reduction depends on the index of another one around it, that index becomes an axis, unless the other one runs over a
    block only or has an axis' name already. Reductions in scores, masks and sinks stay. Exact.
  }];
  let statistics = [Statistic<"numHoisted", "hoisted-reductions", "Reductions that became a stage">];
}

def AttnSolveConditions : Pass<"attn-solve-conditions", "::mlir::ModuleOp"> {
  let summary = "turn conditions of reductions into ranges";
  let description = [{
    Comparisons of ints that are linear in the index of an `attn.reduce`, alone or joined by `and`, become its bounds (`from`, `to`); what
    else there is stays a condition. Nothing that is compared or computed instead may leave 32 bits, by the intervals of indices, sizes
    and constants: after attn-specialize more of them are known.

    ```mlir
    %x = attn.reduce sum over "kv" (%kv: i32) {
      %keep = arith.cmpi sle, %kv, %q : i32
      ...
      attn.yield %v, %keep : f32, i1
    } : f32
    ```
    becomes
    ```mlir
    %one = arith.constant 1 : i32
    %end = arith.addi %q, %one : i32
    %x = attn.reduce sum over "kv" to %end (%kv: i32) {
      ...
      attn.yield %v : f32
    } : f32
    ```
    Exact.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let statistics = [Statistic<"numSolved", "solved-conditions", "Reductions that got a bound">];
}

def AttnInlineChunks : Pass<"attn-inline-chunks", "::mlir::ModuleOp"> {
  let summary = "compute what a chunk has for each step where the step reads it";
  let description = [{
    An `attn.compute` that is read once, by another one, at the quotient and the remainder of an index by the number of steps of a chunk is
    computed there: for each index the one element that it reads. Only for a GPU, and chunks of a multiple of 64 steps: a tile of 64 rows then
    lies in one chunk. The tensor may not round to the operand dtype. So is one over chunks that another stage reads once, element by element.

    ```mlir
    %z = attn.compute (%c: i32, %i: i32) { ... attn.yield %sum : f32 } : !attn.tensor<[t_chunk, t_row], f32>
    %out = attn.compute (%t: i32) {
      %c = arith.floordivsi %t, %c64 : i32
      %i = arith.remsi %t, %c64 : i32
      %x = attn.read %z[%c, %i] : !attn.tensor<[t_chunk, t_row], f32> -> f32
      ...
    ```
    becomes
    ```mlir
    %out = attn.compute (%t: i32) {
      %c = arith.floordivsi %t, %c64 : i32
      %i = arith.remsi %t, %c64 : i32
      ... %sum ...
    ```
    Exact.
  }];
  let statistics = [Statistic<"numInlined", "inlined-chunks", "Tensors over chunks that are no more">];
}

def AttnInlineFactors : Pass<"attn-inline-factors", "::mlir::ModuleOp"> {
  let summary = "take scaled elements of 16-bit tensors apart in sums of products";
  let description = [{
    An `attn.compute` whose elements are those of one 16-bit tensor times what is read (a decay, a gate) is no tensor of its own if all of
    its uses are factors in sums of products, at most four: its factors take its place there, `select(c, x * y, 0)` as those of x and of y under
    c, and what does not know the index of the sum is a factor of the sum. A product of matrices then takes the 16-bit elements as they are. Not on the
    host, which multiplies f32 whatever it reads.

    ```mlir
    %scaled = attn.compute (%i: i32, %d: i32) { ... %p = arith.mulf %q, %before ... } : !attn.tensor<[i, d], f32>
    %z = attn.compute (%i: i32, %e: i32) {
      %sum = attn.reduce sum over "d" (%d: i32) {
        %s = attn.read %scaled[%i, %d] : !attn.tensor<[i, d], f32> -> f32
        %h = attn.read %H[%d, %e] : !attn.tensor<[d, e], f32> -> f32
        %p = arith.mulf %s, %h : f32
        ...
    ```
    becomes
    ```mlir
    %z = attn.compute (%i: i32, %e: i32) {
      %sum = attn.reduce sum over "d" (%d: i32) { ... %p = arith.mulf %q, %h : f32 ... }
      %scaled = arith.mulf %sum, %before : f32
      ...
    ```
    Exact but for the order of products.
  }];
  let statistics = [Statistic<"numInlined", "inlined-factors", "Scaled tensors that are no more">];
}

def AttnRoundFactors : Pass<"attn-round-factors", "::mlir::ModuleOp"> {
  let summary = "multiply 16-bit numbers in the products of chunked recurrences";
  let description = [{
    In a variant whose operand dtype is bf16, and on a GPU, both sides of each sum of products that a chunked recurrence consists of (stages
    over its chunks, or that read such, and what it does with a chunk) are rounded to bf16, unless they are elements of a bf16 tensor
    already: the matrix units multiply bf16 at once, and f32 by three to six instructions for each. A sum is one if its terms are factors
    that know the last index of the stage and others that do not, but another one. What the caller gives in f32 is not rounded; what is computed from
    elements of an `attn.invert`, which may cancel each other, is rounded to the sum of two bf16, and an inverse that is only read so is
    `rounded`. Sums, states and decays stay f32. f16 has not the range.

    A tensor that is only read to be rounded is stored as bf16; so is a state that a step hands out. In a sum's region, `arith.mulf %kc, %u` becomes
    ```mlir
      %kc16 = arith.truncf %kc : f32 to bf16
      %rounded = arith.extf %kc16 : bf16 to f32
      %p = arith.mulf %rounded, %u : f32            // %u is read from a tensor of bf16 now
    ```
    Not exact: each side of a product is off by 2^-9 of itself at most, or 2^-17.
  }];
  let statistics = [Statistic<"numRounded", "rounded-products", "Sums whose factors are rounded">,
                    Statistic<"numNarrowed", "narrowed-tensors", "Tensors that are stored in 16 bits">];
}

def AttnInlineLets : Pass<"attn-inline-lets", "::mlir::ModuleOp"> {
  let summary = "compute what has an element for each pair of rows where it is read";
  let description = [{
    The formula of an `attn.compute` over two row axes (tokens, or blocks of them) takes the place of its reads if it is cheap (16
    operations at most, no reduction), or is read in one place that is evaluated as often as the tensor has elements. All uses have to be reads
    at the reader's own coordinates, and the tensor may not round to the operand dtype. A formula that decides by reals that it computes
    (compares or truncates them) is evaluated in one place.

    ```mlir
    %bias = attn.compute (%b: i32, %h: i32, %q: i32, %kv: i32) { ... attn.yield %far : f32 } : !attn.tensor<[b, h, q, kv], f32>
    %out, %lse = attn.attend %Q, %K, %V
      score(%s: f32, %b: i32, %h: i32, %q: i32, %kv: i32) {
        %x = attn.read %bias[%b, %h, %q, %kv] : !attn.tensor<[b, h, q, kv], f32> -> f32
        ...
    ```
    becomes
    ```mlir
    %out, %lse = attn.attend %Q, %K, %V
      score(%s: f32, %b: i32, %h: i32, %q: i32, %kv: i32) {
        ... %far ...
    ```
    Exact.
  }];
  let statistics = [Statistic<"numInlined", "inlined-lets", "Tensors that are no more">];
}

// Expansions: ops that no kernel is made for become formulas of `attn.compute`, for which they are. Each holds at the top level of a
// variant and in the body of a recurrence, and leaves an op over an axis of a fixed size, which a formula cannot be over.

def AttnExpandSoftmax : Pass<"attn-expand-softmax", "::mlir::ModuleOp"> {
  let summary = "replace softmaxes of rows by formulas";
  let description = [{
    ```mlir
    %w = attn.softmax %x over "kv" : <[b, q, kv], f32> -> <[b, q, kv], f32>
    ```
    becomes three `attn.compute`: over `[b, q]` the maximum of the row (0 if that is -inf), over `[b, q]` the sum of exponentials relative to
    it, and over `[b, q, kv]` the exponential divided by the sum, or 0 if that is 0. Equal to the last digit.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let statistics = [Statistic<"numExpanded", "expanded-softmaxes", "Softmaxes that became formulas">];
}

def AttnExpandMerge : Pass<"attn-expand-merge", "::mlir::ModuleOp"> {
  let summary = "replace merges of branches by formulas";
  let description = [{
    ```mlir
    %out, %lse = attn.merge(%o1, %o2)(%l1, %l2) : (<[b, q, e], f32>, <[b, q, e], f32>), (<[b, q], f32>, <[b, q], f32>) -> <[b, q, e], f32>, <[b, q], f32>
    ```
    becomes an `attn.compute` over `[b, q, e]` and one over `[b, q]`, as far as they are used, with weights relative to the largest lse. Equal
    to the last digits.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let statistics = [Statistic<"numExpanded", "expanded-merges", "Merges that became formulas">];
}

def AttnExpandTiledAttention : Pass<"attn-expand-tiled-attention", "::mlir::ModuleOp"> {
  let summary = "replace attentions whose results depend on tiles of keys by formulas";
  let description = [{
    ```mlir
    %out, %lse = attn.attend %Q, %K, %V tile %n weights int8 by 127.0 : ...
    ```
    becomes stages: the scores, maxima of the tiles and up to each tile, which tiles are skipped, scales of groups of weights,
    sums, out and lse. An attention with neither `skip` nor a weight format stays as it is: its tiles change nothing. Equal to
    the last digits, up to what is decided at ties of rounding and skipping.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let statistics = [Statistic<"numExpanded", "expanded-attentions", "Attentions that became formulas">];
}

def AttnExpandOrders : Pass<"attn-expand-orders", "::mlir::ModuleOp"> {
  let summary = "replace ranks, orders and cumulative sums by formulas";
  let description = [{
    `attn.rank` counts the entries that come before each; `attn.order` adds, for each place, the index of the one entry whose rank it is;
    `attn.cumsum` sums the entries up to each, where no kernel is made for it: in a step of a recurrence, and along the only axis of a tensor.
    All of them take n steps for an element.

    ```mlir
    %s = attn.cumsum %x over "kv" : <[kv], f32> -> <[kv], f32>
    ```
    becomes
    ```mlir
    %s = attn.compute (%kv: i32) {
      %one = arith.constant 1 : i32
      %end = arith.addi %kv, %one : i32
      %sum = attn.reduce sum over "kv" to %end (%i: i32) {
        %y = attn.read %x[%i] : <[kv], f32> -> f32
        attn.yield %y : f32
      } : f32
      attn.yield %sum : f32
    } : <[kv], f32>
    ```
    Exact.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let statistics = [Statistic<"numExpanded", "expanded-orders", "Ranks, orders and sums that became formulas">];
}

def AttnExpandQuantize : Pass<"attn-expand-quantize", "::mlir::ModuleOp"> {
  let summary = "replace quantizations by formulas";
  let description = [{
    Means of smooth groups, scales of groups (and with `asymmetric` their smallest numbers), and the rounded numbers become an `attn.compute`
    each. Rounding is arithmetic that is exact in f32. Where keys of groups are indices, or indices divided by a size that is known before
    tensors are, what a group has in common is a tensor over these axes and over blocks, which are declared; other keys are compared, for each
    pair of indices of the axes that they depend on.

    ```mlir
    %k8 = attn.quantize %K as int8 group(%b: i32, %kv: i32, %d: i32) {
      %n = arith.constant 64 : i32
      %block = arith.floordivsi %kv, %n : i32
      attn.yield %b, %block : i32, i32
    } : <[b, kv, d]> -> <[b, kv, d], f32>
    ```
    becomes
    ```mlir
    %n = arith.constant 64 : i32
    attn.space "kv_blocks" of "kv" extent %n
    %scale = attn.compute (%b: i32, %block: i32) { ... } : <[b, kv_blocks], f32>
    %k8 = attn.compute (%b: i32, %kv: i32, %d: i32) { ... } : <[b, kv, d], f32>
    ```
    Equal to the last digits, and so are codes that are not within these of where another one begins.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let statistics = [Statistic<"numExpanded", "expanded-quantizations", "Quantizations that became formulas">];
}

def AttnExpandScans : Pass<"attn-expand-scans", "::mlir::ModuleOp"> {
  let summary = "expand scans and triangular systems into recurrences";
  let description = [{
    `attn.scan` and `attn.solve` leave the order of evaluation free. Where nothing makes use of that, they become what they mean step by
    step: an `attn.recur` over the same axis, whose state is what the entries so far combine to, or the unknowns so far.

    ```mlir
    %p = attn.scan over "kv" (%x : <[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) { ... } : !attn.tensor<[b, kv], f32>
    ```
    becomes
    ```mlir
    %init = attn.compute () { attn.yield %one : f32 } : !attn.tensor<[], f32>
    %p, %last = attn.recur over "kv" for ["b"] from (%init : <[], f32>) body(%b: i32, %kv: i32, %all: !attn.tensor<[], f32>) {
      %next = attn.compute () { ... } : !attn.tensor<[], f32>
      attn.yield %next, %next : !attn.tensor<[], f32>, !attn.tensor<[], f32>
    } : !attn.tensor<[b, kv], f32>, !attn.tensor<[b], f32>
    ```
    Within the step of a recurrence, which holds no other one, and of ints, as states are real, a scan whose combiner is a sum, product,
    maximum or minimum becomes that reduction over the entries so far; other ones stay, and so do systems within a step. The sum of a row
    of a system is rounded before its right side is added, not after.

    A system of a number of rows that is known, a multiple of 16 and more than that, goes by blocks of 16: the blocks on the diagonal are
    inverted row by row, all at once, and a recurrence over blocks has products of matrices in each step.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let statistics = [Statistic<"numExpanded", "expanded-scans", "Scans and systems that became recurrences">];
}

def AttnChunkRecurrences : Pass<"attn-chunk-recurrences", "::mlir::ModuleOp"> {
  let summary = "take the steps of linear recurrences a chunk at a time";
  let description = [{
    A recurrence whose step multiplies each state by a factor and adds outer products to it, of data or of sums over the
    state itself (delta rules), and whose outputs depend on the states by sums over them, becomes

    - stages over all chunks at once: products of the steps' weights and columns, decayed; where rows hold reads,
      `attn.solve` of a unit triangular system;
    - an `attn.recur` over the chunks, each step of which is products of matrices;
    - stages over all steps at once that compute the outputs.

    ```mlir
    %out, %final = attn.recur over "t" for ["b", "h"] from (%zero : !attn.tensor<[d, e], f32>) body(...) { ... }
      : !attn.tensor<[b, h, t, e], f32>, !attn.tensor<[b, h, d, e], f32>
    ```
    becomes
    ```mlir
    attn.space "t_chunk" of "t" extent %c64
    %added = attn.compute ... : !attn.tensor<[b, h, t_chunk, d, e], f32>
    %states, %final = attn.recur over "t_chunk" for ["b", "h"] from (%zero : !attn.tensor<[d, e], f32>) body(...) { ... }
      : !attn.tensor<[b, h, t_chunk, d, e], f32>, !attn.tensor<[b, h, d, e], f32>
    %out = attn.compute ... : !attn.tensor<[b, h, t, e], f32>
    ```
    A factor may vary along the axes that reads sum over: between steps of different parts of a chunk it divides into that of the row and
    that of the column, and within the smallest parts it is multiplied in for each pair of steps. `by-halves` has parts of two halves, down to
    single steps, so that all scores are products of matrices. Where a recurrence has not this form it stays as it is; with `report-refusals` a
    remark says why. Sums are taken in another order, so results differ by rounding: on the reference by 1e-12 of the largest number of an
    output, and by 1e-11 where corrections nearly undo each other (delta rules with a strength near 2 and equal keys).
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let options = [
    Option<"chunk", "chunk", "int64_t", "64", "steps of a chunk: a multiple of 16, or less than that">,
    Option<"byHalves", "by-halves", "bool", "false", "scores with factors that vary along what is summed are products of halves, quarters, ...">,
    Option<"reportRefusals", "report-refusals", "bool", "false", "a remark for each recurrence that stays">];
  let statistics = [Statistic<"numChunked", "chunked-recurrences", "Recurrences that go chunk by chunk">];
}

def AttnExportDecisions : Pass<"attn-export-decisions", "::mlir::ModuleOp"> {
  let summary = "put out what a variant decides, beside its outputs";
  let description = [{
    Each selection of the variant, and each comparison, rounding, conversion to a whole number, argmax and argmin of reals in one of its stages,
    becomes an output `decision_N`, for the N-th op of the variant, over the coordinates that it depends on. What
    there was stays as it is. The reference can then be made to decide like a kernel that was compiled from the result (docs/Testing.md). It runs behind the
    expansions, where few ops decide.

    A decision in a step of a recurrence is computed by one more stage of the step, which it puts out for each step. Left out are decisions from what
    only their stage has: products of an attention.
  }];
  let statistics = [Statistic<"numExported", "exported-decisions", "Decisions that became outputs">];
}

def AttnSpecialize : Pass<"attn-specialize", "::mlir::ModuleOp"> {
  let summary = "put what a variant is compiled for into its ops and types";
  let description = [{
    - const parameters become constants: what is bound to them, or their defaults;
    - the operand dtype becomes the element type of inputs and outputs that have it, and `attn.operand_dtype` of the variant.
      What stages read of each other is f32: an output that a stage reads is a copy of that;
    - the sizes of d and e are declared (`attn.space`), and `attn.size` of them becomes a constant.

    ```mlir
    %cap = attn.param const "cap" = 5.000000e+01 : f32 : f32
    %Q = attn.input "Q" : <[b, h, q, d]>
    ```
    becomes, with `dtype=f16 head-dim=64 params=cap=30`,
    ```mlir
    %c64 = arith.constant 64 : i32
    attn.space "d" extent %c64
    %cap = arith.constant 3.000000e+01 : f32
    %Q = attn.input "Q" : <[b, h, q, d], f16>
    ```
    Fails on a dtype or a head dim that no code is generated for, and on chains of operations that are too deep for
    what follows.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let options = [
    Option<"dtype", "dtype", "std::string", "\"f16\"", "element type of Q, K, V: f32, f16, bf16">,
    Option<"headDim", "head-dim", "int64_t", "64", "size of index space d">,
    Option<"vHeadDim", "v-head-dim", "int64_t", "0", "size of index space e; 0 = head-dim">,
    ListOption<"params", "params", "std::string", "values of const parameters, name=value">];
}

def AttnListTiles : Pass<"attn-list-tiles", "::mlir::ModuleOp"> {
  let summary = "list the tiles of keys that a tile of rows visits";
  let description = [{
    Where a mask or a set looks at tensors, no ranges of keys say which tiles of keys are empty. So formulas classify them: the mask is
    evaluated with intervals over a tile (MaskOverTiles.h), and each tile of rows gets a list of the tiles that it visits, those that all of its rows see
    whole first (`visits` of attn.attend). A set becomes part of the mask.

    Of attentions that have a form for it (`hasFusedForm`), with a mask whose ranges are not exact, if elements of a tensor tell something of
    a tile. The variant has a schedule.

    ```mlir
    %out, %lse = attn.attend %Q, %K, %V over %keep : !attn.tensor<[b, h, q_block, kv_block], i1> ...
    ```
    becomes
    ```mlir
    attn.space "q_tile" of "q" extent %64
    %class = attn.compute (%b: i32, %h: i32, %r: i32, %n: i32) { 0, 1 or 2 }
    %count = attn.cumsum %flags over "kv_tile_class"
    %visits = attn.compute (%b: i32, %h: i32, %r: i32, %s: i32) { ... } : !attn.tensor<[b, h, q_tile, kv_visit], i32>
    %out, %lse = attn.attend %Q, %K, %V visits %visits of 64 : ... mask(...) { ... }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let statistics = [Statistic<"numListed", "listed", "attentions with lists of tiles">];
}

def AttnSplitKeys : Pass<"attn-split-keys", "::mlir::ModuleOp"> {
  let summary = "share out the keys of attentions with few queries";
  let description = [{
    An attention of few queries waits for memory, and has too few programs for a machine to read with. So keys are cut into parts of 256,
    each of which is an attention of its own (`parts` of attn.attend), and formulas merge what the parts come to. `attn.choose` takes that
    where the extent of the space of parts is not 0: where queries are few, keys are more than a part, and reading these
    once for all heads that share them is no more than what the other kernel reads.

    For the GPU; of attentions with a form for it and without a mask that looks at the head. The variant has a schedule.

    ```mlir
    %out, %lse = attn.attend %Q, %K, %V : ...
    ```
    becomes
    ```mlir
    attn.space "kv_part" extent %parts
    %o, %l, %m = attn.attend %Q, %K, %V parts <"kv_part" of 256 unit 1.250000e-01> : ...
    %top = attn.compute (%b: i32, %h: i32, %q: i32) { max of %m over "kv_part" }
    ...
    %whole, %whole_lse = attn.attend %Q, %K, %V : ...
    %out = attn.choose "kv_part" some(%merged) none(%whole) : ...
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
  let statistics = [Statistic<"numSplit", "split", "attentions whose keys can be shared out">];
}

def AttnCopyReused : Pass<"attn-copy-reused", "::mlir::ModuleOp"> {
  let summary = "write outputs that reuse an input when nothing reads it any more";
  let description = [{
    An output that `attn.return` says reuses an input may be the same memory. Where it is the last value of a state that begins as the
    input, which nothing else reads, it is written behind the last step and is right as it is. Of any other one there is a copy, whose kernel is
    launched behind all others: `attn.last`. Exact: a copy has the type of the output.

    ```mlir
    %next = attn.compute ... : !attn.tensor<[b, g, kv, d], f32>
    attn.return ["next"](%next : !attn.tensor<[b, g, kv, d], f32>) {reuses = ["cache"]}
    ```
    becomes
    ```mlir
    %next = attn.compute ... : !attn.tensor<[b, g, kv, d], f32>
    %copy = attn.compute ... read %next ... {attn.last} : !attn.tensor<[b, g, kv, d], f32>
    attn.return ["next"](%copy : !attn.tensor<[b, g, kv, d], f32>) {reuses = ["cache"]}
    ```
  }];
  let statistics = [Statistic<"numCopied", "copied", "outputs that are copied into the input they reuse">];
}

def AttnVerifySpecialized : Pass<"attn-verify-specialized", "::mlir::ModuleOp"> {
  let summary = "check what may not remain at the end of phase `specialized`";
  let description = [{
    - A1: no const parameter.
    - A2: d and e have a declared size.
    - A3: each tensor has an element type.
  }];
}

def AttnPlan : Pass<"attn-plan", "::mlir::ModuleOp"> {
  let summary = "choose tiles and schedule parameters for each variant";
  let description = [{
    Attaches a `#tile.schedule` to each `attn.variant`, which is specialised. A variant that already has one keeps it,
    so that a hand-edited schedule survives.
  }];
  let dependentDialects = ["::attnc::tile::TileDialect"];
  let options = [
    Option<"target", "target", "std::string", "\"host\"", "host, or an architecture such as sm_80">,
    Option<"vectorBytes", "vector-bytes", "int32_t", "16", "alignment of every row in bytes">,
    Option<"tileQ", "tile-q", "int64_t", "0", "rows of a query tile; 0 = choose">,
    Option<"tileKV", "tile-kv", "int64_t", "0", "keys of a key tile; 0 = choose">,
    Option<"stages", "stages", "int32_t", "0", "key tiles in shared memory at once; 0 = choose">,
    Option<"numWarps", "num-warps", "int32_t", "0", "warps of a thread block; 0 = choose">];
}

include "include/attnc/Transforms/TilePasses.td"

#endif // ATTNC_TRANSFORMS_PASSES_TD

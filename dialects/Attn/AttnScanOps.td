// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linear recurrences that need no step: scans by a combiner, and triangular systems. What each yields could be written as
// `attn.recur` over the same axis; the ops say that the order of evaluation is free.
#ifndef ATTNC_DIALECTS_ATTN_ATTNSCANOPS_TD
#define ATTNC_DIALECTS_ATTN_ATTNSCANOPS_TD

include "dialects/Attn/AttnStageOps.td"

def Attn_ScanOp : Attn_Op<"scan", [SingleBlock, Pure, AttrSizedOperandSegments]> {
  let summary = "what the entries of a row up to each combine to";
  let description = [{
    For each row along the space, with the identities as the values before the first entry,
    `y[i] = combine(y[i - 1], x[i])`, of k tensors together. With `exclusive`, `y[i] = combine(y[i - 1], x[i - 1])`, and
    the first is the identities: the entries before each. With `reverse` rows are taken from the last entry to the first.

    The combiner is associative and the identities are its identity, by promise: executors may combine in any order that
    keeps the entries'. Rounding then differs, as that of sums does; the reference goes from entry to entry.

    Constraints:
    - C1: the space is an axis of the tensors, which are of numbers and over the same axes.
    - C2: an identity for each tensor, of the type of its elements, and a result over the same axes, f32 or i32.
    - C3: the region has the values of all tensors up to an entry and then those of the entry as arguments, and yields one
      value for each tensor.
    - C4: the region holds scalar arithmetic on its arguments, constants and values from outside, and nothing that decides
      by reals (comparisons, conversions to ints): with another order it would decide otherwise.
  }];
  let examples = [[{
    attn.variant @products {
      %x = attn.input "x" : !attn.tensor<[b, kv], f32>
      %one = arith.constant 1.0 : f32
      %p = attn.scan over "kv" (%x : !attn.tensor<[b, kv], f32>) from (%one : f32) combine(%a: f32, %c: f32) {
        %ac = arith.mulf %a, %c : f32
        attn.yield %ac : f32
      } : !attn.tensor<[b, kv], f32>
      attn.return ["p"](%p : !attn.tensor<[b, kv], f32>)
    }
  }], [{
    // s[i] = a[i] s[i - 1] + b[i], as a scan of pairs.
    attn.variant @affine {
      %a = attn.input "a" : !attn.tensor<[b, kv], f32>
      %b = attn.input "b" : !attn.tensor<[b, kv], f32>
      %one = arith.constant 1.0 : f32
      %zero = arith.constant 0.0 : f32
      %decay, %s = attn.scan over "kv" (%a, %b : !attn.tensor<[b, kv], f32>, !attn.tensor<[b, kv], f32>) from (%one, %zero : f32, f32)
          combine(%a0: f32, %b0: f32, %a1: f32, %b1: f32) {
        %aa = arith.mulf %a0, %a1 : f32
        %ab = arith.mulf %b0, %a1 : f32
        %bb = arith.addf %ab, %b1 : f32
        attn.yield %aa, %bb : f32, f32
      } : !attn.tensor<[b, kv], f32>, !attn.tensor<[b, kv], f32>
      attn.return ["s"](%s : !attn.tensor<[b, kv], f32>)
    }
  }]];
  let arguments = (ins StrAttr:$space, UnitAttr:$reverse, UnitAttr:$exclusive, Variadic<Attn_TensorType>:$tensors,
                       Variadic<Attn_Scalar>:$identities);
  let results = (outs Variadic<Attn_TensorType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `over` $space (`reverse` $reverse^)? (`exclusive` $exclusive^)? `(` $tensors `:` type($tensors) `)`
    `from` `(` $identities `:` type($identities) `)` custom<NamedRegion>("\"combine\"", $body) attr-dict `:` type($results)
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Attn_SolveOp : Attn_Op<"solve", [Pure]> {
  let summary = "solves systems with a unit lower triangular matrix";
  let description = [{
    `X[.., i, ..] = R[.., i, ..] + sum(N[.., i, j] X[.., j, ..] for j < i)`: X = (1 - N)^-1 R with the part of N below the
    diagonal, which is all that is read. Delta rules within a chunk are such systems, of as many unknowns as the chunk
    has steps. The order of evaluation is free: forward substitution, by blocks, or with products of powers of N.

    Constraints:
    - C1: the row and column spaces are axes of N, of one size; the row space is an axis of R, and the column space is not.
    - C2: the other axes of N are axes of R.
    - C3: N and R are of reals, and the result is f32 over the axes of R.
  }];
  let examples = [[{
    attn.variant @corrected {
      %n = arith.constant 16 : i32
      attn.space "i" extent %n
      attn.space "j" extent %n
      %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
      %R = attn.input "R" : !attn.tensor<[b, i, e], f32>
      %X = attn.solve %N, %R over "i" by "j" : !attn.tensor<[b, i, j], f32>, !attn.tensor<[b, i, e], f32>
          -> !attn.tensor<[b, i, e], f32>
      attn.return ["X"](%X : !attn.tensor<[b, i, e], f32>)
    }
  }]];
  let arguments = (ins Attn_TensorType:$matrix, Attn_TensorType:$rhs, StrAttr:$row, StrAttr:$column);
  let results = (outs Attn_TensorType:$result);
  let assemblyFormat = [{
    $matrix `,` $rhs `over` $row `by` $column attr-dict `:` type($matrix) `,` type($rhs) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Attn_InvertOp : Attn_Op<"invert", [Pure]> {
  let summary = "inverts unit lower triangular matrices";
  let description = [{
    `Y = (1 - N)^-1` with the part of N below the diagonal, which is all that is read: `Y[.., i, j]` is 1 for i = j, 0 above the
    diagonal, and `sum(N[.., i, k] Y[.., k, j] for j <= k < i)` below it. Where systems with several right sides have one matrix
    (`attn.solve`), the inverse is computed once and each right side is a product of matrices. The order of evaluation is
    free, but for products of powers of N: where rows nearly repeat these grow like binomials while Y stays small.

    - `rounded`: all that reads Y rounds it, to 16 bits or to the sum of two numbers of 16 bits (attn-round-factors), so that sums may be
      of products of 22 bits instead of f32.

    Constraints:
    - C1: the row and column spaces are axes of N, of one size.
    - C2: N is of reals, and the result is f32 over its axes.
  }];
  let examples = [[{
    attn.variant @inverse {
      %n = arith.constant 16 : i32
      attn.space "i" extent %n
      attn.space "j" extent %n
      %N = attn.input "N" : !attn.tensor<[b, i, j], f32>
      %Y = attn.invert %N over "i" by "j" : !attn.tensor<[b, i, j], f32> -> !attn.tensor<[b, i, j], f32>
      attn.return ["Y"](%Y : !attn.tensor<[b, i, j], f32>)
    }
  }]];
  let arguments = (ins Attn_TensorType:$matrix, StrAttr:$row, StrAttr:$column, UnitAttr:$rounded);
  let results = (outs Attn_TensorType:$result);
  let assemblyFormat = [{
    $matrix `over` $row `by` $column (`rounded` $rounded^)? attr-dict `:` type($matrix) `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNSCANOPS_TD

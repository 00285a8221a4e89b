// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Recurrences: state that a step reads and writes, and gradients for memories that learn.
#ifndef ATTNC_DIALECTS_ATTN_ATTNRECURRENCEOPS_TD
#define ATTNC_DIALECTS_ATTN_ATTNRECURRENCEOPS_TD

include "dialects/Attn/AttnStageOps.td"

def Attn_RecurOp : Attn_Op<"recur", [SingleBlock, RecursiveMemoryEffects, AttrSizedOperandSegments]> {
  let summary = "a state that is updated step by step";
  let description = [{
    For each index of the `batch` spaces the states start as `init` (read at that index) and the body runs for
    t = 0, 1, ... over the `time` space. Its arguments are the batch indices, the step, and the states as tensors; it
    holds stages over tensors and yields what the step puts out and then the new states.

    The first results are the outputs, over `[batch..., time, axes that the body yields]`; after them come the final
    states, over `[batch..., axes of the state]`.

    With `every n`, the body has each state a second time: as it was at the start of the group of n steps that the
    step belongs to. Reads of it, in the loss of a gradient say, make the size of the group part of the meaning.

    Constraints:
    - C1: batch and time are index spaces, each once.
    - C2: the arguments of the body are as listed; a state is f32 over spaces that are neither batch nor time.
    - C3: an initial value is f32 over some of the batch spaces and the state's axes.
    - C4: the body yields outputs and then one tensor for each state, of its type.
    - C5: the types of the results follow from the body; an output of f32 may be stored in the operand dtype, f16 or bf16.
    - C6: the body holds `attn.compute`, functions of rows, `attn.scan`, `attn.solve`, `attn.select`, `attn.quantize` and
      `attn.grad`, with scalar arithmetic among them.
  }];
  let examples = [[{
    attn.variant @retention {
      %Q = attn.input "Q" : !attn.tensor<[b, h, t, d]>
      %K = attn.input "K" : !attn.tensor<[b, h, t, d]>
      %V = attn.input "V" : !attn.tensor<[b, h, t, e]>
      %a = attn.input "a" : !attn.tensor<[h], f32>
      %zero = attn.compute (%d: i32, %e: i32) {
        %c = arith.constant 0.0 : f32
        attn.yield %c : f32
      } : !attn.tensor<[d, e], f32>
      %out, %final = attn.recur over "t" for ["b", "h"] from (%zero : !attn.tensor<[d, e], f32>) body(%b: i32, %h: i32, %t: i32, %S: !attn.tensor<[d, e], f32>) {
        %next = attn.compute (%d: i32, %e: i32) {
          %s = attn.read %S[%d, %e] : !attn.tensor<[d, e], f32> -> f32
          %decay = attn.read %a[%h] : !attn.tensor<[h], f32> -> f32
          %k = attn.read %K[%b, %h, %t, %d] : !attn.tensor<[b, h, t, d]> -> f32
          %v = attn.read %V[%b, %h, %t, %e] : !attn.tensor<[b, h, t, e]> -> f32
          %kept = arith.mulf %decay, %s : f32
          %kv = arith.mulf %k, %v : f32
          %sum = arith.addf %kept, %kv : f32
          attn.yield %sum : f32
        } : !attn.tensor<[d, e], f32>
        %o = attn.compute (%e: i32) {
          %r = attn.reduce sum over "d" (%d: i32) {
            %s = attn.read %next[%d, %e] : !attn.tensor<[d, e], f32> -> f32
            %q = attn.read %Q[%b, %h, %t, %d] : !attn.tensor<[b, h, t, d]> -> f32
            %p = arith.mulf %s, %q : f32
            attn.yield %p : f32
          } : f32
          attn.yield %r : f32
        } : !attn.tensor<[e], f32>
        attn.yield %o, %next : !attn.tensor<[e], f32>, !attn.tensor<[d, e], f32>
      } : !attn.tensor<[b, h, t, e], f32>, !attn.tensor<[b, h, d, e], f32>
      attn.return ["out"](%out : !attn.tensor<[b, h, t, e], f32>)
    }
  }]];
  let arguments = (ins StrAttr:$time, StrArrayAttr:$batch, Variadic<Attn_TensorType>:$init, Optional<I32>:$every);
  let results = (outs Variadic<Attn_TensorType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let extraClassDeclaration = [{
    unsigned getNumStates() { return getInit().size(); }
    unsigned getNumOutputs() { return getNumResults() - getNumStates(); }
    /// The states as arguments of the body, and, with `every`, as they were at the start of the group.
    ::mlir::Block::BlockArgListType getStates() {
      return getBody().getArguments().slice(getBatch().size() + 1, getNumStates());
    }
    ::mlir::Block::BlockArgListType getGroupStarts() {
      return getBody().getArguments().drop_front(getBatch().size() + 1 + getNumStates());
    }
  }];
  let assemblyFormat = [{
    `over` $time `for` $batch (`every` $every^)? `from` `(` ($init^ `:` type($init))? `)`
    custom<NamedRegion>("\"body\"", $body) attr-dict (`:` type($results)^)?
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Attn_GradOp : Attn_Op<"grad", [Pure, AllTypesMatch<["state", "result"]>]> {
  let summary = "the gradient of a number with respect to a state";
  let description = [{
    `result[i] = d(loss) / d(state[i])`. The loss is computed from the state by `attn.compute` in the same body; the
    pass `attn-derive-gradients` replaces the op by the stages that reverse-mode differentiation yields. Whatever
    else the loss depends on counts as constant.

    Where a function has no derivative, the derivative is the one of the branch that was taken: max and min of
    equal arguments take the first one's, and abs(0) has 0. floor, ceil, round and comparisons have 0.

    Constraints:
    - C1: the loss has rank 0 and is f32.
    - C2: the state is an argument of the enclosing `attn.recur`.
  }];
  let examples = [[{
    attn.variant @descent {
      %K = attn.input "K" : !attn.tensor<[b, h, t, d]>
      %zero = attn.compute (%d: i32) {
        %c = arith.constant 0.0 : f32
        attn.yield %c : f32
      } : !attn.tensor<[d], f32>
      %final = attn.recur over "t" for ["b", "h"] from (%zero : !attn.tensor<[d], f32>) body(%b: i32, %h: i32, %t: i32, %W: !attn.tensor<[d], f32>) {
        %loss = attn.compute () {
          %r = attn.reduce sum over "d" (%d: i32) {
            %w = attn.read %W[%d] : !attn.tensor<[d], f32> -> f32
            %k = attn.read %K[%b, %h, %t, %d] : !attn.tensor<[b, h, t, d]> -> f32
            %x = arith.subf %w, %k : f32
            %xx = arith.mulf %x, %x : f32
            attn.yield %xx : f32
          } : f32
          attn.yield %r : f32
        } : !attn.tensor<[], f32>
        %g = attn.grad %loss, %W : !attn.tensor<[], f32>, !attn.tensor<[d], f32>
        %next = attn.compute (%d: i32) {
          %w = attn.read %W[%d] : !attn.tensor<[d], f32> -> f32
          %x = attn.read %g[%d] : !attn.tensor<[d], f32> -> f32
          %y = arith.subf %w, %x : f32
          attn.yield %y : f32
        } : !attn.tensor<[d], f32>
        attn.yield %next : !attn.tensor<[d], f32>
      } : !attn.tensor<[b, h, d], f32>
      attn.return ["W"](%final : !attn.tensor<[b, h, d], f32>)
    }
  }]];
  let arguments = (ins Attn_TensorType:$loss, Attn_TensorType:$state);
  let results = (outs Attn_TensorType:$result);
  let assemblyFormat = "$loss `,` $state attr-dict `:` type($loss) `,` type($state)";
  let hasVerifier = 1;
}

#endif // ATTNC_DIALECTS_ATTN_ATTNRECURRENCEOPS_TD

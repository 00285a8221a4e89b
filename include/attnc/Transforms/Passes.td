// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes that stay within a level.
#ifndef ATTNC_TRANSFORMS_PASSES_TD
#define ATTNC_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def AttnPlan : Pass<"attn-plan", "::mlir::ModuleOp"> {
  let summary = "choose tiles and schedule parameters for each variant";
  let description = [{
    Attaches an `attnc.plan` dictionary to each `attn.variant`. A variant that already has one keeps it,
    so that a hand-edited plan survives.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"host\"", "host, or an architecture such as sm_80">,
    Option<"dtype", "dtype", "std::string", "\"f16\"", "element type of Q, K, V: f32, f16, bf16">,
    Option<"headDim", "head-dim", "int64_t", "64", "size of index space d">,
    Option<"vHeadDim", "v-head-dim", "int64_t", "0", "size of index space e; 0 = head-dim">,
    Option<"vectorBytes", "vector-bytes", "int32_t", "16", "alignment of every row in bytes">,
    Option<"tileQ", "tile-q", "int64_t", "0", "rows of a query tile; 0 = choose">,
    Option<"tileKV", "tile-kv", "int64_t", "0", "keys of a key tile; 0 = choose">,
    Option<"stages", "stages", "int32_t", "0", "key tiles in shared memory at once; 0 = choose">,
    Option<"numWarps", "num-warps", "int32_t", "0", "warps of a thread block; 0 = choose">];
}

#endif // ATTNC_TRANSFORMS_PASSES_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The schedule of a kernel: what the planner decided, or a person who edited it between phases.
#ifndef ATTNC_DIALECTS_TILE_TILESCHEDULEATTR_TD
#define ATTNC_DIALECTS_TILE_TILESCHEDULEATTR_TD

include "dialects/Tile/TileAttrs.td"

def Tile_ScheduleAttr : Tile_Attr<"Schedule", "schedule"> {
  let summary = "tiles and pipeline of an attention kernel";
  let description = [{
    `#tile.schedule<target = "sm_80", tile_q = 64, tile_kv = 64, stages = 2, warps = 4, vector_bytes = 16, precision = f32>`

    The attribute `tile.schedule` of a variant that is planned, and of the kernel made from it. It says how a kernel
    computes, never what: dtype, dims and constants of a variant are in its types and ops.

    - `target`: `host`, or an architecture such as `sm_80`.
    - `tile_q`, `tile_kv`: rows of a query tile, keys of a key tile.
    - `stages`: key tiles in shared memory at once. `warps`: of a thread block. Both mean nothing on the host.
    - `vector_bytes`: what every row of Q, K, V and out is aligned to.
    - `precision`: of products of f32 operands.

    Constraints:
    - C1: tiles have 1 to 4096 rows: they are straight-line code, and larger ones take minutes to compile.
    - C2: `vector_bytes` is a power of two from 2 to 16.
    - C3: on a GPU, 1 to 32 warps.
    - C4: on a GPU, 2 to 16 stages.
    - C5: on a GPU, query rows are a power of two and a multiple of 16 for each warp, keys a multiple of 16.

    That the tiles fit into the target's shared memory depends on the variant; convert-attn-to-tile checks it.
  }];
  let genVerifyDecl = 1;
  let parameters = (ins StringRefParameter<"host, or an architecture">:$target, "int64_t":$tile_q,
                        "int64_t":$tile_kv, "int64_t":$stages, "int64_t":$warps,
                        "int64_t":$vector_bytes, EnumParameter<Tile_PrecisionAttr>:$precision);
  let assemblyFormat = "`<` struct(params) `>`";
  let extraClassDeclaration = [{
    /// Name of the attribute of a variant or kernel that holds its schedule.
    static constexpr ::llvm::StringLiteral attrName = "tile.schedule";
    /// What the verifier says about such a schedule; empty if it is fine.
    static std::string problemOf(::llvm::StringRef target, int64_t tileQ, int64_t tileKV,
                                 int64_t stages, int64_t warps, int64_t vectorBytes);
  }];
}

#endif // ATTNC_DIALECTS_TILE_TILESCHEDULEATTR_TD

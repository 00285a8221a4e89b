// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Passes from tile to tile; part of Passes.td.
#ifndef ATTNC_TRANSFORMS_TILEPASSES_TD
#define ATTNC_TRANSFORMS_TILEPASSES_TD

include "mlir/Pass/PassBase.td"

def TileChooseProducts : Pass<"tile-choose-products", "::attnc::tile::KernelOp"> {
  let summary = "choose the matrix instruction of each product";
  let description = [{
    On a target with `wgmma`, products of 64 rows for each four warps of the kernel, of 16-bit operands and without a mask,
    are marked `warpgroup`. All products that read a tile from shared memory take it by the same instruction, since it
    decides how the tile lies there. Without a schedule, or on another target, nothing is marked.
  }];
  let statistics = [Statistic<"numWarpgroup", "warpgroup-products", "Products that warpgroups compute">];
}

def TileDelayProducts : Pass<"tile-delay-products", "::attnc::tile::KernelOp"> {
  let summary = "choose the products that are computed an iteration later";
  let description = [{
    The last product of warpgroups in a loop is marked `delayed` if its result is only carried to the next iteration, where nothing
    needs it before that iteration's first product: there, both can run while the program computes. Its operands
    are a tile that is converted for it and one that is loaded for it; so it is in all loops of the chain. tile-pipeline-loads then
    keeps what it reads for another iteration, and tile-overlap-products moves it.
  }];
  let statistics = [Statistic<"numDelayed", "delayed-products", "Products that are computed an iteration later">];
}

def TileOverlapProducts : Pass<"tile-overlap-products", "::attnc::tile::KernelOp"> {
  let summary = "let products of warpgroups run while a program computes";
  let description = [{
    Delayed products move to the next iteration, and every product of warpgroups becomes a start and, before the first op that needs
    its result or needs all threads of the block, a wait:

    ```
    for kv: s = q k[kv]; p = softmax(s); o = o' + p v[kv]
    ```
    becomes
    ```
    for kv: s = start q k[kv]; o = start o' + p w; wait s; p = softmax(s); wait o; w = v[kv]
    o = o' + p w
    ```
  }];
  let dependentDialects = ["::attnc::tile::TileDialect", "::mlir::arith::ArithDialect"];
}

def TileSpecializeWarps : Pass<"tile-specialize-warps", "::attnc::tile::KernelOp"> {
  let summary = "give copies to warps of their own";
  let description = [{
    On a target with `wgmma`, a kernel of two warpgroups whose loops copy what they multiply gets four more warps, which make
    the copies that follow from scalars alone; the others compute. A buffer that is filled so becomes a ring:

    ```
    for kv: wait k; copy K[kv + T]; s = q k; ...
    ```
    becomes
    ```
    producers: for kv: fill K[kv + T]; signal K
    consumers: for kv: wait k; s = q k; release k; ...
    ```
    Other copies, as those of what a program computes only where its tiles say so, stay where they are. A kernel that has
    none of such copies, or that reads them in a way that roles cannot follow, is left as it is.
  }];
  let dependentDialects = ["::attnc::tile::TileDialect", "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"];
  let statistics = [Statistic<"numSpecialized", "specialized-kernels", "Kernels whose warps have roles">];
}

def TileTakeTurns : Pass<"tile-take-turns", "::attnc::tile::KernelOp"> {
  let summary = "let warpgroups start their products one after the other";
  let description = [{
    Where two warpgroups or more compute, the products that an iteration of a loop over filled stages starts before it waits for one
    become a turn, between `tile.begin_turn` and `tile.end_turn`: while one warpgroup multiplies, another one computes. Loops with
    products of more than 128 columns have none.
  }];
  let dependentDialects = ["::attnc::tile::TileDialect"];
  let statistics = [Statistic<"numTurns", "turns", "Loops whose warpgroups take turns">];
}

def TileMapTensors : Pass<"tile-map-tensors", "::mlir::ModuleOp"> {
  let summary = "let the copy engine fill rings";
  let description = [{
    A kernel gets a map as another argument for each tensor that a ring is filled from and each size of its stages' panels, and
    `tile.ring_fill` goes through it; launches pass the tensor once more. Tensors of workspace, those that may be another argument's
    memory, stages whose panels are not whole and rows that are not aligned to 16 bytes have none.
  }];
  let dependentDialects = ["::attnc::tile::TileDialect"];
  let statistics = [Statistic<"numMapped", "mapped-fills", "Fills that go through a map">];
}

def TileShareOperands : Pass<"tile-share-operands", "::attnc::tile::KernelOp"> {
  let summary = "bring the right operands of products into shared memory";
  let description = [{
    A right operand that is computed is written into a buffer by `tile.share` and read from there. A tile
    that is loaded both for a product and for other ops is loaded for each, unless the product takes it from
    registers anyway.
  }];
  let dependentDialects = ["::attnc::tile::TileDialect"];
}

def TilePipelineLoads : Pass<"tile-pipeline-loads", "::attnc::tile::KernelOp"> {
  let summary = "turn tile loads into asynchronous copies through shared memory";
  let description = [{
    Every `tile.load` that a product reads becomes a copy into a shared buffer; others stay. Loads of a chain of key loops (loops where one
    starts at the other's end: leading PARTIAL tiles, FULL tiles, trailing PARTIAL tiles) share buffers of
    `stages` tiles and are issued `stages - 1` tiles ahead, across the loops of the chain, so that the
    pipeline does not drain between FULL and PARTIAL tiles:

    ```
    tok0 = copy(tile 0)
    for tile: slots = wait tok; tok = copy(tile + 1); compute on slots
    ```

    Copies beyond the chain's end are limited to zero rows: they access nothing. One barrier for each
    tile, at the wait, both publishes the arrived tile and protects the stage that is overwritten next.
    Offsets of the buffers in shared memory are assigned, and `tile.shared_bytes` set, at the end.
  }];
  let statistics = [Statistic<"numPipelined", "pipelined-loads", "Loads issued ahead of their use">];
  let dependentDialects = ["::attnc::tile::TileDialect", "::mlir::arith::ArithDialect",
                           "::mlir::scf::SCFDialect"];
}

def TileAssignLayouts : Pass<"tile-assign-layouts", "::attnc::tile::KernelOp"> {
  let summary = "give each tile in registers a linear layout";
  let description = [{
    The standard layout of a shape is the mma.m16n8 fragment with the kernel's warps stacked along the rows,
    so that a warp owns whole rows: row reductions stay inside groups of four lanes, and the probabilities
    that leave the first product are in place for the second. Row values get its row slice. Shapes that no
    fragment fits are spread over the threads. Right operands of products stay in shared memory and get no
    layout.

    Where an op needs an operand, or leaves a result, in another layout, `tile.convert_layout` is put
    between. What needs shared memory of its own gets a place behind the buffers (`scratch`).
  }];
  let dependentDialects = ["::attnc::tile::TileDialect"];
}

def TileNameValues : Pass<"tile-name-values", "::attnc::tile::KernelOp"> {
  let summary = "name arguments, loads, products and loops after the spec";
  let description = [{
    Gives locations with names (`NameLoc`), which `attnc compile` prints as names of values: `%Q` for a tensor, `%size_kv` for a size, `%window` for a parameter,
    `%K_tile` for a load, `%times_K` for a product with one, `%out_tile` for what is stored, `%block_q` for a program index, and the space that a loop
    walks along (`%kv`) for its variable. Changes no code.
  }];
}

// Contract passes: each closes the phase in its name (docs/Architecture.md, "Phases"), changes nothing, and fails at the
// first op that should not be there. They run under `--verify` and where ATTNC_VERIFY is set, as in all tests.

def TileVerifyTiled : Pass<"tile-verify-tiled", "::mlir::ModuleOp"> {
  let summary = "check what may not remain at the end of phase `tile`";
  let description = [{
    - T1: no op of `attn`.
    - T2: in kernels, ops of `tile`, `arith` and `math`, and `scf.for`, `scf.if` and `scf.while`.
    - T3: memory is read by `tile.load`; buffers, copies and waits come with the schedule.
    - T4: no tile has a layout.
  }];
}

def TileVerifyScheduled : Pass<"tile-verify-scheduled", "::mlir::ModuleOp"> {
  let summary = "check what may not remain at the end of phase `scheduled`";
  let description = [{
    - S1: right operands of products are read from shared memory.
    - S2: each tile in registers has a layout: all but right operands of products, which stay in shared memory.
    - S3: each layout is for the number of warps of its kernel.
    - S4: each buffer has an offset, and the kernel `tile.shared_bytes`.
  }];
}

#endif // ATTNC_TRANSFORMS_TILEPASSES_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tile dialect and the base class of its ops.
#ifndef ATTNC_DIALECTS_TILE_TILEDIALECT_TD
#define ATTNC_DIALECTS_TILE_TILEDIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let cppNamespace = "::attnc::tile";
  let summary = "how one thread block, or one core, computes a stage";
  let description = [{
    **Question answered:** which tiles does one program of the grid load, combine and store, in which
    order? **Level above:** `attn`. **Level below:** NVVM/LLVM on a GPU, vector/LLVM on the host.

    A kernel is a program for one point of a grid. Its values are *tiles*: matrices and vectors of static
    shape with value semantics. Loops are `scf.for` over scalars with tiles carried as loop arguments;
    scalar arithmetic is `arith` and `math`. A `tile.program` says which kernels run, in which order, on
    what (docs/Programs.md).

    The dialect is used at two phases. **tiled**: tiles have no layout, memory is only views; this form
    is shared by the host and the GPU. **scheduled** (GPU only): every tile has a `#tile.linear` layout,
    and copies into shared memory are asynchronous ops that yield tokens.

    **Coordinates are values**: a `tile.map` region receives the row and the column of its element, so
    masks, biases and positions are arithmetic, in whatever layout the tile has.

    **Asynchrony is in the types**: `tile.async_copy` yields a `!tile.token`; only `tile.wait` turns a
    token into a readable `!tile.slot`. A use before its wait cannot be written.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect"];
  let extraClassDeclaration = [{
    void registerTypes();
    void registerAttributes();
  }];
}

/// Base of every op. `examples` holds whole modules; tools/dev/run-examples extracts and runs them.
class Tile_Op<string mnemonic, list<Trait> traits = []> : Op<Tile_Dialect, mnemonic, traits> {
  list<string> examples = [];
}

#endif // ATTNC_DIALECTS_TILE_TILEDIALECT_TD

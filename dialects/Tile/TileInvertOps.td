// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inverses of triangular matrices.
#ifndef ATTNC_DIALECTS_TILE_TILEINVERTOPS_TD
#define ATTNC_DIALECTS_TILE_TILEINVERTOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileAttrs.td"
include "dialects/Tile/TileTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Tile_InvertOp : Tile_Op<"invert", [Pure]> {
  let summary = "inverts a unit lower triangular matrix";
  let description = [{
    `(1 - N)^-1` with the part of N below the diagonal: 1 on the diagonal, 0 above. By substitution in f32, row by row: the error is that of
    solving the systems one by one.

    - `rounded`: who reads the result rounds it to 18 bits or fewer. On a GPU, blocks of 16 below the diagonal are then products on the
      matrix units, with operands of 22 bits.
    - `scratch`: byte offset of the shared memory that it goes through; tile-assign-layouts sets it.

    Constraints:
    - C1: input and result have one type, a matrix of f32 with as many rows as columns: 16, 32 or 64.
  }];
  let arguments = (ins Tile_TileType:$input, UnitAttr:$rounded, OptionalAttr<I64Attr>:$scratch);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = "$input (`rounded` $rounded^)? (`scratch` $scratch^)? attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %x = tile.load %X[] rows 0 from %zero to %n cols 32 : <2xf32, unit> -> <32x32xf32>
      %y = tile.invert %x : <32x32xf32> -> <32x32xf32>
      tile.return
    }
  }]];
  let extraClassDeclaration = [{
    /// Rows that are taken at a time.
    static constexpr int64_t kBlock = 16;
    static constexpr int64_t kMostRows = 64;
  }];
}

#endif // ATTNC_DIALECTS_TILE_TILEINVERTOPS_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products that run while a program does something else: the scheduled phase, on targets whose matrix
// instructions are asynchronous.
#ifndef ATTNC_DIALECTS_TILE_TILEPRODUCTOPS_TD
#define ATTNC_DIALECTS_TILE_TILEPRODUCTOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileTypes.td"

def Tile_DotStartOp : Tile_Op<"dot_start"> {
  let summary = "starts a product of warpgroups";
  let description = [{
    What `tile.dot {warpgroup}` computes, as a promise. Until it is waited for, the registers of `lhs` and the stage that `rhs` is
    read from are in use. Products end in the order in which they were started.

    Constraints:
    - C1: shapes, elements and layouts are those of `tile.dot` C1 to C3 and C5.
    - C2: the product is of the accumulator's type.
  }];
  let arguments = (ins Tile_TileType:$lhs, Tile_TileType:$rhs, Tile_TileType:$acc, UnitAttr:$transpose_rhs);
  let results = (outs Tile_ProductType:$product);
  let assemblyFormat = [{
    $lhs `,` $rhs (`transposed` $transpose_rhs^)? `,` $acc attr-dict
    `:` type($lhs) `,` type($rhs) `,` type($acc) `->` type($product)
  }];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %zero = arith.constant 0.0 : f32
      %a = tile.fill %zero : f32 -> <64x64xf32>
      %x = tile.cast %a : <64x64xf32> -> <64x64xbf16>
      %product = tile.dot_start %x, %x, %a : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <<64x64xf32>>
      %sum = tile.dot_wait %product pending 0 : !tile.product<<64x64xf32>> -> !tile.tile<64x64xf32>
      tile.return
    }
  }]];
}

def Tile_DotWaitOp : Tile_Op<"dot_wait", [AttrSizedOperandSegments]> {
  let summary = "waits for products of warpgroups";
  let description = [{
    - `pending`: how many products that were started later may still run.
    - `before`: tiles that are computed before the wait. Nothing else keeps a compiler below from moving what depends on no
      product behind it, where the matrix units would be idle.

    Constraints:
    - C1: a result for each product, of its type.
    - C2: `pending` is not negative.
  }];
  let arguments = (ins Variadic<Tile_ProductType>:$products, I32Attr:$pending, Variadic<Tile_TileType>:$before);
  let results = (outs Variadic<Tile_TileType>:$results);
  let assemblyFormat = [{
    $products `pending` $pending (`behind` $before^ `:` type($before))? attr-dict `:` type($products) `->` type($results)
  }];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %zero = arith.constant 0.0 : f32
      %a = tile.fill %zero : f32 -> <64x64xf32>
      %x = tile.cast %a : <64x64xf32> -> <64x64xbf16>
      %first = tile.dot_start %x, %x, %a : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <<64x64xf32>>
      %second = tile.dot_start %x, %x transposed, %a : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <<64x64xf32>>
      %y = tile.dot_wait %first pending 1 : !tile.product<<64x64xf32>> -> !tile.tile<64x64xf32>
      %z = tile.dot_wait %second pending 0 behind %y : !tile.tile<64x64xf32> : !tile.product<<64x64xf32>> -> !tile.tile<64x64xf32>
      tile.return
    }
  }]];
}

#endif // ATTNC_DIALECTS_TILE_TILEPRODUCTOPS_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Combining the elements along an axis beyond what `tile.reduce` does: several tiles at once, and
// prefixes.
#ifndef ATTNC_DIALECTS_TILE_TILEFOLDOPS_TD
#define ATTNC_DIALECTS_TILE_TILEFOLDOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileAttrs.td"
include "dialects/Tile/TileTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Tile_FoldOp : Tile_Op<"fold", [Pure, SingleBlock]> {
  let summary = "reduces several tiles together, by a combiner";
  let description = [{
    The region receives the elements of two positions, all operands of the one and then all of the other, and
    yields what stands for both. The order is not specified: the combiner is associative and commutative, such
    as the larger of two values with its index, or two partial sums of exponentials with their maxima. Axes and
    results are those of `tile.reduce`.

    - `scratch`: as of `tile.reduce`.

    Constraints:
    - C1: at least one operand; all are matrices of one shape.
    - C2: the results are the vectors that are left, one for each operand and of its type.
    - C3: region arguments and what is yielded are the operands' element types, the arguments twice.
    - C4: where layouts are assigned, operands have one layout and results that of its rows, or columns.
    - C5: elements are f32, i32 or i1. The region holds `arith` and `math` ops.
  }];
  let arguments = (ins Variadic<Tile_TileType>:$inputs, Tile_AxisAttr:$axis, OptionalAttr<I64Attr>:$scratch);
  let results = (outs Variadic<Tile_TileType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` `along` $axis (`scratch` $scratch^)? $body attr-dict
    `:` functional-type($inputs, $results)
  }];
  let extraClassDeclaration = [{
    ::mlir::Block *getBlock() { return &getBody().front(); }
    TileType getInputType() { return ::mlir::cast<TileType>(getInputs().front().getType()); }
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %I: !tile.view<1xi32> {tile.binding = "tensor:I"},
                   %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %x = tile.load %X[] rows 0 from %zero to %n cols 32 : <2xf32, unit> -> <64x32xf32>
      %at = tile.map() at(%zero, %zero) {
      ^bb0(%row: i32, %col: i32):
        tile.yield %col : i32
      } : () -> !tile.tile<64x32xi32>
      // The largest element of each row and, among equals, the first column that has it.
      %max, %where = tile.fold(%x, %at) along columns {
      ^bb0(%a: f32, %i: i32, %b: f32, %j: i32):
        %larger = arith.cmpf ogt, %a, %b : f32
        %equal = arith.cmpf oeq, %a, %b : f32
        %before = arith.cmpi slt, %i, %j : i32
        %first = arith.andi %equal, %before : i1
        %left = arith.ori %larger, %first : i1
        %v = arith.select %left, %a, %b : f32
        %k = arith.select %left, %i, %j : i32
        tile.yield %v, %k : f32, i32
      } : (!tile.tile<64x32xf32>, !tile.tile<64x32xi32>) -> (!tile.tile<64xf32>, !tile.tile<64xi32>)
      tile.return
    }
  }]];
}

def Tile_ScalarOp : Tile_ExampleOp<"scalar", [Pure]> {
  let summary = "the element of a tile that has one";
  let description = [{
    What a fold of a single row comes to, as a scalar of the program: it may bound a loop or stand in a map. All threads of a block
    have it.

    Constraints:
    - C1: the tile has one element, of type f32 or i32, which is the type of the result.
  }];
  let arguments = (ins Tile_TileType:$input);
  let results = (outs AnyTypeOf<[F32, I32]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_ScanOp : Tile_Op<"scan", [Pure]> {
  let summary = "combines each element with those before it along an axis";
  let description = [{
    Element k of the result combines the elements 0 to k of the input, or with `exclusive` 0 to k - 1, where
    the first is what changes nothing (0, 1, -inf, inf, or the least and the largest i32). With `reverse` the
    elements are taken from the end. With `every N` each N elements along the axis are combined among themselves.
    What came before the tile is combined by a map. Sums and products are
    taken in the order of the elements. `max` and `min` as of `tile.reduce`.

    Constraints:
    - C1: input and result have one type, a matrix of f32 or i32.
    - C2: where layouts are assigned, a thread holds all elements along the axis, or all of each N.
    - C3: N is positive and divides the elements along the axis.
  }];
  let arguments = (ins Tile_ReduceKindAttr:$kind, Tile_TileType:$input, Tile_AxisAttr:$axis, OptionalAttr<I64Attr>:$every,
                       UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = [{
    $kind $input `along` $axis (`every` $every^)? (`exclusive` $exclusive^)? (`reverse` $reverse^)? attr-dict
    `:` type($input) `->` type($result)
  }];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %I: !tile.view<1xi32> {tile.binding = "tensor:I"},
                   %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %x = tile.load %X[] rows 0 from %zero to %n cols 32 : <2xf32, unit> -> <64x32xf32>
      %sums = tile.scan sum %x along rows exclusive : <64x32xf32> -> <64x32xf32>
      %later = tile.scan max %x along columns reverse : <64x32xf32> -> <64x32xf32>
      %parts = tile.scan product %x along rows every 16 : <64x32xf32> -> <64x32xf32>
      tile.return
    }
  }]];
  let extraClassDeclaration = [{
    /// The elements along the axis.
    int64_t getLength() { return getAxis() == Axis::Rows ? getInput().getType().getRows() : getInput().getType().getCols(); }
    /// How many of them are combined among themselves.
    int64_t getPart() { return getEvery().value_or(getLength()); }
  }];
}

#endif // ATTNC_DIALECTS_TILE_TILEFOLDOPS_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Ops that move elements: other axes, other rows, other threads.
#ifndef ATTNC_DIALECTS_TILE_TILEMOVEOPS_TD
#define ATTNC_DIALECTS_TILE_TILEMOVEOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileAttrs.td"
include "dialects/Tile/TileTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Tile_TransposeOp : Tile_Op<"transpose", [Pure]> {
  let summary = "exchanges rows and columns";
  let description = [{
    A value for each row (rank 1) becomes a matrix of one row, and the other way round.

    Constraints:
    - C1: the result has the input's element type and its shape the other way round; of a tile of rank 1 it is
      a matrix of one row, of such a matrix a tile of rank 1 or a matrix of one column.
    - C2: where layouts are assigned, the result's is the input's the other way round: each thread keeps its
      elements.
  }];
  let arguments = (ins Tile_TileType:$input);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %I: !tile.view<1xi32> {tile.binding = "tensor:I"},
                   %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %x = tile.load %X[] rows 0 from %zero to %n cols 32 : <2xf32, unit> -> <64x32xf32>
      %t = tile.transpose %x : <64x32xf32> -> <32x64xf32>
      %m = tile.reduce max %x : <64x32xf32> -> <64xf32>
      %r = tile.transpose %m : <64xf32> -> <1x64xf32>
      tile.return
    }
  }]];
}

def Tile_GatherOp : Tile_Op<"gather", [MemoryEffects<[MemRead]>]> {
  let summary = "loads rows of a view by their numbers";
  let description = [{
    Element (i, j) of the result is `view[indices..., rows[i], j]`, and 0 where `rows[i]` is negative or not
    below `limit`, or `j >= valid_cols`. Such elements are not accessed. The rest is as of `tile.load`.

    Constraints:
    - C1: the view has a unit last stride and the result's element type.
    - C2: rank(view) - 2 indices, and a `row_dim` that is none of the columns.
    - C3: `valid_cols` is at most the number of columns.
    - C4: `rows` are i32, one for each row of the result, which is a matrix.
    - C5: where layouts are assigned, `rows` have that of the result's rows.
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<I32>:$indices, Tile_TileType:$rows, I32:$limit,
                       I64Attr:$row_dim, I64Attr:$valid_cols);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = [{
    $view `[` $indices `]` `rows` $row_dim `at` $rows `to` $limit `cols` $valid_cols attr-dict
    `:` type($view) `,` type($rows) `->` type($result)
  }];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %I: !tile.view<1xi32> {tile.binding = "tensor:I"},
                   %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      // The rows that a list names.
      %at = tile.map() at(%zero, %zero) {
      ^bb0(%row: i32):
        %i = tile.element %I[%row] : <1xi32> -> i32
        tile.yield %i : i32
      } : () -> !tile.tile<64xi32>
      %x = tile.gather %X[] rows 0 at %at to %n cols 32 : <2xf32, unit>, <64xi32> -> <64x32xf32>
      tile.return
    }
  }]];
}

def Tile_ConvertLayoutOp : Tile_Op<"convert_layout", [Pure]> {
  let summary = "gives the elements of a tile to other threads";
  let description = [{
    Where two layouts meet, tile-assign-layouts puts this between them. Elements go through shared memory; all
    threads of the block take part.

    - `scratch`: byte offset of that memory; tile-assign-layouts sets it.

    Constraints:
    - C1: both tiles have the same shape and element type.
    - C2: both have a layout.
  }];
  let arguments = (ins Tile_TileType:$input, OptionalAttr<I64Attr>:$scratch);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = "$input (`scratch` $scratch^)? attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %I: !tile.view<1xi32> {tile.binding = "tensor:I"},
                   %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0.0 : f32
      %x = tile.fill %zero : f32 -> <4x32xf32, #tile.linear<register = [], lane = [0, 1, 0, 2, 0, 4, 0, 8, 0, 16], warp = [1, 0, 2, 0]>>
      %y = tile.convert_layout %x scratch 0
        : <4x32xf32, #tile.linear<register = [], lane = [0, 1, 0, 2, 0, 4, 0, 8, 0, 16], warp = [1, 0, 2, 0]>>
          -> <4x32xf32, #tile.linear<register = [], lane = [1, 0, 2, 0, 0, 1, 0, 2, 0, 4], warp = [0, 8, 0, 16]>>
      tile.return
    }
  }]];
}

def Tile_ShareOp : Tile_Op<"share", [MemoryEffects<[MemRead, MemWrite]>]> {
  let summary = "writes a tile from registers into a stage of a buffer";
  let description = [{
    What was computed becomes an operand that a product reads from shared memory. All threads of the block take
    part, and wait for each other before and after.

    Constraints:
    - C1: the tile has the shape and the element type of the buffer's stage; the slot is of the buffer.
  }];
  let arguments = (ins Tile_TileType:$value, Tile_BufferType:$buffer);
  let results = (outs Tile_SlotType:$slot);
  let assemblyFormat = "$value `into` $buffer attr-dict `:` type($value) `,` type($buffer) `->` type($slot)";
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %I: !tile.view<1xi32> {tile.binding = "tensor:I"},
                   %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0.0 : f32
      %x = tile.fill %zero : f32 -> <64x16xf32>
      %buffer = tile.alloc at 0 : <1x64x16xf32, #tile.shared<pitch = 80, shift = 0, mask = 0>>
      %slot = tile.share %x into %buffer : <64x16xf32>, <1x64x16xf32, #tile.shared<pitch = 80, shift = 0, mask = 0>>
          -> <<1x64x16xf32, #tile.shared<pitch = 80, shift = 0, mask = 0>>>
      tile.return
    }
  }]];
}

def Tile_LoadBlockOp : Tile_Op<"load_block", [MemoryEffects<[MemRead]>]> {
  let summary = "loads a block of rows and columns of a view where a product needs it";
  let description = [{
    Element (i, j) of the result is `view[indices..., row + i, col + j]`, with the rows along dimension `row_dim` and the columns along the
    last one, and 0 where `row + i >= row_limit`. Such elements are not accessed. The tensor may be written by the kernel before.

    On a GPU only, whose schedule copies it into shared memory (`tile-share-operands`): where it stands, not ahead of it as `tile.load` is.
    The host's products read elements where they are.

    Constraints:
    - C1: the view has a unit last stride and the result's element type, of 16 bits.
    - C2: rank(view) - 2 indices, and a `row_dim` that is none of the columns.
    - C3: the result is a matrix of a multiple of 16 columns.
    - C4: it is used by products, or turned (`tile.transpose`) by their left sides.
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<I32>:$indices, I32:$row, I32:$row_limit, I32:$col, I64Attr:$row_dim);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = [{
    $view `[` $indices `]` `rows` $row_dim `from` $row `to` $row_limit `cols` `from` $col attr-dict `:` type($view) `->` type($result)
  }];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%K: !tile.view<3xbf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %c64 = arith.constant 64 : i32
      %none = arith.constant 0.0 : f32
      %acc = tile.fill %none : f32 -> <64x64xf32>
      %k = tile.load_block %K[%zero] rows 1 from %zero to %n cols from %c64 : <3xbf16, unit> -> <64x64xbf16>
      %s = tile.dot %k, %k transposed, %acc : <64x64xbf16>, <64x64xbf16>, <64x64xf32> -> <64x64xf32>
      tile.return
    }
  }]];
}

def Tile_StoreBlockOp : Tile_Op<"store_block", [MemoryEffects<[MemWrite]>]> {
  let summary = "stores a matrix along any two dimensions of a view";
  let description = [{
    Element (i, j) of the tile becomes `view[..., row + i, ..., col + j, ...]`, with the rows along dimension `row_dim`,
    the columns along `col_dim`, in either order, and the other dimensions at `indices`. Rows at or beyond `row_limit` and columns at or
    beyond `col_limit` are not written. Any strides will do; where columns are contiguous in memory, they are written together.
    The element is rounded to the view's element type as by `tile.store`.

    Constraints:
    - C1: the tile is a matrix, and the view has two dimensions more than there are indices.
    - C2: `row_dim` and `col_dim` are two different dimensions of the view.
    - C3: reals are stored as reals (f16, bf16, f32), i32 as i32 and i1 as i1 (a byte).
  }];
  let arguments = (ins Tile_TileType:$value, Tile_ViewType:$view, Variadic<I32>:$indices, I32:$row, I32:$row_limit,
                       I32:$col, I32:$col_limit, I64Attr:$row_dim, I64Attr:$col_dim);
  let assemblyFormat = [{
    $value `,` $view `[` $indices `]` `rows` $row_dim `from` $row `to` $row_limit
    `cols` $col_dim `from` $col `to` $col_limit attr-dict `:` type($value) `,` type($view)
  }];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%x: !tile.view<3xf32> {tile.binding = "tensor:x"}, %m: i32 {tile.binding = "size:m"}, %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %none = arith.constant 0.0 : f32
      %tile = tile.fill %none : f32 -> <64x32xf32>
      tile.store_block %tile, %x[%zero] rows 2 from %zero to %n cols 0 from %zero to %m : <64x32xf32>, <3xf32>
      tile.return
    }
  }]];
}

def Tile_LocalOp : Tile_Op<"local", [Pure]> {
  let summary = "a tensor that only one program has";
  let description = [{
    Dense and row-major, of `sizes` elements, in the memory that the executor gives each running program, from byte `offset` on. Its
    contents are arbitrary until the program stores to it. Indices along each dimension start at `from`, so that a part of a tensor
    is found at the indices that it has in the whole one. In a loop it is the same memory each time. Two tensors whose bytes overlap must not be in use at once.

    On the host only: a thread has its memory in its cache from one program to the next. Blocks of a GPU would need memory for each that may
    run at once; tensors that do not fit into shared memory are `tile.workspace` there.

    Constraints:
    - C1: a size of at least 1, and a number `from`, for each dimension; a unit last stride.
    - C2: `offset` is a multiple of 64 and not negative.
    - C3: it is in the body of a kernel, or of a loop in it.
  }];
  let arguments = (ins DenseI64ArrayAttr:$sizes, Variadic<I32>:$first, I64Attr:$offset);
  let results = (outs Tile_ViewType:$result);
  let assemblyFormat = "$sizes `from` `[` $first `]` `at` $offset attr-dict `:` type($result)";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The first byte behind the tensor.
    int64_t getEnd();
  }];
  let examples = [[{
    tile.kernel @k(%X: !tile.view<2xf32, unit> {tile.binding = "tensor:X"}, %n: i32 {tile.binding = "size:n"}) attributes {
        grid_spaces = ["n", "n", "n"], grid_tiles = array<i64: 64, 64, 64>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %own = tile.local [64, 32] from [%zero, %zero] at 0 : <2xf32, unit>
      tile.return
    }
  }]];
}

#endif // ATTNC_DIALECTS_TILE_TILEMOVEOPS_TD

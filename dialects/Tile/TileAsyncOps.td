// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Shared memory and asynchronous copies: the scheduled phase.
#ifndef ATTNC_DIALECTS_TILE_TILEASYNCOPS_TD
#define ATTNC_DIALECTS_TILE_TILEASYNCOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Tile_AllocOp : Tile_Op<"alloc"> {
  let summary = "reserves shared memory for the stages of a buffer";
  let description = [{
    - `offset`: byte offset in the block's dynamic shared memory, set when the schedule is final.

    Constraints:
    - C1: the offset is a multiple of 16, and not negative.
  }];
  let arguments = (ins OptionalAttr<I64Attr>:$offset);
  let results = (outs Tile_BufferType:$buffer);
  let assemblyFormat = "(`at` $offset^)? attr-dict `:` type($buffer)";
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %0 = tile.alloc at 1024 : <2x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      tile.return
    }
  }]];
}

def Tile_AsyncCopyOp : Tile_Op<"async_copy", [AttrSizedOperandSegments]> {
  let summary = "starts copying a block of rows of a view into a stage of a buffer";
  let description = [{
    Operands mean what they mean in `tile.load`; elements outside the limits arrive as 0 and are not
    accessed. The copy belongs to the group that the next `tile.commit` closes.

    - `col`: the first column, 0 if it is not given; a multiple of the widest copy, of which `valid_cols` are there.
    - `stage`: which stage of the buffer, 0 <= stage < stages.
    - `vector_bytes`: alignment, in bytes, of each row of the view, and so the widest copy: 16, 8, 4, or
      2 (then the copy is not asynchronous, but keeps its place in the order).

    Constraints:
    - C1: the view has a unit last stride and the buffer's element type.
    - C2: rank(view) - 2 indices, and a `row_dim` that is none of the columns.
    - C3: `valid_cols` is at most the number of columns of the buffer.
    - C4: `vector_bytes` is 2, 4, 8 or 16, and no less than an element.
    - C5: the token is of this buffer.
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<I32>:$indices, I32:$row, I32:$limit, Optional<I32>:$col,
                       I64Attr:$row_dim, I64Attr:$valid_cols, I32Attr:$vector_bytes,
                       Tile_BufferType:$buffer, I32:$stage);
  let results = (outs Tile_TokenType:$token);
  let assemblyFormat = [{
    $view `[` $indices `]` `rows` $row_dim `from` $row `to` $limit `cols` $valid_cols (`from` $col^)?
    `into` $buffer `[` $stage `]` `by` $vector_bytes attr-dict
    `:` type($view) `,` type($buffer) `->` type($token)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$token, "::mlir::Value":$view, "::mlir::ValueRange":$indices, "::mlir::Value":$row,
                   "::mlir::Value":$limit, "int64_t":$row_dim, "int64_t":$valid_cols, "int32_t":$vector_bytes,
                   "::mlir::Value":$buffer, "::mlir::Value":$stage), [{
      build($_builder, $_state, token, view, indices, row, limit, /*col=*/::mlir::Value(), row_dim, valid_cols, vector_bytes,
            buffer, stage);
    }]>
  ];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %buffer = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      %token = tile.async_copy %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %buffer[%zero] by 16
        : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
          -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      tile.commit
      %slot = tile.wait %token pending 0 barrier
        : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
          -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      %tile = tile.read %slot : <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> <64x64xf16>
      tile.barrier
      tile.return
    }
  }]];
}

def Tile_CommitOp : Tile_Op<"commit"> {
  let summary = "closes a group of asynchronous copies";
  let assemblyFormat = "attr-dict";
  let examples = [[{
    tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      tile.commit
      tile.return
    }
  }]];
}

def Tile_WaitOp : Tile_Op<"wait"> {
  let summary = "waits until a copy has arrived for the whole thread block";
  let description = [{
    - `pending`: how many younger groups may still be in flight. Includes the thread block barrier that
      makes other threads' copies visible when `barrier` is set; a pass merges neighbouring barriers.

    Constraints:
    - C1: one slot for each token, of the same buffer.
    - C2: `pending` is not negative.
  }];
  let arguments = (ins Variadic<Tile_TokenType>:$tokens, I32Attr:$pending, UnitAttr:$barrier);
  let results = (outs Variadic<Tile_SlotType>:$slots);
  let assemblyFormat = [{
    $tokens `pending` $pending (`barrier` $barrier^)? attr-dict `:` type($tokens) `->` type($slots)
  }];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %buffer = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      %token = tile.async_copy %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %buffer[%zero] by 16
        : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
          -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      tile.commit
      %slot = tile.wait %token pending 0 barrier
        : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
          -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      %tile = tile.read %slot : <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> <64x64xf16>
      tile.barrier
      tile.return
    }
  }]];
}

def Tile_ReadOp : Tile_Op<"read", [MemoryEffects<[MemRead]>]> {
  let summary = "reads a tile from a stage that has arrived";
  let description = [{
    `transposed`: the tile is what the stage holds the other way round. Left operands of products of 16-bit elements are read so.

    Constraints:
    - C1: the tile has the shape, turned if it is transposed, and the element type of the buffer's stage.
    - C2: what is transposed has elements of 16 bits and is a left operand of products.
  }];
  let arguments = (ins Tile_SlotType:$slot, UnitAttr:$transposed);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = "$slot (`transposed` $transposed^)? attr-dict `:` type($slot) `->` type($result)";
  let builders = [
    OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$slot), [{
      build($_builder, $_state, result, slot, /*transposed=*/::mlir::UnitAttr());
    }]>
  ];
  let hasVerifier = 1;
  let examples = [[{
    tile.kernel @k(%K: !tile.view<4xf16, unit> {tile.binding = "tensor:K"}, %n: i32 {tile.binding = "size:kv"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %zero = arith.constant 0 : i32
      %buffer = tile.alloc : <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
      %token = tile.async_copy %K[%zero, %zero] rows 2 from %zero to %n cols 64 into %buffer[%zero] by 16
        : <4xf16, unit>, <1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>
          -> <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      tile.commit
      %slot = tile.wait %token pending 0 barrier
        : !tile.token<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
          -> !tile.slot<<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>>
      %tile = tile.read %slot : <<1x64x64xf16, #tile.shared<pitch = 128, shift = 0, mask = 7>>> -> <64x64xf16>
      tile.barrier
      tile.return
    }
  }]];
}

def Tile_BarrierOp : Tile_Op<"barrier"> {
  let summary = "all threads of the block wait for each other";
  let assemblyFormat = "attr-dict";
  let examples = [[{
    tile.kernel @k(%q: i32 {tile.binding = "size:q"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      tile.barrier
      tile.return
    }
  }]];
}

#endif // ATTNC_DIALECTS_TILE_TILEASYNCOPS_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels and operations on tile values: what both the host and the GPU understand.
#ifndef ATTNC_DIALECTS_TILE_TILEOPS_TD
#define ATTNC_DIALECTS_TILE_TILEOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileAttrs.td"
include "dialects/Tile/TileTypes.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

/// Uses every op of this file.
class Tile_ExampleOp<string mnemonic, list<Trait> traits = []> : Tile_Op<mnemonic, traits> {
  let examples = [[{
    tile.kernel @k(%Q: !tile.view<4xf16, unit> {tile.binding = "tensor:Q"}, %lse: !tile.view<3xf32> {tile.binding = "tensor:lse"},
                   %n: i32 {tile.binding = "size:q"}) attributes {
        grid_spaces = ["q", "h", "b"], grid_tiles = array<i64: 64, 1, 1>, num_warps = 4 : i32} {
      %b = tile.program_id 2
      %h = tile.program_id 1
      %zero = arith.constant 0 : i32
      %none = arith.constant 0.0 : f32
      %q = tile.load %Q[%b, %h] rows 2 from %zero to %n cols 40 : <4xf16, unit> -> <64x48xf16>
      %start = tile.fill %none : f32 -> <64x64xf32>
      %s = tile.dot %q, %q transposed, %start : <64x48xf16>, <64x48xf16>, <64x64xf32> -> <64x64xf32>
      %bias = tile.element %lse[%b, %h, %zero] : <3xf32> -> f32
      %x = tile.map(%s) at(%zero, %zero) {
      ^bb0(%e: f32, %row: i32, %col: i32):
        %later = arith.cmpi sgt, %col, %row : i32
        %y = arith.select %later, %bias, %e : f32
        tile.yield %y : f32
      } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xf32>
      %m = tile.reduce max %x : <64x64xf32> -> <64xf32>
      tile.store %m, %lse[%b, %h] rows 2 from %zero to %n cols 1 : <64xf32>, <3xf32>
      %p = tile.cast %x : <64x64xf32> -> <64x64xf16>
      %hidden = tile.map(%m) at(%zero, %zero) {
      ^bb0(%e: f32, %row: i32):
        %is = arith.cmpf olt, %e, %none : f32
        %flag = arith.extui %is : i1 to i32
        tile.yield %flag : i32
      } : (!tile.tile<64xf32>) -> !tile.tile<64xi32>
      %some = tile.any %hidden : <64xi32>
      %seen = tile.map(%x) at(%zero, %zero) {
      ^bb0(%e: f32, %row: i32, %col: i32):
        %is = arith.cmpf oge, %e, %none : f32
        %flag = arith.extui %is : i1 to i32
        tile.yield %flag : i32
      } : (!tile.tile<64x64xf32>) -> !tile.tile<64x64xi32>
      %v = tile.load %Q[%b, %h] rows 2 from %zero to %n cols 40 : <4xf16, unit> -> <64x48xf16>
      %o = tile.fill %none : f32 -> <64x48xf32>
      %sum = tile.dot %p, %v, %o where %seen
          : <64x64xf16>, <64x48xf16>, <64x48xf32>, !tile.tile<64x64xi32> -> <64x48xf32>
      tile.return
    }
  }]];
}

def Tile_Scalar : AnyTypeOf<[I1, I32, F32], "scalar (i1, i32 or f32)">;

def Tile_KernelOp : Tile_ExampleOp<"kernel", [FunctionOpInterface, IsolatedFromAbove, AffineScope]> {
  let summary = "a program that runs at every point of a grid";
  let description = [{
    Arguments are views, maps of views and scalars (i32, f32). Each has the argument attribute `tile.binding`, a string
    that says what the runtime passes: `tensor:NAME`, `map:NAME` (a map of that tensor), `size:SPACE` (i32), `param:NAME`. Views that may be the
    same memory as another argument have `tile.may_alias` (unit); no other two views are. A view with `tile.dense` (unit) is
    of the sizes that its `tile.axes` say, one row after another without gaps.

    - `grid_spaces`, `grid_tiles`: dimension i of the grid has ceil(size(grid_spaces[i]) / grid_tiles[i])
      points; `tile.program_id i` is the point's index. Three dimensions. A `tile.launch` says them itself, so that only a kernel
      without a program needs them.
    - `num_warps`: warps of a thread block on a GPU that tiles are laid out for; ignored on the host.

    Constraints:
    - C1: three grid dimensions, of at least 1 point to a tile, or none.
    - C2: arguments are views, tensor maps, i32 or f32.
    - C3: every argument has a `tile.binding`.
    - C4: 1 to 32 warps.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type,
                       OptionalAttr<StrArrayAttr>:$grid_spaces, OptionalAttr<DenseI64ArrayAttr>:$grid_tiles, I32Attr:$num_warps,
                       OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region AnyRegion:$body);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// The `tile.binding` of argument `i`.
    ::llvm::StringRef getBinding(unsigned i);
    /// Warps of a thread block: `num_warps`, and the producers of a `tile.specialize`.
    int64_t getBlockWarps();
  }];
  let hasVerifier = 1;
}

def Tile_ReturnOp : Tile_ExampleOp<"return", [Pure, Terminator, HasParent<"KernelOp">]> {
  let summary = "ends a kernel";
  let assemblyFormat = "attr-dict";
}

def Tile_ProgramIdOp : Tile_ExampleOp<"program_id", [Pure]> {
  let summary = "the program's index along a dimension of the grid";
  let arguments = (ins ConfinedAttr<I32Attr, [IntMinValue<0>, IntMaxValue<2>]>:$dim);
  let results = (outs I32:$result);
  let assemblyFormat = "$dim attr-dict";
}

def Tile_LoadOp : Tile_ExampleOp<"load", [MemoryEffects<[MemRead]>]> {
  let summary = "loads a block of rows of a view";
  let description = [{
    Element (i, j) of the result is `view[indices..., row + i, j]`, and 0 where `row + i >= limit` or
    `j >= valid_cols`. Such elements are not accessed.

    - `indices`: all dimensions of the view but the last two, in order.
    - `row`: index of the first row, in the view's dimension `row_dim`; `limit`: number of rows.
    - `row_dim`: which dimension of the view the rows run over (the last dimension is the columns);
      `indices` are then the remaining dimensions in order.

    Constraints:
    - C1: the view has a unit last stride and the result's element type.
    - C2: rank(view) - 2 indices.
    - C3: `valid_cols` is at most the number of columns.
    - C4: the result is a matrix, and `row_dim` a dimension of the view before the last.
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<I32>:$indices, I32:$row, I32:$limit,
                       I64Attr:$row_dim, I64Attr:$valid_cols);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = [{
    $view `[` $indices `]` `rows` $row_dim `from` $row `to` $limit `cols` $valid_cols attr-dict
    `:` type($view) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_StoreOp : Tile_ExampleOp<"store", [MemoryEffects<[MemWrite]>]> {
  let summary = "stores a tile into a block of rows of a view";
  let description = [{
    The inverse of `tile.load`: rows at or beyond `limit` and columns at or beyond `valid_cols` are not
    written. A rank-1 tile is stored along dimension `row_dim` of a view whose other dimensions are all
    given by `indices`; one of a single row also in a view of rank 0, with `row_dim` 0. The element is rounded to the view's element type (round to nearest even).

    Constraints:
    - C1: a rank-2 tile needs a unit last stride.
    - C2: rank(view) - rank(tile) indices, or none for a view of rank 0.
    - C3: `valid_cols` is at most the number of columns, and `row_dim` a dimension of the view: for a matrix before
      the last.
    - C4: reals are stored as reals (f16, bf16, f32), i32 as i32 and i1 as i1 (a byte).
  }];
  let arguments = (ins Tile_TileType:$value, Tile_ViewType:$view, Variadic<I32>:$indices, I32:$row,
                       I32:$limit, I64Attr:$row_dim, I64Attr:$valid_cols);
  let assemblyFormat = [{
    $value `,` $view `[` $indices `]` `rows` $row_dim `from` $row `to` $limit `cols` $valid_cols attr-dict
    `:` type($value) `,` type($view)
  }];
  let hasVerifier = 1;
}

def Tile_ElementOp : Tile_ExampleOp<"element", [MemoryEffects<[MemRead]>]> {
  let summary = "reads one element of a view as a scalar";
  let description = [{
    Indices must lie inside the tensor: the producer clamps what it cannot prove. Reals (f16, bf16, f32)
    read as f32, i32 as i32, i1 (one byte) as i1. The tensor is not written while the kernel runs.

    Constraints:
    - C1: as many indices as the view has dimensions.
    - C2: the result is the view's element, read as said above.
  }];
  let arguments = (ins Tile_ViewType:$view, Variadic<I32>:$indices);
  let results = (outs Tile_Scalar:$result);
  let assemblyFormat = "$view `[` $indices `]` attr-dict `:` type($view) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_FillOp : Tile_ExampleOp<"fill", [Pure]> {
  let summary = "a tile whose elements are all one scalar";
  let description = [{
    Constraints:
    - C1: the scalar has the tile's element type.
  }];
  let arguments = (ins AnyType:$value);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_DotOp : Tile_ExampleOp<"dot", [Pure]> {
  let summary = "adds a matrix product to an accumulator";
  let description = [{
    `result[i, j] = acc[i, j] + sum(lhs[i, k] * rhs[k, j] for k)`, with `rhs[j, k]` when `transpose_rhs`
    is set. Products are exact or better than f32; sums are in f32. The order of the sum is not specified.
    With a `mask` only the terms with `mask[i, k] != 0` are added. The others are left out, which 0 in `lhs` does not do
    where `rhs` is inf or NaN.

    - `precision`: f32; or an operand of f32 may be rounded to a tf32, or a left one beside one of bf16 to the sum of two bf16 (within 2^-17).
    - `zero_outside`: a promise of the producer that `lhs` is 0 wherever the mask is, as the weights of a softmax
      are. A back end may then do without masking them.
    - `warpgroup`: four warps at a time multiply 64 rows, by `wgmma` (tile-choose-products).
    - `delayed`: the product is to be computed an iteration later, beside another one (tile-overlap-products).

    Constraints:
    - C1: shapes agree.
    - C2: lhs and rhs have one element type among f16, bf16, f32, or one is f32 and the other bf16; acc and result are f32.
    - C3: where layouts are assigned, acc and result have the same.
    - C4: a mask is i32, lies where lhs does, and needs `rhs` of the type of lhs and not transposed.
    - C5: a product by warpgroups has 16-bit operands of one type, rows that are a multiple of 64, a depth that is one of 16, at most 256 columns that are
      a multiple of 16, and no mask.
    - C6: only products by warpgroups are delayed.
    - C7: the left operand of precision `two_bf16` is f32, the right one bf16.
  }];
  let arguments = (ins Tile_TileType:$lhs, Tile_TileType:$rhs, Tile_TileType:$acc,
                       Optional<Tile_TileType>:$mask, UnitAttr:$transpose_rhs,
                       DefaultValuedAttr<Tile_PrecisionAttr, "::attnc::tile::Precision::F32">:$precision,
                       UnitAttr:$zero_outside, UnitAttr:$warpgroup, UnitAttr:$delayed);
  let results = (outs Tile_TileType:$result);
  let extraClassDeclaration = [{
    /// Whether C5 lets warpgroups compute it.
    bool fitsWarpgroups();
  }];
  let assemblyFormat = [{
    $lhs `,` $rhs (`transposed` $transpose_rhs^)? `,` $acc (`where` $mask^)? attr-dict
    `:` type($lhs) `,` type($rhs) `,` type($acc) (`,` type($mask)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def Tile_MapOp : Tile_ExampleOp<"map", [RecursiveMemoryEffects, SingleBlock]> {
  let summary = "computes each element of a tile from elements and coordinates";
  let description = [{
    The region receives one scalar for each operand, then the row `row0 + i` and, if the result is a
    matrix, the column `col0 + j` (both i32), and yields the element. A vector as an operand of a matrix is
    repeated along the other axis: of rank 1 it gives the value of the element's row, a matrix of one row
    that of its column. The region holds `arith`, `math` and `tile.element` ops and may use
    scalars and views from outside.

    The discardable unit attribute `tile.skip_hidden` is a promise of the producer about an online softmax:
    where every element of a result is -inf, what the loop carries does not change, so that a back end may
    leave the rest of the iteration out. The host does.

    `tile.skip_one`, the other one, says that an element is that of the first operand where that of the second, a vector, is
    1: an accumulator whose maximum has not moved. A back end may look at the second for many elements at once. GPUs do, for those
    of a warp.

    Constraints:
    - C1: operands have the result's shape or, for a matrix, are a vector of rank 1 with its rows or a matrix of one
      row with its columns.
    - C2: region arguments are the operands' element types and the coordinates.
    - C3: the region yields one value, of the result's element type.
    - C4: where layouts are assigned, an operand of the result's shape has its layout, and a vector that of the
      result's rows or columns: a thread that computes an element holds all that it is computed from.
    - C5: elements are f32, i32 or i1; others are cast before and after.
  }];
  let arguments = (ins Variadic<Tile_TileType>:$inputs, I32:$row0, I32:$col0);
  let results = (outs Tile_TileType:$result);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` `at` `(` $row0 `,` $col0 `)` $body attr-dict
    `:` functional-type($inputs, $result)
  }];
  let extraClassDeclaration = [{
    ::mlir::Block *getBlock() { return &getBody().front(); }
    ::mlir::BlockArgument getRow() { return getBlock()->getArgument(getInputs().size()); }
    /// Only for matrix results.
    ::mlir::BlockArgument getCol() { return getBlock()->getArgument(getInputs().size() + 1); }
  }];
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
}

def Tile_YieldOp : Tile_ExampleOp<"yield", [Pure, Terminator, ReturnLike, ParentOneOf<["MapOp", "FoldOp"]>]> {
  let summary = "ends the region of a map with the element's value, or of a fold with what is combined";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "$values attr-dict `:` type($values)";
  let extraClassDeclaration = [{
    /// Of a map.
    ::mlir::Value getValue() { return getOperand(0); }
  }];
}

def Tile_ReduceOp : Tile_ExampleOp<"reduce", [Pure]> {
  let summary = "reduces a matrix along an axis";
  let description = [{
    Along `columns`, the default, a value for each row is left (rank 1); along `rows` one for each column (a
    matrix of one row). `max` and `min` ignore NaN if another element is not NaN. The order of a `sum` or
    `product` is not specified.

    - `scratch`: byte offset of shared memory for warps that share what is reduced; tile-assign-layouts sets it.

    Constraints:
    - C1: the input is a matrix, the result the vector of the same type that is left.
    - C2: where layouts are assigned, the result has that of the input's rows, or columns.
    - C3: elements are f32 or i32.
  }];
  let arguments = (ins Tile_ReduceKindAttr:$kind, Tile_TileType:$input,
                       DefaultValuedAttr<Tile_AxisAttr, "::attnc::tile::Axis::Columns">:$axis,
                       OptionalAttr<I64Attr>:$scratch);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = [{
    $kind $input (`along` $axis^)? (`scratch` $scratch^)? attr-dict `:` type($input) `->` type($result)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$result, "::attnc::tile::ReduceKind":$kind, "::mlir::Value":$input), [{
      build($_builder, $_state, result, kind, input, Axis::Columns, ::mlir::IntegerAttr());
    }]>];
  let hasVerifier = 1;
}

def Tile_CastOp : Tile_ExampleOp<"cast", [Pure]> {
  let summary = "converts the element type of a tile (round to nearest even)";
  let description = [{
    Between f32 and f16 or bf16, or a type and itself. Conversions of integers are a map's.

    Constraints:
    - C1: both tiles have the same shape.
    - C2: both have the same layout, or none.
    - C3: one of the types is f32 and the other f16 or bf16, or both are the same.
  }];
  let arguments = (ins Tile_TileType:$input);
  let results = (outs Tile_TileType:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_AnyOp : Tile_ExampleOp<"any", [Pure]> {
  let summary = "whether an element of a tile is not 0";
  let description = [{
    The answer is the same for the whole program, and so may decide an `scf.if` that holds loads, products and loops.
    On a GPU all threads of the block wait for each other: it belongs where all of them come by.

    Constraints:
    - C1: the elements are i32 or i1.
  }];
  let arguments = (ins Tile_TileType:$input);
  let results = (outs I1:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

#endif // ATTNC_DIALECTS_TILE_TILEOPS_TD

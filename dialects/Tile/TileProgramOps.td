// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Programs of kernels: which kernels run for a variant, in which order, on what.
#ifndef ATTNC_DIALECTS_TILE_TILEPROGRAMOPS_TD
#define ATTNC_DIALECTS_TILE_TILEPROGRAMOPS_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"

/// Uses every op of this file: two launches with a workspace tensor between them, over blocks of rows.
class Tile_ProgramExampleOp<string mnemonic, list<Trait> traits = []> : Tile_Op<mnemonic, traits> {
  let examples = [[{
    tile.kernel @square(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x"}, %y: !tile.view<2xf32, unit> {tile.binding = "tensor:y"},
                        %n: i32 {tile.binding = "size:q"}) attributes {
        grid_spaces = ["q", "b", "b"], grid_tiles = array<i64: 16, 1, 1>, num_warps = 1 : i32} {
      %zero = arith.constant 0 : i32
      %a = tile.load %x[] rows 0 from %zero to %n cols 16 : <2xf32, unit> -> <16x16xf32>
      %b = tile.map(%a) at(%zero, %zero) {
      ^bb0(%e: f32, %row: i32, %col: i32):
        %s = arith.mulf %e, %e : f32
        tile.yield %s : f32
      } : (!tile.tile<16x16xf32>) -> !tile.tile<16x16xf32>
      tile.store %b, %y[] rows 0 from %zero to %n cols 16 : <16x16xf32>, <2xf32, unit>
      tile.return
    }
    tile.program "fourth_power"(%x: !tile.view<2xf32, unit> {tile.binding = "tensor:x", tile.axes = ["q", "16"]},
                                %out: !tile.view<2xf32, unit> {tile.binding = "tensor:out", tile.axes = ["q", "16"], tile.output},
                                %q: i32 {tile.binding = "size:q"}) {
      %one = arith.constant 1 : i32
      %columns = arith.constant 16 : i32
      %tiles = tile.space "blocks" of %q extent %columns
      tile.require %q, "`x` is read at an index of `q`, which has none"
      %w = tile.workspace "squares"[%q, %columns] : <2xf32, unit>
      tile.launch @square(%x, %w, %q) grid(%tiles, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32
      tile.launch @square(%w, %out, %q) grid(%tiles, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32
      %zero = arith.constant 0 : i32
      tile.chunks (%first, %count) of %q by 16 {
        %part = tile.workspace "part"[%count, %columns] from [%first, %zero] : <2xf32, unit>
        tile.launch @square(%x, %part, %q) grid(%one, %one, %one) : !tile.view<2xf32, unit>, !tile.view<2xf32, unit>, i32
      }
    }
  }]];
}

def Tile_ProgramOp : Tile_ProgramExampleOp<"program", [IsolatedFromAbove, NoTerminator, SingleBlock]> {
  let summary = "the kernels that run for a variant, in order";
  let description = [{
    A module has at most one. Its arguments are what a caller passes: each has a `tile.binding`, a string: `tensor:NAME`,
    `size:SPACE` (i32) or `param:NAME` (i32, f32). Its body is a list of `tile.launch`, `tile.workspace`, `tile.chunks`, `tile.space`, `tile.require`
    and arithmetic on sizes and parameters, which is done on the host when a launch is prepared:
    - on i32, whose results are those of whole numbers without a limit: `arith.addi`, `subi`, `muli`, `floordivsi`, `ceildivsi`,
      `minsi`, `maxsi`, `andi`, `ori`, `xori`, `shli` and `shrsi` (by 0 to 31), and `cmpi` (signed);
    - on f32 and f64: `arith.addf`, `subf`, `mulf`, `divf`, `negf`, `minimumf`, `maximumf`, `minnumf`, `maxnumf`, `cmpf` (ordered, and `une`),
      `math.floor`, `math.ceil`. The reference computes the reals of a spec in float64, so what has to agree with it is
      computed in f64;
    - on i1: `arith.andi`, `ori`, `xori`;
    - from one to another: `arith.constant`, `select`, `sitofp`, `fptosi`, `extf`, `truncf`, `extui` and `uitofp` of i1;
    - from i32 to i64 and back: `arith.extsi` and `trunci`, with any of the above on i64 between them. `trunci` keeps the low 32 bits, so a
      product that wraps around, as those of a spec do, is `trunci` of one in i64.

    Where a step has no value (a division by 0, more than 64 bits, NaN as a whole number), the launch is refused.

    Attributes of a tensor's argument:
    - `tile.axes`: a string for each dimension, an index space or a decimal size. Spaces are those of arguments
      (`size:SPACE`), declared ones (`tile.space`), and others whose sizes no kernel asks for.
    - `tile.output` (unit): kernels write it.
    - `tile.row_alignment` (i64): bytes that every row starts at a multiple of, on a GPU.
    - `tile.may_alias` (string), on an output: the input that may be exactly the same memory.

    A module with one kernel and no program is the program that launches it once, with the attributes of its own arguments and
    the grid that it names.

    Constraints:
    - C1: arguments are views bound to a tensor, i32 bound to a size or parameter, or f32 bound to a parameter.
    - C2: no two arguments, workspace tensors or spaces have one name.
    - C3: `tile.axes` has a string for each dimension of a tensor.
    - C4: `tile.may_alias` is on an output, and names an input of its type.
    - C5: the body has no other ops than these.
    - C6: scalars are i1, i32, i64, f32 or f64.
  }];
  let arguments = (ins StrAttr:$name, OptionalAttr<DictArrayAttr>:$arg_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// Attribute `name` of argument `index`, or null.
    ::mlir::Attribute getArgAttr(unsigned index, ::llvm::StringRef name);
    /// True for an op of the arithmetic that a program may have.
    static bool isArithmetic(::mlir::Operation *op);
    /// The `tile.binding` of argument `index`; empty if there is none.
    ::llvm::StringRef getBinding(unsigned index);
  }];
  let hasVerifier = 1;
}

def Tile_SpaceOp : Tile_ProgramExampleOp<"space", [HasParent<"ProgramOp">, AttrSizedOperandSegments]> {
  let summary = "an index space whose size is computed";
  let description = [{
    `extent` slots, or, with `of`, blocks of another space: block i has its members from `i * stride` up to `i * stride + extent`,
    as far as there are so many. `full` keeps the blocks that have all of them. The result is how many slots or blocks
    there are. Axes of tensors may be over it, and tensors that are bound must agree. A launch where an extent or stride is
    below 1 is refused, but `optional` lets an extent be 0. Without `stride` it is the extent.

    Constraints:
    - C1: `parent` is the size of an index space: an argument bound to `size:SPACE`, or the result of a `tile.space`.
    - C2: `stride` and `full` come with `of`, `optional` does not.
  }];
  let arguments = (ins StrAttr:$name, Optional<I32>:$parent, I32:$extent, Optional<I32>:$stride, UnitAttr:$full,
                       UnitAttr:$optional);
  let results = (outs I32:$size);
  let assemblyFormat = "$name (`of` $parent^)? `extent` $extent (`stride` $stride^)? (`full` $full^)? (`optional` $optional^)? attr-dict";
  let hasVerifier = 1;
}

def Tile_WorkspaceOp : Tile_ProgramExampleOp<"workspace", [
    Pure, ParentOneOf<["ProgramOp", "ChunksOp"]>, AttrSizedOperandSegments]> {
  let summary = "a tensor that lives for one run of a program";
  let description = [{
    Dense and row-major. Its contents are arbitrary until a kernel has written them. It lives from the first launch that has it to
    the last one, and may share memory with workspace tensors that never live together with it. `name` is for people.

    With `from`, indices along each dimension start at a number other than 0: of a tensor in `tile.chunks`, only the elements of
    one chunk are there, at the indices that they have in the whole one.

    Constraints:
    - C1: a size for each dimension, and a unit last stride.
    - C2: `from` has a number for each dimension.
  }];
  let arguments = (ins StrAttr:$name, Variadic<I32>:$sizes, Variadic<I32>:$first);
  let results = (outs Tile_ViewType:$result);
  let assemblyFormat = "$name `[` $sizes `]` (`from` `[` $first^ `]`)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Tile_ChunksOp : Tile_ProgramExampleOp<"chunks", [HasParent<"ProgramOp">, NoTerminator, SingleBlock, RecursiveMemoryEffects]> {
  let summary = "runs launches for one part of some index spaces after the other";
  let description = [{
    Each of `sizes` is cut into chunks of a multiple of `steps` indices (but for the last one, which has what is left), and the body
    runs once for each combination of chunks. Its arguments are, for each size, the first index of a chunk (i32) and how many it has
    (i32). The body is a list of `tile.launch`, `tile.workspace` and arithmetic, as that of a program.

    How long chunks are is decided when a launch is prepared: whole spaces if the workspace tensors of the body then fit into
    what a loop of chunks may have, else the first space is cut, down to its step, then the next one. So the body has to compute the
    same in whatever chunks it runs.

    Constraints:
    - C1: a step of at least 1 for each size, and two i32 arguments for each.
    - C2: the body has no other ops than these.
    - C3: names of workspace tensors are not those of others in the program.
  }];
  let arguments = (ins Variadic<I32>:$sizes, DenseI64ArrayAttr:$steps);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// The first index of a chunk of size `i`, and how many indices it has.
    ::mlir::Value getFirst(unsigned i) { return getBody().getArgument(2 * i); }
    ::mlir::Value getCount(unsigned i) { return getBody().getArgument(2 * i + 1); }
  }];
  let hasVerifier = 1;
}

def Tile_RequireOp : Tile_ProgramExampleOp<"require", [HasParent<"ProgramOp">]> {
  let summary = "refuses launches for which a number is below 1";
  let description = [{
    Elements of a tensor cannot be read where an axis has none. `message` is the error of a launch that is refused.
  }];
  let arguments = (ins I32:$number, StrAttr:$message);
  let assemblyFormat = "$number `,` $message attr-dict";
}

def Tile_LaunchOp : Tile_ProgramExampleOp<"launch", [
    ParentOneOf<["ProgramOp", "ChunksOp"]>, MemoryEffects<[MemRead, MemWrite]>, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a kernel at every point of a grid";
  let description = [{
    A launch sees all that the launches before it have written. `x`, `y`, `z` are the numbers of points; `tile.program_id i` is a
    point's index in dimension i. The grid and the bindings that the kernel itself names do not count here. Scalars are
    arguments of the program, sizes of declared spaces, or arithmetic on them.

    Constraints:
    - C1: `kernel` is a `tile.kernel` of the module.
    - C2: operands have the types of its arguments; for a map, that of a view that it can be made from.
    - C3: where a tensor is passed twice, or an output and the input that it may alias, the kernel marks both arguments with
      `tile.may_alias` (unit), so that its loads and stores keep their order.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyTypeOf<[Tile_ViewType, I32, F32]>>:$args, I32:$x, I32:$y, I32:$z);
  let assemblyFormat = "$kernel `(` $args `)` `grid` `(` $x `,` $y `,` $z `)` attr-dict (`:` type($args)^)?";
}

#endif // ATTNC_DIALECTS_TILE_TILEPROGRAMOPS_TD

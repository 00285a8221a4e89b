// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Attributes of the tile dialect: layouts and enums.
#ifndef ATTNC_DIALECTS_TILE_TILEATTRS_TD
#define ATTNC_DIALECTS_TILE_TILEATTRS_TD

include "dialects/Tile/TileDialect.td"

class Tile_Attr<string name, string attrMnemonic> : AttrDef<Tile_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Tile_LinearLayoutAttr : Tile_Attr<"LinearLayout", "linear"> {
  let summary = "which thread's register holds which element of a tile";
  let description = [{
    A linear map over bits from (register, lane, warp) to (row, column); see LinearLayout.h, which
    explains the idea. Each array holds `row, column` of one basis vector after another: entry `i` says
    where bit `i` of that hardware coordinate moves the element. A zero basis vector means that the bit
    does not move it, that is, the element is replicated.

    `#tile.linear<register = [0, 1, 8, 0], lane = [0, 2, 0, 4, 1, 0, 2, 0, 4, 0], warp = [16, 0]>`
    is the accumulator of one `mma.m16n8` in each of two warps.

    Constraints:
    - C1: each array has pairs of numbers that are not negative.
    - C2: no two basis vectors share a bit of a coordinate, so that coordinates are sums of basis vectors.
  }];
  let genVerifyDecl = 1;
  let parameters = (ins OptionalArrayRefParameter<"int32_t">:$registerBases,
                        OptionalArrayRefParameter<"int32_t">:$laneBases,
                        OptionalArrayRefParameter<"int32_t">:$warpBases);
  let assemblyFormat = [{
    `<` `register` `=` `[` (`]`) : ($registerBases^ `]`)? `,`
        `lane` `=` `[` (`]`) : ($laneBases^ `]`)? `,`
        `warp` `=` `[` (`]`) : ($warpBases^ `]`)? `>`
  }];
}

def Tile_SharedLayoutAttr : Tile_Attr<"SharedLayout", "shared"> {
  let summary = "where an element of a tile lies in shared memory";
  let description = [{
    Row `r`, 16-byte chunk `c` of a tile lies at byte `r * pitch + 16 * (c xor ((r >> shift) & mask))`.
    `mask` is 0 when the pitch alone avoids bank conflicts (an odd number of chunks).

    With `panel_bytes` the columns are cut into panels of `pitch` bytes, one behind another in so many bytes: chunk `c` is
    chunk `c mod (pitch / 16)` of panel `c / (pitch / 16)`. `wgmma` reads operands that lie so, with a pitch of 128, 64 or 32 bytes
    and the swizzle of that width (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions", "Matrix Shared Memory Layout").
  }];
  let parameters = (ins "int32_t":$pitch, "int32_t":$shift, "int32_t":$mask,
                        DefaultValuedParameter<"int32_t", "0">:$panel_bytes);
  let builders = [AttrBuilder<(ins "int32_t":$pitch, "int32_t":$shift, "int32_t":$mask), [{
    return $_get($_ctxt, pitch, shift, mask, 0);
  }]>];
  let assemblyFormat = "`<` struct(params) `>`";
  let extraClassDeclaration = [{
    /// Byte offset of (row, byte column) inside one stage of a buffer.
    int64_t offsetOf(int64_t row, int64_t byteColumn) const;
  }];
}

def Tile_ReduceMax : I32EnumAttrCase<"Max", 0, "max">;
def Tile_ReduceSum : I32EnumAttrCase<"Sum", 1, "sum">;
def Tile_ReduceMin : I32EnumAttrCase<"Min", 2, "min">;
def Tile_ReduceProduct : I32EnumAttrCase<"Product", 3, "product">;
def Tile_ReduceKindAttr : I32EnumAttr<"ReduceKind", "how elements are combined",
    [Tile_ReduceMax, Tile_ReduceSum, Tile_ReduceMin, Tile_ReduceProduct]> {
  let cppNamespace = "::attnc::tile";
}

def Tile_AxisRows : I32EnumAttrCase<"Rows", 0, "rows">;
def Tile_AxisColumns : I32EnumAttrCase<"Columns", 1, "columns">;
def Tile_AxisAttr : I32EnumAttr<"Axis", "the axis that an op combines", [Tile_AxisRows, Tile_AxisColumns]> {
  let cppNamespace = "::attnc::tile";
}

// How products of f32 operands are computed on matrix units.
def Tile_PrecisionIEEE : I32EnumAttrCase<"F32", 0, "f32">;
def Tile_PrecisionTF32 : I32EnumAttrCase<"TF32", 1, "tf32">;
def Tile_PrecisionTwoBF16 : I32EnumAttrCase<"TwoBF16", 2, "two_bf16">;
def Tile_PrecisionAttr : I32EnumAttr<"Precision",
    "f32: results as good as f32 arithmetic (three tf32 products on a GPU); tf32: one product; two_bf16: a left operand is the sum of two bf16",
    [Tile_PrecisionIEEE, Tile_PrecisionTF32, Tile_PrecisionTwoBF16]> {
  let cppNamespace = "::attnc::tile";
}

#endif // ATTNC_DIALECTS_TILE_TILEATTRS_TD

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Types of the tile dialect.
#ifndef ATTNC_DIALECTS_TILE_TILETYPES_TD
#define ATTNC_DIALECTS_TILE_TILETYPES_TD

include "dialects/Tile/TileDialect.td"
include "dialects/Tile/TileAttrs.td"

class Tile_Type<string name, string typeMnemonic> : TypeDef<Tile_Dialect, name> {
  let mnemonic = typeMnemonic;
}

def Tile_ViewType : Tile_Type<"View", "view"> {
  let summary = "a tensor in global memory";
  let description = [{
    `!tile.view<4xf16>` is a rank-4 tensor: a base pointer and one 64-bit stride, in elements, for each
    dimension. Sizes are not part of a view; ops that can leave the tensor take limits. `unit` says that
    the last stride is 1, which row loads and stores require. An i1 element is stored as one byte.
  }];
  let parameters = (ins "int64_t":$rank, "::mlir::Type":$elementType, "bool":$unitStride);
  let hasCustomAssemblyFormat = 1;
}

def Tile_TileType : Tile_Type<"Tile", "tile"> {
  let summary = "a matrix (rank 2) or a column of row values (rank 1) held by one program";
  let description = [{
    `!tile.tile<64x128xf32>`, or with a layout `!tile.tile<64x128xf32, #tile.linear<...>>`. A rank-1
    tile has one value for each row.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType,
                        OptionalParameter<"::attnc::tile::LinearLayoutAttr">:$layout);
  let builders = [
    TypeBuilderWithInferredContext<(ins "::llvm::ArrayRef<int64_t>":$shape, "::mlir::Type":$elementType), [{
      return $_get(elementType.getContext(), shape, elementType, LinearLayoutAttr());
    }]>];
  let extraClassDeclaration = [{
    int64_t getRows() const { return getShape()[0]; }
    /// Columns of a matrix; 1 for a rank-1 tile.
    int64_t getCols() const { return getShape().size() == 2 ? getShape()[1] : 1; }
    unsigned getRank() const { return getShape().size(); }
  }];
  let genVerifyDecl = 1;
  let hasCustomAssemblyFormat = 1;
}

def Tile_BufferType : Tile_Type<"Buffer", "buffer"> {
  let summary = "shared memory for a number of copies of one tile";
  let description = "`!tile.buffer<2x64x64xf16, #tile.shared<...>>` has two stages of a 64x64 tile.";
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType,
                        "::attnc::tile::SharedLayoutAttr":$layout);
  let extraClassDeclaration = [{
    int64_t getStages() const { return getShape()[0]; }
    int64_t getStageBytes() const {
      int64_t panelBytes = getLayout().getPanelBytes(), pitch = getLayout().getPitch();
      if (!panelBytes)
        return getShape()[1] * pitch;
      int64_t rowBytes = getShape()[2] * getElementType().getIntOrFloatBitWidth() / 8;
      return panelBytes * ((rowBytes + pitch - 1) / pitch);
    }
    /// Bytes that a buffer's place is a multiple of. To wgmma a swizzle is a function of the address, and repeats this often.
    int64_t getAlignment() const { return getLayout().getPanelBytes() ? 1024 : 128; }
  }];
  let hasCustomAssemblyFormat = 1;
}

def Tile_TokenType : Tile_Type<"Token", "token"> {
  let summary = "a copy into a stage of a buffer that may still be in flight";
  let parameters = (ins "::attnc::tile::BufferType":$buffer);
  let assemblyFormat = "`<` $buffer `>`";
}

def Tile_SlotType : Tile_Type<"Slot", "slot"> {
  let summary = "a stage of a buffer whose copy has arrived";
  let parameters = (ins "::attnc::tile::BufferType":$buffer);
  let assemblyFormat = "`<` $buffer `>`";
}

def Tile_ProductType : Tile_Type<"Product", "product"> {
  let summary = "a product of warpgroups that may not have ended";
  let parameters = (ins "::attnc::tile::TileType":$tile);
  let assemblyFormat = "`<` $tile `>`";
}

def Tile_RingType : Tile_Type<"Ring", "ring"> {
  let summary = "a buffer whose stages some warps fill and others release";
  let parameters = (ins "::attnc::tile::BufferType":$buffer);
  let assemblyFormat = "`<` $buffer `>`";
}

def Tile_TensorMapType : Tile_Type<"TensorMap", "tensor_map"> {
  let summary = "how the copy engine of a GPU takes boxes out of a view";
  let description = [{
    `!tile.tensor_map<rank = 4, element = bf16, row_dim = 2, rows = 128, columns = 64>` is made at a launch from a view of that rank and
    element: a box has so many rows along dimension `row_dim` and so many columns, which are `columns` elements of the last dimension. In
    shared memory its rows lie one behind the other, in 16-byte chunks that are swizzled as wide as a row is: 128, 64 or 32 bytes.
  }];
  let parameters = (ins "int64_t":$rank, "::mlir::Type":$element, "int64_t":$row_dim, "int64_t":$rows, "int64_t":$columns);
  let assemblyFormat = "`<` struct(params) `>`";
  let extraClassDeclaration = [{
    /// Whether it is made from views like `view`.
    bool isOf(::attnc::tile::ViewType view) const { return view.getUnitStride() && view.getRank() == getRank() && view.getElementType() == getElement(); }
  }];
}

#endif // ATTNC_DIALECTS_TILE_TILETYPES_TD

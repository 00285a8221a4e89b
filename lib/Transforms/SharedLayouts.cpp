// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bank conflicts, and how to have none.
#include "SharedLayouts.h"

using namespace mlir;
using namespace attnc;
using tile::BufferType;
using tile::SharedLayoutAttr;

/// Where rows go so that the reads of a product meet no bank conflict. A warp reads eight rows at
/// one 16-byte column (ldmatrix), which must fall into eight different sixteenths of the 128 bytes
/// that the banks serve at once; see SharedLayoutAttr for the parameters.
static SharedLayoutAttr chooseSharedLayout(MLIRContext *context, int64_t cols, Type elementType,
                                           bool readAlongRows) {
  int32_t bytes = elementType.getIntOrFloatBitWidth() / 8;
  int32_t rowBytes = cols * bytes;
  if (bytes == 4) {
    // Not by ldmatrix: lane (g, t) reads 8 bytes at (row g, column 2t) along rows, which is free of
    // conflicts for a pitch of 32 modulo 128 bytes, or 4 bytes at (row 2t, column g) across rows,
    // free for a pitch of 16 modulo 64.
    int32_t pitch =
        readAlongRows ? llvm::alignTo(rowBytes, 128) + 32 : llvm::alignTo(rowBytes, 64) + 16;
    return SharedLayoutAttr::get(context, pitch, 0, 0);
  }
  switch (int32_t chunks = rowBytes / 16) {
  case 2:
    return SharedLayoutAttr::get(context, rowBytes, 2, 1);
  case 4:
    return SharedLayoutAttr::get(context, rowBytes, 1, 3);
  case 8:
  case 16:
  case 32:
    return SharedLayoutAttr::get(context, rowBytes, 0, 7);
  default: // an odd number of chunks visits all sixteenths by itself
    return SharedLayoutAttr::get(context, (chunks | 1) * 16, 0, 0);
  }
}

/// Panels of the widest swizzle whose rows the tile's are whole ones of: an operand that ends
/// within a panel would be multiplied with what lies behind it.
static SharedLayoutAttr panelLayout(MLIRContext *context, int64_t rows, int64_t cols) {
  int32_t rowBytes = 2 * cols;
  for (auto [pitch, shift, mask] : {std::tuple(128, 0, 7), {64, 1, 3}, {32, 2, 1}})
    if (rowBytes % pitch == 0)
      return SharedLayoutAttr::get(context, pitch, shift, mask,
                                   static_cast<int32_t>(llvm::alignTo(rows * pitch, 1024)));
  llvm_unreachable("the columns of an operand are a multiple of 16");
}

/// Whether a product of warpgroups reads `tile`, from shared memory as it may be.
static bool isReadByWarpgroups(TypedValue<tile::TileType> tile) {
  return llvm::any_of(tile.getUsers(), [](Operation *user) {
    auto dot = dyn_cast<tile::DotOp>(user);
    return dot && dot.getWarpgroup();
  });
}

BufferType attnc::bufferFor(TypedValue<tile::TileType> tile, int64_t stages) {
  tile::TileType type = tile.getType();
  bool alongRows = llvm::none_of(tile.getUses(), [](OpOperand &use) {
    auto dot = dyn_cast<tile::DotOp>(use.getOwner());
    return dot && use.getOperandNumber() == 1 && !dot.getTransposeRhs();
  });
  SharedLayoutAttr layout =
      isReadByWarpgroups(tile)
          ? panelLayout(type.getContext(), type.getRows(), type.getCols())
          : chooseSharedLayout(type.getContext(), type.getCols(), type.getElementType(), alongRows);
  return BufferType::get(type.getContext(), {stages, type.getRows(), type.getCols()},
                         type.getElementType(), layout);
}

bool attnc::isProductOperand(OpOperand &use) {
  auto dot = dyn_cast<tile::DotOp>(use.getOwner());
  return dot && (&use == &dot.getLhsMutable() || &use == &dot.getRhsMutable());
}

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the lowerings of plain and of masked products share.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_PRODUCTS_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_PRODUCTS_H

#include "KernelLowering.h"

namespace attnc {

/// Position in a fragment of the register (row tile m, column tile n, half h: row + 8h, parity c).
struct FragmentIndex {
  int64_t rowTileStride;
  explicit FragmentIndex(tile::TileType type) : rowTileStride(4 * (type.getCols() / 8)) {}
  int64_t operator()(int64_t m, int64_t n, int64_t h, int64_t c) const {
    return m * rowTileStride + n * 4 + 2 * h + c;
  }
};

/// Tiles of 16 rows that each warp holds.
inline int64_t rowTiles(tile::TileType type, int64_t numThreads) {
  return type.getRows() / (numThreads / 32) / 16;
}

/// True if the fragment order is that of LinearLayout::mmaFragment, which the instructions need.
bool isMmaFragment(tile::TileType type, int64_t numThreads);

/// Adds the product of f32 operands to `acc`.
void dotF32(KernelLowering &kl, tile::DotOp dot, Fragment &acc);
/// MaskedProduct.cpp.
mlir::LogicalResult lowerMaskedDot(KernelLowering &kl, tile::DotOp dot);

/// WarpgroupProduct.cpp. Lets wgmma see what this thread has written to shared memory, behind the
/// next barrier.
void fenceForWarpgroups(KernelLowering &kl, mlir::Location loc);

/// x as a sum of two tf32 values, as bit patterns; the low part is null for a single product.
struct SplitTF32 {
  mlir::Value high, low;
};
SplitTF32 splitTF32(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x, bool exact);

/// Two 16-bit elements in a register, of whatever type, as the type that mma takes for `element`.
mlir::Value asMmaOperand(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value pair,
                         mlir::Type element);
/// c += a b by one mma.sync: m16n8k16 for f16 and bf16 (4 and 2 registers), m16n8k8 for f32 (tf32
/// bit patterns, 4 and 2). `c` has four f32.
void multiply(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type element,
              llvm::ArrayRef<mlir::Value> a, llvm::ArrayRef<mlir::Value> b,
              llvm::MutableArrayRef<mlir::Value> c);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_PRODUCTS_H

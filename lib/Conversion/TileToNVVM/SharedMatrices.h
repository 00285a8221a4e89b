// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// 16x16 blocks of 16-bit elements in shared memory, read by ldmatrix.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_SHAREDMATRICES_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_SHAREDMATRICES_H

#include "KernelLowering.h"

namespace attnc {

/// Where ldmatrix finds 16x16 blocks in a stage of a buffer. With `rowsFirst` the four 8x8 matrices
/// of a block are ordered (0,0), (8,0), (0,8), (8,8) in (row, column), else (0,0), (0,8), (8,0),
/// (8,8). The swizzle makes the lane's address depend on the block's column in at most eight ways:
/// one pointer each, from which all blocks are at constant offsets.
struct MatrixSource {
  tile::SharedLayoutAttr layout;
  bool transpose = false;
  llvm::SmallVector<mlir::Value, 8> pointers; ///< by (chunk & mask) / 2
};

/// Pointers for reading 16x16 blocks of `buffer` at `slotBase`; see MatrixSource.
MatrixSource matrixSource(KernelLowering &kl, mlir::Location loc, mlir::Value slotBase,
                          tile::BufferType buffer, bool rowsFirst, bool transpose);

/// One 16x16 block of 16-bit elements read by ldmatrix.x4: four 32-bit registers.
llvm::SmallVector<mlir::Value> loadMatrices(KernelLowering &kl, mlir::Location loc,
                                            const MatrixSource &source, int64_t row0, int64_t col0);

/// The fragment of a read of 16-bit elements, in the layout of mma operands.
Fragment readFragment16(KernelLowering &kl, tile::ReadOp read);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_SHAREDMATRICES_H

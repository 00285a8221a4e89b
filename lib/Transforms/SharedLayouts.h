// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which tiles products read from shared memory, and how they lie there.
#ifndef ATTNC_LIB_TRANSFORMS_SHAREDLAYOUTS_H
#define ATTNC_LIB_TRANSFORMS_SHAREDLAYOUTS_H

#include "dialects/Tile/Tile.h"

namespace attnc {

/// A buffer for `stages` copies of `tile`, which lies so that the products that read it meet no
/// bank conflict.
tile::BufferType bufferFor(mlir::TypedValue<tile::TileType> tile, int64_t stages);

/// Whether `use` is an operand that a product reads from shared memory, or may.
bool isProductOperand(mlir::OpOperand &use);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_SHAREDLAYOUTS_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the addresses of a tile's elements are aligned in memory, where its columns lie along the
// contiguous dimension of a view.
#ifndef ATTNC_LIB_CONVERSION_TILETONVVM_COLUMNALIGNMENT_H
#define ATTNC_LIB_CONVERSION_TILETONVVM_COLUMNALIGNMENT_H

#include "KernelLowering.h"

namespace attnc {

/// What the address of the element at column `col0` + (that of lane and warp) + `offset`, in any
/// row of `view`, is a multiple of (bytes). The last dimension of the view has the columns.
int64_t columnAlignment(KernelLowering &kl, mlir::Value view, tile::TileType type, mlir::Value col0,
                        int64_t offset);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETONVVM_COLUMNALIGNMENT_H

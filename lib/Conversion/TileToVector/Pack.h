// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The right operand of a product, packed: Pack.cpp explains.
#ifndef ATTNC_LIB_CONVERSION_TILETOVECTOR_PACK_H
#define ATTNC_LIB_CONVERSION_TILETOVECTOR_PACK_H

#include "KernelEmitter.h"

namespace attnc {

/// A right operand of a product, packed: panels of `vectors` vectors of columns, each panel holding
/// `depth` rows one after another. A word is an f32, or two bf16 of consecutive depth.
struct PackedOperand {
  int64_t offset = 0;
  int64_t depth = 0; ///< in words
  bool pairs = false;
};

/// Panels of one width: `count` panels of `vectors` vectors, from column `first`.
struct PanelRun {
  int64_t first, vectors, count;
};

llvm::SmallVector<PanelRun> panelRuns(KernelEmitter &ke, int64_t cols);
PackedOperand pack(KernelEmitter &ke, tile::DotOp dot);

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_TILETOVECTOR_PACK_H

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which axes of a formula's result are the rows and columns of tiles: those that tiledAxesOf
// (Nest.h) takes, unless what the formula sums is better off with fewer.
#ifndef ATTNC_LIB_CONVERSION_ATTNTOTILE_TILECHOICE_H
#define ATTNC_LIB_CONVERSION_ATTNTOTILE_TILECHOICE_H

#include "Nest.h"

namespace attnc {

/// The tiled axes of `compute`. Axes of `singly` are not tiled.
TiledAxes chooseTiles(attn::ComputeOp compute, const Target &target,
                      llvm::ArrayRef<llvm::StringRef> singly = {});

} // namespace attnc

#endif // ATTNC_LIB_CONVERSION_ATTNTOTILE_TILECHOICE_H

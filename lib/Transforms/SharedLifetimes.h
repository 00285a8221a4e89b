// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which buffers of shared memory are never needed at once.
#ifndef ATTNC_LIB_TRANSFORMS_SHAREDLIFETIMES_H
#define ATTNC_LIB_TRANSFORMS_SHAREDLIFETIMES_H

#include "dialects/Tile/Tile.h"

namespace attnc {

/// Whether only `tile.share` writes the buffer: it has barriers before and behind what it writes,
/// so that any thread is done with what was there.
bool isWrittenBehindBarriers(tile::AllocOp buffer);

/// Whether one of two such buffers is written and read before the other one is written.
bool areApart(tile::AllocOp a, tile::AllocOp b);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_SHAREDLIFETIMES_H

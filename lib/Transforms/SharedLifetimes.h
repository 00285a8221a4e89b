// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which buffers of shared memory are never needed at once.
#ifndef ATTNC_LIB_TRANSFORMS_SHAREDLIFETIMES_H
#define ATTNC_LIB_TRANSFORMS_SHAREDLIFETIMES_H

#include "dialects/Tile/Tile.h"

namespace attnc {

/// Whether the buffer is only written between barriers, so that any thread is done with what was
/// there: by `tile.share`, which has them, or by copies between one and the wait for them.
bool isWrittenBehindBarriers(tile::AllocOp buffer);

/// Whether one of two such buffers is written and read before the other one is written.
bool areApart(tile::AllocOp a, tile::AllocOp b);

} // namespace attnc

#endif // ATTNC_LIB_TRANSFORMS_SHAREDLIFETIMES_H

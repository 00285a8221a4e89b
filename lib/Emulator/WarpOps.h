// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Handlers of warp-wide and block-wide instructions; the operand conventions stand at their
// definitions.
#pragma once

#include "Access.h"

namespace attnc::emu {

const Rec *shuffle(Warp &, const Rec *);
const Rec *vote(Warp &, const Rec *);
const Rec *match(Warp &, const Rec *);
const Rec *redux(Warp &, const Rec *);
const Rec *elect(Warp &, const Rec *);
const Rec *activeMask(Warp &, const Rec *);
const Rec *warpSync(Warp &, const Rec *);
const Rec *ldmatrix(Warp &, const Rec *);
const Rec *stmatrix(Warp &, const Rec *);
const Rec *movmatrix(Warp &, const Rec *);

const Rec *barrierOp(Warp &, const Rec *);
/// A warp of the block has ended: barriers that wait for all threads may now be complete.
void barrierWarpExited(Cta &);

// Rec::aux of barrierOp.
constexpr uint32_t barArrive = 1;  ///< do not wait
constexpr uint32_t barCounted = 2; ///< o[1] is the thread count
constexpr uint32_t barAligned = 4;
constexpr uint32_t barReduceShift = 4; ///< 0 none, 1 popc, 2 and, 3 or; o[2] predicate, o[3] result
constexpr uint32_t barNegated = 1u << 8;

} // namespace attnc::emu

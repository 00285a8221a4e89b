// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The sixteen named barriers of a thread block: bar.sync, bar.arrive, bar.red and their barrier.*
// spellings (PTX ISA 9.7.13.1). A barrier counts threads in whole warps. Without a count it waits
// for every warp that has not exited; with one, for that many threads, whoever they are, which is
// how producers and consumers hand over. Meeting at a barrier joins the race detector's vectors.
#include "Cluster.h"
#include "WarpOps.h"

namespace attnc::emu {
namespace {

void complete(Cta &cta, NamedBarrier &b) {
  uint64_t waiters = b.waiters;
  Clocks &clocks = cta.cluster->clocks;
  for (uint32_t i = 0; i < cta.numWarps; ++i) {
    if (!(waiters >> i & 1))
      continue;
    Warp &w = *cta.warps[i];
    clocks.acquire(w.member, b.clock);
    if (w.waitRec && (w.waitRec->aux >> barReduceShift & 0xf)) {
      const Rec *r = w.waitRec;
      unsigned kind = r->aux >> barReduceShift & 0xf;
      uint32_t lanes = w.live;
      if (kind == 1) {
        for (uint32_t m = lanes; m; m &= m - 1)
          place<uint32_t>(w, r->o[3])[__builtin_ctz(m)] = static_cast<uint32_t>(b.reducePopc);
      } else {
        bool yes = kind == 2 ? b.reduceAll : b.reducePopc != 0;
        uint32_t *p = place<uint32_t>(w, r->o[3]);
        *p = yes ? *p | lanes : *p & ~lanes;
      }
    }
    wake(w);
  }
  b.clock.clear();
  b.arrivedThreads = b.expectedThreads = 0;
  b.waiters = 0;
  b.arrivedWarps = 0;
  b.reduceAll = true;
  b.reducePopc = 0;
  b.first = nullptr;
  cta.progressed = true;
}

bool isComplete(const Cta &cta, const NamedBarrier &b) {
  if (!b.arrivedWarps)
    return false;
  if (b.expectedThreads)
    return b.arrivedThreads >= b.expectedThreads;
  return b.arrivedWarps >= cta.liveWarps;
}

} // namespace

void barrierWarpExited(Cta &cta) {
  for (NamedBarrier &b : cta.barriers)
    if (b.arrivedWarps && !b.expectedThreads && isComplete(cta, b))
      complete(cta, b);
}

const Rec *barrierOp(Warp &w, const Rec *r) {
  Cta &cta = *w.cta;
  int lane = __builtin_ctz(w.exec);
  uint32_t id = place<uint32_t>(w, r->o[0])[lane];
  if (w.exec != w.live)
    return fault(
        w, r, lane, "divergent-barrier",
        "barrier %u is executed by lanes 0x%08x of the warp only; lanes 0x%08x are elsewhere", id,
        w.exec, w.live & ~w.exec);
  const uint32_t *ids = place<uint32_t>(w, r->o[0]),
                 *counts = r->aux & barCounted ? place<uint32_t>(w, r->o[1]) : ids;
  for (uint32_t m = w.exec; m; m &= m - 1)
    if (int l = __builtin_ctz(m); ids[l] != id || counts[l] != counts[lane])
      return fault(w, r, l, "invalid-operand",
                   "the lanes of a warp name different barriers or thread counts");
  if (id >= 16)
    return fault(w, r, lane, "invalid-operand", "barrier %u does not exist; there are 16", id);
  uint32_t threads = 0;
  if (r->aux & barCounted) {
    threads = place<uint32_t>(w, r->o[1])[lane];
    if (threads == 0 || threads % 32 || threads > cta.numWarps * 32)
      return fault(w, r, lane, "invalid-operand",
                   "barrier %u expects %u threads; the count must be a multiple of 32 and at most "
                   "the %u of the block",
                   id, threads, cta.numWarps * 32);
  }
  NamedBarrier &b = cta.barriers[id];
  if (b.arrivedWarps && b.expectedThreads != threads)
    return fault(w, r, lane, "barrier-mismatch",
                 "barrier %u is used with %u threads here and with %u at\n    %s", id, threads,
                 b.expectedThreads, describe(*cta.launch->kernel, b.first).c_str());
  uint32_t reduction = r->aux >> barReduceShift & 0xf;
  if (b.arrivedWarps && b.reduction != reduction)
    return fault(w, r, lane, "barrier-mismatch",
                 "barrier %u meets with another kind of barrier, which was there first\n    %s\n"
                 "  only .sync and .arrive go together",
                 id, describe(*cta.launch->kernel, b.first).c_str());
  b.reduction = reduction;
  if (!b.first)
    b.first = r;
  b.expectedThreads = threads;
  b.arrivedThreads += 32;
  ++b.arrivedWarps;
  if (threads && b.arrivedThreads > threads)
    return fault(w, r, lane, "barrier-overflow",
                 "barrier %u expects %u threads but %u have arrived", id, threads,
                 b.arrivedThreads);
  if (reduction) {
    uint32_t p = (*place<uint32_t>(w, r->o[2]) ^ (r->aux & barNegated ? ~0u : 0u)) & w.exec;
    b.reducePopc += static_cast<uint64_t>(__builtin_popcount(p));
    b.reduceAll = b.reduceAll && p == w.exec;
  }
  cta.cluster->clocks.release(w.member, b.clock);
  ++cta.launch->barrierWaits;
  if (r->aux & barArrive) {
    if (isComplete(cta, b))
      complete(cta, b);
    return r + 1;
  }
  b.waiters |= 1ull << w.id;
  w.waitArg = id;
  const Rec *next = blockSplit(w, r + 1, Wait::Barrier, r);
  if (isComplete(cta, b))
    complete(cta, b); // wakes this warp as well; it continues at its next turn
  return next;
}

} // namespace attnc::emu

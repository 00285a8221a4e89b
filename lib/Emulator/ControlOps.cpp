// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Branches, divergence, exits and the warp's own little scheduler.
//
// When a branch parts the lanes of a warp, the running split is replaced by two, and a *join* is
// made at the branch's immediate post-dominator, the first place both sides must pass. A split that
// reaches its join waits there; when all expected lanes have arrived they continue as one. Splits
// of a warp run one after the other, but a split that blocks (a barrier, a wait) lets another one
// run: that is the forward progress that independent thread scheduling promises. Lanes that exit
// are taken out of every join that expects them, or their partners would wait forever.
#include "Inline.h"
#include "Launch.h"
#include "Threaded.h"

namespace attnc::emu {

namespace {

/// Runs a ready split, or says why there is none.
const Rec *pickSplit(Warp &w) {
  for (size_t i = w.splits.size(); i-- > 0;) {
    if (w.splits[i].blocked)
      continue;
    Split &s = w.splits[i];
    w.current = static_cast<int32_t>(i);
    w.active = w.exec = s.mask;
    w.joinPc = s.join >= 0 ? w.joins[s.join].pc : noRecord;
    return w.recs + s.pc;
  }
  w.current = -1;
  w.stop = w.splits.empty() ? Stop::Done : Stop::Blocked;
  return nullptr;
}

int32_t openJoin(Warp &w, uint32_t pc, uint32_t expected, int32_t parent) {
  Join j{pc, expected, 0, parent, true};
  for (size_t i = 0; i < w.joins.size(); ++i)
    if (!w.joins[i].open) {
      w.joins[i] = j;
      return static_cast<int32_t>(i);
    }
  w.joins.push_back(j);
  return static_cast<int32_t>(w.joins.size()) - 1;
}

/// Closes a join whose lanes are all there and lets them continue.
void releaseIfComplete(Warp &w, int32_t index) {
  Join &j = w.joins[index];
  if (!j.open || j.arrived != j.expected)
    return;
  j.open = false;
  if (j.arrived)
    w.splits.push_back({j.pc, j.arrived, j.parent, false});
}

} // namespace

const Rec *blockSplit(Warp &w, const Rec *resume, Wait why, const Rec *at) {
  Split &s = w.splits[w.current];
  s.pc = static_cast<uint32_t>(resume - w.recs);
  s.blocked = true;
  w.wait = why;
  w.waitRec = at;
  return pickSplit(w);
}

void wake(Warp &w) {
  for (Split &s : w.splits)
    s.blocked = false;
  w.wait = Wait::None;
  w.stop = Stop::Yield;
}

void startWarp(Warp &w, uint32_t live) {
  w.live = live;
  w.splits.assign(1, Split{0, live, -1, false});
  w.joins.clear();
  w.current = -1;
  w.wait = Wait::None;
  w.waitRec = nullptr;
  w.stop = Stop::Yield;
  w.executed = 0;
  w.polled = false;
}

void runWarp(Warp &w) {
  w.budget = 2048;
  w.polled = false;
  const ThreadedCode *code = w.cta->launch->kernel->code.get();
  const Rec *r = pickSplit(w);
  if (code)
    while (r)
      r = code->run(w, r);
  while (r)
    r = r->fn(w, r);
}

/// Every basic block starts with this record: it counts the block and joins diverged lanes.
const Rec *blockHead(Warp &w, const Rec *r) {
  for (;;) {
    if (w.joinPc == r->index) {
      int32_t index = w.splits[w.current].join;
      w.joins[index].arrived |= w.active;
      w.splits.erase(w.splits.begin() + w.current);
      releaseIfComplete(w, index);
      const Rec *next = pickSplit(w);
      if (next != r)
        return next;
      continue; // a complete join continues here, perhaps into an outer join at the same place
    }
    BlockCounts &c = w.cta->launch->blockCounts[r->aux];
    ++c.warps;
    c.threads += static_cast<uint32_t>(__builtin_popcount(w.active));
    w.executed += r->aux2;
    return r + 1;
  }
}

/// Backward branches spend the budget, so that a warp that spins lets the others run.
static const Rec *jump(Warp &w, const Rec *from, uint32_t target) {
  if (target <= from->index && --w.budget == 0) {
    w.splits[w.current].pc = target;
    w.stop = Stop::Yield;
    // Rotate, so that another split of this warp gets its turn next time.
    std::swap(w.splits[w.current], w.splits.front());
    return nullptr;
  }
  return w.recs + target;
}

/// aux: target.
const Rec *branch(Warp &w, const Rec *r) { return jump(w, r, r->aux); }

/// aux: target; aux2: immediate post-dominator or noRecord; guard: predicate.
const Rec *branchIf(Warp &w, const Rec *r) {
  uint32_t p = *place<uint32_t>(w, r->guard & ~1u) ^ (r->guard & 1 ? ~0u : 0u);
  uint32_t taken = w.active & p;
  if (!taken)
    return r + 1;
  if (taken == w.active)
    return jump(w, r, r->aux);
  ++w.cta->launch->divergentBranches;
  Split &s = w.splits[w.current];
  int32_t join = s.join;
  if (r->aux2 != noRecord && w.joinPc != r->aux2)
    join = openJoin(w, r->aux2, w.active, s.join);
  uint32_t rest = w.active & ~taken;
  w.splits[w.current] = Split{r->aux, taken, join, false};
  w.splits.push_back(Split{r->index + 1, rest, join, false});
  return pickSplit(w);
}

/// exit and a kernel's ret, guarded or not.
const Rec *exitLanes(Warp &w, const Rec *r) {
  uint32_t gone = w.exec;
  w.live &= ~gone;
  Split &s = w.splits[w.current];
  s.mask &= ~gone;
  s.pc = r->index + 1;
  int32_t join = s.join;
  if (!s.mask)
    w.splits.erase(w.splits.begin() + w.current);
  for (; join >= 0;) {
    int32_t parent = w.joins[join].parent;
    w.joins[join].expected &= ~gone;
    releaseIfComplete(w, join);
    join = parent;
  }
  return pickSplit(w);
}

/// Runs `inner` with the lanes whose predicate holds.
const Rec *guarded(Warp &w, const Rec *r) {
  uint32_t p = *place<uint32_t>(w, r->guard & ~1u) ^ (r->guard & 1 ? ~0u : 0u);
  w.exec = w.active & p;
  if (!w.exec) {
    w.exec = w.active;
    return r + 1;
  }
  const Rec *next = r->inner(w, r);
  w.exec = w.active;
  return next;
}

const Rec *nothing(Warp &, const Rec *r) { return r + 1; }

const Rec *trap(Warp &w, const Rec *r) {
  return fault(w, r, __builtin_ctz(w.exec), "trap", "the kernel executed trap");
}

const Rec *callTooDeep(Warp &w, const Rec *r) {
  return fault(w, r, __builtin_ctz(w.exec), "call-depth",
               "calls are nested too deeply; the emulator expands %u levels and %zu instructions",
               maxCallDepth, maxExpandedInstructions);
}

const Rec *assertionFailed(Warp &w, const Rec *r) {
  return fault(w, r, __builtin_ctz(w.exec), "trap", "an assertion of the kernel failed");
}

/// mov from %clock and friends: emulated time is the number of instructions the warp has executed.
const Rec *readClock(Warp &w, const Rec *r) {
  uint64_t now = w.executed * 4;
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (r->aux)
      place<uint64_t>(w, r->o[0])[l] = now;
    else
      place<uint32_t>(w, r->o[0])[l] = static_cast<uint32_t>(now >> r->imm);
  }
  return r + 1;
}

} // namespace attnc::emu

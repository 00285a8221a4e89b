// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// mbarrier objects (PTX ISA 9.7.13.15). The eight bytes in shared memory stay opaque; the state
// lives beside the thread block, keyed by address, so that an operation on bytes that were never
// initialised is recognised. A phase completes when no arrivals *and* no bytes are pending.
//
// Waiting on parity P succeeds when the phase of parity P is the one that completed last, that is,
// when the current phase's parity is not P. A fresh barrier therefore lets a wait for parity 1
// pass, which producers rely on.
#include "Cluster.h"
#include "Hopper.h"

#include <algorithm>
#include <cinttypes>
#include <cstring>

namespace attnc::emu {
namespace {

uint32_t addressOf(Warp &w, const Rec *r, int lane) {
  uint64_t a = r->aux2 & 1 ? place<uint64_t>(w, r->o[0])[lane] : place<uint32_t>(w, r->o[0])[lane];
  const DeviceMemory &m = *w.cta->launch->memory;
  a += r->imm;
  return static_cast<uint32_t>(a >= m.sharedWindow() && a < m.localWindow() ? a - m.sharedWindow()
                                                                            : a);
}

/// What an operation acts on: an mbarrier of this block or, for arrivals, of another one.
struct Found {
  Mbarrier *barrier = nullptr;
  Cta *owner = nullptr;
  uint32_t offset = 0;
};

/// False after a report: a generic address (aux2 bit 1) that is not one of shared memory.
bool isShared(Warp &w, const Rec *r, int lane) {
  uint64_t a = r->aux2 & 2 ? place<uint64_t>(w, r->o[0])[lane] + r->imm : 0;
  return !(r->aux2 & 2) || genericToShared(w, r, lane, a);
}

/// Within a block any barrier that orders the warps will do: TMA completes on an mbarrier through
/// the generic proxy (PTX ISA 9.3, "accesses its mbarrier operand using generic-proxy"), so there
/// is no proxy to cross. Between blocks it takes a release at cluster scope, which
/// fence.mbarrier_init is.
bool knowsInit(Warp &w, const Rec *r, int lane, const Cta &owner, uint32_t offset,
               const Mbarrier &b, const char *what) {
  const HopperWarp &me = w.cta->hopper->warps[w.id];
  const Clocks &clocks = w.cta->cluster->clocks;
  if (!w.cta->launch->options.checks || b.initMember == w.member ||
      (b.published != ~0u && me.phasesWaited > b.published) ||
      clocks.known(w.member)[warpAgent(b.initMember)] >= b.initTime)
    return true;
  fault(w, r, lane, "race",
        "%s on the mbarrier at %s\n  is not ordered after its initialization by warp %u\n    %s",
        what, describeShared(owner, w, offset).c_str(), b.initMember % clocks.warpsPerBlock,
        describe(*w.cta->launch->kernel, b.initRec).c_str());
  return false;
}

Found find(Warp &w, const Rec *r, int lane, const char *what, bool remote = false) {
  Found f;
  if (!isShared(w, r, lane))
    return f;
  uint32_t a = addressOf(w, r, lane);
  f.owner = ownerOf(w, r, lane, a, f.offset);
  if (!f.owner)
    return f;
  noteUse(w, r, *f.owner, warpAgent(w.member));
  if (f.owner != w.cta && !remote) {
    fault(w, r, lane, "invalid-operand",
          "%s needs an mbarrier of its own block; this one is in block rank %u", what,
          f.owner->rank);
    return f;
  }
  if (!sharedObject(*f.owner, w, r, lane, f.offset, 8))
    return f;
  auto &table = f.owner->hopper->mbarriers;
  auto it = table.find(f.offset);
  if (it == table.end()) {
    fault(w, r, lane, "mbarrier-uninitialized", "%s on %s, which holds no initialized mbarrier",
          what, describeShared(*f.owner, w, f.offset).c_str());
    return f;
  }
  if (knowsInit(w, r, lane, *f.owner, f.offset, it->second, what))
    f.barrier = &it->second;
  return f;
}

/// False after a report: more bytes are expected, or came too early, than an mbarrier can count.
bool inRange(Warp &w, const Rec *r, int lane, const Mbarrier &b) {
  constexpr int64_t limit = (1 << 20) - 1;
  if (b.tx <= limit && b.tx >= -limit)
    return true;
  fault(w, r, lane, "mbarrier-overflow",
        "the mbarrier would wait for %" PRId64 " bytes; it counts to 2^20 - 1", b.tx);
  return false;
}

void completeIfDone(Cta &cta, Mbarrier &b) {
  if (b.pending != 0 || b.tx != 0)
    return;
  ++b.phase;
  b.pending = b.expected;
  cta.progressed = true;
}

} // namespace

bool requireMbarrier(Warp &w, const Rec *r, int lane, const Cta &owner, uint32_t offset) {
  auto it = owner.hopper->mbarriers.find(offset);
  if (it != owner.hopper->mbarriers.end())
    return knowsInit(w, r, lane, owner, offset, it->second, "asynchronous completion");
  fault(w, r, lane, "mbarrier-uninitialized",
        "completes on %s, which holds no initialized mbarrier",
        describeShared(owner, w, offset).c_str());
  return false;
}

unsigned mbarrierAgent(Cta &owner, uint32_t offset, AgentKind kind) {
  HopperState &h = *owner.hopper;
  Mbarrier &b = h.mbarriers.at(offset);
  if (b.number < 0)
    b.number = static_cast<int32_t>(h.numCopyTargets++ % mbarriersPerBlock);
  return owner.cluster->clocks.mbarrierAgent(kind, owner.rank * mbarriersPerBlock +
                                                       static_cast<unsigned>(b.number));
}

bool checkNoMbarrier(Warp &w, const Rec *r, int lane, const Cta &owner, uint64_t begin,
                     uint32_t bytes, const char *verb) {
  if (!nearMbarriers(owner, begin, bytes))
    return true;
  for (uint64_t at = begin & ~7ull; at < begin + bytes; at += 8) {
    auto it = owner.hopper->mbarriers.find(static_cast<uint32_t>(at));
    if (it == owner.hopper->mbarriers.end())
      continue;
    fault(
        w, r, lane, "mbarrier-access",
        "%s of %u bytes at %s\n  touches the mbarrier at shared address 0x%x, initialized at\n    "
        "%s\n  whose bytes are opaque until mbarrier.inval",
        verb, bytes, describeShared(owner, w, begin).c_str(), static_cast<unsigned>(at),
        describe(*w.cta->launch->kernel, it->second.initRec).c_str());
    return false;
  }
  return true;
}

void completeTx(Cta &cta, Mbarrier &b, int64_t bytes) {
  b.tx -= bytes;
  completeIfDone(cta, b);
}

/// o[0] address, o[1] count.
const Rec *mbarrierInit(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (!isShared(w, r, l))
      return nullptr;
    uint32_t a = addressOf(w, r, l), count = place<uint32_t>(w, r->o[1])[l];
    if (!sharedObject(*w.cta, w, r, l, a, 8))
      return nullptr;
    if (count == 0 || count >= (1u << 20))
      return fault(w, r, l, "invalid-operand", "mbarrier count must be 1 to 2^20 - 1, is %u",
                   count);
    Cta &cta = *w.cta;
    if (cta.hopper->mbarriers.count(a))
      return fault(w, r, l, "mbarrier-reinitialized",
                   "mbarrier.init on shared address 0x%x, which holds a live mbarrier", a);
    Access access;
    access.address[l] = a;
    access.lanes = 1u << l;
    access.bytes = 8;
    access.mode = Mode::Store;
    access.space = Space::Shared;
    if (!resolve(w, r, access)) // an ordinary write, which others must be ordered after
      return nullptr;
    memset(cta.sharedInit.data() + (a >> 2), 0, 2); // so that the quick ways of reading stop here
    if (cta.mbarrierChunks.empty())
      cta.mbarrierChunks.assign(cta.sharedEnd / 16 + 1, 0);
    cta.mbarrierChunks[a / 16] = 1;
    Mbarrier &b = cta.hopper->mbarriers[a];
    b.expected = b.pending = static_cast<int32_t>(count);
    b.initMember = w.member;
    b.initTime = cta.cluster->clocks.now(warpAgent(w.member));
    b.initRec = r;
  }
  return r + 1;
}

const Rec *mbarrierInval(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    Found f = find(w, r, l, "mbarrier.inval");
    if (!f.barrier)
      return nullptr;
    w.cta->hopper->mbarriers.erase(f.offset);
  }
  return r + 1;
}

/// o[0] address, o[1] count or bytes, o[2] state (64-bit) when mbarState is set.
const Rec *mbarrierArrive(Warp &w, const Rec *r) {
  Clocks &clocks = w.cta->cluster->clocks;
  const Mbarrier *joined = nullptr; // the lanes of a warp know the same
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    Found f = find(w, r, l, "arrive", true);
    Mbarrier *b = f.barrier;
    if (!b)
      return nullptr;
    int32_t count = r->aux & mbarCount ? static_cast<int32_t>(place<uint32_t>(w, r->o[1])[l]) : 1;
    if (r->aux & mbarExpectTx)
      b->tx += place<uint32_t>(w, r->o[1])[l];
    if (r->aux & mbarState)
      place<uint64_t>(w, r->o[2])[l] = uint64_t(b->phase) << 32 | static_cast<uint32_t>(b->pending);
    if (count < 1 || count > b->pending)
      return fault(w, r, l, "mbarrier-overflow",
                   "%d arrivals at the mbarrier at %s, which expects only %d more in phase %u",
                   count, describeShared(*f.owner, w, f.offset).c_str(), b->pending, b->phase);
    if ((r->aux & mbarNoComplete) && count == b->pending && b->tx == 0)
      return fault(w, r, l, "mbarrier-phase",
                   "arrive.noComplete completes phase %u of the mbarrier at %s", b->phase,
                   describeShared(*f.owner, w, f.offset).c_str());
    if (!inRange(w, r, l, *b))
      return nullptr;
    if (!(r->aux & mbarRelaxed) && b != joined)
      clocks.joinInto(w.member, b->clock);
    joined = b;
    if (r->aux & mbarDrop)
      b->expected -= count;
    b->pending -= count;
    completeIfDone(*f.owner, *b);
  }
  clocks.tickWarp(w.member);
  return r + 1;
}

/// expect_tx (aux 0) and complete_tx (aux 1); o[1] bytes.
const Rec *mbarrierTx(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    Found f = find(w, r, l, r->aux ? "complete_tx" : "expect_tx", true);
    Mbarrier *b = f.barrier;
    if (!b)
      return nullptr;
    uint32_t bytes = place<uint32_t>(w, r->o[1])[l];
    b->tx += r->aux ? -int64_t(bytes) : int64_t(bytes);
    if (!inRange(w, r, l, *b))
      return nullptr;
    if (r->aux)
      completeIfDone(*f.owner, *b);
  }
  return r + 1;
}

/// o[0] address, o[1] parity (32-bit) or state (64-bit), o[2] predicate. A try_wait that would fail
/// steps aside until it succeeds; a test_wait returns its answer.
const Rec *mbarrierWait(Warp &w, const Rec *r) {
  Cta &cta = *w.cta;
  uint32_t done = 0;
  int before = -1; // lanes nearly always ask the same question
  bool ready = false;
  auto sameQuestion = [&](int l) {
    return addressOf(w, r, l) == addressOf(w, r, before) &&
           (r->aux & mbarParity
                ? place<uint32_t>(w, r->o[1])[l] == place<uint32_t>(w, r->o[1])[before]
                : place<uint64_t>(w, r->o[1])[l] == place<uint64_t>(w, r->o[1])[before]);
  };
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (before >= 0 && sameQuestion(l)) {
      done |= static_cast<uint32_t>(ready) << l;
      continue;
    }
    before = l;
    Mbarrier *b = find(w, r, l, "wait").barrier;
    if (!b)
      return nullptr;
    uint32_t parity = 0;
    if (r->aux & mbarParity) {
      parity = place<uint32_t>(w, r->o[1])[l] & 1;
      ready = (b->phase & 1) != parity;
    } else {
      uint32_t phase = static_cast<uint32_t>(place<uint64_t>(w, r->o[1])[l] >> 32);
      parity = phase & 1;
      ready = b->phase != phase;
      if (b->phase > phase + 1)
        return fault(w, r, l, "mbarrier-phase",
                     "waits for phase %u of the mbarrier at shared address 0x%x, which is in phase "
                     "%u already",
                     phase, addressOf(w, r, l), b->phase);
    }
    if (ready) {
      done |= 1u << l;
      if (!(r->aux & mbarRelaxed))
        cta.cluster->clocks.acquire(w.member, b->clock);
    } else {
      w.waitArg = addressOf(w, r, l);
      w.waitArg2 = parity;
    }
  }
  if (done != w.exec) {
    w.polled = true;
    if (r->aux & mbarTry) {
      w.wait = Wait::Mbarrier;
      w.waitRec = r;
      w.splits[w.current].pc = r->index;
      // Let another split of this warp run next time: it may be the one that will arrive.
      std::swap(w.splits[w.current], w.splits.front());
      w.stop = Stop::Yield;
      return nullptr;
    }
  } else {
    cta.progressed = true;
    w.wait = Wait::None;
  }
  uint32_t *p = place<uint32_t>(w, r->o[2]);
  *p = (*p & ~w.exec) | done;
  return r + 1;
}

const Rec *mbarrierPendingCount(Warp &w, const Rec *r) {
  for (uint32_t m = w.exec; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    place<uint32_t>(w, r->o[0])[l] = static_cast<uint32_t>(place<uint64_t>(w, r->o[1])[l]);
  }
  return r + 1;
}

/// fence.proxy.async: what these lanes know becomes visible to asynchronous work. aux: ProxySpaces.
const Rec *proxyFence(Warp &w, const Rec *r) {
  Cluster &c = *w.cta->cluster;
  c.clocks.proxyFence(w.member, r->aux, w.exec, w.exec != w.live);
  if (r->aux & proxyGlobal) // only the thorough checks fill this
    for (auto &[serial, clock] : c.foreign)
      for (size_t i = 0, n = clock.size() / 3; i < n; ++i)
        if (kindOf(i) < AgentKind::Bulk)
          clock[proxyGlobal * n + i] = std::max(clock[proxyGlobal * n + i], clock[i]);
  return r + 1;
}

} // namespace attnc::emu

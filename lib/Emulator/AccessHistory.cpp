// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Histories of words and the synchronization between clusters; see AccessHistory.h.
#include "AccessHistory.h"
#include "AsyncOps.h"
#include "Hopper.h"

#include <algorithm>

namespace attnc::emu {

namespace {

void join(VectorClock &to, const VectorClock &from) {
  to.resize(std::max(to.size(), from.size()));
  for (size_t i = 0; i < from.size(); ++i)
    to[i] = std::max(to[i], from[i]);
}

void join(Knowledge &to, const Knowledge &from) {
  for (auto &[cluster, clock] : from)
    join(to[cluster], clock);
}

/// Everything the warp knows, of its own cluster and of others.
Knowledge knowledgeOf(const Warp &w) {
  const Cluster &c = *w.cta->cluster;
  Knowledge k = c.foreign;
  join(k[c.serial], c.clocks.known(w.member));
  return k;
}

void learn(Warp &w, const Knowledge &k) {
  Cluster &c = *w.cta->cluster;
  for (auto &[cluster, clock] : k) {
    if (cluster == c.serial)
      c.clocks.acquire(w.member, clock);
    else
      join(c.foreign[cluster], clock);
  }
}

} // namespace

void SyncWords::release(Warp &w, uint64_t address, bool now) {
  FenceState &f = w.cta->cluster->fences[w.member];
  if (now) {
    join(words[address], knowledgeOf(w));
    w.cta->cluster->clocks.tickWarp(w.member);
  } else if (f.fenced) {
    join(words[address], f.published);
  }
}

void SyncWords::acquire(Warp &w, uint64_t address, bool now) {
  auto it = words.find(address);
  if (it == words.end())
    return;
  if (now)
    learn(w, it->second);
  else
    join(w.cta->cluster->fences[w.member].observed, it->second);
}

void SyncWords::fence(Warp &w) {
  FenceState &f = w.cta->cluster->fences[w.member];
  learn(w, f.observed);
  f.observed.clear();
  f.published = knowledgeOf(w);
  f.fenced = true;
  w.cta->cluster->clocks.tickWarp(w.member);
}

const Rec *memoryFence(Warp &w, const Rec *r) {
  if (ThoroughState *t = w.cta->launch->thorough.get(); t && r->aux)
    t->sync.fence(w);
  return r + 1;
}

AccessHistory::Word *AccessHistory::wordsAt(uint64_t index) {
  uint64_t page = index / pageWords;
  if (page != lastPage) {
    auto &slot = pages[page];
    if (!slot)
      slot = std::make_unique<Word[]>(pageWords);
    lastPage = page;
    last = slot.get();
  }
  return last + index % pageWords;
}

/// What a bulk copy writes to global memory completes later than its reads: clocks have a part of
/// their own for that.
static size_t partOf(unsigned agent, bool wrote) {
  return wrote && kindOf(agent) == AgentKind::Bulk ? proxyGlobal : 0;
}

bool AccessHistory::ordered(const Warp &w, int lane, unsigned agent, const Past &past,
                            bool wrote) const {
  const Cluster &c = *w.cta->cluster;
  if (past.cluster != c.serial) {
    auto it = c.foreign.find(past.cluster);
    if (it == c.foreign.end())
      return false;
    size_t at = partOf(past.agent, wrote) * (it->second.size() / 3) + past.agent;
    return at < it->second.size() && it->second[at] >= past.time;
  }
  const uint32_t now = c.clocks.now(warpAgent(w.member));
  if (past.agent == warpAgent(w.member) && past.time == now)
    return past.lane == lane; // the warp has not synchronized since
  size_t at = partOf(past.agent, wrote) * c.clocks.agents() + past.agent;
  if (past.agent != agent && c.clocks.known(w.member)[at] < past.time)
    return false;
  if (past.agent != copyAgent(w.member) || past.lane == lane)
    return true;
  // cp.async.wait_group is each thread's own: another lane has to hear of it.
  auto &waits = w.async->waits;
  auto it = std::lower_bound(waits.begin(), waits.end(), std::pair(past.time, 0u));
  return it == waits.end() || it->second < now;
}

bool AccessHistory::visibleToAsync(const Warp &w, const Past &past) const {
  const Cluster &c = *w.cta->cluster;
  if (past.cluster == c.serial)
    return c.clocks.visibleToAsync(c.clocks.known(w.member), proxyGlobal, past.agent, past.time,
                                   past.lane);
  auto it = c.foreign.find(past.cluster);
  if (it == c.foreign.end())
    return false;
  size_t at = proxyGlobal * (it->second.size() / 3) + past.agent;
  return at < it->second.size() && it->second[at] >= past.time;
}

/// Who made an access, and where it is not this block, of which.
std::string AccessHistory::nameOf(const Warp &w, const Past &past) const {
  const Launch &L = *w.cta->launch;
  const Cluster &c = *w.cta->cluster;
  unsigned perBlock = c.clocks.warpsPerBlock, member = memberOf(past.agent);
  if (c.clocks.isMbarrierAgent(past.agent))
    return "a copy that completes on an mbarrier";
  std::string who =
      "warp " + std::to_string(member % perBlock) + " lane " + std::to_string(past.lane);
  if (kindOf(past.agent) == AgentKind::Bulk)
    who = "the bulk copy issued by " + who;
  else if (kindOf(past.agent) == AgentKind::Copy)
    who = "the asynchronous copy issued by " + who;
  if (past.cluster != c.serial || member / perBlock != w.cta->rank) {
    const Dim3 &g = L.config.grid, &k = L.config.cluster;
    uint32_t linear = past.cluster - 1, rank = member / perBlock;
    uint32_t cx = g.x / k.x, cy = g.y / k.y;
    who += " of block (" + std::to_string(linear % cx * k.x + rank % k.x) + "," +
           std::to_string(linear / cx % cy * k.y + rank / k.x % k.y) + "," +
           std::to_string(linear / cx / cy * k.z + rank / k.x / k.y) + ")";
  }
  return who;
}

bool AccessHistory::report(Warp &w, const Rec *r, int lane, Space space, uint64_t address,
                           const char *what, const Past &past, const std::string &values) {
  const Launch &L = *w.cta->launch;
  const Cluster &c = *w.cta->cluster;
  bool sameWarp = past.cluster == c.serial && memberOf(past.agent) == w.member;
  const char *hint = "no barrier or other synchronization lies between the two accesses";
  if (kindOf(past.agent) == AgentKind::Bulk)
    hint = "no wait for all of that copy (.read leaves out its writes) orders the two accesses";
  else if (sameWarp)
    hint = "no bar.warp.sync lies between the two accesses of one warp";
  else if (past.cluster != c.serial)
    hint = "no release and acquire orders the two blocks";
  fault(w, r, lane, "race", "%s at %s\n  is not ordered after %s\n    %s\n%s  %s", what,
        describeAddress(w, space, address).c_str(), nameOf(w, past).c_str(),
        past.rec == noRecord ? "an unknown instruction"
                             : describe(*L.kernel, &L.kernel->recs[past.rec]).c_str(),
        values.empty() ? "" : ("  " + values + "\n").c_str(), hint);
  return false;
}

bool AccessHistory::reportProxy(Warp &w, const Rec *r, int lane, uint64_t address, const char *what,
                                const Past &past) {
  const Kernel &k = *w.cta->launch->kernel;
  fault(w, r, lane, "missing-proxy-fence",
        "asynchronous %s at %s\n  of bytes written through the generic proxy by %s\n    %s\n"
        "  needs a fence.proxy.async between the write and the synchronization that orders them",
        what, describeAddress(w, Space::Global, address).c_str(), nameOf(w, past).c_str(),
        past.rec == noRecord ? "an unknown instruction" : describe(k, &k.recs[past.rec]).c_str());
  return false;
}

bool AccessHistory::access(Warp &w, const Rec *r, int lane, unsigned agent, Space space,
                           uint64_t address, uint32_t bytes, Mode mode, bool strong,
                           const Access *store, int from) {
  Past now;
  now.cluster = w.cta->cluster->serial;
  now.time = w.cta->cluster->clocks.now(agent);
  now.rec = r->index;
  now.agent = static_cast<uint16_t>(agent);
  now.lane = static_cast<uint8_t>(lane);
  now.strong = strong;
  for (uint64_t at = address & ~3ull; at < address + bytes; at += 4) {
    uint64_t begin = std::max(at, address), end = std::min(at + 4, address + bytes);
    now.mask = static_cast<uint8_t>(((1u << (end - begin)) - 1) << (begin - at));
    Word &word = *wordsAt(at / 4);
    auto unordered = [&](const Past &p, bool wrote) {
      // One instruction may write one place with several lanes; which of them stays is open.
      bool sameInstruction = p.rec == now.rec && p.cluster == now.cluster && p.agent == now.agent &&
                             p.time == now.time;
      return p.cluster && !(p.strong && strong) && !sameInstruction &&
             !ordered(w, lane, agent, p, wrote);
    };
    const bool unorderedWrite = unordered(word.write, true),
               unorderedOther = unordered(word.other, true);
    // Both writers of a byte put the same value there, and to come after one of them is enough.
    const unsigned certain =
        (unorderedWrite ? 0u : word.write.mask) | (unorderedOther ? 0u : word.other.mask);
    for (const Past *p : {&word.write, &word.other}) {
      unsigned both = p->mask & now.mask;
      if (!(p == &word.write ? unorderedWrite : unorderedOther) || !both)
        continue;
      if (mode == Mode::Load) {
        if (both & ~certain)
          return report(w, r, lane, space, begin, "read", *p);
        continue;
      }
      std::string values;
      if (store && store->stored && !p->strong && !strong && kindOf(p->agent) == AgentKind::Warp) {
        StoredWord value(w, r, from, *store, at, static_cast<uint8_t>(both));
        if (value.equal())
          continue;
        values = value.words();
      }
      return report(w, r, lane, space, begin, "write after write", *p, values);
    }
    const Past &written = word.write;
    if (kindOf(agent) == AgentKind::Bulk && written.cluster && (written.mask & now.mask) &&
        kindOf(written.agent) < AgentKind::Bulk && !visibleToAsync(w, written))
      return reportProxy(w, r, lane, begin, mode == Mode::Load ? "read" : "write", written);
    if (mode == Mode::Load) {
      auto sameThread = [&](const Past &p) {
        return p.cluster == now.cluster && p.agent == now.agent && p.lane == now.lane;
      };
      Past &slot =
          !word.reads[0].cluster || sameThread(word.reads[0]) ? word.reads[0] : word.reads[1];
      now.mask |= sameThread(slot) && slot.time == now.time ? slot.mask : 0;
      slot = now;
      continue;
    }
    for (const Past &p : word.reads)
      if ((p.mask & now.mask) && unordered(p, false))
        return report(w, r, lane, space, begin, "write after read", p);
    bool same = word.write.cluster == now.cluster && word.write.agent == now.agent &&
                word.write.time == now.time && word.write.lane == now.lane;
    now.mask |= same ? word.write.mask : 0;
    if (unorderedWrite)
      word.other = word.write;
    else if (!unorderedOther)
      word.other = Past();
    word.write = now;
    word.reads[0] = word.reads[1] = Past();
  }
  return true;
}

bool checkThoroughly(Warp &w, const Rec *r, const Access &a) {
  Launch &L = *w.cta->launch;
  bool global = a.space == Space::Global;
  AccessHistory &history = global ? L.thorough->global : *(a.owner ? a.owner : w.cta)->history;
  bool strong = a.synchronizing;
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (global && strong) {
      bool narrow = r->aux2 & memCtaScope;
      if (a.mode != Mode::Store && !narrow)
        L.thorough->sync.acquire(w, a.address[l], r->aux2 & memAcquire);
      if (a.mode != Mode::Load && !narrow)
        L.thorough->sync.release(w, a.address[l], r->aux2 & memRelease);
    }
    // Rows of ldmatrix go to all lanes and those of stmatrix come from all: no single lane is
    // meant.
    int lane = a.collective ? collectiveLane : l;
    if (!history.access(w, r, lane, warpAgent(w.member), a.space, a.address[l], a.bytes, a.mode,
                        strong, a.mode == Mode::Store ? &a : nullptr, l))
      return false;
  }
  return true;
}

bool checkCopyThoroughly(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (!(a.owner ? a.owner : w.cta)
             ->history->access(w, r, l, agent, a.space, a.address[l], a.bytes, Mode::Store, false))
      return false;
  }
  return true;
}

bool checkBulkThoroughly(Warp &w, const Rec *r, int lane, unsigned agent, uint64_t address,
                         uint32_t bytes, bool write, bool strong) {
  return w.cta->launch->thorough->global.access(w, r, lane, agent, Space::Global, address, bytes,
                                                write ? Mode::Store : Mode::Load, strong);
}

} // namespace attnc::emu

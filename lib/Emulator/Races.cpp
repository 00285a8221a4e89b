// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The race detector's shadow memory; see Races.h for the model. One entry per 4-byte word with a
// byte mask, so that two warps may own neighbouring bf16 values. The hot path is a read whose words
// were all written at the same time by the same agent: one comparison per word.
#include "Races.h"

#include <algorithm>

namespace attnc::emu {

bool Clocks::start(unsigned members) {
  unsigned count = 4 * members;
  bool startOver = clock.size() != count;
  // Keys hold 32 - agentBits bits of clock; start over well before they run out.
  unsigned bits = 7;
  while (count > 1u << bits)
    ++bits;
  startOver |= bits != agentBits;
  agentBits = bits;
  if (startOver || *std::max_element(clock.begin(), clock.end()) > 1u << (31 - bits)) {
    startOver = true;
    clock.assign(count, 0);
  }
  begin = clock;
  vectors.resize(members);
  for (VectorClock &v : vectors) {
    v.assign(begin.begin(), begin.end());
    v.insert(v.end(), begin.begin(), begin.end());
  }
  for (unsigned i = 0; i < members; ++i)
    tickWarp(i);
  return startOver;
}

void Clocks::joinInto(unsigned member, VectorClock &object) const {
  const VectorClock &v = vectors[member];
  object.resize(v.size());
  for (size_t i = 0; i < v.size(); ++i)
    object[i] = std::max(object[i], v[i]);
}

void Clocks::enter(VectorClock &object, unsigned agent, uint32_t time) const {
  object.resize(2 * clock.size());
  object[agent] = std::max(object[agent], time);
}

void Clocks::acquire(unsigned member, const VectorClock &object) {
  VectorClock &v = vectors[member];
  for (size_t i = 0; i < object.size(); ++i)
    v[i] = std::max(v[i], object[i]);
}

void Clocks::proxyFence(unsigned member) {
  VectorClock &v = vectors[member];
  for (size_t i = 0, n = clock.size(); i < n; ++i)
    v[n + i] = std::max(v[n + i], v[i]);
  tickWarp(member); // writes after the fence are not covered by it
}

void RaceDetector::reset(const Cta &cta, Clocks &shared, bool forget) {
  owner = &cta;
  clocks = &shared;
  agentBits = shared.agentBits;
  words = (cta.sharedEnd + 3) / 4;
  if (forget) {
    lastRead.assign(shared.agents(), 0);
    keys.clear();
    infos.clear();
    readRec.clear();
    readingAgents.clear();
    readers.assign(shared.agents(), {});
  }
  if (keys.size() < words) {
    keys.resize(words, 0);
    infos.resize(words);
    readRec.resize(words, noRecord);
    for (auto &r : readers)
      if (!r.empty())
        r.resize(words, 0);
  }
  for (unsigned i = 0; i < cta.numWarps; ++i)
    ensureReaders(warpAgent(cta.warps[i]->member));
}

void RaceDetector::ensureReaders(unsigned agent) {
  if (readers[agent].size() >= words)
    return;
  if (readers[agent].empty())
    readingAgents.push_back(agent);
  readers[agent].resize(words, 0);
}

std::string RaceDetector::agentName(unsigned agent) const {
  static constexpr const char *kinds[] = {"", "the asynchronous copy issued by ",
                                          "the bulk copy issued by ", "the wgmma issued by "};
  unsigned member = memberOf(agent), perBlock = clocks->warpsPerBlock;
  std::string name = kinds[agent & 3] + ("warp " + std::to_string(member % perBlock));
  return member / perBlock == owner->rank
             ? name
             : name + " of block rank " + std::to_string(member / perBlock);
}

bool RaceDetector::report(Warp &w, const Rec *r, int lane, const Access &a, const char *what,
                          unsigned otherAgent, uint32_t otherRec, int otherLane, bool selfAsync) {
  const Kernel &k = *w.cta->launch->kernel;
  bool pending = kindOf(otherAgent) != AgentKind::Warp && memberOf(otherAgent) == w.member;
  std::string lane2 = otherLane >= 0 ? " lane " + std::to_string(otherLane) : "";
  std::string other =
      otherRec == noRecord ? "an unknown instruction" : describe(k, &k.recs[otherRec]);
  fault(w, r, lane, pending ? "missing-wait" : "race",
        "%s%s at %s\n  is not ordered after %s%s\n    %s\n  %s", selfAsync ? "asynchronous " : "",
        what, describeShared(*owner, w, a.address[lane]).c_str(), agentName(otherAgent).c_str(),
        lane2.c_str(), other.c_str(),
        pending ? "no wait of this warp covers that copy"
                : "no barrier or other synchronization lies between the two accesses");
  return false;
}

/// A write must come after the last write and after every read of the same bytes. The loop over
/// agents is outside, so that the words of one lane, which are contiguous, are checked together.
bool RaceDetector::checkWrite(Warp &w, const Rec *r, int lane, const Access &a, uint32_t first,
                              uint32_t count, uint8_t mask, unsigned agent) {
  const VectorClock &v = clocks->known(w.member);
  const uint32_t mine = keyOf(clocks->now(agent), agent);
  for (uint32_t word = first; word < first + count; ++word) {
    unsigned other = agentOf(keys[word]);
    const WriteInfo &old = infos[word];
    // A warp's own accesses are in order, and the pieces of one operation may share
    // a chunk; two lanes of one cp.async at one place do race.
    bool self = other == agent &&
                (agent == warpAgent(w.member) || (keys[word] == mine && old.lane == lane));
    if (!self && !ordered(v, other, clockOf(keys[word])) && (old.mask & mask))
      return report(w, r, lane, a, "write after write", other, old.rec, old.lane,
                    kindOf(agent) != AgentKind::Warp);
  }
  for (unsigned i : readingAgents) {
    if (i == warpAgent(w.member) ||
        ordered(v, i, lastRead[i])) // all its reads are known to this warp
      continue;
    const uint32_t *reads = readers[i].data() + first;
    uint32_t late = 0;
    for (uint32_t k = 0; k < count; ++k)
      late |= (reads[k] >> 4) > v[i] ? reads[k] : 0;
    if (!(late & mask))
      continue;
    for (uint32_t k = 0; k < count; ++k)
      if ((reads[k] & mask) && !ordered(v, i, reads[k] >> 4))
        return report(w, r, lane, a, "write after read", i, readRec[first + k], -1,
                      kindOf(agent) != AgentKind::Warp);
  }
  return true;
}

static uint8_t byteMask(uint64_t address, uint32_t bytes) {
  return bytes >= 4 ? 0xf : static_cast<uint8_t>(((1u << bytes) - 1) << (address & 3));
}

bool RaceDetector::checkRead(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word,
                             uint8_t mask) {
  unsigned other = agentOf(keys[word]);
  if (other == warpAgent(w.member) ||
      ordered(clocks->known(w.member), other, clockOf(keys[word])) || !(infos[word].mask & mask))
    return true;
  return report(w, r, lane, a, "read", other, infos[word].rec, infos[word].lane, false);
}

/// Reads of whole words. The inner loops have a constant length and vectorise; a key that was good
/// for one word is good for all.
template <unsigned Words> bool RaceDetector::load(Warp &w, const Rec *r, const Access &a) {
  unsigned me = warpAgent(w.member);
  uint32_t now = clocks->now(me), stamp = now << 4 | 0xf, good = ~0u;
  lastRead[me] = now;
  uint32_t *mine = readers[me].data();
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    const uint32_t *key = &keys[first];
    uint32_t different = 0;
    for (unsigned k = 0; k < Words; ++k)
      different |= key[k] ^ good;
    if (different) {
      for (unsigned k = 0; k < Words; ++k)
        if (!checkRead(w, r, l, a, first + k, 0xf))
          return false;
      good = key[0];
      for (unsigned k = 1; k < Words; ++k)
        good = key[k] == good ? good : ~0u;
    }
    for (unsigned k = 0; k < Words; ++k)
      mine[first + k] = stamp;
    for (unsigned k = 0; k < Words; ++k)
      readRec[first + k] = r->index;
  }
  return true;
}

bool RaceDetector::access(Warp &w, const Rec *r, const Access &a) {
  if (a.synchronizing)
    return true; // volatile and atomic accesses are the program's own synchronization
  unsigned me = warpAgent(w.member);
  uint32_t now = clocks->now(me), count = std::max(1u, a.bytes / 4);
  ensureReaders(me); // another block's warp may come for the first time
  if (a.mode == Mode::Load && a.bytes >= 4)
    return count == 1 ? load<1>(w, r, a) : count == 2 ? load<2>(w, r, a) : load<4>(w, r, a);
  uint32_t *mine = readers[me].data();
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint8_t mask = byteMask(a.address[l], a.bytes);
    uint32_t word = static_cast<uint32_t>(a.address[l] >> 2);
    if (a.mode == Mode::Load) {
      lastRead[me] = now;
      if (!checkRead(w, r, l, a, word, mask))
        return false;
      mine[word] = (mine[word] >> 4 == now ? mine[word] : now << 4) | mask;
      readRec[word] = r->index;
      continue;
    }
    if (!checkWrite(w, r, l, a, word, count, mask, me))
      return false;
    uint32_t key = keyOf(now, me);
    for (uint32_t k = word; k < word + count; ++k) {
      uint8_t before = keys[k] == key ? infos[k].mask : 0;
      keys[k] = key;
      infos[k] = {r->index, static_cast<uint16_t>(l), static_cast<uint8_t>(before | mask)};
    }
  }
  return true;
}

bool RaceDetector::asyncWrite(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  uint32_t now = clocks->now(agent), count = std::max(1u, a.bytes / 4);
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    if (!checkWrite(w, r, l, a, first, count, 0xf, agent))
      return false;
    for (uint32_t word = first; word < first + count; ++word) {
      keys[word] = keyOf(now, agent);
      infos[word] = {r->index, static_cast<uint16_t>(l), 0xf};
    }
  }
  return true;
}

bool RaceDetector::asyncRead(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  ensureReaders(agent);
  uint32_t now = clocks->now(agent), count = std::max(1u, a.bytes / 4);
  lastRead[agent] = now;
  const VectorClock &v = clocks->known(w.member);
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    for (uint32_t word = first; word < first + count; ++word) {
      const WriteInfo &old = infos[word];
      unsigned other = agentOf(keys[word]);
      if (other != warpAgent(w.member) && old.mask && !ordered(v, other, clockOf(keys[word])))
        return report(w, r, l, a, "read", other, old.rec, old.lane, true);
      if (kindOf(other) < AgentKind::Bulk && old.rec != noRecord &&
          clockOf(keys[word]) > v[clocks->agents() + other]) {
        fault(w, r, l, "missing-proxy-fence",
              "asynchronous read at %s\n  of bytes written through the generic proxy by %s lane "
              "%d\n    %s\n"
              "  needs a fence.proxy.async between the write and the barrier that orders them",
              describeShared(*owner, w, a.address[l]).c_str(), agentName(other).c_str(), old.lane,
              describe(*w.cta->launch->kernel, &w.cta->launch->kernel->recs[old.rec]).c_str());
        return false;
      }
      readers[agent][word] = now << 4 | 0xf;
      readRec[word] = r->index;
    }
  }
  return true;
}

bool RaceDetector::pendingCopy(Warp &w, const Rec *r, int lane, const Access &a) {
  uint32_t first = static_cast<uint32_t>(a.address[lane] >> 2), count = std::max(1u, a.bytes / 4);
  for (uint32_t word = first; word < first + count; ++word) {
    const WriteInfo &old = infos[word];
    unsigned other = agentOf(keys[word]);
    if (kindOf(other) != AgentKind::Warp && old.rec != noRecord &&
        !ordered(clocks->known(w.member), other, clockOf(keys[word]))) {
      report(w, r, lane, a, "read", other, old.rec, old.lane, false);
      return true;
    }
  }
  return false;
}

} // namespace attnc::emu

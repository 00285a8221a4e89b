// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The race detector's shadow memory; see Races.h for the model. One entry per 4-byte word with a
// byte mask, so that two warps may own neighbouring bf16 values, and above it one per 16-byte chunk
// for what is written or read whole, which is nearly everything in a tensor kernel.
#include "Races.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace attnc::emu {

bool Clocks::start(unsigned members, unsigned mbarriers) {
  unsigned count = 4 * (members + mbarriers);
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
  numMbarriers = mbarriers;
  vectors.resize(members);
  for (VectorClock &v : vectors) {
    v.clear();
    for (int part = 0; part < 3; ++part)
      v.insert(v.end(), begin.begin(), begin.end());
  }
  laneFences.assign(members, {});
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
  object.resize(3 * clock.size());
  object[agent] = std::max(object[agent], time);
}

void Clocks::acquire(unsigned member, const VectorClock &object) {
  VectorClock &v = vectors[member];
  for (size_t i = 0; i < object.size(); ++i)
    v[i] = std::max(v[i], object[i]);
}

void Clocks::proxyFence(unsigned member, unsigned spaces, uint32_t lanes, bool partial) {
  VectorClock &v = vectors[member];
  const unsigned self = warpAgent(member);
  if (partial)
    laneFences[member].push_back({clock[self], lanes, spaces});
  for (size_t i = 0, n = clock.size(); i < n; ++i) {
    if (kindOf(i) >= AgentKind::Bulk)
      continue;
    uint32_t known = partial && i == self ? v[i] - 1 : v[i];
    for (unsigned part = 1; part <= 2; ++part)
      if (spaces & part)
        v[part * n + i] = std::max(v[part * n + i], known);
  }
  tickWarp(member); // writes after the fence are not covered by it
}

bool Clocks::visibleToAsync(const VectorClock &v, ProxySpaces space, unsigned writer, uint32_t time,
                            int lane) const {
  size_t at = space * clock.size() + writer;
  if (at < v.size() && time <= v[at])
    return true;
  if (kindOf(writer) != AgentKind::Warp)
    return false;
  // The fence ended the time at which it was executed, so whoever knows that time knows the fence.
  const std::vector<LaneFence> &fences = laneFences[memberOf(writer)];
  auto it = std::lower_bound(fences.begin(), fences.end(), time,
                             [](const LaneFence &f, uint32_t t) { return f.time < t; });
  return it != fences.end() && it->time == time && lane >= 0 && (it->lanes >> lane & 1) &&
         (it->spaces & space);
}

void RaceDetector::reset(const Cta &cta, Clocks &shared, bool forget) {
  owner = &cta;
  clocks = &shared;
  agentBits = shared.agentBits;
  words = (cta.sharedEnd + 15) / 16 * 4;
  if (forget) {
    lastRead.assign(shared.agents(), 0);
    lastWordRead.assign(shared.agents(), 0);
    keys.clear();
    infos.clear();
    readRec.clear();
    chunkKeys.clear();
    chunkInfos.clear();
    readingAgents.clear();
    readers.assign(shared.agents(), {});
    chunkReads.assign(shared.agents(), {});
  }
  if (keys.size() < words) {
    keys.resize(words, 0);
    infos.resize(words);
    readRec.resize(words, noRecord);
    chunkKeys.resize(words / 4, 0);
    chunkInfos.resize(words / 4);
    for (unsigned i : readingAgents) {
      readers[i].resize(words, 0);
      chunkReads[i].resize(words / 4);
    }
  }
  for (auto &[word, writers] : contested) // of the block before, which is in the past
    if (!forget && word < keys.size() && keys[word] == contestedKey())
      keys[word] = 0;
  contested.clear();
  for (unsigned i = 0; i < cta.numWarps; ++i)
    addReader(warpAgent(cta.warps[i]->member));
}

void RaceDetector::addReader(unsigned agent) {
  if (!readers[agent].empty())
    return;
  readingAgents.push_back(agent);
  readers[agent].resize(keys.size(), 0);
  chunkReads[agent].resize(chunkKeys.size());
}

std::string RaceDetector::agentName(unsigned agent) const {
  static constexpr const char *kinds[] = {"", "the asynchronous copy issued by ",
                                          "the bulk copy issued by ", "the wgmma issued by "};
  unsigned member = memberOf(agent), perBlock = clocks->warpsPerBlock;
  if (clocks->isMbarrierAgent(agent))
    return "the asynchronous copy by";
  std::string name = kinds[agent & 3] + ("warp " + std::to_string(member % perBlock));
  return member / perBlock == owner->rank
             ? name
             : name + " of block rank " + std::to_string(member / perBlock);
}

bool RaceDetector::report(Warp &w, const Rec *r, int lane, const Access &a, const char *what,
                          unsigned otherAgent, uint32_t otherRec, int otherLane, bool selfAsync,
                          const std::string &values) {
  const Kernel &k = *w.cta->launch->kernel;
  const char *hint = "no barrier or other synchronization lies between the two accesses";
  bool pending = false;
  if (clocks->isMbarrierAgent(otherAgent)) {
    hint = "no wait for the mbarrier on which that copy completes lies between the two";
    pending = true;
  } else if (kindOf(otherAgent) != AgentKind::Warp && memberOf(otherAgent) == w.member) {
    hint = kindOf(otherAgent) == AgentKind::Wgmma
               ? "no wgmma.wait_group of this warp covers that wgmma"
               : "no wait of this warp covers that copy";
    pending = true;
  }
  std::string lane2 = otherLane >= 0 ? " lane " + std::to_string(otherLane) : "";
  std::string other =
      otherRec == noRecord ? "an unknown instruction" : describe(k, &k.recs[otherRec]);
  fault(w, r, lane, pending ? "missing-wait" : "race",
        "%s%s at %s\n  is not ordered after %s%s\n    %s\n%s  %s", selfAsync ? "asynchronous " : "",
        what, describeShared(*owner, w, a.address[lane]).c_str(), agentName(otherAgent).c_str(),
        lane2.c_str(), other.c_str(), values.empty() ? "" : ("  " + values + "\n").c_str(), hint);
  return false;
}

/// The agents with a read that is not ordered before `v`; the only ones whose tables a write must
/// look at.
unsigned RaceDetector::lateReaders(const VectorClock &v, unsigned self) {
  late.resize(clocks->agents());
  unsigned n = 0;
  for (unsigned i : readingAgents)
    if (i != self && !ordered(v, i, lastRead[i]))
      late[n++] = i;
  return n;
}

/// Asynchronous work on bytes that were written through the generic proxy needs a proxy fence
/// between, besides the order.
bool RaceDetector::checkProxy(Warp &w, const Rec *r, int lane, const Access &a, const char *what,
                              uint32_t key, const WriteInfo &old) {
  unsigned writer = agentOf(key);
  if (kindOf(writer) >= AgentKind::Bulk || old.rec == noRecord ||
      clocks->visibleToAsync(clocks->known(w.member), proxyShared, writer, clockOf(key), old.lane))
    return true;
  fault(
      w, r, lane, "missing-proxy-fence",
      "asynchronous %s at %s\n  of bytes written through the generic proxy by %s lane %d\n    %s\n"
      "  needs a fence.proxy.async between the write and the barrier that orders them",
      what, describeShared(*owner, w, a.address[lane]).c_str(), agentName(writer).c_str(), old.lane,
      describe(*w.cta->launch->kernel, &w.cta->launch->kernel->recs[old.rec]).c_str());
  return false;
}

/// A write must come after the last write and after every read of the same bytes. `late` is what
/// lateReaders found. The loop over agents is outside, so that the words of one lane, which are
/// contiguous, are checked together.
bool RaceDetector::checkWrite(Warp &w, const Rec *r, int lane, const Access &a, uint32_t first,
                              uint32_t count, uint8_t mask, unsigned agent, unsigned numLate,
                              bool &contests) {
  const VectorClock &v = clocks->known(w.member);
  const uint32_t mine = makeKey(clocks->now(agent), agent);
  for (uint32_t word = first; word < first + count; ++word) {
    uint32_t key = keyOf(word);
    if (orderedKey(v, key)) {
      if (kindOf(agent) == AgentKind::Bulk &&
          !checkProxy(w, r, lane, a, "write", key, infoOf(word)))
        return false;
      if (chunkKeys[word / 4])
        word |= 3; // one key for the whole chunk
      continue;
    }
    if (key == mine && infoOf(word).lane == lane)
      continue; // pieces of one operation may share a chunk, but two lanes at one place do race
    if (!mayContest(w, r, lane, a, word, mask, agent))
      return false;
    contests = true;
  }
  for (unsigned k = 0; k < numLate; ++k) {
    unsigned i = late[k];
    for (uint32_t chunk = first / 4; chunk <= (first + count - 1) / 4; ++chunk)
      if (chunkReads[i][chunk].clock > v[i])
        return report(w, r, lane, a, "write after read", i, chunkReads[i][chunk].rec, -1,
                      kindOf(agent) != AgentKind::Warp);
    if (ordered(v, i, lastWordRead[i]))
      continue;
    const uint32_t *reads = readers[i].data();
    for (uint32_t word = first; word < first + count; ++word)
      if ((reads[word] & mask) && !ordered(v, i, reads[word] >> 4))
        return report(w, r, lane, a, "write after read", i, readRec[word], -1,
                      kindOf(agent) != AgentKind::Warp);
  }
  return true;
}

/// Whether a write that is not ordered after all writers of a word leaves what they left: other
/// bytes, or the same values. False after a report.
bool RaceDetector::mayContest(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word,
                              uint8_t mask, unsigned agent) {
  const VectorClock &v = clocks->known(w.member);
  bool good = true, same = false;
  eachWriter(word, [&](uint32_t key, const WriteInfo &info) {
    uint8_t both = info.mask & mask;
    if (!good)
      return;
    if (orderedKey(v, key)) {
      good = kindOf(agent) != AgentKind::Bulk || checkProxy(w, r, lane, a, "write", key, info);
      return;
    }
    if (!both)
      return;
    // What an asynchronous copy brings may not have come yet.
    bool known =
        a.stored && kindOf(agent) == AgentKind::Warp && kindOf(agentOf(key)) == AgentKind::Warp;
    std::string values;
    if (known) {
      StoredWord value(w, r, lane, a, uint64_t(word) * 4, both);
      same = value.equal();
      if (same)
        return;
      values = value.words();
    }
    good = report(w, r, lane, a, "write after write", agentOf(key), info.rec, info.lane,
                  kindOf(agent) != AgentKind::Warp, values);
  });
  w.cta->launch->sameValueStores += same;
  return good;
}

template <class F> void RaceDetector::eachWriter(uint32_t word, F f) const {
  uint32_t key = keyOf(word);
  if (key != contestedKey())
    return f(key, infoOf(word));
  for (const Writer &writer : contested.at(word))
    f(writer.key, writer.info);
}

/// Notes a write among the writers of a word that it is not ordered after.
void RaceDetector::recordContested(const VectorClock &v, const Rec *r, int lane, uint32_t word,
                                   uint8_t mask, uint32_t key) {
  std::vector<Writer> writers;
  uint8_t mine = mask;
  eachWriter(word, [&](uint32_t other, const WriteInfo &info) {
    if (other == key)
      mine |= info.mask;
    else if (!orderedKey(v, other))
      writers.push_back({other, info});
  });
  splitChunk(word / 4);
  infos[word] = {r->index, static_cast<uint16_t>(lane), mine};
  keys[word] = key;
  if (writers.empty()) {
    contested.erase(word);
    return;
  }
  writers.push_back({key, infos[word]});
  contested[word] = std::move(writers);
  keys[word] = contestedKey();
}

/// A contested word whose writers everybody knows of is like any other.
void RaceDetector::settle(uint32_t word) {
  const std::vector<Writer> &writers = contested.at(word);
  uint8_t mask = 0;
  for (const Writer &writer : writers) {
    mask |= writer.info.mask;
    for (unsigned member = 0; member < clocks->members(); ++member)
      if (!orderedKey(clocks->known(member), writer.key))
        return;
  }
  keys[word] = writers.back().key;
  infos[word] = writers.back().info;
  infos[word].mask = mask;
  contested.erase(word);
}

/// Before words of a chunk go different ways, each gets what the chunk knew.
void RaceDetector::splitChunk(uint32_t chunk) {
  if (!chunkKeys[chunk])
    return;
  for (uint32_t word = 4 * chunk; word < 4 * chunk + 4; ++word) {
    keys[word] = chunkKeys[chunk];
    infos[word] = chunkInfos[chunk];
  }
  chunkKeys[chunk] = 0;
}

void RaceDetector::recordWrite(const Rec *r, int lane, uint32_t first, uint32_t count, uint8_t mask,
                               uint32_t key) {
  if (count == 4) {
    chunkKeys[first / 4] = key;
    chunkInfos[first / 4] = {r->index, static_cast<uint16_t>(lane), 0xf};
    return;
  }
  for (uint32_t k = first; k < first + count; ++k) {
    splitChunk(k / 4);
    uint8_t before = keys[k] == key ? infos[k].mask : 0;
    keys[k] = key;
    infos[k] = {r->index, static_cast<uint16_t>(lane), static_cast<uint8_t>(before | mask)};
  }
}

void RaceDetector::recordRead(unsigned agent, const Rec *r, uint32_t first, uint32_t count,
                              uint8_t mask) {
  uint32_t now = clocks->now(agent);
  lastRead[agent] = now;
  if (count == 4) {
    chunkReads[agent][first / 4] = {now, r->index};
    return;
  }
  lastWordRead[agent] = now;
  uint32_t *mine = readers[agent].data();
  for (uint32_t k = first; k < first + count; ++k) {
    mine[k] = (mine[k] >> 4 == now ? mine[k] : now << 4) | mask;
    readRec[k] = r->index;
  }
}

static uint8_t byteMask(uint64_t address, uint32_t bytes) {
  return bytes >= 4 ? 0xf : static_cast<uint8_t>(((1u << bytes) - 1) << (address & 3));
}

bool RaceDetector::checkRead(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word,
                             uint8_t mask) {
  uint32_t key = keyOf(word);
  const VectorClock &v = clocks->known(w.member);
  if (orderedKey(v, key))
    return true;
  uint8_t certain = 0; // bytes that a writer put there before, whoever else does so again
  eachWriter(word, [&](uint32_t writer, const WriteInfo &info) {
    certain |= orderedKey(v, writer) ? info.mask : 0;
  });
  bool good = true;
  eachWriter(word, [&](uint32_t writer, const WriteInfo &info) {
    if (good && !orderedKey(v, writer) && (info.mask & mask & ~certain))
      good = report(w, r, lane, a, "read", agentOf(writer), info.rec, info.lane, false);
  });
  if (good && key == contestedKey())
    settle(word);
  return good;
}

template <unsigned Words>
bool RaceDetector::quickRead(unsigned member, uint32_t rec, uint32_t lanes,
                             const uint32_t *addresses, const uint8_t *init) {
  const uint32_t *known = clocks->known(member).data(), *chunkKey = chunkKeys.data(),
                 *wordKey = keys.data();
  const unsigned warp = warpAgent(member), bits = agentBits, agentMask = (1u << bits) - 1;
  uint32_t now = clocks->now(warp), bad = 0, *reads = readers[warp].data(), *recs = readRec.data();
  lastRead[warp] = lastWordRead[warp] = now;
  eachLane(lanes, [&](int l) ATTNC_INLINE {
    uint32_t word = addresses[l] / 4, key = chunkKey[word / 4], written = 0x0f0f0f0f;
    memcpy(&written, init + word, Words);
    bad |= written ^ 0x0f0f0f0f;
    for (unsigned k = 0; k < Words; ++k) {
      uint32_t mine = key ? key : wordKey[word + k];
      bad |= known[mine & agentMask] < mine >> bits;
      reads[word + k] = now << 4 | 0xf;
      recs[word + k] = rec;
    }
  });
  return !bad;
}
template bool RaceDetector::quickRead<1>(unsigned, uint32_t, uint32_t, const uint32_t *,
                                         const uint8_t *);
template bool RaceDetector::quickRead<2>(unsigned, uint32_t, uint32_t, const uint32_t *,
                                         const uint8_t *);

bool RaceDetector::quickReadChunks(unsigned member, uint32_t rec, const uint32_t *addresses,
                                   uint32_t count, const uint8_t *init) {
  const uint32_t *known = clocks->known(member).data(), *chunkKey = chunkKeys.data(),
                 *wordKey = keys.data();
  const unsigned warp = warpAgent(member), bits = agentBits, agentMask = (1u << bits) - 1;
  uint32_t now = clocks->now(warp), bad = 0;
  ChunkRead *reads = chunkReads[warp].data();
  lastRead[warp] = now;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t chunk = addresses[i] / 16, key = chunkKey[chunk], written;
    memcpy(&written, init + 4 * chunk, 4);
    bad |= written ^ 0x0f0f0f0f;
    reads[chunk] = {now, rec};
    if (key) {
      bad |= known[key & agentMask] < key >> bits;
      continue;
    }
    for (uint32_t word = 4 * chunk; word < 4 * chunk + 4; ++word)
      bad |= known[wordKey[word] & agentMask] < wordKey[word] >> bits;
  }
  return !bad;
}

bool RaceDetector::quickAsyncRead(unsigned member, unsigned agent, uint32_t rec,
                                  const uint32_t *addresses, uint32_t count, const uint8_t *init) {
  addReader(agent);
  const unsigned agents = clocks->agents(), bits = agentBits, agentMask = (1u << bits) - 1;
  const uint32_t *known = clocks->known(member).data(), *chunkKey = chunkKeys.data();
  // Ordinary writes count from the proxy fence on, which is never before they happened: that is
  // in the second part of the vector.
  auto seen = [&](uint32_t writer) {
    return known[kindOf(writer) < AgentKind::Bulk ? agents + writer : writer];
  };
  uint32_t now = clocks->now(agent), bad = 0;
  ChunkRead *reads = chunkReads[agent].data();
  lastRead[agent] = now;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t chunk = addresses[i] / 16, key = chunkKey[chunk], written;
    memcpy(&written, init + 4 * chunk, 4);
    bad |= (written ^ 0x0f0f0f0f) | (key == 0) | (key >> bits > seen(key & agentMask));
    reads[chunk] = {now, rec};
  }
  return !bad;
}

bool RaceDetector::quickAsyncWrite(unsigned member, unsigned agent, uint32_t rec, uint32_t lanes,
                                   const uint32_t *addresses, int lane) {
  const VectorClock &v = clocks->known(member);
  const uint32_t *known = v.data(), *ordinary = known + clocks->agents();
  uint32_t *chunkKey = chunkKeys.data(), bad = 0;
  unsigned numLate = lateReaders(v, warpAgent(member));
  auto checkLastWrites = [&](auto throughAsyncProxy) ATTNC_INLINE {
    auto unseen = [&](uint32_t key) ATTNC_INLINE {
      unsigned writer = agentOf(key);
      if (throughAsyncProxy && kindOf(writer) < AgentKind::Bulk)
        return ordinary[writer] < clockOf(key); // see quickAsyncRead
      return known[writer] < clockOf(key);
    };
    eachLane(lanes, [&](int l) ATTNC_INLINE {
      uint32_t chunk = addresses[l] / 16, key = chunkKey[chunk];
      if (key)
        bad |= unseen(key);
      else
        for (uint32_t word = 4 * chunk; word < 4 * chunk + 4; ++word)
          bad |= unseen(keys[word]);
    });
  };
  kindOf(agent) == AgentKind::Bulk ? checkLastWrites(std::true_type())
                                   : checkLastWrites(std::false_type());
  for (unsigned k = 0; k < numLate; ++k) {
    unsigned i = late[k];
    const ChunkRead *reads = chunkReads[i].data();
    uint32_t seen = v[i];
    eachLane(lanes, [&](int l) ATTNC_INLINE { bad |= reads[addresses[l] / 16].clock > seen; });
    if (ordered(v, i, lastWordRead[i]))
      continue;
    const uint32_t *wordReads = readers[i].data();
    eachLane(lanes, [&](int l) ATTNC_INLINE {
      const uint32_t *four = wordReads + addresses[l] / 4;
      for (int n = 0; n < 4; ++n)
        bad |= four[n] >> 4 > seen;
    });
  }
  if (bad)
    return false;
  uint32_t key = makeKey(clocks->now(agent), agent);
  WriteInfo *info = chunkInfos.data();
  eachLane(lanes, [&](int l) ATTNC_INLINE {
    uint32_t chunk = addresses[l] / 16;
    bad |= chunkKey[chunk] == key; // two lanes write the same place
    chunkKey[chunk] = key;
    info[chunk] = {rec, static_cast<uint16_t>(lane < 0 ? l : lane), 0xf};
  });
  return !bad;
}

/// The words of one lane's write.
bool RaceDetector::checkAndRecordWrite(Warp &w, const Rec *r, int lane, const Access &a,
                                       uint8_t mask, unsigned agent, unsigned numLate) {
  uint32_t first = static_cast<uint32_t>(a.address[lane] >> 2), count = std::max(1u, a.bytes / 4);
  uint32_t key = makeKey(clocks->now(agent), agent);
  bool contests = false;
  if (!checkWrite(w, r, lane, a, first, count, mask, agent, numLate, contests))
    return false;
  if (!contests) {
    recordWrite(r, lane, first, count, mask, key);
    return true;
  }
  for (uint32_t word = first; word < first + count; ++word)
    recordContested(clocks->known(w.member), r, lane, word, mask, key);
  return true;
}

bool RaceDetector::access(Warp &w, const Rec *r, const Access &a) {
  if (a.synchronizing || a.asynchronous)
    return true; // volatile and atomic accesses are the program's own synchronization
  const unsigned me = warpAgent(w.member);
  addReader(me); // another block's warp may come for the first time
  uint32_t count = std::max(1u, a.bytes / 4);
  unsigned numLate = lateReaders(clocks->known(w.member), me);
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint8_t mask = byteMask(a.address[l], a.bytes);
    if (a.mode != Mode::Load) {
      if (!checkAndRecordWrite(w, r, l, a, mask, me, numLate))
        return false;
      continue;
    }
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    for (uint32_t word = first; word < first + count; ++word)
      if (!checkRead(w, r, l, a, word, mask))
        return false;
    recordRead(me, r, first, count, mask);
  }
  return true;
}

bool RaceDetector::asyncWrite(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  unsigned numLate = lateReaders(clocks->known(w.member), warpAgent(w.member));
  for (uint32_t m = a.lanes; m; m &= m - 1)
    if (!checkAndRecordWrite(w, r, __builtin_ctz(m), a, 0xf, agent, numLate))
      return false;
  return true;
}

bool RaceDetector::asyncRead(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  addReader(agent);
  uint32_t count = std::max(1u, a.bytes / 4);
  const VectorClock &v = clocks->known(w.member);
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    for (uint32_t word = first; word < first + count; ++word) {
      bool good = true;
      eachWriter(word, [&](uint32_t key, const WriteInfo &old) {
        if (good && old.mask && !orderedKey(v, key))
          good = report(w, r, l, a, "read", agentOf(key), old.rec, old.lane, true);
        good = good && checkProxy(w, r, l, a, "read", key, old);
      });
      if (!good)
        return false;
      if (chunkKeys[word / 4])
        word |= 3;
    }
    recordRead(agent, r, first, count, 0xf);
  }
  return true;
}

bool RaceDetector::pendingCopy(Warp &w, const Rec *r, int lane, const Access &a) {
  uint32_t first = static_cast<uint32_t>(a.address[lane] >> 2), count = std::max(1u, a.bytes / 4);
  for (uint32_t word = first; word < first + count; ++word) {
    const WriteInfo &old = infoOf(word);
    unsigned other = agentOf(keyOf(word));
    if (kindOf(other) != AgentKind::Warp && old.rec != noRecord &&
        !orderedKey(clocks->known(w.member), keyOf(word))) {
      report(w, r, lane, a, "read", other, old.rec, old.lane, false);
      return true;
    }
  }
  return false;
}

} // namespace attnc::emu

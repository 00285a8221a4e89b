// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The race detector's shadow memory; see Races.h for the model. One entry per 4-byte word with a
// byte mask, so that two warps may own neighbouring bf16 values, and above it one per 16-byte chunk
// for what is written or read whole, which is nearly everything in a tensor kernel.
#include "Races.h"

#include <algorithm>
#include <cstring>

namespace attnc::emu {

void RaceDetector::reset(uint32_t sharedBytes, unsigned numWarps) {
  warps = numWarps;
  words = (sharedBytes + 15) / 16 * 4;
  constexpr uint32_t clockLimit = 1u << 24; // keys have 25 bits of clock; start over well before
  if (*std::max_element(clock.begin(), clock.end()) > clockLimit) {
    clock.fill(0);
    lastRead.fill(0);
    lastWordRead.fill(0);
    keys.clear();
    infos.clear();
    readRec.clear();
    chunkKeys.clear();
    chunkInfos.clear();
    readingAgents.clear();
    for (auto &r : readers)
      r.clear();
    for (auto &r : chunkReads)
      r.clear();
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
  for (unsigned i = 0; i < warps; ++i)
    addReader(i);
  // Everything so far happened before this thread block: all know all, and every clock moves on.
  for (VectorClock &v : vectors)
    for (unsigned i = 0; i < numAgents; ++i)
      v[i] = v[numAgents + i] = clock[i];
  for (uint32_t &c : clock)
    ++c;
  for (unsigned i = 0; i < 32; ++i)
    vectors[i][i] = clock[i];
}

void RaceDetector::addReader(unsigned agent) {
  if (!readers[agent].empty())
    return;
  readingAgents.push_back(agent);
  readers[agent].resize(keys.size(), 0);
  chunkReads[agent].resize(chunkKeys.size());
}

void RaceDetector::joinInto(unsigned warp, VectorClock &object) {
  const VectorClock &v = vectors[warp];
  for (unsigned i = 0; i < v.size(); ++i)
    object[i] = std::max(object[i], v[i]);
}

void RaceDetector::release(unsigned warp, VectorClock &object) {
  joinInto(warp, object);
  tick(warp);
}

void RaceDetector::proxyFence(unsigned warp) {
  VectorClock &v = vectors[warp];
  for (unsigned i = 0; i < numAgents; ++i)
    v[numAgents + i] = std::max(v[numAgents + i], v[i]);
  tick(warp); // writes after the fence are not covered by it
}

void RaceDetector::acquire(unsigned warp, const VectorClock &object) {
  VectorClock &v = vectors[warp];
  for (unsigned i = 0; i < v.size(); ++i)
    v[i] = std::max(v[i], object[i]);
}

void RaceDetector::completed(unsigned warp, unsigned agent, uint32_t time) {
  vectors[warp][agent] = std::max(vectors[warp][agent], time);
}

static std::string agentName(unsigned agent) {
  if (agent < 32)
    return "warp " + std::to_string(agent);
  return (agent < 64 ? "the asynchronous copy issued by warp " : "the bulk copy issued by warp ") +
         std::to_string(agent & 31);
}

bool RaceDetector::report(Warp &w, const Rec *r, int lane, const Access &a, const char *what,
                          unsigned otherAgent, uint32_t otherRec, int otherLane, bool selfAsync) {
  const Kernel &k = *w.cta->launch->kernel;
  bool pending = otherAgent >= 32 && (otherAgent & 31) == w.id;
  std::string lane2 = otherLane >= 0 ? " lane " + std::to_string(otherLane) : "";
  std::string other =
      otherRec == noRecord ? "an unknown instruction" : describe(k, &k.recs[otherRec]);
  fault(w, r, lane, pending ? "missing-wait" : "race",
        "%s%s at %s\n  is not ordered after %s%s\n    %s\n  %s", selfAsync ? "asynchronous " : "",
        what, describeAddress(w, Space::Shared, a.address[lane]).c_str(),
        agentName(otherAgent).c_str(), lane2.c_str(), other.c_str(),
        pending ? "no wait of this warp covers that copy"
                : "no barrier or other synchronization lies between the two accesses");
  return false;
}

/// The agents with a read that is not ordered before `v`; the only ones whose tables a write must
/// look at.
unsigned RaceDetector::lateReaders(const VectorClock &v, unsigned self, unsigned *agents) const {
  unsigned n = 0;
  for (unsigned i : readingAgents)
    if (i != self && !ordered(v, i, lastRead[i]))
      agents[n++] = i;
  return n;
}

/// A write must come after the last write and after every read of the same bytes. `late` is what
/// lateReaders found. The loop over agents is outside, so that the words of one lane, which are
/// contiguous, are checked together.
bool RaceDetector::checkWrite(Warp &w, const Rec *r, int lane, const Access &a, uint32_t first,
                              uint32_t count, uint8_t mask, unsigned agent, const unsigned *late,
                              unsigned numLate) {
  const VectorClock &v = vectors[w.id];
  for (uint32_t word = first; word < first + count; ++word) {
    uint32_t key = keyOf(word);
    if (orderedKey(v, key)) {
      if (chunkKeys[word / 4])
        word |= 3; // one key for the whole chunk
      continue;
    }
    if (infoOf(word).mask & mask)
      return report(w, r, lane, a, "write after write", agentOf(key), infoOf(word).rec,
                    infoOf(word).lane, agent >= 32);
  }
  for (unsigned k = 0; k < numLate; ++k) {
    unsigned i = late[k];
    for (uint32_t chunk = first / 4; chunk <= (first + count - 1) / 4; ++chunk)
      if (chunkReads[i][chunk].clock > v[i])
        return report(w, r, lane, a, "write after read", i, chunkReads[i][chunk].rec, -1,
                      agent >= 32);
    if (ordered(v, i, lastWordRead[i]))
      continue;
    const uint32_t *reads = readers[i].data();
    for (uint32_t word = first; word < first + count; ++word)
      if ((reads[word] & mask) && !ordered(v, i, reads[word] >> 4))
        return report(w, r, lane, a, "write after read", i, readRec[word], -1, agent >= 32);
  }
  return true;
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
  uint32_t now = clock[agent];
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
  const WriteInfo &info = infoOf(word);
  return orderedKey(vectors[w.id], key) || !(info.mask & mask) ||
         report(w, r, lane, a, "read", agentOf(key), info.rec, info.lane, false);
}

template <unsigned Words>
bool RaceDetector::quickRead(unsigned warp, uint32_t rec, uint32_t lanes, const uint32_t *addresses,
                             const uint8_t *init) {
  const uint32_t *known = vectors[warp].data(), *chunkKey = chunkKeys.data(),
                 *wordKey = keys.data();
  uint32_t now = clock[warp], bad = 0, *reads = readers[warp].data(), *recs = readRec.data();
  lastRead[warp] = lastWordRead[warp] = now;
  eachLane(lanes, [&](int l) ATTNC_INLINE {
    uint32_t word = addresses[l] / 4, key = chunkKey[word / 4], written = 0x0f0f0f0f;
    memcpy(&written, init + word, Words);
    bad |= written ^ 0x0f0f0f0f;
    for (unsigned k = 0; k < Words; ++k) {
      uint32_t mine = key ? key : wordKey[word + k];
      bad |= known[agentOf(mine)] < clockOf(mine);
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

bool RaceDetector::quickReadChunks(unsigned warp, uint32_t rec, const uint32_t *addresses,
                                   uint32_t count, const uint8_t *init) {
  const uint32_t *known = vectors[warp].data(), *chunkKey = chunkKeys.data(),
                 *wordKey = keys.data();
  uint32_t now = clock[warp], bad = 0;
  ChunkRead *reads = chunkReads[warp].data();
  lastRead[warp] = now;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t chunk = addresses[i] / 16, key = chunkKey[chunk], written;
    memcpy(&written, init + 4 * chunk, 4);
    bad |= written ^ 0x0f0f0f0f;
    reads[chunk] = {now, rec};
    if (key) {
      bad |= known[agentOf(key)] < clockOf(key);
      continue;
    }
    for (uint32_t word = 4 * chunk; word < 4 * chunk + 4; ++word)
      bad |= known[agentOf(wordKey[word])] < clockOf(wordKey[word]);
  }
  return !bad;
}

bool RaceDetector::quickAsyncRead(unsigned warp, unsigned agent, uint32_t rec,
                                  const uint32_t *addresses, uint32_t count, const uint8_t *init) {
  addReader(agent);
  // Ordinary writes count from the proxy fence on, which is never before they happened.
  const uint32_t *known = vectors[warp].data(), *chunkKey = chunkKeys.data();
  static_assert(numAgents <= 128);
  uint32_t seen[128];
  memcpy(seen, known + numAgents, sizeof(uint32_t) * bulkAgent(0));
  memcpy(seen + bulkAgent(0), known + bulkAgent(0), sizeof(uint32_t) * (numAgents - bulkAgent(0)));
  uint32_t now = ++clock[agent], bad = 0;
  ChunkRead *reads = chunkReads[agent].data();
  lastRead[agent] = now;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t chunk = addresses[i] / 16, key = chunkKey[chunk], written;
    memcpy(&written, init + 4 * chunk, 4);
    bad |= (written ^ 0x0f0f0f0f) | (key == 0) | (clockOf(key) > seen[agentOf(key)]);
    reads[chunk] = {now, rec};
  }
  return !bad;
}

bool RaceDetector::quickAsyncWrite(unsigned warp, unsigned agent, uint32_t rec, uint32_t lanes,
                                   const uint32_t *addresses, int lane) {
  const VectorClock &v = vectors[warp];
  const uint32_t *known = v.data();
  uint32_t *chunkKey = chunkKeys.data(), bad = 0;
  unsigned late[numAgents], numLate = lateReaders(v, warp, late);
  eachLane(lanes, [&](int l) ATTNC_INLINE {
    uint32_t chunk = addresses[l] / 16, key = chunkKey[chunk];
    if (key)
      bad |= known[agentOf(key)] < clockOf(key);
    else
      for (uint32_t word = 4 * chunk; word < 4 * chunk + 4; ++word)
        bad |= !orderedKey(v, keys[word]);
  });
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
  uint32_t key = ++clock[agent] << 7 | agent;
  WriteInfo *info = chunkInfos.data();
  eachLane(lanes, [&](int l) ATTNC_INLINE {
    uint32_t chunk = addresses[l] / 16;
    bad |= chunkKey[chunk] == key; // two lanes write the same place
    chunkKey[chunk] = key;
    info[chunk] = {rec, static_cast<uint16_t>(lane < 0 ? l : lane), 0xf};
  });
  return !bad;
}

bool RaceDetector::access(Warp &w, const Rec *r, const Access &a) {
  if (a.synchronizing)
    return true; // volatile and atomic accesses are the program's own synchronization
  uint32_t count = std::max(1u, a.bytes / 4), key = clock[w.id] << 7 | w.id;
  unsigned late[numAgents], numLate = lateReaders(vectors[w.id], w.id, late);
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint8_t mask = byteMask(a.address[l], a.bytes);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    if (a.mode == Mode::Load) {
      for (uint32_t word = first; word < first + count; ++word)
        if (!checkRead(w, r, l, a, word, mask))
          return false;
      recordRead(w.id, r, first, count, mask);
    } else {
      if (!checkWrite(w, r, l, a, first, count, mask, w.id, late, numLate))
        return false;
      recordWrite(r, l, first, count, mask, key);
    }
  }
  return true;
}

bool RaceDetector::asyncWrite(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  uint32_t key = ++clock[agent] << 7 | agent, count = std::max(1u, a.bytes / 4);
  unsigned late[numAgents], numLate = lateReaders(vectors[w.id], w.id, late);
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    if (!checkWrite(w, r, l, a, first, count, 0xf, agent, late, numLate))
      return false;
    recordWrite(r, l, first, count, 0xf, key);
  }
  return true;
}

bool RaceDetector::asyncRead(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  addReader(agent);
  uint32_t count = std::max(1u, a.bytes / 4);
  ++clock[agent];
  const VectorClock &v = vectors[w.id];
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    for (uint32_t word = first; word < first + count; ++word) {
      const WriteInfo &old = infoOf(word);
      uint32_t key = keyOf(word);
      unsigned other = agentOf(key);
      if (old.mask && !orderedKey(v, key))
        return report(w, r, l, a, "read", other, old.rec, old.lane, true);
      if (other < bulkAgent(0) && old.rec != noRecord && clockOf(key) > v[numAgents + other]) {
        fault(w, r, l, "missing-proxy-fence",
              "asynchronous read at %s\n  of bytes written through the generic proxy by %s lane "
              "%d\n    %s\n"
              "  needs a fence.proxy.async between the write and the barrier that orders them",
              describeAddress(w, Space::Shared, a.address[l]).c_str(), agentName(other).c_str(),
              old.lane,
              describe(*w.cta->launch->kernel, &w.cta->launch->kernel->recs[old.rec]).c_str());
        return false;
      }
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
    if (other >= 32 && old.rec != noRecord && !orderedKey(vectors[w.id], keyOf(word))) {
      report(w, r, lane, a, "read", other, old.rec, old.lane, false);
      return true;
    }
  }
  return false;
}

} // namespace attnc::emu

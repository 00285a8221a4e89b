// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The race detector's shadow memory; see Races.h for the model. One entry per 4-byte word with a
// byte mask, so that two warps may own neighbouring bf16 values. The hot path is a read whose words
// were all written at the same time by the same agent: one comparison per word.
#include "Races.h"

#include <algorithm>

namespace attnc::emu {

void RaceDetector::reset(uint32_t sharedBytes, unsigned numWarps) {
  warps = numWarps;
  words = (sharedBytes + 3) / 4;
  constexpr uint32_t clockLimit = 1u << 24; // keys have 25 bits of clock; start over well before
  if (*std::max_element(clock.begin(), clock.end()) > clockLimit) {
    clock.fill(0);
    lastRead.fill(0);
    keys.clear();
    infos.clear();
    readRec.clear();
    readingAgents.clear();
    for (auto &r : readers)
      r.clear();
  }
  if (keys.size() < words) {
    keys.resize(words, 0);
    infos.resize(words);
    readRec.resize(words, noRecord);
    for (auto &r : readers)
      if (!r.empty())
        r.resize(words, 0);
  }
  for (unsigned i = 0; i < warps; ++i)
    if (readers[i].size() < words) {
      if (readers[i].empty())
        readingAgents.push_back(i);
      readers[i].resize(words, 0);
    }
  // Everything so far happened before this thread block: all know all, and every clock moves on.
  for (VectorClock &v : vectors)
    for (unsigned i = 0; i < numAgents; ++i)
      v[i] = v[numAgents + i] = clock[i];
  for (uint32_t &c : clock)
    ++c;
  for (unsigned i = 0; i < 32; ++i)
    vectors[i][i] = clock[i];
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

/// A write must come after the last write and after every read of the same bytes. The loop over
/// agents is outside, so that the words of one lane, which are contiguous, are checked together.
bool RaceDetector::checkWrite(Warp &w, const Rec *r, int lane, const Access &a, uint32_t first,
                              uint32_t count, uint8_t mask, unsigned agent) {
  const VectorClock &v = vectors[w.id];
  for (uint32_t word = first; word < first + count; ++word) {
    unsigned other = agentOf(keys[word]);
    const WriteInfo &old = infos[word];
    bool self = other == w.id && agent < 32;
    if (!self && !ordered(v, other, clockOf(keys[word])) && (old.mask & mask))
      return report(w, r, lane, a, "write after write", other, old.rec, old.lane, agent >= 32);
  }
  for (unsigned i : readingAgents) {
    if (i == w.id || ordered(v, i, lastRead[i])) // all its reads are known to this warp
      continue;
    const uint32_t *reads = readers[i].data() + first;
    uint32_t late = 0;
    for (uint32_t k = 0; k < count; ++k)
      late |= (reads[k] >> 4) > v[i] ? reads[k] : 0;
    if (!(late & mask))
      continue;
    for (uint32_t k = 0; k < count; ++k)
      if ((reads[k] & mask) && !ordered(v, i, reads[k] >> 4))
        return report(w, r, lane, a, "write after read", i, readRec[first + k], -1, agent >= 32);
  }
  return true;
}

static uint8_t byteMask(uint64_t address, uint32_t bytes) {
  return bytes >= 4 ? 0xf : static_cast<uint8_t>(((1u << bytes) - 1) << (address & 3));
}

bool RaceDetector::checkRead(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word,
                             uint8_t mask) {
  unsigned other = agentOf(keys[word]);
  if (other == w.id || ordered(vectors[w.id], other, clockOf(keys[word])) ||
      !(infos[word].mask & mask))
    return true;
  return report(w, r, lane, a, "read", other, infos[word].rec, infos[word].lane, false);
}

/// Reads of whole words. The inner loops have a constant length and vectorise; a key that was good
/// for one word is good for all.
template <unsigned Words> bool RaceDetector::load(Warp &w, const Rec *r, const Access &a) {
  lastRead[w.id] = clock[w.id];
  uint32_t *mine = readers[w.id].data(), stamp = clock[w.id] << 4 | 0xf, good = ~0u;
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
  uint32_t now = clock[w.id], count = std::max(1u, a.bytes / 4);
  if (a.mode == Mode::Load && a.bytes >= 4)
    return count == 1 ? load<1>(w, r, a) : count == 2 ? load<2>(w, r, a) : load<4>(w, r, a);
  uint32_t *mine = readers[w.id].data();
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint8_t mask = byteMask(a.address[l], a.bytes);
    uint32_t word = static_cast<uint32_t>(a.address[l] >> 2);
    if (a.mode == Mode::Load) {
      lastRead[w.id] = now;
      if (!checkRead(w, r, l, a, word, mask))
        return false;
      mine[word] = (mine[word] >> 4 == now ? mine[word] : now << 4) | mask;
      readRec[word] = r->index;
      continue;
    }
    if (!checkWrite(w, r, l, a, word, count, mask, w.id))
      return false;
    uint32_t key = now << 7 | w.id;
    for (uint32_t k = word; k < word + count; ++k) {
      uint8_t before = keys[k] == key ? infos[k].mask : 0;
      keys[k] = key;
      infos[k] = {r->index, static_cast<uint16_t>(l), static_cast<uint8_t>(before | mask)};
    }
  }
  return true;
}

bool RaceDetector::asyncWrite(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  uint32_t now = ++clock[agent], count = std::max(1u, a.bytes / 4);
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    if (!checkWrite(w, r, l, a, first, count, 0xf, agent))
      return false;
    for (uint32_t word = first; word < first + count; ++word) {
      keys[word] = now << 7 | agent;
      infos[word] = {r->index, static_cast<uint16_t>(l), 0xf};
    }
  }
  return true;
}

bool RaceDetector::asyncRead(Warp &w, const Rec *r, const Access &a, unsigned agent) {
  if (readers[agent].size() < words) {
    if (readers[agent].empty())
      readingAgents.push_back(agent);
    readers[agent].resize(words, 0);
  }
  uint32_t now = ++clock[agent], count = std::max(1u, a.bytes / 4);
  lastRead[agent] = now;
  const VectorClock &v = vectors[w.id];
  for (uint32_t m = a.lanes; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    uint32_t first = static_cast<uint32_t>(a.address[l] >> 2);
    for (uint32_t word = first; word < first + count; ++word) {
      const WriteInfo &old = infos[word];
      unsigned other = agentOf(keys[word]);
      if (other != w.id && old.mask && !ordered(v, other, clockOf(keys[word])))
        return report(w, r, l, a, "read", other, old.rec, old.lane, true);
      if (other < bulkAgent(0) && old.rec != noRecord &&
          clockOf(keys[word]) > v[numAgents + other]) {
        fault(w, r, l, "missing-proxy-fence",
              "asynchronous read at %s\n  of bytes written through the generic proxy by %s lane "
              "%d\n    %s\n"
              "  needs a fence.proxy.async between the write and the barrier that orders them",
              describeAddress(w, Space::Shared, a.address[l]).c_str(), agentName(other).c_str(),
              old.lane,
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
    if (other >= 32 && old.rec != noRecord && !ordered(vectors[w.id], other, clockOf(keys[word]))) {
      report(w, r, lane, a, "read", other, old.rec, old.lane, false);
      return true;
    }
  }
  return false;
}

} // namespace attnc::emu

// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A happens-before race detector for the shared memory of one thread block.
//
// Every agent has a clock, and every warp a vector of the clocks it has heard of. A barrier joins
// the vectors of all who meet there; an access to a byte is ordered after an earlier one exactly
// when the earlier agent's clock at that time is in the accessing warp's vector. If it is not, some
// schedule runs the two accesses the other way round, whatever happened in this run: that is why
// one deterministic execution finds races that hardware shows once a week.
//
// Asynchronous copies are agents of their own, one per warp (agent 32 + warp). Their clock ticks
// with each copy and enters the issuer's vector only through the matching wait. So "read before
// cp.async.wait_group" and "overwrite a tile that another warp still reads" need no special rule.
//
// Limits: order between lanes of one warp is not tracked (a missing __syncwarp goes unnoticed), and
// a word remembers only its last writer.
#pragma once

#include "Access.h"

#include <array>

namespace attnc::emu {

constexpr unsigned numAgents = 96; ///< 32 warps, 32 cp.async agents, 32 bulk-copy agents
constexpr unsigned copyAgent(unsigned warp) { return 32 + warp; }
constexpr unsigned bulkAgent(unsigned warp) { return 64 + warp; }

/// The first half is what has happened; the second half is how much of that is visible to the
/// asynchronous proxy (TMA stores, wgmma), which fence.proxy.async brings up to date. Both travel
/// along the same edges.
using VectorClock = std::array<uint32_t, 2 * numAgents>;

class RaceDetector {
public:
  /// Forgets everything before; for the next thread block. Clocks go on, so that old shadow entries
  /// stay ordered before everything new without being cleared.
  void reset(uint32_t sharedBytes, unsigned warps);

  /// Checks and records a resolved shared access of a warp. False after a report.
  bool access(Warp &w, const Rec *r, const Access &a);
  /// The same for the write of an asynchronous agent. Returns the agent's clock for `completed`.
  bool asyncWrite(Warp &w, const Rec *r, const Access &a, unsigned agent);
  /// The same for its read.
  bool asyncRead(Warp &w, const Rec *r, const Access &a, unsigned agent);
  uint32_t agentClock(unsigned agent) const { return clock[agent]; }
  /// The warp has waited for the agent's work up to `time`.
  void completed(unsigned warp, unsigned agent, uint32_t time);

  /// Release: what the warp knows flows into `object`. Acquire: the other way.
  void release(unsigned warp, VectorClock &object);
  void acquire(unsigned warp, const VectorClock &object);
  /// `release` in two steps, for operations that a warp performs lane by lane.
  void joinInto(unsigned warp, VectorClock &object);
  void tick(unsigned warp) { vectors[warp][warp] = ++clock[warp]; }
  /// fence.proxy.async: asynchronous readers may rely on everything ordered before this point.
  void proxyFence(unsigned warp);
  uint32_t now(unsigned warp) const { return clock[warp]; }
  const VectorClock &known(unsigned warp) const { return vectors[warp]; }

  /// If the bytes wait for an asynchronous copy, reports that and returns true.
  bool pendingCopy(Warp &w, const Rec *r, int lane, const Access &a);

  /// The quick form of `access` for reads of 4 or 8 bytes by `lanes` at addresses that are aligned
  /// and in bounds. Checks initialisation too (`init` is Cta::sharedInit). False when anything at
  /// all is unusual; the caller then takes the general way, which finds out what.
  template <unsigned Words>
  bool quickRead(unsigned warp, uint32_t rec, uint32_t lanes, const uint32_t *addresses,
                 const uint8_t *init);
  /// The same for `count` whole chunks.
  bool quickReadChunks(unsigned warp, uint32_t rec, const uint32_t *addresses, uint32_t count,
                       const uint8_t *init);
  /// The same for the reads of an asynchronous agent, of `count` chunks.
  bool quickAsyncRead(unsigned warp, unsigned agent, uint32_t rec, const uint32_t *addresses,
                      uint32_t count, const uint8_t *init);
  /// The quick form of `asyncWrite` for copies of whole chunks. False, with nothing
  /// recorded, when the general way has to decide. `lane` is to blame if it is not negative, else
  /// the lane of the address.
  bool quickAsyncWrite(unsigned warp, unsigned agent, uint32_t rec, uint32_t lanes,
                       const uint32_t *addresses, int lane = -1);

private:
  /// Who wrote a word last: `keys` holds clock << 7 | agent, all that a read must compare; the rest
  /// is needed for reports and partial words only.
  struct WriteInfo {
    uint32_t rec = noRecord;
    uint16_t lane = 0;
    uint8_t mask = 0; ///< bytes of the word
  };
  struct ChunkRead {
    uint32_t clock = 0, rec = noRecord;
  };
  static unsigned agentOf(uint32_t key) { return key & 127; }
  static uint32_t clockOf(uint32_t key) { return key >> 7; }
  uint32_t keyOf(uint32_t word) const {
    uint32_t key = chunkKeys[word / 4];
    return key ? key : keys[word];
  }
  const WriteInfo &infoOf(uint32_t word) const {
    return chunkKeys[word / 4] ? chunkInfos[word / 4] : infos[word];
  }
  bool orderedKey(const VectorClock &v, uint32_t key) const {
    return clockOf(key) <= v[agentOf(key)];
  }
  void splitChunk(uint32_t chunk);
  void recordWrite(const Rec *r, int lane, uint32_t first, uint32_t count, uint8_t mask,
                   uint32_t key);
  void recordRead(unsigned agent, const Rec *r, uint32_t first, uint32_t count, uint8_t mask);
  void addReader(unsigned agent);
  unsigned lateReaders(const VectorClock &v, unsigned self, unsigned *agents) const;
  bool checkRead(Warp &w, const Rec *r, int lane, const Access &a, uint32_t word, uint8_t mask);
  bool checkWrite(Warp &w, const Rec *r, int lane, const Access &a, uint32_t first, uint32_t count,
                  uint8_t mask, unsigned agent, const unsigned *late, unsigned numLate);
  bool report(Warp &w, const Rec *r, int lane, const Access &a, const char *what,
              unsigned otherAgent, uint32_t otherRec, int otherLane, bool selfAsync);
  bool ordered(const VectorClock &v, unsigned agent, uint32_t time) const {
    return time <= v[agent];
  }

  unsigned warps = 0;
  uint32_t words = 0;
  std::array<uint32_t, numAgents> clock{};
  std::array<uint32_t, numAgents> lastRead{};     ///< clock of each agent at its last read
  std::array<uint32_t, numAgents> lastWordRead{}; ///< at its last read of less than a chunk
  std::array<VectorClock, 32> vectors{};
  std::vector<unsigned> readingAgents; ///< agents that have tables of reads

  // By word of four bytes.
  std::vector<uint32_t> keys;
  std::vector<WriteInfo> infos;
  std::vector<uint32_t> readRec;                        ///< the last reader's record
  std::array<std::vector<uint32_t>, numAgents> readers; ///< clock << 4 | byte mask

  // By chunk of sixteen bytes, the unit of cp.async, TMA, ldmatrix and wgmma. A chunk that one
  // operation wrote whole has its key here, and `keys` and `infos` of its words are stale; zero
  // says that the words know. A read of a whole chunk is noted here only.
  std::vector<uint32_t> chunkKeys;
  std::vector<WriteInfo> chunkInfos;
  std::array<std::vector<ChunkRead>, numAgents> chunkReads;
};

} // namespace attnc::emu
